"""The worker in which a judged program runs, where the judge stands outside (S9).

This file is written into a sandbox of its own, beside the program and without any test; assay itself never imports it.
It may use nothing but the standard library.

It serves the requests of one connection and ends with it. The program shares its process and can do with it what it
likes: nothing that comes from here is more than a value, and the judge takes it for no more.
"""

from __future__ import annotations

import builtins
import enum
import importlib
import io
import os
import queue
import sys
import threading
import types
from pathlib import Path
from typing import Any

from .crossing import Malformed, Stream, connect, decode, encode
from .folders import Folders, Unshared
from .programs import Command, Connection

_TOLD = 1_000_000
"""Characters of what the program printed that go back with an answer."""
_OPERATIONS: dict[str, Any] = {
    "len": len,
    "iter": iter,
    "next": next,
    "bool": bool,
    "str": str,
    "repr": repr,
    "int": int,
    "float": float,
    "reversed": reversed,
    "format": format,
    "getitem": lambda of, key: of[key],
    "setitem": lambda of, key, value: of.__setitem__(key, value),
    "delitem": lambda of, key: of.__delitem__(key),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "dir": dir,
    "enter": lambda of: type(of).__enter__(of),
}


class Printed(io.StringIO):
    """What the program printed and nobody was told yet."""

    def __init__(self) -> None:
        super().__init__()
        self._writing = threading.Lock()

    def write(self, text: str) -> int:
        """Keep a text, unless too much is kept already."""
        with self._writing:
            if self.tell() < _TOLD:
                super().write(text[:_TOLD])
        return len(text)

    def take(self) -> str:
        """Return what is kept, and keep it no more."""
        with self._writing:
            text = self.getvalue()
            self.seek(0)
            self.truncate()
        return text


