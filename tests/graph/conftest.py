"""Fixtures for the graph's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from run_world import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A fresh run in which everything is real but the people, the roles and the proof."""
    async with open_world(tmp_path) as made:
        yield made
