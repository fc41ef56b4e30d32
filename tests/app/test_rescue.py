"""A process is killed in the middle of a role's work: what it had not saved is in the store before its sandbox goes."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from assay.app.rescuing import ways_to_unsaved
from assay.app.wiring import House, open_house
from assay.records.entries import Entry, EntryKind
from assay.records.sandboxes import Left, Reaped
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.owners import LABEL

pytestmark = pytest.mark.docker

RUN = f"rescue-{secrets.token_hex(4)}"
"""Its own: other tests at work on this engine have sandboxes of the run that roles are tested in."""

# Plays the part of `assay run`: one role, whose command kills the whole process when it has come to its `sleep`.
OWNER_PROGRAM = """
import asyncio, os, signal, sys
from contextlib import suppress
from pathlib import Path
from tests.agents import bench as benches
from tests.agents.bench import execute, open_bench, script, write
from assay.records.entries import EntryKind
from assay.sandboxes.docker import DockerProvider

class Deadly(DockerProvider):
    async def open(self, profile, owner):
        sandbox = await super().open(profile, owner)
        self.watching = asyncio.get_running_loop().create_task(self.watch(sandbox))
        return sandbox

    async def watch(self, sandbox):
        with suppress(TimeoutError):  # where no process is left to list them
            while not any(one.command == "sleep 99" for one in await asyncio.wait_for(sandbox.processes(), 2)):
                await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)

async def main(root, run, role, command, patience):
    benches.RUN = run
    async with open_bench(Path(root)) as bench, Deadly(patience=float(patience)) as deadly:
        await bench.ledger.append(run, EntryKind.RUN_STARTED, "started")
        bench.configure(role)
        saved = [write("saved.py", "saved = 1\\n")] if role == "coder" else []
        turns = script(role, *saved, execute(command + "; sleep 99"))
        await bench.agent(turns, bench.task(role), sandboxes=deadly).advance({})

asyncio.run(main(*sys.argv[1:]))
"""


BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        open("full.py", "w").close()
        time.sleep(0.2)
"""


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine as a bystander sees it, which removes what a test leaves."""
    bystander = docker.from_env()
    yield bystander
    for container in containers_of(bystander):
        bystander.api.remove_container(container, force=True)
    bystander.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The state directory in which the killed process worked, opened by the next one."""
    async with open_house(root=tmp_path / "state") as opened:
        yield opened


def containers_of(client: docker.DockerClient) -> list[str]:
    """Return the ids of the containers of the run."""
    listed = client.api.containers(all=True, filters={"label": [LABEL, f"dev.assay.run={RUN}"]})
    return [one["Id"] for one in listed if one["State"] != "removing"]


async def kill_at_work(state: Path, role: str, command: str, *, patience: float = 600) -> None:
    """Let a process do a role's work until the command has done its part, and kill it there."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = (sys.executable, "-c", OWNER_PROGRAM, str(state), RUN, role, command, str(patience))
    process = await asyncio.create_subprocess_exec(*arguments, env=environment)
    assert await process.wait() == -9


async def rescued(house: House) -> tuple[Entry, ...]:
    """Return the entries about work that was kept."""
    return await house.ledger.entries(RUN, kinds=(EntryKind.WORK_RESCUED,))


def left_by(*reaped: Reaped) -> list[Left]:
    """Return the sandboxes of the run that were found and not removed; another test's may be there, too."""
    return [one for each in reaped for one in each.left if one.run == RUN]


def kept(reaped: Reaped) -> list[str]:
    """Return the sandboxes with work that were found; others on the engine may have left some without."""
    return [*reaped.rescued, *(left.id for left in left_by(reaped))]


def only_ref(entry: Entry) -> tuple[str, str]:
    """Return the one ref that an entry names, with its commit."""
    refs = entry.body["refs"]
    assert isinstance(refs, dict)
    ((name, commit),) = refs.items()
    return name, str(commit)


async def wait_until_gone(client: docker.DockerClient) -> None:
    """Wait until the run has no container any more."""
    end = time.monotonic() + 20
    while containers_of(client):
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.05)


