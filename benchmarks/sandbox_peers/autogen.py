"""autogen-ext: each command a file in a bound directory, executed by docker-py's exec."""

from __future__ import annotations

import importlib.metadata
import tempfile
from typing import Any

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock
from autogen_ext.code_executors.docker import DockerCommandLineCodeExecutor
from measuring import Peer, main


class Autogen:
    """One executor with a directory of its own."""

    def __init__(self, image: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._executor: Any = DockerCommandLineCodeExecutor(image=image, work_dir=self._folder.name)

    async def start(self) -> None:
        await self._executor.start()

    async def run(self, script: str) -> str:
        block = CodeBlock(code=script, language="sh")
        done = await self._executor.execute_code_blocks([block], CancellationToken())
        if done.exit_code != 0:
            raise RuntimeError(f"{script!r} failed: {done}")
        return str(done.output)

    async def close(self) -> None:
        await self._executor.stop()
        self._folder.cleanup()


def make(image: str) -> Peer:
    """Return a sandbox that is not started."""
    return Autogen(image)


if __name__ == "__main__":
    version = importlib.metadata.version("autogen-ext")
    main("autogen-ext", version, "as it comes; it has no setting for how the container stops", make)
