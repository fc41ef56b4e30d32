"""The process in a sandbox that listens: where it dies, and where something else has its port."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
import structlog
from tests.egress.servers import OWNER, Told, Web, granting, listening

from assay.errors import SandboxRefused
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.egress import WaysOut
from assay.sandboxes.protocol import Sandbox
from assay.sandboxes.supervised import SupervisedSandbox

pytestmark = pytest.mark.docker


async def test_the_helper_is_replaced_when_it_dies(provider: DockerProvider) -> None:
    """Where the process that listens dies, as when memory is short, another one takes its place."""
    async with listening(Web()) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        kill_helper(sandbox)
        assert (await sandbox.run(until_fetched(port), timeout=20)).stdout.data == b"hello\n"


def kill_helper(sandbox: Sandbox) -> None:
    """Kill the process of a sandbox's that listens, as the kernel does when memory is short."""
    top = subprocess.run(["docker", "top", sandbox.id, "-eo", "pid,uid"], capture_output=True, text=True, check=True)
    pid = next(line.split()[0] for line in top.stdout.splitlines() if line.split()[-1] == "65534")
    subprocess.run(["kill", "-KILL", pid], check=True)


def until_fetched(port: int) -> str:
    """Return a command that fetches a page as often as it takes."""
    page = f"import urllib.request as u; print(u.urlopen('http://www.test:{port}/').read().decode())"
    return f'until python3 -c "{page}" 2>/dev/null; do sleep 0.1; done'


OCCUPY = """
import pathlib, socket, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
pathlib.Path("trying").touch()
while True:
    try: listener.bind(("127.0.0.1", 3128)); break
    except OSError: pass
listener.listen()
pathlib.Path("taken").touch()
while not pathlib.Path("enough").exists(): time.sleep(0.02)
"""


async def test_a_port_that_is_taken_when_the_helper_dies(provider: DockerProvider) -> None:
    """A command that takes the port of a helper that died has it until it ends; then the way out is there again."""
    async with listening(Web()) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        with structlog.testing.capture_logs() as logs:
            occupying = asyncio.ensure_future(sandbox.run(["python3", "-c", OCCUPY]))
            assert (await sandbox.run("until [ -e trying ]; do sleep 0.05; done", timeout=20)).ok
            kill_helper(sandbox)
            assert (await sandbox.run("until [ -e taken ]; do sleep 0.05; done; sleep 1", timeout=20)).ok
            await sandbox.write("enough", b"")
            assert (await occupying).ok
            assert (await sandbox.run(until_fetched(port), timeout=20)).stdout.data == b"hello\n"
    assert [(log["event"], log["reason"]) for log in logs] == [("way_out_not_reopened", "Address already in use")]


async def test_a_port_that_is_taken(provider: DockerProvider, told: Told) -> None:
    """Where something listens on the port already, there is no second way out, and the error says why."""
    async with await provider.open(granting("www.test:443"), OWNER) as sandbox:
        assert isinstance(sandbox, SupervisedSandbox)
        with pytest.raises(SandboxRefused, match="cannot open: Address already in use"):
            await sandbox.let_out(WaysOut(told.of_sandbox), OWNER)
