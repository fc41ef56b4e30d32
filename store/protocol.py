"""What the store is to the rest of assay. Everything here is durable when the call returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue

from assay.records.entries import Entry, EntryKind


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What an entry is to say; see `Entry`."""

    kind: EntryKind
    key: str
    body: dict[str, JsonValue] = field(default_factory=dict)
    unit: str | None = None
    role: str | None = None


class Ledger(Protocol):
    """The append-only, hash-chained record of runs."""

    async def append(
        self,
        run: str,
        kind: EntryKind,
        key: str,
        body: dict[str, JsonValue] | None = None,
        *,
        unit: str | None = None,
        role: str | None = None,
    ) -> Entry:
        """Append one entry, or return the one that has this key already: what is done twice counts once.

        Processes that append to one run at the same time get one chain; that a run is advanced by
        one of them only is the business of the run's lock. `at` never precedes that of the entry before.
        Secrets in `body` are replaced before it is written; the entry returned is the one that was written.
        """
        new = NewEntry(kind, key, body or {}, unit, role)
        return (await self.append_all(run, lambda: (new,)))[0]

    async def append_all(
        self,
        run: str,
        make: Callable[[], Sequence[NewEntry]],
        *,
        recoverable: bool = False,
    ) -> tuple[Entry, ...]:
        """Append several entries at once, each as `append` does.

        Args:
            run: the run.
            make: called in a thread, returns the entries in their order. What must be durable before they are is
                written there; what it raises is raised here, and nothing is appended.
            recoverable: what `make` wrote tells again what the entries say. Then they survive a kill like any
                other, and a loss of power only once a later entry that is not recoverable has been appended.
        """
        ...

    async def find(self, run: str, key: str) -> Entry | None:
        """Return the entry with this key, or None."""
        ...

    async def entries(self, run: str, *, kinds: Sequence[EntryKind] = (), after: int = 0) -> tuple[Entry, ...]:
        """Return a run's entries in order, of these kinds where any are named, with `seq` above `after`."""
        ...

    async def runs(self) -> tuple[str, ...]:
        """Return the ids of all runs, newest first."""
        ...

    async def verify(self, run: str) -> None:
        """Recompute the chain; raises StoreCorrupt naming the first entry that does not fit."""
        ...

    async def forget(self, run: str) -> None:
        """Delete a run's entries."""
        ...


class Blobs(Protocol):
    """Bytes by their digest."""

    async def put(self, data: bytes) -> str:
        """Keep `data` and return its `sha256:…`. Keeping the same bytes twice is one blob."""
        ...

    async def get(self, digest: str) -> bytes:
        """Return the bytes; raises StoreCorrupt when they are missing or do not fit the digest."""
        ...


class Clock(Protocol):
    """Where dates come from, so that a replay can give the old ones."""

    def now(self) -> datetime:
        """Return the time, with zone."""
        ...
