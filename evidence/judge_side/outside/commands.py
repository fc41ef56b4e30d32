"""The program's commands, started by tests and run where the program is (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.

For each of them a process stands here (`standin.py`): it has the streams that the test gave, receives the signals that
the test sends, and ends as the command did. So whatever Python or a shell can do with a process can be done with it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .proxies import UNREADABLE, VARIES, Link, Uncrossable
from .routing import At, Route, Undecided, route, words_of
from .standin import HEAD, take

_STANDIN = str(Path(__file__).with_name("standin.py"))
_MOST_BYTES = 16_000_000
"""That one command may print."""
_SHELL = "/bin/sh"
_KILL = int(signal.SIGKILL)
"""As a plain number: a member of an enumeration would cross as something else."""
_SIGNATURE = inspect.signature(subprocess.Popen.__init__)


class Remote:
    """A command where the program is, and the judge's end of the socket to what stands for it here.

    Args:
        link: the way there.
        number: of the command, in the worker.
    """

    def __init__(self, link: Link, number: int) -> None:
        self._link, self._number = link, number
        self._here, self.there = socket.socketpair()
        self._sending = threading.Lock()

    def attend(self) -> None:
        """Carry from here on."""
        self._link.running.add(self)
        for work in (self._carry_out, self._carry_in):
            threading.Thread(target=work, daemon=True).start()

    def give_up(self) -> None:
        """End the command, for which nothing stands here."""
        self._here.close()
        self.ask("signal", _KILL, True)

    def ask(self, name: str, *given: Any) -> Any:
        """Do something with the command; raises Uncrossable where that cannot be told."""
        arguments = [self._link.encode_plain(value) for value in given]
        return self._link.request("running", self._link.seconds, number=self._number, name=name, arguments=arguments)

    def _tell(self, letter: bytes, data: bytes = b"") -> None:
        with self._sending:
            self._here.sendall(HEAD.pack(letter, len(data)) + data)

    def _carry_out(self) -> None:
        """Bring here what it prints, and how it ends; what prints or lasts without end is ended."""
        link, left = self._link, _MOST_BYTES
        until = time.monotonic() + link.lasting
        code = -_KILL
        try:
            while True:
                kind, *told = self.ask("next")
                if kind == "end":
                    code = int(told[0])
                    break
                if kind in ("out", "err"):
                    left -= len(told[0])
                    self._tell(kind[:1].encode(), told[0])
                if left < 0 or time.monotonic() > until:
                    why = "prints without end" if left < 0 else f"does not end within {link.lasting:g} s"
                    link.refuse(f"a command of the program's {why}")
                    self.ask("signal", _KILL, True)
                    break
        except UNREADABLE:
            link.refuse("the worker's answer cannot be read")
        except (Uncrossable, OSError, SystemExit):
            pass  # the worker is gone, or what stood for the command
        finally:
            link.running.discard(self)
            with contextlib.suppress(OSError):  # what stood for it has ended before
                self._tell(b"x", struct.pack("<i", max(-64, min(code, 255))))

    def _carry_in(self) -> None:
        """Bring there what stands for it here is given; where that is gone, nobody wants the command any more."""
        read = True
        try:
            while len(head := take(self._here, HEAD.size)) == HEAD.size:
                letter, length = HEAD.unpack(head)
                data = take(self._here, length)
                if letter == b"s":
                    self.ask("signal", data[0], True)
                elif letter == b"p":
                    self.ask("shut", "out" if data == b"o" else "err")
                elif letter == b"I":
                    self.ask("feed", None)
                elif read and not self.ask("feed", data):
                    read = False
                    self._tell(b"c")  # once: what is closed there may be something else the next time
            self.ask("signal", _KILL, True)
        except (Uncrossable, OSError, SystemExit):
            pass  # the worker is gone, and the command with it


class Process(subprocess.Popen):  # type: ignore[type-arg]
    """A process, here or where the program is."""

    assay_link: Link
    assay_ordinary: Mapping[str, str]
    assay_remote: Remote | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        bound = _SIGNATURE.bind(self, *arguments, **options).arguments
        given, link = _Given(bound), self.assay_link
        try:
            there = given.decide(link, self.assay_ordinary)
        except Undecided as error:
            raise link.refuse(str(error)) from None
        if not there:
            super().__init__(*arguments, **options)
            return
        remote = given.start(link, self.assay_ordinary)
        with remote.there:
            descriptor = remote.there.fileno()
            kept = {n: v for n, v in bound.items() if n in _KEPT}
            kept |= {"pass_fds": (descriptor,), "cwd": "/", "env": {"LANG": "C.UTF-8"}}
            try:
                super().__init__([sys.executable, "-I", "-S", _STANDIN, str(descriptor)], **kept)
            except BaseException:
                remote.give_up()
                raise
        self.args = bound["args"]
        self.assay_remote = remote
        remote.attend()

    def send_signal(self, sig: int) -> None:
        """Send a signal to the command itself; what stands for it ends after it."""
        if self.assay_remote is None:
            super().send_signal(sig)
        elif self.poll() is None:
            self.assay_remote.ask("signal", int(sig), False)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and for a command of the program's no longer than for an answer."""
        return int(self._bounded(super().wait, timeout))

    def communicate(self, input: Any = None, timeout: float | None = None) -> Any:  # noqa: A002 - as it is called
        """Exchange everything with it, and with a command of the program's no longer than for an answer."""
        return self._bounded(partial(super().communicate, input), timeout)

    def _bounded(self, work: Callable[[float | None], Any], timeout: float | None) -> Any:
        if self.assay_remote is None or timeout is not None:
            return work(timeout)
        link = self.assay_link
        try:
            return work(link.seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise link.refuse(f"a command of the program's did not end within {link.seconds:g} s") from None


def route_commands(link: Link) -> None:
    """Let each command that a test starts happen where it has to."""
    told = {"assay_link": link, "assay_ordinary": dict(os.environ), "__doc__": subprocess.Popen.__doc__}
    routed: Any = type("Popen", (Process,), told)

    def system(command: Any) -> int:
        code: int = routed(command, shell=True).wait()  # noqa: S604 - as it is called
        return -code if code < 0 else code << 8

    subprocess.Popen = routed  # type: ignore[misc]
    os.system = system


_KEPT = frozenset(
    {
        *("bufsize", "stdin", "stdout", "stderr", "text", "universal_newlines", "encoding", "errors"),
        *("start_new_session", "process_group", "pipesize", "restore_signals"),
    }
)
"""Options that are for what stands here."""
_HANDLED = _KEPT | {"self", "args", "shell", "cwd", "env", "close_fds", "creationflags", "startupinfo"}


class _Given:
    """What a test gave to start a process.

    Args:
        options: by their names.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        args = options["args"]
        single = isinstance(args, (str, bytes, os.PathLike))
        words = [os.fsdecode(word) for word in ([args] if single else args)]
        self._text = words[0] if options.get("shell") and words else None
        self._argv = [_SHELL, "-c", *words] if options.get("shell") else words
        self._cwd = os.path.normpath(Path.cwd() / os.fsdecode(options.get("cwd") or ""))
        self._variables = os.environ if options.get("env") is None else options["env"]

    def decide(self, link: Link, ordinary: Mapping[str, str]) -> bool:
        """Return whether it runs where the program is; raises Undecided."""
        values = self._changed(ordinary).values()
        search = os.fsdecode(self._variables.get("PATH") or os.defpath)
        command = self._argv if self._text is None else self._text
        at = At(link.ground, self._cwd, search)
        found = route(command, at, heard=link.heard, came=link.folders.came, values=values)
        if found is Route.THERE and (odd := {n for n, v in self._options.items() if v} - _HANDLED):
            raise Undecided(f"a command of the program's is started with {sorted(odd)[0]}")
        return found is Route.THERE

    def _changed(self, ordinary: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that are not as they were before any test."""
        now = {os.fsdecode(n): os.fsdecode(v) for n, v in self._variables.items()}
        return {n: v for n, v in now.items() if ordinary.get(n) != v and n not in VARIES}

    def start(self, link: Link, ordinary: Mapping[str, str]) -> Remote:
        """Start it there; raises what starting it raises there."""
        changed = self._changed(ordinary)
        now = {os.fsdecode(name) for name in self._variables}
        words = self._argv if self._text is None else [*words_of(self._text), *self._argv]
        link.share([*words, *changed.values()], self._cwd)
        try:
            number = link.request(
                "start",
                link.seconds,
                argv=self._argv,
                cwd=self._cwd,
                variables=changed,
                without=sorted(ordinary.keys() - now - {*VARIES}),
                merged=self._options.get("stderr") == subprocess.STDOUT,
                leads=bool(self._options.get("start_new_session") or self._options.get("process_group") is not None),
            )
        except OSError as error:
            raise type(error)(error.errno, error.strerror, self._argv[0]) from None
        if not isinstance(number, int):
            raise link.refuse("the worker's answer cannot be read")
        return Remote(link, number)
