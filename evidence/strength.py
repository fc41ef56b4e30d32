"""S13 as it went: which changed lines no check executes, needs, or tells from others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from assay.evidence.ablation import (
    needed_parts,
    reference_ids,
    subject_of_ablation,
    taken_out,
    unneeded_parts,
    watched_run,
)
from assay.evidence.expectations import Reading
from assay.evidence.facts import Book, ChangedPart, ChangedStatement, Mutant
from assay.records.unproven import UnprovenLine, Why
from assay.records.verdicts import Step

Ended = Literal["killed", "timeout", "survived", "undecided"]
"""How a mutant ended: some test failed; it took too long, which is noticed, too; no test failed; it is not known."""

_SHOWN: Final = 3
"""Mutants of one line that a person is told of, the most telling ones."""


def mutant_ends(book: Book) -> dict[int, Ended]:
    """Return how each mutant ended.

    A survivor counts only where every test that could notice was asked, passes in such a process without a mutant, and
    where a test that must fail was seen failing in one.
    """
    known: dict[int, Ended] = dict.fromkeys((m.id for m in book.facts.mutants), "undecided")
    mutants = {m.id: m for m in book.facts.mutants}
    subject = subject_of_ablation(book)
    for part in book.parts(subject, "mutated"):
        for reading in book.all(subject, "mutated", part=part):
            said = _observed(reading)
            sound = reading.whole and any(line.get("control") == "fails" and line.get("seen") is True for line in said)
            unfit = {str(t) for line in said for t in line.get("unfit", ())}
            for line in said if sound else ():
                mutant = mutants.get(line.get("mutant", 0))
                if mutant is not None:
                    known[mutant.id] = _ended(mutant, line.get("ended"), unfit)
    return known


def _ended(mutant: Mutant, said: object, unfit: set[str]) -> Ended:
    match said:
        case "killed" | "timeout":
            return "killed" if said == "killed" else "timeout"
        case "survived" if mutant.everybody and not unfit.intersection(mutant.tests):
            return "survived"
        case _:
            return "undecided"


def _observed(reading: Reading) -> list[dict[str, Any]]:
    lines = reading.evidence.observed.split("\n")
    return [said for line in lines if line for said in [json.loads(line)] if isinstance(said, dict)]


@dataclass(frozen=True, slots=True)
class Strength:
    """What is known of the changed lines."""

    needed: frozenset[str]
    """Parts that some check needs."""
    unneeded: tuple[ChangedPart, ...]
    executed: frozenset[str] | None
    """Statements that some test was seen to execute; None where nothing could be seen."""
    unexecuted: tuple[ChangedStatement, ...]
    ends: Mapping[int, Ended]
    """How each mutant ended."""


def measure(book: Book) -> Strength:
    """Return what the executions of S13 show."""
    watched, unneeded = watched_run(book), unneeded_parts(book)
    seen: frozenset[str] | None = None
    if watched is not None and watched.whole and reference_ids(book):
        seen = frozenset(name for names in watched.evidence.touched.values() for name in names)
    return Strength(
        needed=needed_parts(book),
        unneeded=unneeded,
        executed=None if seen is None else seen & {s.id for s in book.facts.statements},
        unexecuted=() if seen is None else tuple(_unexecuted(book, seen, unneeded)),
        ends=mutant_ends(book),
    )


def _unexecuted(book: Book, seen: frozenset[str], idle: tuple[ChangedPart, ...]) -> Iterator[ChangedStatement]:
    """Yield the changed statements that no test executes.

    A process that a test starts is not watched. Where something of a file is not seen to be executed and was not shown
    to be idle either, such a process may execute the rest of that file, too.
    """
    elsewhere = {p.path for p in book.facts.parts if p.id not in seen and p.last >= p.first and p not in idle}
    for one in book.facts.statements:
        if one.id not in seen:
            alone = any(p.path == one.path and p.first <= n <= p.last for p in idle for n in one.lines)
            if alone or one.path not in elsewhere:
                yield one


def unproven_lines(book: Book) -> tuple[UnprovenLine, ...]:
    """Return each changed line that could be otherwise without any check's noticing, by file and line."""
    found: dict[tuple[str, int], UnprovenLine] = {}
    known = measure(book)
    for line in (*_idle_lines(known.unexecuted), *_spare_lines(known.unneeded), *_changeable_lines(book, known.ends)):
        found.setdefault((line.path, line.line), line)
    return tuple(found[place] for place in sorted(found))


