"""Logs: for people on a terminal, JSON elsewhere, the run's id on each line."""

from __future__ import annotations

import json
import logging
import os
import warnings

import pytest
import structlog
from tests.cli.program import Project, Said, call, execute
from tests.cli.terminals import Terminal

from assay.cli.sessions import run_session
from assay.cli.streams import Streams


def logged(said: Said) -> list[dict[str, str]]:
    """Return the log lines on standard error."""
    return [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]


@pytest.mark.docker
def test_json_where_no_terminal_is(project: Project) -> None:
    """With ASSAY_LOG=info every entry of the ledger is a log line, and each line has time, level, event and run."""
    said = execute(*project.arguments(), "--json", env={**os.environ, "ASSAY_LOG": "info"})
    lines = logged(said)
    assert {"run.started", "plan.made", "run.parked"} <= {line["event"] for line in lines}
    for line in lines:
        assert line["run"] == said.result["run"]
        assert line["level"] == "info"
        assert line["timestamp"].endswith("Z")


@pytest.mark.docker
def test_nothing_where_nothing_is_wrong(project: Project) -> None:
    """Without ASSAY_LOG only warnings and worse are logged."""
    assert logged(call(*project.arguments())) == []


@pytest.mark.docker
def test_for_people_on_a_terminal(project: Project) -> None:
    """On a terminal the lines are words in colour, beside the progress."""
    with Terminal(*project.arguments(), "--headless", environment={"ASSAY_LOG": "info"}) as terminal:
        assert terminal.end() == 75
    assert "\x1b[1mrun.started" in terminal.raw
    assert "] run.started" in terminal.text
    assert "run=r20" in terminal.text


def test_what_libraries_say_comes_in_the_same_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own logging and warnings become such lines, with the run's id; their chatter does not."""

    async def work(_streams: Streams) -> None:
        with structlog.contextvars.bound_contextvars(run="r1"):
            logging.getLogger("httpx").warning("%s went wrong", "something")
            logging.getLogger("httpx").info("chatter")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("a library's warning", UserWarning, stacklevel=1)
            structlog.get_logger().warning("ours", unit="one")

    monkeypatch.setenv("ASSAY_LOG", "info")
    run_session(work)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["warning"] * 3
    assert [line["run"] for line in lines] == ["r1"] * 3
    assert lines[0]["event"] == "something went wrong"
    assert "a library's warning" in lines[1]["event"]
    assert lines[2]["unit"] == "one"


def test_a_session_leaves_logging_as_it_was() -> None:
    """A host in whose process a command runs keeps its own handlers and settings."""
    before = list(logging.getLogger().handlers)
    call("runs")
    assert logging.getLogger().handlers == before
    assert not structlog.is_configured()
