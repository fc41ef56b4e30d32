"""A sandbox whose supervisor the test plays: what it makes of troubles that a real one seldom has."""

from __future__ import annotations

import asyncio
import errno
import itertools
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.sandboxes.test_channel import Peer, settle

from assay.errors import DiskFull, SandboxLost
from assay.records.sandboxes import Image, SandboxProfile, TimedOut
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes import channel as channel_module
from assay.sandboxes.channel import Channel
from assay.sandboxes.frames import Frame, encode_frame
from assay.sandboxes.supervised import SupervisedSandbox

AGAIN = struct.pack("<III", 0, errno.EAGAIN, 0)
KILLED = struct.pack("<III", 9, 0, 0)
STARVED = struct.pack("<III", 9, 0, 1)


class Blobs(dict[str, bytes]):
    """Contents by id."""

    def read(self, oid: str) -> bytes:
        return self[oid]


class WatchedPeer(Peer):
    """Tells when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, data: bytes) -> None:
        super().write(data)
        self.written.set()


class PlayedSandbox:
    """A sandbox, and both ends of its channel."""

    def __init__(self) -> None:
        self.peer = WatchedPeer()
        self.channel = Channel(self.peer.write)
        image = Image(name="played", id="sha256:" + "0" * 64)
        self.sandbox = SupervisedSandbox("played", image, SandboxProfile(), self.channel, {}, nothing, nothing)

    def answer(self, number: int, kind: Frame, payload: bytes = b"") -> None:
        self.channel.receive(encode_frame(number, kind, payload))

    async def opened(self, count: int) -> list[bytes]:
        """Wait for so many requests, and return their payloads."""
        async with asyncio.timeout(5):
            while len(payloads := [payload for _, kind, payload in self.peer.frames if kind is Frame.OPEN]) < count:
                self.peer.written.clear()
                await self.peer.written.wait()
        await settle()
        return payloads

    def listings(self) -> int:
        return sum(kind is Frame.OPEN and payload[:1] == b"l" for _, kind, payload in self.peer.frames)


async def nothing() -> None:
    """Stand for the engine, of which nothing is wanted."""


@pytest.fixture
async def played() -> AsyncIterator[PlayedSandbox]:
    """A sandbox that the test answers for."""
    made = PlayedSandbox()
    yield made
    made.channel.lose("the test is over")


async def test_a_write_waits_for_a_process(played: PlayedSandbox) -> None:
    """Where all processes are used up, a file is written once there is one, and written whole."""
    writing = asyncio.ensure_future(played.sandbox.write("file", b"content"))
    await played.opened(1)
    played.answer(1, Frame.FAILED, AGAIN)
    await played.opened(2)
    assert [payload for number, kind, payload in played.peer.frames if (number, kind) == (2, Frame.DATA)] == [
        b"content"
    ]
    played.answer(2, Frame.END, b"+")
    await writing


async def test_a_put_waits_for_a_process(played: PlayedSandbox) -> None:
    """Where all processes are used up, a tree is put once there is one, and put whole: that is no full disk."""
    oid = blob_id(b"content")
    putting = asyncio.ensure_future(played.sandbox.put_tree({"file": TreeFile(REGULAR, oid)}, Blobs({oid: b"content"})))
    await played.opened(1)
    played.answer(1, Frame.FAILED, AGAIN)
    await played.opened(2)
    async with asyncio.timeout(5):  # contents are read in a thread
        while not (body := [data for number, kind, data in played.peer.frames if (number, kind) == (2, Frame.DATA)]):
            played.peer.written.clear()
            await played.peer.written.wait()
    assert b"".join(body).endswith(b"content.")
    played.answer(2, Frame.END, b"f 644 7 1 1 1 file\0=\0")
    await played.opened(3)  # a look at what was put
    played.answer(3, Frame.END, b"*\0f 644 7 1 1 1 file\0=\0")
    await putting


async def test_a_killed_helper_is_no_full_disk(played: PlayedSandbox) -> None:
    """A helper that was killed means that the sandbox is lost; one that died for want of memory, that it is full."""
    writing = asyncio.ensure_future(played.sandbox.write("file", b"content"))
    await played.opened(1)
    played.answer(1, Frame.FAILED, STARVED)
    with pytest.raises(DiskFull, match="used up"):
        await writing
    reading = asyncio.ensure_future(played.sandbox.read("file"))
    await played.opened(2)
    played.answer(2, Frame.FAILED, KILLED)
    with pytest.raises(SandboxLost, match="the helper of a request for files was killed"):
        await reading
    assert played.channel.lost


async def test_a_killed_helper_of_a_command(played: PlayedSandbox) -> None:
    """A command whose helper was killed leaves a sandbox of which nobody knows what runs in it: it is lost."""
    running = asyncio.ensure_future(played.sandbox.run(["true"]))
    await played.opened(1)
    played.answer(1, Frame.FAILED, KILLED)
    with pytest.raises(SandboxLost, match="the helper of a command was killed"):
        await running
    assert played.channel.lost


async def test_waiting_is_in_a_commands_own_time(played: PlayedSandbox) -> None:
    """A command that waited for a process is given the time that is left, and none once none is."""
    running = asyncio.ensure_future(played.sandbox.run(["true"], timeout=0.3))
    times = []
    number = 0
    while not running.done():
        number += 1
        opened = asyncio.ensure_future(played.opened(number))
        await asyncio.wait((opened, running), return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            opened.cancel()
            break
        times.append(struct.unpack_from("<Q", opened.result()[-1], 1)[0] / 1_000_000)
        played.answer(number, Frame.FAILED, AGAIN)
    assert (await running).ending == TimedOut(seconds=0.3)
    assert times[0] == pytest.approx(0.3)
    assert all(0 <= after < before for before, after in itertools.pairwise(times))
    assert 0.3 - times[-1] > 0.1


@pytest.mark.parametrize("timeout", [-1.0, float("inf")])
async def test_an_impossible_time_asks_for_nothing(played: PlayedSandbox, timeout: float) -> None:
    """What no command can be given is a ValueError before anything is sent."""
    with pytest.raises(ValueError, match="cannot be given"):
        await played.sandbox.run(["true"], timeout=timeout)
    assert played.peer.frames == []


async def run_long(sandbox: SupervisedSandbox) -> None:
    """Ask for a command."""
    await sandbox.run("sleep 100")


async def write_long(sandbox: SupervisedSandbox) -> None:
    """Ask for a file to be written."""
    await sandbox.write("file", b"content")


@pytest.mark.parametrize("change", [run_long, write_long])
async def test_what_is_slow_to_die_still_disturbs(
    played: PlayedSandbox, monkeypatch: pytest.MonkeyPatch, change: Callable[[SupervisedSandbox], Awaitable[None]]
) -> None:
    """What was cancelled and changes files after its caller has gone is looked for, until it is said to be dead."""
    monkeypatch.setattr(channel_module, "_KILL_SECONDS", 0.01)
    running = asyncio.ensure_future(change(played.sandbox))
    await played.opened(1)
    running.cancel()
    await asyncio.wait((running,))
    for number in (2, 3):  # what the first look saw is not trusted while the command lives
        await look(played, number)
        assert played.listings() == number - 1
    played.answer(1, Frame.END, b"dead")
    await look(played, 4)
    assert played.listings() == 3
    assert len((await played.sandbox.take_tree()).tree) == 0
    assert played.listings() == 3


async def look(played: PlayedSandbox, number: int) -> None:
    """Take the tree, for which the sandbox is asked to list its empty workspace."""
    taking = asyncio.ensure_future(played.sandbox.take_tree())
    await played.opened(number)
    played.answer(number, Frame.END, b"*\0\0")
    await taking
