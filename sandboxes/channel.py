"""The one channel of a sandbox: requests and answers over an attached stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from assay.errors import SandboxLost
from assay.sandboxes.frames import CHUNK, HEADER, VERSION, WINDOW, Frame, decode_failed, encode_frame

MOST_COMMANDS: Final = 40
MOST_FILE_REQUESTS: Final = 16
"""Together below the supervisor's table of helpers (HELPERS in supervisor/helpers.h), by a third."""
_PING_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 15.0
"""A supervisor that answers nothing for so long is taken for lost; its death is noticed at once."""
_KILL_SECONDS: Final = 2.0
"""How long a cancelled caller waits for what it started to be dead, at most."""
_SAID_MOST: Final = 2000


@dataclass(slots=True, eq=False)
class _Request:
    answer: asyncio.Future[list[bytes]]
    slots: asyncio.Semaphore
    sink: Callable[[memoryview], None] | None = None
    held: list[bytes] = field(default_factory=list)
    window: int = WINDOW
    widened: asyncio.Event = field(default_factory=asyncio.Event)
    during: AbstractContextManager[None] | None = None
    over: asyncio.Event | None = None
    """Set when the supervisor has done with it; there is one where its caller does not wait for the answer any more."""


class Channel:
    """Requests to a supervisor, many at a time, each with a body and an answer.

    Whoever owns the stream calls `receive` with what arrives, and `lose` when it ends.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._requests: dict[int, _Request] = {}
        self._last_id = 0
        self._header = bytearray()
        self._frame = (0, 0)
        self._payload: list[bytes] = []
        self._missing = -1
        self._said = ""
        self._lost: SandboxLost | None = None
        self._heard = 0.0
        self._heartbeat: asyncio.TimerHandle | None = None
        self._commands = asyncio.Semaphore(MOST_COMMANDS)
        self._file_requests = asyncio.Semaphore(MOST_FILE_REQUESTS)
        self._loop = asyncio.get_running_loop()
        self._greeted: asyncio.Future[None] = self._loop.create_future()

    @property
    def lost(self) -> bool:
        """Whether the stream has ended."""
        return self._lost is not None

    async def greet(self, seconds: float) -> None:
        """Wait until the supervisor has said hello; raises SandboxLost."""
        try:
            await asyncio.wait_for(asyncio.shield(self._greeted), seconds)
        except TimeoutError:
            self.lose(f"its supervisor did not start within {seconds:g} s")
        if self._lost is not None:
            raise self._lost

    async def ask(
        self,
        payload: bytes,
        body: AsyncIterator[bytes] | None = None,
        *,
        command: bool = False,
        sink: Callable[[memoryview], None] | None = None,
        during: AbstractContextManager[None] | None = None,
    ) -> list[bytes]:
        """Send a request and return its answer, in the pieces in which it came.

        Args:
            payload: of the OPEN frame: what is asked.
            body: chunks of at most CHUNK bytes that follow it.
            command: whether it counts as a command or as a request for files.
            sink: takes what comes of the answer before its end, as it comes; it is not returned then.
            during: is entered when the request is sent, and left when the supervisor has done with it, or is lost: what
                was cancelled and is slow to die still acts after its caller has gone.

        Raises SandboxLost, NotStarted and HelperDied. A request that is cancelled is ended in the sandbox first.
        """
        slots = self._commands if command else self._file_requests
        await slots.acquire()
        if self._lost is not None:
            slots.release()
            raise self._again(self._lost)
        self._last_id += 1
        number = self._last_id
        request = _Request(self._loop.create_future(), slots, sink)
        request.answer.add_done_callback(_look_at)
        if during is not None:
            during.__enter__()
            request.during = during
        self._requests[number] = request
        self._beat()
        self._write(encode_frame(number, Frame.OPEN, payload))
        sender = None if body is None else self._loop.create_task(self._send_body(number, request, body))
        try:
            if sender is not None:
                await asyncio.wait((request.answer, sender), return_when=asyncio.FIRST_COMPLETED)
                if sender.done():
                    await sender  # what its source raised is raised here
            return await request.answer
        finally:
            if sender is not None and not sender.done():
                sender.cancel()
                await asyncio.wait((sender,))
            if number in self._requests:  # cancelled, or the body failed
                self._write(encode_frame(number, Frame.KILL))
                await self._await_end(request)

    @staticmethod
    async def _await_end(request: _Request) -> None:
        request.over = asyncio.Event()
        try:
            await asyncio.wait_for(request.over.wait(), _KILL_SECONDS)
        except TimeoutError:
            request.answer.cancel()

    async def _send_body(self, number: int, request: _Request, body: AsyncIterator[bytes]) -> None:
        async for chunk in body:
            while request.window < len(chunk):
                request.widened.clear()
                await request.widened.wait()
            if request.answer.done():
                return
            request.window -= len(chunk)
            self._write(encode_frame(number, Frame.DATA, chunk))
        self._write(encode_frame(number, Frame.EOF))

    def receive(self, data: bytes | memoryview) -> None:
        """Take over bytes from the supervisor, cut anywhere."""
        self._heard = self._loop.time()
        rest = memoryview(data)
        while len(rest) and self._lost is None:
            if self._missing < 0:
                rest = self._receive_header(rest)
            else:
                piece = rest[: self._missing]
                rest = rest[self._missing :]
                self._payload.append(bytes(piece))
                self._missing -= len(piece)
            if self._missing == 0:
                self._take(*self._frame, self._payload)
                self._payload = []
                self._missing = -1

    def _receive_header(self, data: memoryview) -> memoryview:
        """Take what belongs to the header of a frame, and return the rest."""
        needed = HEADER.size - len(self._header)
        self._header += data[:needed]
        if len(self._header) == HEADER.size:
            number, kind, self._missing = HEADER.unpack(self._header)
            self._frame = (number, kind)
            self._header.clear()
            if self._missing > CHUNK:
                self.lose("its supervisor sent what is no frame")
        return data[needed:]

    def hear(self, text: bytes) -> None:
        """Take over what the supervisor says for people; it tells why the sandbox was lost."""
        self._said = (self._said + text.decode(errors="backslashreplace"))[-_SAID_MOST:]

    def _take(self, number: int, kind: int, payload: list[bytes]) -> None:
        request = self._requests.get(number)
        match kind:
            case Frame.DATA if request is not None:
                if request.sink is None:
                    request.held += payload
                else:
                    for piece in payload:
                        request.sink(memoryview(piece))
            case Frame.END if request is not None:
                request.held += payload
                self._finish(number, request)
                if not request.answer.done():
                    request.answer.set_result(request.held)
            case Frame.FAILED if request is not None:
                self._finish(number, request)
                if not request.answer.done():
                    request.answer.set_exception(decode_failed(b"".join(payload)))
            case Frame.CREDIT if request is not None:
                request.window += int.from_bytes(b"".join(payload), "little")
                request.widened.set()
            case Frame.HELLO if int.from_bytes(b"".join(payload), "little") == VERSION and not self._greeted.done():
                self._greeted.set_result(None)
            case Frame.PONG:
                pass
            case _:
                self.lose("its supervisor sent a frame that does not belong here")

    def _finish(self, number: int, request: _Request) -> None:
        del self._requests[number]
        if request.during is not None:
            request.during.__exit__(None, None, None)
        if request.over is not None:
            request.over.set()
        request.slots.release()
        request.window += CHUNK  # a sender that waits goes on, and sees that the answer is there
        request.widened.set()
        if not self._requests and self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    def lose(self, reason: str) -> None:
        """Note that the sandbox is gone: every request, now and later, raises SandboxLost."""
        if self._lost is not None:
            return
        said = f": {self._said.strip()}" if self._said.strip() else ""
        self._lost = SandboxLost(f"The sandbox was lost, because {reason}{said}.")
        if not self._greeted.done():
            self._greeted.set_result(None)
        for number, request in list(self._requests.items()):
            self._finish(number, request)
            if not request.answer.done():
                request.answer.set_exception(self._again(self._lost))

    @staticmethod
    def _again(error: SandboxLost) -> SandboxLost:
        """An error of its own for each caller, since raising one adds to its traceback."""
        return SandboxLost(error.message)

    def _beat(self) -> None:
        """Look after the supervisor for as long as something is asked; a timer costs less than a task a request."""
        if self._heartbeat is None:
            self._heard = self._loop.time()
            self._heartbeat = self._loop.call_later(_PING_SECONDS, self._watch, self._heard)

    def _watch(self, asked: float) -> None:
        now = self._loop.time()
        if now - asked > 2 * _PING_SECONDS:  # it was this process that stood still
            self._heard = now
        if now - self._heard > _SILENCE_SECONDS:
            self._heartbeat = None
            self.lose(f"its supervisor has not answered for {_SILENCE_SECONDS:g} s")
            return
        if now - self._heard >= _PING_SECONDS:
            self._write(encode_frame(0, Frame.PING))
        self._heartbeat = self._loop.call_later(_PING_SECONDS, self._watch, now)


def _look_at(answer: asyncio.Future[list[bytes]]) -> None:
    """Take note of an error that nobody may be waiting for any more, so that asyncio does not complain."""
    if not answer.cancelled():
        answer.exception()
