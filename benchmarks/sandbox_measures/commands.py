"""Round trips of commands, much output, and whether a thousand commands leave anything behind."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import docker
from benchmarks.sandbox_measures.tables import Table, milliseconds, ratio

from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox

OWNER = SandboxOwner(run="benchmark", role="benchmark")
MEGABYTE = 1_000_000
COMMANDS = 1000
BARE = ("-I", "-S", "-c")
"""Without what an environment's packages do at every start."""
SLOW_EVERY = 10
"""docker-py's exec is fifty times slower: it takes part in every tenth round."""


def time_host(argv: Sequence[str]) -> float:
    """Return the seconds that a command takes on the host, its output read through pipes."""
    began = time.perf_counter()
    subprocess.run(argv, capture_output=True, check=True)
    return time.perf_counter() - began


async def time_of(work: Awaitable[Any]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


class RawExec:
    """A container of docker-py's own, and commands in it by exec."""

    def __init__(self, image: str) -> None:
        self._client = docker.from_env()
        self._container: Any = self._client.containers.run(
            image, ["sleep", "infinity"], detach=True, network_mode="none", init=True
        )

    def time(self, argv: list[str]) -> float:
        """Return the seconds of one command."""
        began = time.perf_counter()
        self._container.exec_run(argv)
        return time.perf_counter() - began

    def close(self) -> None:
        """Remove it."""
        self._container.remove(force=True)
        self._client.close()


async def measure(image: str, *, rounds: int) -> list[Table]:
    """Return the tables of commands."""
    raw = RawExec(image)
    try:
        async with DockerProvider() as provider, await provider.open(SandboxProfile(image=image), OWNER) as sandbox:
            return [
                await _round_trips(sandbox, raw, rounds),
                await _output(sandbox, raw, max(10, rounds // 5)),
                await _drift(provider, sandbox),
            ]
    finally:
        raw.close()


async def _round_trips(sandbox: Sandbox, raw: RawExec, rounds: int) -> Table:
    argv = ["true"]
    floor, ours, slow, beside = [], [], [], []
    for number in range(rounds):
        floor.append(time_host(argv))
        ours.append(await time_of(sandbox.run(argv)))
        if number % SLOW_EVERY == 0:
            slow.append(await asyncio.to_thread(raw.time, argv))
            beside.append(ours[-1])
    table = Table(f"Round trip of `true`, medians of {rounds}", ["", "ms", "to the floor"])
    table.add("fork and exec on the host", f"{milliseconds(floor):.2f}", "1")
    table.add("assay", f"{milliseconds(ours):.2f}", table.goal(ratio(ours, floor), 1.6, "times"))
    table.add("docker-py exec", f"{milliseconds(slow):.1f}", f"{milliseconds(slow) / milliseconds(floor):.0f} times")
    faster = ratio(slow, beside)
    table.missed += faster < 30
    table.notes.append(f"assay is {faster:.0f} times as fast as docker-py's exec (goal: 30).")
    return table


async def _output(sandbox: Sandbox, raw: RawExec, rounds: int) -> Table:
    """Time three ways of printing a megabyte: a file, numbers, and a program."""
    table = Table(
        f"1 MB of output, medians of {rounds}", ["", "host, ms", "assay, ms", "to the floor", "docker-py exec, ms"]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(os.urandom(MEGABYTE // 2).hex().encode())
        await sandbox.write("/tmp/file", path.read_bytes())
        raw.time(["sh", "-c", f"head -c {MEGABYTE} /dev/zero > /tmp/file"])
        cat, numbers = ["cat", "/tmp/file"], ["seq", "1", "165000"]
        program = "for n in range(20000): print(n, 'a line of some output of a program, of usual length')"
        ways = {
            "`cat` of a file": (["cat", str(path)], cat),
            "`seq`": (numbers, numbers),
            "a Python program": ([sys.executable, *BARE, program], ["python3", *BARE, program]),
        }
        for name, (there, here) in ways.items():
            floor, ours, slow = [], [], []
            for number in range(rounds):
                floor.append(time_host(there))
                ours.append(await time_of(sandbox.run(here)))
                if number % SLOW_EVERY == 0:
                    slow.append(await asyncio.to_thread(raw.time, here))
            cells = (
                f"{milliseconds(floor):.2f}",
                f"{milliseconds(ours):.2f}",
                table.goal(ratio(ours, floor), 1.5, "times"),
            )
            table.add(name, *cells, f"{milliseconds(slow):.0f}")
    return table


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_of(container: str) -> int:
    """Return the bytes that a container is charged for, its kernel's share included."""
    client = docker.from_env()
    try:
        stats: dict[str, Any] = client.api.stats(container, stream=False, one_shot=True)
        return int(stats["memory_stats"]["usage"])
    finally:
        client.close()


async def _drift(provider: DockerProvider, sandbox: Sandbox) -> Table:
    """Run a thousand commands, and compare the first with the last."""
    before, inside = resident(), await asyncio.to_thread(memory_of, sandbox.id)
    times, floor = array("d"), array("d")  # lists of floats would be what grows
    for _ in range(COMMANDS):
        times.append(await time_of(sandbox.run(["true"])))
        floor.append(time_host(["true"]))
    after, inside_after = resident(), await asyncio.to_thread(memory_of, sandbox.id)
    ratios = [one / other for one, other in zip(times, floor, strict=True)]
    first, last = statistics.median(ratios[:100]), statistics.median(ratios[-100:])
    table = Table(f"{COMMANDS} commands in one sandbox", ["", "first hundred", "last hundred", "drift"])
    table.add("round trip, to the floor", f"{first:.2f}", f"{last:.2f}", table.goal(last / first, 1.25, "times"))
    table.add("our process, MB", f"{before / 1e6:.1f}", f"{after / 1e6:.1f}", f"{(after - before) / 1e3:+.0f} KB")
    table.add(
        "container, MB", f"{inside / 1e6:.1f}", f"{inside_after / 1e6:.1f}", f"{(inside_after - inside) / 1e3:+.0f} KB"
    )
    return table
