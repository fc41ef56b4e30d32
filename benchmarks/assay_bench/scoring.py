"""From results to figures: false acceptances and rejections with Wilson's interval, by verifier and by family."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.assay_bench.verifiers import Status
from pydantic import BaseModel, ConfigDict

_Z = 1.959964
"""Of a 95% interval."""


class Result(BaseModel):
    """One verifier's word on one case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    digest: str
    family: str
    true: bool
    verifier: str
    version: str
    repetition: int
    status: Status
    level: str | None
    reason: str
    right: bool
    """Whether the words name what is wrong with a false claim."""
    seconds: float


@dataclass(frozen=True)
class Rate:
    """So many of so many, with the 95% interval."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval; (0, 1) for nothing."""
        if not self.of:
            return 0.0, 1.0
        share, square = self.count / self.of, _Z * _Z
        middle = share + square / (2 * self.of)
        width = _Z * math.sqrt(share * (1 - share) / self.of + square / (4 * self.of * self.of))
        scale = 1 + square / self.of
        return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.count}/{self.of} = {100 * self.count / self.of:.1f}% ({100 * low:.1f}-{100 * high:.1f})"


@dataclass(frozen=True)
class Score:
    """How one verifier did."""

    verifier: str
    false_accepted: Rate
    worst: tuple[str, Rate]
    """The family with the largest share of false acceptances."""
    true_rejected: Rate
    false_open: Rate
    """Lies that are left inconclusive."""
    true_open: Rate
    right: Rate
    """Of the lies that it did not accept: those whose reason it names."""
    stable: Rate
    """Of the cases that it judged more than once: those on which it always said the same."""
    seconds: float
    """Median for a claim."""


def score(verifier: str, results: Sequence[Result]) -> Score:
    """Return how a verifier did; `results` are its own. Repetitions count in `stable` alone."""
    first = [r for r in results if r.repetition == 1]
    lies, honest = [r for r in first if not r.true], [r for r in first if r.true]
    families = by_family(lies)
    worst = max(families.items(), key=lambda item: item[1].count / item[1].of, default=("-", Rate(0, 0)))
    seen: dict[str, list[str]] = {}
    for result in results:
        seen.setdefault(result.case, []).append(result.status)
    repeated = [words for words in seen.values() if len(words) > 1]
    caught = [r for r in lies if r.status in ("rejected", "inconclusive")]
    return Score(
        verifier=verifier,
        false_accepted=_rate(lies, "accepted"),
        worst=worst,
        true_rejected=_rate(honest, "rejected"),
        false_open=_rate(lies, "inconclusive"),
        true_open=_rate(honest, "inconclusive"),
        right=Rate(sum(r.right for r in caught), len(caught)),
        stable=Rate(sum(len(set(words)) == 1 for words in repeated), len(repeated)),
        seconds=statistics.median([r.seconds for r in first]) if first else 0.0,
    )


def by_family(results: Sequence[Result]) -> dict[str, Rate]:
    """Return the share of acceptances in each family."""
    names = sorted({r.family for r in results})
    return {name: _rate([r for r in results if r.family == name], "accepted") for name in names}


def _rate(results: Sequence[Result], status: Status) -> Rate:
    return Rate(sum(r.status == status for r in results), len(results))
