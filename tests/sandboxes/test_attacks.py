"""The attack suite: each attack is contained, and ends as what it is; the neighbours, the host and the next command
are unharmed. What a single part does against a single trick is tried in the tests of that part.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import docker
import pytest
from tests.sandboxes.attack_programs import ATTACKS, EATER, HUNGRY, Attack

from assay.errors import SandboxLost, SandboxRefused
from assay.records.sandboxes import CommandResult, Exited, Limits, SandboxOwner, SandboxProfile
from assay.records.trees import TakenTree
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox

pytestmark = pytest.mark.docker

FORBIDDEN: Final = (Path(__file__).parent / "attacks" / "forbidden.py").read_bytes()
SMALL: Final = Limits(memory_mb=256, workspace_mb=48, scratch_mb=16, inodes=5000, processes=64)
ATTACKER: Final = 10078
"""User of commands that are looked for on the host."""


class Neighbourhood:
    """Two sandboxes: in one an attack is made, and the other works on meanwhile."""

    def __init__(self, attacked: Sandbox, neighbour: Sandbox) -> None:
        self.attacked = attacked
        self.neighbour = neighbour

    async def suffer(self, attack: Attack) -> CommandResult:
        """Make the attack while the neighbour works, see that its work comes out right, and return the ending."""
        work = asyncio.ensure_future(self.neighbour.run("for i in 1 2 3; do sleep 0.1; cat kept; done", timeout=60))
        command = attack.program if attack.shell else ["python3", "-"]
        stdin = b"" if attack.shell else attack.program.encode()
        result = await self.attacked.run(command, stdin=stdin, timeout=attack.seconds)
        other = await work
        assert (other.ending, other.stdout.data) == (Exited(code=0), b"kept\n" * 3)
        return result

    async def expect_unharmed(self) -> None:
        """The attacked sandbox is as usable as before, and nothing is left in it."""
        for box in (self.attacked, self.neighbour):
            result = await box.run("cat kept && touch new && rm new && git --version", timeout=30)
            assert result.ending == Exited(code=0), result
            assert result.stdout.data.startswith(b"kept\ngit version"), result
            assert not result.disk_full
            assert await box.processes() == ()
            assert list((await box.take_tree()).tree) == ["kept"]


@pytest.fixture
async def two(provider: DockerProvider, owner: SandboxOwner) -> AsyncIterator[Neighbourhood]:
    """Two small sandboxes, each with a file in it."""
    profile = SandboxProfile(limits=SMALL)
    boxes = await asyncio.gather(provider.open(profile, owner), provider.open(profile, owner))
    for box in boxes:
        await box.write("kept", b"kept\n")
    yield Neighbourhood(*boxes)
    for box in boxes:
        await asyncio.wait_for(box.close(), 10)


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_contained(name: str, two: Neighbourhood) -> None:
    """It ends as what it is, the neighbour notices nothing, and the next command is right."""
    attack = ATTACKS[name]
    result = await two.suffer(attack)
    assert isinstance(result.ending, attack.ends), result
    assert attack.tells in result.stdout.text + result.stderr.text
    assert result.disk_full == attack.disk_full
    assert attack.writes in (None, result.stdout.length)
    assert len(result.stdout.data) + len(result.stderr.data) < 2_100_000
    await two.attacked.run(attack.clean)
    await two.expect_unharmed()


async def test_nothing_forbidden_is_allowed(two: Neighbourhood) -> None:
    """No system call, file or address that leads out of the sandbox is open to a command."""
    result = await two.attacked.run(["python3", "-"], stdin=FORBIDDEN, timeout=60)
    tried = json.loads(result.stdout.text)
    assert len(tried) > 65
    assert {name: outcome for name, outcome in tried.items() if outcome == "allowed"} == {}
    for name in ("metadata-service", "bridge", "neighbour"):
        assert tried[name] == "ENETUNREACH", f"{name}: no route may lead anywhere"
    await two.attacked.run("rm -f /tmp/suid")
    await two.expect_unharmed()


CONTROLLED: Final = (
    "mount", "bind", "unshare-user", "unshare-mount", "unshare-net", "fsopen", "key-session", "key-add", "raw-ip",
    "packets", "shadow", "kill-helper", "supervisors-priority", "chroot",
)  # fmt: skip


def test_the_tries_can_succeed() -> None:
    """Negative control: where the isolation is taken away, the same tries are allowed."""
    client = docker.from_env()
    try:
        container = client.containers.create(
            "assay-sandbox/python:latest",
            ["python3", "-c", FORBIDDEN.decode(), *CONTROLLED],
            cap_add=["SYS_ADMIN"],
            security_opt=["seccomp=unconfined"],
            network_mode="none",
        )
        try:
            container.start()
            container.wait()
            said = container.logs(stdout=True, stderr=False)
        finally:
            container.remove(force=True)
    finally:
        client.close()
    assert json.loads(said) == dict.fromkeys(CONTROLLED, "allowed")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        ("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('odd')\"", "socket"),
        ("mkfifo odd", "FIFO"),
        ("ln -s /etc/passwd odd", "leaves the tree"),
        ("mkdir d; ln -s ../.. d/odd", "leaves the tree"),
        ("truncate -s 1T odd", "odd"),
        ("echo x > odd; chmod 0 odd", "odd"),
    ],
)
async def test_odd_files_are_named(make: str, word: str, two: Neighbourhood) -> None:
    """What no commit can hold is refused with its path; without it the tree is right again."""
    await two.attacked.run(make)
    with pytest.raises(SandboxRefused, match=word) as caught:
        await two.attacked.take_tree()
    assert "odd" in str(caught.value)
    await two.attacked.run("rm -rf odd d")
    await two.expect_unharmed()


async def test_set_user_id_bits_mean_nothing(two: Neighbourhood) -> None:
    """The bits change nobody's user, and do not travel: a tree knows executable and not executable."""
    result = await two.attacked.run("cp /usr/bin/id tool; chmod 6755 tool; ./tool -u; ./tool -g")
    assert "0\n" not in result.stdout.text.splitlines(keepends=True)
    tree = (await two.attacked.take_tree()).tree
    blobs = Blobs()
    await two.neighbour.put_tree({"kept": blobs.file(b"kept\n")}, blobs)
    assert tree["tool"].mode == 0o100755
    await two.attacked.run("rm tool")
    await two.expect_unharmed()


