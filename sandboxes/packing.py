"""Trees packed for their way into a sandbox, as `supervisor/put.c` reads them."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Final

from assay.records.trees import EXECUTABLE, Contents, Tree
from assay.sandboxes.files import Body
from assay.sandboxes.frames import CHUNK, split_chunks
from assay.sandboxes.trees import Change, TreeView, is_link

BATCH: Final = 8 << 20
"""Bytes of content that are fetched or packed at a time."""
_BATCHES_AHEAD: Final = 4
"""Batches that are packed before there is a sandbox."""
_LENGTH: Final = struct.Struct("<I")


class Packed:
    """The beginning of a put of a whole tree, packed before there is a sandbox to put it into; made in a thread.

    Raises what reading its contents does, and SandboxRefused.
    """

    def __init__(self, tree: Tree, contents: Contents) -> None:
        self.change = Change.between(TreeView(), tree)
        self._chunks = split_chunks(_operations(self.change, tree, contents, clear=False))
        self._ahead = [batch for _ in range(_BATCHES_AHEAD) if (batch := _next_chunks(self._chunks))]

    def first_body(self, again: Body) -> Body:
        """Return what makes the body: from what is packed once, and with `again` for another attempt."""
        used = False

        def make() -> AsyncIterator[bytes]:
            nonlocal used
            used, before = True, used
            return again() if before else self._rest()

        return make

    async def _rest(self) -> AsyncIterator[bytes]:
        for batch in self._ahead:
            for chunk in batch:
                yield chunk
        self._ahead.clear()
        while batch := await asyncio.to_thread(_next_chunks, self._chunks):
            for chunk in batch:
                yield chunk


async def pack(change: Change, tree: Tree, contents: Contents, *, clear: bool) -> AsyncIterator[bytes]:
    """Yield the body of a put. Contents are read in a thread, some megabytes at a time."""
    operations = _operations(change, tree, contents, clear=clear)
    chunks = split_chunks(operations)
    while batch := await asyncio.to_thread(_next_chunks, chunks):
        for chunk in batch:
            yield chunk


def _next_chunks(chunks: Iterator[bytes]) -> list[bytes]:
    batch: list[bytes] = []
    for chunk in chunks:
        batch.append(chunk)
        if len(batch) * CHUNK >= BATCH:
            break
    return batch


def _operations(change: Change, tree: Tree, contents: Contents, *, clear: bool) -> Iterator[bytes]:
    if clear:
        yield b"X"
    for path in change.remove:
        yield b"D" + _text(os.fsencode(path))
    for path in change.write:
        file = tree[path]
        data = contents.read(file.oid)
        if is_link(file):
            yield b"L" + _text(os.fsencode(path)) + _text(data)
        else:
            mode = 0o755 if file.mode == EXECUTABLE else 0o644
            yield b"F" + _text(os.fsencode(path)) + struct.pack("<IQ", mode, len(data))
            yield data
    yield b"."


def _text(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data