def _idle_lines(statements: Iterable[ChangedStatement]) -> Iterator[UnprovenLine]:
    for one in statements:
        for number, line in enumerate(one.lines):
            yield UnprovenLine(path=one.path, line=line, why="unexecuted", text=_text(one.text, number))


def _spare_lines(parts: Iterable[ChangedPart]) -> Iterator[UnprovenLine]:
    """Yield the lines of what can be taken out; blank ones and comments beside others are nothing to prove."""
    for part in parts:
        why: Why = "removable" if part.last >= part.first else "restorable"
        lines = [(n, _text(part.text, n - part.first)) for n in range(part.first, max(part.first, part.last) + 1)]
        telling = [(n, text) for n, text in lines if text and not text.startswith("#")]
        for number, text in telling or lines:
            yield UnprovenLine(path=part.path, line=number, why=why, text=text)


def _changeable_lines(book: Book, ends: Mapping[int, Ended]) -> Iterator[UnprovenLine]:
    texts = {(s.path, n): _text(s.text, at) for s in book.facts.statements for at, n in enumerate(s.lines)}
    found: dict[tuple[str, int], list[Mutant]] = {}
    for mutant in book.facts.mutants:
        if ends[mutant.id] == "survived":
            found.setdefault((mutant.path, mutant.line), []).append(mutant)
    for (path, line), mutants in found.items():
        changes = tuple(dict.fromkeys((m.before, m.after) for m in mutants))[:_SHOWN]
        yield UnprovenLine(path=path, line=line, why="changeable", changes=changes, text=texts.get((path, line), ""))


def _text(lines: tuple[str, ...], number: int) -> str:
    return lines[number] if number < len(lines) else ""


def strength_step(book: Book) -> Step | None:
    """Return S13 as it went; None where there was nothing to take out."""
    parts, known = book.facts.parts, measure(book)
    if not parts:
        return None
    count = sum(1 for _ in taken_out(book))
    needed, unneeded = len(known.needed), len(known.unneeded)
    reasons = [f"{len(parts)} parts of the change, {count} executions without some: {needed} parts are needed"]
    if unneeded:
        reasons.append(f"{unneeded} parts are needed by no check: their lines are unproven")
    if not reference_ids(book):
        reasons.append("no test passed while it was watched, so nothing could be told")
    elif left := len(parts) - needed - unneeded:
        reasons.append(f"left out: {left} parts, for the bound of executions or of time was reached, or one was lost")
    reasons += [*_coverage(book, known), *_mutants(book, known)]
    evidence = book.evidence_at("covered", "ablated", "mutated")
    proven = not known.unexecuted and "survived" not in known.ends.values()
    return Step(
        id="S13",
        title="Strength (ablation, changed-line coverage, mutants)",
        outcome="passed" if needed == len(parts) and proven else "flagged",
        reasons=tuple(reasons),
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _coverage(book: Book, known: Strength) -> Iterator[str]:
    facts = book.facts
    if known.executed is not None and facts.statements:
        more = facts.statements_left_out
        sampled = f", a sample of {len(facts.statements) + more}" if more else ""
        lines = sum(len(s.lines) for s in known.unexecuted)
        yield (
            f"{len(facts.statements)} changed statements{sampled}: tests are seen to execute {len(known.executed)}; "
            f"{lines} lines are executed by no check"
        )


def _mutants(book: Book, known: Strength) -> Iterator[str]:
    ends, more = list(known.ends.values()), book.facts.mutants_left_out
    if not ends:
        return
    sampled = f", a sample of {len(ends) + more}" if more else ""
    late = f" ({ends.count('timeout')} by its time limit)" if "timeout" in ends else ""
    killed, survived = ends.count("killed") + ends.count("timeout"), ends.count("survived")
    yield f"{len(ends)} mutants of changed lines{sampled}: {killed} killed{late}, {survived} survived"
    if left := ends.count("undecided"):
        yield f"{left} mutants are not decided: too many tests to ask, no time, or tests that fail in a forked process"
