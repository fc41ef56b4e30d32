"""The channel against a peer that the test plays: windows, losses, and a supervisor that talks nonsense."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from assay.errors import SandboxLost
from assay.sandboxes import channel as channel_module
from assay.sandboxes.channel import Channel
from assay.sandboxes.frames import CHUNK, HEADER, VERSION, WINDOW, Frame, HelperDied, NotStarted, encode_frame

HELLO = encode_frame(0, Frame.HELLO, struct.pack("<I", VERSION))


class Peer:
    """Takes what the channel writes apart."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, Frame, bytes]] = []
        self._buffer = b""

    def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            number, kind, length = HEADER.unpack_from(self._buffer)
            if len(self._buffer) < HEADER.size + length:
                return
            payload = self._buffer[HEADER.size : HEADER.size + length]
            self.frames.append((number, Frame(kind), payload))
            self._buffer = self._buffer[HEADER.size + length :]

    def bytes_of(self, number: int) -> int:
        return sum(len(payload) for one, kind, payload in self.frames if one == number and kind is Frame.DATA)


async def zeros(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(CHUNK)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture
async def peer() -> Peer:
    return Peer()


@pytest.fixture
async def channel(peer: Peer) -> AsyncIterator[Channel]:
    made = Channel(peer.write)
    yield made
    made.lose("the test is over")


async def test_answers_find_their_requests(channel: Channel, peer: Peer) -> None:
    """Answers in pieces, cut anywhere and mixed, reach the request that they belong to."""
    first, second = (asyncio.ensure_future(channel.ask(b"s")) for _ in range(2))
    await settle()
    stream = (
        encode_frame(2, Frame.DATA, b"two ")
        + encode_frame(1, Frame.DATA, b"one ")
        + encode_frame(2, Frame.END, b"done")
        + encode_frame(1, Frame.END, b"done")
    )
    for at in range(len(stream)):
        channel.receive(stream[at : at + 1])
    assert (b"".join(await first), b"".join(await second)) == (b"one done", b"two done")


async def test_body_keeps_within_the_window(channel: Channel, peer: Peer) -> None:
    """No more of a body is sent than the supervisor has given credit for."""
    count = 2 * WINDOW // CHUNK
    asking = asyncio.ensure_future(channel.ask(b"p", zeros(count)))
    await settle()
    assert peer.bytes_of(1) == WINDOW
    channel.receive(encode_frame(1, Frame.CREDIT, struct.pack("<I", CHUNK)))
    await settle()
    assert peer.bytes_of(1) == WINDOW + CHUNK
    channel.receive(encode_frame(1, Frame.CREDIT, struct.pack("<I", WINDOW)))
    await settle()
    assert peer.bytes_of(1) == 2 * WINDOW
    assert peer.frames[-1][1] is Frame.EOF
    channel.receive(encode_frame(1, Frame.END, b"all"))
    assert await asking == [b"all"]


async def test_answer_ends_a_waiting_body(channel: Channel, peer: Peer) -> None:
    """A request that is answered early does not wait for its body to be wanted."""
    asking = asyncio.ensure_future(channel.ask(b"p", zeros(100)))
    await settle()
    channel.receive(encode_frame(1, Frame.END, b"!28 full"))
    assert await asking == [b"!28 full"]


async def test_failing_body_ends_the_request(channel: Channel, peer: Peer) -> None:
    """What goes wrong while a body is made is raised, and the helper is ended."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise KeyError("no such blob")

    asking = asyncio.ensure_future(channel.ask(b"p", broken()))
    await settle()
    assert peer.frames[-1][:2] == (1, Frame.KILL)
    channel.receive(encode_frame(1, Frame.FAILED, struct.pack("<III", 15, 0, 0)))
    with pytest.raises(KeyError, match="no such blob"):
        await asking
    assert not channel.lost


async def test_cancelled_request_is_ended_there(channel: Channel, peer: Peer) -> None:
    """A cancelled caller's command is dead when the caller goes on."""
    asking = asyncio.ensure_future(channel.ask(b"R", command=True))
    await settle()
    asking.cancel()
    await settle()
    assert peer.frames[-1][:2] == (1, Frame.KILL)
    assert not asking.done()
    channel.receive(encode_frame(1, Frame.END, b"late"))
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not channel.lost


async def test_cancelled_caller_does_not_wait_for_ever(
    channel: Channel, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that does not answer a kill holds a cancelled caller up for a moment only."""
    monkeypatch.setattr(channel_module, "_KILL_SECONDS", 0.05)
    asking = asyncio.ensure_future(channel.ask(b"R", command=True))
    await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    channel.receive(encode_frame(1, Frame.END, b"late"))
    assert not channel.lost


async def test_failures_are_told_apart(channel: Channel) -> None:
    """That a helper could not start, died, or was killed for its memory are different errors."""
    payloads = [(0, 11, 0), (9, 0, 0), (9, 0, 1)]
    asked = [asyncio.ensure_future(channel.ask(b"s")) for _ in payloads]
    await settle()
    for number, payload in enumerate(payloads, start=1):
        channel.receive(encode_frame(number, Frame.FAILED, struct.pack("<III", *payload)))
    with pytest.raises(NotStarted):
        await asked[0]
    for one, out_of_memory in ((asked[1], False), (asked[2], True)):
        with pytest.raises(HelperDied) as died:
            await one
        assert died.value.out_of_memory is out_of_memory


@pytest.mark.parametrize(
    "nonsense",
    [
        encode_frame(9, Frame.END, b""),
        encode_frame(1, Frame.KILL, b""),
        HEADER.pack(1, 77, 0),
        HEADER.pack(1, Frame.DATA, CHUNK + 1),
        encode_frame(0, Frame.HELLO, struct.pack("<I", VERSION + 1)),
        HELLO + HELLO,
    ],
    ids=["unknown request", "host's own frame", "unknown type", "too long", "other version", "second hello"],
)
async def test_nonsense_loses_the_sandbox(channel: Channel, nonsense: bytes) -> None:
    """A supervisor that breaks the protocol is not listened to any more."""
    asking = asyncio.ensure_future(channel.ask(b"s"))
    await settle()
    channel.receive(nonsense)
    with pytest.raises(SandboxLost):
        await asking
    with pytest.raises(SandboxLost):
        await channel.ask(b"s")


async def test_greeting(channel: Channel) -> None:
    """The hello of the right version opens the channel."""
    channel.receive(HELLO)
    await channel.greet(1)


async def test_no_greeting_is_a_loss(channel: Channel) -> None:
    """A container that does not become a sandbox in time is lost, and what it said is told."""
    channel.hear(b"exec format error")
    with pytest.raises(SandboxLost, match=r"did not start within 0\.05 s: exec format error"):
        await channel.greet(0.05)


async def test_no_more_requests_than_helpers(channel: Channel, peer: Peer) -> None:
    """The host never asks for more at a time than the supervisor has helpers; the others wait."""
    asked = [asyncio.ensure_future(channel.ask(b"R", command=True)) for _ in range(100)]
    asked += [asyncio.ensure_future(channel.ask(b"s")) for _ in range(100)]
    await settle()
    assert len(peer.frames) < 64
    answered = 0
    while answered < 200:
        await settle()
        for number, _, _ in peer.frames[answered:]:
            channel.receive(encode_frame(number, Frame.END, b""))
            answered += 1
    assert await asyncio.gather(*asked) == [[]] * 200
