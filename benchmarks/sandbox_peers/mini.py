"""mini-swe-agent: `docker exec` for each command."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import sys
from typing import Any

from measuring import Peer, main
from minisweagent.environments.docker import DockerEnvironment

RUN = ["--rm", "--init", "--network", "none"]
"""`--init`, since `sleep` as first process does not hear the signal to stop: closing takes ten seconds without."""
INTERPRETER = ["sh", "-c"]


class Mini:
    """One `DockerEnvironment`."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._box: Any = None

    async def start(self) -> None:
        make = DockerEnvironment
        self._box = await asyncio.to_thread(make, image=self._image, run_args=RUN, interpreter=INTERPRETER)

    async def run(self, script: str) -> str:
        done = self._box.execute({"command": script})
        if done["returncode"] != 0:
            raise RuntimeError(f"{script!r} failed: {done}")
        return str(done["output"])

    async def close(self) -> None:
        self._box.cleanup()
        self._box.container_id = None  # it would clean up once more when it is collected


def make(image: str) -> Peer:
    """Return a sandbox that is not started."""
    return Mini(image)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main(
        "mini-swe-agent", importlib.metadata.version("mini-swe-agent"), "interpreter sh -c, --init --network none", make
    )
