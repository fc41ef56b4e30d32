"""A run that is killed at a call to the Docker engine goes on from there, and leaves no container behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import docker
import pytest
from chaos_facts import Facts
from chaos_kills import PHASES, Phase, Point, Where
from chaos_worlds import Laboratory, World, kill_all, laboratory, watch, what_is_wrong, wrong_after
from tests.chaos.conftest import go_through

from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.owners import LABEL

pytestmark = [
    pytest.mark.docker,
    pytest.mark.alone,  # what others left over is looked at, too, which makes more calls than the next time
]


SELDOM = frozenset({"inspect_container"})
"""Called only where the engine misses to tell, or for what somebody else left over: not in every run."""


@dataclass(frozen=True, slots=True)
class Called:
    """A run on real Docker that went through, and its calls to the engine."""

    lab: Laboratory
    whole: Facts
    points: tuple[Point, ...]


def called(lab: Laboratory) -> Called:
    """Let a run go through, noting its calls."""
    points: list[Point] = []
    whole = watch(lab.job(lab.world(), start=True, watched="engine"), points.append)
    return Called(lab, whole, tuple(points))


@pytest.fixture(scope="module")
def one() -> Iterator[Called]:
    """One unit with which nothing goes wrong: everybody who opens a sandbox opens one, or the two that proofs use."""
    with laboratory(docker=True, units=("over",)) as lab:
        yield called(lab)


def containers_of(worlds: Sequence[World]) -> list[str]:
    """Return the names of the containers of the runs in these worlds."""
    engine = docker.from_env()
    try:
        found = []
        for world in worlds:
            for run in (world.path / "state" / "runs").iterdir():
                labels = [LABEL, f"dev.assay.run={run.name}"]
                listed = engine.api.containers(all=True, filters={"label": labels})
                found += [f"{one['Names'][0]} {one['State']}" for one in listed if one["State"] != "removing"]
        return found
    finally:
        engine.close()


def kinds(points: Sequence[Point]) -> list[tuple[Where, Phase]]:
    """Return one point of each kind, each from another part of the run, so that every room is met at its calls."""
    chosen: list[tuple[Where, Phase]] = []
    methods = [m for m in dict.fromkeys(point.what for point in points) if m not in SELDOM]
    for number, (method, phase) in enumerate((m, p) for m in methods for p in PHASES):
        there = sorted((p for p in points if (p.what, p.phase) == (method, phase)), key=lambda p: p.number)
        chosen.append((there[(len(there) - 1) * (number % 7) // 7].place, phase))
    return chosen


def resumed_from(run: Called, points: Sequence[tuple[Where, Phase]], *, missed: int = 0) -> dict[str, str]:
    """Kill runs at points, resume each, and return what is wrong, by point."""
    worlds = kill_all(run.lab, points, missed=missed, watched="engine")
    wrong = what_is_wrong([run.lab.resume(world) for world in worlds], run.whole)
    assert containers_of(worlds) == []
    return {str(point): text for point, text in zip(points, wrong, strict=True) if text}


def test_killed_at_each_kind_of_call(one: Called) -> None:
    """Before and after each method of the engine: the resumed run has the same tree, and no container is left."""
    methods = {point.what for point in one.points}
    assert methods >= {"inspect_image", "create_container", "attach_socket", "start", "rename", "wait", "containers"}
    assert resumed_from(one, kinds(one.points)) == {}


@pytest.mark.chaos
def test_killed_at_every_call(one: Called) -> None:
    """The same for every single call of a run."""
    everywhere: list[tuple[Where, Phase]] = [(point.place, point.phase) for point in one.points]
    assert resumed_from(one, everywhere, missed=len(everywhere) // 20) == {}


@pytest.mark.chaos
async def test_killed_at_every_call_of_a_long_run() -> None:
    """What two units in parallel leave behind at each call is resumed, in sandboxes that only the engine lacks.

    The world is copied while the process is stopped at the call; that a copy is what a kill leaves is tried elsewhere.
    """
    async with DockerProvider() as provider:
        image = await provider.image(SandboxProfile())
    with laboratory(docker=True) as lab:
        course = go_through(lab, watched="engine")
        assert len({point.place for point, _ in course.left}) * 2 == len(course.left)
        resume = partial(lab.resume, memory=str(lab.host), image=image)
        assert wrong_after(course.left, course.whole, resume) == {}


def test_resumed_from_the_command_line(one: Called) -> None:
    """`assay resume RUN` is all that a person has to say; the run ends proven and delivered."""
    (world,) = kill_all(one.lab, [("evidence:regression.head", "after")])
    (run,) = (world.path / "state" / "runs").iterdir()
    assay = [sys.executable, "-c", "from assay.cli.entry import main; main()", "resume", run.name, "--json"]
    ended = subprocess.run(
        [*assay, "--decisions", str(one.lab.ticket.decisions)],
        env={**os.environ, "ASSAY_STATE": str(world.path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert (result["status"], result["verdict"]) == ("delivered", "proven")
    assert containers_of([world]) == []
