"""The trials of one proof: how something is executed at a place of it, and the books that are kept."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

from assay.evidence.baseline import BaselineCache
from assay.evidence.controls import Null
from assay.evidence.environment import canary_of, canary_tree
from assay.evidence.execution import Bench, Order
from assay.evidence.expectations import Reading
from assay.evidence.facts import BASE_VARIANTS, NEEDED, Book, Facts, LeftOut, Subject, Trial, Variant
from assay.evidence.layout import Layout
from assay.evidence.probe_calls import Probe
from assay.records.checks import Check, ExpectTests
from assay.records.evidence import Cell, Evidence, Side, Surroundings
from assay.records.sandboxes import Image
from assay.records.trees import Tree
from assay.store.git import GitStore

_PURPOSES: Final[dict[Variant, str]] = {
    "base": "",
    "head": "",
    "near": ", those nearest to the change first",
    "near-base": ", those nearest to the change first",
    "null-raise": " where functions raise",
    "null-return": " where functions return nothing",
    "twin": " with perturbed expectations",
    "twin-base": " with perturbed expectations",
    "jittered": " in other surroundings",
    "jittered-base": " in other surroundings",
    "ablated": " without a part of the change",
    "covered": " with coverage",
    "mutated": " with mutants of changed lines",
    "recorded": " with calls noted",
    "recorded-head": " with calls of the change's own suite noted",
    "outside": " with the judge outside",
    "outside-base": " with the judge outside",
    "old-lock": " with the base's dependencies",
    "new-lock": " with the head's dependencies",
}


_ALTERED: Final = frozenset({"null-raise", "null-return", "twin", "twin-base", "ablated"})
_SHORTEST: Final = 20.0
"""Seconds that a run of an altered program may always take."""
_PATIENCE: Final = 10
"""How often as long as the same tests took before it may take."""
_BASE: Final = Cell(source="base", tests="base")
_LONGEST: Final = 3600.0
"""Seconds of a workload; the policy's own limit is shorter."""
_UNALTERED: Final = frozenset(
    {"base", "head", "near", "near-base", "jittered", "jittered-base", "covered", "old-lock", "new-lock"}
)
_ON_BASE_IMAGE: Final = (BASE_VARIANTS - {"new-lock"}) | {"old-lock"}


