"""One session of a command: the event loop, Ctrl-C, logs, and where output goes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


class Stopped(Exception):
    """A person asked the session to stop."""


def configure_logs(*, as_json: bool) -> None:
    """Send logs to stderr: for people on a terminal, JSON lines elsewhere. Every line carries the run's id."""
    human = sys.stderr.isatty() and not as_json
    renderer: Any = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    level = {"debug": 10, "info": 20, "warning": 30, "error": 40}.get(os.environ.get("ASSAY_LOG", "").lower(), 30)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def run_session(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end.

    The first Ctrl-C (or SIGTERM) stops it cleanly: sandboxes are closed, the state is saved, and
    `Stopped` is raised. The second ends the process at once; what it leaves behind is removed by the
    next assay that starts.
    """
    return asyncio.run(_supervise(work))


async def _supervise(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            os._exit(STOPPED)
        print("\nassay: stopping cleanly; press Ctrl-C again to stop at once", file=sys.stderr)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if asked:
            raise Stopped from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
