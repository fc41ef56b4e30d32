"""Sandboxes that were started ahead: fresh, used once, never stale, bounded, and gone with their provider."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import docker
import pytest
from tests.sandboxes.engines import WatchedEngine

from assay.errors import SandboxRefused
from assay.records.sandboxes import Limits, SandboxOwner, SandboxProfile
from assay.records.trees import REGULAR, TreeFile
from assay.sandboxes import pool as pool_module
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.owners import LABEL, read_owner
from assay.sandboxes.protocol import Filling

pytestmark = pytest.mark.docker

OWNER = SandboxOwner(run="check-pool", role="check", step="a.b")


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine as a bystander sees it."""
    bystander = docker.from_env()
    yield bystander
    bystander.close()


@pytest.fixture
async def engine() -> WatchedEngine:
    """The engine, with its calls noted."""
    return WatchedEngine()


@pytest.fixture
async def provider(engine: WatchedEngine) -> AsyncIterator[DockerProvider]:
    """A provider whose calls are noted."""
    async with DockerProvider(engine) as made:
        yield made


def containers(client: docker.DockerClient, pid: int | None = None) -> list[dict[str, Any]]:
    """Return the containers of a process."""
    labels = [LABEL, f"dev.assay.owner.pid={pid or os.getpid()}"]
    listed = client.api.containers(all=True, filters={"label": labels})
    return [one for one in listed if one["State"] != "removing"]


async def until(client: docker.DockerClient, count: int, pid: int | None = None) -> list[str]:
    """Wait until a process has so many running containers, and return their ids."""
    end = time.monotonic() + 20
    while True:
        found = await asyncio.to_thread(containers, client, pid)
        running = [str(one["Id"]) for one in found if one["State"] == "running"]
        if len(running) == len(found) == count:
            return running
        assert time.monotonic() < end, f"there are {len(found)} containers and not {count}"
        await asyncio.sleep(0.02)


async def settled(provider: DockerProvider) -> None:
    """Wait until the pool starts nothing more."""
    while (filler := provider._pool._filler) is not None:
        await asyncio.wait((filler,))


