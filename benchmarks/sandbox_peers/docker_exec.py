"""Plain docker-py, and the `docker` command: create, start, exec, remove by force."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import docker
from docker.types import HostConfig, LogConfig
from measuring import Peer, main

WAIT = ["sleep", "infinity"]
HOST = HostConfig(version="1.41", network_mode="none", log_config=LogConfig(type="none", config={}))


class DockerPy:
    """The low-level client of docker-py, its connection kept."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._client: Any = docker.from_env().api
        self._id = ""

    async def start(self) -> None:
        self._id = self._client.create_container(self._image, WAIT, host_config=HOST)["Id"]
        self._client.start(self._id)

    async def run(self, script: str) -> str:
        made = self._client.exec_create(self._id, ["sh", "-c", script])["Id"]
        said: bytes = self._client.exec_start(made)
        if self._client.exec_inspect(made)["ExitCode"] != 0:
            raise RuntimeError(f"{script!r} failed: {said!r}")
        return said.decode()

    async def close(self) -> None:
        self._client.remove_container(self._id, force=True)
        self._client.close()


class DockerCommand:
    """The `docker` command, a process for each step."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._id = ""

    @staticmethod
    def _docker(*arguments: str) -> str:
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout

    async def start(self) -> None:
        options = ["--rm", "--network", "none", "--log-driver", "none"]
        self._id = (await asyncio.to_thread(self._docker, "run", "-d", *options, self._image, *WAIT)).strip()

    async def run(self, script: str) -> str:
        return self._docker("exec", self._id, "sh", "-c", script)

    async def close(self) -> None:
        self._docker("rm", "-f", self._id)


def make_command(image: str) -> Peer:
    """Return a sandbox of the `docker` command."""
    return DockerCommand(image)


def make_client(image: str) -> Peer:
    """Return a sandbox of docker-py."""
    return DockerPy(image)


if __name__ == "__main__":
    if sys.argv.pop() == "command":
        said = subprocess.run(
            ["docker", "version", "-f", "{{.Client.Version}}"], check=True, capture_output=True, text=True
        )
        main("docker exec (command line)", said.stdout.strip(), "sleep as first process, no network", make_command)
    else:
        main("docker-py exec", docker.__version__, "low-level client, connection kept, no network", make_client)
