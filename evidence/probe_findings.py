"""What the probe found (S11): where both sides answer differently, and what of it refutes a refactoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from assay.evidence.expectations import Reading
from assay.evidence.facts import Book, Facts, Subject
from assay.evidence.probe_answers import UNASKED, UNSTEADY, Pair, compare, cut, read_answers
from assay.evidence.probe_calls import Call, recorded_functions
from assay.evidence.probe_dressed import calls_that_look, dressed_reasons, find_looks
from assay.evidence.probe_witness import program_of
from assay.evidence.witness import bear_witness
from assay.records.claims import ClaimKind
from assay.records.evidence import Evidence, Side
from assay.records.verdicts import Flag, Step, Witness

_MOST_SUSPECTED: Final = 20
"""Differing calls that are done again; one that reproduces is enough."""
_EXAMPLES: Final = 3

_Outcome = Literal["passed", "failed", "flagged", "not_run"]
_SIDES: Final[tuple[Side, ...]] = ("base", "head")


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What both sides answered."""

    pairs: tuple[Pair, ...]
    """Calls that can be compared."""
    unsteady: int
    """Calls that the base did not answer the same way each time."""
    incomparable: int
    """Calls that gave objects, or no answer."""
    unasked: int
    """Calls for which a side had no time."""

    @property
    def different(self) -> tuple[Pair, ...]:
        """Pairs that differ, by function; what a test itself called comes first."""
        found = [p for p in self.pairs if p.verdict != "same"]
        return tuple(sorted(found, key=lambda p: (p.verdict == "noted", not p.call.recorded, p.call.id)))

    def by_function(self) -> dict[str, list[Pair]]:
        """Return the differing pairs of each function."""
        found: dict[str, list[Pair]] = {}
        for pair in self.different:
            found.setdefault(pair.call.function, []).append(pair)
        return found


def is_probed(facts: Facts) -> bool:
    """Return whether a probe can say anything about a claim of this kind."""
    return bool(facts.program_changed) and facts.case.claim.draft.kind not in (ClaimKind.DOCS, ClaimKind.TESTS)


def _runs(book: Book, side: Side) -> Iterator[Reading]:
    runs = (*book.all(Subject.PROBE, side), *book.all(Subject.PROBE, side, part="again"))
    yield from (r for r in runs if r.whole)


def find(book: Book) -> Findings:
    """Return what was found in all executions of both sides together."""
    base, head = (read_answers(r.evidence for r in _runs(book, side)) for side in _SIDES)
    pairs: list[Pair] = []
    unsteady = incomparable = unasked = 0
    for number in sorted(base.calls.keys() & head.calls.keys()):
        call, before, now = base.calls[number], base.answers[number], head.answers[number]
        if UNASKED in (before, now):
            unasked += 1
        elif before == UNSTEADY:
            unsteady += 1
        elif (verdict := compare(before, now, call)) is None:
            incomparable += 1
        else:
            pairs.append(Pair(call=call, base=before, head=now, verdict=verdict))
    return Findings(pairs=tuple(pairs), unsteady=unsteady, incomparable=incomparable, unasked=unasked)


def suspected_calls(book: Book) -> tuple[Call, ...]:
    """Return calls whose answers differ, one of each function before a second of any."""
    groups = [[p.call for p in pairs if p.verdict == "different"] for pairs in find(book).by_function().values()]
    longest = max(map(len, groups), default=0)
    ranked = [calls[n] for n in range(longest) for calls in groups if n < len(calls)]
    return tuple(ranked[:_MOST_SUSPECTED])


def contradicting_calls(book: Book) -> Iterator[tuple[str, Witness]]:
    """Yield, for a refactoring, one call of each function that reproducibly answers something else with the change."""
    if book.facts.case.claim.draft.kind is not ClaimKind.REFACTOR:
        return
    again = [book.all(Subject.PROBE, side, part="again") for side in _SIDES]
    if any(len([r for r in runs if r.whole]) < book.facts.replicates for runs in again):
        return
    asked = {c for runs in again for r in runs for c in read_answers([r.evidence]).calls}
    shown = again[1][0].evidence
    for name, pairs in find(book).by_function().items():
        pair = next((p for p in pairs if p.verdict == "different" and p.call.id in asked), None)
        if pair is not None and not _is_declared(pair.call, book.facts):
            yield _contradiction(name, pair, shown, book)


