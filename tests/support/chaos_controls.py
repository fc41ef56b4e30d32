"""What is broken on purpose, to see that the chaos tests notice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal
from unittest import mock

from assay.errors import RepositoryError
from assay.records.entries import Entry
from assay.store.forwarding import ForwardingLedger
from assay.store.git import GitStore
from assay.store.protocol import Ledger, NewEntry
from assay.store.redaction import Redact
from assay.store.transcripts import Transcript

Break = Literal["ledger without keys", "delivery that does not look", "transcripts that are not kept"]


class _LedgerWithoutKeys(ForwardingLedger):
    """Writes what it is told, whether it was told before or not."""

    async def append_all(
        self, run: str, make: Callable[[], Sequence[NewEntry]], *, recoverable: bool = False
    ) -> tuple[Entry, ...]:
        made = [replace(entry, key=await self._free(run, entry.key)) for entry in await asyncio.to_thread(make)]
        return await super().append_all(run, lambda: made, recoverable=recoverable)

    async def _free(self, run: str, key: str) -> str:
        while await self.find(run, key) is not None:
            key += "'"
        return key


def wrapped(ledger: Ledger, what: Break | None) -> Ledger:
    """Return the ledger, broken as asked."""
    return _LedgerWithoutKeys(ledger) if what == "ledger without keys" else ledger


@contextmanager
def patched(what: Break | None) -> Iterator[None]:
    """Break what is no ledger, as asked."""
    match what:
        case "delivery that does not look":
            with mock.patch.object(GitStore, "deliver", _without_looking(GitStore.deliver)):
                yield
        case "transcripts that are not kept":
            with mock.patch.object(Transcript, "open", _from_nothing(Transcript.open)):
                yield
        case _:
            yield


def _without_looking(deliver: Callable[[GitStore, str, Path, str], Awaitable[None]]) -> object:
    async def without_looking(self: GitStore, commit: str, repo: Path, branch: str) -> None:
        if await self.branch_exists(repo, branch):
            raise RepositoryError(f"the branch {branch} is there already")
        await deliver(self, commit, repo, branch)

    return without_looking


def _from_nothing(open_one: Callable[..., Awaitable[Transcript]]) -> object:
    async def from_nothing(path: Path, *, redact: Redact | None = None) -> Transcript:
        path.unlink(missing_ok=True)
        return await open_one(path, redact=redact)

    return from_nothing
