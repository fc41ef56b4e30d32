"""Containers that are started before anybody asks for them, so that a fresh sandbox costs milliseconds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from assay.errors import AssayError, EngineUnavailable
from assay.records.base import digest_of
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.containers import Started
from assay.sandboxes.protocol import Filling

AHEAD: Final = 2
"""Containers that are ready for what somebody said that they will open; the next are started as these are taken.

So many of each profile, and so many with trees in them, of all trees together."""
MOST: Final = 16
"""Containers that wait at once, of all profiles together."""
MOST_MEMORY_MB: Final = 16_384
"""What those may come to use together, by their limits, MiB. While they wait they use about one each."""
MOST_SECONDS: Final = 900.0
"""After so long a container that nobody has asked for is given up, and not replaced before somebody asks."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Shelf:
    """What is ready for one profile, with one tree or none in it, and what is wanted."""

    profile: SandboxProfile
    filling: Filling | None = None
    standing: int = 0
    """Ready at any time."""
    promised: int = 0
    """Will be taken soon."""
    ready: deque[Started] = field(default_factory=deque)
    waiting: deque[asyncio.Future[Started]] = field(default_factory=deque)
    """Who gets the next ones, of those that are being started."""
    starting: int = 0

    @property
    def wanted(self) -> int:
        """How many should be ready."""
        return self.standing + min(self.promised, AHEAD)

    @property
    def in_use(self) -> bool:
        """Whether anybody wants anything of it."""
        return bool(self.wanted or self.ready or self.waiting or self.starting)

    @property
    def missing(self) -> int:
        """How many have to be started beside those that are."""
        return self.wanted + len(self.waiting) - len(self.ready) - self.starting