async def test_files_that_change_while_a_tree_is_taken(two: Neighbourhood) -> None:
    """What is taken is a state that a file really had; where it never rests, that is said."""
    script = "import os\nwhile True:\n    open('new', 'w').write('a' * 100000); os.replace('new', 'moving')"
    run = asyncio.ensure_future(two.attacked.run(["python3", "-"], stdin=script.encode(), timeout=3))
    taken = refused = 0
    while not run.done():
        tree = await _take_or_refuse(two.attacked)
        taken += tree is not None
        refused += tree is None
        for content in tree.fresh.values() if tree else ():
            assert content in (b"kept\n", b"") or set(content) == {ord("a")}
    assert taken + refused > 3
    await two.attacked.run("rm -f moving new")
    await two.expect_unharmed()


async def test_a_lost_sandbox_harms_no_other(two: Neighbourhood) -> None:
    """A sandbox that is killed from outside is lost for its callers within a second, and only it."""
    running = asyncio.ensure_future(two.attacked.run("sleep 60"))
    await asyncio.sleep(0)
    client = docker.from_env()
    try:
        client.containers.get(two.attacked.id).kill()
    finally:
        client.close()
    with pytest.raises(SandboxLost):
        await asyncio.wait_for(running, 5)
    assert (await two.neighbour.run("cat kept")).stdout.data == b"kept\n"


async def _take_or_refuse(box: Sandbox) -> TakenTree | None:
    """Return the tree, or None where it does not rest for long enough."""
    try:
        return await box.take_tree()
    except SandboxRefused as error:
        if "keeps changing" not in str(error):
            raise
        return None


@pytest.mark.parametrize(("users", "left"), [((None, None), "True 65536\n"), ((10077, 10077), "False 8192\n")])
async def test_what_the_kernel_counts_by_user_is_not_shared(
    users: tuple[int | None, int | None], left: str, provider: DockerProvider, owner: SandboxOwner
) -> None:
    """One sandbox uses up its user's inotify instances and pipe buffers, and another has its own. Negative control:
    with one user for both, the other has none.
    """
    eating, hungry = [await provider.open(SandboxProfile(user=user), owner) for user in users]
    running = asyncio.ensure_future(eating.run(["python3", "-"], stdin=EATER.encode()))
    while not (await eating.run("test -e ready")).ok:
        assert not running.done(), running.result()
    result = await hungry.run(["python3", "-"], stdin=HUNGRY.encode())
    assert result.stdout.text == left, result
    await eating.close()
    with pytest.raises(SandboxLost):
        await running


ASKING: Final = {
    "Dockerfile": b"FROM scratch\nUSER root\nVOLUME /var/run/docker.sock\nHEALTHCHECK CMD id\n",
    "docker-compose.yml": b"services: {a: {privileged: true, network_mode: host, volumes: ['/:/host']}}\n",
    ".devcontainer/devcontainer.json": b'{"runArgs": ["--privileged", "--network=host"], "mounts": ["/:/host"]}\n',
    ".dockerignore": b"",
    "Procfile": b"web: id\n",
}


async def test_what_a_repository_asks_for_changes_nothing(provider: DockerProvider, owner: SandboxOwner) -> None:
    """A Dockerfile, a compose file or a development container in the tree is text, and nothing more."""
    blobs = Blobs()
    profile = SandboxProfile(user=1000)
    plain, asked = await provider.open(profile, owner), await provider.open(profile, owner)
    await asked.put_tree({path: blobs.file(text) for path, text in ASKING.items()}, blobs)
    assert (await asked.run("id -u; ls")).ok
    client = docker.from_env()
    try:
        configured = [client.api.inspect_container(box.id)["HostConfig"] for box in (plain, asked)]
    finally:
        client.close()
    assert configured[0] == configured[1]
    assert configured[1]["Privileged"] is False
    assert configured[1]["NetworkMode"] == "none"
    assert configured[1]["Binds"] is None


async def test_no_process_of_a_closed_sandbox_is_alive(provider: DockerProvider, owner: SandboxOwner) -> None:
    """Closing while commands run ends everything, as the host sees it."""
    before = _processes_of_commands()
    box = await provider.open(SandboxProfile(user=ATTACKER, limits=SMALL), owner)
    running = asyncio.ensure_future(box.run("for i in 1 2 3 4 5 6 7 8; do setsid sleep 100 & done; wait", timeout=30))
    while not _processes_of_commands() - before:  # the host sees them
        assert not running.done(), running.result()
        await box.run("true")
    await box.close()
    with pytest.raises(SandboxLost):
        await running
    assert _processes_of_commands() - before == set()


def _processes_of_commands() -> set[int]:
    """Return the host's processes that run as the user of commands."""
    found = set()
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == ATTACKER:
                found.add(int(entry.name))
        except FileNotFoundError:
            continue
    return found
