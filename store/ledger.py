"""The ledger in one SQLite file: append-only, hash-chained, idempotent by key."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import structlog
from pydantic import ValidationError

from assay.errors import DiskFull, InfrastructureError, StoreCorrupt
from assay.records.base import canonical_json, digest_of_bytes
from assay.records.entries import Entry, EntryKind
from assay.store.batches import Batches
from assay.store.files import is_full
from assay.store.protocol import Clock, Ledger, NewEntry
from assay.store.redaction import Redact

_Result = TypeVar("_Result")
_Row = tuple[str, int, str, str, str | None, str | None, str, str, str, str]

_VERSION: Final = 1
_BEGINNING: Final = digest_of_bytes(b"")
_BUSY_SECONDS: Final = 30.0
_COLUMNS: Final = "run, seq, kind, key, unit, role, body, at, previous, digest"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    unit TEXT,
    role TEXT,
    body TEXT NOT NULL,
    at TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (run, seq),
    UNIQUE (run, key)
);
CREATE INDEX IF NOT EXISTS beginnings ON entries (at) WHERE seq = 1;
"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Appending:
    """One call of `append_all`."""

    run: str
    make: Callable[[], Sequence[NewEntry]]
    recoverable: bool


class SqliteLedger(Ledger):
    """A `Ledger` in the file at `path`, which is created where it does not exist.

    One thread owns the connection. Several processes may append to one file, and to one run: each
    append reads the end of the chain inside its own write transaction, so a chain never forks.
    """

    def __init__(self, path: Path, clock: Clock, *, redact: Redact | None = None) -> None:
        """Name the file; nothing is opened before the first use.

        Args:
            path: the SQLite file; its directory exists.
            clock: where the entries' times come from.
            redact: applied to each body before it is written.
        """
        self._path = path
        self._clock = clock
        self._redact = redact
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._appending = Batches(self._thread, self._append_all)
        self._connection: sqlite3.Connection | None = None
        self._flushes = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the file. Closing twice is fine."""
        await asyncio.to_thread(self._close)

    async def append_all(
        self,
        run: str,
        make: Callable[[], Sequence[NewEntry]],
        *,
        recoverable: bool = False,
    ) -> tuple[Entry, ...]:
        """Append several entries at once; see `Ledger.append_all`. They are made in the ledger's own thread: to go
        from one thread to another and back takes longer than a flush.

        An entry's time is the clock's, but never before that of the entry before it: the order is `seq`,
        and a clock that was set back must not tell another story. What is waited for at the same time is
        committed together, in the order in which it came.
        """
        return await self._appending.add(_Appending(run, make, recoverable))

    async def find(self, run: str, key: str) -> Entry | None:
        """Return the entry with this key, or None."""
        return await self._call(lambda: self._find(run, key))

    async def entries(self, run: str, *, kinds: Sequence[EntryKind] = (), after: int = 0) -> tuple[Entry, ...]:
        """Return a run's entries in order, of these kinds where any are named, with `seq` above `after`."""
        wanted = tuple(kind.value for kind in kinds)
        condition = f" AND kind IN ({','.join('?' * len(wanted))})" if wanted else ""
        query = f"SELECT {_COLUMNS} FROM entries WHERE run = ? AND seq > ?{condition} ORDER BY seq"  # noqa: S608
        rows: list[_Row] = await self._call(lambda: self._open().execute(query, (run, after, *wanted)).fetchall())
        return tuple(_entry(row) for row in rows)

    async def runs(self) -> tuple[str, ...]:
        """Return the ids of all runs, newest first."""
        query = "SELECT run FROM entries WHERE seq = 1 ORDER BY at DESC, rowid DESC"
        rows = await self._call(lambda: self._open().execute(query).fetchall())
        return tuple(row[0] for row in rows)

    async def verify(self, run: str) -> None:
        """Recompute the chain; raises StoreCorrupt naming the first entry that does not fit.

        A chain whose last entries were cut off is still a chain: what the end must be is known to
        whoever kept its digest (the commit trailers, an exported bundle).
        """
        query = f"SELECT {_COLUMNS} FROM entries WHERE run = ? ORDER BY seq"  # noqa: S608
        await self._call(lambda: _verify(run, self._open().execute(query, (run,))))

    async def forget(self, run: str) -> None:
        """Delete a run's entries."""
        await self._call(lambda: self._forget(run))

    async def _call(self, work: Callable[[], _Result]) -> _Result:
        def guarded() -> _Result:
            with sqlite_errors(self._path):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                _prepare(connection, self._path)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        def close() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        try:
            self._thread.submit(close).result()
        except RuntimeError:  # the thread was shut down by an earlier close
            return
        self._thread.shutdown()

    def _append_all(self, works: Sequence[_Appending]) -> Sequence[tuple[Entry, ...] | BaseException]:
        outcomes: list[tuple[Entry, ...] | BaseException] = []
        made = [_made(work) for work in works]
        with sqlite_errors(self._path):
            self._flush_at_commit(not all(work.recoverable for work in works))
            with _transaction(self._open()):
                for work, entries in zip(works, made, strict=True):
                    if isinstance(entries, Exception):
                        outcomes.append(entries)
                    else:
                        outcomes.append(self._append_each(work.run, entries))
        return outcomes

    def _append_each(self, run: str, entries: Sequence[NewEntry]) -> tuple[Entry, ...] | BaseException:
        try:
            return tuple(self._append(run, entry) for entry in entries)
        except (ValueError, StoreCorrupt) as error:  # of this work alone; what of it was written counts once
            return error

    def _flush_at_commit(self, wanted: bool) -> None:
        """SQLite flushes its log at each commit, or (NORMAL) with the next one that does; a kill loses nothing."""
        connection = self._open()
        if self._flushes != wanted:
            connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._flushes = wanted

    def _append(self, run: str, new: NewEntry) -> Entry:
        """Append within the transaction that is open."""
        key = new.key
        clean = self._redact(new.body) if self._redact else new.body
        connection = self._open()
        existing = self._find(run, key)
        if existing is not None:
            return existing
        query = "SELECT seq, at, digest FROM entries WHERE run = ? ORDER BY seq DESC LIMIT 1"
        seq, last, previous = connection.execute(query, (run,)).fetchone() or (0, None, _BEGINNING)
        entry = Entry.model_validate(
            {
                "run": run,
                "seq": seq + 1,
                "kind": new.kind,
                "key": key,
                "unit": new.unit,
                "role": new.role,
                "body": clean,
                "at": self._time(run, last),
                "previous": previous,
            }
        )
        connection.execute(
            f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                run,
                entry.seq,
                entry.kind.value,
                key,
                entry.unit,
                entry.role,
                canonical_json(entry.body).decode(),
                entry.at.isoformat(),
                previous,
                entry.digest,
            ),
        )
        return entry

    def _time(self, run: str, last: str | None) -> datetime:
        now = self._clock.now().astimezone(UTC)
        if last is None:
            return now
        before = datetime.fromisoformat(last)
        if now < before:
            _log.warning("clock_went_backwards", run=run, seconds=(before - now).total_seconds())
        return max(now, before)

    def _find(self, run: str, key: str) -> Entry | None:
        query = f"SELECT {_COLUMNS} FROM entries WHERE run = ? AND key = ?"  # noqa: S608
        row = self._open().execute(query, (run, key)).fetchone()
        return None if row is None else _entry(row)

    def _forget(self, run: str) -> None:
        self._flush_at_commit(True)
        with _transaction(self._open()) as connection:
            connection.execute("DELETE FROM entries WHERE run = ?", (run,))


