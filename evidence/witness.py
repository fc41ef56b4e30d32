"""The witness of a refutation, and the one command line with which anybody can see it again without assay."""

from __future__ import annotations

import posixpath
import shlex
from typing import Final

from assay.evidence.runner_node import NODE_LAUNCHER
from assay.evidence.runner_pytest import EMPTY_INI, LAST_OPTION, LAUNCHER, PRELUDE
from assay.policies.settings import ProjectSettings
from assay.records.claims import Claim
from assay.records.evidence import Evidence, Surroundings
from assay.records.verdicts import Witness
from assay.sandboxes.protocol import WORKSPACE

STORE_VARIABLE: Final = "ASSAY_STORE"
"""Environment variable of a witness's command line: path of the bare git store that holds the tree."""

_MOST_BEFORE: Final = 200
"""Tests that a command line names before the one that it is about."""
_JUDGE_ONLY: Final = frozenset({"PYTEST_DISABLE_PLUGIN_AUTOLOAD"})
"""Variables that have a meaning only together with the judge's launcher."""


def bear_difference(claim: Claim, tree: str, path: str, *, expected: str, got: str) -> Witness:
    """Return the witness that the two trees of a claim are: nothing has to be executed to see it.

    Args:
        claim: what the trees contradict.
        tree: of its head.
        path: file in which they do, as its author named it.
        expected: what the claim says of it.
        got: what is there.
    """
    argv = ("git", "--literal-pathspecs", "diff", claim.base, claim.head, "--", path)
    command = f'git --git-dir "${STORE_VARIABLE}" {shlex.join(argv[1:])}'
    return Witness(argv=argv, image="", tree=tree, expected=expected, got=got, reproduced=0, command=command)


def bear_witness(
    evidence: Evidence,
    project: ProjectSettings,
    *,
    test: str | None,
    expected: str,
    got: str,
    reproduced: int,
    requirement: str | None = None,
    held_out: bool = False,
) -> Witness:
    """Return what an execution witnesses.

    Args:
        evidence: the execution in which it was seen.
        project: how tests are run in this repository.
        test: the id; None where a whole run or a command is the witness.
        expected: what had to be seen.
        got: what was seen.
        reproduced: in how many fresh sandboxes.
        requirement: the requirement that does not hold.
        held_out: whether the test is one that no author may know.
    """
    return Witness(
        argv=evidence.argv,
        image=evidence.image,
        tree=evidence.tree,
        test=test,
        requirement=requirement,
        held_out=held_out,
        expected=expected,
        got=got,
        reproduced=reproduced,
        command=command_line(evidence, project, test),
    )


def command_line(evidence: Evidence, project: ProjectSettings, test: str | None) -> str:
    """Return a shell command that executes the same tree in the same image, with nothing but git and Docker.

    The tree comes from the bare store that `$ASSAY_STORE` names.
    """
    around = evidence.surroundings or Surroundings()
    workspace = posixpath.join(WORKSPACE, around.folder).rstrip("/")
    root = posixpath.normpath(posixpath.join(workspace, project.root))
    made = "" if evidence.surroundings is None else f"{PRELUDE.format(around.processes)}; "
    inner = f"tar xf - && cd {shlex.quote(root)} && exec {shlex.join(_command(evidence, test))}"
    if around.folder:
        inner = f"mkdir -p {shlex.quote(workspace)} && cd {shlex.quote(workspace)} && {inner}"
    inner = made + inner
    words = ["docker", "run", "--rm", "-i", "--network", "none", "--user", "65534:65534"]
    if evidence.surroundings is not None:
        words += ["--hostname", around.host]
    words += ["--tmpfs", f"{WORKSPACE}:exec,uid=65534", "--tmpfs", "/tmp:exec,mode=1777", "-w", WORKSPACE]  # noqa: S108
    for name, value in sorted(evidence.environment.items()):
        if name not in _JUDGE_ONLY:
            words += ["-e", f"{name}={value}"]
    docker = shlex.join([*words, evidence.image, "sh", "-c", inner])
    return f'git --git-dir "${STORE_VARIABLE}" archive {evidence.tree} | {docker}'


def reading_archive(witness: Witness) -> str:
    """Return the witness's command line without git: it takes a tar archive of the tree on standard input.

    Empty where nothing is executed, because the trees alone show it.
    """
    prefix = f'git --git-dir "${STORE_VARIABLE}" archive {witness.tree} | '
    return witness.command.removeprefix(prefix) if witness.command.startswith(prefix) else ""


def _up_to(evidence: Evidence, test: str) -> list[str]:
    """Return the test; where the order was another, after those that ran before it."""
    if evidence.surroundings is None:
        return [test]
    ids = [o.id for o in evidence.outcomes if "::" in o.id]
    return ids[max(0, ids.index(test) - _MOST_BEFORE) : ids.index(test) + 1] if test in ids else [test]


def _command(evidence: Evidence, test: str | None) -> list[str]:
    argv = list(evidence.argv)
    if NODE_LAUNCHER in argv:
        options = argv[argv.index(NODE_LAUNCHER) + 1 : argv.index("--")]
        files = argv[argv.index("--") + 1 : -1] if test is None else [test.split("::", 1)[0]]
        return ["node", "--test", *options, *files]
    if LAUNCHER not in argv:
        return argv
    arguments = ["/dev/null" if a == EMPTY_INI else a for a in argv[argv.index(LAUNCHER) + 3 :]]
    if test is not None:
        arguments = [*arguments[: arguments.index(LAST_OPTION) + 1], *_up_to(evidence, test)]
    return ["python3", "-B", "-m", "pytest", *arguments]
