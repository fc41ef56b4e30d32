"""An engine that is reached over TCP, as a remote one is: nothing of a sandbox goes by way of a file system."""

from __future__ import annotations

import pytest
from tests.sandboxes.engines import relayed

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


@pytest.mark.alone
async def test_a_sandbox_over_tcp(profile: SandboxProfile, owner: SandboxOwner) -> None:
    """Commands, trees in both directions, the pool and the end work as they do over the local socket."""
    async with relayed() as relay, DockerProvider(Engine(relay.connect)) as provider:
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