def _made(work: _Appending) -> Sequence[NewEntry] | Exception:
    """Return a work's entries, or the error that kept them from being made."""
    try:
        return work.make()
    except Exception as error:  # noqa: BLE001 - it is raised again where the work is waited for
        return error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise InfrastructureError(
            f"{path} has version {version}, and this assay knows only {_VERSION}",
            next_step="use the assay that wrote it or a newer one, or move the state with ASSAY_STATE",
        )
    if version < _VERSION:
        with _transaction(connection):
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it itself for some errors, a full disk among them
            connection.execute("ROLLBACK")
        raise


def _entry(row: _Row) -> Entry:
    run, seq, kind, key, unit, role, body, at, previous, _ = row
    try:
        return Entry.model_validate(
            {
                "run": run,
                "seq": seq,
                "kind": kind,
                "key": key,
                "unit": unit,
                "role": role,
                "body": json.loads(body),
                "at": at,
                "previous": previous,
            }
        )
    except (ValueError, ValidationError) as error:
        raise StoreCorrupt(f"entry {seq} ({key}) of run {run} cannot be read: {error}") from error


def _verify(run: str, rows: Iterator[_Row]) -> None:
    previous = _BEGINNING
    for expected, row in enumerate(rows, start=1):
        entry = _entry(row)
        place = f"the ledger of run {run} at entry {entry.seq} ({entry.key})"
        if entry.seq != expected:
            raise StoreCorrupt(f"{place}: entry {expected} is missing")
        if entry.previous != previous:
            raise StoreCorrupt(f"{place}: it does not follow the entry before it")
        previous = entry.digest
        if row[-1] != previous:
            raise StoreCorrupt(f"{place}: its content is not what was recorded")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raise DiskFull, StoreCorrupt or InfrastructureError, naming the file, for what SQLite says."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorname if hasattr(error, "sqlite_errorname") else ""
        unsaid = code.startswith("SQLITE_IOERR") or code == "SQLITE_CANTOPEN"
        if code.startswith("SQLITE_FULL") or code == "SQLITE_IOERR_WRITE" or (unsaid and is_full(path)):
            raise DiskFull(
                f"no space left for {path}",
                next_step="free some space there; `assay resume` then goes on with the run",
            ) from error
        if code in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
            raise StoreCorrupt(f"{path} is not a readable database: {error}") from error
        if code.startswith("SQLITE_BUSY"):
            raise InfrastructureError(
                f"{path} was locked by another process for {_BUSY_SECONDS:.0f} seconds",
                next_step="see what holds it with `fuser`, and try again",
            ) from error
        raise InfrastructureError(
            f"{path}: {error}", next_step="make the file and its directory writable for the user that runs assay"
        ) from error
