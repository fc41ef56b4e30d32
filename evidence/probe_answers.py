"""What calls answered on both sides, and where the answers differ (S11).

Defeats neither chance nor surroundings being taken for a change: what one side does not answer the same way each time
is dropped, and so is what cannot be compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final, Literal

from assay.evidence.probe_calls import Call, literal
from assay.evidence.syntax import read_literal
from assay.records.base import Record
from assay.records.evidence import Evidence

_COMPARED: Final = frozenset({"value", "items", "raised"})
"""Kinds of answers that say something; the others are objects, or what time and memory allow."""
_PRECISION: Final = 1e-12
"""Relative difference of numbers that an order of additions may make."""
_NOTHING: Final = 1e-15
"""What is left of numbers that cancel each other out."""


_SHOWN: Final = 200
"""Characters of a call or an answer in a sentence."""


class Answer(Record):
    """What a call did."""

    kind: str
    """`value`, `items` of an iterator, or `raised`; anything else cannot be compared, and says why."""
    text: str

    @property
    def shown(self) -> str:
        """It for a person: what the call does."""
        match self.kind:
            case "value" | "items" if (read := self.values) is not None:
                iterator = "an iterator over " if self.kind == "items" else ""
                return f"gives {iterator}{literal(read[0])}"
            case "raised":
                return f"raises {self.names[0].rpartition('.')[2]}"
            case "missing":
                return "is not there"
            case "unbound":
                return "does not take these arguments"
            case "unsteady":
                return "does something else each time"
            case kind:
                return f"has no answer to compare ({kind})"

    @property
    def values(self) -> tuple[Any, Any] | None:
        """The result and what became of the arguments; None where judged code wrote something else."""
        try:
            result, after = read_literal(self.text)
            literal((result, after))  # what reads a number may refuse to write it
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None
        match after:
            case [tuple(), dict()]:
                return result, after
            case _:
                return None

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of a raised exception, from its own to the most general."""
        return tuple(self.text.split(" "))


UNSTEADY: Final = Answer(kind="unsteady", text="")
"""A call that was not answered the same way each time."""
UNASKED: Final = Answer(kind="unasked", text="")
"""A call for which there was no time, in one of the executions at least."""


class Pair(Record):
    """A call with what each side answered; the base each time the same."""

    call: Call
    base: Answer
    head: Answer
    verdict: Literal["same", "different", "noted"]
    """Noted: the sides differ in what nobody promises, and a person may look at it."""

    @property
    def shown(self) -> tuple[str, str]:
        """What each side did, for a person; with what became of the arguments, where only that differs."""
        before, now = self.base, self.head
        if before.shown != now.shown or before.values is None or now.values is None:
            return before.shown, now.shown
        left = [literal(tuple(v[1][0])) for v in (before.values, now.values)]
        return f"{before.shown} and leaves its arguments as {left[0]}", f"{now.shown} and leaves them as {left[1]}"


class Answers(Record):
    """What calls answered at one side, by their ids."""

    calls: dict[int, Call]
    answers: dict[int, Answer]


def read_answers(runs: Iterable[Evidence], *, dressed: bool = False) -> Answers:
    """Return the answers of one side, from all of its executions together.

    Args:
        runs: the executions.
        dressed: whether those are meant that were given as if a test ran, or the others.
    """
    calls: dict[int, Call] = {}
    answers: dict[int, Answer] = {}
    for run in runs:
        for line in map(json.loads, filter(None, run.observed.split("\n"))):
            if line.get("dressed", False) != dressed:
                continue
            number, (kind, text) = line["call"]["id"], line["answer"]
            answer = Answer(kind=kind, text=text)
            if number not in calls:
                calls[number], answers[number] = Call.model_validate(line["call"]), answer
            elif not _same(answers[number], answer):
                unasked = UNASKED in (answer, answers[number]) and answers[number] != UNSTEADY
                answers[number] = UNASKED if unasked else UNSTEADY
    return Answers(calls=calls, answers=answers)


def compare(base: Answer, head: Answer, call: Call) -> Literal["same", "different", "noted"] | None:
    """Return how two answers compare; None where they cannot be compared.

    Args:
        base: of the base.
        head: of the head.
        call: what was asked. Where no test asks it, nobody promised in which way it is refused; and nobody promises the
            order of a set.
    """
    if base.kind not in _COMPARED:
        return "same" if base == head else None
    match base.kind, head.kind:
        case _, "missing" | "unbound" | "unsteady":
            return "noted"
        case "raised", "raised":
            return "same" if _same_error(base, head) else "different" if call.recorded else "noted"
        case ("raised", "value" | "items") | ("value" | "items", "raised"):
            return "different"
        case "value" | "items", "value" | "items":
            return _compare_values(base, head, call)
        case _:
            return None


def cut(text: str) -> str:
    """Return a call or an answer as it stands in a sentence."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _same_error(base: Answer, head: Answer) -> bool:
    """Return whether an exception is one of the same class or a subclass, or shares the built-in class of another."""
    if base.names[0] in head.names:
        return True
    built_in = next((n for n in base.names if n.startswith("builtins.")), "")
    return not base.names[0].startswith("builtins.") and built_in in head.names


def _compare_values(base: Answer, head: Answer, call: Call) -> Literal["same", "different", "noted"] | None:
    before, now = base.values, head.values
    if before is None or now is None:
        return None
    (result, after), (other, other_after) = before, now
    if base.kind == "items" and isinstance(result, list) and isinstance(other, list | tuple):
        other = list(other)  # whoever goes through an iterator may go through a list; what uses a list, needs one
    elif base.kind != head.kind:
        return "different"
    if not equal(result, other):
        alike = equal(result, other, loosely=True) or (call.unordered and _reordered(result, other))
        return "noted" if alike else "different"
    if equal(after, other_after):
        return "same"
    kept = equal(after, _given(call))
    return "different" if result is None or kept else "noted"


def _given(call: Call) -> list[Any]:
    """Return the arguments of a call, as answers tell what became of them."""
    return list(read_literal(call.arguments))


def _same(one: Answer, other: Answer) -> bool:
    """Return whether two answers of one side are the same, but for the last digits of a number."""
    if one == other or one.kind != other.kind or one.values is None or other.values is None:
        return one == other
    return equal(one.values, other.values)


def _reordered(one: Any, other: Any) -> bool:
    """Return whether two sequences hold the same in another order."""
    if type(one) is not type(other) or not isinstance(one, list | tuple | str):
        return False
    return sorted(map(literal, one)) == sorted(map(literal, other))


def equal(one: Any, other: Any, *, loosely: bool = False) -> bool:
    """Return whether two plain values are the same, type by type, numbers up to what an order of additions may make.

    Loosely, a whole number is the same as an equal one with a point.
    """
    if loosely and isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_PRECISION, abs_tol=_NOTHING)
    if type(one) is not type(other):
        return False
    match one:
        case float():
            return math.isclose(one, other, rel_tol=_PRECISION, abs_tol=_NOTHING)
        case list() | tuple():
            return len(one) == len(other) and all(
                equal(*both, loosely=loosely) for both in zip(one, other, strict=True)
            )
        case dict():
            return one.keys() == other.keys() and all(equal(one[k], other[k], loosely=loosely) for k in one)
        case _:
            return bool(one == other)
