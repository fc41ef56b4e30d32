"""What a role has not saved when somebody stops it is kept, once, and only where it differs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.agents.bench import RUN, Bench, execute, open_bench, script, write

from assay.records.entries import EntryKind
from assay.records.trees import REGULAR
from assay.sandboxes.fake import FakeCommand, FakeFile, FakeOutcome


@pytest.mark.parametrize("changes", [True, False])
async def test_a_role_that_is_stopped_keeps_its_step(tmp_path: Path, changes: bool) -> None:
    """Ctrl-C in the middle of a command: what it had written is a commit; nothing is where it wrote nothing."""
    running = asyncio.Event()
    bench: Bench

    async def half(asked: FakeCommand) -> FakeOutcome | None:
        if asked.command != "half":
            return None
        if changes:
            (box,) = bench.sandboxes.open_sandboxes.values()
            box.files["/workspace/half.py"] = FakeFile(REGULAR, b"half = 1\n")
        running.set()
        await asyncio.Event().wait()
        return None

    async with open_bench(tmp_path, half) as bench:  # type: ignore[arg-type]
        working = asyncio.create_task(bench.agent(script("coder", write("a.py", "one"), execute("half"))).advance({}))
        await running.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert not bench.sandboxes.open_sandboxes
        entries = await bench.entries(EntryKind.WORK_RESCUED)
        assert len(entries) == changes
        if changes:
            ((name, commit),) = (await bench.git.refs(f"refs/assay/rescued/{RUN}")).items()
            assert entries[0].body["refs"] == {name: commit}
            files = await bench.files(await bench.git.tree_id(commit))
            assert (files["half.py"], files["a.py"]) == (b"half = 1\n", b"one")
