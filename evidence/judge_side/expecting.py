"""What the expectations of transformed tests call inside the sandbox (S8).

This file is laid into the tree that is executed, under a name of its own for each tree, with `PERTURBED` set to what
the run is for; assay itself never imports it. It may use nothing but the standard library.

In a *positive variant* (`PERTURBED = False`) everything here means what the test says. In a *negative twin*
(`PERTURBED = True`) each expectation that holds is also held against other values, and the end of the test fails: with
`MARK works` if there were expectations and each told the other values apart, with `MARK blind …` if one did not. A test
without expectations, or whose failures somebody swallows, passes.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
import numbers
import operator
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar

PERTURBED = False
MARK = ""
TREE = ""
TESTS: frozenset[str] = frozenset()
VALUES: dict[int, Any] = {}

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
    "is": operator.is_,
    "is not": operator.is_not,
}
_LEAST, _MOST = float("-inf"), float("inf")
_BOUNDS = {"<": (_MOST, _LEAST), "<=": (_MOST, _LEAST), ">": (_LEAST, _MOST), ">=": (_LEAST, _MOST)}
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Foreign:
    """Something that no program knows of."""


class State:
    """What the test that runs has expected so far."""

    held: ClassVar[int] = 0
    blind: ClassVar[str] = ""


def begin() -> None:
    """Forget what was expected before: a test begins."""
    State.held, State.blind = 0, ""


def end(value: Any = None) -> Any:
    """Return the value; in a twin, fail if there were expectations."""
    if PERTURBED and (State.held or State.blind):
        seen, blind = State.held, State.blind
        begin()
        if blind:
            raise AssertionError(f"{MARK} blind {blind}")
        raise AssertionError(f"{MARK} works {seen}")
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
    result = _OPERATORS[name](left, right)
    if PERTURBED and _is_true(result):
        _tell_apart(name, left, right)
    return result


def passing(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function that asserts returns; in a twin, hold one that compares against other values."""
    result = function(*arguments, **options)
    origin = _origin(function) if PERTURBED else ""
    if PERTURBED and origin and origin not in TESTS:  # the program asserts about itself
        State.held += _tells_apart(function, arguments, options)
    elif PERTURBED and not origin:
        State.held += 1
        name = getattr(function, "__name__", "").lower()
        if len(arguments) >= 2 and any(word in name for word in ("equal", "close", "same")) and "not" not in name:
            for place in (0, 1):
                others = _others(arguments[place])
                if others and not any(_refuses(function, arguments, place, other, options) for other in others):
                    _note(arguments[1 - place], arguments[place])
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
        if PERTURBED and (kind is None or accepted) and _origin(self._context) in TESTS | {""}:
            State.held += 1
        return accepted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _tell_apart(name: str, left: Any, right: Any) -> None:
    if name == "==":
        for mine, theirs, swapped in ((left, right, False), (right, left, True)):
            others = _others(theirs)
            results = [_ask("==", other, mine) if swapped else _ask("==", mine, other) for other in others]
            if results and all(results):
                _note(mine, theirs)
    elif name == "!=":
        if type(left) not in (float, complex) and _ask("!=", left, left):
            _note(left, right)
    elif name in _BOUNDS:
        high, low = _BOUNDS[name]
        if type(right) in (int, float) and _ask(name, left, low):
            _note(left, right)
        if type(left) in (int, float) and _ask(name, high, right):
            _note(right, left)
    elif name == "in" and not hasattr(right, "__next__"):
        others = _others(left) if type(right) in (str, bytes) else [Foreign()]
        if others and all(_ask("in", other, right) for other in others):
            _note(right, left)


def _ask(name: str, left: Any, right: Any) -> bool:
    try:
        return _is_true(_OPERATORS[name](left, right))
    except Exception:  # noqa: BLE001 - it told them apart in its own way
        return False


def _is_true(result: Any) -> bool:
    if type(result) is bool:
        return result
    try:
        return bool(result)
    except Exception:  # noqa: BLE001 - judged code raises what it likes
        try:
            return bool(result.all())
        except Exception:  # noqa: BLE001 - judged code raises what it likes
            return False


