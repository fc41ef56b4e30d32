"""S7: {base, head} source against {base, head} tests, and what each of the four cells must show.

Defeats tests that were bent until they pass: the base's own tests decide whether anything broke, whatever the change
did to them; and a test that the change brings counts only if it fails where the change is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Final

from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, Facts, Subject
from assay.evidence.runner_pytest import REFUSED
from assay.records.evidence import TestOutcome

WHOLE: Final = ""
"""Stands for a run as a whole where ids are expected."""


class AtBase(StrEnum):
    """How a test that the work should make pass stands where the work is not done."""

    COUNTS = "fails for a reason that counts"
    """By a false assertion, or by an error that the program itself raised."""
    ABSENT = "fails because something is not there"
    """It would do so whatever it asserts: it counts only if it fails under null implementations too (S8)."""
    PASSES = "passes"
    UNKNOWN = "could not be run"


def fail_at_base(reading: Reading | None, test: str, test_files: Collection[str]) -> AtBase:
    """Return how a test stands at the base."""
    if reading is None:
        return AtBase.UNKNOWN
    match reading.stand(test):
        case Standing.PASSED:
            return AtBase.PASSES
        case Standing.FAILED:
            outcome = reading.outcome(test)
            return AtBase.COUNTS if outcome is not None and _counts(outcome, test_files) else AtBase.ABSENT
        case Standing.SKIPPED | Standing.MISSING | Standing.DUPLICATED | Standing.BROKEN | Standing.LOST:
            return AtBase.UNKNOWN


def _counts(outcome: TestOutcome, test_files: Collection[str]) -> bool:
    if outcome.call == "passed" or outcome.reports != 1:
        return False
    by_program = outcome.failure == "error" and outcome.raised_in != "" and outcome.raised_in not in test_files
    return outcome.failure == "assertion" or by_program


def stable_ids(book: Book) -> tuple[str, ...]:
    """Return the base's ids that passed in every run of the baseline and were never seen to fail when run again.

    Empty where a run of the baseline is missing or does not count.
    """
    runs = book.all(Subject.REGRESSION, "base")
    if len(runs) < book.facts.baseline_runs or not all(run.whole for run in runs):
        return ()
    again = [run for run in book.all(Subject.REGRESSION, "base", alone=True) if run.whole]
    flaky = {i for run in again for i in run.ids if run.stand(i) is not Standing.PASSED}
    return tuple(i for i in runs[0].ids if i not in flaky and all(run.stand(i) is Standing.PASSED for run in runs))


def mended_ids(book: Book) -> tuple[str, ...]:
    """Return the base's ids that failed in every run of the baseline for a reason that counts, and pass at the head."""
    runs, head = book.all(Subject.REGRESSION, "base"), book.first(Subject.REGRESSION, "head")
    if head is None or len(runs) < book.facts.baseline_runs:
        return ()
    files = book.facts.test_files
    return tuple(
        i
        for i in runs[0].ids
        if head.stand(i) is Standing.PASSED and all(fail_at_base(run, i, files) is AtBase.COUNTS for run in runs)
    )


def baseline_trouble(book: Book) -> str:
    """Return why there is no baseline to compare with; empty where there is one, and where the base has no tests."""
    runs = book.all(Subject.REGRESSION, "base")
    if len(runs) < book.facts.baseline_runs:
        return "the base's own tests were not run as often as the policy asks"
    broken = next((run for run in runs if not run.whole), None)
    return "" if broken is None else f"the base's own tests could not be run at the base: {broken.got('')}"


def needed_ids(book: Book) -> tuple[str, ...]:
    """Return the ids that must still pass at the head: stable, and not altered by the trusted side or with a person's
    consent.
    """
    facts = book.facts
    accepted = set(facts.case.accepted_expectations)
    replaced = set(facts.replaced)
    return tuple(
        i for i in stable_ids(book) if not is_named(i, accepted) and in_tree(facts, i.split("::", 1)[0]) not in replaced
    )


def in_tree(facts: Facts, file: str) -> str:
    """Return the path in the tree of a file that an id names relative to the project's root."""
    root = facts.project.root.strip("/")
    return file if root in {"", "."} else f"{root}/{file}"


def is_named(test: str, names: Collection[str]) -> bool:
    """Return whether an id, or the test of which it is one parameter, is among the names."""
    return test in names or test.split("[", 1)[0] in names


def broken_ids(book: Book) -> dict[str, Standing]:
    """Return the ids that passed at the base and do not pass with the head's source, with how they stand there."""
    head = book.first(Subject.REGRESSION, "head")
    if head is None:
        return {}
    standings = {i: head.stand(i) for i in needed_ids(book)}
    return {i: s for i, s in standings.items() if s is not Standing.PASSED}


def declared_ids(facts: Facts) -> frozenset[str]:
    """Return the tests of which the claim says that their expectation changes."""
    return frozenset(c.test for c in facts.case.claim.draft.changed_expectations)


def brought_ids(book: Book) -> tuple[str, ...]:
    """Return the ids of the head's suite that are new or lie in files that the change alters."""
    head = book.first(Subject.BROUGHT, "head")
    if head is None:
        return ()
    base = book.first(Subject.REGRESSION, "base")
    known = set(base.ids) if base is not None else set()
    changed = set(book.facts.judge_side_changed)
    return tuple(i for i in head.ids if i not in known or in_tree(book.facts, i.split("::", 1)[0]) in changed)


def failing_brought(book: Book) -> dict[str, Standing]:
    """Return the ids of the head's own suite that ought to pass there and do not.

    An id that does not pass at the base either is known to fail and is not blamed on the change; one that is skipped
    shows nothing, either way, and neither does a suite that could not be started.
    """
    head = book.first(Subject.BROUGHT, "head")
    if head is None:
        return {}
    if not head.whole:
        ran = head.evidence.trouble != REFUSED and not baseline_trouble(book)
        return {WHOLE: head.stand(WHOLE)} if ran else {}
    base = book.first(Subject.REGRESSION, "base")
    stable = set(stable_ids(book))
    unstable = set(base.ids) - stable if base is not None and base.whole else set()
    uncollected = tuple(
        o.id for o in head.evidence.outcomes if o.failure == "import" and o.reports == 0 and "::" not in o.id
    )
    files = tuple(f for f in uncollected if in_tree(book.facts, f) in set(book.facts.judge_side_changed))
    declared = declared_ids(book.facts)
    still = tuple(i for i in head.ids if i in stable and not is_named(i, declared))
    looked_at = dict.fromkeys([*brought_ids(book), *still, *files])
    standings = {i: head.stand(i) for i in looked_at if i not in unstable}
    fine = (Standing.PASSED, Standing.SKIPPED)
    return {i: s for i, s in standings.items() if s not in fine}


_MODULE: Final = re.compile(r"No module named '([^']+)'")


def missing_module(message: str) -> str | None:
    """Return the top-level name of the module that an import did not find; None for any other failure."""
    found = _MODULE.search(message)
    return found[1].split(".")[0] if found else None
