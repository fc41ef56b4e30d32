"""Inspect's Docker sandbox: `docker compose` for each step."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from inspect_ai.util._concurrency import init_concurrency
from inspect_ai.util._sandbox.docker.cleanup import project_cleanup_startup
from inspect_ai.util._sandbox.docker.docker import DockerSandboxEnvironment
from inspect_ai.util._subprocess import init_max_subprocesses
from measuring import Peer, main

COMPOSE = """services:
  default:
    image: {image}
    x-local: true
    command: sleep infinity
    init: true
    network_mode: none
    stop_grace_period: 1s
"""
TASK = "benchmark"


class Inspect:
    """One sample's environment, with the steps that its task takes once done before."""

    def __init__(self, image: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name, "compose.yaml")
        self._file.write_text(COMPOSE.format(image=image))
        self._environments: Any = None
        project_cleanup_startup()

    async def start(self) -> None:
        self._environments = await DockerSandboxEnvironment.sample_init(TASK, str(self._file), {})

    async def run(self, script: str) -> str:
        done = await self._environments["default"].exec(["sh", "-c", script])
        if not done.success:
            raise RuntimeError(f"{script!r} failed: {done}")
        return str(done.stdout)

    async def close(self) -> None:
        await DockerSandboxEnvironment.sample_cleanup(TASK, str(self._file), self._environments, False)
        self._folder.cleanup()


def make(image: str) -> Peer:
    """Return a sandbox that is not started."""
    init_concurrency()
    init_max_subprocesses(4)
    return Inspect(image)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    how = "compose with init, no network"
    if sys.argv.pop() == "stand-in":
        how += "; a stand-in for compose v2, which this machine lacks: each step is one `docker` command"
        os.environ["PATH"] = f"{Path(__file__).parent / 'stand_in'}:{os.environ['PATH']}"
    main("Inspect", importlib.metadata.version("inspect_ai"), how, make)
