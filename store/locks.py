"""Locks on files which end with the process that holds them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from assay.store.files import disk_errors


def take_lock(path: Path, *, wait: bool) -> int | None:
    """Lock a file exclusively and return its descriptor; closing that releases the lock.

    Returns None when another holds it and `wait` is False. A holder that dies releases it.
    """
    with disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            if _is_at(descriptor, path):
                return descriptor
            # The file was deleted between open and flock (a run was pruned): lock the one that is there now.
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
