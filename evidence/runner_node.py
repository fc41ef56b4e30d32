"""Running `node --test` as the judge does, and what its JUnit XML says (S4, S6).

Each test file is run by itself, so that the file is a part of each id. Beside them runs a test of the judge's own,
under a name that nobody knows before, and it has to fail. The processes that are judged write the report all the same:
a green of theirs is evidence of level C at best.
"""

from __future__ import annotations

import json
import posixpath
import re
import secrets
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from assay.evidence.junit_xml import XmlCase, read_cases
from assay.evidence.runner_junit import ABSENT, ASSERTED, MESSAGE, XmlRun, file_of, merged, outcome_of, place_of
from assay.evidence.runner_pytest import PLACE, Report
from assay.policies.inference import split_arguments
from assay.policies.paths import matching
from assay.policies.settings import ProjectSettings
from assay.records.evidence import FailureKind, TestOutcome
from assay.records.sandboxes import CommandResult, Exited
from assay.sandboxes.protocol import WORKSPACE

NODE_LAUNCHER: Final = f"{PLACE}/node_judge.mjs"
WHOLE_FILE: Final = "(the file)"
"""Name of the test that a file is which declares none: it passes where its process does."""

_NODE_NAMES: Final = re.compile(r"(?:.*[._-])?test\.(?:[cm]?js|[cm]?ts)|test-.*\.[cm]?js")
_NODE_FILES: Final = re.compile(r".*\.[cm]?js")
"""What Node itself takes for tests by name, and, in folders named `test`, by suffix."""
_SCRIPTS: Final = re.compile(r".*\.[cm]?[jt]s")
"""What a command may name: TypeScript runs where an option loads what understands it."""
_FRAME: Final = re.compile(rf"{WORKSPACE}/([^\s:()]+):\d+")


def is_node_test(path: str) -> bool:
    """Return whether Node takes a file for a test by its path."""
    folders, name = posixpath.split(path)
    if "node_modules" in folders.split("/"):
        return False
    in_test = "test" in folders.split("/") and _NODE_FILES.fullmatch(name) is not None
    return in_test or _NODE_NAMES.fullmatch(name) is not None


def prepare_node(project: ProjectSettings, known: frozenset[str], modules: Sequence[str]) -> XmlRun:
    """Return what is sent into a sandbox and started there."""
    options, chosen = split_arguments(word for word in project.test_command if word != "--test")
    named = sorted(p for p in known if _SCRIPTS.fullmatch(p) and matching(chosen, p))
    tests = [p for p in (named if chosen else sorted(filter(is_node_test, known))) if not modules or p in modules]
    tests += [p for p in modules if p in known and p not in tests and is_node_test(p)]
    sent = {NODE_LAUNCHER: node_launcher()}
    control = ""
    if tests:
        control = posixpath.join(posixpath.dirname(tests[-1]), f"control-{secrets.token_hex(5)}.test.mjs")
        sent[posixpath.join(place_of(project), control)] = _CONTROL_TEST
        tests.append(control)
    return XmlRun(
        argv=("node", NODE_LAUNCHER, *options, "--", *tests),
        cwd=place_of(project),
        environment={"NO_COLOR": "1", "FORCE_COLOR": "0"},
        files=sent,
        control=control,
    )


_CONTROL_TEST: Final = b"""\
import assert from "node:assert";
import test from "node:test";
test("the judge's own, which must fail", () => assert.strictEqual(1 + 1, 3));
"""


def node_launcher() -> bytes:
    """Return the text of the program that runs Node's tests inside the sandbox."""
    return (files("assay.evidence.judge_side") / "node_judge.mjs").read_bytes()


def read_node(result: CommandResult, run: XmlRun) -> Report:
    """Return what Node's reports say, file by file; no process of the run is alive any more."""
    if result.report.cut:
        return Report(outcomes=(), trouble="the report was longer than what is kept")
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in result.report.data.splitlines()]
    except ValueError:
        return Report(outcomes=(), trouble="the report is no list of JSON lines")
    if not isinstance(result.ending, Exited):
        return Report(outcomes=(), trouble="")  # how it ended says why nothing counts
    if not lines or "end" not in lines[-1]:
        said = (result.stderr.text or result.stdout.text).strip()[-MESSAGE:]
        return Report(outcomes=(), trouble=f"Node could not be started, or was ended before its tests: {said}")
    made: dict[str, list[TestOutcome]] = {}
    for line in lines[:-1]:
        try:
            outcomes = _node_file(line)
        except (ValueError, KeyError, TypeError) as error:
            return Report(outcomes=(), trouble=f"the report of {line.get('file')} does not count: {error}")
        for outcome in outcomes:
            made.setdefault(outcome.id, []).append(outcome)
    outcomes = tuple(merged(found) for found in made.values())
    trouble = _uncontrolled(outcomes, run.control)
    return Report(outcomes=tuple(o for o in outcomes if file_of(o) != run.control), trouble=trouble)


def _uncontrolled(outcomes: Sequence[TestOutcome], control: str) -> str:
    found = [o for o in outcomes if file_of(o) == control]
    if control and [o.reports for o in found] != [1]:
        return "the test that the judge added was not run once"
    if any(o.passed for o in found):
        return "a test that must fail passed in this run, so nothing that passed in it shows anything"
    return ""


def _node_file(line: dict[str, Any]) -> tuple[TestOutcome, ...]:
    file, status = str(line["file"]), line["status"]
    if line["xml"] is None:
        raise ValueError(f"its runner wrote none ({line['signal'] or status})")
    cases = read_cases(str(line["xml"]).encode())
    own = [c for c in cases if not c.suites and (c.name == file or c.name.endswith("/" + file))]
    tests = [c for c in cases if c not in own]
    bad = [c for c in cases if c.result in ("failure", "error")]
    if (status == 0) == bool(bad):
        raise ValueError(f"its runner ended with {status}, which does not fit {len(bad)} failures")
    outcomes = [_outcome("::".join((file, *c.suites, c.name)), c) for c in tests]
    crashed = [c for c in own if c.result in ("failure", "error")]
    if not crashed:
        return tuple(outcomes) if tests else tuple(_outcome(f"{file}::{WHOLE_FILE}", c) for c in own)
    if tests:  # its process failed after some of them: none of its results counts
        said = {"teardown": "error", "failure": "error", "message": f"the process of {file} failed: {crashed[0].text}"}
        return tuple(o.model_copy(update={**said, "message": said["message"][:MESSAGE]}) for o in outcomes)
    log = str(line["log"])
    alone = XmlCase(name=WHOLE_FILE, classname="", file=file, suites=(), seconds=own[0].seconds, result="failure")
    alone.message, alone.text = "", log
    return (
        TestOutcome(id=file, reports=0, setup="error", failure="import", message=log.strip()[-MESSAGE:]),
        _outcome(f"{file}::{WHOLE_FILE}", alone),
    )


def _outcome(test: str, case: XmlCase) -> TestOutcome:
    return outcome_of(test, case, _kind_in_node(case), _raised_in(case))


def _kind_in_node(case: XmlCase) -> FailureKind:
    """Return by what a test of Node failed: the element is the same for all, and the error behind it is in the text."""
    cause = _cause(case).lstrip()
    said = cause.split("\n", 1)[0] if cause else case.text
    if ASSERTED.search(said):
        return "assertion"
    return "import" if ABSENT.search(said) else "error"


def _cause(case: XmlCase) -> str:
    return case.text.partition("cause:")[2]


def _raised_in(case: XmlCase) -> str:
    found = _FRAME.search(_cause(case) or case.text)
    return found[1] if found is not None else ""
