"""A tree of files as data: what travels between the git store and a sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

REGULAR: Final = 0o100644
EXECUTABLE: Final = 0o100755
SYMLINK: Final = 0o120000
GITLINK: Final = 0o160000
"""A submodule: `oid` names a commit of another repository, whose content is not held and cannot be read."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file: its git mode (regular, executable, symbolic link or gitlink) and the git id of its content."""

    mode: int
    oid: str


Tree = Mapping[str, TreeFile]
"""Path to file. Paths are relative, `/`-separated; names that are not UTF-8 carry surrogates
(`os.fsdecode`). Directories are implied, as in git."""


class Contents(Protocol):
    """Where the bytes behind a tree's ids are read."""

    def read(self, oid: str) -> bytes:
        """Return the content with this git blob id; raises KeyError when it is not held."""
        ...


@dataclass(frozen=True, slots=True)
class TakenTree:
    """What a sandbox gave back: the whole tree, and the bytes of what was not known before."""

    tree: Tree
    fresh: Mapping[str, bytes]
    """Git blob id to content, only for blobs that the sandbox had not been given."""


def blob_id(data: bytes) -> str:
    """Return the SHA-1 id that git gives to a blob with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
