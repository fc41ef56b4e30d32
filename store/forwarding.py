"""A ledger in front of another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assay.records.entries import Entry, EntryKind
from assay.store.protocol import Ledger, NewEntry


class ForwardingLedger(Ledger):
    """Hands everything on to another ledger; a subclass changes what it is about, and nothing else."""

    def __init__(self, ledger: Ledger) -> None:
        """Name the ledger behind."""
        self._ledger = ledger

    async def append_all(
        self, run: str, make: Callable[[], Sequence[NewEntry]], *, recoverable: bool = False
    ) -> tuple[Entry, ...]:
        """Append several entries at once; every append comes by here."""
        return await self._ledger.append_all(run, make, recoverable=recoverable)

    async def find(self, run: str, key: str) -> Entry | None:
        """Return the entry with this key, or None."""
        return await self._ledger.find(run, key)

    async def entries(self, run: str, *, kinds: Sequence[EntryKind] = (), after: int = 0) -> tuple[Entry, ...]:
        """Return a run's entries."""
        return await self._ledger.entries(run, kinds=kinds, after=after)

    async def runs(self) -> tuple[str, ...]:
        """Return the ids of all runs."""
        return await self._ledger.runs()

    async def verify(self, run: str) -> None:
        """Recompute the chain."""
        await self._ledger.verify(run)

    async def forget(self, run: str) -> None:
        """Delete a run's entries."""
        await self._ledger.forget(run)
