"""S11: the differential probe. Calls that the base's tests make, and variations of them, are done on base and head.

Defeats behaviour that changes where no assertion looks: an edge that no test asks for, a function that the claim does
not name. For a refactoring a difference that reproduces refutes; for everything else a person sees it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from assay.evidence.facts import Subject
from assay.evidence.imports import files_with_sets, importers
from assay.evidence.probe_calls import Call, Function, Probe, calls_to_do, recorded_functions
from assay.evidence.probe_findings import is_probed, suspected_calls
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.records.claims import ClaimKind
from assay.records.evidence import Cell, Side
from assay.records.trees import Tree

_PASSES: Final = 2
_PASSES_AGAIN: Final = 4
"""Processes, each with another hash seed, that do a call in one sandbox; more where it is about to refute."""


async def run_probe(trials: Trials, most: int) -> None:
    """Note calls at the base, do them again at both sides, and do what differs in a refactoring again and again.

    Args:
        trials: where it is executed.
        most: functions whose calls are done again; 0 does nothing.
    """
    facts, layout = trials.facts, trials.layout
    if not most or not is_probed(facts):
        return
    base, head = layout.program("base"), layout.program("head")
    with_tests = layout.tree(Cell(source="base", tests="base"), Subject.VISIBLE)
    await trials.probe("recorded", with_tests, Probe(files=tuple(sorted(p for p in base if p.endswith(".py")))))
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


def _choose(trials: Trials, functions: tuple[Function, ...], most: int) -> tuple[Call, ...]:
    """Return the calls to do, of the functions nearest to the change: in its own files, then in what imports them."""
    layout, changed = trials.layout, frozenset(trials.facts.program_changed)
    base, head = layout.program("base"), layout.program("head")
    sources = layout.division.python_of_program(base, tuple(base))
    near = importers(sources, changed)
    ranked = sorted(functions, key=lambda f: (f.file not in changed, f.file not in near, f.file, f.line, f.name))
    sets = files_with_sets(sources) | files_with_sets(layout.division.python_of_program(head, tuple(head)))
    return calls_to_do(ranked[:most], trials.facts.tree, sets)