async def test_work_of_a_killed_coder_is_kept(house: House, client: docker.DockerClient) -> None:
    """What the step in flight had written is a commit on the task's base, and the run's ledger names it."""
    command = "rm calc.py; echo 'half = 1' > half.py; mkdir __pycache__; echo x > __pycache__/x.pyc"
    await kill_at_work(house.state.root, "coder", command)
    assert len(containers_of(client)) == 1, "it waits for somebody to fetch the work"
    async with open_house(root=house.state.root) as other:
        reaped, too = await asyncio.gather(house.reap(), other.reap())
    assert (reaped.rescued or too.rescued) and not left_by(reaped, too)
    assert containers_of(client) == []
    (entry,) = await rescued(house)
    name, commit = only_ref(entry)
    assert name.startswith(f"refs/assay/rescued/{RUN}/add.coder.1/")
    assert await house.git.ref(name) == commit and commit in str(entry.body["reason"])
    changes = {change.path: change.status for change in await house.git.diff(str(entry.body["base"]), commit)}
    assert changes.keys() == {"calc.py", "half.py", "saved.py"}
    assert await house.git.parents(commit) == (entry.body["base"],)
    file = (await house.git.tree(commit))["half.py"]
    assert house.git.contents.read(file.oid) == b"half = 1\n"
    assert kept(await house.reap()) == [] and len(await rescued(house)) == 1
    (way,) = ways_to_unsaved(await house.ledger.entries(RUN), house.git.path)
    shown = subprocess.run(shlex.split(way.command), capture_output=True, text=True, check=True).stdout
    assert "coder of add" in way.purpose and "+half = 1" in shown and "+saved = 1" in shown


async def test_what_is_saved_is_not_kept_again(house: House, client: docker.DockerClient) -> None:
    """Where the step in flight had changed nothing, the sandbox goes and nothing is recorded."""
    await kill_at_work(house.state.root, "coder", "true")
    reaped = await house.reap()
    assert len(reaped.rescued) == 1
    assert containers_of(client) == []
    assert await rescued(house) == ()


async def test_held_out_tests_are_kept_apart(house: House, client: docker.DockerClient) -> None:
    """A tester's second tree becomes a commit of its own, which leads to nothing that a coder is given."""
    await kill_at_work(house.state.root, "tester", "echo 'def test_it(): ...' > /held_out/test_it.py")
    await house.reap()
    (entry,) = await rescued(house)
    name, commit = only_ref(entry)
    assert name.endswith("-wip-held-out")
    assert set(await house.git.tree(commit)) == {"test_it.py"}
    assert await house.git.parents(commit) == ()


async def test_a_sandbox_without_work_ends_with_its_owner(house: House, client: docker.DockerClient) -> None:
    """Negative control: a reviewer's sandbox holds nothing to keep, and is gone without anybody's doing."""
    await kill_at_work(house.state.root, "reviewer", "echo x > /tmp/half.py")
    await wait_until_gone(client)
    assert kept(await house.reap()) == []
    assert await rescued(house) == ()


async def test_work_that_cannot_be_kept_stays(house: House, client: docker.DockerClient, tmp_path: Path) -> None:
    """Neither who knows nothing of the run nor who cannot store its files removes the only copy; it is said."""
    await kill_at_work(house.state.root, "coder", "echo 'half = 1' > half.py; mkfifo pipe")
    async with open_house(root=tmp_path / "another") as stranger:
        assert kept(await stranger.reap()) == []
    async with DockerProvider() as nobody:
        assert kept(await nobody.reap()) == []
    reaped = await house.reap()
    (left,) = left_by(reaped)
    assert "FIFO" in left.reason
    assert len(containers_of(client)) == 1
    assert await rescued(house) == ()


async def test_work_is_kept_although_its_command_uses_everything(house: House, client: docker.DockerClient) -> None:
    """What still runs holds all processes of the sandbox, forks, and writes: it is ended, and the files are kept."""
    command = f"echo 'half = 1' > half.py; python3 -c {shlex.quote(BOMB)}"
    await kill_at_work(house.state.root, "coder", command)
    reaped = await house.reap()
    assert (len(reaped.rescued), left_by(reaped)) == (1, [])
    _, commit = only_ref((await rescued(house))[0])
    assert {"half.py", "full.py"} <= set(await house.git.tree(commit))


async def test_nobody_comes(house: House, client: docker.DockerClient) -> None:
    """Work that nobody fetches holds memory for a bounded time."""
    await kill_at_work(house.state.root, "coder", "echo 'half = 1' > half.py", patience=2)
    await wait_until_gone(client)
