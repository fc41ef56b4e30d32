"""S4: the sealed environment in which everything is executed, and the canary that shows whether it works.

Defeats results that depend on where they were made: a fresh sandbox for each execution, from an image known by its id,
with no network, only variables that are named here, and nothing in it that an agent has touched.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from assay.evidence.expectations import Standing
from assay.evidence.facts import Book, Subject
from assay.policies.settings import ProjectSettings, Settings
from assay.records.egress import Egress
from assay.records.evidence import Surroundings
from assay.records.sandboxes import SandboxProfile
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id
from assay.sandboxes.protocol import WORKSPACE

_VARIABLES: Final = {
    "HOME": "/tmp",  # noqa: S108 - a path inside the sandbox
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
}

CANARY_FILE: Final = "test_canary.py"
CANARY_PASSES: Final = f"{CANARY_FILE}::test_that_passes"
CANARY_FAILS: Final = f"{CANARY_FILE}::test_that_fails"
_CANARY: Final = b"""\
def test_that_passes(tmp_path):
    (tmp_path / "canary").write_text("sings")
    assert (tmp_path / "canary").read_text() == "sings"


def test_that_fails():
    assert sum(range(5)) == 11, "the canary sings"
"""
_NODE_CANARY: Final = b"""\
import assert from "node:assert";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

test("test_that_passes", () => {
  const file = join(mkdtempSync(join(tmpdir(), "canary-")), "canary");
  writeFileSync(file, "sings");
  assert.strictEqual(readFileSync(file, "utf8"), "sings");
});
test("test_that_fails", () => assert.strictEqual([0, 1, 2, 3, 4].reduce((a, b) => a + b), 11, "the canary sings"));
"""
_SHELL_CANARY: Final = b"""\
echo sings > /tmp/canary
said=$(cat /tmp/canary)
echo '<testsuite name="canary">' > canary.xml
for song in sings croaks; do
    name=$([ "$song" = sings ] && echo test_that_passes || echo test_that_fails)
    printf '<testcase file="canary.sh" name="%s">' "$name" >> canary.xml
    [ "$said" = "$song" ] || printf '<failure message="the canary %s"/>' "$said" >> canary.xml
    echo '</testcase>' >> canary.xml
done
echo '</testsuite>' >> canary.xml
exit 1
"""


@dataclass(frozen=True, slots=True)
class Canary:
    """One test that must pass and one that must fail, for one runner."""

    file: str
    text: bytes
    project: ProjectSettings
    """How they are run, whatever the repository's own way is."""

    @property
    def passes(self) -> str:
        """Id of the test that must pass."""
        return f"{self.file}::test_that_passes"

    @property
    def fails(self) -> str:
        """Id of the test that must fail."""
        return f"{self.file}::test_that_fails"


def canary_of(project: ProjectSettings) -> Canary:
    """Return the canary for a project's runner."""
    match project.runner:
        case "pytest":
            return Canary(CANARY_FILE, _CANARY, ProjectSettings())
        case "node":
            return Canary("canary.test.mjs", _NODE_CANARY, ProjectSettings(runner="node"))
        case "junit":
            command = ("sh", "canary.sh")
            plain = ProjectSettings(runner="junit", test_command=command, report="canary.xml")
            return Canary("canary.sh", _SHELL_CANARY, plain)
        case never:
            assert_never(never)


def seal(settings: Settings) -> SandboxProfile:
    """Return the profile in which proofs are executed: the one that the policy names, with our variables."""
    profile = settings.sandbox(settings.proof.sandbox)
    variables = {**_VARIABLES, **profile.environment}
    sealed = {"workspace": "read-write", "warm": 0, "environment": variables, "egress": Egress()}
    return profile.model_copy(update=sealed)


def place_in(profile: SandboxProfile, surroundings: Surroundings | None) -> SandboxProfile:
    """Return the profile with the machine's name and the share of its processors that surroundings have."""
    if surroundings is None:
        return profile
    limits = profile.limits.model_copy(update={"cpus": round(profile.limits.cpus * surroundings.share, 2)})
    return profile.model_copy(update={"hostname": surroundings.host, "limits": limits})


def workspace_of(surroundings: Surroundings | None) -> str:
    """Return where a tree lies in these surroundings."""
    return WORKSPACE if surroundings is None else posixpath.join(WORKSPACE, surroundings.folder).rstrip("/")


def canary_tree(canary: Canary) -> tuple[Tree, Mapping[str, bytes]]:
    """Return a tree with one test that must pass and one that must fail, and its content by blob id."""
    oid = blob_id(canary.text)
    return {canary.file: TreeFile(REGULAR, oid)}, {oid: canary.text}


def canary_fault(book: Book) -> str:
    """Return what is wrong with the environment; empty where each canary did what it must."""
    canary = canary_of(book.facts.project)
    runs = book.all(Subject.CANARY, "base")
    if not runs:
        return "no canary was run, so nothing shows that the environment works"
    others = book.all(Subject.CANARY, "head")
    if book.facts.dependencies.image is not None and not others:
        return "no canary was run with the head's dependencies, so nothing shows that they work"
    for run in (*runs, *others):
        where = "in this environment" if run in runs else "with the head's dependencies"
        if run.stand(canary.passes) is not Standing.PASSED:
            return f"a test that must pass does not pass {where}: {run.got(canary.passes)}"
        outcome = run.outcome(canary.fails)
        if run.stand(canary.fails) is not Standing.FAILED or outcome is None or outcome.failure != "assertion":
            return f"a test that must fail does not fail {where}: {run.got(canary.fails)}"
    return ""
