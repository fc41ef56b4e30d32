"""LangChain's ShellToolMiddleware with DockerExecutionPolicy: one shell in a container, over pipes.

The session is driven as the middleware's own tool drives it, without a model and an agent around it.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

from langchain.agents.middleware import DockerExecutionPolicy, ShellToolMiddleware
from measuring import Peer, main

SECONDS = 30.0


class Shell:
    """The session of one middleware."""

    def __init__(self, image: str) -> None:
        policy = DockerExecutionPolicy(image=image)
        self._middleware: Any = ShellToolMiddleware(execution_policy=policy, shell_command=("/bin/sh",))
        self._resources: Any = None

    async def start(self) -> None:
        self._resources = self._middleware._create_resources()

    async def run(self, script: str) -> str:
        done = self._resources.session.execute(script, timeout=SECONDS)
        if done.exit_code != 0:
            raise RuntimeError(f"{script!r} failed: {done}")
        return str(done.output)

    async def close(self) -> None:
        self._resources.finalizer()


def make(image: str) -> Peer:
    """Return a sandbox that is not started."""
    return Shell(image)


if __name__ == "__main__":
    version = importlib.metadata.version("langchain")
    main("LangChain shell middleware", version, "DockerExecutionPolicy, /bin/sh, no network", make)
