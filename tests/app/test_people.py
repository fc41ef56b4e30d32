"""An answer counts only with its credential, for exactly what was shown."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assay.app.people import LocalPeople
from assay.errors import DecisionError
from assay.records.decisions import CheckpointKind, DecisionType, Question

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
QUESTION = Question(
    id="plan:1",
    run="r1",
    kind=CheckpointKind.PLAN,
    title="Is this the plan?",
    args={"plan": {"units": []}},
    description="one unit",
    allowed=(DecisionType.APPROVE, DecisionType.EDIT, DecisionType.RESPOND),
)


@pytest.fixture
def people(tmp_path: Path) -> LocalPeople:
    """People with a key of their own."""
    return LocalPeople.at(tmp_path / "key")


def answer(people: LocalPeople, kind: DecisionType = DecisionType.APPROVE, **more: Any) -> dict[str, Any]:
    """Return a good answer."""
    return people.answer(QUESTION, kind, by="ana", via="terminal", at=AT, **more)


def test_a_good_answer_names_who_when_and_what(people: LocalPeople) -> None:
    """The decision carries the person, the place, the time and the digest of the question."""
    decision = people.accept(answer(people, message="fine"), QUESTION)
    assert (decision.by, decision.via, decision.at, decision.digest) == ("ana", "terminal", AT, QUESTION.digest)
    assert decision.message == "fine"


def test_an_edit_carries_the_edited_arguments(people: LocalPeople) -> None:
    """LangChain's `edited_action` comes back as the decision's arguments."""
    decision = people.accept(answer(people, DecisionType.EDIT, args={"plan": {"units": [1]}}), QUESTION)
    assert decision.args == {"plan": {"units": [1]}}


def test_the_key_is_private_and_stays(tmp_path: Path) -> None:
    """It is made once, for the owner alone; who opens it again accepts the same answers."""
    first = LocalPeople.at(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert LocalPeople.at(tmp_path / "key").accept(answer(first), QUESTION).type is DecisionType.APPROVE


def test_another_key_does_not_count(people: LocalPeople, tmp_path: Path) -> None:
    """Who cannot read the key cannot answer."""
    with pytest.raises(DecisionError, match="credential does not fit"):
        people.accept(answer(LocalPeople.at(tmp_path / "other")), QUESTION)


@pytest.mark.parametrize(
    "path", [("decisions", 0, "type"), ("credential", "by"), ("credential", "via"), ("credential", "at")]
)
def test_any_change_breaks_the_seal(people: LocalPeople, path: tuple[Any, ...]) -> None:
    """Decision, person, place and date are all under the seal."""
    forged = copy.deepcopy(answer(people))
    place: Any = forged
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "respond" if path[-1] == "type" else "2020-01-01T00:00:00+00:00"
    with pytest.raises(DecisionError, match="credential does not fit"):
        people.accept(forged, QUESTION)


def test_an_answer_about_something_else_does_not_count(people: LocalPeople) -> None:
    """When what is shown has changed, an answer given before is void."""
    changed = QUESTION.model_copy(update={"description": "two units"})
    with pytest.raises(DecisionError, match="something else"):
        people.accept(answer(people), changed)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "approve",
        {},
        {"decisions": [{"type": "approve"}]},
        {"decisions": [{"type": "approve"}], "digest": QUESTION.digest},
        {"decisions": [], "digest": QUESTION.digest, "credential": {}},
        {"decisions": [{"type": "approve"}] * 2, "digest": QUESTION.digest, "credential": {}},
    ],
)
def test_a_bare_answer_does_not_count(people: LocalPeople, broken: object) -> None:
    """What any LangGraph client could send without a credential is refused."""
    with pytest.raises(DecisionError):
        people.accept(broken, QUESTION)


def test_an_answer_that_is_not_allowed_does_not_count(people: LocalPeople) -> None:
    """A question says which answers it takes."""
    with pytest.raises(DecisionError, match="takes approve, edit, respond"):
        people.accept(answer(people, DecisionType.REJECT), QUESTION)


def test_a_response_must_say_something(people: LocalPeople) -> None:
    """An empty message would tell the agent nothing."""
    with pytest.raises(DecisionError, match="say something"):
        people.accept(answer(people, DecisionType.RESPOND, message="  "), QUESTION)
