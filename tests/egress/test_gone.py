"""Connections whose command has gone, over a channel whose other end the test plays."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.egress.servers import LOOPBACK, Names, Told
from tests.sandboxes.test_channel import Peer, settle

from assay.records.egress import Egress, EgressEvent
from assay.sandboxes import protocol
from assay.sandboxes.channel import Channel
from assay.sandboxes.egress import tunnel as tunnel_module
from assay.sandboxes.egress.proxy import EgressProxy
from assay.sandboxes.egress.tunnel import WINDOW, Part, Tunnel, TunnelConnection
from assay.sandboxes.frames import CHUNK, HEADER, Frame, encode_frame

MOST = 3
KILLED = struct.pack("<III", 9, 0, 0)
GET = b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n"


class PlayedTunnel:
    """A tunnel, and the sandbox's end of it."""

    def __init__(self, serve: Callable[[protocol.Peer], Awaitable[None]]) -> None:
        self.peer = Peer()
        self.channel = Channel(self.peer.write)
        self.tunnel = Tunnel(self.channel, serve, connections=MOST)

    def say(self, *frames: tuple[int, Part, bytes]) -> None:
        """Send frames of the tunnel's in one go."""
        data = b"".join(encode_frame(*frame) for frame in frames)
        for at in range(0, len(data), CHUNK):
            number = max(number for number, kind, _ in self.peer.frames if kind is Frame.OPEN)
            self.channel.receive(encode_frame(number, Frame.DATA, data[at : at + CHUNK]))

    def fill(self, number: int) -> None:
        """Open a connection and fill its window."""
        self.say((number, Part.OPENED, b""), *[(number, Part.DATA, bytes(WINDOW // 4))] * 4)

    def heard(self) -> list[tuple[int, Part]]:
        """Return what the sandbox was sent on its connections."""
        frames = [payload for _, kind, payload in self.peer.frames if kind is Frame.DATA]
        return [(number, Part(kind)) for number, kind, _ in (HEADER.unpack_from(frame) for frame in frames)]


@contextlib.asynccontextmanager
async def played(serve: Callable[[protocol.Peer], Awaitable[None]]) -> AsyncIterator[PlayedTunnel]:
    """Yield a tunnel that listens, and close it."""
    made = PlayedTunnel(serve)
    starting = asyncio.ensure_future(made.tunnel.start())
    await settle()
    made.say((0, Part.LISTENING, b""))
    await starting
    try:
        yield made
    finally:
        made.channel.lose("the test is over")
        await made.tunnel.close()


class Stuck:
    """Serves until the test lets it go on; notes what each connection sent."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.served: list[bytes] = []

    async def __call__(self, client: protocol.Peer) -> None:
        await self.released.wait()
        self.served.append(await client.read())


def held() -> int:
    """Return how many connections there are in this process."""
    gc.collect()
    return sum(isinstance(one, TunnelConnection) for one in gc.get_objects())


async def test_connections_that_come_and_go_are_not_kept() -> None:
    """Connections that are filled and closed in a loop are held as far as they are served, and no further."""
    stuck = Stuck()
    async with played(stuck) as play:
        for number in range(1, 201):
            play.fill(number)
            if number % 2:  # it may come and go at once, too
                await settle()
            play.say((number, Part.CLOSED, b""))
        await settle()
        assert held() == MOST
        play.say((201, Part.OPENED, b""), (201, Part.DATA, b"still there"))
        stuck.released.set()
        await settle()
        assert [len(data) for data in stuck.served] == [WINDOW] * MOST + [len(b"still there")]
        assert held() == 0
        assert [one for one in play.heard() if one[1] is Part.END] == [(201, Part.END)]


async def test_those_that_wait_and_stay_are_served() -> None:
    """A connection that waits behind ones that have gone is served in its turn, with all that it has sent."""
    stuck = Stuck()
    async with played(stuck) as play:
        for number in range(1, MOST + 1):
            play.say((number, Part.OPENED, b""))
        await settle()
        for number in range(11, 20):
            play.say((number, Part.OPENED, b""), (number, Part.DATA, b"%d" % number))
        await settle()
        for number in range(11, 20, 2):
            play.say((number, Part.CLOSED, b""))
        for number in range(1, MOST + 1):
            play.say((number, Part.DATA, b"first"))
        stuck.released.set()
        await settle()
    assert stuck.served == [b"first"] * MOST + [b"12", b"14", b"16", b"18"]


async def test_what_waits_goes_with_its_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the helper dies, what nobody has begun to serve is let go; another one's connections are others."""
    monkeypatch.setattr(tunnel_module, "_AGAIN_SECONDS", 0)
    stuck = Stuck()
    async with played(stuck) as play:
        for number in range(1, MOST + 3):
            play.say((number, Part.OPENED, b""), (number, Part.DATA, b"old"))
        await settle()
        assert held() == MOST + 2
        play.channel.receive(encode_frame(1, Frame.FAILED, KILLED))
        await settle()
        assert held() == MOST
        play.say((0, Part.LISTENING, b""), (1, Part.OPENED, b""), (1, Part.DATA, b"new"))
        stuck.released.set()
        await settle()
        assert play.heard()[-1] == (1, Part.END)
    assert stuck.served == [b"old"] * MOST + [b"new"]


async def test_nobody_resolves_for_who_has_gone(told: Told) -> None:
    """A command that closes its connection while its name is resolved frees the place at once."""
    asked = asyncio.Event()

    async def resolve(_host: str, _port: int) -> tuple[str, ...]:
        asked.set()
        await asyncio.Event().wait()
        return ()

    egress = Egress(allow=("www.test:80",))
    async with played(EgressProxy(egress, told, resolve=resolve).serve) as play:
        play.say((1, Part.OPENED, b""), (1, Part.DATA, GET % (80, 80)))
        await asyncio.wait_for(asked.wait(), 5)
        play.say((1, Part.CLOSED, b""))
        ended = await asyncio.wait_for(told.last(), 2)
        await settle()
        assert held() == 0
    assert (ended.stage, ended.reason) == ("refused", "the connection ended before there was one to the server")


async def test_nobody_connects_for_who_has_gone(told: Told) -> None:
    """A command that closes its connection while the server is connected to frees the place at once."""
    with contextlib.ExitStack() as sockets:
        server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = server.getsockname()[1]
        for _ in range(3):  # beyond its queue, the kernel answers nobody
            other = sockets.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        egress = Egress(allow=(f"www.test:{port}",), networks=(LOOPBACK,))
        noted = asyncio.Event()

        async def record(event: EgressEvent) -> None:
            await told(event)
            noted.set()

        async with played(EgressProxy(egress, record, resolve=Names()).serve) as play:
            play.say((1, Part.OPENED, b""), (1, Part.DATA, GET % (port, port)))
            await asyncio.wait_for(noted.wait(), 5)
            await settle()
            assert told.stages == ["allowed"]
            play.say((1, Part.CLOSED, b""))
            ended = await asyncio.wait_for(told.last(), 2)
            await settle()
            assert held() == 0
    assert (ended.stage, ended.reason) == ("failed", "the connection ended before there was one to the server")
