"""What the chaos tests share: one run that nobody killed, with a copy of its world at each of its points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from chaos_facts import Facts
from chaos_kills import Point
from chaos_worlds import Laboratory, World, laboratory, watch


@dataclass(frozen=True, slots=True)
class Course:
    """A run that went through, and what a kill would have left behind at each of its points."""

    whole: Facts
    left: tuple[tuple[Point, World], ...]


@pytest.fixture(scope="module")
def lab() -> Iterator[Laboratory]:
    """Where worlds are made, killed and resumed, on sandboxes without an engine."""
    with laboratory() as made:
        yield made


@pytest.fixture(scope="module")
def course(lab: Laboratory) -> Course:
    """A run that stopped before and after each append, so that its world could be copied there."""
    return go_through(lab)


def go_through(lab: Laboratory, **what: object) -> Course:
    """Let a run go through, and copy its world at each of its points."""
    world = lab.world()
    left: list[tuple[Point, World]] = []
    whole = watch(lab.job(world, start=True, **what), lambda point: left.append((point, lab.snapshot(world))))
    return Course(whole, tuple(left))
