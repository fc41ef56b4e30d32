"""Engines that are not there, lack the image, or die in the middle; sandboxes that are killed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.program import PLAN, SLEEP, Project, Start, busy, call, containers, finish, wait_for_command
from tests.own_engines import OwnEngine, own_engine, processes


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine at whose address nobody answers."""
    host = f"unix://{tmp_path}/nobody.sock"
    monkeypatch.setenv("DOCKER_HOST", host)
    return host


def test_no_engine(project: Project, nobody: str) -> None:
    """Whatever needs an engine says that none answers and what to do; nothing is recorded."""
    for arguments in (project.arguments(), ["check", "main..main", "--repo", project.repo], ["sandbox", "build"]):
        said = call(*arguments)
        assert said.code == 3
        assert "No Docker engine answers" in said.err
        assert "next: assay doctor" in said.err
    assert call("runs", "--json").out == ""
    result = call(*project.arguments(), "--json").result
    assert (result["error"], result["exit_code"]) == ("EngineUnavailable", 3)


def test_what_needs_no_engine_works_without_one(project: Project, nobody: str) -> None:
    """Lists, deletion, settings and the policy can be looked at on any machine."""
    for arguments in (["runs"], ["prune"], ["init", "--repo", project.repo, "--print"]):
        assert call(*arguments).code == 0
    assert call("policy", "check", "ls", "--repo", project.repo).code == 0


def test_doctor_says_what_is_missing(nobody: str) -> None:
    """The engine is named as missing, with the command that mends it; exit code 3."""
    said = call("doctor")
    assert said.code == 3
    assert "missing  docker engine" in said.out
    assert f"mend it: start the engine at {nobody}" in said.out
    found = {line["subject"]: line for line in call("doctor", "--json").lines}
    assert found["git"]["ok"] is True
    assert found["docker engine"]["ok"] is False
    assert nobody in found["docker engine"]["mend"]


@pytest.mark.docker
def test_doctor_is_content() -> None:
    """Where everything is there it says so, with exit code 0 and nothing to mend."""
    said = call("doctor", "--json")
    assert said.code == 0, said
    assert all(line["ok"] and line["mend"] is None for line in said.lines)
    assert {"git", "docker engine", "image python"} <= {line["subject"] for line in said.lines}


@pytest.mark.docker
def test_the_image_is_missing(project: Project, tmp_path: Path) -> None:
    """The image is named with the command that builds it, before anything is recorded."""
    settings = tmp_path / "assay.toml"
    settings.write_text('[sandboxes.default]\nimage = "nowhere"\n')
    for arguments in (project.arguments(), ["check", project.change("x", {"x.py": "x = 1\n"}), "--repo", project.repo]):
        said = call(*arguments, "--config", settings)
        assert said.code == 3, said
        assert "assay-sandbox/nowhere:latest" in said.err
        assert "assay sandbox build nowhere" in said.err
    assert call("runs", "--json").out == ""


@pytest.mark.docker
def test_a_sandbox_is_killed_under_its_command(project: Project, start: Start) -> None:
    """The command runs again in a fresh sandbox; killed once more, it is given up, the role is told, and goes on."""
    model = project.script(SLEEP, {"expect": "sandbox ended while this ran, twice", "call": PLAN})
    process = start(*project.arguments(model), "--json")
    run = wait_for_command(process, "sleep 300")
    (container,) = containers(run)
    subprocess.run(["docker", "kill", container], check=True, stdout=subprocess.DEVNULL)
    wait_for_command(process, "sleep 300", run=run, other_than=container)
    for box in containers(run):
        subprocess.run(["docker", "kill", box], check=False, capture_output=True)
    said = finish(process)
    assert (said.code, said.result["status"]) == (75, "parked"), said
    assert containers(run) == []


@pytest.fixture
def engine() -> Iterator[OwnEngine]:
    """A second engine, with the sandbox image."""
    with own_engine("engine") as made:
        yield made


@pytest.mark.docker
def test_the_engine_dies_in_the_middle(
    project: Project, start: Start, engine: OwnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops at once with exit code 3; when the engine is back, the run goes on, and nothing of before runs."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    waiting = busy(25)
    command = waiting["execute"]["command"]
    process = start(*project.arguments(project.script(waiting, PLAN)), "--json")
    run = wait_for_command(process, "while [")
    assert processes(command)
    engine.kill()
    killed = time.monotonic()
    said = finish(process, 30)
    assert time.monotonic() - killed < 15
    assert said.code == 3, said
    assert said.result["error"] == "EngineUnavailable"
    assert f"assay resume {run}" in said.result["next"]
    assert call("runs", "--json").result["status"] == "failed"
    assert call("resume", run).code == 3  # still no engine, and still resumable
    engine.start()
    resumed = call("resume", run, "--json")
    assert (resumed.code, resumed.result["status"]) == (75, "parked"), resumed
    end = time.monotonic() + 15
    while containers(run) and time.monotonic() < end:
        time.sleep(0.2)  # what was lost ends by itself, and the engine removes it in its own time
    assert containers(run) == []
    assert processes(command) == []
