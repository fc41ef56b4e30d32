"""The Docker engine: every call to it goes through `Engine.send`, and only errors of assay come out."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import docker
import docker.errors
import requests
from docker.api.client import APIClient
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.context import ContextAPI

from assay.errors import AssayError, DiskFull, EngineUnavailable, ImageMissing, InfrastructureError, SandboxLost

_THREADS: Final = 16
_DOCTOR: Final = "assay doctor"
Made = TypeVar("Made")


def connect() -> APIClient:
    """Return a client for the engine that `docker` on the command line would use.

    `DOCKER_HOST` and its companions win; else the current context; else the local socket.
    """
    host = os.environ.get("DOCKER_HOST")
    context = None if host else ContextAPI.get_current_context()
    if context is None or context.name == "default":
        _probe(host or DEFAULT_UNIX_SOCKET)
        return docker.from_env().api
    _probe(str(context.Host))
    return APIClient(base_url=context.Host, tls=context.TLSConfig)


def _probe(host: str) -> None:
    """Raise OSError where nobody listens on a local socket: docker-py would leave its own half-open behind."""
    scheme, _, path = host.replace("http+unix:", "unix:").partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as attempt:
            attempt.connect("/" + path.lstrip("/"))


class Engine:
    """Calls to a Docker engine from asyncio. docker-py blocks, so they run in threads."""

    def __init__(self, connect: Callable[[], APIClient] = connect) -> None:
        self._connect = connect
        self._client: APIClient | None = None
        self._closed = False
        self._connecting = threading.Lock()
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
        if self._closed:
            raise EngineUnavailable("The connection to the engine has been closed.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._translate, method, values, named, ignore)

    def send(self, method: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Make one call, in a thread. The one place where it happens, so the one to count, fail or stop calls."""
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
        if path := getattr(getattr(self._client, "_custom_adapter", None), "socket_path", None):
            _probe(f"unix://{path}")
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

    async def chunks(self, method: str, *values: Any) -> AsyncGenerator[bytes]:
        """Make a call that answers with a stream of bytes, and yield them as they come.

        Raises what `call` raises; EngineUnavailable where the stream is cut off.
        """
        stream = await self.call(method, *values)
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[bytes] | None = None
        try:
            while True:
                coming = loop.run_in_executor(self._threads, self._next, stream)
                if not (chunk := await asyncio.shield(coming)):
                    return
                yield chunk
        finally:
            if coming is not None:  # the thread goes on, whoever still waits for it
                await asyncio.gather(coming, return_exceptions=True)
            await loop.run_in_executor(self._threads, stream.close)

    @staticmethod
    def _next(stream: Iterator[bytes]) -> bytes:
        try:
            return next(stream, b"")
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineUnavailable(f"The engine's answer was cut off ({error}).", next_step=_DOCTOR) from error

    async def attach(self, container: str) -> socket.socket:
        """Return the stream of a container's stdin, stdout and stderr, as a socket of the caller's."""
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        return await self.stream("attach_socket", container, params=parameters)

    async def execute(self, container: str, command: Sequence[str]) -> socket.socket:
        """Start a process in a container that runs, as its first process's user, and return its stream."""
        made = await self.call("exec_create", container, list(command), stdin=True, user="0:0")
        return await self.stream("exec_start", made["Id"], socket=True)

    async def stream(self, method: str, *values: Any, **named: Any) -> socket.socket:
        """Make a call that answers with a stream, and return that as a socket of the caller's."""
        return await undone_if_cancelled(self._stream(method, *values, **named), _close_socket)

    async def _stream(self, method: str, *values: Any, **named: Any) -> socket.socket:
        attached = await self.call(method, *values, **named)
        inner: socket.socket = getattr(attached, "_sock", attached)
        if type(inner) is not socket.socket:
            return inner
        try:
            return socket.socket(fileno=os.dup(inner.fileno()))
        except OSError as error:
            raise EngineUnavailable(f"The stream to the engine cannot be kept open ({error}).") from error
        finally:
            attached._response.close()
            attached.close()

    async def close(self) -> None:
        """Close the connections; calls that run are waited for."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        if self._client is not None:
            self._client.close()


async def undone_if_cancelled(making: Coroutine[Any, Any, Made], undo: Callable[[Made], Awaitable[None]]) -> Made:
    """Return what `making` returns. When the caller is cancelled, wait for it and undo it.

    A call to the engine goes on in its thread, whoever still waits for it: what it made would be nobody's.
    """
    task = asyncio.ensure_future(making)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled() and task.exception() is None:
            await undo(task.result())
        raise


async def _close_socket(connection: socket.socket) -> None:
    connection.close()


def _translate_answer(method: str, error: docker.errors.APIError) -> AssayError:
    said = error.explanation or str(error)
    if "no space left on device" in said.lower():
        return DiskFull(f"The Docker engine has no space left ({said}).", next_step="assay prune")
    if isinstance(error, docker.errors.ImageNotFound):
        return ImageMissing(f"The engine does not have the image ({said}).")
    if error.status_code == 404:
        return SandboxLost(f"The container is gone ({said}).")
    return InfrastructureError(f"The Docker engine refused {method!r}: {said}", next_step=_DOCTOR)
