"""What is deleted, and when: runs that are over, what only they needed, and what dead processes left behind."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from assay.app.manifests import entries_of
from assay.app.service import Assay
from assay.app.shells import forget_dead_shells
from assay.app.statuses import LIFE
from assay.app.wiring import House
from assay.errors import EngineUnavailable, RunError
from assay.records.base import canonical_json
from assay.records.entries import Entry, EntryKind
from assay.store.blobs import FileBlobs

_GRACE: Final = timedelta(days=1)
"""A blob that was kept more recently stays: whoever kept it may not have recorded it yet."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go."""

    runs: tuple[str, ...]
    bytes: int
    """Of the runs' own files, of blobs that nothing else needs, and what the databases and the git store shrank by."""
    sandboxes: tuple[str, ...]


async def prune(assay: Assay, *, older_than: timedelta, run: str | None = None, dry: bool = False) -> Pruned:
    """Delete runs that ended, and checks that were made, longer ago than `older_than`, or the one that is named.

    A run that is not over is never deleted by age; `assay cancel` ends it first. With a run go its
    transcripts, its report, its checkpoints, its refs and its ledger entries, in this order, so that
    a prune that is interrupted can be repeated; then the blobs to which no other run leads. Git's objects go
    two weeks later, with the first prune after that.

    Raises RunError for a named run that is unknown, not over, or advanced by another process.
    """
    house = assay.house
    gone = [run] if run else []
    if run:
        if _end(await entries_of(house.ledger, run)) is None:
            raise RunError(f"run {run} is not over", next_step=f"`assay cancel {run}` ends it")
    else:
        for name in await house.ledger.runs():
            ended = _end(await house.ledger.entries(name))
            if ended is not None and house.clock.now() - ended.at >= older_than:
                gone.append(name)
    size = sum(house.state.size_of_run(name) for name in gone)
    if dry:
        return Pruned(tuple(gone), size + await _sweep_blobs(house, without=gone, dry=True), ())
    for name in gone:
        await _forget(house, name)
    await forget_dead_shells(house.git)
    size += await _sweep_blobs(house, without=(), dry=False)
    if gone:
        databases = (house.state.ledger, house.state.checkpoints)
        size += await asyncio.to_thread(lambda: sum(_compact(path) for path in databases))
        before = await asyncio.to_thread(_size, house.state.git)
        await house.git.collect_garbage()
        size += max(0, before - await asyncio.to_thread(_size, house.state.git))
    try:
        sandboxes = (await house.reap()).removed
    except EngineUnavailable:
        sandboxes = ()  # without an engine there are none, and runs can be deleted all the same
    return Pruned(tuple(gone), size, sandboxes)


async def _forget(house: House, run: str) -> None:
    with house.state.lock_run(run):
        house.state.prune_run(run)
        await (await house.checkpointer()).adelete_thread(run)
        for kind in ("runs", "checks", "rescued"):
            await house.git.delete_refs(f"refs/assay/{kind}/{run}/")
        await house.ledger.forget(run)


async def _sweep_blobs(house: House, *, without: Collection[str], dry: bool) -> int:
    """Delete the blobs that no ledger entry leads to, and return their bytes.

    What a run that is not over keeps between two entries, the ledger may not name yet: nothing goes that was kept
    since the oldest of those began.
    """
    if not isinstance(house.blobs, FileBlobs):
        return 0  # a host's own blobs are the host's to keep or delete
    before = house.clock.now() - _GRACE
    wanted: set[str] = set()
    for name in set(await house.ledger.runs()) - set(without):
        entries = await house.ledger.entries(name)
        for entry in entries:
            wanted.update(_DIGEST.findall(canonical_json(entry.body).decode()))
        if _end(entries) is None and entries:
            before = min(before, entries[0].at)
    return await house.blobs.sweep(wanted, before=before.timestamp(), dry=dry)


def _end(entries: tuple[Entry, ...]) -> Entry | None:
    """Return the entry with which a run ended, or the last of a check; None for what is not over."""
    over = [entry for entry in entries if entry.kind is EntryKind.RUN_ENDED]
    if over:
        return over[-1]
    return entries[-1] if entries and not any(entry.kind in LIFE for entry in entries) else None


def _compact(path: Path) -> int:
    """Give the free pages of a SQLite file back to the disk where nobody else is at it; return the bytes."""
    if not path.exists():
        return 0
    before = _size(path.parent, f"{path.name}*")
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:
            return 0  # busy, or no room for the copy that this takes: the pages are used again later
    return max(0, before - _size(path.parent, f"{path.name}*"))


def _size(directory: Path, pattern: str = "**/*") -> int:
    return sum(path.lstat().st_size for path in directory.glob(pattern) if path.is_file())
