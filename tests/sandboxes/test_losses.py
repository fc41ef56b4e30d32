"""What ends under a sandbox: container, supervisor, engine, owner. Nobody hangs, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.sandboxes.engines import WatchedEngine, fail, relayed

from assay.errors import AssayError, EngineUnavailable, SandboxLost
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes import channel as channel_module
from assay.sandboxes import containers as containers_module
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.engine import Engine
from assay.sandboxes.owners import LABEL, OwnerProcess, make_labels
from assay.sandboxes.protocol import Sandbox

pytestmark = pytest.mark.docker


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine as a bystander sees it."""
    bystander = docker.from_env()
    yield bystander
    bystander.close()


def containers_of(client: docker.DockerClient, run: str) -> list[str]:
    """Return the names of the containers of a run."""
    listed = client.api.containers(all=True, filters={"label": [LABEL, f"dev.assay.run={run}"]})
    return [one["Names"][0] for one in listed if one["State"] != "removing"]


async def wait_until(held: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something outside this process has come about."""
    end = time.monotonic() + seconds
    while not held():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.05)


async def lose_within_a_second(sandbox: Sandbox, cause: Callable[[], object]) -> str:
    """Cause a loss while commands run, and return what the error says."""
    running = [asyncio.ensure_future(sandbox.run(["sleep", "60"])) for _ in range(3)]
    await sandbox.run(["true"])
    await asyncio.to_thread(cause)
    began = time.monotonic()
    for one in running:
        with pytest.raises(SandboxLost) as lost:
            await one
    assert time.monotonic() - began < 1
    with pytest.raises(SandboxLost):
        await sandbox.run(["true"])
    with pytest.raises(SandboxLost):
        await sandbox.take_tree()
    return str(lost.value)


async def test_container_is_killed(sandbox: Sandbox, client: docker.DockerClient) -> None:
    """Callers learn within a second that somebody killed the container."""
    assert "stream ended" in await lose_within_a_second(sandbox, lambda: client.api.kill(sandbox.id))


async def test_supervisor_is_asked_to_end(sandbox: Sandbox, client: docker.DockerClient) -> None:
    """What the supervisor says when it ends is in the error."""
    said = await lose_within_a_second(sandbox, lambda: client.api.kill(sandbox.id, "SIGTERM"))
    assert "supervisor ends: asked to" in said


async def test_time_of_the_sandbox_is_over(profile: SandboxProfile, owner: SandboxOwner) -> None:
    """A sandbox ends by itself, whatever became of its owner."""
    async with DockerProvider(lifetime=1) as provider:
        sandbox = await provider.open(profile, owner)
        with pytest.raises(SandboxLost, match="its time is over"):
            await sandbox.run(["sleep", "60"])


async def test_container_stands_still(
    sandbox: Sandbox, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox that answers nothing is given up after a while, although its stream is open."""
    monkeypatch.setattr(channel_module, "_PING_SECONDS", 0.1)
    monkeypatch.setattr(channel_module, "_SILENCE_SECONDS", 0.5)
    client.api.pause(sandbox.id)
    with pytest.raises(SandboxLost, match="has not answered"):
        await sandbox.run(["true"])
    client.api.unpause(sandbox.id)


async def test_supervisor_that_does_not_leave_is_removed(
    sandbox: Sandbox, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing does not rely on anything inside: what does not leave by itself is removed by force."""
    monkeypatch.setattr(containers_module, "_LEAVING_SECONDS", 1)
    client.api.pause(sandbox.id)
    await sandbox.close()
    with pytest.raises(docker.errors.NotFound):
        client.api.inspect_container(sandbox.id)


async def test_long_command_is_not_silence(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that prints nothing for long does not make its sandbox look lost."""
    monkeypatch.setattr(channel_module, "_PING_SECONDS", 0.1)
    monkeypatch.setattr(channel_module, "_SILENCE_SECONDS", 0.8)
    assert (await sandbox.run(["sleep", "2"])).ok


async def test_engine_dies(
    tmp_path: Path, profile: SandboxProfile, client: docker.DockerClient, owner: SandboxOwner
) -> None:
    """When the engine goes away, callers learn it at once, closing is quiet, and the container ends by itself."""
    owner = owner.model_copy(update={"run": "check-engine-dies"})
    async with relayed(tmp_path / "docker.sock") as relay:
        provider = DockerProvider(Engine(relay.connect))
        sandbox = await provider.open(profile, owner)
        running = asyncio.ensure_future(sandbox.run(["sleep", "60"]))
        await sandbox.run(["true"])
        began = time.monotonic()
        await relay.cut()
        with pytest.raises(SandboxLost):
            await running
        assert time.monotonic() - began < 1
        await sandbox.close()
        with pytest.raises(EngineUnavailable) as unavailable:
            await provider.open(profile, owner)
        assert unavailable.value.next_step == "assay doctor"
        await provider.close()
    await wait_until(lambda: not containers_of(client, "check-engine-dies"))


async def test_no_engine(tmp_path: Path, profile: SandboxProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine every way in says so, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    async with DockerProvider() as provider:
        for action in (
            provider.image(profile),
            provider.open(profile, SandboxOwner(run="r", role="x")),
            provider.reap(),
        ):
            with pytest.raises(EngineUnavailable, match="No Docker engine answers") as unavailable:
                await action
            assert unavailable.value.next_step == "assay doctor"


async def opening_calls(profile: SandboxProfile, owner: SandboxOwner) -> list[str]:
    """Return the calls that opening a sandbox takes."""
    engine = WatchedEngine()
    async with DockerProvider(engine) as provider:
        await provider.open(profile, owner)
        return list(engine.calls)


async def test_engine_fails_at_every_call(
    profile: SandboxProfile, client: docker.DockerClient, owner: SandboxOwner
) -> None:
    """Whichever call to the engine fails while a sandbox opens, the error is ours and nothing stays behind."""
    owner = owner.model_copy(update={"run": "check-calls-fail"})
    calls = await opening_calls(profile, owner)
    assert calls[-3:] == ["create_container", "attach_socket", "start"]
    for number in range(len(calls)):
        async with DockerProvider(WatchedEngine(number, fail)) as provider:
            with pytest.raises(EngineUnavailable):
                await provider.open(profile, owner)
        assert containers_of(client, owner.run) == [], calls[number]


async def test_caller_is_cancelled_at_every_call(
    profile: SandboxProfile, client: docker.DockerClient, owner: SandboxOwner
) -> None:
    """Whenever the caller is cancelled while a sandbox opens, nothing stays behind."""
    owner = owner.model_copy(update={"run": "check-cancelled"})
    loop = asyncio.get_running_loop()
    opening: list[asyncio.Task[Sandbox]] = []

    def cancel() -> None:
        loop.call_soon_threadsafe(opening[-1].cancel)

    for number in range(len(await opening_calls(profile, owner))):
        async with DockerProvider(WatchedEngine(number, cancel)) as provider:
            opening.append(asyncio.create_task(provider.open(profile, owner)))
            with pytest.raises(asyncio.CancelledError):
                await opening[-1]
        await wait_until(lambda: not containers_of(client, owner.run))


OWNER_PROGRAM = """
import asyncio, os, signal, sys
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider
from tests.sandboxes.engines import WatchedEngine

async def main():
    at = None if sys.argv[2] == "-" else int(sys.argv[2])
    engine = WatchedEngine(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    provider = DockerProvider(engine)
    sandbox = await provider.open(SandboxProfile(), SandboxOwner(run=sys.argv[1], role="check"))
    running = asyncio.ensure_future(sandbox.run("(setsid sleep 600 &); sleep 600"))
    await sandbox.run(["true"])
    print("open", flush=True)
    await running

asyncio.run(main())
"""


async def start_owner(run: str, at: str) -> asyncio.subprocess.Process:
    """Start a process that opens a sandbox, and kills itself before a call to the engine."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = (sys.executable, "-c", OWNER_PROGRAM, run, at)
    return await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE, env=environment)


async def test_owner_is_killed(client: docker.DockerClient) -> None:
    """The container of a killed owner ends by itself, with all that runs in it."""
    process = await start_owner("check-owner-killed", "-")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    assert len(containers_of(client, "check-owner-killed")) == 1
    process.kill()
    await process.wait()
    await wait_until(lambda: not containers_of(client, "check-owner-killed"))


@pytest.mark.alone
async def test_owner_is_killed_while_it_opens(
    provider: DockerProvider, client: docker.DockerClient, profile: SandboxProfile, owner: SandboxOwner
) -> None:
    """A container that its killed owner never started is found by its labels and removed."""
    run = "check-owner-killed-early"
    calls = await opening_calls(profile, owner)
    process = await start_owner(run, str(calls.index("attach_socket")))
    await process.wait()
    left = containers_of(client, run)
    assert len(left) == 1
    reaped = await provider.reap()
    assert containers_of(client, run) == []
    assert reaped.removed


@pytest.mark.alone
async def test_reaping_spares_the_living(
    provider: DockerProvider, sandbox: Sandbox, client: docker.DockerClient, profile: SandboxProfile
) -> None:
    """Only what is certainly nobody's is removed: not what lives, not another host's, not another program's."""
    mine = OwnerProcess.current()
    dead = OwnerProcess(mine.host, mine.boot, mine.pid, mine.started + 1)
    elsewhere = OwnerProcess("another host", "another boot", 1, 1)
    anyone = SandboxOwner(run="check-reaping", role="check")
    image = (await provider.image(profile)).id
    labels = {
        "expired": make_labels(anyone, mine, lifetime=-10),
        "dead": make_labels(anyone, dead, lifetime=100),
        "rebooted": make_labels(anyone, OwnerProcess(mine.host, "earlier", mine.pid, mine.started), lifetime=100),
        "elsewhere": make_labels(anyone, elsewhere, lifetime=100),
        "foreign": {LABEL: "1", "dev.assay.run": "check-reaping"},
    }
    made = {name: client.api.create_container(image, ["true"], labels=text)["Id"][:12] for name, text in labels.items()}
    try:
        reaped = set((await provider.reap()).removed)
        assert reaped >= {made["expired"], made["dead"], made["rebooted"]}
        assert not reaped & {made["elsewhere"], made["foreign"], sandbox.id}
        assert (await sandbox.run(["true"])).ok
    finally:
        for identity in made.values():
            try:
                client.api.remove_container(identity, force=True)
            except docker.errors.NotFound:
                continue


async def test_closing_the_provider_closes_all(
    profile: SandboxProfile, client: docker.DockerClient, owner: SandboxOwner
) -> None:
    """A provider that is closed leaves no container, and its sandboxes say that they are lost."""
    owner = owner.model_copy(update={"run": "check-closing"})
    provider = DockerProvider()
    first, second = await asyncio.gather(provider.open(profile, owner), provider.open(profile, owner))
    await provider.close()
    assert containers_of(client, owner.run) == []
    for sandbox in (first, second):
        with pytest.raises(AssayError):
            await sandbox.run(["true"])


async def test_cancelled_close_still_removes(
    profile: SandboxProfile, client: docker.DockerClient, owner: SandboxOwner
) -> None:
    """Ctrl-C while a sandbox closes does not leave it behind."""
    owner = owner.model_copy(update={"run": "check-cancelled-close"})
    async with DockerProvider() as provider:
        sandbox = await provider.open(profile, owner)
        closing = asyncio.create_task(sandbox.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await wait_until(lambda: not containers_of(client, owner.run))
