"""The Docker engine: every call to it goes through `Engine.send`, and only errors of assay come out."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import docker
import docker.errors
import requests
from docker.api.client import APIClient
from docker.context import ContextAPI

from assay.errors import AssayError, DiskFull, EngineUnavailable, ImageMissing, InfrastructureError, SandboxLost

_THREADS: Final = 16
_DOCTOR: Final = "assay doctor"


def connect() -> APIClient:
    """Return a client for the engine that `docker` on the command line would use.

    `DOCKER_HOST` and its companions win; else the current context; else the local socket.
    """
    if not os.environ.get("DOCKER_HOST"):
        context = ContextAPI.get_current_context()
        if getattr(context, "name", "default") != "default":  # None where the configured context does not exist
            return APIClient(base_url=context.Host, tls=context.TLSConfig)
    return docker.from_env().api


class Engine:
    """Calls to a Docker engine from asyncio. docker-py blocks, so they run in threads."""

    def __init__(self, connect: Callable[[], APIClient] = connect) -> None:
        self._connect = connect
        self._client: APIClient | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="assay-engine")

    async def call(self, method: str, *values: Any, ignore: Collection[int] = (), **named: Any) -> Any:
        """Call a method of docker-py's `APIClient` and return what it returns.

        Args:
            method: name of the method.
            values: its positional arguments.
            ignore: HTTP statuses that are as good as success; the answer is then None.
            named: its named arguments.

        Raises EngineUnavailable, ImageMissing, SandboxLost (no such container), DiskFull, InfrastructureError.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._translate, method, values, named, ignore)

    def send(self, method: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Make one call, in a thread. The one place where it happens, so the one to count, fail or stop calls."""
        if self._client is None:
            self._client = self._connect()
        return getattr(self._client, method)(*values, **named)

    def _translate(self, method: str, values: tuple[Any, ...], named: dict[str, Any], ignore: Collection[int]) -> Any:
        try:
            return self.send(method, values, named)
        except docker.errors.APIError as error:
            if error.status_code in ignore:
                return None
            raise _translate_answer(method, error) from error
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineUnavailable(f"No Docker engine answers ({error}).", next_step=_DOCTOR) from error

    async def attach(self, container: str) -> socket.socket:
        """Return the stream of a container's stdin, stdout and stderr, as a socket of the caller's."""
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached = await self.call("attach_socket", container, params=parameters)
        inner: socket.socket = getattr(attached, "_sock", attached)
        if type(inner) is not socket.socket:
            return inner
        own = socket.socket(fileno=os.dup(inner.fileno()))
        attached._response.close()
        attached.close()
        return own

    async def close(self) -> None:
        """Close the connections; calls that run are waited for."""
        if self._client is not None:
            self._client.close()
        await asyncio.to_thread(self._threads.shutdown, wait=True)


def _translate_answer(method: str, error: docker.errors.APIError) -> AssayError:
    said = error.explanation or str(error)
    if "no space left on device" in said.lower():
        return DiskFull(f"The Docker engine has no space left ({said}).", next_step="assay prune")
    if isinstance(error, docker.errors.ImageNotFound):
        return ImageMissing(f"The engine does not have the image ({said}).")
    if error.status_code == 404:
        return SandboxLost(f"The container is gone ({said}).")
    return InfrastructureError(f"The Docker engine refused {method!r}: {said}", next_step=_DOCTOR)
