"""Proxies of the program's values, and the link to the worker that has them (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.

A handle is equal to nothing but itself, and nobody is asked about that. What cannot cross raises `Uncrossable`, which
no `except Exception` stops: such a test says nothing here.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .crossing import Malformed, decode, encode
from .exchange import Exchange
from .folders import Folders, Unshared
from .ground import Ground
from .values import Enumeration, Exceptions, Member

_ASKED_FOR = frozenset({"__name__", "__qualname__", "__doc__", "__module__", "__dict__"})
"""Names with two underscores that are looked up in the program; tools ask objects for many others."""
_NEVER_ASKED_FOR = ("_assay_", "_pytest", "pytestmark")
"""How names begin that pytest looks for in whatever a test module holds, and those of our own."""
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
LONGER = 4
"""A thread of the tests' may wait so many times as long as a test itself: for a server that it runs, as an example."""
_REFUSED = (".pyc", ".pyo")
"""Byte code says itself from which file it is, so nobody could tell later that the program wrote it."""
VARIES = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION")


class Uncrossable(BaseException):
    """Something that the judge and the program would have to share, and cannot."""


class Unclear(BaseException):
    """A failure with a handle about, which may be the handle's and not the program's."""


class Link:
    """The way to the worker, and what has been seen of it since the test began.

    Args:
        ground: where the program's files lie.
        seconds: how long one answer may take.
    """

    def __init__(self, ground: Ground, seconds: float) -> None:
        self.ground = ground
        self.seconds = seconds
        self.lasting = seconds * LONGER
        """Seconds that what runs beside a test may last."""
        self.session = 0
        """Number of the worker; handles of another one lead nowhere."""
        self.doubt = ""
        """Why what the test does says nothing."""
        self.foreign = ""
        """Type of a value that came as a handle."""
        self.folders = Folders(refused=_REFUSED)
        """What the test and the program share."""
        self.heard = False
        """Whether the program was asked anything since the test began."""
        self.began = 0
        """When the first test began, in nanoseconds since 1970."""
        self.asked = False
        """Whether it was ever asked anything."""
        self.running: set[object] = set()
        """Commands of the program's that run now."""
        self.outlived = False
        """Whether a worker was let go while such a command ran."""
        self._exchange: Exchange | None = None
        self._opening = threading.Lock()
        self._exceptions = Exceptions(self.decode, self)
        self._surroundings: tuple[Any, ...] | None = None

    def settle(self) -> None:
        """Take the surroundings as they are now for those in which tests begin."""
        self._surroundings = surroundings()

    def renew(self) -> None:
        """Let the worker go; the next request meets a new one."""
        with self._opening:
            if self._exchange is not None:
                self._exchange.close()
            self._exchange = None
            self.folders = Folders(self.folders.came, _REFUSED)
            self.outlived = bool(self.running)
            self.session += 1

    def begin_test(self) -> None:
        """Forget what was seen before; where the worker has ended, the next request meets a new one."""
        if self._exchange is not None and self._exchange.ended is not None:
            self.renew()
        self.began = self.began or time.time_ns()
        self.doubt = self.foreign = ""
        self.heard = False

    def refuse(self, reason: str) -> Uncrossable:
        """Return the error that ends a test, and remember it where a test goes on all the same."""
        self.doubt = self.doubt or reason
        return Uncrossable(reason)

    def share(self, texts: list[str], cwd: str | None = None) -> None:
        """Let the program have what is named, a path of the judge's own side or a text that holds one."""
        try:
            places = self.ground.places(texts, cwd)
            for place, sent, back in places:
                self._open().share(place, sent, back=back)
        except Unshared as error:
            raise self.refuse(str(error)) from None

    def ask(self, do: str, **fields: Any) -> Any:
        """Ask the worker and return what it answers, or raise what the program raised."""
        if self._surroundings is not None and surroundings() != self._surroundings:
            raise self.refuse("the test changes the surroundings of its process")
        return self.request(do, self.seconds if is_main() else self.lasting, **fields)

    def request(self, do: str, seconds: float, **fields: Any) -> Any:
        """Ask the worker, whatever the surroundings are, and wait so long for its answer."""
        self.heard = self.asked = True
        session = self.session
        answer = self._answer({"do": do, **fields}, seconds, session)
        try:
            sys.stdout.write(str(answer["out"]))
            sys.stderr.write(str(answer["err"]))
            if answer["unshared"]:
                raise self.refuse(str(answer["unshared"]))
            if "raised" in answer:
                raised = self._exceptions.make(answer["raised"])
            else:
                return self.decode(answer["value"])
        except UNREADABLE as error:
            raise self.refuse(f"the worker's answer cannot be read ({type(error).__name__})") from None
        raise raised

    def _open(self) -> Exchange:
        with self._opening:
            if self._exchange is None:
                self._exchange = Exchange(self.folders)
            return self._exchange

    def _answer(self, request: dict[str, Any], seconds: float, session: int) -> dict[str, Any]:
        exchange: Exchange | None = None
        try:
            exchange = self._open()
            return exchange.ask(request, seconds)
        except Unshared as error:
            reason = str(error)
            if exchange is not None:
                exchange.close(error)  # what the sides share is not the same any more: the next test meets a new worker
        except TimeoutError as error:
            reason = f"the worker did not answer within {seconds:g} s"
            if exchange is not None:
                exchange.close(error)
        except (EOFError, OSError):
            reason = "the worker has ended"
        except Malformed:
            reason = "the worker's answer cannot be read"
        if session != self.session:
            raise SystemExit  # in a thread that a test left behind: nobody is told
        raise self.refuse(reason)

    def encode(self, value: Any) -> Any:
        """Return what a value is in a message; raises Uncrossable."""
        try:
            told = encode(value, self._encode_foreign)
        except (Malformed, RecursionError):
            raise self.refuse("a value that lies too deep is given to the program") from None
        self.share(_absolute_paths(value))
        return told

    @staticmethod
    def encode_plain(value: Any) -> Any:
        """Return what bytes, numbers and names are in a message."""
        return encode(value, str)

    def _encode_foreign(self, value: Any) -> Any:
        if hasattr(type(value), "assay_told"):
            return value.assay_told()
        raise self.refuse(f"an object of the tests is given to the program ({type(value).__name__})")

    def decode(self, told: Any) -> Any:
        """Return the value of a message."""
        return decode(told, self._decode_foreign)

    def _decode_foreign(self, told: list[Any]) -> Any:
        match told:
            case ["held", int(number), str(kind), bool(called)]:
                self.foreign = self.foreign or kind
                made = Function if called else Proxy
                return made(self, ["held", number], kind, self.session)
            case ["exception", list(described)]:
                return self._exceptions.find(described)
            case ["enum", str(name), bool(mixed), list(members)]:
                return Enumeration(self.decode, name, mixed, members)
            case ["member", str(name), str(member), bool(mixed), value]:
                self.foreign = self.foreign or name
                return Member(name, member, mixed, self.decode(value))
            case ["module", str(name)]:
                return Function(self, ["named", name], "module", None)
            case _:
                raise Malformed("no value")


