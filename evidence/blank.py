"""The blank: trusted tests, run where the work is not done. One that does not fail there shows nothing later (S10).

Defeats tests that pass whatever the code does, and tests that fail for a reason of their own: a typing error in an
import fails as surely as a missing feature.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from assay.evidence.environment import canary_fault
from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, Subject
from assay.evidence.held_out import ids_of, subject_of
from assay.evidence.matrix import AtBase, fail_at_base
from assay.evidence.protocol import BlankResult
from assay.records.results import StatedTest
from assay.records.sandboxes import TimedOut

_QUOTED: Final = re.compile(r"'([^'\n]{1,100})'|(\w+)\(\)")
_CANNOT_IMPORT: Final = re.compile(r"cannot import name '[^']+' from '([^']+)'")
_NO_ATTRIBUTE: Final = re.compile(r"module '([^']+)' has no attribute")
_NO_MODULE: Final = re.compile(r"No module named '([^']+)\.[^'.]+'")


def judge_blank(book: Book, modules: frozenset[str]) -> BlankResult:
    """Return whether every stated test fails at the base for a reason that counts.

    Args:
        book: the canary, and the trusted tests at the base.
        modules: dotted names of the base's own modules: what such a module does not have yet, a unit can add.
    """
    stated = book.facts.case.trusted.stated
    evidence = book.evidence_of(Subject.CANARY, Subject.VISIBLE, Subject.HELD_OUT)
    found = [_judge_one(book, s, modules) for s in stated] or [("failed", "no test is stated")]
    if fault := canary_fault(book):
        found = [("inconclusive", fault)]
    statuses = [status for status, _ in found]
    status: Literal["passed", "failed", "inconclusive"] = "passed"
    if "failed" in statuses:
        status = "failed"
    elif "inconclusive" in statuses:
        status = "inconclusive"
    reasons = tuple(dict.fromkeys(reason for state, reason in found if reason and state in (status, "passed")))
    return BlankResult(status=status, reasons=reasons, evidence=evidence, seconds=book.seconds_of(evidence))


_Found = tuple[Literal["passed", "failed", "inconclusive"], str]


def _judge_one(book: Book, stated: StatedTest, modules: frozenset[str]) -> _Found:
    reading = book.first(subject_of(stated), "base")
    if reading is None:
        return "failed", f"{stated.id} is not collected: its file is not among the tests"
    if not reading.whole:
        return _broken(reading, stated)
    found = [_judge_id(book, reading, stated, i, modules) for i in ids_of(book, stated)]
    worst = next((f for f in found if f[0] == "failed" and not f[1].endswith(_PASSES)), None)
    return worst or next((f for f in found if f[0] == "passed"), found[0])


_PASSES: Final = "passes at the base"


def _broken(reading: Reading, stated: StatedTest) -> _Found:
    started = isinstance(reading.evidence.ending, TimedOut) or "has no end" in reading.evidence.trouble
    outcome: Literal["failed", "inconclusive"] = "failed" if started else "inconclusive"
    return outcome, f"{stated.id} could not be run at the base: {reading.got(stated.id)}"


def _judge_id(book: Book, reading: Reading, stated: StatedTest, test: str, modules: frozenset[str]) -> _Found:
    standing = reading.stand(test)
    at_base = fail_at_base(reading, test, book.facts.test_files)
    match at_base:
        case AtBase.COUNTS:
            return "passed", ""
        case AtBase.PASSES:
            return "failed", f"{test} {_PASSES}"
        case AtBase.UNKNOWN:
            how = "is not collected" if standing is Standing.MISSING else standing.value
            return "failed", f"{test} {how}"
        case AtBase.ABSENT:
            return _judge_absent(test, reading.got(test), stated.fails_because, modules)


def _judge_absent(test: str, message: str, because: str, modules: frozenset[str]) -> _Found:
    """Accept what is not there yet: missing from a module of the project's own, or named in the stated reason."""
    owners = [m[1] for p in (_CANNOT_IMPORT, _NO_ATTRIBUTE, _NO_MODULE) if (m := p.search(message))]
    names = {part for quoted in _QUOTED.findall(message) for part in re.findall(r"\w+", quoted[0] or quoted[1])}
    said = set(re.findall(r"\w+", because))
    if any(owner in modules for owner in owners) or (names - _COMMON) & said:
        return "passed", f"{test} fails because something is not there; it must fail code that does nothing: {message}"
    return "failed", f"{test} is vacuous: {message}"


_COMMON: Final = frozenset({"module", "object", "type", "str", "int", "list", "dict", "NoneType", "function", "name"})
