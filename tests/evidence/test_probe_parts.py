"""The parts of the probe: which calls are varied how, which answers differ, and what imports what."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from typing import Any

import pytest

from assay.evidence.facts import Subject
from assay.evidence.imports import files_with_sets, importers
from assay.evidence.probe_answers import UNSTEADY, Answer, compare
from assay.evidence.probe_calls import (
    MOST_BEFORE,
    MOST_RECORDED,
    MOST_REPEATED,
    MOST_VARIED,
    Call,
    Function,
    calls_to_do,
    is_edge,
    variations,
)
from assay.evidence.probe_findings import find, probe_step
from assay.records.claims import ClaimKind

from .books import check_case

CALL = Call(id=0, module="m", file="m.py", line=1, name="f", arguments="((1,), {})", recorded=True)
VARIED = CALL.model_copy(update={"recorded": False})
WITH_SETS = CALL.model_copy(update={"unordered": True})


def gives(result: object, *left: object, kind: str = "value") -> Answer:
    """Return the answer of a call that gives this."""
    return Answer(kind=kind, text=repr((result, [left, {}])))


def raises(*names: str) -> Answer:
    """Return the answer of a call that raises an exception of these classes."""
    return Answer(kind="raised", text=" ".join(names))


VALUE_ERROR = raises("builtins.ValueError", "builtins.Exception")
OWN_ERROR = raises("m.Refused", "builtins.ValueError", "builtins.Exception")
OTHER_ERROR = raises("m.Rejected", "builtins.ValueError", "builtins.Exception")
KEY_ERROR = raises("builtins.KeyError", "builtins.LookupError", "builtins.Exception")
OBJECT = Answer(kind="opaque", text="Box")


@pytest.mark.parametrize(
    ("base", "head", "call", "verdict"),
    [
        (gives(1), gives(1), CALL, "same"),
        (gives(1), gives(2), CALL, "different"),
        (gives(1), gives(2), VARIED, "different"),
        (gives(1), gives(True), CALL, "noted"),
        (gives("1"), gives(1), CALL, "different"),
        (gives(0.1 + 0.2), gives(0.3), CALL, "same"),
        (gives([0.1 + 0.2 - 0.3]), gives([0.0]), CALL, "same"),
        (gives(0.3), gives(0.3001), CALL, "different"),
        (gives(2.0), gives(2), CALL, "noted"),
        (gives({"a": 1, "b": 2}), gives({"b": 2, "a": 1}), CALL, "same"),
        (gives([1, 2]), gives([2, 1]), CALL, "different"),
        (gives([1, 2]), gives([2, 1]), WITH_SETS, "noted"),
        (gives([1, 2]), gives([2, 2]), WITH_SETS, "different"),
        (gives([1, 2]), gives((1, 2)), CALL, "different"),
        (gives([1], kind="items"), gives([1]), CALL, "same"),
        (gives([1], kind="items"), gives([2]), CALL, "different"),
        (gives([1]), gives([1], kind="items"), CALL, "different"),
        (gives(None, [1]), gives(None, [2]), CALL, "different"),
        (gives(3, [1]), gives(3, [2]), CALL, "noted"),
        (gives(3, 1), gives(3, 2), CALL, "different"),
        (gives(3, 2), gives(3, 1), CALL, "noted"),
        (gives(0), VALUE_ERROR, VARIED, "different"),
        (VALUE_ERROR, gives(0), VARIED, "different"),
        (VALUE_ERROR, OWN_ERROR, CALL, "same"),
        (OWN_ERROR, OTHER_ERROR, CALL, "same"),
        (OWN_ERROR, KEY_ERROR, CALL, "different"),
        (OWN_ERROR, KEY_ERROR, VARIED, "noted"),
        (gives(1), Answer(kind="missing", text=""), CALL, "noted"),
        (gives(1), Answer(kind="unbound", text=""), CALL, "noted"),
        (gives(1), UNSTEADY, CALL, "noted"),
        (gives(1), OBJECT, CALL, None),
        (OBJECT, gives(1), CALL, None),
        (OBJECT, Answer(kind="died", text=""), CALL, None),
        (gives(1), Answer(kind="late", text=""), CALL, None),
        (gives(1), Answer(kind="value", text="__import__('os')"), CALL, None),
        (gives(1), Answer(kind="value", text="(" * 5000), CALL, None),
        (gives(1), Answer(kind="value", text="(1, 5)"), CALL, None),
    ],
)
def test_answers_differ_in_what_is_promised(base: Answer, head: Answer, call: Call, verdict: str | None) -> None:
    """Values by type and content, errors by class; what judged code writes in another form is not compared."""
    assert compare(base, head, call) == verdict


def test_variations_keep_types_and_hold_the_edges() -> None:
    """One argument changes, to an empty, zero, negative, shorter or reversed one of its type."""
    found = [ast.literal_eval(v) for v in variations("(([2, 3], 'ab', 5, None), {'key': 1.5})", 1)]
    placed = [p for p, _ in found]
    assert ([], "ab", 5, None) in placed
    assert ([3, 2], "ab", 5, None) in placed
    assert ([-1, 3], "ab", 5, None) in placed
    assert ([2, 3], "", 5, None) in placed
    assert ([2, 3], "ab", -1, None) in placed
    assert ([2, 3], "ab", 5) in placed
    assert {"key": -1.0} in [n for _, n in found]
    for args, _ in found:
        assert [type(a) for a in args] == [list, str, int, type(None)][: len(args)]


def function(calls: int) -> Function:
    """Return a function with so many noted calls."""
    noted = tuple(("f", "", f"(({n}, {{'x', 'y', 'z'}}), {{}})") for n in range(calls))
    return Function(module="m", file="m.py", name="f", form="function", line=1, defaults=0, calls=noted)


def test_calls_are_bounded_and_edges_come_first() -> None:
    """However many calls were noted, so many are done as they were, so many varied, and so many after others."""
    calls = calls_to_do([function(300), function(300)], "seed")
    assert len(calls) == 2 * (MOST_RECORDED + MOST_VARIED + MOST_REPEATED * MOST_BEFORE)
    assert [c.id for c in calls] == list(range(len(calls)))
    assert all(is_edge(c.arguments) for c in calls if not c.recorded and not c.before)
    after = [c for c in calls if c.before]
    assert after[0].before == after[0].arguments
    assert len({c.before for c in after}) > MOST_BEFORE


def test_calls_are_the_same_in_every_process() -> None:
    """A proof that goes on after a kill has to find what it did before: neither clock nor hash seed decides."""
    program = (
        "import json, sys; from assay.evidence.probe_calls import *; "
        "f = Function.model_validate(json.loads(sys.argv[1])); "
        "print([c.model_dump() for c in calls_to_do([f], 'seed')])"
    )
    argument = json.dumps(function(4).model_dump(mode="json"))
    said = [
        subprocess.run(
            [sys.executable, "-c", program, argument],
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]


def test_importers_are_found_through_others_and_by_relative_imports() -> None:
    """What imports a changed file may behave differently with it; what does not comes later."""
    sources = {
        "src/pkg/rules.py": b"LIMIT = 1\n",
        "src/pkg/use.py": b"from .rules import LIMIT\n",
        "src/pkg/far.py": b"def f():\n    from pkg import use\n",
        "src/pkg/other.py": b"import os\n",
        "src/broken.py": b"def (",
    }
    assert importers(sources, frozenset({"src/pkg/rules.py"})) == {"src/pkg/use.py", "src/pkg/far.py"}


def test_files_with_sets_are_those_that_make_or_import_them() -> None:
    """Only there may the order of a sequence be nobody's promise."""
    sources = {"a.py": b"X = {1, 2}\n", "b.py": b"import a\n", "c.py": b"Y = [1]\n", "d.py": b"Z = set([1])\n"}
    assert files_with_sets(sources) == {"a.py", "b.py", "d.py"}


