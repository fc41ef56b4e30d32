"""What agents need of the git store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from assay.records.trees import Contents, Tree


class GitObjects(Protocol):
    """Trees and commits, and the refs that keep them alive."""

    @property
    def contents(self) -> Contents:
        """Where blobs are read."""
        ...

    async def tree(self, revision: str) -> Tree:
        """Return the files of a commit or tree."""
        ...

    async def tree_id(self, revision: str) -> str:
        """Return the id of a commit's tree."""
        ...

    async def write_tree(self, tree: Tree, fresh: Mapping[str, bytes]) -> str:
        """Write a tree with the contents that are new, and return its id."""
        ...

    async def commit_tree(self, tree: str, parents: Iterable[str], message: str, *, author: str, at: datetime) -> str:
        """Make a commit and return its id."""
        ...

    async def set_ref(self, name: str, target: str) -> None:
        """Point a ref to an object, which keeps it alive."""
        ...
