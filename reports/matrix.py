"""The table of tests: each id in the four cells of the matrix (S7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from assay.records.evidence import Evidence, TestOutcome
from assay.reports.facts import ClaimFacts

CELLS: Final = ("base/base", "head/base", "base/head", "head/head")
"""Source and tests, as in `Cell`."""


@dataclass(frozen=True, slots=True)
class TestCell:
    """What became of one test in one cell, over all its runs."""

    __test__ = False

    word: str
    """`pass`, `fail`, `error`, `import error`, `skip`, `missing`, …; `flaky` where runs differ."""
    runs: int
    passed: int
    seconds: float
    """Of the longest run."""

    @property
    def good(self) -> bool:
        """Whether it passed every time."""
        return self.passed == self.runs


@dataclass(frozen=True, slots=True)
class TestRow:
    """One test id."""

    __test__ = False

    id: str
    cells: tuple[TestCell | None, ...]
    """In the order of `CELLS`; None where it was not run."""
    requirement: str | None
    held_out: bool
    message: str
    """The end of the failure's text on the head, where it failed there."""

    @property
    def good(self) -> bool:
        """Whether it passed each time that the head was run with it."""
        return all(cell is None or cell.good for cell in (self.cells[1], self.cells[3]))

    @property
    def seconds(self) -> float:
        """Of the longest run in any cell."""
        return max(cell.seconds for cell in self.cells if cell)


@dataclass(frozen=True, slots=True)
class TestTable:
    """All tests of a claim, those that a reader wants to see first."""

    __test__ = False

    stated: tuple[TestRow, ...]
    """Tests that state a requirement."""
    failing: tuple[TestRow, ...]
    """The others that do not pass on the head."""
    passing: tuple[tuple[str, tuple[TestRow, ...]], ...]
    """All others by file."""

    @property
    def count(self) -> int:
        """How many tests there are."""
        return len(self.stated) + len(self.failing) + sum(len(rows) for _, rows in self.passing)


def tabulate_tests(facts: ClaimFacts) -> TestTable:
    """Return the table of every test that was executed, or should have been, for a claim."""
    seen = _collect(facts.evidence)
    stated = {test.id: test for test in facts.stated}
    rows = []
    for test_id in sorted(seen):
        cells = seen[test_id]
        failures = (o.message for cell in ("head/head", "head/base") for o in cells.get(cell, ()) if o and not o.passed)
        test = stated.get(test_id)
        rows.append(
            TestRow(
                id=test_id,
                cells=tuple(_judge(cells[cell]) if cell in cells else None for cell in CELLS),
                requirement=test.requirement if test else None,
                held_out=bool(test and test.held_out),
                message=next((message for message in failures if message), ""),
            )
        )
    rest = [row for row in rows if row.id not in stated and row.good]
    return TestTable(
        stated=tuple(row for row in rows if row.id in stated),
        failing=tuple(row for row in rows if row.id not in stated and not row.good),
        passing=tuple((file, tuple(group)) for file, group in groupby(rest, key=lambda row: row.id.split("::", 1)[0])),
    )


def _collect(evidence: Sequence[Evidence]) -> dict[str, dict[str, list[TestOutcome | None]]]:
    """Return test id to cell to outcomes; None stands for an expected test that was not reported."""
    seen: dict[str, dict[str, list[TestOutcome | None]]] = {}
    for execution in (e for e in evidence if not e.altered):
        cell = str(execution.cell)
        reported = set()
        for outcome in execution.outcomes:
            reported.add(outcome.id)
            seen.setdefault(outcome.id, {}).setdefault(cell, []).append(outcome)
        for test_id in execution.expected:
            if test_id not in reported:
                seen.setdefault(test_id, {}).setdefault(cell, []).append(None)
    return seen


def _judge(outcomes: Sequence[TestOutcome | None]) -> TestCell:
    words = [_word(outcome) for outcome in outcomes]
    return TestCell(
        word=words[0] if len(set(words)) == 1 else "flaky" if "pass" in words else " / ".join(sorted(set(words))),
        runs=len(words),
        passed=words.count("pass"),
        seconds=max((outcome.seconds for outcome in outcomes if outcome), default=0.0),
    )


def _word(outcome: TestOutcome | None) -> str:
    if outcome is None:
        return "missing"
    if outcome.passed:
        return "pass"
    if outcome.reports != 1:
        return f"{outcome.reports} reports"
    phases = (outcome.setup, outcome.call, outcome.teardown)
    if "failed" in phases or "error" in phases:
        return {"assertion": "fail", "import": "import error"}.get(outcome.failure, "error")
    odd = next((phase for phase in phases if phase in {"skipped", "xfailed", "xpassed"}), None)
    return {"skipped": "skip", "xfailed": "xfail", "xpassed": "xpass"}.get(odd or "", "incomplete")
