"""Running tests by a command that writes JUnit XML, whatever it is, and what its files say (S4, S6).

Defeats less than the judge of pytest does: the processes that are judged write the report themselves, so that a green
of theirs is evidence of level C at best, and no test of the judge's own runs beside them. What holds here, too: it is
read only after the whole process tree is dead, it has to fit the way in which the command ended, each id counts once,
and files of the tree that lie where a report is expected are taken away before.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from assay.evidence.junit_xml import XmlCase, read_cases
from assay.evidence.runner_pytest import Report
from assay.policies.paths import matching
from assay.policies.settings import ProjectSettings
from assay.records.evidence import FailureKind, TestOutcome
from assay.records.sandboxes import CommandResult, Exited
from assay.records.trees import Tree
from assay.sandboxes.protocol import WORKSPACE, Sandbox

MOST_BYTES: Final = 16_000_000
"""Of all reports of a run together."""
MESSAGE: Final = 2000
"""Characters that are kept of what a test said."""
ASSERTED: Final = re.compile(r"\bAssertionError\b|ERR_ASSERTION|\bmatcherResult\b")
ABSENT: Final = re.compile(
    r"ModuleNotFoundError|ImportError|NameError|AttributeError|SyntaxError|ReferenceError|MODULE_NOT_FOUND"
    r"|Cannot find module|does not provide an export|is not a (?:function|constructor)|NoClassDefFoundError"
    r"|ClassNotFoundException|NoSuchMethod|collection failure"
)
"""What runners of several languages say where something is not there."""
_MOST_FILES: Final = 2000
_BEGINNING: Final = 120
"""Characters of a message in which the type of an error stands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class XmlRun:
    """One execution of a suite: what is written into the sandbox, and what is started there."""

    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    control: str = ""
    """File of the test that the judge adds and that must fail; empty where the runner takes none."""


def without_reports(project: ProjectSettings, tree: Tree) -> Tree:
    """Return a tree without the files that lie where the runner's report is expected."""
    if project.runner != "junit" or project.report.startswith("/"):
        return tree
    root = root_of(project)
    return {p: f for p, f in tree.items() if not is_report(project, inside(p, root))}