def _contradiction(name: str, pair: Pair, shown: Evidence, book: Book) -> tuple[str, Witness]:
    before, now = map(cut, pair.shown)
    environment = {**shown.environment, "PYTHONPATH": ":".join(_paths(book))}
    witness = bear_witness(
        shown.model_copy(update={"argv": ("python3", "-B", "-c", program_of(pair.call)), "environment": environment}),
        book.facts.project,
        test=None,
        expected=f"{cut(pair.call.text)} {before}, as at the base",
        got=f"{cut(pair.call.text)} {now}",
        reproduced=book.facts.replicates,
    )
    return f"a refactoring keeps behaviour, and {name} changes it: {_example(pair)}", witness


def _paths(book: Book) -> tuple[str, ...]:
    noted = book.first(Subject.PROBE, "recorded")
    return recorded_functions(noted.evidence)[1] if noted is not None else ()


def changed_behaviour(book: Book) -> tuple[Flag, ...]:
    """Return a flag for each function that answers something else with the change, with examples."""
    flags: list[Flag] = []
    for name, pairs in find(book).by_function().items():
        call = pairs[0].call
        if _is_declared(call, book.facts):
            where = ", as the claim says"
        elif call.file in book.facts.program_changed:
            where = ""
        else:
            where = ", in a file that the change does not touch"
        examples = "; ".join(_example(p) for p in pairs[:_EXAMPLES])
        more = f"; and {len(pairs) - _EXAMPLES} more calls" if len(pairs) > _EXAMPLES else ""
        text = f"{name} answers differently{where}: {examples}{more}"
        flags.append(Flag(kind="behaviour-changed", path=call.file, line=call.line, text=text))
    return tuple(flags)


def probe_step(book: Book) -> Step | None:
    """Return how the probe went; None where there was none to be done."""
    noted = book.first(Subject.PROBE, "recorded")
    if noted is None:
        return None
    evidence = book.evidence_of(Subject.PROBE)
    outcome, reasons = _went(book, noted)
    looks = find_looks(book)
    if any(True for _ in calls_that_look(book)):
        outcome = "failed"
    elif looks.by_function() and outcome != "failed":
        outcome = "flagged"
    elif looks.pairs and outcome == "not_run":
        outcome = "passed"
    return Step(
        id="S11",
        title="Differential probe",
        outcome=outcome,
        reasons=(*reasons, *dressed_reasons(book)),
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _went(book: Book, noted: Reading) -> tuple[_Outcome, tuple[str, ...]]:
    if not noted.whole:
        return "not_run", (f"no calls were noted: {noted.got('')}",)
    functions, _, unnamed = recorded_functions(noted.evidence)
    left_out = sum(f.left_out for f in functions)
    unheard = f"{left_out} calls with objects among their arguments, and {unnamed} functions without a public name"
    sides = [book.first(Subject.PROBE, side) for side in _SIDES]
    if all(side is None for side in sides):
        return "not_run", (f"the base's tests call no public function with plain values; left out: {unheard}",)
    if lame := [side for side in sides if side is None or not side.whole]:
        why = "a side is not there" if lame[0] is None else lame[0].got("")
        return "not_run", (f"the calls could not be done again: {why}",)
    found = find(book)
    by_function = found.by_function()
    count = len({p.call.function for p in found.pairs})
    reasons = [
        f"{count} functions, {len(found.pairs)} calls of the base's tests and variations of them: "
        f"{len(found.different)} in {len(by_function)} functions answer differently with the change",
        f"dropped: {found.unsteady} calls that do not answer the same each time, {found.incomparable} whose answers "
        f"cannot be compared; left out: {unheard}",
        *([f"for want of time, {found.unasked} calls were not asked"] if found.unasked else []),
        *(_example(pairs[0]) for pairs in list(by_function.values())[:_EXAMPLES]),
    ]
    refuted = any(True for _ in contradicting_calls(book))
    return "failed" if refuted else "flagged" if by_function else "passed", tuple(reasons)


def _is_declared(call: Call, facts: Facts) -> bool:
    """Return whether the claim names this function as one that behaves differently now."""
    named = (n.split("(")[0].strip().replace(":", ".") for n in facts.case.claim.draft.behaviour_changed)
    return any(n and f".{call.function}".endswith(f".{n}") for n in named)


def _example(pair: Pair) -> str:
    before, now = pair.shown
    return f"{cut(pair.call.text)} {cut(before)} at the base, and {cut(now)} with the change"
