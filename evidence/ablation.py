"""S13: each part of the change is taken out, and some check has to notice.

Defeats changes of which a part is tried by nothing, and tests that look away from what they are said to show. What no
check needs is listed line by line. Which test executes which part is seen in one run in which the judge watches; parts
that no test has in common are taken out together, and what nobody seems to need all at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from assay.evidence.changed_lines import Executable, changed_statements, drawn
from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, ChangedPart, ChangedStatement, Facts, Subject
from assay.evidence.grounds import Open
from assay.evidence.layout import Layout
from assay.evidence.matrix import needed_ids
from assay.evidence.parts import Edit, apply, split_change
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.records.claims import ClaimKind
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id

_FEW: Final = 25
"""Tests that are asked first about a part: those that execute the fewest parts."""
_AT_ONCE: Final = 2
_MOST_STATEMENTS: Final = 400
"""Statements of which it is told which tests execute them; of more a sample."""
_WIDEST: Final = 160
"""Characters of a line that a person is shown."""
_KINDS: Final = frozenset({ClaimKind.FIX, ClaimKind.FEATURE})
_SOME: Final = "some"
_ALL: Final = "all"
_SUBJECTS: Final = (Subject.HELD_OUT, Subject.VISIBLE, Subject.BROUGHT, Subject.REGRESSION)


class Ablation:
    """Takes parts out and keeps count of how often.

    Args:
        trials: where it is executed.
        most: executions that may be made.
        deadline: seconds on the monotonic clock after which nothing more is begun.
    """

    def __init__(self, trials: Trials, most: int, deadline: float | None) -> None:
        self._trials = trials
        self._left = most
        self._deadline = deadline
        self._subject = subject_of_ablation(trials.book)
        self._modules: tuple[str, ...] = ()
        self._edits: dict[str, Edit] = {}
        self._lines: dict[str, list[bytes]] = {}
        self._statements: dict[str, Executable] = {}

    async def run(self) -> None:
        """Split the change, watch its tests once, and take its parts out."""
        parts = await asyncio.to_thread(self._split)
        if not parts or not self._may_go_on(1):
            return
        self._modules = self._chosen_modules()
        self._left -= 1
        await self._trials.suite(self._subject, "covered", modules=self._modules, trace=self._trace())
        book = self._trials.book
        if not reference_ids(book):
            return
        for wave in _pairs(_groups(book)):
            if self._may_go_on(len(wave)):
                self._left -= len(wave)
                await together(*(self._take_out(_SOME, parts, tests) for parts, tests in wave))
        book = self._trials.book
        needed = needed_parts(book)
        await self._halve([p.id for p in parts if p.id not in needed])

    def _may_go_on(self, count: int) -> bool:
        in_time = self._deadline is None or time.monotonic() < self._deadline
        return in_time and self._left >= count

    def _split(self) -> tuple[ChangedPart, ...]:
        """Note the parts of the change, and what of it can be executed."""
        layout, facts = self._trials.layout, self._trials.facts
        before, after = changed_python(layout, facts)
        edits = split_change(facts.program_changed, layout.base, layout.head, before, after)
        self._edits = {str(number): edit for number, edit in enumerate(edits)}
        self._lines = {path: data.splitlines(keepends=True) for path, data in after.items()}
        texts = {i: self._text(e.path, range(e.first, e.last + 1)) for i, e in self._edits.items()}
        parts = tuple(
            ChangedPart(id=i, path=e.path, first=e.first, last=e.last, text=texts[i]) for i, e in self._edits.items()
        )
        executables = changed_statements(before, after)
        self._statements = drawn(executables, _MOST_STATEMENTS, facts.secret)
        statements = tuple(
            ChangedStatement(id=i, path=e.path, lines=e.changed, text=self._text(e.path, e.changed))
            for i, e in self._statements.items()
        )
        left_out = len(executables) - len(statements)
        self._trials.note(parts=parts, statements=statements, statements_left_out=left_out)
        return parts

    def _text(self, path: str, numbers: Iterable[int]) -> tuple[str, ...]:
        held = self._lines.get(path, [])
        return tuple(held[n - 1].decode(errors="replace").strip()[:_WIDEST] for n in numbers if n <= len(held))

    def _trace(self) -> tuple[tuple[str, tuple[tuple[int, int, str], ...]], ...]:
        ranges: dict[str, list[tuple[int, int, str]]] = {}
        for name, edit in self._edits.items():
            if not edit.whole:
                first, last = (edit.first, edit.last) if edit.last >= edit.first else (edit.last, edit.first)
                ranges.setdefault(edit.path, []).append((max(1, first), last, name))
        for name, one in self._statements.items():
            ranges.setdefault(one.path, []).append((one.first, one.last, name))
        return tuple((path, tuple(held)) for path, held in sorted(ranges.items()))

    def _chosen_modules(self) -> tuple[str, ...]:
        """Return the test files to run: trusted ones beside those of the base; nothing in particular without them."""
        if self._subject not in (Subject.HELD_OUT, Subject.VISIBLE):
            return ()
        layout, ids = self._trials.layout, needed_ids(self._trials.book)
        found = {*layout.modules(Subject.VISIBLE, ids), *layout.modules(self._subject, ())}
        return tuple(sorted(found))

    async def _take_out(self, kind: str, parts: Sequence[str], tests: Mapping[str, Sequence[str]]) -> None:
        trials = self._trials
        files, fresh = await asyncio.to_thread(self._without, parts)
        cell = trials.cell(self._subject, "ablated")
        tree = await asyncio.to_thread(trials.layout.altered_tree, cell, self._subject, files)
        select = tuple(sorted({i for ids in tests.values() for i in ids}))
        whole = kind == _ALL
        await trials.suite(
            self._subject,
            "ablated",
            tree=await trials.git.write_tree(tree, fresh),
            part=f"{kind}:{','.join(parts)}",
            modules=self._modules if whole else trials.layout.modules(self._subject, select),
            select=select,
            until=(select,) if whole else tuple(tuple(ids) for ids in tests.values()),
            arguments=("--tb=no",),
        )

    def _without(self, parts: Sequence[str]) -> tuple[dict[str, TreeFile | None], dict[str, bytes]]:
        edits = [self._edits[p] for p in parts]
        files: dict[str, TreeFile | None] = {e.path: e.file for e in edits if e.whole}
        fresh: dict[str, bytes] = {}
        head: Tree = self._trials.layout.head
        for path in dict.fromkeys(e.path for e in edits if not e.whole):
            data = apply(self._lines[path], [e for e in edits if e.path == path])
            fresh[blob_id(data)] = data
            files[path] = TreeFile(head[path].mode if path in head else REGULAR, blob_id(data))
        return files, fresh

    async def _halve(self, parts: list[str]) -> None:
        """Take out parts all at once; where somebody notices, each half by itself."""
        if not parts or not self._may_go_on(1):
            return
        self._left -= 1
        await self._take_out(_ALL, parts, {"": reference_ids(self._trials.book)})
        if len(parts) > 1 and _noticed_by_anyone(self._trials.book, f"{_ALL}:{','.join(parts)}"):
            middle = len(parts) // 2
            await self._halve(parts[:middle])
            await self._halve(parts[middle:])


async def run_ablation(trials: Trials, most: int, deadline: float | None = None) -> None:
    """Take out the parts of a fix or a feature that is not refuted, in `most` executions at the most.

    What a refactoring does can be taken back, part by part, without anybody's noticing: that is its claim.

    Args:
        trials: where it is executed.
        most: executions; none where it is 0.
        deadline: seconds on the monotonic clock after which nothing more is begun.
    """
    draft = trials.facts.case.claim.draft
    if most and trials.facts.program_changed and draft.kind in _KINDS:
        await Ablation(trials, most, deadline).run()


def changed_python(layout: Layout, facts: Facts) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the Python files of the program that the change alters, as they are at the base and at the head."""
    read = layout.division.python_of_program
    return read(layout.base, facts.program_changed), read(layout.head, facts.program_changed)


