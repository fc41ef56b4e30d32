"""Sandboxes on a Docker engine: one container each, made by docker-py, served over its attached stream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from docker.types import HostConfig

from assay.errors import EngineUnavailable, ImageMissing
from assay.records.sandboxes import Image, SandboxOwner, SandboxProfile
from assay.sandboxes.channel import Channel
from assay.sandboxes.engine import Engine, undone_if_cancelled
from assay.sandboxes.images.catalog import image_from
from assay.sandboxes.images.recipes import repository
from assay.sandboxes.layers import SUPERVISOR, SupervisorLayers
from assay.sandboxes.owners import LABEL, OwnerProcess, is_left_over, make_labels
from assay.sandboxes.profiles import base_environment, check_profile, host_options, supervisor_arguments
from assay.sandboxes.protocol import WORKSPACE
from assay.sandboxes.streams import Demultiplexer, open_stream
from assay.sandboxes.supervised import SupervisedSandbox

_LIFETIME: Final = 24 * 3600.0
_START_SECONDS: Final = 30.0
_GONE: Final = (404, 409)
"""Removing what is gone, or what is being removed already, is as good as done."""


class DockerProvider:
    """Implements `SandboxProvider` on the engine that the environment names.

    Args:
        engine: where to make containers.
        lifetime: seconds after which a sandbox ends by itself, and counts as left over even if its owner lives.
    """

    def __init__(self, engine: Engine | None = None, *, lifetime: float = _LIFETIME) -> None:
        self._engine = engine if engine is not None else Engine()
        self._layers = SupervisorLayers(self._engine)
        self._lifetime = lifetime
        self._process = OwnerProcess.current()
        self._open: dict[str, SupervisedSandbox] = {}

    async def image(self, profile: SandboxProfile) -> Image:
        """Return the image that a profile means now; raises ImageMissing, EngineUnavailable."""
        return image_from(await self._inspect(profile.image))

    async def _inspect(self, name: str) -> dict[str, Any]:
        reference = name if any(mark in name for mark in ":/@") else f"{repository(name)}:latest"
        try:
            found: dict[str, Any] = await self._engine.call("inspect_image", reference)
        except ImageMissing as error:
            step = f"assay sandbox build {name}" if reference != name else f"make {name!r} known to the engine"
            raise ImageMissing(f"The engine does not have the image {reference!r}.", next_step=step) from error
        return found

    async def open(self, profile: SandboxProfile, owner: SandboxOwner) -> SupervisedSandbox:
        """Return a fresh sandbox; raises SandboxRefused, ImageMissing, EngineUnavailable, DiskFull, SandboxLost."""
        check_profile(profile)
        base = await self._inspect(profile.image)
        container = await undone_if_cancelled(self._create(base, profile, owner), self._remove)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._remove, container)
            demultiplexer = Demultiplexer()
            stream = await open_stream(await self._engine.attach(container), demultiplexer)
            undo.callback(stream.close)
            channel = Channel(stream.write)
            demultiplexer.deliver_to(channel)
            await self._engine.call("start", container)
            await channel.greet(_START_SECONDS)
            undo.pop_all()

        async def remove() -> None:
            stream.close()
            self._open.pop(container, None)
            await self._remove(container)

        sandbox = SupervisedSandbox(
            container[:12],
            image_from(base),
            profile,
            channel,
            base_environment(_environment_of(base), profile),
            remove,
        )
        self._open[container] = sandbox
        return sandbox

    async def _create(self, base: dict[str, Any], profile: SandboxProfile, owner: SandboxOwner) -> str:
        try:
            return await self._create_from(await self._layers.image_on(base), profile, owner)
        except ImageMissing:  # somebody pruned it since
            self._layers.forget(base)
            return await self._create_from(await self._layers.image_on(base), profile, owner)

    async def _create_from(self, image: str, profile: SandboxProfile, owner: SandboxOwner) -> str:
        created = await self._engine.call(
            "create_container",
            image,
            command=supervisor_arguments(profile, lifetime=self._lifetime),
            entrypoint=[SUPERVISOR],
            user="0:0",
            hostname="sandbox",
            working_dir=WORKSPACE,
            environment={},
            labels=make_labels(owner, self._process, lifetime=self._lifetime),
            stdin_open=True,
            detach=False,
            healthcheck={"test": ["NONE"]},
            name=f"assay-{_plain(owner.role)}-{secrets.token_hex(6)}",
            host_config=HostConfig(version="1.41", **host_options(profile)),
        )
        return str(created["Id"])

    async def _remove(self, container: str) -> None:
        try:
            await self._engine.call("remove_container", container, force=True, v=True, ignore=_GONE)
        except EngineUnavailable:
            return  # the container ends with its stream, and the engine or the next reap removes it

    async def reap(self) -> tuple[str, ...]:
        """Remove the sandboxes whose owner process is dead or whose time is over, and return their ids."""
        listed = await self._engine.call("containers", all=True, filters={"label": LABEL})
        dead = [one["Id"] for one in listed if is_left_over(one.get("Labels") or {}, self._process)]
        await asyncio.gather(*(self._remove(container) for container in dead))
        return tuple(sorted(container[:12] for container in dead))

    async def close(self) -> None:
        """Close every sandbox that is still open, and the connection."""
        results = await asyncio.gather(*(box.close() for box in list(self._open.values())), return_exceptions=True)
        await self._engine.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _environment_of(image: dict[str, Any]) -> Mapping[str, str]:
    variables = (image.get("Config") or {}).get("Env") or []
    return dict(variable.split("=", 1) for variable in variables if "=" in variable)


def _plain(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)[:30] or "sandbox"
