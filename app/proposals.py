"""Looks at a repository for `assay init`."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from assay.policies.proposals import propose_settings, wanted_texts
from assay.records.trees import EXECUTABLE, REGULAR
from assay.store.git import GitStore

_MOST_BYTES = 200_000
"""Of one file that is read; a manifest is never longer."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An `assay.toml` that fits a repository."""

    text: str
    folder: Path | None
    """Where it belongs: the root of the work tree; None where there is none."""


async def propose(repo: Path) -> Proposal:
    """Return what fits the repository at its HEAD; raises RepositoryError."""
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
            facts = await git.inspect(repo)
            return Proposal(propose_settings(sorted(tree), texts), None if facts.bare else Path(facts.path))
        finally:
            await git.close()
