"""Where output goes. A thread writes it, so that a reader who stops reading stops nothing but what they read."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import os
import queue
import select
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

from rich.console import Console

from assay.reports.untrusted import make_visible

_LOOK_SECONDS = 1.0
"""How often to look whether anybody still reads, while there is nothing to write."""

_Piece = bytes | Callable[[], object]


class Outlet(io.TextIOBase):
    """Takes text at once, and writes it to a stream's file descriptor in a thread of its own.

    A pipe whose reader stands still, or a terminal on which somebody pressed Ctrl-S, would otherwise
    hold up the event loop, and with it the sandboxes and Ctrl-C. A reader that has gone is told of once.
    A stream without a descriptor is written to directly.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Take over a stream; None, as Python has it for a closed one, swallows everything."""
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._queue: queue.SimpleQueue[_Piece] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.broken = False
        """Whether nobody reads any more."""
        self.on_broken: Callable[[], object] = lambda: None
        """Called in the writing thread, once."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether people watch it on a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor; raises OSError where it has none."""
        if self._descriptor is None:
            raise OSError("the stream has no file descriptor")
        return self._descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Take text; it is out when a `mark` made after it is reached."""
        if self._descriptor is not None:
            self._put(text.encode(self.encoding, errors="backslashreplace"))
        elif self._stream is not None:
            self._stream.write(text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Take bytes as they are, for whoever reads them as such."""
        if self._descriptor is not None:
            self._put(data)
        elif self._stream is not None:
            self._stream.write(data.decode(self.encoding, errors="backslashreplace"))

    def mark(self, reached: Callable[[], object]) -> None:
        """Call `reached` when everything taken so far is out; from another thread, or at once."""
        if self._thread is None:
            reached()
        else:
            self._queue.put(reached)

    def _put(self, data: bytes) -> None:
        if self._thread is None:
            # A daemon that writes to the bare descriptor: the process may end while a reader holds it up.
            self._thread = threading.Thread(target=self._work, name="assay-output", daemon=True)
            self._thread.start()
        self._queue.put(data)

    def _work(self) -> None:
        descriptor = self.fileno()
        while True:
            try:
                piece = self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if not self.broken and _has_no_reader(descriptor):
                    self._break()
                continue
            if not isinstance(piece, bytes):
                piece()
            elif not self.broken:
                try:
                    _write_all(descriptor, piece)
                except OSError:
                    self._break()

    def _break(self) -> None:
        self.broken = True
        self.on_broken()


def call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Call something in an event loop, from another thread; a loop that has ended needs to know nothing any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _descriptor_of(stream: TextIO | None) -> int | None:
    if stream is None:
        return None
    try:
        stream.flush()  # what was printed before comes before
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # whoever started us made it non-blocking
            select.select([], [descriptor], [])


def _has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class StatusLine:
    """One line at the bottom of a terminal that says what is going on; nothing where there is no terminal."""

    def __init__(self, outlet: Outlet, console: Console) -> None:
        self._outlet, self._console = outlet, console
        self.possible = outlet.isatty() and not console.is_dumb_terminal
        self._shown = False

    def show(self, text: str) -> None:
        """Show this line in the place of the one before."""
        if self.possible:
            cut = text if len(text) < self._console.width else text[: max(0, self._console.width - 2)] + "…"
            self._outlet.write(f"\r\x1b[K{cut}")
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._outlet.write("\r\x1b[K")
            self._shown = False


class Streams:
    """Standard output and standard error of one session. Nothing that is printed is read as rich's markup."""

    def __init__(self) -> None:
        self.out, self.err = Outlet(sys.stdout), Outlet(sys.stderr)
        self.page = _console(self.out)
        """What was asked for, for people: standard output."""
        self.progress = _console(self.err)
        """What goes on meanwhile, for people: standard error."""
        self.status = StatusLine(self.err, self.progress)
        self.logs = _Logs(self)

    @property
    def interactive(self) -> bool:
        """Whether a person sits at a terminal, on both sides."""
        return sys.stdin is not None and sys.stdin.isatty() and self.out.isatty()

    def line(self, value: Mapping[str, Any]) -> None:
        """Print a JSON line on standard output."""
        self.out.write(json.dumps(value) + "\n")

    def say(self, text: str, style: str = "") -> None:
        """Print a whole line on standard error, whatever the width and whatever is in it."""
        self.status.clear()
        self.progress.print(make_visible(text), style=style, soft_wrap=True)

    @property
    def broken(self) -> bool:
        """Whether nobody reads one of them any more."""
        return self.out.broken or self.err.broken

    async def drain(self, seconds: float | None = None) -> bool:
        """Return True when everything is out or nobody is there to read it, False when that takes too long."""
        self.status.clear()
        loop = asyncio.get_running_loop()
        reached = [asyncio.Event(), asyncio.Event()]
        for outlet, event in zip((self.out, self.err), reached, strict=True):
            outlet.mark(functools.partial(call_in, loop, event.set))
        try:
            async with asyncio.timeout(seconds):
                for event in reached:
                    await event.wait()
        except TimeoutError:
            return False
        return True


class _Logs(io.TextIOBase):
    """Log lines, which push the status line aside."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._streams.status.clear()
        return self._streams.err.write(text)


def _console(outlet: Outlet) -> Console:
    return Console(file=outlet, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
