"""A ledger that tells a listener of every entry: what people watch is what is recorded, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assay.records.entries import Entry, EntryKind
from assay.store.forwarding import ForwardingLedger
from assay.store.protocol import Ledger, NewEntry

Listener = Callable[[Entry], None]


class ObservedLedger(ForwardingLedger):
    """Wraps a ledger; entries that were there already are not told of again."""

    def __init__(self, ledger: Ledger, listener: Listener) -> None:
        super().__init__(ledger)
        self._listener = listener
        self._seen: dict[str, int] = {}

    async def append_all(
        self, run: str, make: Callable[[], Sequence[NewEntry]], *, recoverable: bool = False
    ) -> tuple[Entry, ...]:
        """Append entries, and tell of those that are new."""
        entries = await super().append_all(run, make, recoverable=recoverable)
        for entry in entries:
            if entry.seq > self._seen.get(run, 0):
                self._seen[run] = entry.seq
                self._listener(entry)
        return entries

    async def entries(self, run: str, *, kinds: Sequence[EntryKind] = (), after: int = 0) -> tuple[Entry, ...]:
        """Return a run's entries."""
        entries = await super().entries(run, kinds=kinds, after=after)
        if entries and not kinds:
            self._seen[run] = max(self._seen.get(run, 0), entries[-1].seq)
        return entries
