"""S13: one small thing on a changed line is otherwise, and some check has to notice.

Defeats tests that execute what the change wrote and hold nothing against it. All mutants lie in one tree, and each is
tried in a process of its own, by the tests that were seen to execute its statement. Mutants that survive inform:
nothing is refuted by one, and nothing is open for its sake. So a program that finds the switch gains no verdict by it;
it can hide what its tests do not see.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from assay.evidence.ablation import (
    changed_python,
    reference_ids,
    subject_of_ablation,
    touching_tests,
    unneeded_parts,
    watched_run,
)
from assay.evidence.changed_lines import Executable, changed_statements
from assay.evidence.facts import Book, Mutant
from assay.evidence.mutants import OPERATORS, Mutation, mutations_of
from assay.evidence.probe_calls import Probe, TriedMutant
from assay.evidence.schemata import switch_name, switch_source, weave
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.records.base import digest_of
from assay.records.trees import REGULAR, TreeFile, blob_id

_MOST_TESTS: Final = 100
"""Tests that are asked about one mutant."""
_MOST_SECONDS: Final = 10.0
"""Seconds that they may take together."""
_BATCH: Final = 20
"""Mutants of one execution."""
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried, and with which program."""

    mutants: tuple[Mutant, ...]
    left_out: int
    early: frozenset[int]
    """Mutants of what is executed while modules are imported."""
    files: Mapping[str, bytes]
    """The program's files that hold mutants, and the switch."""


async def run_mutants(trials: Trials, most: int) -> None:
    """Try at most `most` mutants of changed lines, in as many executions as it takes twenty at a time.

    It goes by the run in which ablation watched the tests, and is nothing without that. Batches for which there is no
    time are left out.
    """
    if not most or not reference_ids(trials.book):
        return
    plan = await asyncio.to_thread(plan_mutants, trials, most)
    trials.note(mutants=plan.mutants, mutants_left_out=plan.left_out)
    batches = [plan.mutants[n : n + _BATCH] for n in range(0, len(plan.mutants), _BATCH)]
    if not batches or not trials.has_time():
        return
    tree = await _lay_down(trials, plan)
    for start in range(0, len(batches), _AT_ONCE):
        if trials.has_time():
            await together(*(_try(trials, plan, tree, batch) for batch in batches[start : start + _AT_ONCE]))


@dataclass(frozen=True, slots=True)
class _Offer:
    statement: str
    one: Executable
    mutation: Mutation
    place: int
    """How many of the same statement are more telling."""


def plan_mutants(trials: Trials, most: int) -> Plan:
    """Return which mutants are tried: one of each statement before a second of any, the telling ones first."""
    book, secret = trials.book, trials.facts.secret
    early = imported_statements(book)
    asked = {name: chosen for name, chosen in asked_tests(book, early).items() if chosen[0]}
    spared = {(p.path, n) for p in unneeded_parts(book) for n in range(p.first, p.last + 1)}
    before, after = changed_python(trials.layout, trials.facts)
    executables = {f"s{number}": one for number, one in enumerate(changed_statements(before, after))}
    offers = [o for name in asked for o in _offers(name, executables[name], spared)]
    drawn = sorted(offers, key=lambda o: (o.place, digest_of([secret, o.one.path, o.statement])))[:most]
    drawn.sort(key=lambda o: (o.statement not in early, o.one.path, o.one.first, o.place))
    numbered, files = _woven(dict(enumerate(drawn, start=1)), secret)
    mutants = tuple(
        Mutant(
            id=number,
            statement=o.statement,
            path=o.one.path,
            line=o.mutation.line,
            operator=o.mutation.operator,
            before=o.mutation.before,
            after=o.mutation.after,
            tests=asked[o.statement][0],
            everybody=asked[o.statement][1],
        )
        for number, o in numbered.items()
    )
    chosen = frozenset(m.id for m in mutants if m.statement in early)
    return Plan(mutants, len(offers) - len(mutants), chosen, files)


