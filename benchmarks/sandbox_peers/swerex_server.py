"""SWE-ReX: a web server in the container; one command a request, or lines typed into a session of bash."""

from __future__ import annotations

import importlib.metadata
import logging
import shlex
import sys
from typing import Any

from measuring import Peer, main
from swerex.deployment.docker import DockerDeployment
from swerex.runtime.abstract import BashAction, Command, CreateBashSessionRequest


class OneShot:
    """`runtime.execute`."""

    def __init__(self, image: str) -> None:
        self._deployment: Any = DockerDeployment(image=image, pull="never", docker_args=["--network", sys.argv[3]])

    async def start(self) -> None:
        await self._deployment.start()

    async def run(self, script: str) -> str:
        done = await self._deployment.runtime.execute(Command(command=shlex.split(script), shell=False))
        if done.exit_code != 0:
            raise RuntimeError(f"{script!r} failed: {done}")
        return str(done.stdout)

    async def close(self) -> None:
        await self._deployment.stop()


class Session(OneShot):
    """`runtime.run_in_session`."""

    async def start(self) -> None:
        await super().start()
        await self._deployment.runtime.create_session(CreateBashSessionRequest())

    async def run(self, script: str) -> str:
        done = await self._deployment.runtime.run_in_session(BashAction(command=script))
        if done.exit_code != 0:
            raise RuntimeError(f"{script!r} failed: {done}")
        return str(done.output)


def make_one_shot(image: str) -> Peer:
    """Return a sandbox that executes each command apart."""
    return OneShot(image)


def make_session(image: str) -> Peer:
    """Return a sandbox with one session."""
    return Session(image)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    session = sys.argv.pop() == "session"
    name = f"SWE-ReX {'session' if session else 'one-shot'}"
    version = importlib.metadata.version("swe-rex")
    main(
        name,
        version,
        "its server in the image, a network bound to loopback",
        make_session if session else make_one_shot,
    )
