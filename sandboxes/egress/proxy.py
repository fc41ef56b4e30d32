"""The proxy of one sandbox: judges each request, records it, and carries what passes.

    read → judge the name → resolve → judge the addresses → record → connect → judge the name in TLS → carry → record

It listens nowhere. Whoever accepts a connection of the sandbox's calls `serve` with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import h11

from assay.errors import AssayError
from assay.policies.egress import parse_destination, parse_network
from assay.records.egress import Egress, EgressEvent
from assay.sandboxes.egress.addresses import Resolve, connect, open_addresses
from assay.sandboxes.egress.carrying import Carrier, Meter, Spent
from assay.sandboxes.egress.hello import ALERT_MEANT_OTHER
from assay.sandboxes.egress.requests import HEAD_MAX, Asked, Refused, read_request, refusal_answer
from assay.sandboxes.protocol import Peer

Record = Callable[[EgressEvent], Awaitable[None]]
"""Is told of everything that happens to a request; what it raises keeps the request from happening."""

_HEAD_SECONDS: Final = 10.0
_FLUSH_SECONDS: Final = 2.0
_SHOWN: Final = 5


@dataclass(slots=True)
class _Request:
    """One connection of the sandbox's, from its first byte to its end."""

    number: int
    http: h11.Connection
    began: float
    meter: Meter
    asked: Asked | None = None
    address: str = ""
    status: int = 0
    connected: bool = False
    writer: asyncio.StreamWriter | None = field(default=None)