def _offers(name: str, one: Executable, spared: Collection[tuple[str, int]]) -> Iterator[_Offer]:
    """Yield the mutations of a statement, but of lines that no check needs anyway."""
    found = [m for m in mutations_of(one) if (one.path, m.line) not in spared]
    found.sort(key=lambda m: OPERATORS.index(m.operator))
    yield from (_Offer(name, one, mutation, place) for place, mutation in enumerate(found))


def _woven(offers: Mapping[int, _Offer], secret: str) -> tuple[dict[int, _Offer], dict[str, bytes]]:
    """Return the files that hold these mutants, and the mutants that they hold."""
    files: dict[str, bytes] = {}
    held: dict[int, _Offer] = {}
    for path in dict.fromkeys(o.one.path for o in offers.values()):
        mine = {number: o for number, o in offers.items() if o.one.path == path}
        tree = next(iter(mine.values())).one.tree
        text = weave(tree, {number: o.mutation for number, o in mine.items()}, secret)
        if text is not None:
            files[path] = text
            held |= mine
    return dict(sorted(held.items())), files


def imported_statements(book: Book) -> frozenset[str]:
    """Return the statements that were executed while tests were collected: when modules are imported."""
    watched = watched_run(book)
    return frozenset(() if watched is None else watched.evidence.touched.get("", ()))


def asked_tests(book: Book, imported: Collection[str]) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Return the tests that are asked about mutants of each statement, and whether those are all that could notice.

    It is those that execute it, the ones first that execute little else. What is executed when modules are imported may
    show in any test, those first that execute something of the same file.
    """
    watched, touching, everybody = watched_run(book), touching_tests(book), reference_ids(book)
    seconds = {} if watched is None else {o.id: o.seconds for o in watched.evidence.outcomes}
    beside: dict[str, list[str]] = {}
    for one in book.facts.statements:
        beside.setdefault(one.path, []).extend(touching.get(one.id, ())[:_MOST_TESTS])
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    for one in book.facts.statements:
        able = touching.get(one.id, ())
        if one.id in imported:
            chosen = _first(chain(able, beside[one.path], everybody), seconds)
            found[one.id] = chosen, len(chosen) == len(everybody)
        else:
            chosen = _first(able, seconds)
            found[one.id] = chosen, len(chosen) == len(able)
    return found


def _first(tests: Iterable[str], seconds: Mapping[str, float]) -> tuple[str, ...]:
    """Return the first of these tests, as many as may be asked."""
    chosen: dict[str, None] = {}
    left = _MOST_SECONDS
    for test in tests:
        if test not in chosen:
            left -= seconds.get(test, 0.0)
            if len(chosen) == _MOST_TESTS or (chosen and left < 0):
                break
            chosen[test] = None
    return tuple(chosen)


async def _lay_down(trials: Trials, plan: Plan) -> str:
    """Write the tree that holds every mutant, and return it."""
    project, secret = trials.layout.project, trials.facts.secret
    root = project.source_roots[0] if project.source_roots else "."
    switch = posixpath.normpath(posixpath.join(project.root, root, f"{switch_name(secret)}.py"))
    laid = {**plan.files, switch: switch_source(secret)}
    subject = subject_of_ablation(trials.book)
    files = {path: TreeFile(REGULAR, blob_id(data)) for path, data in laid.items()}
    tree = await asyncio.to_thread(trials.layout.altered_tree, trials.cell(subject, "mutated"), subject, files)
    return await trials.git.write_tree(tree, {blob_id(data): data for data in laid.values()})


async def _try(trials: Trials, plan: Plan, tree: str, batch: Sequence[Mutant]) -> None:
    subject = subject_of_ablation(trials.book)
    tests = tuple(sorted({t for m in batch for t in m.tests}))
    place = {test: number for number, test in enumerate(tests)}
    tried = tuple(TriedMutant(id=m.id, early=m.id in plan.early, tests=tuple(place[t] for t in m.tests)) for m in batch)
    await trials.suite(
        subject,
        "mutated",
        tree=tree,
        part=f"{batch[0].id}-{batch[-1].id}",
        modules=trials.layout.modules(subject, tests),
        select=tests,
        arguments=("--tb=no",),
        probe=Probe(mutants=tried, tests=tests, switch=switch_name(trials.facts.secret)),
    )
