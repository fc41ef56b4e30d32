"""Sandboxes on a Docker engine: one container each, made by docker-py, served over its attached stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

import structlog

from assay.errors import AssayError, SandboxRefused
from assay.records.sandboxes import Image, Reaped, SandboxOwner, SandboxProfile
from assay.sandboxes.containers import Containers, Started
from assay.sandboxes.egress.ways import WaysOut
from assay.sandboxes.engine import Engine
from assay.sandboxes.frames import Refusal
from assay.sandboxes.images.catalog import image_from
from assay.sandboxes.leftovers import Leftovers
from assay.sandboxes.owners import WARM, name_in_use, name_with_work
from assay.sandboxes.packing import Packed
from assay.sandboxes.pool import MOST_SECONDS, WarmPool
from assay.sandboxes.profiles import base_environment, check_profile, has_own_kernel
from assay.sandboxes.protocol import Filling, WorkKeeper
from assay.sandboxes.supervised import SupervisedSandbox
from assay.sandboxes.transfer import TreeTransfer

_LIFETIME: Final = 24 * 3600.0
_PATIENCE: Final = 3600.0

_log = structlog.get_logger(__name__)


class DockerProvider:
    """Implements `SandboxProvider` on the engine that the environment names.

    Args:
        engine: where to make containers.
        lifetime: seconds after which a sandbox ends by itself, and counts as left over even if its owner lives.
        patience: seconds for which a sandbox that holds work waits for somebody to keep it when its owner was killed.
        shelf_life: seconds for which a sandbox that was prepared may wait to be opened.
        ways_out: opens the ways out that profiles grant; without it, such a profile is refused.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        lifetime: float = _LIFETIME,
        patience: float = _PATIENCE,
        shelf_life: float = MOST_SECONDS,
        ways_out: WaysOut | None = None,
    ) -> None:
        self._engine = engine if engine is not None else Engine()
        self._containers = Containers(self._engine, lifetime=lifetime, patience=patience)
        self._pool = WarmPool(self._start_unowned, self._containers.end, most_seconds=shelf_life)
        self._leftovers = Leftovers(self._engine, self._containers.remove)
        self._ways_out = ways_out
        self._open: dict[str, SupervisedSandbox] = {}
        self._renaming: dict[str, asyncio.Task[None]] = {}

    async def image(self, profile: SandboxProfile) -> Image:
        """Return the image that a profile means now; raises ImageMissing, EngineUnavailable."""
        return image_from(await self._containers.inspect(profile.image))

    def prepare(self, profile: SandboxProfile, count: int, filling: Filling | None = None) -> None:
        """Start so many sandboxes ahead, a few at a time, and fill them; see `SandboxProvider.prepare`."""
        self._pool.promise(profile, count, filling)

    async def open(
        self, profile: SandboxProfile, owner: SandboxOwner, filling: Filling | None = None
    ) -> SupervisedSandbox:
        """Return a fresh sandbox; raises SandboxRefused, ImageMissing, EngineUnavailable, DiskFull, SandboxLost.

        Where one was prepared that fits, it is that one. What holds work never is: it is labelled with whose it is.
        """
        check_profile(profile)
        if profile.egress.granted and self._ways_out is None:
            raise SandboxRefused(
                "The profile grants a way out, and this provider has none: nobody would be told of what is asked.",
                next_step="give DockerProvider its ways_out, or take `egress` out of the profile",
            )
        packing = None
        if filling is not None and not self._pool.has(profile, filling):  # it is packed while the sandbox starts
            packing = asyncio.ensure_future(asyncio.to_thread(Packed, filling.tree, filling.contents))
            packing.add_done_callback(_look_at)
        sandbox = self._hand_out(await self._start(profile, owner, filling), profile)
        try:
            if filling is not None:  # which takes no time where it was put ahead
                packed = await packing if packing is not None else None
                await sandbox.put_tree(filling.tree, filling.contents, root=filling.root, packed=packed)
            if profile.egress.granted and self._ways_out is not None:
                await sandbox.let_out(self._ways_out, owner)
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    async def _start(self, profile: SandboxProfile, owner: SandboxOwner, filling: Filling | None) -> Started:
        if owner.commit is not None:
            return await self._containers.start(await self._containers.inspect(profile.image), profile, owner)
        started = None if filling is None else await self._take(profile, filling)
        if started is None:
            started = await self._take(profile, None)
        if started is None:
            image = await self._containers.inspect(profile.image)
            started = await self._containers.start(image, profile, owner)
        else:
            renaming = asyncio.get_running_loop().create_task(self._rename(started, owner), name="assay-rename")
            self._renaming[started.id] = renaming
        if profile.warm:
            self._pool.keep(profile, profile.warm)
        return started

    async def _take(self, profile: SandboxProfile, filling: Filling | None) -> Started | None:
        """Return one that was prepared, on the image that the profile means now."""
        if not self._pool.has(profile, filling):
            return None
        named_by_id = profile.image.startswith("sha256:")
        image = profile.image if named_by_id else str((await self._containers.inspect(profile.image))["Id"])
        return await self._pool.take(profile, image, filling)

    async def _start_unowned(self, profile: SandboxProfile, filling: Filling | None) -> Started:
        check_profile(profile)
        started = await self._containers.start(await self._containers.inspect(profile.image), profile, WARM)
        if filling is None:
            return started
        transfer = TreeTransfer(started.channel, profile)
        try:
            await transfer.put(filling.tree, filling.contents, filling.root)
        except BaseException as error:
            await self._containers.end(started)
            if isinstance(error, (Refusal, OSError, ValueError, LookupError)):  # whoever opens it meets the same
                raise SandboxRefused(f"A tree cannot be put ahead ({error}).") from error
            raise
        return replace(started, transfer=transfer)

    async def _rename(self, started: Started, owner: SandboxOwner) -> None:
        try:
            await self._containers.rename(started, name_in_use(owner))
        except AssayError as error:  # it is for people who look at the engine's list, and nothing rests on it
            _log.info("not_renamed", container=started.name, reason=error.message)

    def _hand_out(self, started: Started, profile: SandboxProfile) -> SupervisedSandbox:
        async def remove() -> None:
            try:
                # An engine that renames what it is just removing lists it for ever as being removed.
                if (renaming := self._renaming.pop(started.id, None)) is not None:
                    await asyncio.wait((renaming,))
                await self._containers.end(started)
            finally:
                self._open.pop(started.id, None)

        async def hold() -> None:
            await self._containers.rename(started, name_with_work(started.name))

        async def ran_out_of_memory() -> bool:
            return await self._containers.ran_out_of_memory(started)

        sandbox = SupervisedSandbox(
            started.id[:12],
            image_from(started.image),
            profile,
            started.channel,
            base_environment(_environment_of(started.image), profile),
            remove,
            hold,
            transfer=started.transfer,
            ran_out_of_memory=ran_out_of_memory if has_own_kernel(profile) else None,
        )
        self._open[started.id] = sandbox
        return sandbox

    async def reap(self, keeper: WorkKeeper | None = None) -> Reaped:
        """Remove the sandboxes whose owner process is dead or whose time is over; see `SandboxProvider.reap`."""
        return await self._leftovers.reap(keeper)

    async def close(self) -> None:
        """Close every sandbox that is still open or was prepared, and the connection."""
        results = await asyncio.gather(
            self._pool.close(), *(box.close() for box in list(self._open.values())), return_exceptions=True
        )
        await self._containers.close()
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


def _look_at(packing: asyncio.Future[Packed]) -> None:
    """Take note of an error that nobody waits for where the sandbox did not start."""
    if not packing.cancelled():
        packing.exception()


def _environment_of(image: dict[str, Any]) -> Mapping[str, str]:
    variables = (image.get("Config") or {}).get("Env") or []
    return dict(variable.split("=", 1) for variable in variables if "=" in variable)
