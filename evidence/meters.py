"""S15: meters outside of what is measured. Base and head do the same work in turn, and somebody else holds the clock.

Defeats speed that is claimed and not there: a benchmark that the change bent, a clock that it moved, a single lucky
run. The workload is the claim's, both sides are given the same files for it, what it prints has to be the same, and
processor time is what the sandbox's supervisor counted for the whole process tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Final

from assay.evidence.expectations import Reading, describe_ending
from assay.evidence.facts import Book, Subject
from assay.evidence.trials import Trials
from assay.records.claims import ClaimKind, SpeedClaim
from assay.records.sandboxes import Exited
from assay.records.verdicts import Step

FEWEST: Final = 7
"""Pairs after which a ratio is looked at: with fewer no interval of 95 % exists that leaves out the extremes."""
MOST: Final = 25
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """How long the head takes, as a part of what the base takes."""

    middle: float
    low: float
    high: float
    """The bounds of an interval for the median that holds it with a probability of 95 % or more."""
    pairs: int

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f} in {self.pairs} pairs)"


def interval(ratios: list[float]) -> Ratio:
    """Return the median of ratios with its interval, by order statistics (the sign test turned round).

    Nothing is assumed about how the measurements are spread.
    """
    ordered, count = sorted(ratios), len(ratios)
    tail, out = 0.0, 0
    for place in range(count // 2):
        tail += comb(count, place) / 2**count
        if 2 * tail > 1 - _CONFIDENCE:
            break
        out = place + 1
    if out == 0:  # too few for any interval: as wide as can be
        return Ratio(median(ordered), 0.0, float("inf"), count)
    return Ratio(median(ordered), ordered[out - 1], ordered[-out], count)


def is_measured(book: Book) -> bool:
    """Return whether a claim is one about speed that can be measured."""
    draft = book.facts.case.claim.draft
    return draft.kind is ClaimKind.PERFORMANCE and draft.speed is not None and not own_workload(book)


def own_workload(book: Book) -> tuple[str, ...]:
    """Return the files of the workload that the change itself brings or alters: what they measure shows nothing.

    A program is measured by what calls it, `python3 -m tool` for instance, and not by the path of a file that changed.
    """
    speed = book.facts.case.claim.draft.speed
    changed = {*book.facts.judge_side_changed, *book.facts.program_changed}
    words = speed.command if speed is not None else ()
    return tuple(sorted(path for path in changed if any(path in word for word in words)))


def pairs(book: Book) -> tuple[tuple[Reading, Reading], ...]:
    """Return base and head of each pair that was measured."""
    return tuple(zip(book.all(Subject.SPEED, "base"), book.all(Subject.SPEED, "head"), strict=False))


def trouble(book: Book) -> str:
    """Return why what was measured does not count; empty where it does."""
    measured = pairs(book)
    for pair in measured:
        for reading in pair:
            if reading.evidence.ending != Exited(code=0):
                return f"the workload does not run at the {reading.evidence.cell.source}: {_ended(reading)}"
    if any(reading.evidence.output_bytes == 0 for pair in measured for reading in pair):
        return "the workload prints nothing, so nothing shows that both sides do the same"
    if len({reading.evidence.output_digest for pair in measured for reading in pair}) > 1:
        return "the workload does not print the same each time, at base and head"
    return ""


def _ended(reading: Reading) -> str:
    return f"{describe_ending(reading.evidence)} {reading.evidence.output[-300:]}".strip()


def ratio(book: Book) -> Ratio | None:
    """Return how the head compares with the base, by processor time; None where too little was measured or counts."""
    measured = pairs(book)
    if len(measured) < FEWEST or trouble(book):
        return None
    return interval([_cost(head) / max(_cost(base), 1e-6) for base, head in measured])


def _cost(reading: Reading) -> float:
    return reading.evidence.cpu_seconds or reading.evidence.seconds


async def run_meter(trials: Trials) -> None:
    """Measure base and head in turn until the interval clears the bound, on either side, or enough was measured."""
    if not is_measured(trials.book):
        return
    speed = trials.facts.case.claim.draft.speed
    if speed is None:
        return
    for number in range(MOST):
        sides = ("base", "head") if number % 2 == 0 else ("head", "base")
        for side in sides:
            await trials.measure(speed.command, "base" if side == "base" else "head", number)
        if trouble(trials.book) or _is_clear(ratio(trials.book), speed):
            return


def _is_clear(found: Ratio | None, speed: SpeedClaim) -> bool:
    return found is not None and (found.high <= speed.at_most or found.low > speed.at_most)


def meter_step(book: Book) -> Step | None:
    """Return S15 as it went; None where the claim is not about speed."""
    if book.facts.case.claim.draft.kind is not ClaimKind.PERFORMANCE:
        return None
    speed, found = book.facts.case.claim.draft.speed, ratio(book)
    evidence = book.evidence_of(Subject.SPEED)
    if speed is None:
        reasons: tuple[str, ...] = ("the claim names no workload and no bound",)
    elif own := own_workload(book):
        reasons = (f"the workload is the change's own: {', '.join(own)}",)
    elif wrong := trouble(book):
        reasons = (wrong,)
    elif found is None:
        reasons = ("too little was measured",)
    else:
        reasons = (f"the head takes {found} of the base's processor time; claimed: at most {speed.at_most:g}",)
    outcome = "inconclusive"
    if found is not None and speed is not None:
        outcome = "passed" if found.high <= speed.at_most else "failed" if found.low > speed.at_most else outcome
    return Step(
        id="S15",
        title="Outside meters",
        outcome=outcome,
        reasons=reasons,
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )
