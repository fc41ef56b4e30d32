"""Looks at a repository for `assay init`."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path

from assay.policies.proposals import propose_settings, wanted_texts
from assay.records.trees import EXECUTABLE, REGULAR
from assay.store.git import GitStore

_MOST_BYTES = 200_000
"""Of one file that is read; a manifest is never longer."""


async def propose(repo: Path) -> str:
    """Return the text of an `assay.toml` that fits the repository at its HEAD; raises RepositoryError."""
    with tempfile.TemporaryDirectory(prefix="assay-init-") as folder:
        git = await GitStore.open(Path(folder) / "git")
        try:
            commit = await git.adopt(repo, "HEAD", f"refs/assay/init/{secrets.token_hex(4)}")
            tree = await git.tree(commit)
            texts = {}
            for path in wanted_texts(tuple(sorted(tree))):
                if tree[path].mode in (REGULAR, EXECUTABLE):
                    data = await asyncio.to_thread(git.contents.read, tree[path].oid)
                    texts[path] = data[:_MOST_BYTES].decode(errors="replace")
            return propose_settings(sorted(tree), texts)
        finally:
            await git.close()