async def test_one_that_was_prepared_is_given_once(
    provider: DockerProvider, engine: WatchedEngine, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """Two that were prepared are given to two callers, with nothing started for either, and to nobody again."""
    by_id = profile.model_copy(update={"image": (await provider.image(profile)).id})
    provider.prepare(by_id, 2)
    await settled(provider)
    ready = set(await until(client, 2))
    engine.calls.clear()
    began = time.monotonic()
    first = await provider.open(by_id, OWNER)
    assert time.monotonic() - began < 0.3, "a bound with much room; the benchmark measures"
    assert "create_container" not in engine.calls and "inspect_image" not in engine.calls
    await first.write("left", b"x")
    await first.close()
    second = await provider.open(by_id.model_copy(update={"environment": {"A": "b"}}), OWNER)
    assert {identity[:12] for identity in ready} == {first.id, second.id}
    assert (await second.run("echo $A; ls")).stdout.text == "b\n"
    assert (await provider.open(by_id, OWNER)).id not in {first.id, second.id}
    assert engine.calls.count("create_container") == 1


async def test_who_has_it_is_in_its_name(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """Labels cannot change; the name of one that was handed out tells run and role."""
    provider.prepare(profile, 1)
    await settled(provider)
    (one,) = containers(client)
    assert read_owner(one["Labels"], one["Names"][0]) == SandboxOwner(run="", role="warm")
    await provider.open(profile, OWNER)
    await asyncio.gather(*provider._renaming.values())
    (one,) = containers(client)
    assert read_owner(one["Labels"], one["Names"][0]) == SandboxOwner(run="check-pool", role="check")


class SlowToRename(WatchedEngine):
    """An engine that takes its time to rename, and notes when it has done so."""

    def send(self, method: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if method == "rename":
            time.sleep(0.3)
        try:
            return super().send(method, values, named)
        finally:  # what waits for one that is gone already is told so, as an error
            self.done.append(method)

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []


async def test_nothing_is_renamed_while_it_is_removed(client: docker.DockerClient, profile: SandboxProfile) -> None:
    """A sandbox that is closed at once waits for its new name: the engine would list it for ever as being removed."""
    engine = SlowToRename()
    async with DockerProvider(engine) as provider:
        provider.prepare(profile, 1)
        await settled(provider)
        sandbox = await provider.open(profile, OWNER)
        await sandbox.close()
        assert engine.done[-2:] == ["rename", "wait"]
        assert not [one for one in client.api.containers(all=True) if one["Id"].startswith(sandbox.id)]


async def test_work_is_never_done_in_one(
    provider: DockerProvider, engine: WatchedEngine, profile: SandboxProfile
) -> None:
    """What may hold work is made for its owner, whose labels lead to it when the owner is killed."""
    provider.prepare(profile, 1)
    await settled(provider)
    await provider.open(profile, OWNER.model_copy(update={"commit": "0" * 40}))
    assert engine.calls.count("create_container") == 2


async def test_other_profiles_get_others(
    provider: DockerProvider, engine: WatchedEngine, profile: SandboxProfile
) -> None:
    """A profile that differs in what a container is made of is not served by what was prepared for another."""
    provider.prepare(profile, 1)
    await settled(provider)
    for changed in ({"workspace": "read-only"}, {"held_out": True}, {"limits": Limits(memory_mb=900)}):
        before = engine.calls.count("create_container")
        await (await provider.open(profile.model_copy(update=changed), OWNER)).close()
        assert engine.calls.count("create_container") == before + 1


async def test_nothing_stale_is_given(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """One whose container died, and one whose image has another meaning by now, are given up."""
    provider.prepare(profile, 1)
    await settled(provider)
    (dead,) = await until(client, 1)
    client.api.kill(dead)
    await until(client, 0)
    box = await provider.open(profile, OWNER)
    assert box.id != dead[:12] and (await box.run(["true"])).ok
    await box.close()

    image = (await provider.image(profile)).id
    named = profile.model_copy(update={"image": "assay-test-pool:1"})
    client.api.tag(image, "assay-test-pool", "1")
    try:
        provider.prepare(named, 1)
        await settled(provider)
        (old,) = await until(client, 1)
        other = client.api.create_container(image, ["true"])["Id"]
        client.api.commit(other, repository="assay-test-pool", tag="1")
        client.api.remove_container(other)
        box = await provider.open(named, OWNER)
        assert box.id != old[:12] and box.image.id != image
        await until(client, 1)
        await box.close()
    finally:
        client.api.remove_image("assay-test-pool:1", force=True)


async def test_what_nobody_asks_for_goes(client: docker.DockerClient, profile: SandboxProfile) -> None:
    """One that has waited for too long is removed, and one that is too old is not given where its turn comes first."""
    async with DockerProvider(shelf_life=0.5) as provider:
        provider.prepare(profile, 1)
        await settled(provider)
        await until(client, 1)
        await until(client, 0)
        provider.prepare(profile, 1)
        await settled(provider)
        (old,) = await until(client, 1)
        assert provider._pool._ageing is not None
        provider._pool._ageing.cancel()  # nobody has come by to give it up
        await asyncio.sleep(0.6)
        async with await provider.open(profile, OWNER) as box:
            assert not old.startswith(box.id)


async def test_a_profile_keeps_some_ready(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """`warm = 2` means two are ready again after one was taken; no more than the pool's bounds."""
    warm = profile.model_copy(update={"warm": 2})
    await provider.open(warm, OWNER)
    await until(client, 3)
    await provider.open(warm, OWNER)
    await until(client, 4)


async def test_the_pool_is_bounded(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither more containers nor more memory than the bounds are held ready, whatever is asked for."""
    monkeypatch.setattr(pool_module, "MOST_MEMORY_MB", 1500)
    await (await provider.open(profile.model_copy(update={"warm": 5}), OWNER)).close()
    await settled(provider)
    await until(client, 1)
    monkeypatch.setattr(pool_module, "MOST_MEMORY_MB", 99_999)
    monkeypatch.setattr(pool_module, "MOST", 2)
    await (await provider.open(profile.model_copy(update={"warm": 5}), OWNER)).close()
    await settled(provider)
    await until(client, 2)


async def test_whoever_comes_too_early_waits_for_the_next(
    provider: DockerProvider, engine: WatchedEngine, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """A caller takes what is being started for it; one that is cancelled meanwhile leaves nothing behind."""
    provider.prepare(profile, 1)
    while "create_container" not in engine.calls:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(provider.open(profile, OWNER))
    await (await waiting).close()
    assert engine.calls.count("create_container") == 1
    provider.prepare(profile, 1)
    while engine.calls.count("create_container") < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(provider.open(profile, OWNER))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await settled(provider)
    await until(client, 0)


class Broken(WatchedEngine):
    """An engine whose answer cannot be taken, for want of descriptors."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks = asyncio.Event()

    async def attach(self, container: str) -> socket.socket:
        await self.breaks.wait()
        raise OSError(24, "Too many open files")


async def test_whoever_waits_hears_whatever_ends_the_pool(profile: SandboxProfile) -> None:
    """An error that nobody foresaw leaves no caller waiting: each tries by itself, and meets it."""
    engine = Broken()
    async with DockerProvider(engine) as provider:
        provider.prepare(profile, 1)
        while provider._pool._filler is None or "create_container" not in engine.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(provider.open(profile, OWNER))
        await asyncio.sleep(0.05)
        filler = provider._pool._filler
        engine.breaks.set()
        with pytest.raises(OSError, match="Too many"):
            await asyncio.wait_for(waiting, 20)
        assert filler is not None
        with pytest.raises(OSError, match="Too many"):
            await filler


async def test_a_pool_that_cannot_be_filled_is_silent(provider: DockerProvider, profile: SandboxProfile) -> None:
    """What is wrong is said by `open`, and asked for again by whoever comes next."""
    missing = profile.model_copy(update={"image": "sha256:" + "0" * 64})
    provider.prepare(missing, 2)
    await settled(provider)
    with pytest.raises(Exception, match="does not have the image"):
        await provider.open(missing, OWNER)


POOL_OWNER = """
import asyncio
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.docker import DockerProvider

async def main():
    provider = DockerProvider()
    provider.prepare(SandboxProfile(), 2)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_ends_with_its_owner(client: docker.DockerClient, profile: SandboxProfile) -> None:
    """What a provider prepared goes when it is closed, and when its process is killed, without anybody's doing."""
    async with DockerProvider() as provider:
        provider.prepare(profile, 2)
        await settled(provider)
        assert len(containers(client)) == 2
    assert containers(client) == []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", POOL_OWNER, env=environment)
    await until(client, 2, process.pid)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(client, 0, process.pid)


async def test_a_tree_is_put_ahead(
    provider: DockerProvider, engine: WatchedEngine, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """Who opens what was prepared with a tree gets it with the tree in it; other trees, and none, get another one."""
    blobs = Blobs()
    filling = Filling({"a/b": blobs.file(b"ahead")}, blobs)
    provider.prepare(profile, 1, filling)
    await settled(provider)
    (ready,) = await until(client, 1)
    assert len(provider._pool._all()) == 1
    for other in (None, Filling({"a/b": blobs.file(b"other")}, blobs), Filling(filling.tree, blobs, root="/tmp/a")):
        async with await provider.open(profile, OWNER, other) as opened:
            assert opened.id != ready[:12]
    same = Filling({"a/b": blobs.file(b"ahead")}, Blobs())  # nothing of it has to be read any more
    async with await provider.open(profile, OWNER, same) as opened:
        assert opened.id == ready[:12]
        assert await opened.read("a/b") == b"ahead"
        assert (await opened.take_tree()).tree == filling.tree
    assert provider._pool._all() == [], "nobody holds the tree any more"


async def test_a_tree_that_cannot_be_put_ahead_is_told_when_it_is_opened(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """A blob that is missing leaves no container and a pool that works; whoever opens the sandbox meets the error."""
    missing = Filling({"a": TreeFile(REGULAR, "0" * 40)}, Blobs())
    outside = Filling({"a/../b": TreeFile(REGULAR, "0" * 40)}, Blobs())
    for broken, error in ((missing, KeyError), (outside, SandboxRefused)):
        provider.prepare(profile, 1, broken)
        await settled(provider)
        with pytest.raises(error):
            await provider.open(profile, OWNER, broken)
    await until(client, 0)
    provider.prepare(profile, 1)
    await settled(provider)
    await until(client, 1)


async def test_few_trees_are_put_ahead(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """However many trees are announced, two sandboxes wait with one; the next is put when one of these is taken."""
    blobs = Blobs()
    fillings = [Filling({"a": blobs.file(b"%d" % number)}, blobs) for number in range(4)]
    for filling in fillings:
        provider.prepare(profile, 1, filling)
    await settled(provider)
    await until(client, pool_module.AHEAD)
    async with await provider.open(profile, OWNER, fillings[0]) as opened:
        assert await opened.read("a") == b"0"
        await settled(provider)
        await until(client, pool_module.AHEAD + 1)
