"""What a person is told by the questions of a run."""

from __future__ import annotations

from assay.graph.questions import about_delivery
from assay.records.unproven import UnprovenLine
from assay.records.verdicts import Verdict, VerdictStatus


def test_a_delivery_names_unproven_lines_with_their_reasons() -> None:
    """The most telling first, put together by place; of a long list there is the beginning and how much more."""
    lines = [UnprovenLine(path="a.py", line=2, why="changeable", changes=(("a < b", "a <= b"),))]
    lines += [UnprovenLine(path="b.py", line=n, why="unexecuted") for n in (7, 8)]
    lines += [UnprovenLine(path="c.py", line=2 * n) for n in range(25)]
    verdict = Verdict(
        claim="c",
        base="b",
        head="h",
        tree="t",
        status=VerdictStatus.PROVEN,
        level="B",
        reasons=("It holds.",),
        unproven_lines=tuple(lines),
    )
    question = about_delivery("r", head="h", branch="x", verdict=verdict, units=(), changes=(), waived=())
    told = question.description.split("Unproven lines of the change:\n")[1].splitlines()
    assert told[:2] == ["- `b.py:7-8` no check executes it", "- `c.py:0` every check passes without it"]
    assert told[20] == "- and 7 more places"
    few = verdict.model_copy(update={"unproven_lines": tuple(lines[:1])})
    question = about_delivery("r", head="h", branch="x", verdict=few, units=(), changes=(), waived=())
    assert "- `a.py:2` every check passes with `a <= b` for `a < b`" in question.description
    none = verdict.model_copy(update={"unproven_lines": ()})
    question = about_delivery("r", head="h", branch="x", verdict=none, units=(), changes=(), waived=())
    assert "Unproven" not in question.description
