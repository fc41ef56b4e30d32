"""Decisions from a file that was written beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.app.deciders import FileDecider
from assay.app.people import LocalPeople
from assay.errors import DecisionError
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.store.clocks import SystemClock

PEOPLE = LocalPeople(b"k" * 32)


def question(kind: CheckpointKind, unit: str | None = None) -> Question:
    """Return a question of a kind."""
    return Question(
        id=f"{kind.value}:1", run="r1", unit=unit, kind=kind, title="?", description="?", allowed=tuple(DecisionType)
    )


def decider(folder: Path, text: str, used: tuple[tuple[CheckpointKind, str | None], ...] = ()) -> FileDecider:
    """Return a decider on a file with this text."""
    path = folder / "decisions.yaml"
    path.write_text(text)
    return FileDecider(path, PEOPLE, SystemClock(), used=used)


async def test_each_entry_answers_once(tmp_path: Path) -> None:
    """What the file does not hold stays open."""
    who = decider(tmp_path, "- {checkpoint: plan, decision: approve}\n")
    first = await who.decide(question(CheckpointKind.PLAN), refused=None)
    decision = PEOPLE.accept(first, question(CheckpointKind.PLAN))
    assert (decision.type, decision.via) == (DecisionType.APPROVE, "file:decisions.yaml")
    assert await who.decide(question(CheckpointKind.PLAN), refused=None) is None
    assert await who.decide(question(CheckpointKind.DELIVERY), refused=None) is None


async def test_entries_can_be_for_one_unit_and_for_several_times(tmp_path: Path) -> None:
    """`unit` narrows, `times` repeats."""
    who = decider(
        tmp_path,
        "- {checkpoint: inconclusive, decision: reject, unit: b}\n"
        "- {checkpoint: inconclusive, decision: approve, times: 2}\n",
    )
    kinds = []
    for unit in ("a", "b", "a", "a"):
        asked = question(CheckpointKind.INCONCLUSIVE, unit)
        answer = await who.decide(asked, refused=None)
        kinds.append(PEOPLE.accept(answer, asked).type if answer else None)
    assert kinds == [DecisionType.APPROVE, DecisionType.REJECT, DecisionType.APPROVE, None]


async def test_what_an_earlier_session_used_is_used(tmp_path: Path) -> None:
    """A resumed run does not take the same entry twice."""
    who = decider(tmp_path, "- {checkpoint: plan, decision: approve}\n", used=((CheckpointKind.PLAN, None),))
    assert await who.decide(question(CheckpointKind.PLAN), refused=None) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("plan: approve\n", "must be a list"),
        ("- {checkpoint: pan, decision: approve}\n", "entry 1, checkpoint"),
        ("- {checkpoint: plan, decision: approve}\n- {checkpoint: plan}\n", "entry 2, decision"),
        ("- {checkpoint: plan, decision: approve, aproved: yes}\n", "entry 1, aproved"),
        ("- [", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, named: str) -> None:
    """The entry and the field are named."""
    with pytest.raises(DecisionError, match=named):
        decider(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No file, no decisions: that is an error, not an approval."""
    with pytest.raises(DecisionError, match=r"no\.yaml"):
        FileDecider(tmp_path / "no.yaml", PEOPLE, SystemClock())
