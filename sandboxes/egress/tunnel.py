"""The host's end of the way out: connections that commands make inside a sandbox, carried over its channel.

`supervisor/tunnel.c` is the other end. One request of the channel's carries all connections of a sandbox; its body and
its answer are streams of frames `u32 connection, u32 kind, u32 length, payload`, little endian. Each connection has
a window in each direction, so that one which nobody reads holds up no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Callable
from enum import IntEnum
from typing import Final

import structlog

from assay.errors import SandboxLost, SandboxRefused
from assay.sandboxes.channel import Channel
from assay.sandboxes.egress.environment import PORT
from assay.sandboxes.frames import CHUNK, HEADER, HelperDied, NotStarted, Refusal, decode_content, encode_frame
from assay.sandboxes.protocol import Attend

WINDOW: Final = 131_072
"""Bytes of one connection that may be on their way without a CREDIT, in each direction."""

_ASK: Final = struct.Struct("<cII")
_CREDIT: Final = struct.Struct("<I")
_PAYLOAD: Final = CHUNK - HEADER.size
_START_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.2
_END_SECONDS: Final = 1.0
"""How long what is going on may take to be recorded as ended, when the sandbox is gone."""

_log = structlog.get_logger(__name__)


class Part(IntEnum):
    """What a frame is: LISTENING, OPENED and CLOSED come from the sandbox, END from the host."""

    LISTENING = 1
    OPENED = 2
    DATA = 3
    CREDIT = 4
    CLOSED = 5
    END = 6


class TunnelConnection:
    """One connection that a command made. Implements `Peer`."""

    def __init__(self, send: Callable[[Part, bytes], None]) -> None:
        self._send = send
        self._held = bytearray()
        self._window = WINDOW
        self._over = asyncio.Event()
        self._changed = asyncio.Event()

    async def read(self) -> bytes:
        """Return what came next; empty once the command's end is closed."""
        while not self._held:
            if self._over.is_set():
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._held)
        self._held.clear()
        if not self._over.is_set():
            self._send(Part.CREDIT, _CREDIT.pack(len(data)))
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes, and wait for the command to take them; raises ConnectionResetError."""
        for at in range(0, len(data), _PAYLOAD):
            chunk = data[at : at + _PAYLOAD]
            while self._window < len(chunk) and not self._over.is_set():
                self._changed.clear()
                await self._changed.wait()
            if self._over.is_set():
                raise ConnectionResetError("the command closed the connection")
            self._window -= len(chunk)
            self._send(Part.DATA, chunk)

    async def gone(self) -> None:
        """Return once the command's end is closed, whatever of it is still unread."""
        await self._over.wait()

    def take(self, data: bytes) -> None:
        """Take over bytes from the command."""
        self._held += data
        self._changed.set()

    def widen(self, count: int) -> None:
        """Learn that the command took bytes."""
        self._window += count
        self._changed.set()

    def end(self) -> None:
        """Learn that the command's end is closed."""
        self._over.set()
        self._changed.set()


class Tunnel:
    """The connections of one sandbox.

    The sandbox has places for so many connections as are served at a time, and frees one when its command closes it.
    What then still waits here is let go, so that twice as many are held at most: served ones whose commands have gone,
    and as many others.

    Args:
        channel: to the sandbox's supervisor.
        serve: is called with each connection; when it returns, what it wrote is delivered and the connection ends.
        connections: served at a time; more wait in the sandbox.
    """

    def __init__(self, channel: Channel, serve: Attend, *, connections: int) -> None:
        self._channel = channel
        self._serve = serve
        self._most = connections
        self._slots = asyncio.Semaphore(connections)
        self._open: dict[int, TunnelConnection] = {}
        self._waiting: dict[TunnelConnection, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._buffer = bytearray()
        self._listening = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once commands can connect; raises SandboxLost, and SandboxRefused where the port is taken."""
        self._running = asyncio.get_running_loop().create_task(self._run())
        listening = asyncio.ensure_future(self._listening.wait())
        try:
            await asyncio.wait((self._running, listening), timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
        if self._running.done():
            await self._running
        if not self._listening.is_set():
            raise SandboxLost("The sandbox's way out did not open in time.")

    async def _run(self) -> None:
        """Ask for the tunnel; where its helper dies, as when memory is short, ask again.

        A command may have taken the port by then, and gives it back when it ends.
        """
        request = _ASK.pack(b"T", PORT, self._most)
        told = False
        try:
            while True:
                try:
                    with contextlib.suppress(HelperDied, NotStarted):
                        answer = await self._channel.ask(request, self._body(self._outgoing), sink=self._receive)
                        decode_content(b"".join(answer))
                except Refusal as refusal:
                    reason = os.strerror(refusal.number)
                    if not self._listening.is_set():
                        raise SandboxRefused(f"The sandbox's way out cannot open: {reason}.") from None
                    if not told:
                        _log.warning("way_out_not_reopened", reason=reason)
                    told = True
                self._drop_all()
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self._drop_all()

    async def _body(self, outgoing: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
        while True:
            yield await outgoing.get()

    def _drop_all(self) -> None:
        for number in tuple(self._open):
            self._drop(number)
        self._buffer.clear()
        self._outgoing = asyncio.Queue()

    def _drop(self, number: int) -> None:
        """Learn that a command's end is closed; what it sent and nobody has begun to serve is not served any more."""
        connection = self._open.pop(number)
        connection.end()
        if (task := self._waiting.pop(connection, None)) is not None:
            task.cancel()

    def _receive(self, data: memoryview) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEADER.size:
            number, kind, length = HEADER.unpack_from(buffer, at)
            end = at + HEADER.size + length
            if len(buffer) < end:
                break
            self._take(number, kind, bytes(buffer[at + HEADER.size : end]))
            at = end
        del buffer[:at]

    def _take(self, number: int, kind: int, payload: bytes) -> None:
        connection = self._open.get(number)
        match kind:
            case Part.LISTENING:
                self._listening.set()
            case Part.OPENED:
                self._begin(number)
            case Part.DATA if connection is not None:
                connection.take(payload)
            case Part.CREDIT if connection is not None:
                connection.widen(_CREDIT.unpack(payload)[0])
            case Part.CLOSED if connection is not None:
                self._drop(number)
            case _:
                pass  # of a connection that has ended here meanwhile

    def _begin(self, number: int) -> None:
        outgoing = self._outgoing
        connection = TunnelConnection(lambda kind, data: outgoing.put_nowait(encode_frame(number, kind, data)))
        self._open[number] = connection
        task = asyncio.get_running_loop().create_task(self._attend(number, connection, outgoing))
        self._waiting[connection] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, number: int, connection: TunnelConnection, outgoing: asyncio.Queue[bytes]) -> None:
        async with self._slots:
            del self._waiting[connection]
            try:
                await self._serve(connection)
            finally:
                if self._open.get(number) is connection:
                    del self._open[number]
                    outgoing.put_nowait(encode_frame(number, Part.END))

    async def close(self) -> None:
        """End every connection, once the sandbox is gone."""
        self._drop_all()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_SECONDS)
        left = {task for task in (*self._tasks, self._running) if task is not None and not task.done()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        if self._running is not None and not self._running.cancelled():
            self._running.exception()  # that the sandbox is gone is what everybody else is told
