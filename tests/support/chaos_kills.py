"""The points at which a process may be killed: around every ledger append, engine call and write of a checkpoint."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from unittest import mock

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from assay.records.entries import Entry
from assay.sandboxes.engine import Engine
from assay.store.forwarding import ForwardingLedger
from assay.store.protocol import Ledger, NewEntry

Phase = Literal["before", "after"]
PHASES: tuple[Phase, ...] = ("before", "after")


@dataclass(frozen=True, slots=True)
class Point:
    """One moment: right before the n-th append or call, or right after it, before the caller hears of it."""

    number: int
    """From 1, in this process: of all appends, or of the calls of this method."""
    phase: Phase
    what: str
    """Key of the entry, or method of the engine or of the saver."""

    @property
    def place(self) -> str:
        """Where it is, without its phase."""
        return f"{self.what} {self.number}"


Watcher = Callable[[Point], None]


Where = int | str
"""Number of an append, how the key of one begins, or the place of a call."""


def kill_at(where: Where, phase: Phase) -> Watcher:
    """Return a watcher that kills its own process at the first such point, as the kernel would."""

    def watch(point: Point) -> None:
        if isinstance(where, str):
            there = where == point.place or point.what.startswith(where)
        else:
            there = where == point.number
        if there and point.phase == phase:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


class WatchedLedger(ForwardingLedger):
    """Tells a watcher of every append, before it is made and after it was.

    Before it, whatever has to be durable first is written already: the state between the two is one that a kill leaves.
    """

    def __init__(self, ledger: Ledger, watch: Watcher) -> None:
        super().__init__(ledger)
        self._watch = watch
        self._numbers = itertools.count(1)

    async def append_all(
        self, run: str, make: Callable[[], Sequence[NewEntry]], *, recoverable: bool = False
    ) -> tuple[Entry, ...]:
        """Append entries."""
        numbered: list[tuple[int, str]] = []

        def watched() -> Sequence[NewEntry]:
            entries = make()
            for entry in entries:
                numbered.append((next(self._numbers), entry.key))
                self._watch(Point(numbered[-1][0], "before", entry.key))
            return entries

        entries = await super().append_all(run, watched, recoverable=recoverable)
        for number, key in numbered:
            self._watch(Point(number, "after", key))
        return entries


class WatchedEngine(Engine):
    """Tells a watcher of every call to the engine, before it is made and after it ended. Calls come from threads."""

    def __init__(self, watch: Watcher) -> None:
        super().__init__()
        self._watched = watch
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, method: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Make one call."""
        with self._lock:
            self._counts[method] += 1
            number = self._counts[method]
        self._watched(Point(number, "before", method))
        try:
            return super().send(method, values, named)
        finally:
            self._watched(Point(number, "after", method))


@contextmanager
def watched_saver(watch: Watcher) -> Iterator[None]:
    """Tell a watcher of every write of LangGraph's saver, before it is made and after it was."""
    counts: Counter[str] = Counter()

    def around(name: str) -> Callable[..., Awaitable[Any]]:
        inner = getattr(AsyncSqliteSaver, name)

        async def write(self: AsyncSqliteSaver, *values: Any, **named: Any) -> Any:
            counts[name] += 1
            number = counts[name]
            watch(Point(number, "before", name))
            answer = await inner(self, *values, **named)
            watch(Point(number, "after", name))
            return answer

        return write

    with mock.patch.multiple(AsyncSqliteSaver, aput=around("aput"), aput_writes=around("aput_writes")):
        yield