class Worker:
    """Serves one connection: each thread of the judge's in a thread of its own, its main thread in this one's.

    Args:
        stream: the connection.
        variables: in which commands of the program's begin.
    """

    def __init__(self, stream: Stream, variables: dict[str, str]) -> None:
        self._stream, self._variables = stream, variables
        self._held: list[Any] = []
        self._running: list[Any] = []
        self._adding, self._answering = threading.Lock(), threading.Lock()
        self._folders = Folders()
        self._out, self._err = Printed(), Printed()
        self._turns: dict[int, queue.SimpleQueue[Any]] = {0: queue.SimpleQueue()}

    def serve(self) -> None:
        """Answer requests until the connection ends."""
        sys.stdout, sys.stderr = self._out, self._err
        threading.Thread(target=self._receive, daemon=True).start()
        self._work(self._turns[0])

    def _receive(self) -> None:
        while True:
            try:
                request = self._stream.receive()
            except (EOFError, OSError):
                os._exit(0)
            self._lay_down(request)
            thread = request["thread"]
            if thread not in self._turns:
                self._turns[thread] = queue.SimpleQueue()
                threading.Thread(target=self._work, args=(self._turns[thread],), daemon=True).start()
            self._turns[thread].put(request)

    def _work(self, turn: queue.SimpleQueue[Any]) -> None:
        while True:
            self._answer(turn.get())

    def _lay_down(self, request: dict[str, Any]) -> None:
        """Make shared folders what they are on the judge's side, before anything is done that was asked later."""
        try:
            for place, back in request.get("share", []):
                if back:
                    self._folders.clear(place)
                self._folders.add(place, sent="all" if back else "none", taken=True)
            self._folders.apply(request.get("files", []))
        except Unshared as error:
            request["unshared"] = str(error)

    def _answer(self, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"], "value": None, "unshared": request.get("unshared", "")}
        if not answer["unshared"]:
            try:
                answer["value"] = self._encode(self._do(request))
            except BaseException as error:  # noqa: BLE001 - whatever the program raises is raised at the other end
                answer["raised"] = self._encode_error(error)
        with self._answering:
            try:
                answer["files"] = self._folders.changes() if self._folders else []
            except Unshared as error:
                answer["unshared"] = answer["unshared"] or str(error)
            if answer["unshared"]:
                self._folders.forget()
            try:
                self._stream.send({**answer, "out": self._out.take(), "err": self._err.take()})
            except (Malformed, OSError):
                os._exit(1)  # it cannot be told, and there is nobody to tell that

    def _do(self, request: dict[str, Any]) -> Any:
        match request["do"]:
            case "import":
                return _lasting_names(importlib.import_module(request["name"]))
            case "call":
                arguments = [self._decode(a) for a in request["arguments"]]
                options = {name: self._decode(value) for name, value in request["options"].items()}
                return self._find(request["of"])(*arguments, **options)
            case "start":
                return self._start(request)
            case "connect":
                return self._keep(Connection(request["host"], request["port"]))
            case "running":
                given = [self._decode(a) for a in request["arguments"]]
                return getattr(self._running[request["number"]], request["name"])(*given)
            case "exit":
                of, error = self._find(request["of"]), self._error(request["error"])
                return bool(type(of).__exit__(of, None if error is None else type(error), error, None))
            case name:
                return _OPERATIONS[name](self._find(request["of"]), *(self._decode(a) for a in request["arguments"]))

    def _start(self, request: dict[str, Any]) -> int:
        """Start a command of the program's, in the worker's own environment but for what the test changed in its."""
        variables = {n: v for n, v in self._variables.items() if n not in request["without"]} | request["variables"]
        return self._keep(Command(request["argv"], request["cwd"], variables, request["merged"], request["leads"]))

    def _keep(self, running: Any) -> int:
        with self._adding:
            self._running.append(running)
            return len(self._running) - 1

    def _find(self, told: list[Any]) -> Any:
        if told[0] == "held":
            return self._held[told[1]]
        found: Any = importlib.import_module(told[1])
        for name in told[2:]:
            found = getattr(found, name)
        return found

    def _decode(self, told: Any) -> Any:
        return decode(told, self._decode_foreign)

    def _decode_foreign(self, told: list[Any]) -> Any:
        if told[0] == "member":
            module, _, qualified = told[1].partition(":")
            return self._find(["named", module, *qualified.split(".")])[told[2]]
        return self._find(told)

    def _encode(self, value: Any) -> Any:
        try:
            return encode(value, self._encode_foreign)
        except (Malformed, RecursionError):
            return self._hold(value)

    def _encode_foreign(self, value: Any) -> Any:
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["exception", _describe_class(value)]
        if isinstance(value, enum.EnumMeta):
            named: dict[str, Any] = dict(value.__members__)
            members = [[name, self._encode(held.value)] for name, held in named.items()]
            return ["enum", _full_name(value), _is_mixed(value), members]
        if isinstance(value, enum.Enum) and not isinstance(value, enum.Flag):
            return ["member", _full_name(type(value)), value.name, _is_mixed(type(value)), self._encode(value.value)]
        if isinstance(value, types.ModuleType) and sys.modules.get(value.__name__) is value:
            return ["module", value.__name__]
        return self._hold(value)

    def _hold(self, value: Any) -> list[Any]:
        with self._adding:
            self._held.append(value)
            number = len(self._held) - 1
        return ["held", number, type(value).__qualname__, callable(value)]

    def _encode_error(self, error: BaseException) -> dict[str, Any]:
        try:
            text = str(error)
        except BaseException:  # noqa: BLE001 - str() of a program's exception is the program's
            text = ""
        return {
            "class": _describe_class(type(error)),
            "arguments": [self._encode(argument) for argument in error.args],
            "text": text[:_TOLD],
            "held": {name: self._encode(value) for name, value in vars(error).items()},
        }

    def _error(self, told: list[Any] | None) -> BaseException | None:
        """Return an exception of the judge's side, for a context of the program's that is left by it."""
        if told is None:
            return None
        kind = getattr(builtins, told[0], None)
        made = kind if isinstance(kind, type) and issubclass(kind, BaseException) else RuntimeError
        return made(*told[1])


def _lasting_names(module: Any) -> dict[str, Any]:
    """Return what a module offers under lasting names: enumerations, kinds of exceptions; None for other callables."""
    told: dict[str, Any] = {}
    for name, value in vars(module).items():
        if isinstance(value, enum.EnumMeta) or (isinstance(value, type) and issubclass(value, BaseException)):
            told[name] = value
        elif isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            told[name] = None
    return told


def _is_mixed(kind: type) -> bool:
    """Return whether the members of an enumeration are plain values, too."""
    return issubclass(kind, (int, str, float))


def _full_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _describe_class(kind: type) -> list[Any]:
    """Return the name of a class of exceptions, with its bases where it is none of Python's own."""
    bases = [base for base in kind.__bases__ if issubclass(base, BaseException)]
    return [kind.__module__, kind.__qualname__, *(_describe_class(b) for b in bases if kind.__module__ != "builtins")]


def main() -> None:
    """Connect, open the way for the program, and serve."""
    stream, variables = connect(), dict(os.environ)
    sys.argv[:] = [""]
    sys.pycache_prefix = str(Path(__file__).with_name("bytecode"))
    sys.path[:0] = [path for path in os.environ["PYTHONPATH"].split(":") if Path(path).is_dir()]
    Worker(stream, variables).serve()
