"""Running pytest as the judge does: what is sent into the sandbox, and what its report says (S4, S6).

Defeats results that judged code writes itself: outcomes are read from lines that carry the MAC of a key which only this
run knows, and none counts unless the report is whole and agrees with how the process ended.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import posixpath
import secrets
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, get_args

from assay.policies.settings import ProjectSettings
from assay.records.evidence import FailureKind, PhaseOutcome, TestOutcome
from assay.records.sandboxes import CommandResult, Exited
from assay.records.trees import Contents, Tree
from assay.sandboxes.protocol import WORKSPACE

PLACE: Final = "/tmp/assay-judge"  # noqa: S108 - a path inside the sandbox
LAUNCHER: Final = f"{PLACE}/pytest_judge.py"
EMPTY_INI: Final = f"{PLACE}/pytest.ini"
LAST_OPTION: Final = "--maxfail=0"
"""After it come test files, and nothing else."""

PRELUDE: Final = 'mkdir -p "$HOME"; n={}; while [ $n -gt 0 ]; do (:); n=$((n-1)); done'
"""What makes surroundings from inside: the home, and processes that come and go."""

_PYTEST_ONLY: Final = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
INI_FILES: Final = (*_PYTEST_ONLY, "pyproject.toml", "tox.ini", "setup.cfg")
"""In the order in which pytest 9 looks for them."""

REFUSED: Final = "pytest refused its arguments or its configuration (exit code 4)"
"""Trouble of a run in which nothing was executed."""

_MAC_LENGTH: Final = 20


Trace = Sequence[tuple[str, Sequence[tuple[int, int, str]]]]
"""Path in the tree to ranges of lines: first, last, and the name of the part that they belong to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One execution of pytest: what is written into the sandbox, and what is started there."""

    argv: tuple[str, ...]
    cwd: str
    stdin: bytes
    files: Mapping[str, bytes]
    key: bytes = field(repr=False)
    control: str
    """Name of the test that the judge adds and that must fail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What pytest did, as far as it counts."""

    outcomes: tuple[TestOutcome, ...]
    """Of the ids that were collected, and of files that could not be."""
    trouble: str
    """Why the report does not count; empty where it does."""
    touched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Test id to the traced parts of which it executed something."""
    observed: str = ""
    """What a part of the judge observed beside the tests, a JSON object a line; empty where none was asked for."""


def prepare(
    project: ProjectSettings,
    tree: Tree,
    contents: Contents,
    *,
    modules: Sequence[str] = (),
    select: Iterable[str] | None = None,
    arguments: Sequence[str] = (),
    workspace: str = WORKSPACE,
    order: str = "",
    until: Sequence[Sequence[str]] = (),
    trace: Trace = (),
) -> Run:
    """Return what to send into a sandbox in which `tree` lies.

    Args:
        project: where the project lies and what is added to the command.
        tree: the tree that is executed; its test configuration is looked up here and not inside of the sandbox.
        contents: bytes of the tree.
        modules: test files relative to the project's root; none means what the configuration names.
        select: ids to run; None runs everything that is collected.
        arguments: added to pytest's, after the project's own.
        workspace: where the tree lies.
        order: from which another order of the tests is made; empty leaves theirs.
        until: groups of ids; the run may end early once of each group one has failed.
        trace: parts of the program of which it is reported by which test something was executed.
    """
    key = secrets.token_bytes(32)
    root = posixpath.normpath(posixpath.join(workspace, project.root))
    config = find_configuration(project, tree, contents, workspace) or EMPTY_INI
    argv = (
        *("python3", "-s", "-B", LAUNCHER, workspace, _import_path(project, workspace)),
        *("-c", config, f"--rootdir={root}", f"--confcutdir={root}"),
        *("-o", f"cache_dir={PLACE}/cache", *project.test_command),
        *("-q", "--tb=short", "--continue-on-collection-errors", *arguments, LAST_OPTION, *modules),
    )
    control = f"test_{secrets.token_hex(5)}"
    task = {
        "key": key.hex(),
        "control": control,
        "select": None if select is None else sorted(select),
        "order": order,
        "until": [sorted(ids) for ids in until],
        "trace": [(posixpath.join(workspace, path), ranges) for path, ranges in trace],
    }
    sent = {LAUNCHER: launcher_source(), EMPTY_INI: b"[pytest]\n"}
    return Run(argv=argv, cwd=root, stdin=json.dumps(task).encode(), files=sent, key=key, control=control)


