"""A step costs as much on disk late in a run as early in it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.agent_contenders import SteppingModel, run_ours, run_with_saver


async def left_behind(root: Path, steps: int, *, saver: bool = False) -> int:
    """Return the bytes that a run of so many steps leaves."""
    root.mkdir(parents=True)
    await (run_with_saver if saver else run_ours)(SteppingModel(steps=steps, size=2000, asked=[]), root)
    return sum(path.lstat().st_size for path in root.rglob("*") if path.is_file())


async def test_bytes_on_disk_grow_with_the_steps_and_no_faster(tmp_path: Path) -> None:
    """The second forty steps cost what the first forty did, to a tenth."""
    sizes = [await left_behind(tmp_path / str(steps), steps) for steps in (10, 50, 90)]
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert abs(second - first) < first / 10
    assert second / 40 < 8_000


async def test_a_journal_that_is_rewritten_at_each_step_would_be_seen(tmp_path: Path) -> None:
    """Negative control: a saver that writes the whole conversation again grows faster and faster."""
    sizes = [await left_behind(tmp_path / str(steps), steps, saver=True) for steps in (5, 20, 35)]
    assert sizes[2] - sizes[1] > 1.5 * (sizes[1] - sizes[0])
