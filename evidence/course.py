"""The course of one proof: what is executed, in which order, and what each result makes necessary."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Final

from assay.evidence.controls import Null
from assay.evidence.divided import run_nearest, run_suite
from assay.evidence.expectations import Standing
from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.grounds import counting_ids, refutations
from assay.evidence.held_out import subject_of, uncontrolled_ids
from assay.evidence.matrix import AtBase, brought_ids, fail_at_base, stable_ids
from assay.evidence.refutation import TESTS, altered_ids, confirmations, suspects
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.records.checks import Check
from assay.records.claims import ClaimKind

_MOST_SUSPECTS: Final = 20
"""Failing ids that are run again by themselves; one that reproduces is enough."""

_MORE: Final = 8
"""How often what fails now and then is executed at the base: what fails there half of the time is seen to, but once in
256 cases.
"""


class Course:
    """Decides what a case needs, up to the controls of S8.

    Args:
        trials: where it is executed, and the books of it.
        nearest: files that name one which the change alters.
    """

    def __init__(self, trials: Trials, nearest: tuple[str, ...] = ()) -> None:
        self._trials = trials
        self._layout = trials.layout
        self._nearest = nearest

    # -- what is executed

    async def run(self) -> None:
        """Execute the canary, the base and the head, and what fails there again, until a failure has reproduced."""
        await together(self._trials.canary(), self._run_both())
        if not self.is_refuted:
            await self._run_confirmations()

    async def _run_both(self) -> None:
        """Execute the base, without and with trusted tests; the tests nearest to the change; and the head."""
        runs = range(self._trials.facts.baseline_runs)
        baseline = (self._trials.suite(Subject.REGRESSION, "base", replicate=n) for n in runs)
        await together(*baseline, *(self._trusted(s, "base") for s in self._stated()))
        if self._trials.image is None:  # else both sides run with the other's dependencies, to tell what causes it
            await run_nearest(self._trials, self._nearest)
        if not self.is_refuted:
            await self._run_head()

    async def run_blank(self) -> None:
        """Execute the canary, and the trusted tests where the work is not done."""
        await together(self._trials.canary(), *(self._trusted(s, "base") for s in self._stated()))

    async def run_doubt(self, check: Check, key: str) -> None:
        """Execute the canary and a reviewer's check: at the head as often as a refutation needs, once at the base."""
        heads = (self._trials.check(check, "head", n, f"doubt {key}") for n in range(self._trials.facts.replicates))
        await together(self._trials.canary(), self._trials.check(check, "base", 0, f"doubt {key}"), *heads)

    async def _run_head(self) -> None:
        """Execute the head: base tests, trusted tests, the change's own suite and its author's own checks; and at once
        again what failed in one of them.
        """
        suites = (Subject.REGRESSION, *([Subject.BROUGHT] if self._trials.facts.judge_side_changed else []))
        await together(
            *(self._confirmed(s, self._trusted(s, "head")) for s in self._stated()),
            *(self._confirmed(s, run_suite(self._trials, s)) for s in suites),
            *(self._trials.check(c, "head", 0) for c in self._trials.facts.case.claim.draft.checks),
        )

    async def _confirmed(self, subject: Subject, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and then execute again what failed in it."""
        await work
        book = self._trials.book
        ids = tuple(suspects(book, subject))
        if ids and not any(confirmations(book, subject, i) for i in ids):
            await (self._again_alone(subject, ids) if self._is_whole(book, subject) else self._again_whole(subject))

    @property
    def is_refuted(self) -> bool:
        """Whether a failure reproduced, so that nothing more has to be known."""
        return next(refutations(self._trials.book), None) is not None

    async def run_brought(self) -> None:
        """Execute the tests that the change brings where the change is not; and, of those that fail there only because
        something is not there, with functions that do nothing.
        """
        if ids := brought_ids(self._trials.book):
            await self._trials.suite(
                Subject.BROUGHT, "base", modules=self._layout.modules(Subject.BROUGHT, ids), expected=ids
            )
        await self._altered_again(altered_ids(self._trials.book))
        await self._run_controls()

    async def _run_controls(self) -> None:
        """Execute tests that failed only because something is not there with functions that do nothing."""
        book = self._trials.book
        wanted: dict[Subject, Sequence[str]] = {s: uncontrolled_ids(book, s) for s in self._stated()}
        wanted[Subject.BROUGHT] = self._brought_to_control(book)
        nulls: tuple[Null, ...] = ("raise", "return")
        await together(*(self._null(s, null, ids) for s, ids in wanted.items() if ids for null in nulls))

    async def _run_confirmations(self) -> None:
        """Execute failures again that did not show by themselves, as part of everything; and what an author's check
        showed.
        """
        await together(*(self._check_again(c) for c in self._trials.facts.case.claim.draft.checks))
        book = self._trials.book
        open_still = [s for s in TESTS if self._is_whole(book, s) and self._unshown(book, s)]
        shown = any(confirmations(book, s, i) for s in TESTS for i in suspects(book, s))
        if not shown:
            await together(self._base_again(book), *(self._again_whole(s) for s in open_still))

    async def _base_again(self, book: Book) -> None:
        """Execute what fails now and then at the base, more often: perhaps it does so there, too."""
        known = set(stable_ids(book))
        found = [i for s in TESTS for i in suspects(book, s) if i in known and not confirmations(book, s, i)]
        ids = tuple(dict.fromkeys(found))[:_MOST_SUSPECTS]
        modules = self._layout.modules(Subject.REGRESSION, ids)
        first = self._trials.facts.replicates + 1
        numbers = range(first, first + _MORE if ids else first)
        await together(
            *(
                self._trials.suite(Subject.REGRESSION, "base", replicate=n, modules=modules, select=ids, expected=ids)
                for n in numbers
            )
        )

    # -- what makes it necessary

    def _stated(self) -> tuple[Subject, ...]:
        trusted = self._trials.facts.case.trusted
        stated = {subject_of(s) for s in trusted.stated}
        given = {Subject.VISIBLE: trusted.visible, Subject.HELD_OUT: trusted.held_out}
        return tuple(s for s, tree in given.items() if tree is not None or s in stated)

    def _brought_to_control(self, book: Book) -> tuple[str, ...]:
        kind = self._trials.facts.case.claim.draft.kind
        head, base = book.first(Subject.BROUGHT, "head"), book.first(Subject.BROUGHT, "base")
        if head is None:
            return ()
        passing = tuple(i for i in brought_ids(book) if head.stand(i) is Standing.PASSED)
        if kind is ClaimKind.TESTS:
            return passing
        if kind not in (ClaimKind.FIX, ClaimKind.FEATURE) or self._trials.facts.case.requirements or counting_ids(book):
            return ()
        files = self._trials.facts.test_files
        return tuple(i for i in passing if fail_at_base(base, i, files) is AtBase.ABSENT)

    @staticmethod
    def _is_whole(book: Book, subject: Subject) -> bool:
        head = book.first(subject, "head")
        return head is not None and head.whole

    @staticmethod
    def _unshown(book: Book, subject: Subject) -> bool:
        return any(not confirmations(book, subject, i) for i in suspects(book, subject))

    # -- how it is executed

    async def _trusted(self, subject: Subject, variant: Variant) -> None:
        ids = tuple(s.id for s in self._trials.facts.case.trusted.stated if subject_of(s) is subject)
        if modules := self._layout.modules(subject, ids):
            await self._trials.suite(subject, variant, modules=modules, expected=ids)

    async def _null(self, subject: Subject, null: Null, ids: Sequence[str]) -> None:
        variant: Variant = "null-raise" if null == "raise" else "null-return"
        modules = self._layout.modules(subject, ids)
        await self._trials.suite(subject, variant, modules=modules, select=tuple(ids), expected=tuple(ids))

    async def _again_alone(self, subject: Subject, ids: tuple[str, ...]) -> None:
        chosen = ids[:_MOST_SUSPECTS]
        modules = self._layout.modules(subject, chosen)
        variants: tuple[Variant, ...] = ("head", "base") if subject is Subject.REGRESSION else ("head",)
        await together(
            *(
                self._trials.suite(subject, variant, replicate=n, modules=modules, select=chosen, expected=chosen)
                for variant in variants
                for n in range(1, self._trials.facts.replicates + 1)
            )
        )

    async def _again_whole(self, subject: Subject) -> None:
        first = self._trials.book.first(subject, "head")
        expected = first.evidence.expected if first is not None else ()
        modules = self._layout.modules(subject, expected) if subject in (Subject.VISIBLE, Subject.HELD_OUT) else ()
        await together(
            *(
                self._trials.suite(subject, "head", replicate=n, modules=modules, expected=expected)
                for n in range(1, self._trials.facts.replicates + 1)
            )
        )

    async def _altered_again(self, ids: tuple[str, ...]) -> None:
        chosen = ids[:_MOST_SUSPECTS]
        modules = self._layout.modules(Subject.BROUGHT, chosen)
        count = self._trials.facts.replicates if chosen else 0
        await together(
            *(
                self._trials.suite(
                    Subject.BROUGHT, "base", replicate=n, modules=modules, select=chosen, expected=chosen
                )
                for n in range(1, count + 1)
            )
        )

    async def _check_again(self, check: Check) -> None:
        first = self._trials.book.all(Subject.CHECK, "head", check=check.id)
        if all(r.stand(i) is Standing.PASSED for r in first for i in r.evidence.expected):
            return
        again = (self._trials.check(check, "head", n) for n in range(1, self._trials.facts.replicates))
        await together(self._trials.check(check, "base", 0), *again)
