"""The steps of the protocol that are executed, as they went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from assay.evidence.dependencies import dependency_step
from assay.evidence.environment import canary_fault
from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.grounds import counting_ids
from assay.evidence.held_out import Weight, weigh
from assay.evidence.jitter import jitter_step
from assay.evidence.matrix import baseline_trouble, broken_ids, brought_ids, needed_ids
from assay.evidence.meters import meter_step
from assay.evidence.outside import outside_step
from assay.evidence.probe_findings import probe_step
from assay.evidence.refutation import EARLY, TESTS, early_confirmations, early_suspects, suspects
from assay.evidence.strength import strength_step
from assay.evidence.twin_runs import twin_step
from assay.records.verdicts import Step

_Outcome = Literal["passed", "failed", "flagged", "inconclusive", "not_run"]


def executed_steps(book: Book) -> tuple[Step, ...]:
    """Return S4 to S15 in order; nothing where nothing was executed."""
    if not book.facts.trials:
        return ()
    makers: tuple[Callable[[Book], Step | None], ...] = (
        _sealed,
        _overlay,
        _exact,
        _matrix,
        _controls,
        twin_step,
        outside_step,
        _held_out,
        probe_step,
        jitter_step,
        strength_step,
        dependency_step,
        meter_step,
    )
    return tuple(step for make in makers if (step := make(book)) is not None)


def _step(
    book: Book, number: str, title: str, outcome: _Outcome, reasons: tuple[str, ...], places: tuple[Subject, ...]
) -> Step:
    evidence = book.evidence_of(*places)
    return Step(
        id=number, title=title, outcome=outcome, reasons=reasons, evidence=evidence, seconds=book.seconds_of(evidence)
    )


def _sealed(book: Book) -> Step:
    fault = canary_fault(book)
    reasons = (fault,) if fault else ("a test that must pass passed, and one that must fail failed",)
    outcome: _Outcome = "inconclusive" if fault else "passed"
    return _step(book, "S4", "Sealed environment", outcome, reasons, (Subject.CANARY,))


def _overlay(book: Book) -> Step:
    facts = book.facts
    reasons = ["tests, golden files and test configuration come from the base"]
    if facts.case.trusted.visible or facts.case.trusted.held_out:
        reasons.append("over them lie the tests of the trusted side")
    if facts.judge_side_changed:
        reasons.append("the change's own versions enter only its own suite: " + _some(facts.judge_side_changed))
    if facts.replaced:
        reasons.append(f"the trusted side put others in the place of {len(facts.replaced)} of them")
    return Step(id="S5", title="Trusted overlay", outcome="passed", reasons=tuple(reasons))


def _exact(book: Book) -> Step:
    reasons: list[str] = []
    failed = False
    for subject in TESTS:
        head = book.first(subject, "head")
        if head is None:
            continue
        bad = suspects(book, subject)
        failed = failed or bool(bad)
        ids = needed_ids(book) if subject is Subject.REGRESSION else head.ids
        reasons.append(f"{subject.value}: {len(ids)} ids, {len(bad)} of them not passed")
    if near := book.first(Subject.REGRESSION, EARLY[0]):
        ids, bad = near.evidence.expected, early_suspects(book)
        failed = failed or any(early_confirmations(book, i) for i in bad)
        reasons.append(f"{Subject.REGRESSION.value}, nearest to the change: {len(ids)} ids, {len(bad)} not passed")
    if reasons and book.facts.project.runner != "pytest":
        reasons.append("the report was written by the processes that are judged, and read after they were dead")
    if reasons and book.facts.project.runner == "junit":
        reasons.append("no test that must fail ran beside the others: this runner takes none")
    outcome: _Outcome = "failed" if failed else "passed" if reasons else "not_run"
    return _step(book, "S6", "Exact ids", outcome, tuple(reasons), ())


def _matrix(book: Book) -> Step:
    trouble = baseline_trouble(book)
    broken = broken_ids(book)
    reasons = [trouble] if trouble else [f"{len(needed_ids(book))} ids pass at the base each time"]
    if book.first(Subject.REGRESSION, "head") is None:  # nothing but the tests nearest to the change was asked for
        broken = early_suspects(book)
    if broken:
        reasons.append(f"{len(broken)} of them do not pass with the change: " + _some(tuple(broken)))
    if book.facts.judge_side_changed:
        counting = counting_ids(book)
        reasons.append(f"{len(brought_ids(book))} ids are the change's own; {len(counting)} fail without the change")
    outcome: _Outcome = "inconclusive" if trouble else "failed" if broken else "passed"
    return _step(
        book, "S7", "Matrix of source and tests", outcome, tuple(reasons), (Subject.REGRESSION, Subject.BROUGHT)
    )


def _controls(book: Book) -> Step | None:
    nulls: tuple[Variant, ...] = ("null-raise", "null-return")
    runs = [r for s in TESTS for v in nulls for r in book.all(s, v)]
    if not runs:
        return None
    reasons = (
        "tests that fail at the base only because something is not there were run with functions that do nothing",
    )
    evidence = tuple(r.evidence.id for r in runs)
    return Step(
        id="S8",
        title="Controls (null implementations)",
        outcome="passed",
        reasons=reasons,
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _held_out(book: Book) -> Step | None:
    stated = book.facts.case.trusted.stated
    if not stated:
        return None
    weights = [weigh(book, s) for s in stated]
    hidden = sum(1 for s in stated if s.held_out)
    proving = weights.count(Weight.PROVES)
    reasons = (
        f"{len(stated)} trusted tests, {hidden} of them held out: {proving} fail without the work and pass with it",
    )
    outcome: _Outcome = "passed" if proving == len(stated) else "failed" if Weight.FAILS in weights else "inconclusive"
    return _step(
        book, "S10", "Held-out and visible trusted tests", outcome, reasons, (Subject.VISIBLE, Subject.HELD_OUT)
    )


def _some(names: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
