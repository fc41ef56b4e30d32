"""Tables of measurements, as Markdown, with goals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """A title, columns, rows of cells, and notes below."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missed: int = 0

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(list(cells))

    def goal(self, value: float, most: float, unit: str) -> str:
        """Return a value with what it may be at most, and count it where it is more."""
        self.missed += value > most
        return f"{value:.2f} {unit} (goal {most:g}{'' if value <= most else ', missed'})"

    def render(self) -> str:
        """Return the table as Markdown."""
        head = [f"\n### {self.title}\n", f"| {' | '.join(self.columns)} |", "|---" * len(self.columns) + "|"]
        return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in self.rows), "", *self.notes])


def milliseconds(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return statistics.median(seconds) * 1e3


def ratio(ours: Sequence[float], floor: Sequence[float]) -> float:
    """Return the median of the ratios of neighbours in one run."""
    return statistics.median(one / other for one, other in zip(ours, floor, strict=True))
