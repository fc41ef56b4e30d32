"""The calls that a probe does again (S11): those that tests made, and neighbours of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal

from assay.evidence.syntax import read_literal
from assay.records.base import Record, digest_of
from assay.records.evidence import Evidence

MOST_RECORDED: Final = 8
"""Calls of each function that are done again as tests made them."""
MOST_VARIED: Final = 16
"""Variations of them."""

MOST_REPEATED: Final = 2
"""Calls of each function that are done once more after others of it, in one process and on one object."""
MOST_BEFORE: Final = 3
"""Calls that come before one of those, each by itself; the first is the same call."""

_LARGE: Final = 1000
_WAYS: Final = 12
"""Variations of one argument at most."""

Form = Literal["function", "staticmethod", "classmethod", "method"]


class Call(Record):
    """One call that is done again."""

    id: int
    module: str
    file: str
    line: int
    name: str
    made: str = ""
    """Arguments of the object whose method it is: a literal of a tuple and a dictionary."""
    arguments: str
    """Literal of a tuple and a dictionary."""
    before: str = ""
    """Arguments with which the function is called first, on the same object; empty where it is called once."""
    recorded: bool
    """Whether a test made this call; else it is a variation of one."""
    unordered: bool = False
    """Whether the order of what it gives may be that of a set, which nobody promised."""
    test: str = ""
    """Id of the test that made it, where it is done as if that test ran."""
    held_out: bool = False
    """Whether only held-out tests make it, so that no author may see its arguments."""

    @property
    def function(self) -> str:
        """Its function as people name it."""
        return f"{self.module}.{self.name}"

    @property
    def text(self) -> str:
        """The call as one would write it, without its module."""
        after = f" after {self.name.rpartition('.')[2]}({_written(self.before)})" if self.before else ""
        return f"{self.target}({_written(self.arguments)}){after}"

    @property
    def target(self) -> str:
        """What is called; a method's object is made first."""
        owner, _, last = self.name.rpartition(".")
        return f"{owner}({_written(self.made)}).{last}" if self.made else self.name


class Function(Record):
    """A public function of the program, and the calls that tests made of it."""

    module: str
    file: str
    name: str
    """As it is found in its module."""
    form: Form
    line: int
    defaults: int
    """How many of its arguments have defaults; the last ones by position."""
    calls: tuple[tuple[str, str, str], ...] = ()
    """Name, how the object was made, and arguments, each as a literal."""
    tests: tuple[tuple[str, ...], ...] = ()
    """For each call the ids of tests that made it, one of each file."""
    left_out: int = 0
    """Calls whose arguments are not plain."""

    def call(self, number: int, call: tuple[str, str, str], **more: Any) -> Call:
        """Return one of its calls, or a variation, to be done again; `more` are fields of `Call`."""
        name, owner, arguments = call
        place = {"module": self.module, "file": self.file, "line": self.line}
        return Call(id=number, name=name, made=owner, arguments=arguments, **place, **more)


class TriedMutant(Record):
    """A mutant that is tried, and the tests that are asked about it (S13)."""

    id: int
    early: bool
    """Whether it has to be there when modules are imported."""
    tests: tuple[int, ...]
    """By their place among all tests that are asked."""


class Probe(Record):
    """What is asked beside the tests: to note calls, or, where there are any, to do calls again or to try mutants."""

    files: tuple[str, ...] = ()
    """Python files of the program, whose functions are looked at."""
    calls: tuple[Call, ...] = ()
    paths: tuple[str, ...] = ()
    """Folders in which modules are looked for, as the tests had them."""
    passes: int = 1
    """How often each call is done, each time in a process with another hash seed."""
    dressed: bool = False
    """Whether each pass is done twice: once as if a test ran, and once not."""
    mutants: tuple[TriedMutant, ...] = ()
    """Mutants in the tree, of which the tests run as one after the other."""
    tests: tuple[str, ...] = ()
    """Ids that are asked about any of them."""
    switch: str = ""
    """What chooses the mutant."""


def _written(arguments: str) -> str:
    placed, named = read_literal(arguments)
    return ", ".join([*map(literal, placed), *(f"{k}={literal(v)}" for k, v in named.items())])


def literal(value: Any) -> str:
    """Return a plain value as a Python literal that is the same in every process, which the order of a set is not."""
    match value:
        case float() if value in (math.inf, -math.inf):
            return repr(value).replace("inf", "1e999")
        case dict():
            return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case tuple():
            return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
        case set() if value:
            return "{" + ", ".join(sorted(map(literal, value))) + "}"
        case _:
            return repr(value)


