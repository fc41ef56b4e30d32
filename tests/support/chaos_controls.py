"""What is broken on purpose, to see that the chaos tests notice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from unittest import mock

from pydantic import JsonValue

from assay.errors import RepositoryError
from assay.records.entries import Entry, EntryKind
from assay.store.git import GitStore
from assay.store.protocol import Ledger, NewEntry
from assay.store.redaction import Redact
from assay.store.transcripts import Transcript

Break = Literal["ledger without keys", "delivery that does not look", "transcripts that are not kept"]


class _LedgerWithoutKeys:
    """Writes what it is told, whether it was told before or not."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

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
        taken = key
        while await self._ledger.find(run, taken) is not None:
            taken += "'"
        return await self._ledger.append(run, kind, taken, body, unit=unit, role=role)

    async def append_all(
        self, run: str, make: Callable[[], Sequence[NewEntry]], *, recoverable: bool = False
    ) -> tuple[Entry, ...]:
        made = await asyncio.to_thread(make)
        return tuple([await self.append(run, e.kind, e.key, e.body, unit=e.unit, role=e.role) for e in made])

    async def find(self, run: str, key: str) -> Entry | None:
        return await self._ledger.find(run, key)

    async def entries(self, run: str, *, kinds: Sequence[EntryKind] = (), after: int = 0) -> tuple[Entry, ...]:
        return await self._ledger.entries(run, kinds=kinds, after=after)

    async def runs(self) -> tuple[str, ...]:
        return await self._ledger.runs()

    async def verify(self, run: str) -> None:
        await self._ledger.verify(run)

    async def forget(self, run: str) -> None:
        await self._ledger.forget(run)


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
