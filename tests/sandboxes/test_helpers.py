"""The supervisor's helpers, which serve one command after the other."""

from __future__ import annotations

import asyncio
import statistics

import pytest

from assay.records.sandboxes import Exited
from assay.sandboxes.protocol import Sandbox

pytestmark = pytest.mark.docker


PARENT = ["sh", "-c", "echo $PPID"]


async def test_a_helper_serves_short_commands_one_after_the_other(sandbox: Sandbox) -> None:
    """The helper of a short command waits for the next one; that of one with input, which may be left, does not."""
    parents = [b""]
    while len(parents) < 200 and parents[-1] not in parents[:-1]:
        parents.append((await sandbox.run(PARENT)).stdout.data)
    assert parents[-1] in parents[:-1]
    await sandbox.run(["sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do printf %9999s; done; exit 3"], output_limit=2000)
    after = await sandbox.run(PARENT)
    assert (after.ending, after.stderr.length, after.report.length) == (Exited(code=0), 0, 0)
    assert after.stdout.data.strip().isdigit()
    fed = (await sandbox.run(PARENT, stdin=bytes(200_000))).stdout.data
    assert (await sandbox.run(PARENT)).stdout.data != fed


async def test_a_kill_that_comes_late_is_not_the_next_commands(sandbox: Sandbox) -> None:
    """A command that is cancelled while it ends takes none of those that follow with it."""
    for number in range(150):
        await sandbox.run(["true"])
        cancelled = asyncio.ensure_future(sandbox.run(["true"]))
        await asyncio.wait((cancelled,), timeout=number % 50 / 10_000)
        cancelled.cancel()
        await asyncio.wait((cancelled,))
        assert (await sandbox.run(["true"])).ending == Exited(code=0)


async def test_cpu_time_is_of_one_command(sandbox: Sandbox) -> None:
    """What commands before it used is not counted again."""
    used = [(await sandbox.run(["true"])).cpu_seconds for _ in range(60)]
    assert statistics.median(used[-5:]) < 5 * statistics.median(used[:5])
