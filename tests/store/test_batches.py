"""Works that come together are done together, each with its own result, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from assay.store.batches import Batches

Works = Sequence[Callable[[], int]]


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """An executor of one thread."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


def each(works: Works) -> list[int | BaseException]:
    """Do works one by one; a ValueError is the result of its own work alone."""
    outcomes: list[int | BaseException] = []
    for work in works:
        try:
            outcomes.append(work())
        except ValueError as error:
            outcomes.append(error)
    return outcomes


async def test_what_comes_together_is_one_batch_in_order(thread: ThreadPoolExecutor) -> None:
    """Ten works that are waited for at once are one piece of work, in the order in which they came."""
    sizes: list[int] = []
    done: list[int] = []

    def do(works: Works) -> list[int | BaseException]:
        sizes.append(len(works))
        return each(works)

    def work(number: int) -> Callable[[], int]:
        def note() -> int:
            done.append(number)
            return number

        return note

    batches = Batches(thread, do)
    results = await asyncio.gather(*(batches.add(work(n)) for n in range(10)))
    assert (results, done, sizes) == (list(range(10)), list(range(10)), [10])
    assert await batches.add(lambda: 7) == 7
    assert sizes == [10, 1]


async def test_an_error_is_its_own_works_alone(thread: ThreadPoolExecutor) -> None:
    """The works beside one that fails have their results."""

    def bad() -> int:
        raise ValueError("bad")

    batches = Batches(thread, each)
    results = await asyncio.gather(batches.add(lambda: 1), batches.add(bad), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], ValueError)


async def test_a_batch_that_fails_fails_for_everybody(thread: ThreadPoolExecutor) -> None:
    """Nobody is left waiting when the commit itself does not work."""

    def broken(works: Works) -> list[int | BaseException]:
        raise OSError("disk")

    batches = Batches(thread, broken)
    results = await asyncio.gather(*(batches.add(lambda: 1) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3


async def test_a_thread_that_was_shut_down_is_an_error(thread: ThreadPoolExecutor) -> None:
    """Work for a closed store raises instead of waiting."""
    batches = Batches(thread, each)
    thread.shutdown()
    with pytest.raises(RuntimeError):
        await batches.add(lambda: 1)


async def test_somebody_who_stops_waiting_disturbs_nobody(thread: ThreadPoolExecutor) -> None:
    """The work of a cancelled caller is done, and the others have their results."""
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def do(works: Works) -> list[int | BaseException]:
        loop.call_soon_threadsafe(started.set)
        return each(works)

    batches = Batches(thread, do)
    one, other = asyncio.create_task(batches.add(lambda: 1)), asyncio.create_task(batches.add(lambda: 2))
    await asyncio.sleep(0)
    one.cancel()
    assert await other == 2
    assert one.cancelled() or one.cancelling()
