"""What the tests of agents share: a local model server, and an environment without anybody's keys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.agents.bench import Bench, open_bench
from tests.agents.model_server import ModelServer, model_server

PROVIDER_VARIABLES = ("OPENAI_", "ANTHROPIC_", "OLLAMA_", "LANGSMITH_", "LANGCHAIN_", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the machine's environment says about providers."""
    for name in list(os.environ):
        if name.upper().startswith(PROVIDER_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench in a directory of the test's own."""
    async with open_bench(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    """A local server that speaks both protocols."""
    async with model_server() as running:
        yield running
