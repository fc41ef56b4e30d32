"""Containers on an engine, from their making to their end, before anything is known of what they are used for."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from docker.types import HostConfig

from assay.errors import EngineUnavailable, ImageMissing, InfrastructureError
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.channel import Channel
from assay.sandboxes.engine import Engine, undone_if_cancelled
from assay.sandboxes.frames import Frame, encode_frame
from assay.sandboxes.images.catalog import inspect_named, knows_localhost
from assay.sandboxes.layers import SUPERVISOR, SupervisorLayers
from assay.sandboxes.owners import OwnerProcess, make_labels, make_name
from assay.sandboxes.profiles import host_options, supervisor_arguments, with_user
from assay.sandboxes.protocol import WORKSPACE
from assay.sandboxes.streams import Demultiplexer, Stream, open_stream
from assay.sandboxes.transfer import TreeTransfer
from assay.sandboxes.volumes import check_volumes

START_SECONDS: Final = 30.0
_GONE: Final = (404, 409)
"""Removing what is gone, or what is being removed already, is as good as done."""
_LEAVING_SECONDS: Final = 5
"""For a supervisor to leave, and the engine to remove what it leaves; then the engine is told to kill."""
_MOMENT: Final = 0.5
"""Seconds for which the engine is asked why a sandbox was lost."""
_TELLING_SECONDS: Final = 0.25
"""For the engine to tell that a container is removed. Docker 20.10 tells nobody who asks in the moment of its going."""
_PULSES: Final = 4
"""Times within a supervisor's patience that its host says something."""


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """A container that has said hello, and that nobody has used."""

    id: str
    name: str
    image: dict[str, Any]
    """As inspected, without the supervisor."""
    stream: Stream
    channel: Channel
    at: float
    """Seconds on the monotonic clock."""
    transfer: TreeTransfer | None = None
    """What is known of the trees in it, where somebody has put one ahead."""


class Containers:
    """Makes, starts and removes containers, and lets those that live hear from this process now and then.

    Args:
        engine: where they are made.
        lifetime: seconds after which one ends by itself.
        patience: seconds of this process's silence after which one ends by itself.
    """

    def __init__(self, engine: Engine, *, lifetime: float, patience: float) -> None:
        self._engine = engine
        self._layers = SupervisorLayers(engine)
        self._lifetime = lifetime
        self._patience = patience
        self._process = OwnerProcess.current()
        self._inspected: dict[str, dict[str, Any]] = {}
        self._living: dict[str, Started] = {}
        self._pulse: asyncio.Task[None] | None = None

    async def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine says of an image; raises ImageMissing, naming how to have it."""
        if name in self._inspected:
            return self._inspected[name]
        found = await inspect_named(self._engine, name)
        if name == found["Id"]:  # what has this id is the same for ever
            self._inspected[name] = found
        return found

    async def start(self, image: dict[str, Any], profile: SandboxProfile, owner: SandboxOwner) -> Started:
        """Return a new container on an inspected image; raises SandboxRefused for a volume that it may not read."""
        await check_volumes(self._engine, profile)
        profile = with_user(profile, str((image.get("Config") or {}).get("User") or ""))
        name = make_name(owner)
        container = await undone_if_cancelled(self._create(image, profile, owner, name), self.remove)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.remove, container)
            demultiplexer = Demultiplexer()
            stream = await open_stream(await self._engine.attach(container), demultiplexer)
            undo.callback(stream.close)
            channel = Channel(stream.write)
            demultiplexer.deliver_to(channel)
            await self._engine.call("start", container)
            await channel.greet(START_SECONDS)
            undo.pop_all()
        started = Started(container, name, image, stream, channel, time.monotonic())
        self._living[container] = started
        if self._pulse is None:
            self._pulse = asyncio.get_running_loop().create_task(self._beat(), name="assay-pulse")
        return started

    async def ran_out_of_memory(self, started: Started) -> bool:
        """Whether the engine saw a container, which is gone by now, use up its memory. Asked for at most a moment."""
        now = int(time.time()) + 1
        since = now - int(time.monotonic() - started.at) - 2
        try:
            async with asyncio.timeout(_MOMENT):
                told = await self._engine.call(
                    "events", since=since, until=now, decode=True, filters={"container": started.id, "event": "oom"}
                )
                return await asyncio.to_thread(lambda: any(True for _ in told))
        except (TimeoutError, InfrastructureError):
            return False

    async def rename(self, started: Started, name: str) -> None:
        """Give a container another name; raises EngineUnavailable, SandboxLost."""
        await self._engine.call("rename", started.id, name)

    async def end(self, started: Started) -> None:
        """End and remove a container that lives."""
        self._living.pop(started.id, None)
        # Its supervisor leaves by itself, which is quicker than an engine's killing, and the engine removes it then.
        started.stream.write(encode_frame(0, Frame.LEAVE))
        try:
            gone = await self._is_removed(started.id)
        except InfrastructureError:  # no engine answers, or it cannot say
            gone = False
        finally:
            started.stream.close()
        if not gone:
            await self.remove(started.id)

    async def _is_removed(self, container: str) -> bool:
        """Wait until the engine has removed a container that ends; it is asked anew, since it may miss to tell."""
        end = time.monotonic() + _LEAVING_SECONDS
        while time.monotonic() < end:
            with suppress(EngineUnavailable):
                await self._engine.call("wait", container, timeout=_TELLING_SECONDS, condition="removed", ignore=_GONE)
                return True
            if await self._engine.call("inspect_container", container, ignore=(404,)) is None:
                return True
        return False

    async def remove(self, container: str) -> None:
        """Remove a container, whatever it does."""
        try:
            await self._engine.call("remove_container", container, force=True, v=True, ignore=_GONE)
        except EngineUnavailable:
            return  # the container ends by itself, and the engine or the next reap removes it

    async def close(self) -> None:
        """Stop what is done in the background."""
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.wait((self._pulse,))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._patience / _PULSES)
            for started in self._living.values():
                if not started.channel.lost:
                    started.stream.write(encode_frame(0, Frame.PING))

    async def _create(self, image: dict[str, Any], profile: SandboxProfile, owner: SandboxOwner, name: str) -> str:
        try:
            return await self._create_on(image, profile, owner, name)
        except ImageMissing:  # somebody pruned the layer since
            self._layers.forget(image)
            return await self._create_on(image, profile, owner, name)

    async def _create_on(self, image: dict[str, Any], profile: SandboxProfile, owner: SandboxOwner, name: str) -> str:
        layered = await self._layers.image_on(image)
        options = host_options(profile)
        created = await self._engine.call(
            "create_container",
            layered,
            command=supervisor_arguments(profile, lifetime=self._lifetime, patience=self._patience),
            entrypoint=[SUPERVISOR],
            user="0:0",
            hostname=profile.hostname,
            working_dir=WORKSPACE,
            environment={},
            labels=make_labels(owner, self._process, lifetime=self._lifetime, profile=profile),
            stdin_open=True,
            # Attached to its owner, it ends when the owner does; detached, it waits for somebody to fetch its work.
            detach=owner.commit is not None,
            # Not even the engine's empty network: its making takes the engine as long as everything else together.
            # With it goes /etc/hosts, so only images that do without have none.
            network_disabled=options["network_mode"] == "none" and knows_localhost(image),
            healthcheck={"test": ["NONE"]},
            name=name,
            host_config=HostConfig(version="1.41", **options),
        )
        return str(created["Id"])
