"""Docker's framing of an attached stream, over asyncio and over threads."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

import pytest

from assay.sandboxes.streams import Demultiplexer, open_stream


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.out = b""
        self.said = b""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.arrived = asyncio.Event()

    def receive(self, data: bytes | memoryview) -> None:
        self.out += data
        self.arrived.set()

    def hear(self, text: bytes) -> None:
        self.said += text

    def lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)


class OtherSocket(socket.socket):
    """Stands for a TLS socket: one that asyncio cannot take over."""


def framed(stream: int, data: bytes) -> bytes:
    """Return data as Docker sends it."""
    return struct.pack(">BxxxL", stream, len(data)) + data


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
async def test_streams_are_taken_apart(size: int) -> None:
    """Stdout and stderr come apart again, wherever the bytes were cut."""
    listener = Listener()
    demultiplexer = Demultiplexer()
    demultiplexer.deliver_to(listener)
    stream = framed(1, b"one") + framed(2, b"said") + framed(1, b"") + framed(1, b"two" * 100)
    for at in range(0, len(stream), size):
        demultiplexer.data_received(stream[at : at + size])
    assert (listener.out, listener.said) == (b"one" + b"two" * 100, b"said")


@pytest.mark.parametrize("kind", [socket.socket, OtherSocket])
async def test_a_socket_is_served(kind: type[socket.socket]) -> None:
    """What is written arrives whole, what arrives is handed on, and the end is told."""
    ours, theirs = socket.socketpair()
    connection = kind(fileno=ours.detach())
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    listener = Listener()
    demultiplexer = Demultiplexer()
    demultiplexer.deliver_to(listener)
    stream = await open_stream(connection, demultiplexer)
    sent = bytes(range(256)) * 4000
    stream.write(sent[:1000])
    stream.write(sent[1000:])
    got = b""
    while len(got) < len(sent):
        got += await loop.sock_recv(theirs, 65536)
    assert got == sent
    await loop.sock_sendall(theirs, framed(1, b"hello"))
    await asyncio.wait_for(listener.arrived.wait(), 5)
    assert listener.out == b"hello"
    theirs.close()
    assert "stream ended" in await asyncio.wait_for(listener.lost, 5)
    stream.close()


@pytest.mark.parametrize("kind", [socket.socket, OtherSocket])
async def test_closing_ends_the_stream(kind: type[socket.socket]) -> None:
    """The other side learns that the stream was closed."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    listener = Listener()
    demultiplexer = Demultiplexer()
    demultiplexer.deliver_to(listener)
    stream = await open_stream(kind(fileno=ours.detach()), demultiplexer)
    stream.close()
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(theirs, 1), 5) == b""
    theirs.close()
    await asyncio.wait_for(listener.lost, 5)


@pytest.mark.parametrize("kind", [socket.socket, OtherSocket])
async def test_closing_ends_a_stream_that_nobody_reads(kind: type[socket.socket]) -> None:
    """What the other side does not take keeps no thread: the end is told, and the threads end."""
    before = set(threading.enumerate())
    ours, theirs = socket.socketpair()
    listener = Listener()
    demultiplexer = Demultiplexer()
    demultiplexer.deliver_to(listener)
    stream = await open_stream(kind(fileno=ours.detach()), demultiplexer)
    threads = set(threading.enumerate()) - before
    stream.write(bytes(20_000_000))
    theirs.setblocking(False)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(theirs, 1), 5) == b"\0"  # it is being sent
    stream.close()
    await asyncio.wait_for(listener.lost, 5)
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
    stream.close()
    theirs.close()
