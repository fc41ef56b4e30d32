"""Puts what several callers want done at the same time into one piece of work for one thread.

A commit to a database costs a flush of the disk, however little it holds. Callers that come while
one is under way share the next one; each gets its own result, in the order in which they came.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

_Work = TypeVar("_Work")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Work, _Result]):
    work: _Work
    future: asyncio.Future[_Result]
    loop: asyncio.AbstractEventLoop


class Batches(Generic[_Work, _Result]):
    """Works of one kind, done in batches in the one thread of an executor."""

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        do: Callable[[Sequence[_Work]], Sequence[_Result | BaseException]],
    ) -> None:
        """Name the thread, and what does a batch.

        Args:
            thread: an executor of one thread.
            do: does the works in order, and returns for each its result or its error; what it raises
                itself goes to all of them.
        """
        self._thread: Final = thread
        self._do = do
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[_Work, _Result]] = []

    async def add(self, work: _Work) -> _Result:
        """Have a work done with the next batch, and return its result."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(work, loop.create_future(), loop)
        with self._lock:
            self._waiting.append(waiting)
            first = len(self._waiting) == 1
        if first:
            loop.call_soon(self._start)  # after whatever else is ready to run now, and may add to the batch
        result: _Result = await waiting.future
        return result

    def _start(self) -> None:
        try:
            self._thread.submit(self._work)
        except RuntimeError as error:  # the thread was shut down
            batch = self._take()
            _deliver(batch, [error] * len(batch))

    def _work(self) -> None:
        batch = self._take()
        try:
            outcomes = self._do([waiting.work for waiting in batch])
        except BaseException as error:  # noqa: BLE001 - it is raised again where each result is waited for
            outcomes = [error] * len(batch)
        for loop in {waiting.loop for waiting in batch}:
            own = [(waiting, outcome) for waiting, outcome in zip(batch, outcomes, strict=True) if waiting.loop is loop]
            with suppress(RuntimeError):  # nobody waits in a loop that is closed
                loop.call_soon_threadsafe(_deliver, [waiting for waiting, _ in own], [outcome for _, outcome in own])

    def _take(self) -> list[_Waiting[_Work, _Result]]:
        with self._lock:
            batch, self._waiting = self._waiting, []
        return batch


def _deliver(batch: Sequence[_Waiting[_Work, _Result]], outcomes: Sequence[_Result | BaseException]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if waiting.future.done():
            continue
        if isinstance(outcome, BaseException):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)
