"""Whether what holds in a test would hold of other values, too (S8): what `expecting.py` asks of each expectation.

This text stands before that of `expecting.py` in the helper module that is laid beside transformed tests; assay itself
never imports it. It may use nothing but the standard library.

Values are asked about in depth: what lies in a list is asked like what stands alone. Two things are told of an object
of the program that may be honest, and that a person has to know: that it is equal to what is expected by its own word
alone, where as a number, text or collection it is something else or where it is equal to what is near, too; and which
of its fields its equality looks at.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import enum
import functools
import math
import numbers
import operator
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

TREE = ""
TESTS: frozenset[str] = frozenset()

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
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
_LEAST, _MOST = (float("-inf"), -sys.float_info.max), (float("inf"), sys.float_info.max)
_BOUNDS = {"<": (_MOST, _LEAST), "<=": (_MOST, _LEAST), ">": (_LEAST, _MOST), ">=": (_LEAST, _MOST)}
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_DATA = (int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
_PRECISION = 1e-6
"""Relative difference of numbers that equality of an honest type may forgive."""
_DEEPEST = 6
_MOST_PARTS = 200
"""Parts of two values that are asked about one by one."""
MOST_FIELDS = 20


class Foreign:
    """Something that no program knows of."""


class State:
    """What the test that runs has expected so far."""

    held: ClassVar[int] = 0
    blind: ClassVar[str] = ""
    word: ClassVar[str] = ""
    """The value by whose own word alone something is equal to what is expected."""
    tells: ClassVar[set[str]] = set()
    """Fields of objects that equality told apart."""
    loose: ClassVar[set[str]] = set()
    """Fields that it did not."""


def tell_apart(name: str, left: Any, right: Any) -> None:
    """Hold a comparison that is true against other values, and note where it stays so."""
    if name == "==":
        _ask_equal(left, right)
        for mine, theirs in _parts(left, right):
            if _is_of_program(mine) or _is_of_program(theirs):
                _ask_equal(mine, theirs, inside=True)
    elif name == "!=":
        if type(left) not in (float, complex) and _ask("!=", left, left):
            note(left, right)
    elif name in _BOUNDS:
        _ask_bounds(name, left, right)
    elif name == "in" and not hasattr(right, "__next__"):
        _ask_content(left, right)
    if name != "==":
        _ask_data(name, left, right)


def _ask_bounds(name: str, left: Any, right: Any) -> None:
    high, low = _BOUNDS[name]
    if type(right) in (int, float) and any(_ask(name, left, bound) for bound in low):
        note(left, right)
    if type(left) in (int, float) and any(_ask(name, bound, right) for bound in high):
        note(right, left)


def _ask_content(left: Any, right: Any) -> None:
    others = others_of(left) if type(right) in (str, bytes) else [Foreign()]
    if others and all(_ask("in", other, right) for other in others):
        note(right, left)
    elif _is_of_program(right) and all(_ask("in", other, right) for other in others_of(left)):
        State.blind = State.blind or f"{_named(right)} as a collection"


def _ask_data(name: str, left: Any, right: Any) -> None:
    if not _holds_as_data(name, left, right):
        _take_word(left if _is_of_program(left) else right)


def _take_word(value: Any) -> None:
    """Remember that something holds by this value's own word alone."""
    State.word = State.word or _named(value)


def _ask_equal(left: Any, right: Any, *, inside: bool = False) -> None:
    """Hold either of two equal values against others in the place of the other one: far ones, and near ones.

    Inside of other values a test may say that it does not look (`mock.ANY`): there, only the program's are asked.
    """
    _ask_data("==", left, right)
    for mine, theirs in ((left, right), (right, left)):
        if inside and not _is_of_program(mine):
            continue
        others = others_of(theirs)
        if others and all(_equals(mine, other, swapped=mine is not left) for other in others):
            note(mine, theirs)
        near = _near(theirs) if _is_of_program(mine) and not isinstance(mine, _DATA) else []
        if near and all(_equals(mine, other, swapped=mine is not left) for other in near):
            _take_word(mine)
    has_equality = vars(object)["__eq__"] is not getattr(type(left), "__eq__", None)
    if type(left) is type(right) and has_equality and _is_of_program(left) and not isinstance(left, enum.Enum):
        with contextlib.suppress(Exception):  # judged code raises what it likes
            _ask_fields(left, right)


def _equals(mine: Any, other: Any, *, swapped: bool) -> bool:
    return _ask("==", other, mine) if swapped else _ask("==", mine, other)


def _ask_fields(left: Any, right: Any) -> None:
    """Note which fields of an object its equality looks at, and which it does not."""
    for name, held in list(_fields(right).items())[:MOST_FIELDS]:
        if isinstance(held, (*_PLAIN, list, tuple, dict)):
            other = copy.copy(right)
            object.__setattr__(other, name, others_of(held)[0])
            (State.loose if _ask("==", left, other) else State.tells).add(f"{type(right).__qualname__}.{name}")


def _parts(left: Any, right: Any) -> list[tuple[Any, Any]]:
    """Return what lies at the same places of two values, at any depth."""
    found: list[tuple[Any, Any]] = []
    waiting = [(left, right, 0)]
    while waiting and len(found) < _MOST_PARTS:
        one, other, depth = waiting.pop(0)
        for pair in _pairs(one, other) if depth < _DEEPEST else ():
            found.append(pair)
            waiting.append((*pair, depth + 1))
    return found[:_MOST_PARTS]


