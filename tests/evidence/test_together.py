"""Several things at once or in turn: nothing is left running or unawaited, whatever ends it."""

from __future__ import annotations

import asyncio

import pytest

from assay.evidence.together import in_turn, together


async def test_all_of_it_is_awaited_and_one_failure_cancels_the_others() -> None:
    """What raises is raised once the others are gone."""
    done: list[str] = []
    await together(_note(done, "a"), _note(done, "b"))
    assert sorted(done) == ["a", "b"]
    with pytest.raises(ValueError, match="broken"):
        await together(_wait(done, "waits"), _break())
    assert done[2:] == ["waits was cancelled"]


async def test_in_turn_begins_nothing_after_a_failure() -> None:
    """One after the other; what comes after a failure is closed, and not left unawaited (warnings are errors)."""
    done: list[str] = []
    await in_turn(_note(done, "a"), _note(done, "b"))
    with pytest.raises(ValueError, match="broken"):
        await in_turn(_note(done, "c"), _break(), _note(done, "never"))
    assert done == ["a", "b", "c"]


async def _note(done: list[str], name: str) -> None:
    done.append(name)


async def _break() -> None:
    raise ValueError("broken")


async def _wait(done: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        done.append(f"{name} was cancelled")
        raise
