"""What a person sees of a run while it goes on: one line for each thing that happened, from the ledger alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from rich.text import Text

from assay.cli.streams import Streams
from assay.cli.words import describe, describe_next
from assay.records.entries import Entry, EntryKind
from assay.reports.untrusted import make_visible, shorten

QUIET_SECONDS = 30.0
"""After so long without news there is a line that says what goes on, where there is no terminal to show it on."""

_TICK_SECONDS = 0.5
_LONGEST = 1000
_INDENT = 23

_log = structlog.get_logger(__name__)


class Progress:
    """Tells of entries as they are recorded: in words on stderr, and with `as_json` whole on stdout."""

    def __init__(self, streams: Streams, *, as_json: bool) -> None:
        self._streams, self._as_json = streams, as_json
        self._started = self._latest = time.monotonic()
        self._doing: dict[str, tuple[str, float]] = {}
        """By unit (empty: the run), what goes on there and since when."""
        self._paused = False

    def __call__(self, entry: Entry) -> None:
        """Tell of one entry."""
        place = {name: value for name, value in (("unit", entry.unit), ("role", entry.role)) if value}
        _log.info(entry.kind.value, run=entry.run, seq=entry.seq, key=entry.key, **place)
        if self._as_json:
            self._streams.line({"entry": entry.model_dump(mode="json"), "digest": entry.digest})
        self._note(entry)
        told = describe(entry)
        if told is not None:
            self._print(" ".join(place.values()), *told)

    def prepare(self, line: str) -> None:
        """Tell of a step of preparing, which the ledger does not hold."""
        self._print("", line, "dim")

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show, while the block runs, that it runs: a step may take minutes in which nothing is recorded."""
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            self._streams.status.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to somebody else during the block."""
        self._paused = True
        self._streams.status.clear()
        try:
            yield
        finally:
            self._paused = False
            self._latest = time.monotonic()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            if self._paused:
                continue
            if self._streams.status.possible:
                self._streams.status.show(f"{now - self._started:6.1f}s … {self._goings_on(now)}")
            elif now - self._latest >= QUIET_SECONDS:
                self._print("", f"… still at work: {self._goings_on(now)}", "dim")

    def _goings_on(self, now: float) -> str:
        units = {unit: doing for unit, doing in self._doing.items() if unit} or self._doing
        parts = (
            f"{make_visible(unit)}{': ' if unit else ''}{what} ({now - since:.0f} s)"
            for unit, (what, since) in units.items()
        )
        return "; ".join(parts) or "preparing"

    def _note(self, entry: Entry) -> None:
        unit = entry.unit or ""
        if entry.kind is EntryKind.UNIT_CHANGED:
            self._doing.pop(unit, None)
        elif (doing := describe_next(entry)) is not None:
            self._doing[unit] = (doing, time.monotonic())

    def _print(self, place: str, text: str, style: str) -> None:
        """Print a line: cut at the edge of a terminal, whole where a file or a program reads it."""
        self._latest = time.monotonic()
        line = Text()
        line.append(f"{self._latest - self._started:6.1f}s ", style="dim")
        line.append(f"{make_visible(place):<{_INDENT - 9}} ", style="cyan")
        line.append(" ".join(make_visible(shorten(text, _LONGEST)).split()), style=style)
        self._streams.status.clear()
        if self._streams.err.isatty():
            self._streams.progress.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._streams.progress.print(line, soft_wrap=True)
