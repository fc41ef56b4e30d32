"""gVisor on an engine of the tests' own: the conformance suite, and what a kernel of a sandbox's own does otherwise."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator

import platformdirs
import pytest
from docker.api.client import APIClient
from tests.egress.servers import LOOPBACK, Names, Told, Web, listening
from tests.own_engines import OwnEngine, own_engine

from assay.errors import SandboxLost, SandboxRefused
from assay.records.egress import Egress
from assay.records.sandboxes import Limits, Mount, OutOfMemory, SandboxOwner, SandboxProfile
from assay.sandboxes.conformance import Case, Outcome, Passed, cases, check_case
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.doctor import examine_runtimes
from assay.sandboxes.egress import WaysOut
from assay.sandboxes.engine import Engine

pytestmark = pytest.mark.docker

RUNSC = platformdirs.user_cache_path("assay") / "runsc" / "usr" / "bin" / "runsc"
"""Where the set-up of the tests unpacks it."""
AT_ONCE = 4


@pytest.fixture(scope="module")
def second() -> Iterator[OwnEngine]:
    """An engine that knows gVisor, with the sandbox image."""
    assert RUNSC.exists() or shutil.which("runsc"), "run scripts/setup.sh test"
    program = str(RUNSC if RUNSC.exists() else shutil.which("runsc"))
    runtimes = {"runsc": {"path": program, "runtimeArgs": ["--network=none"]}}
    with own_engine("gvisor", {"runtimes": runtimes}) as made:
        yield made


@pytest.fixture
async def engine(second: OwnEngine) -> AsyncIterator[Engine]:
    """Calls to it."""
    engine = Engine(lambda: APIClient(base_url=second.host, version="auto"))
    yield engine
    await engine.close()


async def test_gvisor_passes_the_suite(engine: Engine) -> None:
    """Every case, some at once; where its kernel ends for want of memory, that is told as such."""
    profile = SandboxProfile(image="python", runtime="runsc")
    turns = asyncio.Semaphore(AT_ONCE)
    async with DockerProvider(engine) as provider:

        async def check(case: Case) -> Outcome:
            async with turns:
                return await check_case(case, provider, profile, isolates=True)

        outcomes = await asyncio.gather(*map(check, cases()))
    assert [outcome for outcome in outcomes if not isinstance(outcome, Passed)] == []


async def test_a_kernel_of_its_own_ends_with_its_memory(engine: Engine) -> None:
    """What ran in it ended for want of memory; what comes after finds the sandbox lost, and not out of memory again."""
    limits = Limits(memory_mb=192, workspace_mb=16, scratch_mb=16)
    owner = SandboxOwner(run="check-gvisor", role="check")
    async with DockerProvider(engine) as provider:
        box = await provider.open(SandboxProfile(image="python", runtime="runsc", limits=limits), owner)
        assert "gVisor" in (await box.run("dmesg")).stdout.text
        waiting = asyncio.ensure_future(box.run("sleep 100"))
        hog = await box.run("head -c 1000000000 /dev/zero | tail")
        assert hog.ending == (await waiting).ending == OutOfMemory()
        with pytest.raises(SandboxLost):
            await box.run("true")


async def test_a_killed_sandbox_is_lost_and_not_out_of_memory(second: OwnEngine, engine: Engine) -> None:
    """Only what the engine saw counts as that."""
    async with DockerProvider(engine) as provider:
        owner = SandboxOwner(run="check-gvisor", role="check")
        box = await provider.open(SandboxProfile(image="python", runtime="runsc"), owner)
        waiting = asyncio.ensure_future(box.run("sleep 100"))
        await box.run("true")
        second.docker("kill", box.id)
        with pytest.raises(SandboxLost):
            await waiting


async def test_a_volume_is_read_and_not_written(second: OwnEngine, engine: Engine) -> None:
    """In gVisor as elsewhere: what the engine's administrator allowed is there, read-only."""
    second.docker("volume", "create", "--label", "dev.assay.mountable=yes", "data")
    second.docker("run", "--rm", "--network", "none", "-v", "data:/data", "assay-sandbox/python:latest",
                      "sh", "-c", "echo told > /data/file")  # fmt: skip
    mounts = (Mount(volume="data", target="/opt/data"),)
    async with DockerProvider(engine) as provider:
        owner = SandboxOwner(run="check-gvisor", role="check")
        for runtime in ("runsc", None):
            profile = SandboxProfile(image="python", runtime=runtime, mounts=mounts)
            async with await provider.open(profile, owner) as box:
                said = await box.run(
                    "cat /opt/data/file; echo no > /opt/data/file; rm /opt/data/file; touch /opt/data/x"
                )
                assert said.stdout.text == "told\n"
                assert (await box.run("ls /opt/data")).stdout.text == "file\n"
        second.docker("volume", "create", "secret")
        with pytest.raises(SandboxRefused, match="not one that sandboxes may read"):
            await provider.open(SandboxProfile(mounts=(Mount(volume="secret", target="/opt/x"),)), owner)
        with pytest.raises(SandboxRefused, match="has no volume 'absent'"):
            await provider.open(SandboxProfile(mounts=(Mount(volume="absent", target="/opt/x"),)), owner)
        second.docker("volume", "create", "--label", "dev.assay.mountable=yes",
                          "-o", "type=none", "-o", "o=bind", "-o", "device=/etc", "bound")  # fmt: skip
        with pytest.raises(SandboxRefused, match="path or a server"):
            await provider.open(SandboxProfile(mounts=(Mount(volume="bound", target="/opt/x"),)), owner)
    volumes = second.docker("volume", "ls", "-q").stdout.decode().split()
    assert sorted(volumes) == ["bound", "data", "secret"], "none may be made by asking for it"


async def test_a_runtime_that_the_engine_lacks_is_found(engine: Engine) -> None:
    """`assay doctor` says which profile asks for it, and the command that mends it."""
    (known, unknown) = await examine_runtimes(engine, {"default": "runsc", "other": "runsc-nowhere"})
    assert (known.ok, known.mend) == (True, None)
    assert not unknown.ok
    assert "runsc-nowhere" in unknown.detail
    assert "daemon.json" in str(unknown.mend)


async def test_a_way_out_of_gvisor(engine: Engine) -> None:
    """The tunnel asks nothing of the kernel but loopback: what is allowed is reached, and nothing else."""
    told = Told()
    async with listening(Web()) as port:
        egress = Egress(allow=(f"www.test:{port}",), networks=(LOOPBACK,))
        profile = SandboxProfile(image="python", runtime="runsc", egress=egress)
        owner = SandboxOwner(run="check-gvisor", role="check")
        async with DockerProvider(engine, ways_out=WaysOut(told.of_sandbox, resolve=Names())) as provider:
            box = await provider.open(profile, owner)
            for host in ("www", "other"):
                fetch = f"import urllib.request as u; print(u.urlopen('http://{host}.test:{port}/').read().decode())"
                result = await box.run(["python3", "-c", fetch])
                assert (result.stdout.data == b"hello\n") == (host == "www"), result.stderr.text
            assert await box.processes() == ()
    assert told.stages == ["allowed", "ended", "refused"]
