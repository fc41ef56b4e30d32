"""Trees as tar archives, for people who take them elsewhere."""

from __future__ import annotations

import io
import tarfile

from assay.records.trees import EXECUTABLE, SYMLINK, TreeFile


def add_entry(archive: tarfile.TarFile, path: str, file: TreeFile, data: bytes) -> None:
    """Add a file of a tree: the same tree makes the same bytes. A link's data is where it leads."""
    entry = tarfile.TarInfo(path)
    entry.mode = 0o755 if file.mode == EXECUTABLE else 0o644
    if file.mode == SYMLINK:
        entry.type, entry.linkname = tarfile.SYMTYPE, data.decode(errors="surrogateescape")
        archive.addfile(entry)
    else:
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
