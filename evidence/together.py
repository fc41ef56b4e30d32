"""Doing several things at once or in turn, so that none is left over when one fails or all are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Await all of the work. Where one part raises, the others are cancelled and waited for, and it is raised."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def in_turn(*work: Coroutine[Any, Any, None]) -> None:
    """Await one part of the work after the other; where one raises, those after it are not begun."""
    waiting = list(work)
    try:
        while waiting:
            await waiting.pop(0)
    finally:
        for part in waiting:
            part.close()
