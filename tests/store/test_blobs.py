"""Blobs: kept once, verified on reading, whole or not there."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from small_disks import small_disk

from assay.errors import DiskFull, InfrastructureError, StoreCorrupt
from assay.records.base import digest_of_bytes
from assay.store.blobs import FileBlobs
from assay.store.redaction import Redactor


async def test_bytes_come_back_by_their_digest(tmp_path: Path) -> None:
    """Empty, binary and large blobs are kept; the same bytes make one file."""
    blobs = FileBlobs(tmp_path)
    for data in (b"", b"\0\xff", os.urandom(3_000_000)):
        digest = await blobs.put(data)
        assert digest == digest_of_bytes(data)
        assert await blobs.put(data) == digest
        assert await blobs.get(digest) == data
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


async def test_what_is_missing_or_rotten_is_corrupt_and_mended_by_putting_it_again(tmp_path: Path) -> None:
    """A read never returns other bytes than those that were kept."""
    blobs = FileBlobs(tmp_path)
    digest = await blobs.put(b"data")
    with pytest.raises(StoreCorrupt, match="missing"):
        await blobs.get(digest_of_bytes(b"other"))
    path = next(path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(b"rot")
    with pytest.raises(StoreCorrupt, match="not what was kept"):
        await blobs.get(digest)
    await blobs.put(b"data")
    assert await blobs.get(digest) == b"data"


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "A" * 64])
async def test_what_is_no_digest_reads_no_file(tmp_path: Path, digest: str) -> None:
    """A digest cannot be made to name another path."""
    with pytest.raises(StoreCorrupt, match="no digest"):
        await FileBlobs(tmp_path).get(digest)


async def test_many_writers_of_one_blob(tmp_path: Path) -> None:
    """Concurrent puts of the same bytes do not disturb each other, and leave no temporary file."""
    data = os.urandom(100_000)
    digests = await asyncio.gather(*(FileBlobs(tmp_path).put(data) for _ in range(20)))
    assert set(digests) == {digest_of_bytes(data)}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


async def test_full_disk_and_unwritable_directory_are_named(tmp_path: Path) -> None:
    """ENOSPC is DiskFull and leaves nothing behind; a file in the way is an error with the path."""
    with small_disk(tmp_path / "small", "64k") as small:
        blobs = FileBlobs(small)
        kept = await blobs.put(b"small")
        with pytest.raises(DiskFull) as caught:
            await blobs.put(os.urandom(200_000))
        assert str(small) in str(caught.value)
        assert await blobs.get(kept) == b"small"
        assert len([path for path in small.rglob("*") if path.is_file()]) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="file"):
        await FileBlobs(tmp_path / "file").put(b"x")


async def test_secrets_are_taken_out_before_anything_is_kept(tmp_path: Path) -> None:
    """Of text, and of the strings in JSON, which stays JSON; what holds none and what is binary is kept as it is."""
    secret = "ghp_" + "a" * 36
    blobs = FileBlobs(tmp_path, redact=Redactor({"MY_API_KEY": "very-own-value"}))
    text = await blobs.get(await blobs.put(f"token {secret}\n".encode()))
    record = json.loads(await blobs.get(await blobs.put(json.dumps({"said": f'"{secret}" very-own-value'}).encode())))
    assert secret not in text.decode()
    assert secret not in record["said"]
    assert "very-own-value" not in record["said"]
    for data in (b'{"a": 1}', b"plain", b"\xff" + secret.encode()):
        assert await blobs.get(await blobs.put(data)) == data
    open_blobs = FileBlobs(tmp_path / "open")
    assert secret.encode() in await open_blobs.get(await open_blobs.put(secret.encode()))
