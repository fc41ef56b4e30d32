"""What a hundred sandboxes hold that do nothing."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time

from benchmarks.sandbox_measures.commands import OWNER, memory_of, resident
from benchmarks.sandbox_measures.tables import Table

from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.docker import DockerProvider

IDLE = 100
AT_ONCE = 4


async def measure(image: str) -> list[Table]:
    """Return the table of a hundred idle sandboxes."""
    profile = SandboxProfile(image=image)
    async with DockerProvider() as provider:
        async with await provider.open(profile, OWNER) as first:
            await first.run(["true"])
        gc.collect()
        before, began = resident(), time.perf_counter()
        turns = asyncio.Semaphore(AT_ONCE)

        async def open_one() -> str:
            async with turns:
                sandbox = await provider.open(profile, OWNER)
                await sandbox.run(["true"])
                return sandbox.id

        ids = await asyncio.gather(*(open_one() for _ in range(IDLE)))
        opened = time.perf_counter() - began
        gc.collect()
        ours = (resident() - before) / IDLE / 1e6
        inside = [await asyncio.to_thread(memory_of, container) / 1e6 for container in ids[::10]]
        began = time.perf_counter()
    closed = time.perf_counter() - began
    table = Table(f"{IDLE} idle sandboxes at once, each after one command", ["", "MB"])
    table.add("our process, each", table.goal(ours, 1.0, "MB"))
    table.add(
        "container, each (its control group, the kernel's share included)",
        table.goal(statistics.median(inside), 6.0, "MB"),
    )
    table.notes.append(
        f"Opened in {opened:.1f} s, {AT_ONCE} at a time; all gone {closed:.1f} s after the provider was closed."
    )
    return [table]
