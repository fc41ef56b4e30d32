"""A run that is killed at any append to its ledger goes on from there, and comes to the same end."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from chaos_controls import Break
from chaos_facts import Facts, differences
from chaos_kills import PHASES, Phase, Where
from chaos_worlds import Laboratory, World, kill_all, perform_all, what_is_wrong, wrong_after
from pydantic import JsonValue
from tests.chaos.conftest import Course, go_through


def test_every_node_is_passed(course: Course) -> None:
    """The ticket leads through all that there is: a refutation, a doubt, every way to a person, delivery."""
    recorded = {key.partition(":")[0].partition(" ")[0] for key in course.whole.keys}
    assert recorded >= {
        *("started", "base", "model", "tool", "tree", "ended", "plan", "commit", "claim", "evidence", "verdict"),
        *("doubt", "gate", "question", "decision", "unit", "delivered"),
    }
    asked = sorted(" ".join(key.split(" ")[1:3]) for key in course.whole.keys if key.startswith("question "))
    on_the_way = ["expectation down", "plan None", "tool None", "tool down", "waiver down"]
    assert asked == ["delivery None", *on_the_way]
    assert {"verdict:up.1", "verdict:up.2", "verdict:down.1", "verdict:whole.1"} <= course.whole.keys.keys()
    assert differences(course.whole, course.whole) == ()


def test_killed_at_every_append(lab: Laboratory, course: Course) -> None:
    """Before each append and after it: the resumed run has the same tree, and did, asked and spent nothing twice.

    Before the first one there is no run yet; what was begun is begun anew, and nothing stands in the way.
    """
    everywhere = {(number, phase) for number in range(1, course.whole.points + 1) for phase in PHASES}
    assert {(point.number, point.phase) for point, _ in course.left} == everywhere
    assert wrong_after(course.left, course.whole, lab.resume) == {}


@pytest.mark.chaos
def test_killed_at_every_write_of_a_checkpoint(lab: Laboratory) -> None:
    """What LangGraph keeps and what the ledger holds never are of the same moment: each order of them is fine."""
    course = go_through(lab, watched="saver")
    assert {point.what for point, _ in course.left} == {"aput", "aput_writes"}
    assert wrong_after(course.left, course.whole, lab.resume) == {}


def test_a_copy_is_what_a_kill_leaves(lab: Laboratory, course: Course) -> None:
    """A real SIGKILL leaves the files that are in the copy of that point, where nothing goes on beside it."""
    keys = ("started", "model:run.planner.1:1", "question:", "ended:run.planner", "claim:whole", "delivered")
    points: list[tuple[Where, Phase]] = [(key, phase) for key in keys for phase in PHASES]
    for (key, phase), world in zip(points, kill_all(lab, points), strict=True):
        copy = next(w for p, w in course.left if p.phase == phase and p.what.startswith(str(key)))
        assert left_in(world) == left_in(copy), (key, phase)


def left_in(world: World) -> set[str]:
    """Return the files of a world, by names without the run's id and without digests."""
    files = [path for path in world.path.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {nameless(path.relative_to(world.path)) for path in files}


def nameless(path: Path) -> str:
    """Return a path with `*` for the run's id and for names that are digests."""
    parts = ["*" if part.startswith("r2026") else part for part in path.parts]
    digested = parts[:2] == ["state", "blobs"] or {"objects", "witnesses"} & {*parts} or "up-and-down" in path.name
    return "/".join([*parts[:2], "*"] if digested else parts)


def test_really_killed_at_some_appends(lab: Laboratory, course: Course) -> None:
    """A process that dies by SIGKILL in the middle of its threads and its git leaves a run that goes on, too."""
    points: list[tuple[Where, Phase]] = [(number, PHASES[number % 2]) for number in range(2, 110, 18)]
    wrong = what_is_wrong([lab.resume(world) for world in kill_all(lab, points)], course.whole)
    assert {str(point): text for point, text in zip(points, wrong, strict=True) if text} == {}


def test_killed_again_while_it_is_resumed(lab: Laboratory, course: Course) -> None:
    """Killed, killed while it was resumed, and killed again while that was resumed: it still comes to the same end."""
    worlds = [lab.snapshot(world) for _, world in course.left[4:200:40]]
    for kill in ((1, "after"), (3, "before"), (6, "after")):
        jobs = [lab.resume(world, kill=kill) for world in worlds]
        assert perform_all(jobs) == [-9] * len(jobs)
    wrong = what_is_wrong([lab.resume(world) for world in worlds], course.whole)
    assert [text for text in wrong if text] == []


BROKEN: tuple[tuple[Break, str, Phase, str], ...] = (
    ("ledger without keys", "question:", "after", "is in the ledger 2 times"),
    ("ledger without keys", "commit:run.integration", "after", "is in the ledger 1 times and not 0"),
    ("delivery that does not look", "delivered", "before", "is there already"),
    ("transcripts that are not kept", "tool:run.planner.1:1", "after", "the transcript ends before it"),
)
"""What is broken, where that matters, and what is said of it."""


def test_what_is_broken_is_seen(lab: Laboratory, course: Course) -> None:
    """With idempotence taken out of one place, a point at which it matters fails, and what is wrong is said."""
    assert {broken for broken, *_ in BROKEN} == set(get_args(Break))
    jobs = []
    for broken, begins, phase, _ in BROKEN:
        world = next(world for point, world in course.left if point.phase == phase and point.what.startswith(begins))
        jobs.append(lab.resume(lab.snapshot(world), broken=broken))
    for (*_, sign), wrong in zip(BROKEN, what_is_wrong(jobs, course.whole), strict=True):
        assert sign in wrong


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({"status": "parked"}, "it is parked"),
        ({"tree": "0" * 40}, "tree is 000"),
        ({"commands": 9}, "commands is 9"),
        ({"keys": {}}, "'delivered' is in the ledger 0 times and not 1"),
        ({"found": ("sha256:0",)}, "what the ledger held at the kill"),
        ({"branches": {"main": "1" * 40}}, "1 branches and not two"),
        ({"branches": {"main": "1" * 40, "other": "2" * 40}}, "other branches"),
        ({"delivered": "3" * 40}, "is no branch"),
        ({"untouched": False}, "was touched"),
        ({"sandboxes": 1}, "1 sandboxes are open"),
        ({"commits": {}}, "commit:up.coder.1 is None"),
    ],
)
def test_a_difference_is_seen(course: Course, change: dict[str, JsonValue], sign: str) -> None:
    """What is compared does count: each difference is named."""
    other = Facts.model_validate({**course.whole.model_dump(), **change})
    assert any(sign in text for text in differences(course.whole, other))
