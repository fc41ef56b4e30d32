"""Trees that are packed before there is a sandbox."""

from __future__ import annotations

import random

import pytest

from assay.records.trees import EXECUTABLE, SYMLINK, TreeFile
from assay.sandboxes import packing
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.packing import Packed, pack
from assay.sandboxes.trees import Change, TreeView


@pytest.mark.parametrize("size", [10, 40_000, 300_000])
async def test_what_is_packed_ahead_is_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is packed ahead, the first attempt sends what a put does, and so does the next."""
    monkeypatch.setattr(packing, "BATCH", 100_000)
    chance, blobs = random.Random(size), Blobs()
    tree = {f"d/f{number}": blobs.file(chance.randbytes(size)) for number in range(5)}
    tree["run"] = TreeFile(EXECUTABLE, blobs.file(b"#!/bin/sh\n").oid)
    tree["link"] = TreeFile(SYMLINK, blobs.file(b"run").oid)
    change = Change.between(TreeView(), tree)
    wanted = [chunk async for chunk in pack(change, tree, blobs, clear=False)]
    packed = Packed(tree, blobs)
    body = packed.first_body(lambda: pack(change, tree, blobs, clear=False))
    assert packed.change == change
    assert [chunk async for chunk in body()] == wanted
    assert [chunk async for chunk in body()] == wanted


def test_what_cannot_be_read_is_told() -> None:
    """A blob that is missing is told by who packs."""
    with pytest.raises(KeyError):
        Packed({"a": TreeFile(EXECUTABLE, "0" * 40)}, Blobs())
