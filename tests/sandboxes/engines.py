"""Engines that can be counted, stopped at a call, or cut off; used by several tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from docker.api.client import APIClient

from assay.errors import EngineUnavailable
from assay.sandboxes.engine import Engine

SOCKET = "/var/run/docker.sock"


class WatchedEngine(Engine):
    """The real engine, which notes every call and does something else at one of them."""

    def __init__(self, at: int | None = None, then: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._at = at
        self._then = then

    def send(self, method: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.calls.append(method)
        if len(self.calls) - 1 == self._at:
            self._then()
        return super().send(method, values, named)


def fail() -> None:
    """Be an engine that does not answer."""
    raise EngineUnavailable("The engine was taken away.")


class Relay:
    """A socket that leads to the engine until it is cut: at a path, or over TCP on loopback where none is given."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self.url = f"unix://{path}"
        """Where it is, as `DOCKER_HOST` has it."""

    def connect(self) -> APIClient:
        """Return a client that goes through the relay."""
        return APIClient(base_url=self.url, version="auto")

    async def start(self) -> None:
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
            return
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def cut(self) -> None:
        """Behave as an engine that was killed: every connection ends, and none is accepted."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()
        await asyncio.gather(*self._serving)
        self._server = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        there, back = await asyncio.open_unix_connection(SOCKET)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()
            self._serving.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()


@contextlib.asynccontextmanager
async def relayed(path: Path | None = None) -> AsyncIterator[Relay]:
    """Yield a relay, and cut it at the end."""
    relay = Relay(path)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.cut()
