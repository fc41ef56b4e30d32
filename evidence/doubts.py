"""A reviewer's doubt, executed: confirmed only by a check that fails at the head, each time, in fresh sandboxes."""

from __future__ import annotations

from typing import Literal

from assay.evidence.environment import canary_fault
from assay.evidence.expectations import Reading, Standing, describe_ending
from assay.evidence.facts import Book, Subject
from assay.evidence.protocol import DoubtResult
from assay.evidence.refutation import check_failed, could_not_start

Outcome = Literal["confirmed", "dispelled", "inconclusive"]


def judge_doubt(book: Book, check: str) -> DoubtResult:
    """Return what the executions of a doubt's check showed.

    Args:
        book: the canary, and the check at head and base.
        check: its id.
    """
    head = book.all(Subject.CHECK, "head", check=check)
    base = book.all(Subject.CHECK, "base", check=check)
    evidence = book.evidence_of(Subject.CANARY, Subject.CHECK)
    seconds = book.seconds_of(evidence)
    got = "\n".join(["at the head: " + _shown(head), *(["at the base: " + _shown(base)] if base else [])])

    def result(outcome: Outcome, reason: str) -> DoubtResult:
        return DoubtResult(outcome=outcome, reason=reason, got=got, evidence=evidence, seconds=seconds)

    if fault := canary_fault(book):
        return result("inconclusive", fault)
    held = [_holds(r) for r in head]
    failed = [check_failed(r, base) for r in head]
    if held and all(held):
        return result("dispelled", "the check holds at the head")
    if any(could_not_start(r) for r in head):
        return result("inconclusive", "the check could not be run: " + _shown(head))
    if len(head) >= book.facts.replicates and all(failed):
        also = ", and at the base as well" if base and not _holds(base[0]) else ""
        return result("confirmed", f"the check failed at the head in {len(head)} of {len(head)} fresh sandboxes{also}")
    if any(r.evidence.ending is None for r in head):
        return result("inconclusive", "a sandbox was lost while the check ran")
    return result("inconclusive", f"the check failed in {sum(failed)} of {len(head)} fresh sandboxes")


def _holds(reading: Reading) -> bool:
    return all(reading.stand(i) is Standing.PASSED for i in reading.evidence.expected)


def _shown(readings: tuple[Reading, ...]) -> str:
    for reading in readings:
        for test in reading.evidence.expected:
            if reading.stand(test) is not Standing.PASSED:
                return reading.got(test)
    return describe_ending(readings[0].evidence) if readings else "it was not run"