class WarmPool:
    """Keeps containers ready, by profile and by what they are filled with. One is given to one caller, once.

    Args:
        start: starts a container for a profile, on the image that its name means then, and fills it.
        discard: removes a container that nobody used.
        most_seconds: how long one may wait.
    """

    def __init__(
        self,
        start: Callable[[SandboxProfile, Filling | None], Awaitable[Started]],
        discard: Callable[[Started], Awaitable[None]],
        *,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._start = start
        self._discard = discard
        self._most_seconds = most_seconds
        self._shelves: dict[str, list[_Shelf]] = {}
        """By profile; those with a tree last only as long as somebody wants what is on them."""
        self._filler: asyncio.Task[None] | None = None
        self._discarding: set[asyncio.Task[None]] = set()
        self._ageing: asyncio.TimerHandle | None = None
        self._closed = False

    def keep(self, profile: SandboxProfile, count: int) -> None:
        """Have `count` containers ready from now on, beside those that are promised."""
        shelf = self._shelf(profile, None)
        if shelf.standing != count:
            shelf.standing = count
            self._settle(shelf)
        self._fill()

    def promise(self, profile: SandboxProfile, count: int, filling: Filling | None = None) -> None:
        """Say that so many more will be taken soon; where it is negative, that so many will not."""
        shelf = self._shelf(profile, filling)
        shelf.promised = max(0, shelf.promised + count)
        self._settle(shelf)
        self._fill()

    def has(self, profile: SandboxProfile, filling: Filling | None = None) -> bool:
        """Whether it is worth asking: whether any is ready, being started, or wanted."""
        shelf = self._find(profile, filling)
        return shelf is not None and bool(shelf.ready or shelf.starting or shelf.wanted)

    async def take(self, profile: SandboxProfile, image: str, filling: Filling | None = None) -> Started | None:
        """Return a container on this image that nobody has used; None where none is ready or being started."""
        shelf = self._shelf(profile, filling)
        shelf.promised = max(0, shelf.promised - 1)
        try:
            while shelf.ready:
                started = shelf.ready.popleft()
                if self._is_fresh(started, image):
                    return started
                self._throw_away(started)
            if shelf.starting <= len(shelf.waiting):
                return None
            started = await self._next(shelf)
        except AssayError:
            return None  # the caller's own attempt says why
        finally:
            self._fill()
        if self._is_fresh(started, image):
            return started
        self._throw_away(started)
        return None

    async def close(self) -> None:
        """Give up everything that is ready or being started."""
        self._closed = True
        if self._ageing is not None:
            self._ageing.cancel()
        if self._filler is not None:
            self._filler.cancel()
            await asyncio.wait((self._filler,))
        for shelf in self._all():
            shelf.standing = shelf.promised = 0
            self._settle(shelf)
        await asyncio.gather(*self._discarding)

    def _all(self) -> list[_Shelf]:
        return [shelf for shelves in self._shelves.values() for shelf in shelves]

    def _find(self, profile: SandboxProfile, filling: Filling | None) -> _Shelf | None:
        """Return the shelf where there is one; the same tree under another object is the same."""
        for shelf in self._shelves.get(_key(profile), ()):
            held = shelf.filling
            if held is filling or (held is not None and filling is not None and held.equals(filling)):
                return shelf
        return None

    def _shelf(self, profile: SandboxProfile, filling: Filling | None) -> _Shelf:
        found = self._find(profile, filling)
        if found is None:
            found = _Shelf(profile, filling)
            self._shelves.setdefault(_key(profile), []).append(found)
        return found

    def _drop_idle(self) -> None:
        """Let go of the trees of shelves that nobody wants anything of."""
        for shelves in self._shelves.values():
            shelves[:] = [shelf for shelf in shelves if shelf.filling is None or shelf.in_use]

    def _is_fresh(self, started: Started, image: str) -> bool:
        young = time.monotonic() - started.at < self._most_seconds
        return young and started.image["Id"] == image and not started.channel.lost

    async def _next(self, shelf: _Shelf) -> Started:
        """Wait for the next container that is started; raises what came in between."""
        coming: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        shelf.waiting.append(coming)
        try:
            return await coming
        except asyncio.CancelledError:
            if coming.done() and not coming.cancelled() and coming.exception() is None:
                self._throw_away(coming.result())
            raise

    def _settle(self, shelf: _Shelf) -> None:
        while len(shelf.ready) > shelf.wanted:
            self._throw_away(shelf.ready.pop())

    def _fill(self) -> None:
        self._drop_idle()
        if self._filler is None and not self._closed and self._shortest() is not None:
            self._filler = asyncio.get_running_loop().create_task(self._work(), name="assay-pool")

    def _shortest(self) -> _Shelf | None:
        """Return the shelf for which one is to be started; none where nothing is missing, or the pool is full."""
        filled = sum(len(shelf.ready) for shelf in self._all() if shelf.filling is not None)
        short = [
            shelf
            for shelf in self._all()
            if shelf.missing > 0 and (shelf.waiting or shelf.filling is None or filled < AHEAD)
        ]
        if not short:
            return None
        shelf = max(short, key=lambda one: (len(one.waiting), one.missing))
        held = [one.profile.limits.memory_mb for one in self._all() for _ in one.ready]
        room = len(held) < MOST and sum(held) + shelf.profile.limits.memory_mb <= MOST_MEMORY_MB
        return shelf if room or shelf.waiting else None

    async def _work(self) -> None:
        """Start one at a time, so that what runs is disturbed little."""
        try:
            while (shelf := self._shortest()) is not None:
                await self._add(shelf)
        except BaseException:
            for shelf in self._all():  # whoever waits starts one of their own, and meets what came
                _refuse(shelf, EngineUnavailable("Nothing more is started ahead."))
            raise
        finally:
            self._filler = None

    async def _add(self, shelf: _Shelf) -> None:
        shelf.starting += 1
        try:
            started = await self._start(shelf.profile, shelf.filling)
        except AssayError as error:
            # Whoever opens a sandbox meets the same, and reports it.
            _log.info("pool_not_filled", image=shelf.profile.image, reason=error.message)
            shelf.standing = shelf.promised = 0
            _refuse(shelf, error)
            return
        finally:
            shelf.starting -= 1
        while shelf.waiting:
            first = shelf.waiting.popleft()
            if not first.done():
                first.set_result(started)
                return
        shelf.ready.append(started)
        self._settle(shelf)
        if self._ageing is None:
            self._ageing = asyncio.get_running_loop().call_later(self._most_seconds, self._give_up_old)

    def _give_up_old(self) -> None:
        self._ageing = None
        for shelf in self._all():
            for started in [one for one in shelf.ready if not self._is_fresh(one, one.image["Id"])]:
                shelf.ready.remove(started)
                self._throw_away(started)
                shelf.promised = 0
                shelf.standing = min(shelf.standing, len(shelf.ready))
        self._drop_idle()
        left = [started.at for shelf in self._all() for started in shelf.ready]
        if left:
            seconds = max(0.0, min(left) + self._most_seconds - time.monotonic())
            self._ageing = asyncio.get_running_loop().call_later(seconds, self._give_up_old)

    def _throw_away(self, started: Started) -> None:
        async def discard() -> None:
            try:
                await self._discard(started)
            except AssayError as error:  # it ends with this process, or is found by its labels
                _log.info("pool_not_emptied", container=started.name, reason=error.message)

        task = asyncio.get_running_loop().create_task(discard(), name="assay-pool-discard")
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)


def _refuse(shelf: _Shelf, error: AssayError) -> None:
    while shelf.waiting:
        first = shelf.waiting.popleft()
        if not first.done():
            first.set_exception(error)


def _key(profile: SandboxProfile) -> str:
    """Name the containers that serve a profile: what travels with each command makes no difference to them."""
    limits = profile.limits.model_copy(update={"seconds": 1.0, "output_bytes": 1024})
    return digest_of(profile.model_copy(update={"environment": {}, "warm": 0, "limits": limits}))
