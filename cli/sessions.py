"""One session of a command: the event loop, how it is stopped, and where logs go."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

from assay.cli.streams import Streams, call_in

T = TypeVar("T")

_PATIENCE = 2.0
"""Seconds that a stopped session waits for those who read its output."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Stopped(Exception):
    """Somebody asked the session to stop, or nobody reads what it prints any more (SIGPIPE)."""

    def __init__(self, by: signal.Signals) -> None:
        self.by = by
        self.next_step: str | None = None
        self.heard = by is not signal.SIGPIPE
        """Whether anybody would read a last word."""
        super().__init__(by.name)

    @property
    def exit_code(self) -> int:
        """As shells have it: 128 and the number of the signal, so 130 after Ctrl-C."""
        return 128 + self.by


def run_session(work: Callable[[Streams], Coroutine[Any, Any, T]]) -> T:
    """Run `work` to its end, and until all that it printed is out.

    The first Ctrl-C (or SIGTERM, or the terminal's end) stops it cleanly: sandboxes are closed, the
    state is saved, and `Stopped` is raised. The second ends the process at once; what it leaves behind
    is removed by the next assay that starts.
    """
    streams = Streams()
    with _logs_to(streams):
        return asyncio.run(_supervise(work, streams))


async def _supervise(work: Callable[[Streams], Coroutine[Any, Any, T]], streams: Streams) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work(streams))
    asked: list[signal.Signals] = []

    def stop(by: signal.Signals) -> None:
        asked.append(by)
        if len(asked) > 1 or task.done():
            os._exit(Stopped(by).exit_code)
        streams.say("assay: stopping cleanly; once more stops at once")
        task.cancel()

    def stop_unread() -> None:
        if not asked and not task.done():
            asked.append(signal.SIGPIPE)
            task.cancel()

    for outlet in (streams.out, streams.err):
        outlet.on_broken = lambda: call_in(loop, stop_unread)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    signals = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        result = await task
    except asyncio.CancelledError:
        if not asked:
            raise
    finally:
        unread = not await streams.drain(_PATIENCE if asked else None)
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
    if asked or streams.broken:
        stopped = Stopped(asked[0] if asked else signal.SIGPIPE)
        stopped.heard = stopped.heard and not unread
        raise stopped
    return result


@contextmanager
def _logs_to(streams: Streams) -> Iterator[None]:
    """Send logs to standard error: for people on a terminal, JSON lines elsewhere, each with the run's id.

    `ASSAY_LOG` names the level: `debug`, `info`, `warning` (where it is not set) or `error`.
    """
    human = streams.err.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=streams.progress.color_system is not None and not streams.progress.no_color
        )
        if human
        else structlog.processors.JSONRenderer()
    )
    level = _LEVELS.get(os.environ.get("ASSAY_LOG", "").lower(), logging.WARNING)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(streams.logs),  # type: ignore[arg-type]
    )
    # What libraries say, in the same form; their chatter only for those who ask for all of it.
    handler = logging.StreamHandler(streams.logs)
    handler.setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        structlog.reset_defaults()
