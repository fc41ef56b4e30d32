"""The witness of a refutation, and the one command line with which anybody can see it again without assay."""

from __future__ import annotations

import posixpath
import shlex
from typing import Final

from assay.evidence.runner_pytest import EMPTY_INI, LAST_OPTION, LAUNCHER
from assay.policies.settings import ProjectSettings
from assay.records.evidence import Evidence
from assay.records.verdicts import Witness
from assay.sandboxes.protocol import WORKSPACE

STORE_VARIABLE: Final = "ASSAY_STORE"
"""Environment variable of a witness's command line: path of the bare git store that holds the tree."""

_JUDGE_ONLY: Final = frozenset({"PYTEST_DISABLE_PLUGIN_AUTOLOAD"})
"""Variables that have a meaning only together with the judge's launcher."""


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
    root = posixpath.normpath(posixpath.join(WORKSPACE, project.root))
    inner = f"tar xf - && cd {shlex.quote(root)} && exec {shlex.join(_command(evidence, test))}"
    words = ["docker", "run", "--rm", "-i", "--network", "none", "--user", "65534:65534"]
    words += ["--tmpfs", f"{WORKSPACE}:exec,uid=65534", "--tmpfs", "/tmp:exec,mode=1777", "-w", WORKSPACE]  # noqa: S108
    for name, value in sorted(evidence.environment.items()):
        if name not in _JUDGE_ONLY:
            words += ["-e", f"{name}={value}"]
    docker = shlex.join([*words, evidence.image, "sh", "-c", inner])
    return f'git --git-dir "${STORE_VARIABLE}" archive {evidence.tree} | {docker}'


def _command(evidence: Evidence, test: str | None) -> list[str]:
    argv = list(evidence.argv)
    if LAUNCHER not in argv:
        return argv
    arguments = ["/dev/null" if a == EMPTY_INI else a for a in argv[argv.index(LAUNCHER) + 3 :]]
    if test is not None:
        arguments = [*arguments[: arguments.index(LAST_OPTION) + 1], test]
    return ["python3", "-B", "-m", "pytest", *arguments]
