"""What the proof does by the dozen: a clean sandbox, a tree at a commit, tests, their results, closed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.sandbox_measures.commands import OWNER
from benchmarks.sandbox_measures.tables import Table, milliseconds, ratio
from benchmarks.sandbox_measures.trees import Blobs, make_tree

from assay.records.sandboxes import SandboxProfile
from assay.records.trees import TreeFile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Filling

TESTS = 200
PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
REFILL_SECONDS = 1.0
"""For the pool to have the next one ready: the machine has to be quiet when the next round begins."""


def make_project(files: int, size: int) -> tuple[dict[str, TreeFile], Blobs]:
    """Return a tree with trivial tests, and other files beside."""
    tree, blobs = make_tree(files, size)
    text = "".join(f"def test_{number}():\n    assert {number} == {number}\n\n\n" for number in range(TESTS))
    tree["tests/test_all.py"] = blobs.add(text.encode())
    return tree, blobs


async def measure(image: str, *, rounds: int) -> list[Table]:
    """Return the table of fresh sandboxes that run tests."""
    table = Table(
        f"A fresh sandbox, a tree, {TESTS} trivial tests, results, closed; medians of {rounds}",
        ["", "pytest on the host, ms", "cold, ms", "to the floor", "prepared, ms", "to the floor"],
    )
    for name, files, size in (("the tests alone", 0, 0), ("with 2,000 files, 20 MB", 2_000, 10_000)):
        tree, blobs = make_project(files, size)
        floor, cold, warm = await _time(SandboxProfile(image=image), tree, blobs, rounds)
        table.add(
            name,
            f"{milliseconds(floor):.0f}",
            f"{milliseconds(cold):.0f}",
            table.goal(ratio(cold, floor), 1.3, "times"),
            f"{milliseconds(warm):.0f}",
            table.goal(ratio(warm, floor), 1.05, "times"),
        )
    table.notes.append(
        "The host runs pytest of this interpreter, in a directory that is there; the sandbox that of its image. "
        "What is prepared is a sandbox with the tree in it; cold, neither is there."
    )
    return [table]


async def _time(
    profile: SandboxProfile, tree: dict[str, TreeFile], blobs: Blobs, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    floor, cold, warm = [], [], []
    filling = Filling(tree, blobs)
    with tempfile.TemporaryDirectory() as folder:
        for path, file in tree.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(blobs.read(file.oid))

        async def on_the_host() -> None:
            argv = [sys.executable, *PYTEST]
            subprocess.run(argv, cwd=folder, env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True)

        async with DockerProvider() as provider:

            async def in_a_sandbox() -> None:
                async with await provider.open(profile, OWNER, filling) as sandbox:
                    result = await sandbox.run(["python3", *PYTEST], env=ENVIRONMENT)
                    if f"{TESTS} passed" not in result.stdout.text:
                        raise RuntimeError(result.stdout.text + result.stderr.text)

            await in_a_sandbox()
            for _ in range(rounds):
                floor.append(await _seconds(on_the_host))
                cold.append(await _seconds(in_a_sandbox))
                provider.prepare(profile, 1, filling)
                await asyncio.sleep(REFILL_SECONDS)
                warm.append(await _seconds(in_a_sandbox))
    return floor, cold, warm


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
