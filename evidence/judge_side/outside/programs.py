"""Commands of the program's, and connections to what it serves, beside the worker (S9).

This file is written into the sandbox of the judged program, beside the worker; assay itself never imports it. It may
use nothing but the standard library.

What is read is asked for piece by piece, so that a program which writes without end waits for whoever reads it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from typing import Any

_PIECE = 1 << 16
_IDLE_SECONDS = 0.1
"""After so long without anything new the judge is told so; it also learns then what became of shared folders."""
_CONNECT_SECONDS = 10.0
_GRACE_SECONDS = 0.5
"""How long the output of a command is waited for that has ended, where what it started holds its streams open."""


class Command:
    """One command of the program's that runs.

    Args:
        argv: what is started.
        cwd: where.
        variables: its whole environment.
        merged: whether both streams are one.
        leads: whether it leads a group of processes, to which signals go.
    """

    def __init__(self, argv: list[str], cwd: str, variables: dict[str, str], merged: bool, leads: bool) -> None:
        self._leads = leads
        self._child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            bufsize=0,
            start_new_session=leads,
        )
        self._reading = selectors.DefaultSelector()
        for name, stream in (("out", self._child.stdout), ("err", self._child.stderr)):
            if stream is not None:
                self._reading.register(stream, selectors.EVENT_READ, name)
        self._ended: float | None = None
        self._turn = threading.Lock()
        """Reading and shutting are asked for by two threads."""

    def next(self) -> list[Any]:
        """Return what comes next: `out` or `err` with bytes, `end` with the exit code, or `idle`."""
        until = time.monotonic() + _IDLE_SECONDS
        while time.monotonic() < until:
            with self._turn:
                for key, _ in self._reading.select(_IDLE_SECONDS / 2):
                    data = os.read(key.fd, _PIECE)
                    if data:
                        return [key.data, data]
                    self._reading.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
            if not self._reading.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return ["end", self._child.wait(max(0.0, until - time.monotonic()))]
            elif self._child.poll() is not None:
                self._ended = self._ended or time.monotonic()
                if time.monotonic() > self._ended + _GRACE_SECONDS:
                    return ["end", self._child.returncode]
        return ["idle"]

    def feed(self, data: bytes | None) -> bool:
        """Write to its standard input, or close it; return whether somebody still reads there."""
        stream = self._child.stdin
        try:
            if stream is None or stream.closed:
                return False
            view = memoryview(data or b"")
            while view:
                view = view[stream.write(view) :]
            if data is None:
                stream.close()
        except OSError:
            return False
        return True

    def shut(self, name: str) -> None:
        """Close a stream that nobody reads any more."""
        stream = self._child.stdout if name == "out" else self._child.stderr
        with self._turn:
            if stream is not None and not stream.closed:
                self._reading.unregister(stream)
                stream.close()

    def signal(self, number: int, group: bool) -> None:
        """Send a signal; one that is sent to its group reaches what it started, too."""
        with contextlib.suppress(ProcessLookupError):
            if group and self._leads:
                os.killpg(self._child.pid, number)
            else:
                self._child.send_signal(number)
        if number == signal.SIGKILL:
            self._child.wait()


class Connection:
    """One connection to what the program serves."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        self._socket.settimeout(None)
        self._reading = selectors.DefaultSelector()
        self._reading.register(self._socket, selectors.EVENT_READ)

    def read(self) -> bytes | None:
        """Return what comes next; empty at the end, None where nothing came for a while."""
        if not self._reading.select(_IDLE_SECONDS):
            return None
        return self._socket.recv(_PIECE)

    def write(self, data: bytes) -> None:
        """Send bytes; empty is the end of sending."""
        if data:
            self._socket.sendall(data)
        else:
            self._socket.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Close it."""
        self._reading.close()
        self._socket.close()
