"""What becomes of a proven unit of which lines could be otherwise without any check's noticing."""

from __future__ import annotations

from dataclasses import replace

from run_world import Work, World, by_the_book, finished

from assay.agents.protocol import RoleTask
from assay.policies.settings import CheckpointSettings
from assay.records.claims import ClaimDraft, ClaimKind
from assay.records.decisions import CheckpointKind, DecisionType
from assay.records.runs import RunStatus
from assay.records.unproven import UnprovenLine


async def test_unproven_lines_go_to_a_person_and_from_there_to_the_tester(world: World) -> None:
    """Asked for, they are a question with their reasons; a message asks the tester for more, and the work is kept."""
    idle = (UnprovenLine(path="one.py", line=1, why="changeable", changes=(("done = 1", "done = 2"),)),)
    world.bench.unproven = {"one.1": idle, "one.2": idle}
    checkpoints = CheckpointSettings(unproven=True)
    world.services = replace(
        world.services, settings=world.services.settings.model_copy(update={"checkpoints": checkpoints})
    )

    def adds(task: RoleTask) -> Work:
        stated = by_the_book(task)
        return Work({**stated.files, "tests/test_more.py": "def test(): assert 'more'\n"}, stated.result)

    def keeps(_: RoleTask) -> Work:
        return Work(result=ClaimDraft(kind=ClaimKind.FIX, statement="as it was"))

    acts = {("tester", "one", 2): adds, ("coder", "one", 2): keeps}
    state = await world.go(acts=acts, answers={"unproven:one.1": (DecisionType.RESPOND, "what of two?")})
    assert finished(state, RunStatus.DELIVERED)
    asked = [q for q in world.asked if q.kind is CheckpointKind.UNPROVEN]
    assert [q.id for q in asked] == ["unproven:one.1", "unproven:one.2"], "the second one was approved"
    reason = "every check passes with `done = 2` for `done = 1`"
    assert f"- `one.py:1` {reason}" in asked[0].description
    tester = [t for t in world.cast.seen if t.role == "tester"][1]
    assert "what of two?" in tester.brief
    assert f"one.py:1: {reason}" in tester.brief
    assert reason not in "".join(t.brief for t in world.cast.seen if t.role == "coder"), "it may tell what is held out"
    coder = [t for t in world.cast.seen if t.role == "coder"][1]
    assert await world.text_at(coder.commit, "one.py") == "done = 1\n", "its work is where it starts"
    assert await world.text_at(coder.commit, "tests/test_more.py") == "def test(): assert 'more'\n"
    assert world.in_repo("show", "assay/do-it:one.py") == "done = 1"


async def test_nobody_is_asked_about_unproven_lines_unless_the_policy_says_so(world: World) -> None:
    """They stand in the report, and in the question of delivery."""
    world.bench.unproven = {"one.1": (UnprovenLine(path="one.py", line=1),)}
    assert finished(await world.go(), RunStatus.DELIVERED)
    assert CheckpointKind.UNPROVEN not in [q.kind for q in world.asked]


async def test_unproven_lines_can_be_rejected(world: World) -> None:
    """Then nothing is delivered."""
    world.bench.unproven = {"one.1": (UnprovenLine(path="one.py", line=1),)}
    settings = world.services.settings.model_copy(update={"checkpoints": CheckpointSettings(unproven=True)})
    world.services = replace(world.services, settings=settings)
    state = await world.go(answers={"unproven:": (DecisionType.REJECT, "no")})
    assert finished(state, RunStatus.REJECTED)
