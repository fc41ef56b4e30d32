"""What the expectations of transformed tests call inside the sandbox (S8).

This file is laid into the tree that is executed, under a name of its own for each tree, with `PERTURBED` set to what
the run is for; assay itself never imports it. It may use nothing but the standard library.

In a *positive variant* (`PERTURBED = False`) everything here means what the test says. In a *negative twin*
(`PERTURBED = True`) each expectation that holds is also held against other values, and the end of the test fails: with
`MARK works` if there were expectations and each told the other values apart, with `MARK blind …` if one did not, and
with `MARK word …` if one holds only because an object of the program says so. After that come the fields of the
program's objects that its equality tells apart, and those that it does not. A test without expectations, or whose
failures somebody swallows, passes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import TracebackType
from typing import Any

from assay.evidence.judge_side.telling import (
    MOST_FIELDS,
    OPERATORS,
    TESTS,
    State,
    is_true,
    note,
    origin,
    others_of,
    refuses,
    tell_apart,
    tells_apart,
)

PERTURBED = False
MARK = ""
VALUES: dict[int, Any] = {}

_ASSERTS = {
    "assertEqual": "==",
    "assertListEqual": "==",
    "assertTupleEqual": "==",
    "assertDictEqual": "==",
    "assertNotEqual": "!=",
    "assertLess": "<",
    "assertLessEqual": "<=",
    "assertGreater": ">",
    "assertGreaterEqual": ">=",
    "assertIn": "in",
    "assertNotIn": "not in",
}
"""Methods of unittest's cases that mean a comparison."""


def begin() -> None:
    """Forget what was expected before: a test begins."""
    State.held, State.blind, State.word, State.tells, State.loose = 0, "", "", set(), set()


def end(value: Any = None) -> Any:
    """Return the value; in a twin, fail if there were expectations."""
    if PERTURBED and (State.held or State.blind):
        said = f"works {State.held}" if not State.word else f"word {State.word}"
        said = said if not State.blind else f"blind {State.blind}"
        fields = "".join(
            f"; {title} {' '.join(sorted(names)[:MOST_FIELDS])}"
            for title, names in (("tells", State.tells), ("loose", State.loose))
            if names
        )
        begin()
        raise AssertionError(f"{MARK} {said}{fields}")
    return value


def value(decoy: Any, number: int) -> Any:
    """Return the expectation with this number; what stands beside it in the test is for those who look there."""
    return copy.deepcopy(VALUES[number])


def held(value: Any) -> Any:
    """Return a value that is expected to be true."""
    if PERTURBED and value:
        State.held += 1
    return value


def compare(name: str, left: Any, right: Any) -> Any:
    """Return what a comparison gives; in a twin, hold it against other values where it is true."""
    result = OPERATORS[name](left, right)
    if PERTURBED and is_true(result):
        tell_apart(name, left, right)
    return result


def passing(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function that asserts returns; in a twin, hold one that compares against other values."""
    result = function(*arguments, **options)
    place = origin(function) if PERTURBED else ""
    if PERTURBED and place and place not in TESTS:  # the program asserts about itself
        State.held += tells_apart(function, arguments, options)
    elif PERTURBED and not place:
        State.held += 1
        name = getattr(function, "__name__", "").lower()
        if len(arguments) >= 2 and any(word in name for word in ("equal", "close", "same")) and "not" not in name:
            for side in (0, 1):
                others = others_of(arguments[side])
                if others and not any(refuses(function, arguments, side, other, options) for other in others):
                    note(arguments[1 - side], arguments[side])
        means = _ASSERTS.get(getattr(function, "__name__", ""))
        if means and len(arguments) >= 2:
            tell_apart(means, arguments[0], arguments[1])
    return result


class Expected:
    """A context that expects something of its block: an exception, a warning, a log line."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> Any:
        return self._context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        accepted = self._context.__exit__(kind, error, trace)
        if PERTURBED and (kind is None or accepted) and origin(self._context) in TESTS | {""}:
            State.held += 1
        return accepted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
