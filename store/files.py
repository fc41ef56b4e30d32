"""Files that are whole or not there: temporary file, fsync, rename, fsync of the directory."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.errors import DiskFull, InfrastructureError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NEXT_TO_NOTHING = 64 * 1024


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise DiskFull or InfrastructureError, naming `path`, for what the operating system says of it."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> InfrastructureError:
    """Return the error of the house for an operating system's error at `path`."""
    if error.errno in _FULL:
        return DiskFull(
            f"no space left for {path}",
            next_step="free some space there; `assay resume` then goes on with the run",
        )
    return InfrastructureError(
        f"{path}: {error.strerror or error}", next_step="make the path writable for the user that runs assay"
    )


def is_full(path: Path) -> bool:
    """Return whether so little is left where `path` lies that a program that failed there failed for that.

    Some programs do not say why they could not write.
    """
    nearest = next((folder for folder in (path, *path.parents) if folder.is_dir()), None)
    if nearest is None:
        return False
    facts = os.statvfs(nearest)
    return facts.f_bavail * facts.f_frsize < _NEXT_TO_NOTHING


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, sync_name: bool = True) -> None:
    """Write a file so that it is durable, and never seen in part, when this returns.

    Args:
        path: the file; its directories are made.
        data: its whole content.
        mode: permission bits.
        sync_name: make the name durable too; without it a power failure may lose the file, but not tear it.

    Raises DiskFull or InfrastructureError; nothing is left behind then.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor with its own mode
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync_name:
            sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
