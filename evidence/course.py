"""The course of one proof: what is executed, in which order, and what each result makes necessary."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from assay.evidence.baseline import BaselineCache
from assay.evidence.controls import Null
from assay.evidence.environment import CANARY_FAILS, CANARY_FILE, CANARY_PASSES, canary_tree
from assay.evidence.execution import Bench, Order
from assay.evidence.expectations import Standing
from assay.evidence.facts import Book, Facts, Subject, Trial, Variant
from assay.evidence.grounds import counting_ids, refutations
from assay.evidence.held_out import subject_of, uncontrolled_ids
from assay.evidence.layout import Layout
from assay.evidence.matrix import AtBase, brought_ids, fail_at_base, needed_ids
from assay.evidence.refutation import TESTS, altered_ids, confirmations, suspects
from assay.evidence.together import together
from assay.records.checks import Check, ExpectTests
from assay.records.claims import ClaimKind
from assay.records.evidence import Cell, Evidence, Side
from assay.store.git import GitStore

_MOST_SUSPECTS: Final = 20
"""Failing ids that are run again by themselves; one that reproduces is enough."""

_PURPOSES: Final[dict[Variant, str]] = {
    "base": "",
    "head": "",
    "null-raise": " where functions raise",
    "null-return": " where functions return nothing",
}


class Course:
    """Executes what a case needs and keeps the books of it.

    Args:
        facts: of the case; trials are added to them.
        layout: the trees.
        bench: where to execute.
        git: where trees are written.
        cache: baselines of other runs; None keeps none.
    """

    def __init__(self, facts: Facts, layout: Layout, bench: Bench, git: GitStore, cache: BaselineCache | None) -> None:
        self._base_facts = facts
        self._layout = layout
        self._bench = bench
        self._git = git
        self._cache = cache
        self._scope = facts.case.claim.id
        self._trials: list[Trial] = []
        self.evidence: dict[str, Evidence] = {}

    @property
    def facts(self) -> Facts:
        """The facts with all trials so far."""
        raisers = {o.raised_in for e in self.evidence.values() for o in e.outcomes if o.raised_in}
        tests = frozenset(filter(self._layout.is_test, raisers))
        return self._base_facts.model_copy(update={"trials": tuple(self._trials), "test_files": tests})

    @property
    def book(self) -> Book:
        """Everything so far, to be read."""
        return Book(self.facts, self.evidence.values())

    # -- what is executed

    async def run_base(self) -> None:
        """Execute what is about the base alone: the canary, the baseline, and the trusted tests without the work."""
        baseline = [self._suite(Subject.REGRESSION, "base", replicate=n) for n in range(self.facts.baseline_runs)]
        await together(self._canary(), *baseline, *(self._trusted(s, "base") for s in self._stated()))

    async def run_blank(self) -> None:
        """Execute the canary, and the trusted tests where the work is not done."""
        await together(self._canary(), *(self._trusted(s, "base") for s in self._stated()))

    async def run_doubt(self, check: Check, key: str) -> None:
        """Execute the canary and a reviewer's check: at the head as often as a refutation needs, once at the base."""
        self._scope = key
        heads = (self._check(check, "head", n, f"doubt {key}") for n in range(self.facts.replicates))
        await together(self._canary(), self._check(check, "base", 0, f"doubt {key}"), *heads)

    async def run_head(self) -> None:
        """Execute the head: base tests, trusted tests, the change's own suite and its author's own checks."""
        await together(
            *(self._trusted(s, "head") for s in self._stated()),
            self._suite(Subject.REGRESSION, "head", expected=needed_ids(self.book)),
            *([self._suite(Subject.BROUGHT, "head")] if self.facts.judge_side_changed else []),
            *(self._check(c, "head", 0) for c in self.facts.case.claim.draft.checks),
        )

    @property
    def is_refuted(self) -> bool:
        """Whether a failure reproduced, so that nothing more has to be known."""
        return next(refutations(self.book), None) is not None

    async def run_brought(self) -> None:
        """Execute the tests that the change brings where the change is not."""
        if ids := brought_ids(self.book):
            await self._suite(Subject.BROUGHT, "base", modules=self._layout.modules(Subject.BROUGHT, ids), expected=ids)
        await self._altered_again(altered_ids(self.book))

    async def run_controls(self) -> None:
        """Execute tests that failed only because something is not there with functions that do nothing."""
        book = self.book
        wanted: dict[Subject, Sequence[str]] = {s: uncontrolled_ids(book, s) for s in self._stated()}
        wanted[Subject.BROUGHT] = self._brought_to_control(book)
        nulls: tuple[Null, ...] = ("raise", "return")
        await together(*(self._null(s, null, ids) for s, ids in wanted.items() if ids for null in nulls))

    async def run_confirmations(self) -> None:
        """Execute failures again, by themselves first, then as part of everything where that does not show them."""
        book = self.book
        found = {s: tuple(suspects(book, s)) for s in TESTS}
        await together(
            *(self._again_alone(s, ids) for s, ids in found.items() if ids and self._is_whole(book, s)),
            *(self._again_whole(s) for s, ids in found.items() if ids and not self._is_whole(book, s)),
            *(self._check_again(c) for c in self.facts.case.claim.draft.checks),
        )
        book = self.book
        open_still = [s for s in TESTS if self._is_whole(book, s) and self._unshown(book, s)]
        shown = any(confirmations(book, s, i) for s in TESTS for i in suspects(book, s))
        if not shown:
            await together(*(self._again_whole(s) for s in open_still))

    # -- what makes it necessary

    def _stated(self) -> tuple[Subject, ...]:
        trusted = self.facts.case.trusted
        stated = {subject_of(s) for s in trusted.stated}
        given = {Subject.VISIBLE: trusted.visible, Subject.HELD_OUT: trusted.held_out}
        return tuple(s for s, tree in given.items() if tree is not None or s in stated)

    def _brought_to_control(self, book: Book) -> tuple[str, ...]:
        kind = self.facts.case.claim.draft.kind
        head, base = book.first(Subject.BROUGHT, "head"), book.first(Subject.BROUGHT, "base")
        if head is None:
            return ()
        passing = tuple(i for i in brought_ids(book) if head.stand(i) is Standing.PASSED)
        if kind is ClaimKind.TESTS:
            return passing
        if kind not in (ClaimKind.FIX, ClaimKind.FEATURE) or self.facts.case.requirements or counting_ids(book):
            return ()
        files = self.facts.test_files
        return tuple(i for i in passing if fail_at_base(base, i, files) is AtBase.ABSENT)

    @staticmethod
    def _is_whole(book: Book, subject: Subject) -> bool:
        head = book.first(subject, "head")
        return head is not None and head.whole

    @staticmethod
    def _unshown(book: Book, subject: Subject) -> bool:
        return any(not confirmations(book, subject, i) for i in suspects(book, subject))

    # -- how it is executed

    async def _run(
        self, subject: Subject, variant: Variant, order: Order, *, alone: bool = False, check: str | None = None
    ) -> None:
        evidence = await self._execute(order)
        self.evidence[evidence.id] = evidence
        trial = Trial(
            subject=subject, variant=variant, replicate=order.replicate, alone=alone, check=check, evidence=evidence.id
        )
        if trial not in self._trials:
            self._trials.append(trial)

    async def _execute(self, order: Order) -> Evidence:
        if (
            self._cache is None
            or order.cell != Cell(source="base", tests="base")
            or order.purpose != Subject.REGRESSION
        ):
            return await self._bench.execute(order)
        name = self._bench.identify(order)
        if await self._bench.recall(name) is None and (kept := await self._cache.find(name)) is not None:
            return await self._bench.adopt(kept)
        evidence = await self._bench.execute(order)
        await self._cache.keep(evidence)
        return evidence

    def _cell(self, subject: Subject, variant: Variant) -> Cell:
        source: Side = "base" if variant == "base" else "head"
        return Cell(source=source, tests="head" if subject in (Subject.BROUGHT, Subject.CHECK) else "base")

    def _commit(self, cell: Cell) -> str:
        claim = self.facts.case.claim
        return claim.base if cell.source == "base" else claim.head

    async def _suite(
        self,
        subject: Subject,
        variant: Variant,
        *,
        replicate: int = 0,
        modules: tuple[str, ...] = (),
        select: tuple[str, ...] | None = None,
        expected: tuple[str, ...] = (),
    ) -> None:
        cell, trusted = self._cell(subject, variant), self.facts.case.trusted
        order = Order(
            purpose=subject.value + _PURPOSES[variant],
            cell=cell,
            commit=self._commit(cell),
            tree=await self._tree(subject, variant, cell),
            overlay=trusted.visible
            if subject is Subject.VISIBLE
            else trusted.held_out
            if subject is Subject.HELD_OUT
            else None,
            replicate=replicate,
            modules=modules,
            select=select,
            expected=expected,
        )
        await self._run(subject, variant, order, alone=select is not None and not variant.startswith("null"))

    async def _tree(self, subject: Subject, variant: Variant, cell: Cell) -> str:
        if variant in ("base", "head"):
            return await self._git.write_tree(await asyncio.to_thread(self._layout.tree, cell, subject), {})
        null: Null = "raise" if variant == "null-raise" else "return"
        kind = self.facts.case.claim.draft.kind
        tree, fresh = await asyncio.to_thread(self._layout.null_tree, cell, subject, null, kind)
        return await self._git.write_tree(tree, fresh)

    async def _trusted(self, subject: Subject, variant: Variant) -> None:
        ids = tuple(s.id for s in self.facts.case.trusted.stated if subject_of(s) is subject)
        if modules := self._layout.modules(subject, ids):
            await self._suite(subject, variant, modules=modules, expected=ids)

    async def _null(self, subject: Subject, null: Null, ids: Sequence[str]) -> None:
        variant: Variant = "null-raise" if null == "raise" else "null-return"
        modules = self._layout.modules(subject, ids)
        await self._suite(subject, variant, modules=modules, select=tuple(ids), expected=tuple(ids))

    async def _again_alone(self, subject: Subject, ids: tuple[str, ...]) -> None:
        chosen = ids[:_MOST_SUSPECTS]
        modules = self._layout.modules(subject, chosen)
        variants: tuple[Variant, ...] = ("head", "base") if subject is Subject.REGRESSION else ("head",)
        await together(
            *(
                self._suite(subject, variant, replicate=n, modules=modules, select=chosen, expected=chosen)
                for variant in variants
                for n in range(1, self.facts.replicates + 1)
            )
        )

    async def _again_whole(self, subject: Subject) -> None:
        first = self.book.first(subject, "head")
        expected = first.evidence.expected if first is not None else ()
        modules = self._layout.modules(subject, expected) if subject in (Subject.VISIBLE, Subject.HELD_OUT) else ()
        await together(
            *(
                self._suite(subject, "head", replicate=n, modules=modules, expected=expected)
                for n in range(1, self.facts.replicates + 1)
            )
        )

    async def _altered_again(self, ids: tuple[str, ...]) -> None:
        chosen = ids[:_MOST_SUSPECTS]
        modules = self._layout.modules(Subject.BROUGHT, chosen)
        count = self.facts.replicates if chosen else 0
        await together(
            *(
                self._suite(Subject.BROUGHT, "base", replicate=n, modules=modules, select=chosen, expected=chosen)
                for n in range(1, count + 1)
            )
        )

    async def _canary(self) -> None:
        tree, fresh = canary_tree()
        cell = Cell(source="base", tests="base")
        order = Order(
            purpose=Subject.CANARY.value,
            cell=cell,
            commit=self._commit(cell),
            tree=await self._git.write_tree(tree, fresh),
            modules=(CANARY_FILE,),
            expected=(CANARY_PASSES, CANARY_FAILS),
            scope=self._scope,
            plain=True,
        )
        await self._run(Subject.CANARY, "base", order)

    async def _check(self, check: Check, variant: Variant, replicate: int, purpose: str | None = None) -> None:
        cell = self._cell(Subject.CHECK, variant)
        side: Side = cell.source
        order = await order_for_check(
            check,
            self._layout,
            self._git,
            purpose=purpose or f"author's check {check.id}",
            side=side,
            commit=self._commit(cell),
            replicate=replicate,
        )
        await self._run(Subject.CHECK, variant, order, check=check.id)

    async def _check_again(self, check: Check) -> None:
        first = self.book.all(Subject.CHECK, "head", check=check.id)
        if all(r.stand(i) is Standing.PASSED for r in first for i in r.evidence.expected):
            return
        again = (self._check(check, "head", n) for n in range(1, self.facts.replicates))
        await together(self._check(check, "base", 0), *again)


async def order_for_check(
    check: Check, layout: Layout, git: GitStore, *, purpose: str, side: Side, commit: str, replicate: int
) -> Order:
    """Return the order for a check at one side, in that side's own tree.

    A check that expects tests by id is executed as those tests, whatever its command says.
    """
    tree = layout.base if side == "base" else layout.head
    ids = check.expect.ids if isinstance(check.expect, ExpectTests) else ()
    return Order(
        purpose=purpose,
        cell=Cell(source=side, tests=side),
        commit=commit,
        tree=await git.write_tree(tree, {}),
        replicate=replicate,
        modules=layout.modules(Subject.CHECK, ids),
        select=ids or None,
        expected=ids or (check.id,),
        check=None if ids else check,
    )
