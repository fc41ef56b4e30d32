"""Where image builds keep things outside the engine: a cache, with one build at a time in it, and the lock file."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.errors import DiskFull

Progress = Callable[[str], None]
"""Told one line about each long step, before it starts."""

_WORK = "building-"


@dataclass(frozen=True, kw_only=True)
class BuildPlaces:
    """Where a build keeps what outlives it."""

    cache: Path
    """Directory for root file systems; everything in it can be made again."""
    lock: Path
    """`images.lock.json`: which digest each base image's tag was resolved to."""

    @asynccontextmanager
    async def one_builder(self, progress: Progress) -> AsyncIterator[None]:
        """Wait until no other process builds with this cache, then keep others out.

        The kernel lets go of the lock when its holder dies. Whoever holds it owns every working
        directory in the cache, so that those of killed builds are removed here.
        """
        with disk_full_named(self.cache):
            self.cache.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            waiting = False
            while not _try_lock(descriptor):
                if not waiting:
                    progress("waiting for another process that builds an image")
                waiting = True
                await asyncio.sleep(0.2)
            for left in self.cache.glob(_WORK + "*"):
                progress(f"removing what a killed build left: {left}")
                await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)

    def debs(self) -> Path:
        """Return the directory of fetched packages, which the builds of all images share; only inside `one_builder`."""
        path = (self.cache / "debs").absolute()
        with disk_full_named(self.cache):
            path.mkdir(exist_ok=True)
        return path

    def note_use(self, tag: str) -> None:
        """Remember that an image was used now, so that `prune` can tell which ones nobody needs any more."""
        with disk_full_named(self.cache):
            uses = self.cache / "uses"
            uses.mkdir(parents=True, exist_ok=True)
            (uses / tag.replace("/", "_")).touch()

    def last_use(self, tag: str) -> float:
        """Return when an image was used last from this cache, seconds since 1970; 0 where that is not known."""
        try:
            return (self.cache / "uses" / tag.replace("/", "_")).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def sweep(self, *, recipes_kept: Collection[str]) -> None:
        """Delete packages, and root file systems of other recipes (`NAME-KEY`); only inside `one_builder`."""
        shutil.rmtree(self.cache / "debs", ignore_errors=True)
        for archive in self.cache.glob("*.tar.gz*"):
            if archive.name.partition(".tar.gz")[0] not in recipes_kept:
                archive.unlink(missing_ok=True)

    @contextmanager
    def working_directory(self) -> Iterator[Path]:
        """Yield an empty directory in the cache, removed at the end; only inside `one_builder`."""
        with disk_full_named(self.cache):
            path = Path(tempfile.mkdtemp(prefix=_WORK, dir=self.cache))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def disk_full_named(place: Path) -> Iterator[None]:
    """Turn the operating system's "no space" into `DiskFull`, naming the place."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise disk_full(str(place)) from error


def disk_full(place: str) -> DiskFull:
    """Return the error for a place, a directory or "the engine", that has no room left."""
    return DiskFull(
        f"no space left in {place}",
        next_step="free some space (`docker system prune`, `assay prune`), then build the image again",
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
