"""S4: the sealed environment in which everything is executed, and the canary that shows whether it works.

Defeats results that depend on where they were made: a fresh sandbox for each execution, from an image known by its id,
with no network, only variables that are named here, and nothing in it that an agent has touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from assay.evidence.expectations import Standing
from assay.evidence.facts import Book, Subject
from assay.policies.settings import Settings
from assay.records.egress import Egress
from assay.records.sandboxes import SandboxProfile
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id

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


def seal(settings: Settings) -> SandboxProfile:
    """Return the profile in which proofs are executed: the one that the policy names, with our variables."""
    profile = settings.sandbox(settings.proof.sandbox)
    variables = {**_VARIABLES, **profile.environment}
    sealed = {"workspace": "read-write", "warm": 0, "environment": variables, "egress": Egress()}
    return profile.model_copy(update=sealed)


def canary_tree() -> tuple[Tree, Mapping[str, bytes]]:
    """Return a tree with one test that must pass and one that must fail, and its content by blob id."""
    oid = blob_id(_CANARY)
    return {CANARY_FILE: TreeFile(REGULAR, oid)}, {oid: _CANARY}


def canary_fault(book: Book) -> str:
    """Return what is wrong with the environment; empty where each canary did what it must."""
    runs = book.all(Subject.CANARY, "base")
    if not runs:
        return "no canary was run, so nothing shows that the environment works"
    for run in runs:
        if run.stand(CANARY_PASSES) is not Standing.PASSED:
            return f"a test that must pass does not pass in this environment: {run.got(CANARY_PASSES)}"
        outcome = run.outcome(CANARY_FAILS)
        if run.stand(CANARY_FAILS) is not Standing.FAILED or outcome is None or outcome.failure != "assertion":
            return f"a test that must fail does not fail in this environment: {run.got(CANARY_FAILS)}"
    return ""
