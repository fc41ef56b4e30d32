"""Where assay keeps its state on a machine, and who may advance a run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import platformdirs

from assay.errors import ConfigurationError, RunError
from assay.store.files import disk_errors, write_whole
from assay.store.locks import take_lock

VERSION: Final = 1
"""Version of the layout that this code reads and writes."""

Migrations = Mapping[int, Callable[[Path], None]]
"""By version: what brings a state directory of that version to the next one. Done again after a kill, so it must
be safe to do twice."""

MIGRATIONS: Final[Migrations] = {}

_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.01
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def state_root(environment: Mapping[str, str]) -> Path:
    """Return where the state lies: `ASSAY_STATE`, or the user's state directory."""
    named = environment.get("ASSAY_STATE")
    return Path(named).expanduser().absolute() if named else platformdirs.user_state_path("assay", appauthor=False)


class StateDirectory:
    """The layout of the state directory; private to the user.

    ```
    version             of this layout
    ledger.sqlite3      checkpoints.sqlite3
    blobs/              by digest
    git/                the bare store
    cache/              can be deleted at any time
    keys/               that sign verdicts
    runs/ID/            transcripts/  report.html  lock
    ```
    """

    def __init__(self, root: Path) -> None:
        """Name a directory that exists; use `StateDirectory.open`."""
        self.root = root

    @classmethod
    def open(cls, root: Path, *, version: int = VERSION, migrations: Migrations = MIGRATIONS) -> Self:
        """Make the directory where it does not exist, and migrate one of an older version.

        Raises ConfigurationError for a version that this code does not know, DiskFull, InfrastructureError.
        """
        with disk_errors(root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if root.stat().st_uid == os.geteuid():
                root.chmod(0o700)
        lock = take_lock(root / "lock", wait=True)
        try:
            _migrate(root, version, migrations)
            with disk_errors(root):
                for name in ("blobs", "runs", "cache"):
                    (root / name).mkdir(mode=0o700, exist_ok=True)
        finally:
            if lock is not None:
                os.close(lock)
        return cls(root)

    @property
    def ledger(self) -> Path:
        """The ledger's SQLite file."""
        return self.root / "ledger.sqlite3"

    @property
    def checkpoints(self) -> Path:
        """LangGraph's checkpoints, a SQLite file."""
        return self.root / "checkpoints.sqlite3"

    @property
    def blobs(self) -> Path:
        """Bytes by digest."""
        return self.root / "blobs"

    @property
    def git(self) -> Path:
        """The bare git store."""
        return self.root / "git"

    @property
    def cache(self) -> Path:
        """What can be deleted at any time."""
        return self.root / "cache"

    @property
    def signing_key(self) -> Path:
        """The key that signs verdicts; nothing that runs in a sandbox can reach it."""
        return self.root / "keys" / "verdicts"

    def run(self, run: str) -> Path:
        """Return the directory of a run; raises RunError for what is no run id."""
        if not _RUN.fullmatch(run):
            raise RunError(f"{run!r} is no run id", next_step="`assay runs` lists them")
        return self.root / "runs" / run

    def transcript(self, run: str, name: str) -> Path:
        """Return the path of a transcript of a run, by its name."""
        if not _RUN.fullmatch(name):
            raise RunError(f"{name!r} is no name of a transcript")
        return self.run(run) / "transcripts" / f"{name}.jsonl"

    def report(self, run: str) -> Path:
        """Return the path of a run's report."""
        return self.run(run) / "report.html"

    @contextmanager
    def lock_run(self, run: str) -> Iterator[None]:
        """Hold the right to advance a run. It ends with the block, and with the process.

        Raises RunError, saying who holds it, when another does.
        """
        path = self.run(run) / "lock"
        descriptor = _take_soon(path)
        if descriptor is None:
            raise RunError(
                f"run {run} is being advanced by {_holder(path)}",
                next_step=f"wait for it, or stop it there, and then `assay resume {run}`",
            )
        try:
            with disk_errors(path):
                holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat()}
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(holder).encode(), 0)
            yield
            if path.exists():
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def holder(self, run: str) -> int | None:
        """Return the id of the process that advances a run on this machine now, or None where nobody does."""
        path = self.run(run) / "lock"
        if not path.exists():
            return None
        descriptor = take_lock(path, wait=False)
        if descriptor is not None:
            os.close(descriptor)
            return None
        try:
            return int(json.loads(path.read_bytes())["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it has the lock and has not yet written who it is

    def prune_run(self, run: str) -> None:
        """Delete the files of a run; the caller holds its lock. Its ledger, blobs and refs are kept elsewhere."""
        directory = self.run(run)
        with disk_errors(directory):
            if directory.is_dir():
                shutil.rmtree(directory)

    def size_of_run(self, run: str) -> int:
        """Return how many bytes the files of a run take."""
        return sum(path.lstat().st_size for path in self.run(run).rglob("*") if path.is_file())


def _take_soon(path: Path) -> int | None:
    """Take a lock; where nobody has written that they hold it, it is only being looked at, and comes free at once."""
    for _ in range(_LOOKS):
        descriptor = take_lock(path, wait=False)
        with suppress(FileNotFoundError):  # the run was pruned in between
            if descriptor is not None or path.stat().st_size > 0:
                return descriptor
        time.sleep(_LOOK_SECONDS)
    return None


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has the lock and has not yet written who it is


def _migrate(root: Path, newest: int, migrations: Migrations) -> None:
    path = root / "version"
    with disk_errors(path):
        text = path.read_text().strip() if path.exists() else ""
    if not text:
        write_whole(path, f"{newest}\n".encode())
        return
    if not text.isdecimal() or int(text) > newest:
        raise ConfigurationError(
            f"the state in {root} has version {text[:40]}, and this assay knows only {newest}",
            next_step="use the assay that wrote it or a newer one, or name another directory with ASSAY_STATE",
        )
    for version in range(int(text), newest):
        if version not in migrations:
            raise ConfigurationError(
                f"the state in {root} has version {version}, which this assay cannot bring to {newest}",
                next_step="open it once with the release in between, or name another directory with ASSAY_STATE",
            )
        migrations[version](root)
        write_whole(path, f"{version + 1}\n".encode())