class Trials:
    """Executes what a proof asks for and keeps the books of it.

    Args:
        facts: of the case; trials are added to them.
        layout: the trees.
        bench: where to execute.
        git: where trees are written.
        cache: baselines of other runs; None keeps none.
        scope: for what canaries are executed; the same one is never executed twice.
        deadline: monotonic seconds after which nothing more is executed; None where there is time for everything.
        image: with the head's dependencies, where they are others than the base's (S14).
        together_later: whether what passes at the head is sure to run once more, all of it together (S12).
    """

    def __init__(
        self,
        facts: Facts,
        layout: Layout,
        bench: Bench,
        git: GitStore,
        cache: BaselineCache | None,
        scope: str,
        deadline: float | None = None,
        image: Image | None = None,
        *,
        together_later: bool = False,
    ) -> None:
        self._base_facts = facts
        self.image = image
        self.layout = layout
        self.git = git
        self._bench = bench
        self._cache = cache
        self._scope = scope
        self.deadline = deadline
        self.together_later = together_later and deadline is None
        self._trials: list[Trial] = []
        self._left_out: dict[LeftOut, None] = {}
        self.evidence: dict[str, Evidence] = {}
        self._readings: dict[str, Reading] = {}
        self._raisers: set[str] = set()

    @property
    def facts(self) -> Facts:
        """The facts with all trials so far."""
        tests = frozenset(filter(self.layout.is_test, self._raisers))
        known = {"trials": tuple(self._trials), "test_files": tests, "left_out": tuple(self._left_out)}
        return self._base_facts.model_copy(update=known)

    def has_time(self, seconds: float = 0.0) -> bool:
        """Return whether so many seconds are left before the deadline."""
        return self.deadline is None or time.monotonic() + seconds < self.deadline

    @property
    def book(self) -> Book:
        """Everything so far, to be read."""
        for name, evidence in self.evidence.items():
            if name not in self._readings:
                self._readings[name] = Reading(evidence)
        return Book(self.facts, self._readings.values())

    @property
    def packages(self) -> tuple[str, ...]:
        """What is installed in the image, as far as it is known."""
        return self._bench.image.packages

    @property
    def places(self) -> int:
        """Sandboxes that there may be at once."""
        return self._bench.places

    def note(self, **fields: object) -> None:
        """Add what was computed from trees and settings to the facts."""
        self._base_facts = self._base_facts.model_copy(update=fields)

    async def suite(
        self,
        subject: Subject,
        variant: Variant,
        *,
        tree: str | None = None,
        worker: str | None = None,
        part: str = "",
        replicate: int = 0,
        modules: tuple[str, ...] = (),
        select: tuple[str, ...] | None = None,
        expected: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        alone: bool | None = None,
        surroundings: Surroundings | None = None,
        until: tuple[tuple[str, ...], ...] = (),
        trace: tuple[tuple[str, tuple[tuple[int, int, str], ...]], ...] = (),
        probe: Probe | None = None,
        shard: int | None = None,
    ) -> None:
        """Execute tests once.

        Args:
            subject: whose tests.
            variant: of which source, and how it or its tests were altered.
            tree: git tree to lay down; None is what the layout has for subject and variant.
            worker: git tree of the program, where it runs apart from the tests; None: `tree` has it.
            part: of what it is a trial, where a variant has several.
            replicate: number of the repetition.
            modules: test files; none means the whole suite.
            select: ids to run; None runs all.
            expected: ids that have to be reported.
            arguments: added to pytest's.
            alone: whether only suspects run; None: where ids were selected from an unaltered tree.
            surroundings: others than usual.
            until: groups of ids; it may end early once of each group one has failed.
            trace: lines of the program of which it is told which tests execute them.
            probe: what is asked beside the tests.
            shard: number of the part of the suite that it is, where the suite was divided; its order says which tests.
        """
        cell, trusted = self.cell(subject, variant), self._base_facts.case.trusted
        given = {Subject.VISIBLE: trusted.visible, Subject.HELD_OUT: trusted.held_out}
        order = Order(
            purpose=subject.value + _PURPOSES[variant],
            cell=cell,
            commit=self._commit(cell),
            tree=await self._tree(subject, variant, cell) if tree is None else tree,
            overlay=given.get(subject),
            worker=worker,
            replicate=replicate,
            modules=modules,
            select=select,
            expected=expected,
            arguments=arguments,
            seconds=self._limit(subject, variant),
            surroundings=surroundings,
            until=until,
            trace=trace,
            probe=probe,
            altered=variant not in _UNALTERED,
        )
        if alone is None:
            alone = select is not None and variant in ("base", "head") and shard is None
        await self._run(subject, variant, order, alone=alone, part=part, shard=shard)

    async def canary(self, variant: Variant = "base") -> None:
        """Execute one test that must pass and one that must fail, with one side's dependencies."""
        canary = canary_of(self._base_facts.project)
        tree, fresh = canary_tree(canary)
        cell = Cell(source="base", tests="base")
        order = Order(
            purpose=Subject.CANARY.value,
            cell=cell,
            commit=self._commit(cell),
            tree=await self.git.write_tree(tree, fresh),
            modules=(canary.file,),
            expected=(canary.passes, canary.fails),
            scope=self._scope,
            plain=True,
        )
        await self._run(Subject.CANARY, variant, order)

    async def probe(self, variant: Variant, tree: Tree, probe: Probe, *, part: str = "", replicate: int = 0) -> None:
        """Note the calls of a side's tests, or do calls again at a side without its tests."""
        cell, trusted = self.cell(Subject.PROBE, variant), self._base_facts.case.trusted
        over = {"recorded": trusted.visible, "recorded-head": trusted.held_out or trusted.visible}
        order = Order(
            purpose=Subject.PROBE.value + (_PURPOSES[variant] or ": calls done again"),
            cell=cell,
            commit=self._commit(cell),
            tree=await self.git.write_tree(tree, {}),
            overlay=over.get(variant),
            replicate=replicate,
            probe=probe,
        )
        await self._run(Subject.PROBE, variant, order, part=part)

    async def check(self, check: Check, variant: Variant, replicate: int, purpose: str | None = None) -> None:
        """Execute a command, or the tests that it means, at one side."""
        cell = self.cell(Subject.CHECK, variant)
        order = await order_for_check(
            check,
            self.layout,
            self.git,
            purpose=purpose or f"author's check {check.id}",
            side=cell.source,
            commit=self._commit(cell),
            replicate=replicate,
        )
        await self._run(Subject.CHECK, variant, order, check=check.id)

    async def measure(self, command: tuple[str, ...], side: Side, replicate: int) -> None:
        """Execute a workload once on one side's program, with everything else as it was at the base."""
        cell = self.cell(Subject.SPEED, side)
        tree = await asyncio.to_thread(self.layout.tree, cell, Subject.REGRESSION)
        order = Order(
            purpose=Subject.SPEED.value,
            cell=cell,
            commit=self._commit(cell),
            tree=await self.git.write_tree(tree, {}),
            replicate=replicate,
            expected=(Subject.SPEED.value,),
            check=Check(id=Subject.SPEED.value, command=command, seconds=_LONGEST),
        )
        await self._run(Subject.SPEED, side, order)

    def cell(self, subject: Subject, variant: Variant) -> Cell:
        """Return which source a variant has, and which tests a subject."""
        source: Side = "base" if variant in BASE_VARIANTS else "head"
        own = subject in (Subject.BROUGHT, Subject.CHECK) or variant == "recorded-head"
        return Cell(source=source, tests="head" if own else "base")

    def _limit(self, subject: Subject, variant: Variant) -> float | None:
        """Return how long an altered program may take: what is taken out of it may be what ends a loop.

        It is measured at one run that is over by then, whatever else is at work: else the same would have another id
        when a proof goes on. What is about the base alone depends on nothing else, and is found again in the cache.
        """
        if variant not in _ALTERED:
            return None
        about_base = self.cell(subject, variant) == _BASE
        first = self.book.first(subject, "base" if about_base else "head")
        return None if first is None else max(_SHORTEST, _PATIENCE * first.evidence.seconds)

    def _commit(self, cell: Cell) -> str:
        claim = self._base_facts.case.claim
        return claim.base if cell.source == "base" else claim.head

    async def _tree(self, subject: Subject, variant: Variant, cell: Cell) -> str:
        if not variant.startswith("null"):
            return await self.git.write_tree(await asyncio.to_thread(self.layout.tree, cell, subject), {})
        null: Null = "raise" if variant == "null-raise" else "return"
        kind = self._base_facts.case.claim.draft.kind
        tree, fresh = await asyncio.to_thread(self.layout.null_tree, cell, subject, null, kind)
        return await self.git.write_tree(tree, fresh)

    async def _run(
        self,
        subject: Subject,
        variant: Variant,
        order: Order,
        *,
        alone: bool = False,
        check: str | None = None,
        part: str = "",
        shard: int | None = None,
    ) -> None:
        evidence = await self._in_time(self._placed(subject, variant, order))
        if evidence is None:
            spare = subject is Subject.PROBE or (variant.startswith("twin") and self._base_facts.level == "C")
            needed = variant in NEEDED and not spare
            self._left_out[LeftOut(what=f"{order.purpose} (program of {order.cell.source})", needed=needed)] = None
            return
        self.evidence[evidence.id] = evidence
        self._raisers |= {o.raised_in for o in evidence.outcomes if o.raised_in}
        trial = Trial(
            subject=subject,
            variant=variant,
            part=part,
            replicate=order.replicate,
            alone=alone,
            check=check,
            shard=shard,
            evidence=evidence.id,
        )
        if trial not in self._trials:
            self._trials.append(trial)

    def _placed(self, subject: Subject, variant: Variant, order: Order) -> Order:
        """Return an order with the image that its program needs; a judge outside keeps the base's for trusted tests."""
        if self.image is None or variant in _ON_BASE_IMAGE:
            return order
        apart = order.worker is not None and subject is not Subject.BROUGHT
        worker = None if order.worker is None else self.image
        return replace(order, image=None if apart else self.image, worker_image=worker)

    async def _in_time(self, order: Order) -> Evidence | None:
        """Return the evidence of an order; None where the deadline came first: what it cuts short shows nothing."""
        if self.deadline is None:
            return await self._execute(order)
        if not self.has_time():
            return await self._bench.recall(self._bench.identify(order))
        try:
            async with asyncio.timeout(max(0.0, self.deadline - time.monotonic())):
                return await self._execute(order)
        except TimeoutError:
            if self.has_time():
                raise
            return None

    async def _execute(self, order: Order) -> Evidence:
        about_base = order.cell == _BASE
        kept_between_runs = order.purpose.startswith(Subject.REGRESSION) or (order.probe and not order.probe.calls)
        if self._cache is None or not about_base or not kept_between_runs or order.image is not None:
            return await self._bench.execute(order)
        name = self._bench.identify(order)
        if await self._bench.recall(name) is None and (kept := await self._cache.find(name)) is not None:
            return await self._bench.adopt(kept)
        evidence = await self._bench.execute(order)
        await self._cache.keep(evidence)
        return evidence


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