def test_what_there_was_no_time_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither died nor is the same on both sides; it was not asked, by one execution or by all."""
    lines: list[dict[str, Any]] = []
    about = {"calls": [CALL.model_dump()], "passes": 1, "dressed": False, "paths": [], "seconds": -30.0}
    with monkeypatch.context() as beside:  # as in the sandbox, where its parts lie in one folder
        beside.syspath_prepend(str(files("assay.evidence.judge_side")))
        replay = import_module("probe_replayer").replay
    replay(lambda **line: lines.append(line), about)
    assert [line["answer"] for line in lines] == [["unasked", ""]]
    right = {"call": CALL.model_dump(), "answer": ["value", "(2, [(1,), {}])"], "dressed": False}
    for observed, unasked, pairs in (([lines[0]], 1, 0), ([right, lines[0]], 1, 0), ([right], 0, 1)):
        records = check_case(ClaimKind.FIX)
        for variant in ("recorded", "base", "head"):
            said = "" if variant == "recorded" else "\n".join(map(json.dumps, observed))
            records = records.change(records.add(Subject.PROBE, variant, ()), observed=said)
        found = find(records.book())
        assert (found.unasked, len(found.pairs)) == (unasked, pairs)
        step = probe_step(records.book())
        assert step is not None
        assert ("for want of time, 1 calls were not asked" in step.reasons) == bool(unasked)
