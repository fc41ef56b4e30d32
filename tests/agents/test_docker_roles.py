"""Roles on real Docker: the same agent, real files, real commands, and nothing of one role in another's box."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import docker as engine
import pytest
from tests.agents.bench import RUN, SUBMIT, Bench, execute, script, write

from assay.agents.protocol import Finished
from assay.records.entries import EntryKind
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Filling
from assay.sandboxes.supervised import SupervisedSandbox

pytestmark = pytest.mark.docker

TOKEN = "planted-c81e728d"
TEST = "from calc import add\n\n\ndef test_sum():\n    assert add(2, 3) == 5  # " + TOKEN + "\n"


@pytest.fixture
async def docker() -> AsyncIterator[DockerProvider]:
    """Docker."""
    async with DockerProvider() as provider:
        yield provider


async def test_a_tester_and_a_coder_on_real_docker(bench: Bench, docker: DockerProvider) -> None:
    """The tester's held-out test fails, the coder mends the code, and no search in its box finds the token."""
    bench.configure("tester")
    stated = {"id": "test_sum.py::test_sum", "requirement": "R1", "fails_because": "it subtracts", "held_out": True}
    tester = bench.task("tester")
    turns = script(
        "tester",
        {"call": {"write_file": {"file_path": "/held_out/test_sum.py", "content": TEST}}},
        {"expect": "wrote", **execute("python -m pytest -q -p no:cacheprovider --rootdir /held_out /held_out")},
        {"expect": "1 failed", "call": {"submit_tests": {"statement": "s", "tests": [stated]}}},
    )
    done = await bench.agent(turns, tester, sandboxes=docker).advance({})
    assert isinstance(done, Finished) and done.held_out is not None
    assert TOKEN.encode() in (await bench.files(done.held_out))["test_sum.py"]

    search = execute(f"grep -rIl {TOKEN[:7]}-{TOKEN[8:]} / --exclude-dir=proc --exclude-dir=sys; echo searched")
    for attempt in (1, 2):
        task = bench.task(attempt=attempt)
        turns = script(
            "coder",
            {"call": {"edit_file": {"file_path": "/workspace/calc.py", "old_string": "a - b", "new_string": "a + b"}}},
            search,
            {"expect": "searched\n[stderr]", **execute("git diff --stat; ls -A /; ls -A /tmp")},
            {"expect": ["calc.py | 2 +-", "workspace"], **SUBMIT},
        )
        coded = await bench.agent(turns, task, sandboxes=docker).advance({})
        assert isinstance(coded, Finished)
        assert b"a + b" in (await bench.files(coded.tree))["calc.py"]
        lines = bench.transcript(task).read_text().splitlines()
        found = next(line for line in lines if "searched" in line and '"result"' in line)
        assert "/workspace" not in found and "/tmp" not in found and "held_out" not in found


async def test_the_search_for_the_token_would_find_it(bench: Bench, docker: DockerProvider) -> None:
    """Negative control: where the token is in the box, the same search finds it."""
    turns = script(
        "coder",
        write("calc.py", f"# {TOKEN}\n"),
        execute(f"grep -rIl {TOKEN} / --exclude-dir=proc --exclude-dir=sys"),
        {"expect": "/workspace/calc.py", **SUBMIT},
    )
    assert isinstance(await bench.agent(turns, sandboxes=docker).advance({}), Finished)


async def test_a_container_that_is_killed_costs_only_the_call(bench: Bench) -> None:
    """The engine takes the container away in the middle of a command; the role goes on in another."""
    client = engine.from_env()
    turns = script(
        "coder",
        write("calc.py", "kept = 1\n"),
        execute("cat calc.py; sleep 1; echo whole"),
        {"expect": ["kept = 1", "whole"], **SUBMIT},
    )
    containers: list[str] = []

    class Killing(DockerProvider):
        """Kills the first container as soon as the command runs in it."""

        async def open(
            self, profile: SandboxProfile, owner: SandboxOwner, filling: Filling | None = None
        ) -> SupervisedSandbox:
            sandbox = await super().open(profile, owner, filling)
            containers.append(sandbox.id)
            if len(containers) == 1:
                asyncio.get_running_loop().create_task(self.kill(sandbox))
            return sandbox

        async def kill(self, sandbox: SupervisedSandbox) -> None:
            while not any("sleep" in process.command for process in await sandbox.processes()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asyncio.to_thread(client.containers.get(sandbox.id).kill)

    async with Killing() as killing:
        done = await bench.agent(turns, sandboxes=killing).advance({})
    client.close()
    assert isinstance(done, Finished)
    assert len(containers) == 2
    assert [e.body["outcome"] for e in await bench.entries(EntryKind.TOOL_CALLED)] == ["ok", "ok", "submitted"]
    assert await bench.git.ref(f"refs/assay/runs/{RUN}/wip/add.coder.1") == done.tree
