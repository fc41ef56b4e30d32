"""File systems that are soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Yield a new folder that is a file system of its own, of a size as `mount` takes it (`64k`, `16m`)."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a test that fails may have files open


def remount(folder: Path, option: str) -> None:
    """Change a mounted file system: `ro`, `size=4m`."""
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)