def prepare_command(project: ProjectSettings) -> XmlRun:
    """Return the project's own command, with nothing added to it."""
    roots = [posixpath.normpath(posixpath.join(place_of(project), part)) for part in project.source_roots]
    environment = {"PYTHONPATH": ":".join(dict.fromkeys(roots)), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    return XmlRun(argv=project.test_command, cwd=place_of(project), environment=environment)


async def collect(sandbox: Sandbox, project: ProjectSettings) -> tuple[tuple[str, bytes], ...]:
    """Return path and content of the reports, after everything that could write them is dead."""
    place = posixpath.dirname(project.report) if project.report.startswith("/") else place_of(project)
    listed = await sandbox.run(("find", place, "-type", "f", "-print0"), output_limit=MOST_BYTES)
    paths = sorted(p for p in listed.stdout.data.decode(errors="surrogateescape").split("\0") if p)
    found = [p for p in paths if is_report(project, p if project.report.startswith("/") else p[len(place) + 1 :])]
    kept: list[tuple[str, bytes]] = []
    left = MOST_BYTES
    for path in found[:_MOST_FILES]:
        try:
            data = await sandbox.read(path, limit=left)
        except ValueError:
            data = b""  # longer than everything that is kept: it cannot be read, and says so
        left -= len(data)
        kept.append((path, data))
    return tuple(kept)


def read_xml(reports: Sequence[tuple[str, bytes]], result: CommandResult, known: frozenset[str]) -> Report:
    """Return what the XML files of a command say.

    Args:
        reports: path and content of each.
        result: how the command ended; no process of it is alive any more.
        known: files of the project, by which classes are found.
    """
    if not isinstance(result.ending, Exited):
        return Report(outcomes=(), trouble="")
    if not reports:
        said = (result.stderr.text.strip() or result.stdout.text.strip())[-MESSAGE:]
        return Report(outcomes=(), trouble=f"the command ended with {result.ending.code} and wrote no report: {said}")
    homes = _Homes(known)
    made: dict[str, list[TestOutcome]] = {}
    for path, data in reports:
        try:
            cases = read_cases(data)
        except ValueError as error:
            return Report(outcomes=(), trouble=f"the report {path} cannot be read: {error}")
        for case in cases:
            outcome = outcome_of(homes.name(case), case)
            if "::" not in outcome.id:  # a file that could not be loaded, as pytest reports it
                outcome = outcome.model_copy(update={"reports": 0, "failure": "import"})
            made.setdefault(outcome.id, []).append(outcome)
    outcomes = tuple(merged(found) for found in made.values())
    bad = any("failed" in (o.setup, o.call) or "error" in (o.setup, o.call) for o in outcomes)
    if result.ending.code != 0 and not bad:
        trouble = f"the command ended with {result.ending.code}, and its report has no failure"
        return Report(outcomes=outcomes, trouble=trouble)
    return Report(outcomes=outcomes, trouble="")


class _Homes:
    """Which file of the project a class belongs to, by the file's stem and its folders."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._by_stem: dict[str, list[str]] = {}
        for path in known:
            self._by_stem.setdefault(posixpath.basename(path).split(".", 1)[0], []).append(path)

    def name(self, case: XmlCase) -> str:
        """Return the id of a case: `file::class::name` where its file is known, `class::name` where it is not."""
        named = posixpath.normpath(case.file.removeprefix("./")) if case.file else ""
        path = named.removeprefix(WORKSPACE + "/")
        file, rest = self._find(case.classname)
        if path in self._known and file != path:
            file, rest = path, case.classname
        if file:
            return "::".join(part for part in (file, rest, case.name) if part)
        if not case.classname and case.result == "error" and (home := self._find(case.name))[0]:
            return home[0]
        return "::".join(part for part in (case.classname or "::".join(case.suites) or "(no class)", case.name) if part)

    def _find(self, dotted: str) -> tuple[str, str]:
        """Return the one file that a dotted name begins with, and the rest of the name."""
        parts = re.split(r"[./]", dotted)
        for end in range(len(parts), 0, -1):
            tail = "/".join(parts[:end])
            fits = [p for p in self._by_stem.get(parts[end - 1], ()) if f"/{_without_suffix(p)}".endswith(f"/{tail}")]
            if len(fits) == 1:
                return fits[0], ".".join(parts[end:])
        return "", ""


def _without_suffix(path: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, name.split(".", 1)[0])


def outcome_of(test: str, case: XmlCase, kind: FailureKind | None = None, raised_in: str = "") -> TestOutcome:
    """Return what a case of a report says of an id."""
    said = "\n".join(part for part in (case.message, case.text.strip()) if part)[:MESSAGE]
    match case.result:
        case "passed":
            return TestOutcome(id=test, setup="passed", call="passed", teardown="passed", seconds=case.seconds)
        case "skipped":
            return TestOutcome(id=test, setup="skipped", message=said, seconds=case.seconds)
        case _:
            return TestOutcome(
                id=test,
                setup="error" if case.result == "error" else "passed",
                call=None if case.result == "error" else "failed",
                teardown="passed",
                failure=kind or _kind(case),
                message=said,
                raised_in=raised_in,
                seconds=case.seconds,
            )


def _kind(case: XmlCase) -> FailureKind:
    """Return by what a case failed: the element says it, and type or message where something is not there."""
    if ABSENT.search(case.message[:_BEGINNING]) and not ASSERTED.search(case.message[:_BEGINNING]):
        return "import"
    return "assertion" if case.result == "failure" else "error"


def merged(found: Sequence[TestOutcome]) -> TestOutcome:
    """Return the outcome of an id that was reported once or more often: the worst of them, and how often."""
    worst = next((o for o in found if not o.passed), found[0])
    return worst if len(found) == 1 else worst.model_copy(update={"reports": len(found)})


def file_of(outcome: TestOutcome) -> str:
    """Return the file that an outcome's id names."""
    return outcome.id.split("::", 1)[0]


def root_of(project: ProjectSettings) -> str:
    """Return the project's root in the tree."""
    return posixpath.normpath(project.root)


def place_of(project: ProjectSettings) -> str:
    """Return the project's root in the sandbox."""
    return posixpath.normpath(posixpath.join(WORKSPACE, project.root))


def inside(path: str, root: str) -> str:
    """Return a path relative to the project's root; empty where it lies elsewhere."""
    if root == ".":
        return path
    return path.removeprefix(root + "/") if path.startswith(root + "/") else ""


def is_report(project: ProjectSettings, path: str) -> bool:
    """Return whether a path is one that the project's command writes its report to."""
    return bool(path) and matching((project.report,), path) is not None
