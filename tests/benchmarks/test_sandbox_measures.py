"""What the benchmark of sandboxes says when a goal is missed or a peer cannot be run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.sandbox_measures import lives, trees
from benchmarks.sandbox_measures.tables import Table, ratio


def test_a_missed_goal_is_marked_and_counted() -> None:
    """What is more than its goal says so in its cell, and only that counts."""
    table = Table("Title", ["", "ms"])
    table.add("one", table.goal(1.0, 1.6, "times"))
    assert table.missed == 0
    table.add("two", table.goal(1.7, 1.6, "times"))
    assert table.missed == 1
    assert "| two | 1.70 times (goal 1.6, missed) |" in table.render()
    assert "| one | 1.00 times (goal 1.6) |" in table.render()


def test_ratios_are_of_neighbours() -> None:
    """A machine that slows down in the middle changes both sides of a ratio."""
    assert ratio([2, 2, 20], [1, 1, 10]) == 2
    with pytest.raises(ValueError, match="zip"):
        ratio([1], [])


async def test_a_peer_that_is_not_there_says_so(tmp_path: Path) -> None:
    """A peer without its environment has a reason in the place of figures."""
    peer = lives.Script("peer", "mini.py", ("mini-swe-agent",), "mini")
    assert await lives._run_peer(peer, "image", tmp_path, 1) == "not installed: run with --install-peers"


async def test_a_peer_that_fails_says_why(tmp_path: Path) -> None:
    """A peer whose script fails has its last line in the place of figures, as one cell."""
    python = tmp_path / "broken" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "broken.py").write_text("raise SystemExit('no engine | no figures')")
    peer = lives.Script("peer", str(tmp_path / "broken.py"), ("x",), "broken")
    assert await lives._run_peer(peer, "image", tmp_path, 1) == "no engine / no figures"


def test_a_change_that_was_not_taken_ends_the_benchmark() -> None:
    """Another content at the path, or the right id without its content: the figure would be of nothing."""
    blobs = trees.Blobs()
    right, other = blobs.add(b"1\n"), blobs.add(b"2\n")
    trees.require_taken({"a": right}, blobs, ["a"], b"1\n")
    with pytest.raises(RuntimeError, match="of a was not taken"):
        trees.require_taken({"a": other}, blobs, ["a"], b"1\n")
    with pytest.raises(RuntimeError, match="of a was not taken"):
        trees.require_taken({"a": right}, {}, ["a"], b"1\n")
