"""A model behind a real client that misbehaves: the run parks or stops, says why, and goes on when it is better."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from tests.agents.model_server import ModelServer, Reply, failure, model_server, openai_answer
from tests.cli.program import PLAN, Project, Said, call

pytestmark = pytest.mark.docker


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server on a loop of its own, since the program runs one in this thread."""
    ready: list[ModelServer] = []
    started, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with model_server() as running:
            ready.append(running)
            started.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{ready[0].url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    yield ready[0]
    over.set()
    thread.join()


def plan_answer() -> Reply:
    """Return an answer that hands in a plan."""
    return openai_answer(calls=[("submit_plan", json.dumps(PLAN["submit_plan"]))])


def run(project: Project) -> Said:
    """Start a run with the local model, with nobody to ask."""
    return call(*project.arguments("openai:gpt-test"), "--headless", "--json")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (openai_answer(""), "answers in a row that call no tool"),
        (openai_answer(None, refusal="I must not."), "the model refused: I must not."),
        (openai_answer(calls=[("ls", '{"path": "/workspace"}')]), "made the same call"),
        (openai_answer("x" * 1_000_000), "answers in a row that call no tool"),
        (openai_answer(calls=[("ls", "[" * 1_000_000)]), "in a row"),
    ],
    ids=["nothing", "refusal", "loop", "megabyte", "megabyte of arguments"],
)
def test_a_model_that_gets_nowhere(project: Project, server: ModelServer, reply: Reply, reason: str) -> None:
    """The role is stopped with the reason, a person is asked, and with a better answer the run goes on."""
    server.says(reply)
    said = run(project)
    assert (said.code, said.result["status"]) == (75, "parked"), said
    assert said.result["open"][0]["checkpoint"] == "budget"
    shown = call("show", said.result["run"])
    assert "A limit was reached" in shown.out
    reached = [line["entry"]["body"] for line in said.lines if line.get("entry", {}).get("kind") == "budget.reached"]
    assert reason in reached[0]["reason"]
    assert len(said.out) < 200_000  # a megabyte from a model is not a megabyte in the ledger
    server.replies.clear()
    server.says(plan_answer())
    again = project.decisions({"checkpoint": "budget", "decision": "respond", "message": "Use the tools."})
    resumed = call("resume", said.result["run"], "--decisions", again, "--json")
    assert (resumed.code, resumed.result["open"][0]["checkpoint"]) == (75, "plan"), resumed


def test_a_model_that_is_not_reachable(project: Project, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no budget of anybody's: the run fails with exit code 3, and `assay resume` goes on."""
    settings = project.folder / "assay.toml"
    settings.write_text("[agents.planner]\nparameters = {max_retries = 0}\n")
    server.says(failure(401, "no such key"), plan_answer())
    said = call(*project.arguments("openai:gpt-test"), "--config", settings, "--json")
    assert (said.code, said.result["error"]) == (3, "ModelUnavailable"), said
    assert "check the provider's key" in said.result["next"]
    (listed,) = call("runs", "--json").lines
    assert listed["status"] == "failed"
    assert "no such key" in listed["reason"]
    resumed = call("resume", listed["id"], "--json")
    assert (resumed.code, resumed.result["open"][0]["checkpoint"]) == (75, "plan"), resumed


def test_a_model_without_its_package_or_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named before anything is recorded."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    said = call(*project.arguments("openai:gpt-test"), "--json")
    assert (said.code, said.result["error"]) == (2, "ConfigurationError"), said
    assert "key" in said.result["next"]
    said = call(*project.arguments("nobody:x"), "--json")
    assert (said.code, said.result["error"]) == (2, "ConfigurationError"), said
    assert call("runs", "--json").out == ""
