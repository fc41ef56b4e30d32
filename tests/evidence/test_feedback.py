"""Feedback to a coder tells what it may know, and nothing of held-out tests."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evidence.facts import Subject
from assay.evidence.feedback import feedback
from assay.evidence.judge import judge
from assay.records.sandboxes import Exited
from assay.records.verdicts import RequirementVerdict, Step, Verdict, VerdictStatus, Witness

from .books import Records, failed, graph_case, passed

TOKEN = "PLANTED"


def witness(*, held_out: bool) -> Witness:
    """Return a witness in which everything about the test is a token."""
    return Witness(
        argv=(TOKEN,),
        image=TOKEN,
        tree=TOKEN,
        test=f"tests/{TOKEN}.py::test_{TOKEN}",
        requirement="R2",
        held_out=held_out,
        expected=TOKEN,
        got=f"assert {TOKEN}",
        reproduced=2,
        command=TOKEN,
    )


texts = st.sampled_from(["", TOKEN, f"x {TOKEN}"])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(VerdictStatus)),
    st.lists(texts, max_size=3),
    st.lists(st.builds(Step, id=st.just("S10"), title=texts, outcome=st.just("failed"), reasons=st.tuples(texts))),
    st.lists(
        st.builds(
            RequirementVerdict,
            requirement=st.sampled_from(["R1", "R2"]),
            status=st.sampled_from(list(VerdictStatus)),
            tests=st.tuples(texts),
            reasons=st.tuples(texts),
        ),
        max_size=3,
    ),
)
def test_nothing_of_a_held_out_test_leaks(
    status: VerdictStatus, reasons: list[str], steps: list[Step], requirements: list[RequirementVerdict]
) -> None:
    """Wherever the token stands in a verdict with a held-out witness, it is not in the feedback; the requirement is."""
    verdict = Verdict(
        claim="c1",
        base="a",
        head="b",
        tree="c",
        status=status,
        reasons=tuple(reasons),
        question=TOKEN,
        steps=tuple(steps),
        requirements=tuple(requirements),
        witness=witness(held_out=True),
    )
    told = feedback(verdict)
    assert TOKEN not in told
    assert "R2" in told


def hidden_failure() -> Records:
    """Return a case in which the held-out test of R1 fails, and everything about it is a token."""
    records = graph_case(requirements=1)
    stated = records.facts.case.trusted.stated
    test = f"tests/{TOKEN}.py::test_{TOKEN}"
    renamed = tuple(s.model_copy(update={"id": test}) if s.held_out else s for s in stated)
    trusted = records.facts.case.trusted.model_copy(update={"stated": renamed})
    records = records.with_facts(case=records.facts.case.model_copy(update={"trusted": trusted}))
    base, head = "held-out-tests.base.0.False.None", "held-out-tests.head.0.False.None"
    records = records.change(base, outcomes=(failed(test),))
    records = records.change(head, outcomes=(failed(test),), ending=Exited(code=1))
    for replicate in (1, 2):
        records.add(Subject.HELD_OUT, "head", [failed(test)], replicate=replicate, alone=True, expected=(test,))
    return records


def test_the_judges_own_words_never_name_a_held_out_test() -> None:
    """Reasons, questions, steps and requirements of a verdict are written without; only the witness knows."""
    records = hidden_failure()
    verdict = judge(records.facts, records.evidence.values())
    assert verdict.status is VerdictStatus.REFUTED
    assert verdict.witness is not None
    assert TOKEN in (verdict.witness.test or "")
    assert TOKEN not in verdict.model_copy(update={"witness": None}).model_dump_json()
    assert TOKEN not in feedback(verdict)
    lost = records.change("held-out-tests.head.2.True.None", ending=None)
    unclear = judge(lost.facts, lost.evidence.values())
    assert unclear.status is VerdictStatus.INCONCLUSIVE
    assert TOKEN not in unclear.model_dump_json()
    weak = records.change("held-out-tests.base.0.False.None", outcomes=(passed(f"tests/{TOKEN}.py::test_{TOKEN}"),))
    for name in ("held-out-tests.head.0.False.None",):
        weak = weak.change(name, outcomes=(passed(f"tests/{TOKEN}.py::test_{TOKEN}"),), ending=Exited(code=0))
    assert TOKEN not in judge(weak.facts, weak.evidence.values()).model_dump_json()


def test_a_visible_failure_is_told_with_all_that_helps() -> None:
    """Id, message, what was expected and how often it was seen."""
    told = feedback(
        Verdict(
            claim="c1",
            base="a",
            head="b",
            tree="c",
            status=VerdictStatus.REFUTED,
            reasons=("requirement R2 does not hold: the test does not pass",),
            witness=witness(held_out=False).model_copy(update={"got": "assert ```1``` == 2"}),
        )
    )
    assert f"tests/{TOKEN}.py::test_{TOKEN}" in told
    assert "````\nassert ```1``` == 2\n````" in told
    assert "2 fresh sandboxes" in told
