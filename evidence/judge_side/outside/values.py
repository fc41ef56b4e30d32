"""Values that the judge makes of what it is told of classes: members of enumerations, and exceptions (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from typing import Any

Decode = Callable[[Any], Any]


class Member:
    """A member of an enumeration: data, by its class and its name."""

    def __init__(self, kind: str, name: str, mixed: bool, value: Any) -> None:
        self.assay_kind = kind
        self.assay_mixed = mixed
        self.name = name
        self.value = value

    def assay_told(self) -> list[Any]:
        """Return it for a message."""
        return ["member", self.assay_kind, self.name]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Member):
            return (self.assay_kind, self.name) == (other.assay_kind, other.name)
        return bool(self.assay_mixed and type(other) in (int, str, float) and self.value == other)

    def __hash__(self) -> int:
        return hash(self.value if self.assay_mixed else (self.assay_kind, self.name))

    def __str__(self) -> str:
        return f"{self.assay_kind.rpartition(':')[2]}.{self.name}"

    __repr__ = __str__


class Enumeration:
    """A class of members. All of it is told at once, so that a test that names one asks nobody.

    A member is its name: two names of one value are two members here, and no program can make them equal.
    """

    def __init__(self, decode: Decode, kind: str, mixed: bool, members: list[Any]) -> None:
        self._kind = kind
        self.__members__ = {str(name): Member(kind, str(name), mixed, decode(value)) for name, value in members}

    def assay_told(self) -> list[Any]:
        """Return it for a message."""
        module, _, qualified = self._kind.partition(":")
        return ["named", module, *qualified.split(".")]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["__members__"][name]
        except KeyError:
            raise AttributeError(name) from None

    __getitem__ = __getattr__

    def __call__(self, value: Any) -> Any:
        for member in self:
            if member is value or (type(member.value) is type(value) and member.value == value):
                return member
        raise ValueError(f"{value!r} is not a valid {self._kind.rpartition(':')[2]}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__members__.values())

    def __len__(self) -> int:
        return len(self.__members__)


class Exceptions:
    """The classes of the program's exceptions, made again on this side.

    Args:
        decode: makes values of what is told.
        source: is left in each exception that is made, so that it can be told from the judge's own.
    """

    def __init__(self, decode: Decode, source: object) -> None:
        self._decode = decode
        self._source = source
        self._classes: dict[str, type[BaseException]] = {}

    def find(self, told: list[Any]) -> type[BaseException]:
        """Return the class of exceptions of this name: Python's own, or one that is made for it and its bases."""
        module, qualified = str(told[0]), str(told[1])
        home = builtins if module == "builtins" else sys.modules.get(module)
        if home is not None and module.split(".")[0] in sys.stdlib_module_names and module.split(".")[0] != "unittest":
            found = getattr(home, qualified, None)
            if isinstance(found, type) and issubclass(found, BaseException) and found.__module__ == module:
                return found
        key = repr(told)
        if key not in self._classes:
            bases = tuple(dict.fromkeys(self.find(base) for base in told[2:])) or (Exception,)
            names = {"__module__": module, "__qualname__": qualified, "__str__": _shown, "__init__": _any_arguments}
            self._classes[key] = type(qualified.rpartition(".")[2], bases, names)
        return self._classes[key]

    def make(self, told: dict[str, Any]) -> BaseException:
        """Return the exception that the program raised."""
        kind = self.find(told["class"])
        arguments = [self._decode(argument) for argument in told["arguments"]]
        held = {n: self._decode(v) for n, v in told["held"].items() if not n.startswith("__")}
        error = kind.__new__(kind, *arguments)
        error.args = tuple(arguments)
        if kind.__module__ == "builtins":
            error.__init__(*arguments)  # type: ignore[misc]
        error.__dict__.update(held, assay_text=str(told["text"]), assay_source=self._source)
        return error


def _shown(error: BaseException) -> str:
    return str(error.__dict__.get("assay_text", BaseException.__str__(error)))


def _any_arguments(error: BaseException, *arguments: Any, **options: Any) -> None:
    del error, arguments, options  # what `__new__` was given is in `args`
