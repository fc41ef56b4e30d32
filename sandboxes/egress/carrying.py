"""Carrying bytes between a sandbox and a server, within bounds, neither side faster than the other takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import h11

from assay.policies.egress import as_address, plain_host
from assay.sandboxes.egress.hello import read_hello
from assay.sandboxes.egress.requests import HEAD_MAX, Asked, Refused, answer_headers
from assay.sandboxes.protocol import Peer

_READ: Final = 32_768
_SUCCESS: Final = 200


class Spent(Exception):
    """A bound on time or bytes was reached; the message says which."""


class Meter:
    """What one connection has moved, and until when it may.

    Args:
        take: counts bytes for the sandbox as a whole; raises Spent.
        idle_seconds: how long nothing may move.
        end: when it must be over, on the loop's clock.
    """

    def __init__(self, take: Callable[[int], None], idle_seconds: float, end: float) -> None:
        self.sent = 0
        self.received = 0
        self._take = take
        self._idle_seconds = idle_seconds
        self._end = end
        self._limit: asyncio.Timeout | None = None

    def send(self, count: int) -> None:
        """Count bytes to the server; raises Spent."""
        self.sent += count
        self._moved(count)

    def receive(self, count: int) -> None:
        """Count bytes from the server; raises Spent."""
        self.received += count
        self._moved(count)

    def _moved(self, count: int) -> None:
        self._take(count)
        if self._limit is not None:
            self._limit.reschedule(self._next())

    def _next(self) -> float:
        return min(self._end, asyncio.get_running_loop().time() + self._idle_seconds)

    async def bound(self, work: Coroutine[Any, Any, int]) -> int:
        """Return what `work` returns; raises Spent when nothing moved for too long, or at the end."""
        try:
            async with asyncio.timeout_at(self._next()) as self._limit:
                return await work
        except TimeoutError:
            if asyncio.get_running_loop().time() >= self._end:
                raise Spent("the time that one connection may last is over") from None
            raise Spent(f"nothing moved for {self._idle_seconds:g} s") from None


class Carrier:
    """One connection of a sandbox's, joined to one to a server."""

    def __init__(
        self,
        http: h11.Connection,
        client: Peer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        meter: Meter,
    ) -> None:
        self._http = http
        self._client = client
        self._reader = reader
        self._writer = writer
        self._meter = meter
        self._first = b""

    async def open_tunnel(self) -> None:
        """Say that the tunnel is there."""
        while self._http.their_state is h11.SEND_BODY:
            if self._http.next_event() is h11.NEED_DATA:
                self._http.receive_data(await self._client.read())
        answer = self._http.send(h11.Response(status_code=_SUCCESS, reason=b"Connection established", headers=[]))
        self._first = self._http.trailing_data[0]
        await self._client.write(answer or b"")

    async def check_name(self, host: str, seconds: float) -> None:
        """Read the first message of TLS, and raise Refused unless it names the host that was asked for."""
        try:
            async with asyncio.timeout(seconds):
                while (hello := read_hello(self._first)) is None:
                    data = await self._client.read()
                    if not data:
                        raise ConnectionResetError("the connection ended before TLS began")
                    self._first += data
        except TimeoutError:
            raise Refused(408, f"TLS did not begin within {seconds:g} s") from None
        except ValueError as error:
            raise Refused(403, str(error)) from None
        if hello.server_name is None:
            if as_address(host) is not None:
                return  # an address has no name to give (RFC 6066, 3), and this very address is allowed
            raise Refused(403, f"TLS names no server, where CONNECT asked for {host}")
        try:
            same = plain_host(hello.server_name) == host
        except ValueError:
            same = False
        if not same:
            raise Refused(403, f"TLS is for {hello.server_name[:80]!r}, where CONNECT asked for {host}")

    async def carry_tunnel(self) -> None:
        """Carry bytes both ways until one side ends."""
        await self._meter.bound(self._first_of(self._carry_up(), self._carry_down()))

    async def _first_of(self, *works: Coroutine[Any, Any, int]) -> int:
        """Run all until one is done, and return its result, or raise its error where none has a result."""
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return min(done, key=lambda task: task.exception() is not None).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _carry_up(self) -> int:
        data = self._first
        while data:
            await self._send(data)
            data = await self._client.read()
        return 0

    async def _carry_down(self) -> int:
        while data := await self._receive():
            await self._client.write(data)
        return 0

    async def _send(self, data: bytes) -> None:
        self._meter.send(len(data))
        self._writer.write(data)
        await self._writer.drain()

    async def _receive(self) -> bytes:
        data = await self._reader.read(_READ)
        self._meter.receive(len(data))
        return data

    async def carry_resource(self, asked: Asked) -> int:
        """Pass on one request and its answer, and return the answer's status."""
        return await self._meter.bound(self._exchange(asked))

    async def _exchange(self, asked: Asked) -> int:
        server = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)
        head = h11.Request(
            method=asked.method, target=asked.target, headers=[*asked.headers, (b"Connection", b"close")]
        )
        await self._send(server.send(head) or b"")
        # While the answer is on its way, the client is read from, too: it may go away, or still send its body.
        return await self._first_of(self._pass_request(server), self._pass_answer(server))

    async def _pass_request(self, server: h11.Connection) -> int:
        if self._http.they_are_waiting_for_100_continue:
            waiting = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._client.write(self._http.send(waiting) or b"")
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._client.read())
            elif isinstance(event, h11.Data | h11.EndOfMessage):
                if isinstance(event, h11.EndOfMessage):
                    event = h11.EndOfMessage()  # fields after the body are not passed on
                await self._send(server.send(event) or b"")
                if isinstance(event, h11.EndOfMessage):
                    break
            else:
                raise ConnectionResetError("the connection ended within a request")
        while await self._client.read():  # one request a connection: what follows is not read as another
            pass
        raise ConnectionResetError("the connection ended before the answer did")

    async def _pass_answer(self, server: h11.Connection) -> int:
        status = 0
        while True:
            event = server.next_event()
            if event is h11.NEED_DATA:
                data = await self._receive()
                if not data and not status:
                    raise Refused(502, "the server ended the connection before its answer")
                server.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                answer = h11.Response(
                    status_code=status, reason=event.reason, headers=answer_headers(event.headers.raw_items())
                )
                await self._client.write(self._http.send(answer) or b"")
            elif isinstance(event, h11.Data):
                await self._client.write(self._http.send(h11.Data(data=event.data)) or b"")
            elif isinstance(event, h11.EndOfMessage):
                await self._client.write(self._http.send(h11.EndOfMessage()) or b"")
                return status
            # what is left are informational answers, which concern the server and us
