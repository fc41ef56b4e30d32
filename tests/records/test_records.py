"""The nouns: what cannot exist, and what names it."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.records.base import canonical_json, digest_of
from assay.records.changes import Hunk
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.entries import Entry, EntryKind
from assay.records.evidence import TestOutcome
from assay.records.plans import Plan, Requirement, Unit
from assay.records.runs import RunStatus
from assay.records.sandboxes import CommandResult, Exited, Output, TimedOut
from assay.records.trees import blob_id


def unit(name: str, *after: str, requirement: str | None = None) -> Unit:
    """Return a unit with one requirement."""
    return Unit(
        id=name,
        title=name,
        specification="do it",
        acceptance=(Requirement(id=requirement or f"{name}-r", text="done"),),
        paths=("x.py",),
        depends_on=after,
    )


@pytest.mark.parametrize(
    ("units", "named"),
    [
        ((unit("a", "b"), unit("b", "a")), "circle: "),
        ((unit("a", "a"),), "circle: "),
        ((unit("a", "nobody"),), "unknown units: nobody"),
        ((unit("a"), unit("a")), "more than once: a"),
        ((unit("a", requirement="r"), unit("b", requirement="r")), "more than once: r"),
        ((), "at least 1 item"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_cannot_exist(units: tuple[Unit, ...], named: str) -> None:
    """Cycles, unknown dependencies and doubled ids are refused with their names."""
    with pytest.raises(ValidationError, match=named):
        Plan(summary="s", units=units)


def test_a_unit_needs_an_acceptance_criterion() -> None:
    """What nobody can check cannot be asked for."""
    with pytest.raises(ValidationError, match="acceptance"):
        Unit(id="a", title="a", specification="do it", acceptance=(), paths=("x",))


@given(st.permutations(["a", "b", "c", "d"]), st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_units_come_after_what_they_depend_on(names: list[str], pairs: set[tuple[int, int]]) -> None:
    """Whatever the order of the plan: each unit follows its dependencies, and none is lost."""
    after = {n: [names[i] for i, j in pairs if i < j and names[j] == n] for n in names}
    plan = Plan(summary="s", units=tuple(unit(n, *after[n]) for n in sorted(names)))
    order = [u.id for u in plan.in_order()]
    assert sorted(order) == sorted(names)
    assert all(order.index(dep) < order.index(u.id) for u in plan.units for dep in u.depends_on)


def test_a_record_holds_nothing_that_it_does_not_declare() -> None:
    """An unknown field is refused; a field cannot be changed."""
    with pytest.raises(ValidationError):
        Requirement.model_validate({"id": "r", "text": "t", "more": 1})
    with pytest.raises(ValidationError, match="frozen"):
        Requirement(id="r", text="t").text = "u"  # type: ignore[misc]


def test_a_value_that_skipped_validation_is_refused_at_the_next_door() -> None:
    """As a store could rebuild one from corrupted bytes."""
    broken = Requirement.model_construct(id="not an id!", text="")
    with pytest.raises(ValidationError):
        Unit(id="a", title="a", specification="s", acceptance=(broken,), paths=("x",))


def test_the_digest_covers_everything_that_is_shown() -> None:
    """Another word, another digest; equal values, one digest."""
    question = Question(
        id="q", run="r", kind=CheckpointKind.PLAN, title="t", description="d", allowed=(DecisionType.APPROVE,)
    )
    assert question.digest == Question.model_validate_json(question.model_dump_json()).digest
    for change in ({"description": "e"}, {"args": {"a": 1}}, {"title": "u"}, {"run": "s"}):
        assert question.model_copy(update=change).digest != question.digest


def test_the_chain_covers_the_previous_entry() -> None:
    """An entry's digest depends on the one before it."""
    entry = Entry(run="r", seq=2, kind=EntryKind.NOTE_LEFT, key="k", at=datetime(2026, 1, 1, tzinfo=UTC), previous="x")
    assert entry.digest != entry.model_copy(update={"previous": "y"}).digest


def test_canonical_json_is_one_form() -> None:
    """Key order does not matter, and what JSON cannot hold is refused."""
    assert canonical_json({"b": 1, "a": "é"}) == b'{"a":"\\u00e9","b":1}'
    assert digest_of({"a": 1}) == "sha256:" + hashlib.sha256(b'{"a":1}').hexdigest()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": float("nan")})


@given(st.binary(max_size=200))
def test_bytes_survive_json(data: bytes) -> None:
    """Output is bytes, and comes back as it was, UTF-8 or not."""
    result = CommandResult(ending=Exited(code=0), stdout=Output(head=data, length=len(data)))
    assert CommandResult.model_validate_json(result.model_dump_json()) == result


def test_cut_output_says_so() -> None:
    """What was dropped is counted in the text."""
    cut = Output(head=b"begin", tail=b"end", length=1000)
    assert cut.cut
    assert cut.text == "begin\n[... 992 bytes dropped ...]\nend"
    assert not Output(head=b"all", length=3).cut


def test_only_exit_code_0_is_ok() -> None:
    """A time-out is no success."""
    assert CommandResult(ending=Exited(code=0)).ok
    assert not CommandResult(ending=Exited(code=1)).ok
    assert not CommandResult(ending=TimedOut(seconds=1)).ok


def test_a_test_passes_only_whole_and_once() -> None:
    """Skipped, repeated, half-reported: none of it is passed (S6)."""
    good = TestOutcome(id="t", setup="passed", call="passed", teardown="passed")
    assert good.passed
    for change in ({"reports": 2}, {"call": "skipped"}, {"call": "xfailed"}, {"teardown": None}, {"setup": "error"}):
        assert not good.model_copy(update=change).passed


def test_blob_ids_are_gits() -> None:
    """The same id that git gives."""
    told = subprocess.run(["git", "hash-object", "--stdin"], input=b"hello\n", capture_output=True, check=True).stdout
    assert blob_id(b"hello\n") == told.decode().strip()


def test_every_status_has_an_exit_code() -> None:
    """As the README says."""
    codes = {status.value: status.exit_code for status in RunStatus}
    assert codes == {
        "running": 3, "parked": 75, "delivered": 0, "refuted": 1, "inconclusive": 3, "declined": 3,
        "rejected": 4, "cancelled": 4, "exhausted": 124, "failed": 3,
    }  # fmt: skip


@given(st.text(st.characters(exclude_categories=())))
@example("caf\udce9")
def test_any_text_survives_being_stored(text: str) -> None:
    """Halves of surrogate pairs too: that is how bytes of a path that are not UTF-8 are written (PEP 383)."""
    hunk = Hunk(old_start=1, old_lines=0, new_start=1, new_lines=1, text=text)
    assert Hunk.model_validate_json(canonical_json(hunk)) == hunk


@pytest.mark.parametrize("data", [b"", b"{", b'{"id": "a"}', b'{"id": "a", "text": "\\ud800", "more": 1}', b"[]"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    """However it is parsed, what does not fit does not come in."""
    with pytest.raises(ValidationError):
        Requirement.model_validate_json(data)
