"""The built-in agent from its first question to its result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.agents.protocol import Finished
from assay.records.claims import ClaimDraft
from assay.records.entries import EntryKind
from tests.agents.bench import SUBMIT, Bench, execute, open_bench, script, write


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench in a directory of the test's own."""
    async with open_bench(tmp_path / "state") as opened:
        yield opened


async def test_a_coder_changes_a_file_and_claims_it(bench: Bench) -> None:
    """The result is the typed claim, and the tree is the workspace at the end."""
    agent = bench.agent(script("coder", write("calc.py", "x = 1\n"), execute("put more.py y"), SUBMIT))
    done = await agent.advance({})
    assert isinstance(done, Finished)
    assert ClaimDraft.model_validate_json(await bench.blobs.get(done.result)).statement == "add adds"
    files = await bench.files(done.tree)
    assert files["calc.py"] == b"x = 1\n" and files["more.py"] == b"y"
    kinds = [entry.kind for entry in await bench.entries()]
    assert kinds.count(EntryKind.MODEL_CALLED) == 3
    assert kinds.count(EntryKind.TOOL_CALLED) == 3
    assert kinds.count(EntryKind.TREE_SAVED) == 2
    assert kinds[-1] is EntryKind.ROLE_ENDED
    assert not bench.sandboxes.open_sandboxes
