"""Transcripts: JSON lines that are only ever added to, kept outside of the graph's state.

A line costs one write and one fsync, whatever the length of the file. The running digest is the
SHA-256 of the file as it stands, so `sha256sum` on the file shows what the ledger holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from assay.errors import StoreCorrupt
from assay.store.files import disk_errors, sync_directory
from assay.store.redaction import Redact


class Transcript:
    """One append-only file. Whoever holds the run's lock is its only writer."""

    def __init__(self, path: Path, descriptor: int, content: bytes, redact: Redact | None) -> None:
        """Take over an open file; use `Transcript.open`."""
        self._path = path
        self._descriptor: int | None = descriptor
        self._size = len(content)
        self._length = content.count(b"\n")
        self._hash = hashlib.sha256(content)
        self._redact = redact
        self._lock = threading.Lock()

    @classmethod
    async def open(cls, path: Path, *, redact: Redact | None = None) -> Self:
        """Open a transcript, or begin one. A last line that a kill tore is taken off.

        Args:
            path: the file; its directories are made.
            redact: applied to each line before it is written.
        """
        return await asyncio.to_thread(cls._open, path, redact)

    @classmethod
    def _open(cls, path: Path, redact: Redact | None) -> Self:
        with disk_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                content = path.read_bytes()
                whole = content[: content.rfind(b"\n") + 1]
                if len(whole) < len(content):
                    os.ftruncate(descriptor, len(whole))
                    os.fsync(descriptor)
                sync_directory(path.parent)
            except BaseException:
                os.close(descriptor)
                raise
        return cls(path, descriptor, whole, redact)

    @property
    def length(self) -> int:
        """Lines."""
        return self._length

    @property
    def digest(self) -> str:
        """`sha256:…` of the whole file as it stands."""
        return "sha256:" + self._hash.hexdigest()

    async def lines(self) -> tuple[dict[str, JsonValue], ...]:
        """Return all lines; raises StoreCorrupt naming one that is not a JSON object."""
        return await asyncio.to_thread(self._lines)

    async def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def append(self, lines: Sequence[Mapping[str, JsonValue]]) -> tuple[str, ...]:
        """Add lines with one write, and return the digest of the file with each of them, one after the other.

        They are durable when this returns. It waits for the disk: call it in a thread.
        Raises DiskFull or InfrastructureError, and ValueError for what JSON cannot say; the file
        is as before then.
        """
        encoded = [self._encode(line) for line in lines]
        data = b"".join(encoded)
        with self._lock, disk_errors(self._path):
            if self._descriptor is None:
                raise ValueError(f"the transcript {self._path} is closed")
            try:
                written = 0
                while written < len(data):
                    written += os.write(self._descriptor, data[written:])
                os.fdatasync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, self._size)
                raise
            digests: list[str] = []
            for line in encoded:
                self._size += len(line)
                self._length += 1
                self._hash.update(line)
                digests.append(self.digest)
            return tuple(digests)

    def _encode(self, line: Mapping[str, JsonValue]) -> bytes:
        clean = self._redact(dict(line)) if self._redact else dict(line)
        return json.dumps(clean, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"

    def _lines(self) -> tuple[dict[str, JsonValue], ...]:
        with self._lock, disk_errors(self._path):
            content = self._path.read_bytes()[: self._size]
        lines: list[dict[str, JsonValue]] = []
        for number, text in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                line = json.loads(text)
            except ValueError as error:
                raise StoreCorrupt(f"{self._path}, line {number}: not JSON") from error
            if not isinstance(line, dict):
                raise StoreCorrupt(f"{self._path}, line {number}: not a JSON object")
            lines.append(line)
        return tuple(lines)
