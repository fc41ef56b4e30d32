"""Lines of a change that no check needs as they are, and why (S13)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final, Literal, get_args

from pydantic import model_validator

from assay.records.base import Record

Why = Literal["unexecuted", "removable", "restorable", "changeable"]

_REASONS: Final[dict[Why, str]] = {
    "unexecuted": "no check executes it",
    "removable": "every check passes without it",
    "restorable": "every check passes with what was taken out here",
}


class UnprovenLine(Record):
    """One changed line that could be otherwise, and every check would pass."""

    path: str
    line: int
    """At the head, from 1."""
    why: Why = "removable"
    """The first that holds: no check executes it; it can be taken out; what it took out can come back; it can be
    something else."""
    changes: tuple[tuple[str, str], ...] = ()
    """For `changeable`: what stands there, and what could; nothing where it could be left out."""
    text: str = ""
    """The line, without its indentation, bounded."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Read what older versions wrote: `path:line`."""
        if isinstance(value, str):
            path, _, line = value.rpartition(":")
            return {"path": path, "line": line}
        return value

    @property
    def reason(self) -> str:
        """Why it is unproven, in words."""
        if self.why != "changeable":
            return _REASONS[self.why]
        said = [f"with `{after}` for `{before}`" if after else f"without `{before}`" for before, after in self.changes]
        return f"every check passes {', or '.join(said)}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class UnprovenSpan(Record):
    """Lines of a file that follow each other and are unproven for the same reason."""

    lines: tuple[UnprovenLine, ...]

    @property
    def place(self) -> str:
        """`path:line` or `path:first-last`."""
        first, last = self.lines[0], self.lines[-1]
        return str(first) if first.line == last.line else f"{first}-{last.line}"

    @property
    def reason(self) -> str:
        """Why they are unproven, in words."""
        return self.lines[0].reason


def span_lines(lines: Iterable[UnprovenLine]) -> tuple[UnprovenSpan, ...]:
    """Return lines put together, the most telling ones first: what no check executes, then what none needs."""
    ranks = {why: rank for rank, why in enumerate(get_args(Why))}
    ordered = sorted(lines, key=lambda one: (ranks[one.why], one.path, one.line))
    numbered = enumerate(ordered)
    groups = groupby(numbered, key=lambda at: (at[1].path, at[1].reason, at[1].line - at[0]))
    return tuple(UnprovenSpan(lines=tuple(line for _, line in group)) for _, group in groups)