class EgressProxy:
    """What one sandbox may reach, and what it has used of it.

    Args:
        egress: the grant; its entries are valid, or ValueError is raised.
        record: told of each request, before it goes out and when it is over.
        resolve: from name to addresses.
        head_seconds: how long the head of a request may take.
    """

    def __init__(
        self, egress: Egress, record: Record, *, resolve: Resolve, head_seconds: float = _HEAD_SECONDS
    ) -> None:
        self._egress = egress
        self._record = record
        self._resolve = resolve
        self._head_seconds = head_seconds
        self._destinations = tuple(parse_destination(text) for text in egress.allow)
        self._networks = tuple(parse_network(text) for text in egress.networks)
        self._requests = 0
        self._left = egress.megabytes << 20

    async def serve(self, client: Peer) -> None:
        """Serve one connection; when this returns, it is over, and what was written is still to be delivered."""
        loop = asyncio.get_running_loop()
        self._requests += 1
        meter = Meter(self._take, self._egress.idle_seconds, loop.time() + self._egress.seconds)
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        request = _Request(self._requests, http, loop.time(), meter)
        if request.number > self._egress.requests:
            spent = Refused(429, f"the {self._egress.requests} requests that this sandbox may make are used up")
            if request.number == self._egress.requests + 1:  # once: refusals must not fill the record
                await self._end(request, client, spent)
            else:
                await self._answer(request, client, spent)
            return
        try:
            await self._handle(request, client)
        except Refused as refused:
            await self._end(request, client, refused)
        except h11.ProtocolError as error:
            status = error.error_status_hint if request.asked is None else 502
            what = str(error).partition(":")[0]  # behind it, h11 quotes what may hold a secret
            await self._end(request, client, Refused(status, f"this is no proper HTTP: {what}"))
        except Spent as spent:
            await self._end(request, client, Refused(504, str(spent)))
        except OSError as error:
            if request.asked is not None:  # a connection on which nothing was asked is no request
                await self._end(request, client, Refused(502, str(error) or type(error).__name__), answer=False)
        except AssayError as error:
            await self._answer(request, client, Refused(503, f"this request cannot be recorded: {error.message}"))
        finally:
            if request.writer is not None:
                await _let_go(request.writer)

    async def _handle(self, request: _Request, client: Peer) -> None:
        asked = await self._read(request, client)
        self._judge(asked)
        async with _while_there(client):
            addresses = await open_addresses(asked.host, asked.port, self._networks, self._resolve)
        request.address = str(addresses[0])
        await self._note(request, "allowed")
        request.connected = True
        async with _while_there(client):
            request.address, reader, request.writer = await connect(addresses, asked.port)
        carrier = Carrier(request.http, client, reader, request.writer, request.meter)
        if asked.tunnel:
            await carrier.open_tunnel()
            await carrier.check_name(asked.host, self._head_seconds)
            await carrier.carry_tunnel()
        else:
            request.status = await carrier.carry_resource(asked)
        await self._note(request, "ended")

    async def _read(self, request: _Request, client: Peer) -> Asked:
        try:
            async with asyncio.timeout(self._head_seconds):
                request.asked = await read_request(request.http, client)
        except TimeoutError:
            raise Refused(408, f"no whole request came within {self._head_seconds:g} s") from None
        return request.asked

    def _judge(self, asked: Asked) -> None:
        if self._left <= 0:
            raise Refused(403, f"the {self._egress.megabytes} MB that this sandbox may move are used up")
        if any(one.admits(asked.host, asked.port) for one in self._destinations):
            return
        known = ", ".join(str(one) for one in self._destinations[:_SHOWN])
        more = len(self._destinations) - _SHOWN
        raise Refused(
            403,
            f"{asked.host}:{asked.port} is not among what this sandbox may reach: {known}"
            f"{f' and {more} more' if more > 0 else ''}",
        )

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Spent(f"the {self._egress.megabytes} MB that this sandbox may move are used up")

    async def _end(self, request: _Request, client: Peer, refused: Refused, *, answer: bool = True) -> None:
        """Record that it came to nothing, or to an end before its end, then say why."""
        request.status = refused.status
        try:
            await self._note(request, "failed" if request.connected else "refused", refused.reason)
        except AssayError as error:
            refused = Refused(503, f"this request cannot be recorded: {error.message}")
        if answer:
            await self._answer(request, client, refused)

    async def _answer(self, request: _Request, client: Peer, refused: Refused) -> None:
        """Say why, in HTTP or in TLS, to whoever still listens."""
        body = request.asked is None or request.asked.method != "HEAD"
        data = refusal_answer(request.http, refused.status, refused.reason, body=body)
        if data is None and request.http.our_state is h11.SWITCHED_PROTOCOL and not request.meter.received:
            data = ALERT_MEANT_OTHER
        try:
            if data is not None:
                await client.write(data)
        except ConnectionError:
            return

    async def _note(
        self, request: _Request, stage: Literal["refused", "allowed", "failed", "ended"], reason: str = ""
    ) -> None:
        asked = request.asked
        event = EgressEvent(
            number=request.number,
            stage=stage,
            method=asked.method if asked else "",
            host=asked.host if asked else "",
            port=asked.port if asked else 0,
            path=asked.path if asked else "",
            address=request.address,
            status=request.status,
            reason=reason,
            sent=request.meter.sent,
            received=request.meter.received,
            seconds=round(asyncio.get_running_loop().time() - request.began, 3),
        )
        await self._record(event)


@contextlib.asynccontextmanager
async def _while_there(client: Peer) -> AsyncIterator[None]:
    """Break off what is surrounded, with ConnectionResetError, when the client goes away."""
    limit = asyncio.timeout(None)
    try:
        async with limit:
            gone = asyncio.ensure_future(client.gone())

            def break_off(_: asyncio.Future[None]) -> None:
                limit.reschedule(0)

            gone.add_done_callback(break_off)
            try:
                yield
            finally:
                gone.remove_done_callback(break_off)
                gone.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        raise ConnectionResetError("the connection ended before there was one to the server") from None


async def _let_go(writer: asyncio.StreamWriter) -> None:
    """Close a connection to a server; what it does not take in a while is dropped."""
    writer.close()
    try:
        async with asyncio.timeout(_FLUSH_SECONDS):
            await writer.wait_closed()
    except OSError:  # a TimeoutError, too
        writer.transport.abort()
