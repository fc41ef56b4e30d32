"""What a stronger runtime costs: the same work under runc and under gVisor, on an engine of this program's own.

`python -m benchmarks.runtimes` prints a table: medians over rounds in which the runtimes take turns, and the ratio.
Needs root, dockerd, the image `python`, and the `runsc` that `scripts/setup.sh test` unpacks; touches no other engine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import platformdirs
from docker.api.client import APIClient
from tests.own_engines import own_engine

from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.engine import Engine
from assay.sandboxes.supervised import SupervisedSandbox

RUNTIMES = ("runc", "runsc")
OWNER = SandboxOwner(run="benchmark", role="benchmark")
SUITE = "\n".join(f"def test_{number}(): assert {number} + 1" for number in range(200)).encode()
FILES = 500
FILE = b"x" * 10_000


class Blobs(dict[str, bytes]):
    """Contents of a tree."""

    def read(self, oid: str) -> bytes:
        """Return one."""
        return self[oid]


def make_tree() -> tuple[dict[str, TreeFile], Blobs]:
    """Return a tree of files, 5 MB together, with a suite of 200 tests in it."""
    files = {f"data/{number}": FILE + str(number).encode() for number in range(FILES)} | {"test_suite.py": SUITE}
    blobs = Blobs({blob_id(data): data for data in files.values()})
    return {path: TreeFile(REGULAR, blob_id(data)) for path, data in files.items()}, blobs


async def timed(work: Awaitable[object]) -> float:
    """Return the milliseconds that something takes."""
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1e3


async def measure(provider: DockerProvider, runtime: str) -> dict[str, float]:
    """Return the milliseconds of each step in one fresh sandbox."""
    taken: dict[str, float] = {}
    began = time.perf_counter()
    box: SupervisedSandbox = await provider.open(SandboxProfile(image="python", runtime=runtime), OWNER)
    await box.run(["true"])
    taken["cold start to the first command's end"] = (time.perf_counter() - began) * 1e3
    tree, blobs = make_tree()
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "`true`": lambda: box.run(["true"]),
        f"a tree of {FILES} files, 5 MB, put": lambda: box.put_tree(tree, blobs),
        "200 tests with pytest": lambda: box.run(["python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]),
        "the tree taken after a command": box.take_tree,
        "`git init` and a commit of the tree": lambda: box.run(
            "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
        ),
        "a loop in Python, a million times": lambda: box.run(["python3", "-c", "for i in range(1_000_000): pass"]),
    }
    for name, step in steps.items():
        taken[name] = await timed(step())
    taken["closed, and gone"] = await timed(box.close())
    return taken


async def compare(host: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return by runtime and step the milliseconds of each round; the first does not count."""
    times: dict[str, dict[str, list[float]]] = {runtime: {} for runtime in RUNTIMES}
    async with DockerProvider(Engine(lambda: APIClient(base_url=host, version="auto"))) as provider:
        for number in range(rounds + 1):
            for runtime in RUNTIMES:
                for name, taken in (await measure(provider, runtime)).items():
                    if number:
                        times[runtime].setdefault(name, []).append(taken)
    return times


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="sandboxes of each runtime")
    arguments = parser.parse_args()
    unpacked = platformdirs.user_cache_path("assay") / "runsc" / "usr" / "bin" / "runsc"
    program = str(unpacked) if unpacked.exists() else shutil.which("runsc")
    if program is None:
        print("there is no runsc here: scripts/setup.sh test unpacks one")
        return 3
    configuration = {"runtimes": {"runsc": {"path": program, "runtimeArgs": ["--network=none"]}}}
    with own_engine("runtimes", configuration) as engine:
        times = asyncio.run(compare(engine.host, arguments.rounds))
    print(f"{arguments.rounds} sandboxes of each, in turns; {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"{'':42} {'runc':>9} {'runsc':>9} {'ratio':>7}")
    for name in times["runc"]:
        plain, strong = (statistics.median(times[runtime][name]) for runtime in RUNTIMES)
        print(f"{name:42} {plain:6.0f} ms {strong:6.0f} ms {strong / plain:6.1f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
