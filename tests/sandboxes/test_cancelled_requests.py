"""Requests that are cancelled in the middle: nothing of them stays, and nothing that they read is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from assay.records.trees import blob_id
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.protocol import Sandbox
from assay.sandboxes.supervised import SupervisedSandbox

pytestmark = pytest.mark.docker

WRITE = "import sys\nfor n in range(1600): open(f'f{n}', 'w').write(sys.argv[1])"


async def lose_contents() -> AsyncIterator[bytes]:
    """A body whose source fails after an empty chunk."""
    for contents in ({"there": b""}, {}):
        yield contents["there"]


async def test_a_put_that_fails_is_over_at_once(sandbox: SupervisedSandbox) -> None:
    """A helper that has served a command before ends, too, with a put whose contents cannot be read."""
    channel, transfer = sandbox._channel, sandbox._transfer
    for _ in range(5):
        assert (await sandbox.run(["true"])).ok
        with pytest.raises(KeyError):
            await channel.ask(b"p/workspace\0", lose_contents(), during=transfer.disturbed())
        assert not channel._requests
        assert transfer._disturbing == 0
    blobs = Blobs()
    await sandbox.put_tree({"a": blobs.file(b"a")}, blobs)
    assert (await sandbox.run("cat a")).stdout.data == b"a"


async def test_a_listing_that_is_killed_loses_no_change(sandbox: Sandbox) -> None:
    """Wherever a look at the tree is cancelled, the next one finds what had changed before it."""
    chance = random.Random(1)
    for number in range(40):
        text = f"{number:04}"
        assert (await sandbox.run(["python3", "-c", WRITE, text])).ok
        looking = asyncio.ensure_future(sandbox.take_tree())
        await asyncio.sleep(chance.random() * 0.012)
        looking.cancel()
        await asyncio.wait((looking,))
        taken = (await sandbox.take_tree()).tree
        assert {file.oid for file in taken.values()} == {blob_id(text.encode())}, number