def surroundings() -> tuple[Any, ...]:
    """Return what the program would find around it if it were in this process."""
    variables = {name: value for name, value in os.environ.items() if name not in VARIES}
    ordinary = sys.stdin is sys.__stdin__ or type(sys.stdin).__module__.startswith("_pytest")
    return variables, Path.cwd(), tuple(sys.argv), ordinary


def is_main() -> bool:
    """Return whether this is the thread in which tests run."""
    return threading.current_thread() is threading.main_thread()


def _absolute_paths(value: Any, depth: int = 0) -> list[str]:
    """Return the texts in a value that may be paths of this side."""
    if isinstance(value, (str, os.PathLike)):
        path = str(value)
        return [path] if path.startswith("/") and "\0" not in path else []
    if isinstance(value, (list, tuple, set, dict)) and depth < 3:
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        return [path for held in inside for path in _absolute_paths(held, depth + 1)]
    return []


class Proxy:
    """A value of the program's, in the worker.

    Args:
        link: the way to it.
        told: where it is: in the worker's list, or under a name that every worker knows.
        kind: name of its type, for people.
        session: of the worker that has it; None where every worker finds it by its name.
    """

    __slots__ = ("_assay_kind", "_assay_link", "_assay_session", "_assay_told")

    def __init__(self, link: Link, told: list[Any], kind: str, session: int | None) -> None:
        for name, value in (("link", link), ("told", told), ("kind", kind), ("session", session)):
            object.__setattr__(self, f"_assay_{name}", value)

    def assay_told(self) -> list[Any]:
        """Return where it is, for a message; raises Uncrossable where its worker is gone."""
        link: Link = self._assay_link
        if self._assay_session not in (None, link.session):
            raise link.refuse("an object of the program's outlives the test file that made it")
        return self._assay_told  # type: ignore[no-any-return]

    def _assay_ask(self, do: str, *arguments: Any) -> Any:
        link: Link = self._assay_link
        return link.ask(do, of=self.assay_told(), arguments=[link.encode(a) for a in arguments])

    def __getattr__(self, name: str) -> Any:
        if name.startswith(_NEVER_ASKED_FOR) or (name.startswith("__") and name not in _ASKED_FOR):
            raise AttributeError(name)
        return self._assay_named(name, self._assay_ask("getattr", name))

    def _assay_named(self, name: str, found: Any) -> Any:
        """Return what was found under a name; of a value with a lasting name that is lasting, too."""
        if isinstance(found, Proxy) and self._assay_session is None and found._assay_told[0] == "held":
            return type(found)(self._assay_link, [*self._assay_told, name], found._assay_kind, None)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        self._assay_ask("setattr", name, value)

    def __delattr__(self, name: str) -> None:
        self._assay_ask("delattr", name)

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        self._assay_link.doubt = self._assay_link.doubt or f"a value of type {self._assay_kind} is compared"
        return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: object) -> Any:
        raise self._assay_link.refuse(f"a value of type {self._assay_kind} is copied")

    def __dir__(self) -> list[str]:
        return list(self._assay_ask("dir"))

    def __len__(self) -> int:
        return int(self._assay_ask("len"))

    def __bool__(self) -> bool:
        return self._assay_ask("bool") is True

    def __str__(self) -> str:
        return str(self._assay_ask("str"))

    def __repr__(self) -> str:
        return str(self._assay_ask("repr"))

    def __format__(self, form: str) -> str:
        return str(self._assay_ask("format", form))

    def __int__(self) -> int:
        return int(self._assay_ask("int"))

    def __float__(self) -> float:
        return float(self._assay_ask("float"))

    def __iter__(self) -> Iterator[Any]:
        return Walk(self._assay_ask("iter"))

    def __reversed__(self) -> Iterator[Any]:
        return Walk(self._assay_ask("reversed"))

    def __next__(self) -> Any:
        return self._assay_ask("next")

    def __getitem__(self, key: Any) -> Any:
        return self._assay_ask("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._assay_ask("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._assay_ask("delitem", key)

    def __enter__(self) -> Any:
        return self._assay_ask("enter")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        """Leave a context. It may swallow what the program itself raised, and nothing that the judge's side did."""
        link: Link = self._assay_link
        told = None if error is None else [type(error).__name__, [str(error)]]
        swallows = link.ask("exit", of=self.assay_told(), error=told) is True
        return swallows and getattr(error, "assay_source", None) is link


class Function(Proxy):
    """A value of the program's that can be called: a function, or a class."""

    __slots__ = ()

    def __call__(self, /, *arguments: Any, **options: Any) -> Any:
        link: Link = self._assay_link
        given = [link.encode(argument) for argument in arguments]
        named = {name: link.encode(value) for name, value in options.items()}
        return link.ask("call", of=self.assay_told(), arguments=given, options=named)


class Walk:
    """An iteration over a value of the program's."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def __iter__(self) -> Walk:
        return self

    def __next__(self) -> Any:
        return next(self._iterator)
