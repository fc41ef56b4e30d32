"""A ledger that tells a listener of every entry: what people watch is what is recorded, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from assay.records.entries import Entry, EntryKind
from assay.store.protocol import Ledger, NewEntry

Listener = Callable[[Entry], None]


class ObservedLedger:
    """Wraps a ledger; entries that were there already are not told of again."""

    def __init__(self, ledger: Ledger, listener: Listener) -> None:
        self._ledger, self._listener = ledger, listener
        self._seen: dict[str, int] = {}

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
        """Append an entry, and tell of it where it is new."""
        entry = await self._ledger.append(run, kind, key, body, unit=unit, role=role)
        self._tell(run, entry)
        return entry

    async def append_all(
        self, run: str, make: Callable[[], Sequence[NewEntry]], *, recoverable: bool = False
    ) -> tuple[Entry, ...]:
        """Append several entries at once, and tell of those that are new."""
        entries = await self._ledger.append_all(run, make, recoverable=recoverable)
        for entry in entries:
            self._tell(run, entry)
        return entries

    def _tell(self, run: str, entry: Entry) -> None:
        if entry.seq > self._seen.get(run, 0):
            self._seen[run] = entry.seq
            self._listener(entry)

    async def find(self, run: str, key: str) -> Entry | None:
        """Return the entry with this key, or None."""
        return await self._ledger.find(run, key)

    async def entries(self, run: str, *, kinds: Sequence[EntryKind] = (), after: int = 0) -> tuple[Entry, ...]:
        """Return a run's entries."""
        entries = await self._ledger.entries(run, kinds=kinds, after=after)
        if entries and not kinds:
            self._seen[run] = max(self._seen.get(run, 0), entries[-1].seq)
        return entries

    async def runs(self) -> tuple[str, ...]:
        """Return the ids of all runs."""
        return await self._ledger.runs()

    async def verify(self, run: str) -> None:
        """Recompute the chain."""
        await self._ledger.verify(run)

    async def forget(self, run: str) -> None:
        """Delete a run's entries."""
        await self._ledger.forget(run)
