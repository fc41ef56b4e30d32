"""Servers on the loopback interface, and a door to the proxy, for tests of the way out."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.records.egress import Egress, EgressEvent
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.egress.proxy import EgressProxy

LOOPBACK = "127.0.0.0/8"
OWNER = SandboxOwner(run="check-egress", role="check")


def granting(*allow: str, connections: int = 64) -> SandboxProfile:
    """Return a profile with a way out to these, wherever on the loopback interface they lie."""
    return SandboxProfile(egress=Egress(allow=allow, networks=(LOOPBACK,), connections=connections))


def fetch(url: str, *, more: str = "") -> list[str]:
    """Return a command that fetches a page with Python's own client."""
    program = f"import urllib.request, ssl\n{more}\nprint(urllib.request.urlopen({url!r}).read().decode())"
    return ["python3", "-c", program]


@dataclass
class Told:
    """Keeps what is recorded."""

    events: list[EgressEvent] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, event: EgressEvent) -> None:
        self.events.append(event)
        if event.stage != "allowed":
            self.ended.set()

    async def of_sandbox(self, _owner: SandboxOwner, _sandbox: str, event: EgressEvent) -> None:
        """Be what a provider's ways out tell."""
        await self(event)

    @property
    def stages(self) -> list[str]:
        return [event.stage for event in self.events]

    async def last(self) -> EgressEvent:
        """Wait for a request to be over, and return what was said of the last one."""
        await asyncio.wait_for(self.ended.wait(), 10)
        self.ended.clear()
        return self.events[-1]


class Names:
    """A resolver of the test's own, which notes what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = [tuple(answer) for answer in answers] or [("127.0.0.1",)]
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> tuple[str, ...]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class StreamPeer:
    """A connection of asyncio's as the proxy wants it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        return await self.reader.read(65536)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """A stream tells of its end only to who reads up to it."""
        await asyncio.Event().wait()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(
    handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Yield the port of a server that does what `handler` does with each connection, and end all of them after."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, ssl.SSLError):
                await handler(reader, writer)
                await writer.drain()
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 5)
        except asyncio.CancelledError:  # the test is over
            pass
        finally:
            writer.transport.abort()
            serving.discard(task)

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        left = set(serving)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        await asyncio.sleep(0)


def door(proxy: EgressProxy) -> contextlib.AbstractAsyncContextManager[int]:
    """Return what yields a port of the loopback interface at which the proxy serves."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy.serve(StreamPeer(reader, writer))
        writer.write_eof()  # as the tunnel does: with bytes unread, closing at once would lose the answer
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while await reader.read(65536):
                    pass

    return listening(serve)


class Web:
    """Answers each request with what it was: first line, headers, body."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lower = head.lower()
        body = b""
        if b"content-length: " in lower:
            body = await reader.readexactly(int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]))
        elif b"transfer-encoding: chunked" in lower:
            while not body.endswith(b"\r\n0\r\n\r\n"):
                body += await reader.read(65536)
        self.bodies.append(body)
        if b"/elsewhere" in head.split(b"\r\n")[0]:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://other.test/\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")


class Silent:
    """Reads a request and answers nothing; tells when it has one, and when the other side has ended."""

    def __init__(self) -> None:
        self.asked, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await reader.read()
        self.ended.set()


@contextlib.asynccontextmanager
async def dialled(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection to a port of the loopback interface, and end it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 2)


async def say(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts to a port, and return everything that comes back until the end."""
    async with dialled(port) as (reader, writer):
        with contextlib.suppress(OSError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
        answer = bytearray()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while data := await reader.read(65536):
                    answer += data
        return bytes(answer)


@dataclass(frozen=True)
class Certificates:
    """An authority of the test's own, and a server's certificate by it."""

    authority: Path
    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certificates(folder: Path, *names: str) -> Certificates:
    """Return certificates for these names, made by OpenSSL's own program."""
    authority, key, chain = folder / "authority.pem", folder / "key.pem", folder / "server.pem"
    extensions = f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"
    common = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [*common, "-subj", "/CN=test", "-keyout", key, "-out", chain, "-addext", extensions],
        check=True,
        capture_output=True,
    )
    authority.write_bytes(chain.read_bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    return Certificates(authority, server, ssl.create_default_context(cafile=str(authority)))
