"""How agents' work is judged elsewhere: exit code, JUnit, a clean clone and its log, and the way of SWE-bench.

Each runs the host's suite in a plain container of the image that assay uses, so that nothing differs but the protocol.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.assay_bench.containers import Ran, Run, Tree, image_of, run_in_container
from benchmarks.assay_bench.records import Case
from benchmarks.assay_bench.repositories import Made, as_tree, folder_tree, git
from benchmarks.assay_bench.verifiers import Told

AGENTS_FOLDER = "/tmp/agent/project"
_PASSED = re.compile(r"^PASSED (\S+)", re.MULTILINE)
_BAD = re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)

Judged = tuple[bool, str]


class Baseline:
    """A verifier that is a function from a case to whether it is accepted, and why."""

    def __init__(self, name: str, judge: Callable[[Case, Made], Judged]) -> None:
        self.name = name
        self._judge = judge

    @property
    def version(self) -> str:
        image = image_of("python") or ""
        return hashlib.sha256(Path(__file__).read_bytes() + image.encode()).hexdigest()[:16]

    def can_judge(self, case: Case) -> bool:
        """Every host's own command is one that a baseline can run."""
        return True

    async def judge(self, case: Case, made: Made) -> Told:
        begun = time.monotonic()
        accepted, reason = await asyncio.to_thread(self._judge, case, made)
        seconds = time.monotonic() - begun
        return Told(status="accepted" if accepted else "rejected", reason=reason, seconds=round(seconds, 3))


def judge_exit_code(case: Case, made: Made) -> Judged:
    """Accept where the suite ends with 0 in the agent's own workspace."""
    ran, _ = _in_workspace(case, made, case.host.test_command)
    return ran.code == 0, f"the suite ended with {ran.code}"


def judge_junit(case: Case, made: Made) -> Judged:
    """Accept where the report of the agent's workspace has tests, none of them failed."""
    words = ("--junitxml=/tmp/out/junit.xml",) if case.host.runner == "pytest" else ()
    ran, collected = _in_workspace(case, made, (*case.host.test_command, *words))
    report = ran.out if case.host.runner != "pytest" else collected.get("junit.xml", b"")
    try:
        cases = list(ET.fromstring(report).iter("testcase"))
    except ET.ParseError as error:
        return False, f"no report: {error}"
    bad = [c.get("name", "") for c in cases if c.find("failure") is not None or c.find("error") is not None]
    return bool(cases) and not bad, f"{len(cases)} tests, failed: {bad[:5]}"


def judge_clean_clone(case: Case, made: Made) -> Judged:
    """Accept where the log of a clean clone says that each expected test passed, and that none failed."""
    passed, bad = _log_of(case, _clone(made, made.head))
    expected = {i for i in _at_base(case, made, {}) if i.split("::")[0] not in _trusted_files(case)}
    expected |= _named(case, made)
    missing = sorted(expected - passed)
    return bool(passed) and not bad and not missing, f"failed: {bad[:5]}, not passed: {missing[:5]}"


def judge_as_swe_bench(case: Case, made: Made) -> Judged:
    """Accept where, under the trusted tests, the named failing ids pass and what passed at the base still does."""
    trusted = folder_tree(made.tests) if made.tests else {}
    passed, _ = _log_of(case, {**_clone(made, made.head), **trusted})
    missing = sorted((_at_base(case, made, trusted) | _named(case, made)) - passed)
    return bool(passed) and not missing, f"not passed: {missing[:5]}"


def baselines() -> Iterator[Baseline]:
    """Yield the four, the most trusting first."""
    yield Baseline("exit code", judge_exit_code)
    yield Baseline("JUnit", judge_junit)
    yield Baseline("clean clone and log", judge_clean_clone)
    yield Baseline("SWE-bench style", judge_as_swe_bench)


def _in_workspace(case: Case, made: Made, argv: Sequence[str]) -> tuple[Ran, dict[str, bytes]]:
    run = Run(tuple(argv), tuple(made.environment.items()))
    home = as_tree(made.home)
    ran, collected = run_in_container(
        _image(case), folder_tree(made.repo), [run], at=AGENTS_FOLDER, home=home, collect=["junit.xml"]
    )
    return ran[0], collected


def _log_of(case: Case, tree: Tree) -> tuple[set[str], list[str]]:
    """Return what a log calls passed and what it calls failed."""
    words = ("-rA", "-q") if case.host.runner == "pytest" else ()
    ran, _ = run_in_container(_image(case), tree, [Run((*case.host.test_command, *words))])
    if case.host.runner != "pytest":
        return _cases_of(ran[0].out)
    log = ran[0].out.decode(errors="replace")
    return set(_PASSED.findall(log)), [name for _, name in _BAD.findall(log)]


def _cases_of(report: bytes) -> tuple[set[str], list[str]]:
    """Return the names of JUnit's test cases that passed, and of those that failed."""
    try:
        cases = list(ET.fromstring(report).iter("testcase"))
    except ET.ParseError:
        return set(), []
    failed = [c.get("name", "") for c in cases if c.find("failure") is not None or c.find("error") is not None]
    left = {c.get("name", "") for c in cases if c.find("skipped") is None}
    return left - set(failed), failed


def _at_base(case: Case, made: Made, trusted: Tree) -> set[str]:
    """Return the ids that pass at the base, trusted tests laid over it."""
    return _log_of(case, {**_clone(made, made.base), **trusted})[0]


def _named(case: Case, made: Made) -> set[str]:
    if made.tests is None:
        return set()
    if case.host.runner != "pytest":
        return set(case.task.failing)
    return {f"{case.task.visible.path}::{name}" for name in case.task.failing}


def _trusted_files(case: Case) -> set[str]:
    return {case.task.visible.path, *case.work.trusted}


def _clone(made: Made, commit: str) -> Tree:
    with tempfile.TemporaryDirectory() as folder:
        git(made.repo, "clone", "-q", "--no-checkout", str(made.repo), f"{folder}/clone")
        git(Path(folder, "clone"), "fetch", "-q", str(made.repo), "+refs/heads/*:refs/agent/*", "HEAD")
        git(Path(folder, "clone"), "checkout", "-q", "--force", "--detach", commit)
        return folder_tree(Path(folder, "clone"))


def _image(case: Case) -> str:
    image = image_of(case.host.image)
    if image is None:
        raise LookupError(f"the image {case.host.image} is not there: assay sandbox build {case.host.image}")
    return image
