"""The small decisions of the application service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.app.checks import infer_kind, parse_range, read_claim
from assay.app.manifests import with_model
from assay.app.statuses import open_questions, status_of
from assay.errors import ConfigurationError, UsageError
from assay.policies.settings import RoleSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.decisions import CheckpointKind, Decision, DecisionType, Question
from assay.records.entries import Entry, EntryKind
from assay.records.runs import RunStatus

AT = datetime(2026, 11, 22, tzinfo=UTC)


def entry(kind: EntryKind, seq: int, **body: object) -> Entry:
    """Return an entry with this body."""
    return Entry.model_validate(
        {"run": "r", "seq": seq, "kind": kind, "key": str(seq), "body": body, "at": AT, "previous": ""}
    )


@pytest.mark.parametrize(
    ("program", "tests", "stated", "kind"),
    [
        ((), (), False, ClaimKind.DOCS),
        ((), ("tests/test_x.py",), False, ClaimKind.TESTS),
        ((), ("test/x.js",), False, ClaimKind.TESTS),
        ((), ("tests/conftest.py", "pytest.ini"), False, ClaimKind.REFACTOR),
        ((), ("tests/data/x.json",), False, ClaimKind.REFACTOR),
        (("src/x.py",), (), False, ClaimKind.REFACTOR),
        (("src/x.py",), (), True, ClaimKind.FIX),
        (("src/x.py",), ("tests/test_x.py",), False, ClaimKind.FIX),
    ],
)
def test_a_change_without_a_claim_is_what_it_touches(
    program: tuple[str, ...], tests: tuple[str, ...], stated: bool, kind: ClaimKind
) -> None:
    """Nothing that anybody says is needed for that, and trusted tests say that it does something."""
    assert infer_kind(program, tests, stated=stated) is kind
    assert infer_kind(program, tests, stated=stated, pinned=True) is ClaimKind.DEPENDENCY


@pytest.mark.parametrize(("text", "pair"), [("main..x", ("main", "x")), ("a..", ("a", "HEAD"))])
def test_a_range_names_base_and_head(text: str, pair: tuple[str, str]) -> None:
    """As git writes it; an empty head is HEAD."""
    assert parse_range(text) == pair


@pytest.mark.parametrize("text", ["", "main", "..x", "a...b"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(UsageError, match=r"main\.\.my-branch"):
        parse_range(text)


def test_a_claim_that_cannot_be_used_says_where(tmp_path: Path) -> None:
    """The field is named."""
    path = tmp_path / "claim.json"
    path.write_text('{"kind": "fix", "statement": "s", "nonsense": 1}')
    with pytest.raises(ConfigurationError, match="nonsense"):
        read_claim(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_claim(tmp_path / "none.json")


def test_a_role_without_a_model_is_an_error() -> None:
    """It names the roles, and where to put one."""
    settings = Settings(agents={"coder": RoleSettings(model="openai:x")})
    with pytest.raises(ConfigurationError, match="planner, tester, reviewer"):
        with_model(settings, None)
    given = with_model(settings, "anthropic:y")
    assert [given.role(r).model for r in ("planner", "coder")] == ["anthropic:y", "openai:x"]


def test_an_end_is_an_end() -> None:
    """What a process still records after a run was cancelled does not bring it back."""
    ended = entry(EntryKind.RUN_ENDED, 2, status="cancelled", reason="no")
    entries = [entry(EntryKind.RUN_STARTED, 1), ended, entry(EntryKind.RUN_PARKED, 3, reason="stopped")]
    assert status_of(entries) == (RunStatus.CANCELLED, "no")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (EntryKind.RUN_PARKED, RunStatus.PARKED),
        (EntryKind.RUN_FAILED, RunStatus.FAILED),
        (EntryKind.RUN_RESUMED, RunStatus.RUNNING),
    ],
)
def test_the_last_word_counts(kind: EntryKind, status: RunStatus) -> None:
    """Parked, failed, or going on."""
    assert status_of([entry(EntryKind.RUN_STARTED, 1), entry(kind, 2, reason="x")])[0] is status


def test_a_question_is_open_until_it_is_answered() -> None:
    """An answer to an older form of the question does not close it."""
    question = Question(
        id="q", run="r", kind=CheckpointKind.PLAN, title="t", description="d", allowed=(DecisionType.APPROVE,)
    )
    asked = entry(EntryKind.QUESTION_ASKED, 1, question=question.model_dump(mode="json"), digest=question.digest)
    made = Decision(question="q", digest=question.digest, type=DecisionType.APPROVE, by="a", via="t", at=AT)
    other = made.model_copy(update={"digest": "sha256:old"})
    assert open_questions([asked]) == (question,)
    assert open_questions([asked, entry(EntryKind.DECISION_MADE, 2, decision=other.model_dump(mode="json"))]) == (
        question,
    )
    assert open_questions([asked, entry(EntryKind.DECISION_MADE, 2, decision=made.model_dump(mode="json"))]) == ()
