"""Checks that are commands: what one showed, by exit code, text or metric."""

from __future__ import annotations

import re
from typing import Final

from assay.records.checks import Check, ExpectExit, ExpectMetric, ExpectTests
from assay.records.evidence import TestOutcome
from assay.records.sandboxes import CommandResult, Exited

_NOT_STARTED: Final = frozenset({126, 127})
"""Exit codes by which shells, and the sandbox, say that a program could not be started or was not found."""
_NUMBER: Final = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_MESSAGE: Final = 2000
_OUTPUT_LIMIT: Final = 20_000
"""Characters of output that evidence keeps."""


def read_command(check: Check, result: CommandResult) -> TestOutcome:
    """Return what a command showed as the outcome of one test whose id is the check's.

    `setup` is `error` where it could not be started, or gave nothing that could be read: it then shows nothing.
    """
    if isinstance(result.ending, Exited) and result.ending.code in _NOT_STARTED and not _expects_code(check, result):
        said = (result.stderr.text + result.stdout.text).strip()[-_MESSAGE:]
        return TestOutcome(id=check.id, setup="error", failure="error", message=f"it could not be started: {said}")
    trouble = _trouble(check, result)
    if trouble is None:
        return TestOutcome(
            id=check.id,
            setup="error",
            failure="error",
            message="its output holds no line with the metric",
            seconds=result.seconds,
        )
    return TestOutcome(
        id=check.id,
        setup="passed",
        call="failed" if trouble else "passed",
        teardown="passed",
        failure="assertion" if trouble else "none",
        message=trouble,
        seconds=result.seconds,
    )


def _expects_code(check: Check, result: CommandResult) -> bool:
    expect = check.expect
    return isinstance(expect, ExpectExit) and result.ending == Exited(code=expect.code)


def _trouble(check: Check, result: CommandResult) -> str | None:
    """Return how a command fell short; empty where it did not, None where that cannot be told."""
    match check.expect:
        case ExpectExit(code=code, prints=prints):
            if result.ending != Exited(code=code):
                return f"expected exit code {code}; {_shown(result)}"
            if prints is not None and prints not in result.stdout.text:
                return f"expected output with {prints!r}; {_shown(result)}"
            return ""
        case ExpectMetric() as metric:
            found = re.findall(
                rf"^[^\S\n]*{re.escape(metric.name)}\s*=\s*({_NUMBER})\s*$", result.stdout.text, re.MULTILINE
            )
            if result.ending != Exited(code=0):
                return f"expected exit code 0; {_shown(result)}"
            return _outside(metric, float(found[-1])) if found else None
        case ExpectTests():
            return None  # such a check is executed as tests


def _outside(metric: ExpectMetric, value: float) -> str:
    if metric.at_least is not None and not value >= metric.at_least:
        return f"{metric.name}={value:g} is less than {metric.at_least:g}"
    if metric.at_most is not None and not value <= metric.at_most:
        return f"{metric.name}={value:g} is more than {metric.at_most:g}"
    return ""


def _shown(result: CommandResult) -> str:
    ending = f"exit code {result.ending.code}" if isinstance(result.ending, Exited) else result.ending.type
    said = (result.stderr.text.strip() or result.stdout.text.strip())[-_MESSAGE:]
    return f"got {ending}" + (f": {said}" if said else "")


def bounded(text: str, limit: int = _OUTPUT_LIMIT) -> str:
    """Return a text with its middle left out where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
