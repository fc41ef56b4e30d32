"""S10: tests that state a requirement, visible or held out, prove it only if they fail where the work is not done.

Defeats code that was written to the tests that its author saw: the held-out ones were made from the requirement before
the code was there, lie where no author's sandbox can read them, and feedback about them names the requirement alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from assay.evidence.controls import is_controlled
from assay.evidence.expectations import EVERYTHING, Standing, members
from assay.evidence.facts import Book, Subject
from assay.evidence.matrix import AtBase, fail_at_base
from assay.evidence.protocol import Case
from assay.records.plans import Requirement
from assay.records.results import StatedTest

ACCEPTANCE: Final = "acceptance"
"""Requirement of trusted tests that come without any."""


class Weight(StrEnum):
    """What one stated test says about its requirement."""

    PROVES = "failed without the work and passes with it"
    FAILS = "does not pass"
    PASSES_WITHOUT = "passes without the work too"
    VACUOUS = "fails without the work only because something is not there, and no null implementation made it fail"
    UNKNOWN = "could not be run"


def subject_of(stated: StatedTest) -> Subject:
    """Return under which subject a stated test is executed."""
    return Subject.HELD_OUT if stated.held_out else Subject.VISIBLE


def ids_of(book: Book, stated: StatedTest) -> tuple[str, ...]:
    """Return the ids that a stated test means, as collected at the base and at the head."""
    subject = subject_of(stated)
    readings = (book.first(subject, "base"), book.first(subject, "head"))
    return members(stated.id, [r for r in readings if r is not None])


def weigh(book: Book, stated: StatedTest) -> Weight:
    """Return what a stated test says about its requirement."""
    subject = subject_of(stated)
    head = book.first(subject, "head")
    ids = ids_of(book, stated)
    at_base = [_at_base(book, subject, i) for i in ids]
    if head is None or any(head.stand(i) is Standing.LOST for i in ids):
        return Weight.UNKNOWN
    if any(head.stand(i) is not Standing.PASSED for i in ids):
        return Weight.UNKNOWN if AtBase.UNKNOWN in at_base else Weight.FAILS
    if AtBase.UNKNOWN in at_base:
        return Weight.UNKNOWN
    if AtBase.ABSENT in at_base:
        return Weight.VACUOUS
    return Weight.PROVES if AtBase.COUNTS in at_base else Weight.PASSES_WITHOUT


def _at_base(book: Book, subject: Subject, test: str) -> AtBase:
    found = fail_at_base(book.first(subject, "base"), test, book.facts.test_files)
    return AtBase.COUNTS if found is AtBase.ABSENT and controlled(book, subject, test) else found


def controlled(book: Book, subject: Subject, test: str) -> bool:
    """Return whether a test was seen to fail under the null implementations."""
    readings = {"raise": book.first(subject, "null-raise"), "return": book.first(subject, "null-return")}
    return is_controlled(readings, test)


def uncontrolled_ids(book: Book, subject: Subject) -> tuple[str, ...]:
    """Return the stated ids that pass at the head and at the base fail only because something is not there."""
    head = book.first(subject, "head")
    if head is None:
        return ()
    ids = [i for s in book.facts.case.trusted.stated if subject_of(s) is subject for i in ids_of(book, s)]
    base, files = book.first(subject, "base"), book.facts.test_files
    return tuple(i for i in ids if head.stand(i) is Standing.PASSED and fail_at_base(base, i, files) is AtBase.ABSENT)


def failing_stated(book: Book, subject: Subject) -> dict[str, Standing]:
    """Return the ids of the trusted side that do not pass at the head although it is known how they stand at the base.

    A test that states no requirement had to pass at the base to be among them.
    """
    base, head = book.first(subject, "base"), book.first(subject, "head")
    if head is None or base is None:
        return {}
    stated = [s for s in book.facts.case.trusted.stated if subject_of(s) is subject]
    failing = [i for s in stated if weigh(book, s) is Weight.FAILS for i in ids_of(book, s)]
    named = {i for s in stated for i in ids_of(book, s)}
    kept = [i for i in base.ids if i not in named and base.stand(i) is Standing.PASSED]
    standings = {i: head.stand(i) for i in (*failing, *kept)}
    return {i: s for i, s in standings.items() if s is not Standing.PASSED}


def requirement_of(book: Book, subject: Subject, test: str) -> str | None:
    """Return the requirement that an id states; None where none does."""
    for stated in book.facts.case.trusted.stated:
        if subject_of(stated) is subject and test in ids_of(book, stated):
            return stated.requirement
    return None


def with_everything_stated(case: Case) -> Case:
    """Return a case in which trusted tests that nobody mapped to requirements state all of them together.

    Whoever gives tests without saying what each is for says that they are what has to hold.
    """
    trusted = case.trusted
    if trusted.stated or (trusted.visible is None and trusted.held_out is None):
        return case
    requirements = case.requirements or (Requirement(id=ACCEPTANCE, text="The trusted tests hold."),)
    sides = [hidden for hidden, tree in ((False, trusted.visible), (True, trusted.held_out)) if tree is not None]
    stated = tuple(
        StatedTest(id=EVERYTHING, requirement=r.id, fails_because="", held_out=hidden)
        for r in requirements
        for hidden in sides
    )
    return case.model_copy(
        update={"requirements": requirements, "trusted": trusted.model_copy(update={"stated": stated})}
    )
