"""The steps that every peer is timed in. Standard library only: each peer has an interpreter of its own.

A peer's script calls `main` with a function that makes a `Peer`. It is run as `python PEER.py IMAGE ROUNDS` and prints
one line of JSON, the last of its output.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

MARK = "ready"
TRIPS = 30
"""Round trips of `true` that are timed in each round."""
HUNDRED = 100
_PAUSE = 0.002
_PATIENCE = 60.0


class Peer(Protocol):
    """One sandbox of some library."""

    async def start(self) -> None:
        """Make it ready for commands."""
        ...

    async def run(self, script: str) -> str:
        """Run a line of shell and return its stdout; raise where it failed."""
        ...

    async def close(self) -> None:
        """Get rid of it."""
        ...


class _EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's local socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))


def list_containers() -> set[str]:
    """Return the ids of all containers of the engine, running or not."""
    connection = _EngineConnection("localhost")
    try:
        connection.request("GET", "/containers/json?all=1")
        return {container["Id"] for container in json.load(connection.getresponse())}
    finally:
        connection.close()


async def time_round(make: Callable[[], Peer]) -> dict[str, Any]:
    """Return the seconds of each step of one sandbox's life."""
    before = list_containers()
    peer = make()
    began = time.perf_counter()
    await peer.start()
    said = await peer.run(f"echo {MARK}")
    cold = time.perf_counter() - began
    if said.strip() != MARK:
        raise RuntimeError(f"`echo {MARK}` printed {said!r}")
    mine = list_containers() - before
    trips = []
    for _ in range(TRIPS):
        began = time.perf_counter()
        await peer.run("true")
        trips.append(time.perf_counter() - began)
    began = time.perf_counter()
    for number in range(HUNDRED):
        if (await peer.run(f"echo {number}")).strip() != str(number):
            raise RuntimeError("a command printed what it should not")
    hundred = time.perf_counter() - began
    began = time.perf_counter()
    await peer.close()
    while list_containers() & mine:
        if time.perf_counter() - began > _PATIENCE:
            raise RuntimeError(f"its container is still there {_PATIENCE:g} s after it was closed")
        await asyncio.sleep(_PAUSE)
    gone = time.perf_counter() - began
    return {"cold": cold, "true": statistics.median(trips), "hundred": hundred, "gone": gone}


async def _time_rounds(make: Callable[[], Peer], rounds: int) -> list[dict[str, Any]]:
    return [await time_round(make) for _ in range(rounds)]


def main(name: str, version: str, configuration: str, make: Callable[[str], Peer]) -> None:
    """Time a peer on the image that the command line names, and print what came out."""
    image, rounds = sys.argv[1], int(sys.argv[2])
    measured = asyncio.run(_time_rounds(lambda: make(image), rounds))
    answer = {"name": name, "version": version, "configuration": configuration, "rounds": measured}
    sys.stdout.write(json.dumps(answer) + "\n")
