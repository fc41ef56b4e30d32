"""A full disk under the state: a clear error, exit code 3, and the run goes on once there is space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disks import small_disk
from tests.cli.program import PLAN, Project, call

NOISE = {"execute": {"command": "head -c 30000 /dev/urandom | base64"}}


@pytest.fixture
def small(state: Path) -> Iterator[Path]:
    """The state directory on a file system of its own, 16 MiB."""
    with small_disk(state, "16m") as disk:
        yield disk


def fill(folder: Path, free: int) -> Path:
    """Leave so many KiB of the file system, and return the file that fills the rest."""
    filler = folder / "filler"
    facts = os.statvfs(folder)
    filler.write_bytes(b"\0" * max(0, facts.f_bavail * facts.f_frsize - free * 1024))
    return filler


@pytest.mark.docker
def test_the_disk_fills_at_many_points_of_a_run(project: Project, small: Path) -> None:
    """Wherever it happens (git store, blobs, ledger, checkpoints, transcripts): DiskFull, and nothing is lost."""
    model = project.script(*[NOISE] * 15, PLAN)
    started, places = 0, set()
    for free in (0, 8, 24, 64, 100, 124, 128, 132, 160, 400):
        filler = fill(small, free)
        said = call(*project.arguments(model), "--json")
        assert (said.code, said.result["error"]) == (3, "DiskFull"), (free, said)
        assert "no space left for" in said.result["message"]
        assert said.result["next"].startswith("free some space there")
        assert "Traceback" not in said.err
        places.add(Path(said.result["message"].removeprefix("no space left for ")).relative_to(small).parts[0])
        filler.unlink()
        for run in [line["id"] for line in call("runs", "--json").lines]:
            started += 1
            resumed = call("resume", run, "--json")
            assert (resumed.code, resumed.result["status"]) == (75, "parked"), (free, resumed)
            call("cancel", run)
            assert call("prune", "--run", run).code == 0
    assert started >= 5  # the disk was full in the middle of so many runs; the others could not begin
    assert {"ledger.sqlite3"} < places


@pytest.mark.docker
def test_a_full_disk_can_be_looked_at_and_emptied(project: Project, small: Path) -> None:
    """Where nothing can be written any more every command says so; with next to nothing left, pruning makes room."""
    run = project.park()
    call("cancel", run)
    fill(small, 0)
    for command in ("runs", "show", "prune"):
        said = call(command, *([run] if command == "show" else []), "--json")
        assert (said.code, said.result["error"]) == (3, "DiskFull"), said
    fill(small, 100)
    before = os.statvfs(small).f_bavail
    said = call("prune", "--run", run)
    assert said.code == 0, said
    assert os.statvfs(small).f_bavail > before
    assert call("runs", "--json").out == ""


def test_a_check_on_a_full_disk(project: Project, small: Path) -> None:
    """`assay check` says the same."""
    changed = project.change("x", {"x.py": "x = 1\n"})
    fill(small, 8)
    said = call("check", changed, "--repo", project.repo, "--json")
    assert (said.code, said.result["error"]) == (3, "DiskFull"), said


def test_a_state_directory_that_cannot_be_one(tmp_path: Path) -> None:
    """A file in its place, and a version that is unknown, are said with the path."""
    place = tmp_path / "file"
    place.write_text("")
    said = call("runs", "--state", place)
    assert said.code == 3
    assert str(place) in said.err
    future = tmp_path / "future"
    future.mkdir()
    (future / "version").write_text("99\n")
    said = call("runs", "--state", future)
    assert said.code == 2
    assert "has version 99" in said.err
