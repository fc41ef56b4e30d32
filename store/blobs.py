"""Bytes by their digest, one file each."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Collection
from pathlib import Path

from assay.errors import StoreCorrupt
from assay.records.base import digest_of_bytes
from assay.store.files import disk_errors, write_whole
from assay.store.redaction import Redactor

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_DIGEST_LENGTH = len("sha256:") + 64


class FileBlobs:
    """`Blobs` as files in a directory, fanned out by the first two digits of the digest."""

    def __init__(self, directory: Path, *, redact: Redactor | None = None) -> None:
        """Name the directory, and what takes secrets out of text and JSON before it is kept."""
        self._directory = directory
        self._redact = redact

    async def put(self, data: bytes) -> str:
        """Keep `data` and return its `sha256:…`. Keeping the same bytes twice is one blob.

        Where it holds a secret, what is kept is `data` without it, and the digest is that of what is kept.

        Raises DiskFull, InfrastructureError.
        """
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: str) -> bytes:
        """Return the bytes; raises StoreCorrupt when they are missing or do not fit the digest."""
        return await asyncio.to_thread(self._get, digest)

    async def sweep(self, wanted: Collection[str], *, before: float, dry: bool = False) -> int:
        """Delete the blobs to which nothing leads and that were last kept before a time; return their bytes.

        Args:
            wanted: digests that are needed; so is whatever the bytes behind them name, and so on.
            before: seconds since the epoch; what was kept later may be wanted by somebody who has not said so yet.
            dry: only count.
        """
        return await asyncio.to_thread(self._sweep, wanted, before, dry)

    def _sweep(self, wanted: Collection[str], before: float, dry: bool) -> int:
        seen: set[str] = set()
        waiting = [digest.encode() for digest in wanted]
        while waiting:
            digest = waiting.pop().decode()
            if digest in seen:
                continue
            seen.add(digest)
            path = self._path(digest)
            if path.is_file():
                waiting += _DIGEST.findall(path.read_bytes())
        size = 0
        with disk_errors(self._directory):
            for path in self._directory.glob("??/*"):
                found = path.lstat()
                if f"sha256:{path.parent.name}{path.name}" not in seen and found.st_mtime < before:
                    size += found.st_size
                    if not dry:
                        path.unlink(missing_ok=True)
        return size

    def _without_secrets(self, data: bytes) -> bytes:
        if self._redact is None:
            return data
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data
        try:
            value = json.loads(text)
        except ValueError:
            return self._redact.text(text).encode()
        redacted = self._redact(value)
        return data if redacted == value else json.dumps(redacted, sort_keys=True, separators=(",", ":")).encode()

    def _put(self, data: bytes) -> str:
        data = self._without_secrets(data)
        digest = digest_of_bytes(data)
        path = self._path(digest)
        with disk_errors(path):
            # Compared, and not only looked for: a blob that rotted is mended by putting it again.
            if not path.is_file() or path.read_bytes() != data:
                write_whole(path, data)
            else:
                os.utime(path)  # so that `sweep` sees that it is wanted again
        return digest

    def _get(self, digest: str) -> bytes:
        path = self._path(digest)
        try:
            with disk_errors(path):
                data = path.read_bytes() if path.is_file() else None
        except ValueError as error:
            raise StoreCorrupt(f"blob {digest!r} has no place") from error
        if data is None:
            raise StoreCorrupt(f"blob {digest} is missing in {self._directory}")
        if digest_of_bytes(data) != digest:
            raise StoreCorrupt(f"blob {digest} in {self._directory} is not what was kept")
        return data

    def _path(self, digest: str) -> Path:
        hexadecimal = digest.removeprefix("sha256:")
        if len(digest) != _DIGEST_LENGTH or len(hexadecimal) != 64 or set(hexadecimal) - set("0123456789abcdef"):
            raise StoreCorrupt(f"{digest!r} is no digest of a blob")
        return self._directory / hexadecimal[:2] / hexadecimal[2:]
