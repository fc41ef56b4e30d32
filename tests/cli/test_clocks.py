"""Clocks that are set back, or run away: the order of what happened stays what it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from tests.cli.program import Project, call

import assay.app.wiring

pytestmark = pytest.mark.docker


class Backwards:
    """A clock on which each look is an hour before the one before."""

    def __init__(self) -> None:
        self._looks = count()

    def now(self) -> datetime:
        """Return an earlier time than ever before."""
        return datetime(2026, 11, 22, tzinfo=UTC) - timedelta(hours=next(self._looks))


class Late:
    """A clock that somebody set ten years ahead."""

    def now(self) -> datetime:
        """Return the time in ten years."""
        return datetime.now(UTC) + timedelta(days=3650)


def test_a_clock_that_goes_backwards(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes its way; the ledger's times never go back, it says so once a step, and nothing is negative."""
    monkeypatch.setattr(assay.app.wiring, "SystemClock", Backwards)
    said = call(*project.arguments(), "--json")
    assert said.code == 75, said
    times = [line["entry"]["at"] for line in said.lines if "entry" in line]
    assert len(times) > 4
    assert times == sorted(times)
    assert "clock_went_backwards" in said.err
    run = said.result["run"]
    resumed = call("resume", run, "--json")
    assert resumed.code == 75, resumed
    later = [line["entry"]["at"] for line in resumed.lines if "entry" in line]
    assert sorted(times + later) == times + later
    assert call("cancel", run).code == 0
    assert call("show", run, "--json").result["status"] == "cancelled"
    assert call("prune", "--json").result["runs"] == []  # it ended "in the future": too young to go by age
    assert call("prune", "--run", run).code == 0


def test_a_clock_that_was_ahead_for_a_while(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded in the future is listed, goes on, and is ended, once the clock is right again."""
    with monkeypatch.context() as ahead:
        ahead.setattr(assay.app.wiring, "SystemClock", Late)
        run = project.park()
    second = project.park()
    assert [line["id"] for line in call("runs", "--json").lines] == [run, second]
    assert call("resume", run).code == 75
    assert call("cancel", run).code == 0
    assert call("prune", "--older-than", "1", "--json").result["runs"] == []
    assert call("prune", "--run", run).code == 0
    assert call("resume", second).code == 75
