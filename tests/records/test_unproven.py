"""Lines that no check needs, in words and put together."""

from __future__ import annotations

import json

from assay.records.unproven import UnprovenLine, span_lines
from assay.records.verdicts import Verdict


def line(path: str, number: int, **fields: object) -> UnprovenLine:
    """Return an unproven line."""
    return UnprovenLine.model_validate({"path": path, "line": number, **fields})


def test_lines_that_follow_each_other_for_one_reason_are_one_place() -> None:
    """What is most telling comes first; another file, a gap or another reason begins a place of its own."""
    changed = {"why": "changeable", "changes": (("<", "<="),)}
    other = {"why": "changeable", "changes": (("<", ">="), ("raise E", ""))}
    lines = [line("b.py", 1), line("a.py", 1, **changed), line("a.py", 2, **other), line("a.py", 7), line("a.py", 8)]
    lines += [line("a.py", 10), line("c.py", 11, why="unexecuted"), line("c.py", 12, why="restorable")]
    assert [(s.place, s.reason) for s in span_lines(reversed(lines))] == [
        ("c.py:11", "no check executes it"),
        ("a.py:7-8", "every check passes without it"),
        ("a.py:10", "every check passes without it"),
        ("b.py:1", "every check passes without it"),
        ("c.py:12", "every check passes with what was taken out here"),
        ("a.py:1", "every check passes with `<=` for `<`"),
        ("a.py:2", "every check passes with `>=` for `<`, or without `raise E`"),
    ]
    assert span_lines(()) == ()


def test_verdicts_of_older_versions_are_read() -> None:
    """They name each line as `path:line`."""
    old = {"claim": "c", "base": "a", "head": "b", "tree": "t", "status": "proven", "reasons": []}
    verdict = Verdict.model_validate_json(json.dumps({**old, "unproven_lines": ["a:b.py:7"]}))
    assert verdict.unproven_lines == (line("a:b.py", 7),)
    assert str(verdict.unproven_lines[0]) == "a:b.py:7"