def subject_of_ablation(book: Book) -> Subject:
    """Return whose tests have to notice: trusted ones with the base's; without any, the change's own suite."""
    return next((s for s in _SUBJECTS if book.first(s, "head") is not None), Subject.REGRESSION)


def reference_ids(book: Book) -> tuple[str, ...]:
    """Return the tests that pass while they are watched, and that nothing was taken out from."""
    covered = watched_run(book)
    return () if covered is None else tuple(i for i in covered.ids if covered.stand(i) is Standing.PASSED)


def watched_run(book: Book) -> Reading | None:
    """Return the run in which it was watched which test executes what."""
    return book.first(subject_of_ablation(book), "covered")


def touching_tests(book: Book) -> dict[str, tuple[str, ...]]:
    """Return the passing tests that execute something of each part and statement, those first that do little else."""
    covered = watched_run(book)
    if covered is None:
        return {}
    touched = covered.evidence.touched
    passing = set(reference_ids(book))
    names = [*(p.id for p in book.facts.parts), *(s.id for s in book.facts.statements)]
    found: dict[str, list[str]] = {name: [] for name in names}
    for test in sorted(touched.keys() & passing, key=lambda i: (len(touched[i]), i)):
        for part in touched[test]:
            if part in found:
                found[part].append(test)
    return {part: tuple(tests) for part, tests in found.items()}