def environment(project: ProjectSettings, workspace: str = WORKSPACE) -> dict[str, str]:
    """Return the variables that a run of tests has. `PYTHONPATH` is set only once the judge's own part is loaded."""
    return {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": _import_path(project, workspace),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _import_path(project: ProjectSettings, workspace: str) -> str:
    root = posixpath.normpath(posixpath.join(workspace, project.root))
    return ":".join(dict.fromkeys(posixpath.normpath(posixpath.join(root, part)) for part in project.source_roots))


def launcher_source() -> bytes:
    """Return the text of the program that runs pytest inside the sandbox."""
    return (files("assay.evidence.judge_side") / "pytest_judge.py").read_bytes()


def find_configuration(
    project: ProjectSettings, tree: Tree, contents: Contents, workspace: str = WORKSPACE
) -> str | None:
    """Return the path in the sandbox of the file that configures pytest in `tree`; None where no file does."""
    for name in INI_FILES:
        path = posixpath.normpath(posixpath.join(project.root, name))
        file = tree.get(path)
        if file is not None and _configures_pytest(name, contents.read(file.oid)):
            return posixpath.join(workspace, path)
    return None


def _configures_pytest(name: str, data: bytes) -> bool:
    if name in _PYTEST_ONLY:
        return True
    text = data.decode(errors="replace")
    if name == "pyproject.toml":
        try:
            return "pytest" in tomllib.loads(text).get("tool", {})
        except (ValueError, AttributeError, RecursionError):
            return False
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except ConfigParserError:
        return False
    return parser.has_section("pytest" if name == "tox.ini" else "tool:pytest")


def read_report(result: CommandResult, run: Run) -> Report:
    """Return what the report of a run says.

    Args:
        result: how the command ended; no process of it is alive any more.
        run: what was started.

    A file that could not be collected has an outcome of its own, under its path.
    """
    lines, trouble = _authentic_lines(result.report.data if not result.report.cut else b"", run.key)
    if result.report.cut:
        trouble = "the report was longer than what is kept"
    outcomes = _outcomes(lines)
    trouble = trouble or _disagreement(lines, result, outcomes) or _uncontrolled(outcomes, run.control)
    own = tuple(o for o in outcomes if not o.id.endswith(f"::{run.control}"))
    touched = {i: tuple(parts) for line in lines if line["kind"] == "touched" for i, parts in line["tests"].items()}
    observed = "\n".join(json.dumps(line) for line in lines if line["kind"] == "observed")
    return Report(outcomes=own, trouble=trouble, touched=touched, observed=observed)


def _uncontrolled(outcomes: Sequence[TestOutcome], control: str) -> str:
    """Return why results cannot be believed: the test that must fail was not there, or did not; empty where it did."""
    tests = [o for o in outcomes if "::" in o.id]
    found = [o for o in tests if o.id.endswith(f"::{control}")]
    if tests and [o.reports for o in found] != [1]:
        return "the test that the judge added was not run once"
    if any(o.passed for o in found):
        return "a test that must fail passed in this run, so nothing that passed in it shows anything"
    return ""


def _authentic_lines(data: bytes, key: bytes) -> tuple[list[dict[str, Any]], str]:
    lines: list[dict[str, Any]] = []
    raw = data.split(b"\n")
    if raw.pop():
        return [], "the report ends in the middle of a line"
    for number, line in enumerate(raw):
        head, _, rest = line.partition(b" ")
        mac, _, body = rest.partition(b" ")
        right = hashlib.blake2b(head + b" " + body, key=key, digest_size=_MAC_LENGTH).hexdigest().encode()
        if head != str(number).encode() or not hmac.compare_digest(mac, right):
            return [], f"line {number + 1} of the report was not written by the judge"
        lines.append(json.loads(body))
    return lines, ""


def _outcomes(lines: Sequence[dict[str, Any]]) -> tuple[TestOutcome, ...]:
    collected = Counter(i for line in lines if line["kind"] == "collected" for i in line["ids"])
    phases: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line["kind"] == "phase":
            phases.setdefault(line["id"], []).append(line)
    made = {i: _outcome(i, phases.get(i, []), collected[i]) for i in dict.fromkeys([*collected, *phases])}
    for line in lines:
        if line["kind"] == "uncollected":
            made[line["id"]] = TestOutcome(
                id=line["id"] or "(collection)",
                reports=0,
                setup="error",
                failure="import",
                message=line["message"],
                raised_in=line["raised_in"],
            )
    return tuple(made.values())


def _outcome(test: str, phases: Sequence[dict[str, Any]], collected: int) -> TestOutcome:
    by_phase: dict[str, list[dict[str, Any]]] = {"setup": [], "call": [], "teardown": []}
    for phase in phases:
        if phase["when"] in by_phase and not (phase["sub"] and phase["outcome"] != "failed"):
            by_phase[phase["when"]].append(phase)
    ends = {when: _phase_outcome(reports) for when, reports in by_phase.items()}
    failing = next((p for p in phases if p["outcome"] == "failed" or p["seen"] == "failed"), None)
    telling = failing or next((p for p in phases if p["message"]), None)
    kind = failing["failure"] if failing else "none"
    return TestOutcome(
        id=test,
        reports=max(collected, sum(1 for p in by_phase["setup"] if not p["sub"])),
        setup=ends["setup"],
        call=ends["call"],
        teardown=ends["teardown"],
        failure=kind if kind in get_args(FailureKind) and kind != "none" else ("error" if failing else "none"),
        message=telling["message"] if telling else "",
        raised_in=telling["raised_in"] if telling else "",
        seconds=sum(p["seconds"] for p in phases),
    )


def _phase_outcome(reports: Sequence[dict[str, Any]]) -> PhaseOutcome | None:
    """Return a phase's outcome: passed only where one report says so and the judge saw the same."""
    if not reports:
        return None
    if any(r["sub"] for r in reports):
        return "failed"
    if len(reports) > 1:
        return "error"
    report = reports[0]
    match (report["outcome"], report["seen"], report["xfail"]):
        case ("passed", "passed", False):
            return "passed"
        case ("passed", "passed", True):
            return "xpassed"
        case ("skipped", _, True):
            return "xfailed"
        case ("skipped", "skipped", False):
            return "skipped"
        case ("failed", _, _):
            return "failed"
        case _:
            return "error"  # pytest says one thing, and the judge saw another


def _disagreement(lines: Sequence[dict[str, Any]], result: CommandResult, outcomes: Sequence[TestOutcome]) -> str:
    """Return how the report disagrees with the way in which the process ended; empty where it does not."""
    if not lines:
        return "the judge reported nothing: pytest could not be started"
    last = lines[-1]
    if last["kind"] != "end":
        return "the report has no end: the process ended before pytest did"
    if result.ending != Exited(code=last["status"]):
        return f"pytest ended with {last['status']}, and its process with {result.ending.model_dump_json()}"
    bad = any("failed" in (o.setup, o.call, o.teardown) or "error" in (o.setup, o.call, o.teardown) for o in outcomes)
    match (last["status"], bool(outcomes), bad):
        case (0, True, False) | (1, True, True) | (5, False, False):
            return ""
        case (4, _, _):
            return REFUSED
        case (status, _, _):
            return f"pytest's exit code {status} does not fit its outcomes"
