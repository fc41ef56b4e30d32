"""Real repositories, made with plain git as a user would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.store.repositories import UserRepository

from assay.store.git import GitStore


@pytest.fixture
def repo(tmp_path: Path) -> UserRepository:
    """A repository with one commit of two files."""
    made = UserRepository(tmp_path / "user" / "repo")
    made.commit({"README.md": "hello\n", "src/app.py": "print('one')\nprint('two')\nprint('three')\n"}, "first")
    return made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[GitStore]:
    """An empty store."""
    async with await GitStore.open(tmp_path / "state" / "git") as opened:
        yield opened
