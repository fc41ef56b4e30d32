"""Runs in a list, one by one, ended and deleted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.cli.program import PLAN, SLEEP, Project, Start, call, containers, finish, wait_for_command

pytestmark = pytest.mark.docker


def test_nothing_was_run_yet() -> None:
    """An empty list says how to begin, and as JSON it is empty."""
    assert "assay run TICKET.md" in call("runs").out
    assert call("runs", "--json").out == ""


def test_a_parked_run_is_listed_and_shown(project: Project) -> None:
    """The list has id, status and title; `show` has what is open, where the report is, and how to go on."""
    run = project.park()
    listed = call("runs")
    assert [word in listed.out for word in (run, "parked", "Discounts round")] == [True] * 3
    (line,) = call("runs", "--json").lines
    assert (line["id"], line["status"], line["repo"]) == (run, "parked", str(project.repo))
    shown = call("show", run)
    assert shown.code == 0
    assert "Open: plan: Is this the plan?" in shown.out
    assert f"assay resume {run}" in shown.out
    result = call("show", run, "--json").result
    assert result["status"] == "parked"
    assert [question["checkpoint"] for question in result["open"]] == ["plan"]
    assert Path(result["report"]).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("command", ["show", "resume", "cancel"])
@pytest.mark.parametrize("run", ["r20260101-00000000", "../../etc/passwd", "", "\x1b[31mred"])
def test_a_run_that_is_unknown(command: str, run: str) -> None:
    """It is named, with how to find the right one, and a terminal is safe from it."""
    said = call(command, run)
    assert said.code == 2
    assert "there is no run" in said.err
    assert "`assay runs` lists them" in said.err
    assert "\x1b" not in said.err


def test_a_parked_run_is_cancelled_for_good(project: Project) -> None:
    """What is over stays over: it is not resumed and not cancelled again, and `show` says why it ended."""
    run = project.park()
    said = call("cancel", run, "--reason", "we found another way", "--json")
    assert (said.code, said.result["status"], said.result["reason"]) == (0, "cancelled", "we found another way")
    assert "we found another way" in call("show", run).out
    for command in ("resume", "cancel"):
        again = call(command, run)
        assert again.code == 2
        assert "is over" in again.err
        assert "we found another way" in again.err


def test_a_running_run_is_cancelled_from_elsewhere(project: Project, start: Start) -> None:
    """The process that advances it stops cleanly, says who ended it and why, and ends as cancelled."""
    process = start(*project.arguments(project.script(SLEEP)), "--json")
    run = wait_for_command(process, "sleep 300")
    shown = call("show", run, "--json").result
    assert shown["status"] == "running"
    assert f"assay resume {run}" not in call("show", run).out
    assert call("cancel", run, "--reason", "enough").code == 0
    said = finish(process)
    assert said.code == 4
    assert f"run {run} was cancelled: enough" in said.err
    assert call("show", run, "--json").result["status"] == "cancelled"
    assert containers(run) == []


def test_pruning_takes_what_is_over_and_nothing_else(project: Project, state: Path) -> None:
    """By age only what is over goes; a dry run says so first; then every trace of it is gone."""
    over, parked = project.park(), project.park()
    call("cancel", over)
    assert call("prune", "--json").result["runs"] == []
    dry = call("prune", "--older-than", "0", "--dry-run", "--json").result
    assert dry["runs"] == [over]
    assert call("show", over).code == 0
    done = call("prune", "--older-than", "0", "--json").result
    assert done["runs"] == [over]
    assert done["bytes"] > 0
    assert call("show", over).code == 2
    assert [line["id"] for line in call("runs", "--json").lines] == [parked]
    traces = [path for path in state.rglob("*") if path.is_file() and over.encode() in path.read_bytes()]
    assert traces == []
    assert call("resume", parked).code == 75


def test_pruning_one_run(project: Project) -> None:
    """`--run` takes one whatever its age, and refuses one that is unknown or not over."""
    run = project.park()
    refused = call("prune", "--run", run)
    assert refused.code == 2
    assert f"`assay cancel {run}` ends it" in refused.err
    call("cancel", run)
    assert call("prune", "--run", run).code == 0
    gone = call("prune", "--run", run)
    assert gone.code == 2
    assert "there is no run" in gone.err


def test_pruning_takes_blobs_that_nothing_needs(project: Project, state: Path) -> None:
    """Old blobs of a deleted run go; those that another run names stay, and so do fresh ones."""
    first, second = project.park(), project.park()
    call("cancel", first)
    call("cancel", second)
    stray = state / "blobs" / "00" / ("0" * 62)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x" * 1000)
    blobs = [path for path in (state / "blobs").rglob("*") if path.is_file()]
    call("prune", "--run", first)
    assert stray.exists()  # it may be a run's that is just being recorded
    old = time.time() - 3 * 24 * 3600
    for path in blobs:
        os.utime(path, (old, old))
    assert call("prune", "--json").result["bytes"] >= 1000
    assert not stray.exists()
    assert call("show", second).code == 0  # reads ticket, settings and plan of a run that is still there
    call("prune", "--run", second)
    assert [path for path in (state / "blobs").rglob("*") if path.is_file()] == []


def test_a_run_that_is_not_over_keeps_what_it_has_not_yet_named(project: Project, state: Path) -> None:
    """While a run is parked, no blob goes that was kept since it began: its state may name it, and only its state."""
    project.park()
    fresh = state / "blobs" / "00" / ("0" * 62)
    fresh.parent.mkdir(exist_ok=True)
    fresh.write_bytes(b"feedback")
    soon = time.time() + 60
    os.utime(fresh, (soon, soon))
    call("prune", "--older-than", "0")
    assert fresh.exists()


def test_a_run_whose_process_was_killed_is_listed_as_failed(project: Project, start: Start) -> None:
    """A killed process leaves no lie: the run is no longer running, and says how to go on."""
    process = start(*project.arguments(project.script(SLEEP, PLAN)), "--json")
    run = wait_for_command(process, "sleep 300")
    process.kill()
    finish(process)
    (line,) = call("runs", "--json").lines
    assert line["status"] == "failed"
    assert f"`assay resume {run}` goes on" in line["reason"]
    assert call("show", run, "--json").result["status"] == "failed"