def recorded_functions(evidence: Evidence) -> tuple[tuple[Function, ...], tuple[str, ...], int]:
    """Return the functions of which calls were noted, the tests' import path, and how many have no name to call."""
    found: list[Function] = []
    paths: tuple[str, ...] = ()
    left_out = 0
    for line in map(json.loads, filter(None, evidence.observed.split("\n"))):
        line.pop("kind")
        if "paths" in line:
            paths, left_out = tuple(line["paths"]), line["left_out"]
        else:
            found.append(Function.model_validate(line))
    return tuple(found), paths, left_out


def calls_to_do(
    functions: Iterable[Function], seed: str, with_sets: AbstractSet[str] = frozenset()
) -> tuple[Call, ...]:
    """Return calls to do on both sides: of each function some as tests made them, variations of those, and some after
    others, which shows what a function keeps from one call to the next.

    Args:
        functions: in the order in which they matter.
        seed: what decides between variations where there are too many.
        with_sets: files in which, or behind whose imports, there are sets.
    """
    made: list[Call] = []
    for function in functions:
        known = list(dict.fromkeys(function.calls))
        varied: dict[tuple[str, str, str], None] = {}
        for name, owner, arguments in known:
            for edge in variations(arguments, function.defaults):
                varied.setdefault((name, owner, edge))
        fresh = sorted(varied.keys() - set(known), key=lambda c: digest_of([seed, *c]))
        edges = [c for c in fresh if is_edge(c[2])]
        rest = [c for c in fresh if not is_edge(c[2])]
        chosen = [(c, True) for c in known[:MOST_RECORDED]] + [(c, False) for c in [*edges, *rest][:MOST_VARIED]]
        for call, recorded in chosen:
            made.append(function.call(len(made), call, recorded=recorded, unordered=function.file in with_sets))
        for call in known[:MOST_REPEATED]:
            for before in [call[2], *(c[2] for c in [*rest, *edges] if c[:2] == call[:2])][:MOST_BEFORE]:
                unordered = function.file in with_sets
                made.append(function.call(len(made), call, before=before, recorded=False, unordered=unordered))
    return tuple(made)


def is_edge(arguments: str) -> bool:
    """Return whether one of the arguments is empty, zero or negative."""
    placed, named = read_literal(arguments)
    values = [*placed, *named.values()]
    return any(not v or (isinstance(v, int | float) and v < 0) for v in values if v is not None)


def variations(arguments: str, defaults: int) -> Iterator[str]:
    """Yield arguments that differ from these in one of them, which keeps its type, or that leave defaults out."""
    placed, named = read_literal(arguments)
    for at, value in enumerate(placed):
        for other in neighbours(value):
            yield literal(((*placed[:at], other, *placed[at + 1 :]), named))
    for name, value in named.items():
        for other in neighbours(value):
            yield literal((placed, {**named, name: other}))
    for count in range(1, min(defaults, len(placed)) + 1):
        yield literal((placed[:-count], named))


def neighbours(value: Any) -> Iterator[Any]:
    """Yield values of the same type that lie beside a plain one, edges first; nothing of None."""
    for _, other in zip(range(_WAYS), _neighbours(value), strict=False):
        if other != value:
            yield other


def _neighbours_of_many(value: Any) -> Iterator[Any]:
    kind = type(value)
    yield from (kind(), value[:1], value[:-1], kind(reversed(value)), kind([*value, *value]))
    for at, item in enumerate(value[:2]):
        for other in neighbours(item):
            yield kind([*value[:at], other, *value[at + 1 :]])


def _neighbours(value: Any) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int():
            yield from (0, -1, value + 1, value - 1, -value, _LARGE)
        case float():
            yield from (0.0, -1.0, -value, value + 0.5, value * 2)
        case str():
            yield from ("", value[:-1], value + value, value[:1], value[::-1])
            yield from (value.replace(" ", "  "), f" {value} ", value.swapcase(), f"{value}7")
        case bytes():
            yield from (b"", value[:-1], value + value, value[:1], value[::-1])
        case list() | tuple():
            yield from _neighbours_of_many(value)
        case set():
            yield set()
            yield from ({item} for item in sorted(value, key=literal)[:2])
        case dict():
            yield {}
            for key in list(value)[:3]:
                yield {k: v for k, v in value.items() if k != key}
            for key in list(value)[:3]:
                yield from ({**value, key: other} for other in list(neighbours(value[key]))[:2])
        case _:
            return
