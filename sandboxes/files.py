"""Requests for files, and what becomes of them where the supervisor cannot serve them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Final

from assay.errors import DiskFull, SandboxLost
from assay.sandboxes.channel import Channel
from assay.sandboxes.frames import HelperDied, NotStarted

Body = Callable[[], AsyncIterator[bytes]]
"""Makes the body of a request, again for each attempt."""

RETRY_SECONDS: Final = 0.02
"""Until a process is asked for again, where commands use up all of them."""


async def ask_for_files(
    channel: Channel,
    payload: bytes,
    body: Body | None = None,
    *,
    during: Callable[[], AbstractContextManager[None]] | None = None,
) -> bytes:
    """Return the answer to a request for files.

    Args:
        channel: of the sandbox.
        payload: what is asked.
        body: what follows it.
        during: surrounds each attempt, for as long as the supervisor is at it, where files may change by it.

    It waits for a process where commands hold them all. Raises DiskFull and SandboxLost for other troubles of the
    supervisor's.
    """
    while True:
        chunks = body() if body is not None else None
        try:
            return b"".join(await channel.ask(payload, chunks, during=during() if during is not None else None))
        except NotStarted as error:
            if error.number not in (errno.EAGAIN, errno.ENOMEM):
                raise DiskFull(f"The sandbox cannot start a helper for files ({error}).") from error
            await asyncio.sleep(RETRY_SECONDS)
        except HelperDied as error:
            if not error.out_of_memory:
                raise lose(channel, "the helper of a request for files was killed") from error
            raise DiskFull("The sandbox's memory, which holds its files, too, is used up.") from error


def lose(channel: Channel, reason: str) -> SandboxLost:
    """Give a sandbox up, and return the error that says so."""
    channel.lose(reason)
    return SandboxLost(f"The sandbox was lost, because {reason}.")
