"""The attached stream of a container: Docker's framing of stdout and stderr, taken apart.

The format is that of `POST /containers/{id}/attach` in Docker's API: eight bytes, of which the first is the
stream (1 stdout, 2 stderr) and the last four the length, big endian; then so many bytes.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

_HEADER: Final = struct.Struct(">BxxxL")
_READ: Final = 131072
Value = TypeVar("Value")


class Receiver(Protocol):
    """Who is told what arrives."""

    def receive(self, data: bytes | memoryview) -> None:
        """Take over bytes from stdout; they are only lent."""
        ...

    def hear(self, text: bytes) -> None:
        """Take over bytes from stderr."""
        ...

    def lose(self, reason: str) -> None:
        """Learn that the stream has ended."""
        ...


class Demultiplexer(asyncio.BufferedProtocol):
    """Takes Docker's frames apart and hands on what is in them, piece by piece as it arrives."""

    def __init__(self) -> None:
        self._receiver: Receiver | None = None
        self._room = bytearray(_READ)
        self._header = bytearray()
        self._stream = 0
        self._missing = 0

    def deliver_to(self, receiver: Receiver) -> None:
        """Set who gets what arrives."""
        self._receiver = receiver

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, count: int) -> None:
        self.data_received(memoryview(self._room)[:count])

    def data_received(self, data: bytes | memoryview) -> None:
        """Take over bytes of the stream, cut anywhere; they are not kept."""
        rest = memoryview(data)
        while len(rest):
            if self._missing == 0:
                needed = _HEADER.size - len(self._header)
                self._header += rest[:needed]
                rest = rest[needed:]
                if len(self._header) == _HEADER.size:
                    self._stream, self._missing = _HEADER.unpack(self._header)
                    self._header.clear()
                continue
            piece = rest[: self._missing]
            rest = rest[self._missing :]
            self._missing -= len(piece)
            if self._receiver is None:
                continue
            if self._stream == 1:
                self._receiver.receive(piece)
            else:
                self._receiver.hear(bytes(piece))

    def connection_lost(self, error: Exception | None) -> None:
        if self._receiver is not None:
            self._receiver.lose("its stream ended" if error is None else f"its stream broke ({error})")


class Stream(Protocol):
    """Where bytes for the container's stdin go."""

    def write(self, data: bytes) -> None:
        """Send bytes, without waiting."""
        ...

    def close(self) -> None:
        """End the stream."""
        ...


async def open_stream(connection: socket.socket, demultiplexer: Demultiplexer) -> Stream:
    """Serve an attached socket on the running loop; `demultiplexer` gets what arrives.

    A TLS socket that is already connected cannot be given to asyncio: two threads serve it.
    """
    loop = asyncio.get_running_loop()
    if connection.family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6) and type(connection) is socket.socket:
        connection.setblocking(False)
        transport, _ = await loop.connect_accepted_socket(lambda: demultiplexer, connection)
        return _Transport(transport)
    return _Threads(loop, connection, demultiplexer)


class _Transport:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.abort()


class _Threads:
    """One thread reads, one writes; both end when the socket is shut down."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, demultiplexer: Demultiplexer
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._demultiplexer = demultiplexer
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        connection.settimeout(None)
        for work in (self._read, self._send):
            threading.Thread(target=work, name="assay-stream", daemon=True).start()

    def write(self, data: bytes) -> None:
        self._outgoing.put(data)

    def close(self) -> None:
        self._outgoing.put(None)
        try:
            # Whoever waits in `sendall` or `recv` learns of nothing else. TLS's own `shutdown` first stops encrypting,
            # and a thread that sends just then would send in the clear.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
        except OSError:  # it has ended already
            return

    def _read(self) -> None:
        error: Exception | None = None
        try:
            while data := self._connection.recv(_READ):
                self._tell(self._demultiplexer.data_received, data)
        except OSError as caught:
            error = caught
        self._tell(self._demultiplexer.connection_lost, error)
        self._outgoing.put(None)

    def _send(self) -> None:
        try:
            while (data := self._outgoing.get()) is not None:
                self._connection.sendall(data)
        except OSError as error:
            self._tell(self._demultiplexer.connection_lost, error)
        finally:
            try:
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it ended from the other side first
                self._connection.close()
            else:
                self._connection.close()

    def _tell(self, function: Callable[[Value], None], value: Value) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, value)
