"""An engine that is reached over TCP, as a remote one is: nothing of a sandbox goes by way of a file system."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from docker.api.client import APIClient
from tests.sandboxes.engines import SOCKET

from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.engine import Engine
from assay.sandboxes.protocol import WORKSPACE

pytestmark = pytest.mark.docker

FILES = {f"folder/file-{number}": b"%d\n" % number * number for number in range(200)}


class Files:
    """Contents from memory."""

    def __init__(self) -> None:
        self.held = {blob_id(data): data for data in FILES.values()}

    def read(self, oid: str) -> bytes:
        """Return the bytes of a blob."""
        return self.held[oid]


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what arrives until it ends, then end the other side."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect a TCP connection with the engine's socket."""
    there, back = await asyncio.open_unix_connection(SOCKET)
    await asyncio.gather(copy(reader, back), copy(there, writer))
    for one in (writer, back):
        one.close()


@pytest.fixture
async def remote() -> AsyncIterator[str]:
    """The address of an engine behind TCP, on loopback."""
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_sandbox_over_tcp(remote: str, profile: SandboxProfile, owner: SandboxOwner) -> None:
    """Commands, trees in both directions, the pool and the end work as they do over the local socket."""
    async with DockerProvider(Engine(lambda: APIClient(base_url=remote, version="auto"))) as provider:
        provider.prepare(profile, 1)
        for _ in range(2):
            async with await provider.open(profile, owner) as box:
                tree = {path: TreeFile(REGULAR, blob_id(data)) for path, data in FILES.items()}
                await box.put_tree(tree, Files())
                told = await box.run("cat; echo more >> folder/file-7; cat folder/file-3", stdin=b"x" * 500_000)
                assert told.stdout.length == 500_000 + len(FILES["folder/file-3"])
                taken = await box.take_tree(root=WORKSPACE)
                assert list(taken.fresh.values()) == [FILES["folder/file-7"] + b"more\n"]
        assert (await provider.reap()).left == ()
