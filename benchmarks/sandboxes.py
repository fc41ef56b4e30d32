"""What sandboxes cost, beside the floor and the peers, all in one run.

    python -m benchmarks.sandboxes --install-peers    # once: each peer in an environment of its own
    python -m benchmarks.sandboxes                    # everything; or name groups: commands lives trees memory proof

The floor is the same work on the host, done by Python. Raw docker-py and the `docker` command stand for what everybody
can write; the others are peers from the package index, each in its best honest configuration, which is printed.
A goal that is missed is marked, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import docker
from benchmarks.sandbox_measures import commands, lives, memory, proof, trees
from benchmarks.sandbox_measures.tables import Table

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "assay" / "peers"


def describe_machine() -> str:
    """Return what this is measured on."""
    client = docker.from_env()
    try:
        engine = client.version()["Version"]
        cgroups = client.info().get("CgroupVersion", "1")
    finally:
        client.close()
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Docker engine {engine}, cgroup v{cgroups}; load at the start {os.getloadavg()[0]:.1f}"
    )


async def measure(groups: list[str], image: str, rounds: int, cache: Path) -> int:
    """Print the tables of the groups, and return how many goals were missed."""
    measures: dict[str, Callable[[], Awaitable[list[Table]]]] = {
        "commands": lambda: commands.measure(image, rounds=rounds),
        "lives": lambda: lives.measure(image, cache, rounds=max(1, rounds // 100)),
        "trees": lambda: trees.measure(image, rounds=max(3, rounds // 30)),
        "memory": lambda: memory.measure(image),
        "proof": lambda: proof.measure(image, rounds=max(3, rounds // 60)),
    }
    missed = 0
    for group in groups or list(measures):
        for table in await measures[group]():
            print(table.render(), flush=True)
            missed += table.missed
    return missed


def main() -> int:
    """Measure, print the tables, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", choices=["commands", "lives", "trees", "memory", "proof", []])
    parser.add_argument("--image", default="assay-sandbox/python:latest")
    parser.add_argument("--rounds", type=int, default=300, help="round trips; lives and trees take fewer")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the peers' environments are")
    parser.add_argument("--install-peers", action="store_true")
    arguments = parser.parse_args()
    if arguments.install_peers:
        lives.install(arguments.cache)
        return 0
    print(describe_machine(), flush=True)
    return 1 if asyncio.run(measure(arguments.groups, arguments.image, arguments.rounds, arguments.cache)) else 0


if __name__ == "__main__":
    sys.exit(main())
