"""Which failures are suspected, and which of them reproduced in fresh sandboxes.

Defeats blame on accidents: only what fails again each time, while the base does what it always did, refutes a claim.
"""

from __future__ import annotations

from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.held_out import failing_stated
from assay.evidence.matrix import (
    WHOLE,
    AtBase,
    broken_ids,
    brought_ids,
    declared_ids,
    fail_at_base,
    failing_brought,
    is_named,
    missing_module,
    needed_ids,
)
from assay.records.claims import ClaimKind
from assay.records.evidence import TestOutcome
from assay.records.sandboxes import TimedOut

TESTS: tuple[Subject, ...] = (Subject.VISIBLE, Subject.REGRESSION, Subject.HELD_OUT, Subject.BROUGHT)
"""In the order in which their failures make a witness: first what says most to the author of the change."""

EARLY: tuple[Variant, Variant] = ("near", "near-base")
"""Where failures are seen, and confirmed, before the whole suite has run."""


def suspects(book: Book, subject: Subject) -> dict[str, Standing]:
    """Return the ids whose failure at the head would refute the claim if it reproduced; `WHOLE` is the run itself."""
    head = book.first(subject, "head")
    match subject:
        case Subject.REGRESSION if head is None:
            head, found = book.first(subject, EARLY[0]), early_suspects(book)
        case Subject.REGRESSION:
            declared = declared_ids(book.facts)
            found = {i: s for i, s in broken_ids(book).items() if not is_named(i, declared)}
        case Subject.VISIBLE | Subject.HELD_OUT:
            found = failing_stated(book, subject)
        case Subject.BROUGHT:
            found = failing_brought(book)
        case Subject.CHECK | Subject.CANARY | Subject.SPEED | Subject.PROBE:
            return {}
    found = {i: s for i, s in found.items() if s is not Standing.LOST}
    if head is None or not book.facts.case.claim.draft.new_dependencies:
        return found
    return {i: s for i, s in found.items() if not _lacks_dependency(head.outcome(i))}


def waiting_for_dependency(book: Book) -> tuple[str, ...]:
    """Return the ids that fail because a module is not in the image, where the claim names new dependencies."""
    if not book.facts.case.claim.draft.new_dependencies:
        return ()
    found: list[str] = []
    for subject in TESTS:
        head = book.first(subject, "head")
        if head is not None:
            failing = [o.id for o in head.evidence.outcomes if not o.passed]
            found += [i for i in failing if _lacks_dependency(head.outcome(i))]
    return tuple(dict.fromkeys(found))


def _lacks_dependency(outcome: TestOutcome | None) -> bool:
    return outcome is not None and missing_module(outcome.message) is not None


def early_suspects(book: Book) -> dict[str, Standing]:
    """Return the ids of the base that failed with the change where the tests nearest to it ran before the others."""
    near = book.first(Subject.REGRESSION, EARLY[0])
    if near is None or not near.whole:
        return {}
    declared, needed = declared_ids(book.facts), set(needed_ids(book))
    asked = (i for i in near.evidence.expected if i in needed and not is_named(i, declared))
    return {i: near.stand(i) for i in asked if near.stand(i) is not Standing.PASSED}


def early_confirmations(book: Book, test: str) -> tuple[Reading, ...]:
    """Return the executions that show again what failed before the whole suite had run: by itself, each time, while the
    base passes each time.
    """
    enough = book.facts.replicates
    heads, bases = (
        tuple(r for r in book.all(Subject.REGRESSION, v, alone=True) if test in r.evidence.expected) for v in EARLY
    )
    again = len(heads) >= enough and all(_shows(r, test) for r in heads)
    kept = len(bases) >= enough and all(r.stand(test) is Standing.PASSED for r in bases)
    return heads if again and kept else ()


def altered_ids(book: Book) -> tuple[str, ...]:
    """Return the tests that a refactoring brings and that fail without it, for a reason that counts."""
    if book.facts.case.claim.draft.kind is not ClaimKind.REFACTOR:
        return ()
    base, head = book.first(Subject.BROUGHT, "base"), book.first(Subject.BROUGHT, "head")
    if base is None or head is None:
        return ()
    files = book.facts.test_files
    return tuple(
        i
        for i in brought_ids(book)
        if head.stand(i) is Standing.PASSED and fail_at_base(base, i, files) is AtBase.COUNTS
    )


def confirmations(book: Book, subject: Subject, test: str, variant: Variant = "head") -> tuple[Reading, ...]:
    """Return the executions that show a failure again; empty unless each that tried shows it, in enough sandboxes."""
    enough = book.facts.replicates
    alone = tuple(r for r in book.all(subject, variant, alone=True) if test in r.evidence.expected)
    if len(alone) >= enough and all(_shows(r, test) for r in alone) and _base_keeps(book, subject, test):
        return alone
    if subject is Subject.REGRESSION and (early := early_confirmations(book, test)):
        return early
    again = book.all(subject, variant)[1:]  # the first one is what raised the suspicion
    return again if len(again) >= enough and all(_shows(r, test) for r in again) else ()


def _shows(reading: Reading, test: str) -> bool:
    if test == WHOLE:
        return not reading.whole and reading.evidence.ending is not None
    return reading.stand(test) not in (Standing.PASSED, Standing.LOST)


def _base_keeps(book: Book, subject: Subject, test: str) -> bool:
    """Return whether the base, run again beside it, did what it is said to do."""
    if subject is not Subject.REGRESSION:
        return True
    runs = [r for r in book.all(subject, "base", alone=True) if test in r.evidence.expected]
    return len(runs) >= book.facts.replicates and all(r.stand(test) is Standing.PASSED for r in runs)


def failing_checks(book: Book) -> dict[str, tuple[Reading, ...]]:
    """Return the author's own checks that failed at the head in every fresh sandbox, with what showed it."""
    found: dict[str, tuple[Reading, ...]] = {}
    for check in book.facts.case.claim.draft.checks:
        head = book.all(Subject.CHECK, "head", check=check.id)
        base = book.all(Subject.CHECK, "base", check=check.id)
        if len(head) >= book.facts.replicates and all(check_failed(r, base) for r in head):
            found[check.id] = head
    return found


def check_failed(head: Reading, base: tuple[Reading, ...]) -> bool:
    """Return whether an execution of a command shows that what it promised does not hold.

    A command that could not be started, or that runs out of time at the base as well, shows nothing.
    """
    if isinstance(head.evidence.ending, TimedOut):
        return bool(base) and not any(
            isinstance(b.evidence.ending, TimedOut) or b.evidence.ending is None for b in base
        )
    if head.evidence.ending is None or could_not_start(head):
        return False
    return any(head.stand(i) is not Standing.PASSED for i in head.evidence.expected)


def could_not_start(reading: Reading) -> bool:
    """Return whether a command was not there to be run, or gave nothing that could be read."""
    return any(o.setup == "error" and o.reports == 1 and "::" not in o.id for o in reading.evidence.outcomes)


def unclear_checks(book: Book) -> tuple[str, ...]:
    """Return the author's checks that neither held nor reproducibly failed."""
    unclear: list[str] = []
    failing = failing_checks(book)
    for check in book.facts.case.claim.draft.checks:
        head = book.all(Subject.CHECK, "head", check=check.id)
        held = bool(head) and all(r.stand(i) is Standing.PASSED for r in head for i in r.evidence.expected)
        if not held and check.id not in failing:
            unclear.append(check.id)
    return tuple(unclear)