def _refuses(
    function: Callable[..., Any], arguments: tuple[Any, ...], place: int, other: Any, options: dict[str, Any]
) -> bool:
    changed = [*arguments]
    changed[place] = other
    try:
        function(*changed, **options)
    except Exception:  # noqa: BLE001 - judged code raises what it likes
        return True
    return False


def _note(blind: Any, other: Any) -> None:
    """Remember what did not tell values apart: the program's own objects before all others."""
    for value in (blind, other):
        place = _place(getattr(sys.modules.get(type(value).__module__), "__file__", None))
        if place and place not in TESTS:
            beside = "" if isinstance(other if value is blind else blind, _PLAIN) else " beside its like"
            State.blind = f"{type(value).__qualname__} of {place}{beside}"
            return
    State.blind = State.blind or type(blind).__qualname__


def _tells_apart(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Return whether a function refuses another value in the place of some of what it was given."""
    return any(
        _refuses(function, arguments, place, other, options)
        for place, argument in enumerate(arguments)
        for other in _others(argument)
    )


def _origin(thing: Any) -> str:
    """Return the file of the tree from which a function or a context comes; empty for one from elsewhere.

    Where it is one of the tests', its own expectations were transformed, too.
    """
    made_by = getattr(thing, "gen", None)  # of a context that a generator makes
    code = getattr(made_by, "gi_code", None) or getattr(getattr(thing, "__func__", thing), "__code__", None)
    if code is not None:
        return _place(code.co_filename)
    return _place(getattr(sys.modules.get(type(thing).__module__), "__file__", None))


def _place(file: str | None) -> str:
    """Return a file's path in the tree; empty for one outside of it."""
    path = os.path.realpath(file) if file else ""
    return os.path.relpath(path, TREE) if path.startswith(TREE + "/") else ""


def _others(value: Any) -> list[Any]:
    """Return values of the same type that are not equal to this one; several, since types may count in circles."""
    kind = type(value)
    if kind is bool:
        return [not value]
    if kind is int:
        return [value + 1000003, value - 7919]
    if kind is float:
        return (
            [1.5] if math.isnan(value) or math.isinf(value) else [value + 1e6 * max(1.0, abs(value)), -value - 7919.5]
        )
    if kind is str:
        return [value + "\x7f", "\x7f" + value]
    if kind in (bytes, bytearray):
        return [value + b"\x7f", b"\x7f" + value]
    if kind in (list, tuple):
        return [value + kind([Foreign()]), kind([Foreign()]) + value]
    if kind in (set, frozenset):
        return [value | {Foreign()}]
    if kind is dict:
        return [{**value, Foreign(): 0}]
    if value is None:
        return [Foreign()]
    try:
        return _other_objects(value)
    except Exception:  # noqa: BLE001 - judged code raises what it likes
        return []


def _other_objects(value: Any) -> list[Any]:
    if isinstance(value, enum.Enum):
        return [member for member in type(value) if member is not value] or [Foreign()]
    if hasattr(value, "expected") and hasattr(value, "rel") and hasattr(value, "abs"):  # pytest.approx
        other = copy.copy(value)
        other.expected = _other_numbers(value.expected)
        return [other]
    if isinstance(value, numbers.Number) or hasattr(value, "__array__"):
        return [value + 1000003, value - 7919]
    if callable(value):
        return [Foreign()]
    fields = _fields(value)
    changed = {name: _others(held)[0] for name, held in fields.items() if isinstance(held, _PLAIN)}
    if not changed:
        return [Foreign()]
    other = copy.copy(value)
    for name, held in changed.items():
        object.__setattr__(other, name, held)
    return [other]


def _fields(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return {**{name: getattr(value, name) for name in slots if hasattr(value, name)}, **getattr(value, "__dict__", {})}


def _other_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _other_numbers(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_other_numbers(held) for held in value)
    return value + 1e6 * max(1.0, abs(float(value))) if isinstance(value, numbers.Real) else value + 1000003
