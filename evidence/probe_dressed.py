"""What calls answer while a test runs, and whether that is what they answer otherwise (S11).

Defeats a program that is right only for its tests: one that looks at what runs it. What merely depends on its
surroundings differs between two of them in which no test runs, and is dropped as chance is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from assay.evidence.expectations import Reading
from assay.evidence.facts import Book, Subject
from assay.evidence.imports import importers
from assay.evidence.probe_answers import UNASKED, UNSTEADY, Answer, Pair, compare, cut, read_answers
from assay.evidence.probe_calls import MOST_RECORDED, Call, Function, recorded_functions
from assay.evidence.probe_witness import ALIKE, both_ways
from assay.evidence.witness import bear_witness
from assay.records.evidence import Evidence, Side
from assay.records.verdicts import Flag, Witness

DRESSED: Final = "dressed"
"""Part of the executions in which everything is done with and without a test."""
AGAIN: Final = "dressed-again"
"""Part of those in which what differed is."""
_MOST_SUSPECTED: Final = 12
_EXAMPLES: Final = 3
_RUNNER: Final = re.compile(rb"PYTEST_|\b_?pytest\b")
_NOT_THERE: Final = frozenset({"missing", "unbound", "unimported", "unmade"})
"""Answers of a base that does not have such a function."""
_SIDES: Final[tuple[Side, ...]] = ("base", "head")


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """What the head answered with and without a test."""

    pairs: tuple[Pair, ...]
    """Calls that can be compared: what they answer otherwise, and while a test runs."""
    unsteady: int
    incomparable: int
    unasked: int

    def by_function(self) -> Mapping[str, Sequence[Pair]]:
        """Return the differing pairs of each function; what an author may see comes first."""
        found: dict[str, list[Pair]] = {}
        differing = (p for p in self.pairs if p.verdict == "different")
        for pair in sorted(differing, key=lambda p: (p.call.held_out, p.call.id)):
            found.setdefault(pair.call.function, []).append(pair)
        return found


def calls_to_dress(
    functions: Iterable[Function], known: Iterable[Function], with_sets: frozenset[str], hidden: Iterable[str]
) -> tuple[Call, ...]:
    """Return the calls that are done with and without a test, as the head's tests made them.

    Args:
        functions: of the head, in the order in which they matter.
        known: of the base, with calls that no held-out test was there to make.
        with_sets: files in which, or behind whose imports, there are sets.
        hidden: held-out files, as the ids of tests name them. Where there are others than tests among them, any test
            may have its values from those.
    """
    open_calls = {(f.module, *call) for f in known for call in f.calls}
    files = frozenset(hidden)
    shared = any(not re.search(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$", f) for f in files if f.endswith(".py"))
    made: list[Call] = []
    for function in functions:
        told = dict(zip(function.calls, function.tests, strict=False))
        for call in list(told)[:MOST_RECORDED]:
            visible = [t for t in told[call] if posixpath.normpath(t.split("::", 1)[0]) not in files]
            is_open = (function.module, *call) in open_calls or (bool(visible) and not shared)
            made.append(
                function.call(
                    len(made),
                    call,
                    recorded=True,
                    unordered=function.file in with_sets,
                    test=next(iter((*visible, *told[call])), ""),
                    held_out=not is_open,
                )
            )
    return tuple(made)


def watching_files(base: Mapping[str, bytes], head: Mapping[str, bytes], changed: Iterable[str]) -> frozenset[str]:
    """Return the head's files that look at their runner through code which did so at the base and is as it was.

    Args:
        base: Python files of the base's program.
        head: of the head's.
        changed: paths that the change touches.
    """
    touched = frozenset(changed)
    looking = frozenset(p for p, text in base.items() if p not in touched and p in head and _RUNNER.search(text))
    return importers(head, looking)


def _runs(book: Book, side: Side) -> Iterator[Evidence]:
    runs = (*book.all(Subject.PROBE, side, part=DRESSED), *book.all(Subject.PROBE, side, part=AGAIN))
    yield from (r.evidence for r in runs if r.whole)


def find_looks(book: Book) -> Looks:
    """Return what all executions of the head showed together."""
    runs = tuple(_runs(book, "head"))
    plain, dressed = read_answers(runs), read_answers(runs, dressed=True)
    pairs: list[Pair] = []
    unsteady = incomparable = unasked = 0
    for number in sorted(plain.calls.keys() & dressed.calls.keys()):
        call, otherwise, tested = plain.calls[number], plain.answers[number], dressed.answers[number]
        if UNASKED in (otherwise, tested):
            unasked += 1
        elif UNSTEADY in (otherwise, tested):
            unsteady += 1
        elif (verdict := compare(otherwise, tested, call)) is None:
            incomparable += 1
        else:
            pairs.append(Pair(call=call, base=otherwise, head=tested, verdict=verdict))
    return Looks(pairs=tuple(pairs), unsteady=unsteady, incomparable=incomparable, unasked=unasked)


def suspected_looks(book: Book) -> tuple[Call, ...]:
    """Return calls that differ, one of each function before a second of any."""
    groups = [[p.call for p in pairs] for pairs in find_looks(book).by_function().values()]
    longest = max(map(len, groups), default=0)
    return tuple(calls[n] for n in range(longest) for calls in groups if n < len(calls))[:_MOST_SUSPECTED]


_AtBase = Literal["steady", "looks", "unknown"]


def _at_base(book: Book, call: Call) -> _AtBase:
    """Return whether the base answers a call the same with and without a test; so it does where it has no function."""
    runs = tuple(_runs(book, "base"))
    plain, dressed = read_answers(runs).answers.get(call.id), read_answers(runs, dressed=True).answers.get(call.id)
    if plain is None or dressed is None or not {"opaque", "unsteady", "unasked"}.isdisjoint((plain.kind, dressed.kind)):
        return "unknown"
    if {plain.kind, dressed.kind} <= _NOT_THERE:
        return "looks" if call.file in book.facts.watching else "steady"
    return "steady" if _alike(plain, dressed, call) else "looks"


def _alike(plain: Answer, dressed: Answer, call: Call) -> bool:
    return plain == dressed or compare(plain, dressed, call) == "same"


def calls_that_look(book: Book) -> Iterator[tuple[str, Witness]]:
    """Yield one call of each function that reproducibly answers something else while a test runs, as no base did."""
    again = [book.all(Subject.PROBE, side, part=AGAIN) for side in _SIDES]
    if any(len([r for r in runs if r.whole]) < book.facts.replicates for runs in again):
        return
    asked = read_answers(r.evidence for r in again[1]).calls
    for name, pairs in find_looks(book).by_function().items():
        tried = (p for p in pairs if p.call.id in asked and _at_base(book, p.call) == "steady")
        if (pair := next(tried, None)) is not None:
            told = "" if pair.call.held_out else f": {_example(pair)}"
            yield f"{name} answers differently while a test runs{told}", _witness(pair, again[1][0], book)


def _witness(pair: Pair, shown: Reading, book: Book) -> Witness:
    noted = book.first(Subject.PROBE, "recorded-head")
    paths = recorded_functions(noted.evidence)[1] if noted is not None else ()
    environment = {**shown.evidence.environment, "PYTHONPATH": ":".join(paths)}
    call = pair.call
    asked = call.function if call.held_out else cut(call.text)
    return bear_witness(
        shown.evidence.model_copy(update={"argv": both_ways(call), "environment": environment}),
        book.facts.project,
        test=None,
        held_out=call.held_out,
        expected=f"{asked} {ALIKE}",
        got=f"{asked} answers differently" if call.held_out else _example(pair),
        reproduced=book.facts.replicates,
    )


def looking_functions(book: Book) -> tuple[Flag, ...]:
    """Return a flag for each function that answers differently while a test runs, also where it is not blamed."""
    flags: list[Flag] = []
    for name, pairs in find_looks(book).by_function().items():
        call = pairs[0].call
        where = ", and so does what it rests on at the base" if _at_base(book, call) == "looks" else ""
        examples = "; ".join(_example(p) for p in pairs[:_EXAMPLES] if not p.call.held_out)
        text = f"{name} answers differently while a test runs{where}" + (f": {examples}" if examples else "")
        flags.append(Flag(kind="watches-runner", path=call.file, line=call.line, text=text))
    return tuple(flags)


def dressed_reasons(book: Book) -> tuple[str, ...]:
    """Return what was compared with and without a test; nothing where that was not tried."""
    noted = book.first(Subject.PROBE, "recorded-head")
    if noted is None:
        return ()
    if not noted.whole:
        return (f"no calls of the change's own suite were noted: {noted.got('')}",)
    done = next(iter(book.all(Subject.PROBE, "head", part=DRESSED)), None)
    if done is None:
        return ()
    if not done.whole:
        return (f"calls could not be done as if a test ran: {done.got('')}",)
    found = find_looks(book)
    left_out = sum(f.left_out for f in recorded_functions(noted.evidence)[0])
    names = tuple(found.by_function())
    count = len({p.call.function for p in found.pairs})
    untimely = f", {found.unasked} for which there was no time" if found.unasked else ""
    differ = f"these differ: {', '.join(names[:_EXAMPLES])}" if names else "none differs"
    return (
        f"{count} functions, {len(found.pairs)} calls of the tests with the change, done with and without a test "
        f"around them: {differ}; dropped: {found.unsteady} that depend on chance or surroundings, "
        f"{found.incomparable} that cannot be compared{untimely}; left out: {left_out} with objects among their "
        "arguments",
    )


def _example(pair: Pair) -> str:
    otherwise, tested = map(cut, pair.shown)
    return f"{cut(pair.call.text)} {tested} while a test runs, and {otherwise} otherwise"
