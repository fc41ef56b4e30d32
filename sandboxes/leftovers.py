"""What killed processes left on the engine: found by its labels, its work kept, then removed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from assay.errors import AssayError, EngineUnavailable, InfrastructureError
from assay.records.sandboxes import Image, Left, Reaped, SandboxProfile
from assay.sandboxes.channel import Channel
from assay.sandboxes.containers import START_SECONDS
from assay.sandboxes.engine import Engine
from assay.sandboxes.layers import SUPERVISOR
from assay.sandboxes.owners import LABEL, REMOVING, OwnerProcess, held_profile, is_left_over, read_owner
from assay.sandboxes.profiles import supervisor_arguments
from assay.sandboxes.protocol import WorkKeeper
from assay.sandboxes.streams import Demultiplexer, Stream, open_stream
from assay.sandboxes.supervised import SupervisedSandbox

_KEEPING_SECONDS: Final = 120.0
"""For looking through one sandbox and keeping its work."""
_GOING_SECONDS: Final = 2
"""For a container that another process removes to be gone."""
_ALIVE: Final = ("running", "paused")
"""States in which a container's files, which are in memory, are still there."""


class Leftovers:
    """Finds and removes them.

    Args:
        engine: where to look.
        remove: removes a container by its id.
    """

    def __init__(self, engine: Engine, remove: Callable[[str], Awaitable[None]]) -> None:
        self._engine = engine
        self._remove = remove
        self._process = OwnerProcess.current()

    async def reap(self, keeper: WorkKeeper | None) -> Reaped:
        """Remove what is nobody's. What holds work that `keeper` could not keep, or nobody here knows, stays."""
        listed = await self._engine.call("containers", all=True, filters={"label": LABEL})
        there = [one for one in listed if one.get("State") != REMOVING]
        dead = [one for one in there if is_left_over(one.get("Labels") or {}, self._process)]
        found = await asyncio.gather(*(self._reap_one(one, keeper) for one in dead))
        return Reaped(
            removed=tuple(sorted(name for one in found for name in one.removed)),
            rescued=tuple(sorted(name for one in found for name in one.rescued)),
            left=tuple(left for one in found for left in one.left),
        )

    async def _reap_one(self, listed: dict[str, Any], keeper: WorkKeeper | None) -> Reaped:
        container, labels = str(listed["Id"]), listed["Labels"]
        short = container[:12]
        name = str((listed.get("Names") or [""])[0])
        owner = read_owner(labels, name)
        rescued = False
        try:
            profile = held_profile(labels, name)
            if profile is not None and listed.get("State") in _ALIVE:
                if keeper is None or not await keeper.knows(owner):
                    return Reaped()
                async with asyncio.timeout(_KEEPING_SECONDS):
                    async with await self._open_beside(container, profile, str(listed.get("ImageID", ""))) as sandbox:
                        await keeper.keep(owner, sandbox)
                rescued = True
            await self._remove(container)
        except TimeoutError:
            reason = f"looking through it took more than {_KEEPING_SECONDS:g} s"
            return Reaped(left=(Left(id=short, run=owner.run, reason=reason),))
        except (AssayError, ValueError) as error:
            if isinstance(error, InfrastructureError) and await self._is_going(container):
                return Reaped()
            return Reaped(left=(Left(id=short, run=owner.run, reason=str(error)),))
        return Reaped(removed=(short,), rescued=(short,) if rescued else ())

    async def _is_going(self, container: str) -> bool:
        """Whether a container has ended or ends in a moment: another process may look after leftovers, too."""
        try:
            await self._engine.call("wait", container, timeout=_GOING_SECONDS, condition="not-running", ignore=(404,))
        except EngineUnavailable:  # it runs on, or the engine misses to tell
            pass
        except InfrastructureError:  # it says something else than that it waits
            return False
        else:
            return True
        try:
            return await self._engine.call("inspect_container", container, ignore=(404,)) is None
        except InfrastructureError:
            return False

    async def _open_beside(self, container: str, profile: SandboxProfile, image: str) -> SupervisedSandbox:
        """Start a second supervisor beside the first, whose host is gone. It kills what runs, and serves files."""
        seconds = 2 * _KEEPING_SECONDS
        arguments = supervisor_arguments(profile, lifetime=seconds, patience=seconds)
        connection = await self._engine.execute(container, [SUPERVISOR, *arguments])
        opened: list[Stream] = []

        def write(data: bytes) -> None:
            opened[0].write(data)

        channel = Channel(write)
        demultiplexer = Demultiplexer()
        demultiplexer.deliver_to(channel)  # before the stream is read: it says hello at once
        opened.append(await open_stream(connection, demultiplexer))

        async def leave() -> None:
            opened[0].close()

        async def refuse() -> None:
            raise InfrastructureError("The sandbox of a dead process can be looked through, and nothing else.")

        sandbox = SupervisedSandbox(
            container[:12], Image(name=profile.image, id=image), profile, channel, {}, leave, refuse, used=True
        )
        try:
            await channel.greet(START_SECONDS)
        except AssayError:
            await sandbox.close()
            raise
        return sandbox