def _pairs(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    kind: Any
    for kind in (list, tuple):
        if isinstance(one, kind) and isinstance(other, kind):
            yield from zip(kind.__iter__(one), kind.__iter__(other), strict=False)
    if isinstance(one, dict) and isinstance(other, dict):
        beside = {key: value for key, value in dict.items(other) if isinstance(key, _PLAIN)}
        yield from ((value, beside[key]) for key, value in dict.items(one) if isinstance(key, _PLAIN) and key in beside)


def _is_of_program(value: Any) -> bool:
    """Return whether a value's class is the program's own."""
    place = _home(value)
    return bool(place) and place not in TESTS


def _holds_as_data(name: str, left: Any, right: Any) -> bool:
    """Return whether what a comparison says of text, numbers and collections holds of what lies in them, too.

    A class of the program may be a number or a text and have an equality of its own; Python's own answers here.
    """
    try:
        one, other = _data(left), _data(right)
        if one is left and other is right:
            return True
        if name == "==" and isinstance(one, _DATA) and isinstance(other, _DATA):
            return _same_data(one, other)
        if name in ("<", "<=", ">", ">=") and type(one) in (int, float) and type(other) in (int, float):
            return bool(OPERATORS[name](one, other))
        if name == "in":
            return one in other
    except Exception:  # noqa: BLE001 - judged code raises what it likes
        return True
    return True


def _data(value: Any) -> Any:
    """Return a text, number or collection of a class of the program's as Python's own; anything else as it is."""
    if not isinstance(value, _DATA) or isinstance(value, enum.Enum) or not _is_of_program(value):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, float):
        return float.__add__(value, 0.0)
    kind: Any
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(_data(part) for part in kind.__iter__(value))
    return {key: _data(part) for key, part in dict.items(value)} if isinstance(value, dict) else value


def _same_data(one: Any, other: Any) -> bool:
    """Return whether plain values are equal, numbers as far as an honest type may round them."""
    if type(one) in (int, float) and type(other) in (int, float) and float in (type(one), type(other)):
        return math.isclose(one, other, rel_tol=_PRECISION, abs_tol=1e-12)
    if type(one) in (list, tuple) and type(one) is type(other):
        return len(one) == len(other) and all(_same_data(*pair) for pair in zip(one, other, strict=True))
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(_same_data(one[key], other[key]) for key in one)
    return bool(one == other)


def _near(value: Any) -> list[Any]:
    """Return values that are a little different from a plain one."""
    kind = type(value)
    if kind is int:
        return [value + 1, value - 1]
    if kind is float and math.isfinite(value):
        step = max(abs(value), 1.0) / 1000
        return [value + step, value - step]
    if kind is str:
        return [value + " ", value[:-1]] if value else [" "]
    return []


def _ask(name: str, left: Any, right: Any) -> bool:
    try:
        return is_true(OPERATORS[name](left, right))
    except Exception:  # noqa: BLE001 - it told them apart in its own way
        return False


def is_true(result: Any) -> bool:
    """Return the truth of what a comparison gave, also where it is many."""
    if type(result) is bool:
        return result
    try:
        return bool(result)
    except Exception:  # noqa: BLE001 - judged code raises what it likes
        try:
            return bool(result.all())
        except Exception:  # noqa: BLE001 - judged code raises what it likes
            return False


def refuses(
    function: Callable[..., Any], arguments: tuple[Any, ...], place: int, other: Any, options: dict[str, Any]
) -> bool:
    """Return whether a function that asserts fails with another value in the place of one of its arguments."""
    changed = [*arguments]
    changed[place] = other
    try:
        function(*changed, **options)
    except Exception:  # noqa: BLE001 - judged code raises what it likes
        return True
    return False


def note(blind: Any, other: Any) -> None:
    """Remember what did not tell values apart: the program's own objects before all others."""
    for value in (blind, other):
        if _is_of_program(value):
            beside = "" if isinstance(other if value is blind else blind, _PLAIN) else " beside its like"
            State.blind = f"{_named(value)}{beside}"
            return
    State.blind = State.blind or type(blind).__qualname__


def _named(value: Any) -> str:
    """Return a value's class and the file that it comes from."""
    return f"{type(value).__qualname__} of {_home(value)}"


def _home(value: Any) -> str:
    """Return the file of the tree in which a value's class is made; empty for one from elsewhere."""
    return _place(getattr(sys.modules.get(str(type(value).__module__)), "__file__", None))


def tells_apart(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Return whether a function refuses another value in the place of some of what it was given."""
    return any(
        refuses(function, arguments, place, other, options)
        for place, argument in enumerate(arguments)
        for other in others_of(argument)
    )


def origin(thing: Any) -> str:
    """Return the file of the tree from which a function or a context comes; empty for one from elsewhere.

    Where it is one of the tests', its own expectations were transformed, too.
    """
    made_by = getattr(thing, "gen", None)  # of a context that a generator makes
    code = getattr(made_by, "gi_code", None) or getattr(getattr(thing, "__func__", thing), "__code__", None)
    if code is not None:
        return _place(code.co_filename)
    return _place(getattr(sys.modules.get(type(thing).__module__), "__file__", None))


@functools.lru_cache(maxsize=256)  # a memo: it is asked for each value that is compared
def _place(file: str | None) -> str:
    """Return a file's path in the tree; empty for one outside of it."""
    path = os.path.realpath(file) if file else ""
    return os.path.relpath(path, TREE) if path.startswith(TREE + "/") else ""


def others_of(value: Any) -> list[Any]:
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
    changed = {name: others_of(held)[0] for name, held in fields.items() if isinstance(held, _PLAIN)}
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
