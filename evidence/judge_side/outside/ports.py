"""Connections of tests to what the program serves, carried to where the program is (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.

A connection to a port of this machine's on which nobody listens here is made to the same port where the program is.
The test's socket is a real one, connected to this process, which carries bytes.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from pathlib import Path
from typing import Any

from .crossing import PORT
from .proxies import Link, Uncrossable

_LISTENS = "0A"
_TABLES = {socket.AF_INET: ("/proc/net/tcp", "127.0.0.1"), socket.AF_INET6: ("/proc/net/tcp6", "::1")}
_PIECE = 1 << 16
_ACCEPT_SECONDS = 10.0


class Carrier:
    """One connection there.

    Args:
        link: the way there.
        number: of the connection, in the worker.
        listener: to which the test's socket connects.
    """

    def __init__(self, link: Link, number: int, listener: socket.socket) -> None:
        self._link, self._number, self._listener = link, number, listener
        self._here: socket.socket | None = None
        self._left = 2

    def attend(self) -> None:
        """Accept the test's socket, and carry both ways until both ends are closed."""
        try:
            with self._listener:
                self._listener.settimeout(_ACCEPT_SECONDS)
                self._here, _ = self._listener.accept()
        except OSError:
            self._leave(2)
            return
        self._here.settimeout(None)
        threading.Thread(target=self._carry_in, daemon=True).start()
        self._carry_out()

    def _ask(self, name: str, *given: Any) -> Any:
        arguments = [self._link.encode_plain(value) for value in given]
        return self._link.request("running", self._link.lasting, number=self._number, name=name, arguments=arguments)

    def _carry_in(self) -> None:
        """Carry what the test sends."""
        assert self._here is not None
        with contextlib.suppress(OSError, Uncrossable, SystemExit):
            while data := self._here.recv(_PIECE):
                self._ask("write", data)
            self._ask("write", b"")
        self._leave(1)

    def _carry_out(self) -> None:
        """Carry what the program sends."""
        assert self._here is not None
        until = time.monotonic() + self._link.lasting
        with contextlib.suppress(OSError, Uncrossable, SystemExit):
            while (data := self._ask("read")) != b"":
                if isinstance(data, bytes):
                    self._here.sendall(data)
                elif data is not None or time.monotonic() > until:
                    self._link.refuse("what the program serves says nothing any more")
                    break
        with contextlib.suppress(OSError):
            self._here.shutdown(socket.SHUT_WR)
        self._leave(1)

    def _leave(self, ways: int) -> None:
        self._left -= ways
        if self._left == 0:
            if self._here is not None:
                self._here.close()
            with contextlib.suppress(Uncrossable, OSError, SystemExit):
                self._ask("drop")


def route_connections(link: Link) -> None:
    """Let sockets connect to ports on which the program listens."""
    connect = socket.socket.connect

    def connect_there(self: socket.socket, address: Any) -> None:
        there = _there(self, address)
        if there is None:
            connect(self, address)
            return
        host, port = there
        listener = socket.create_server((host, 0), family=self.family)
        try:
            number = link.request("connect", link.seconds, host=host, port=port)
            if not isinstance(number, int):
                raise link.refuse("the worker's answer cannot be read")
        except BaseException as error:
            listener.close()
            if isinstance(error, ConnectionRefusedError) and link.outlived:
                raise link.refuse("a command of the program's outlives the test file that started it") from None
            raise
        threading.Thread(target=Carrier(link, number, listener).attend, daemon=True).start()
        connect(self, listener.getsockname())

    def connect_ex(self: socket.socket, address: Any) -> int:
        try:
            self.connect(address)
        except BlockingIOError as error:
            return error.errno or errno.EINPROGRESS
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    socket.socket.connect = connect_there  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign, assignment]


def _there(connecting: socket.socket, address: Any) -> tuple[str, int] | None:
    """Return host and port of a connection that leads to the program; None of any other."""
    table = _TABLES.get(connecting.family)
    if table is None or connecting.type & 0xF != socket.SOCK_STREAM or not isinstance(address, tuple):
        return None
    host, port = address[0], address[1]
    near = host in ("localhost", "::1", "", "0.0.0.0") or str(host).startswith("127.")  # noqa: S104 - asked for
    if not near or type(port) is not int or port == PORT or _is_heard_here(port):
        return None
    return table[1], port


def _is_heard_here(port: int) -> bool:
    """Return whether somebody listens on a port in this sandbox."""
    for table, _ in _TABLES.values():
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                return True
    return False