_Group = tuple[list[str], dict[str, Sequence[str]]]
"""Parts that are taken out together, and the tests that are asked about each."""


def _groups(book: Book) -> list[_Group]:
    """Return parts together that no test has in common, so that it can be told which of them a test needs."""
    touched = touching_tests(book)
    touching = {p.id: touched[p.id] for p in book.facts.parts if touched.get(p.id)}
    made: list[tuple[_Group, set[str]]] = []
    for part in sorted(touching, key=lambda p: (len(touching[p]), int(p))):
        tests = set(touching[part])
        place = next((n for n, (_, seen) in enumerate(made) if not seen & tests), None)
        if place is None:
            made.append((([], {}), set()))
            place = len(made) - 1
        (parts, asked), seen = made[place]
        parts.append(part)
        asked[part] = touching[part][:_FEW]
        seen |= tests
    return [group for group, _ in made]


def _pairs(groups: list[_Group]) -> Iterator[list[_Group]]:
    for start in range(0, len(groups), _AT_ONCE):
        yield groups[start : start + _AT_ONCE]


def taken_out(book: Book) -> Iterator[tuple[str, tuple[str, ...], Reading]]:
    """Yield each execution in which parts were taken out: whom it asked, which parts, and how it went."""
    subject = subject_of_ablation(book)
    for place in book.parts(subject, "ablated"):
        kind, _, parts = place.partition(":")
        for reading in book.all(subject, "ablated", part=place):
            yield kind, tuple(parts.split(",")), reading


def needed_parts(book: Book) -> frozenset[str]:
    """Return the parts of which some check noticed that they were taken out."""
    reference = reference_ids(book)
    touching = {part: set(tests) for part, tests in touching_tests(book).items()}
    needed: set[str] = set()
    for kind, parts, reading in taken_out(book):
        if reading.evidence.ending is None:
            continue
        if len(parts) == 1 and _noticed(reading, reference):
            needed |= set(parts)
        elif kind == _SOME and reading.whole:
            failing = {o.id for o in reading.evidence.outcomes if _fails(reading, o.id)}
            needed |= {part for part in parts if failing & touching.get(part, set())}
    return frozenset(p.id for p in book.facts.parts if p.id in needed)


def _noticed(reading: Reading, tests: Sequence[str]) -> bool:
    return not reading.whole or any(_fails(reading, i) for i in tests)


def _fails(reading: Reading, test: str) -> bool:
    """Return whether a test failed; one that was not asked, or not any more, did not."""
    outcome = reading.outcome(test)
    return outcome is not None and reading.stand(test) not in (Standing.PASSED, Standing.MISSING)


def _noticed_by_anyone(book: Book, place: str) -> bool:
    readings = book.all(subject_of_ablation(book), "ablated", part=place)
    reference = reference_ids(book)
    return any(r.evidence.ending is not None and not _survives(r, reference) for r in readings)


def _survives(reading: Reading, ids: Sequence[str]) -> bool:
    """Return whether every test that passes with the whole change passes without something of it."""
    return reading.whole and bool(ids) and all(reading.stand(i) is Standing.PASSED for i in ids)


def unneeded_parts(book: Book) -> tuple[ChangedPart, ...]:
    """Return the parts without which every check passes as before."""
    reference, needed = reference_ids(book), needed_parts(book)
    survived = {p for kind, parts, r in taken_out(book) if kind == _ALL and _survives(r, reference) for p in parts}
    return tuple(p for p in book.facts.parts if p.id in survived and p.id not in needed)


def ablation_points(book: Book) -> Iterator[Open]:
    """Yield that no part of a fix or a feature is needed by any check, not even all of it together."""
    parts = book.facts.parts
    head = book.first(subject_of_ablation(book), "head")
    if not parts or head is None or any(_lost_by_watching(book, head)):
        return
    everything = [r for kind, taken, r in taken_out(book) if kind == _ALL and len(taken) == len(parts)]
    if everything and any(_survives(r, reference_ids(book)) for r in everything):
        yield Open(
            "every check passes as well without any part of the change",
            "Which test shows what the change of the program does?",
        )


def _lost_by_watching(book: Book, head: Reading) -> Iterator[str]:
    """Yield the tests that passed with the change and did not while they were watched: they were not asked."""
    asked = set(reference_ids(book))
    yield from (i for i in head.ids if head.stand(i) is Standing.PASSED and i not in asked)
