"""S11: the differential probe. Calls that the base's tests make, and variations of them, are done on base and head.

Defeats behaviour that changes where no assertion looks: an edge that no test asks for, a function that the claim does
not name. For a refactoring a difference that reproduces refutes; for everything else a person sees it. And calls of the
head's tests are done at the head with and without a test around them, which defeats a program that is right only while
it is tested: for every kind of claim.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterable, Mapping
from typing import Final

from assay.evidence.facts import Subject
from assay.evidence.imports import files_with_sets, importers
from assay.evidence.probe_calls import Call, Function, Probe, calls_to_do, recorded_functions
from assay.evidence.probe_dressed import AGAIN, DRESSED, calls_to_dress, suspected_looks, watching_files
from assay.evidence.probe_findings import is_probed, suspected_calls
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.records.claims import ClaimKind
from assay.records.evidence import Cell, Evidence, Side
from assay.records.trees import Tree

_PASSES: Final = 2
_PASSES_AGAIN: Final = 4
"""Processes, each with another hash seed, that do a call in one sandbox; more where it is about to refute."""


async def run_probe(trials: Trials, most: int) -> None:
    """Note calls at both sides; do the base's again at both, and the head's as if a test ran and as if none did.

    Args:
        trials: where it is executed.
        most: functions whose calls are done again; 0 does nothing.
    """
    layout = trials.layout
    if not most or not is_probed(trials.facts):
        return
    with_tests = layout.tree(Cell(source="base", tests="base"), Subject.VISIBLE)
    own = layout.tree(Cell(source="head", tests="head"), Subject.HELD_OUT)
    base, head = (Probe(files=_python(layout.program(side))) for side in ("base", "head"))
    await together(trials.probe("recorded", with_tests, base), trials.probe("recorded-head", own, head))
    await together(_compare_sides(trials, most), _compare_dresses(trials, most))


def _python(tree: Tree) -> tuple[str, ...]:
    return tuple(sorted(p for p in tree if p.endswith(".py")))


async def _compare_sides(trials: Trials, most: int) -> None:
    """Do the base's calls again at both sides, and what differs in a refactoring again and again."""
    facts, layout = trials.facts, trials.layout
    base, head = layout.program("base"), layout.program("head")
    noted = trials.book.first(Subject.PROBE, "recorded")
    if noted is None or not noted.whole:
        return
    functions, paths, _ = recorded_functions(noted.evidence)
    calls = await asyncio.to_thread(_choose, trials, functions, most)
    if not calls:
        return
    probe = Probe(calls=calls, paths=paths, passes=_PASSES)
    await together(trials.probe("base", base, probe), trials.probe("head", head, probe))
    suspected = suspected_calls(trials.book)
    if not suspected:
        return
    times = facts.replicates if facts.case.claim.draft.kind is ClaimKind.REFACTOR else 1
    sides: tuple[tuple[Side, Tree], ...] = (("base", base), ("head", head))
    again = Probe(calls=suspected, paths=paths, passes=_PASSES_AGAIN)
    await together(
        *(
            trials.probe(side, tree, again, part="again", replicate=n)
            for n in range(1, times + 1)
            for side, tree in sides
        )
    )


async def _compare_dresses(trials: Trials, most: int) -> None:
    """Do the head's calls with and without a test around them, and what differs again and again, at the base too."""
    noted = trials.book.first(Subject.PROBE, "recorded-head")
    if noted is None or not noted.whole:
        return
    paths = recorded_functions(noted.evidence)[1]
    calls = await asyncio.to_thread(_choose_dressed, trials, noted.evidence, most)
    if not calls:
        return
    base, head = trials.layout.program("base"), trials.layout.program("head")
    probe = Probe(calls=calls, paths=paths, passes=_PASSES, dressed=True)
    await trials.probe("head", head, probe, part=DRESSED)
    suspected = suspected_looks(trials.book)
    if not suspected:
        return
    trials.note(watching=await asyncio.to_thread(_watching, trials))
    again = Probe(calls=suspected, paths=paths, passes=_PASSES_AGAIN, dressed=True)
    sides: tuple[tuple[Side, Tree], ...] = (("base", base), ("head", head))
    await together(
        *(
            trials.probe(side, tree, again, part=AGAIN, replicate=n)
            for n in range(1, trials.facts.replicates + 1)
            for side, tree in sides
        )
    )


def _sources(trials: Trials, side: Side) -> dict[str, bytes]:
    tree = trials.layout.program(side)
    return trials.layout.division.python_of_program(tree, tuple(tree))


def _watching(trials: Trials) -> frozenset[str]:
    return watching_files(_sources(trials, "base"), _sources(trials, "head"), trials.facts.program_changed)


def _rank(
    functions: Iterable[Function], sources: Mapping[str, bytes], changed: frozenset[str], most: int
) -> list[Function]:
    """Return so many functions: those in changed files first, then those in what imports them."""
    near = importers(sources, changed)
    return sorted(functions, key=lambda f: (f.file not in changed, f.file not in near, f.file, f.line, f.name))[:most]


def _choose_dressed(trials: Trials, noted: Evidence, most: int) -> tuple[Call, ...]:
    """Return the calls of the head's tests that are done with and without a test."""
    known = trials.book.first(Subject.PROBE, "recorded")
    before = recorded_functions(known.evidence)[0] if known is not None and known.whole else ()
    sources = _sources(trials, "head")
    ranked = _rank(recorded_functions(noted)[0], sources, frozenset(trials.facts.program_changed), most)
    root = posixpath.normpath(trials.facts.project.root)
    hidden = (posixpath.relpath(path, root) for path in trials.layout.held_out)
    return calls_to_dress(ranked, before, files_with_sets(sources), hidden)


def _choose(trials: Trials, functions: tuple[Function, ...], most: int) -> tuple[Call, ...]:
    """Return the calls to do, of the functions nearest to the change: in its own files, then in what imports them."""
    sources = _sources(trials, "base")
    ranked = _rank(functions, sources, frozenset(trials.facts.program_changed), most)
    sets = files_with_sets(sources) | files_with_sets(_sources(trials, "head"))
    return calls_to_do(ranked, trials.facts.tree, sets)
