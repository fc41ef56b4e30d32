"""The judge is pure and total, and nothing that is missing, weak or lost comes out proven."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evidence.dependency_changes import Dependencies
from assay.evidence.environment import CANARY_FAILS, CANARY_PASSES
from assay.evidence.facts import Subject, Trial, Variant
from assay.evidence.judge import judge
from assay.records.claims import ChangedExpectation, ClaimKind
from assay.records.evidence import TestOutcome
from assay.records.sandboxes import Ending, Exited, OutOfMemory, Signalled, TimedOut
from assay.records.verdicts import Step, Verdict, VerdictStatus

from .books import (
    STEPS,
    Records,
    at_level_a,
    author_check,
    check_case,
    failed,
    graph_case,
    halved,
    in_other_surroundings,
    kept_case,
    passed,
    with_probe,
    with_strength,
)

PROVEN, REFUTED = VerdictStatus.PROVEN, VerdictStatus.REFUTED


def verdict(records: Records) -> Verdict:
    """Judge records."""
    return judge(records.facts, records.evidence.values())


@pytest.mark.parametrize("vacuous", [False, True])
def test_the_perfect_cases_are_proven(vacuous: bool) -> None:
    """Without this, everything below would show nothing."""
    for records in (graph_case(vacuous=vacuous), check_case(vacuous=vacuous)):
        found = verdict(records)
        assert (found.status, found.level) == (PROVEN, "B"), found.reasons
        assert all(r.status is PROVEN for r in found.requirements)
        assert verdict(halved(records, "head")).status is PROVEN
        outside = verdict(at_level_a(records))
        assert (outside.status, outside.level) == (PROVEN, "A"), outside.reasons
        assert all(r.level == "A" for r in outside.requirements)


at_b = st.one_of(
    st.builds(graph_case, st.integers(0, 4), st.integers(1, 3), vacuous=st.booleans()),
    st.builds(check_case, st.sampled_from([ClaimKind.FIX, ClaimKind.FEATURE]), vacuous=st.booleans()),
    st.builds(kept_case, st.sampled_from([ClaimKind.REFACTOR, ClaimKind.PERFORMANCE])),
)
perfect = at_b | at_b.map(at_level_a) | at_b.map(lambda records: halved(records, "head"))

BROKEN_ENDINGS: list[Ending | None] = [
    None,
    Exited(code=1),
    Signalled(signal=9),
    TimedOut(seconds=1),
    OutOfMemory(),
]


def needed_outcomes(records: Records) -> list[tuple[str, TestOutcome]]:
    """Return every outcome on which the proof rests, with the id of its evidence."""
    return [(name, o) for name, e in records.evidence.items() for o in e.outcomes]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Records]:
    """Return a perfect case in which one part is missing, skipped, vacuous, uncontrolled, lost or repeated."""
    records = draw(perfect)
    name, outcome = draw(st.sampled_from(needed_outcomes(records)))
    evidence = records.evidence[name]
    undone = draw(st.sampled_from(["S0", "S1", "S2", "S3"]))
    others = tuple(o for o in evidence.outcomes if o is not outcome)
    ways: dict[str, Callable[[], Records]] = {
        "evidence is gone": lambda: records.without(name),
        "evidence and its trial are gone": lambda: records.without(name).with_facts(
            trials=tuple(t for t in records.facts.trials if t.evidence != name)
        ),
        "the report does not count": lambda: records.change(name, trouble="the report has no end"),
        "the sandbox was lost": lambda: records.change(name, ending=None),
        "time ran out": lambda: records.change(name, ending=TimedOut(seconds=1)),
        "killed": lambda: records.change(name, ending=Signalled(signal=9)),
        "out of memory": lambda: records.change(name, ending=OutOfMemory()),
        "reported twice": lambda: records.change(name, outcomes=(*evidence.outcomes, outcome)),
        "said to be reported twice": lambda: records.change(
            name, outcomes=(*others, outcome.model_copy(update={"reports": 2}))
        ),
        "not reported": lambda: records.change(name, outcomes=others),
        "skipped": lambda: records.change(name, outcomes=(*others, failed(outcome.id, "none", "skipped"))),
        "turned round": lambda: records.change(
            name, outcomes=(*others, failed(outcome.id) if outcome.passed else passed(outcome.id))
        ),
        "a step was not done": lambda: records.with_facts(steps=tuple(s for s in STEPS if s.id != undone)),
        "a step failed": lambda: records.with_facts(
            steps=(*STEPS[:2], Step(id="S2", title="", outcome="failed"), STEPS[3])
        ),
        "declined": lambda: records.with_draft(declined="it cannot be done"),
    }
    if name.startswith(Subject.BROUGHT.value.replace(" ", "-") + ".head") and "test_a" in outcome.id:
        # What the change's own suite leaves out of the base's is judged by the base's suite, and flagged.
        ways = {way: make for way, make in ways.items() if way not in ("not reported", "skipped")}
    way = draw(st.sampled_from(sorted(ways)))
    return f"{way}: {outcome.id} in {name}", ways[way]()


@settings(max_examples=300, deadline=None)
@given(spoiled())
def test_no_spoiled_part_comes_out_proven(case: tuple[str, Records]) -> None:
    """Each part of a perfect case is needed."""
    what, records = case
    harmless = _is_harmless(records)
    found = verdict(records)
    assert found.status is not PROVEN or harmless, what
    if found.status is not PROVEN:
        assert found.level is None
        assert found.reasons


def _is_harmless(records: Records) -> bool:
    """Return whether what was spoiled is not needed any more; the proof then has to say that it rests on fewer.

    That is an id that a replicate of the baseline did not pass, and is known to be unstable; or one whose twin does not
    work at the base, which is named as uncontrolled and carries nothing.
    """
    baseline = [e for n, e in records.evidence.items() if n.startswith("regression.base")]
    whole = len(baseline) == 2 and all(isinstance(e.ending, Exited) and not e.trouble for e in baseline)
    ids = {o.id for e in baseline for o in e.outcomes}
    if whole and any(sum(1 for o in e.outcomes if o.id == i and o.passed) != 1 for e in baseline for i in ids):
        return True
    twins = records.evidence.get("regression.twin-base.0.False.None")
    if twins is None or not isinstance(twins.ending, Exited) or twins.trouble:
        return False
    working = [o.id for o in twins.outcomes if o.call == "failed" and o.reports == 1]
    return any(working.count(i) != 1 for i in ids)


@settings(max_examples=200, deadline=None)
@given(spoiled(), st.data())
def test_removing_evidence_never_improves_a_verdict(case: tuple[str, Records], data: st.DataObject) -> None:
    """What is not proven with more evidence is not proven with less."""
    _, records = case
    kept = data.draw(st.sets(st.sampled_from(sorted(records.evidence)))) if records.evidence else set()
    fewer = Records(records.facts, {k: v for k, v in records.evidence.items() if k in kept})
    if verdict(fewer).status is PROVEN:
        assert verdict(records).status is PROVEN


outcomes = st.builds(
    TestOutcome,
    id=st.sampled_from(
        [
            "tests/test_a.py::test_0",
            "tests/test_v.py::test_R1",
            "tests/test_h.py::test_R1",
            "tests/test_n.py::test_new",
            "tests/test_v.py",
            "own",
            CANARY_PASSES,
            CANARY_FAILS,
        ]
    ),
    reports=st.integers(0, 2),
    setup=st.sampled_from(["passed", "failed", "skipped", "error", None]),
    call=st.sampled_from(["passed", "failed", "skipped", "xfailed", "xpassed", "error", None]),
    teardown=st.sampled_from(["passed", "failed", None]),
    failure=st.sampled_from(["assertion", "error", "import", "none"]),
    raised_in=st.sampled_from(["", "calc.py", "tests/test_v.py"]),
)


@st.composite
def anything(draw: st.DrawFn) -> Records:
    """Return facts and evidence without any sense to them."""
    records = draw(perfect)
    kind = draw(st.sampled_from(list(ClaimKind)))
    declared = draw(st.lists(st.sampled_from(["tests/test_a.py::test_0", "nothing"]), unique=True))
    records = records.with_draft(
        kind=kind,
        declined=draw(st.sampled_from([None, None, None, "no"])),
        changed_expectations=tuple(ChangedExpectation(test=t, why="so") for t in declared),
        new_dependencies=draw(st.sampled_from([None, (), ("numpy",)])),
        checks=draw(st.sampled_from([(), (author_check(),)])),
    )
    files = draw(st.sampled_from([(), ("uv.lock",)]))
    image = draw(st.sampled_from([None, "sha256:2", "sha256:3"])) if files else None
    trouble = draw(st.sampled_from(["", "no index"])) if files and image is None else ""
    records = records.with_facts(
        dependencies=Dependencies(
            files=files,
            lock=draw(st.sampled_from([None, *files])),
            image=image,
            trouble=trouble,
            question=trouble,
            loaded=draw(st.sampled_from([(), ("pypi/hook 1",)])) if image else (),
        )
    )
    for add in (in_other_surroundings, with_strength, with_probe):
        records = add(records) if draw(st.booleans()) else records
    variants: tuple[Variant, ...] = get_args(Variant)
    for _ in range(draw(st.integers(0, 6))):
        subject = draw(st.sampled_from(list(Subject)))
        name = records.add(
            subject,
            draw(st.sampled_from(variants)),
            draw(st.lists(outcomes, max_size=4)),
            replicate=draw(st.integers(0, 3)),
            alone=draw(st.booleans()),
            expected=("tests/test_a.py::test_0", "tests/test_v.py::test_R1", "own"),
            check="own" if subject is Subject.CHECK else None,
            part=draw(st.sampled_from(["", "0", "all:0", "some:0", "again"])),
            shard=draw(st.sampled_from([None, None, 0, 1])),
        )
        records = records.change(name, ending=draw(st.sampled_from(BROKEN_ENDINGS)))
    return records


@settings(max_examples=300, deadline=None)
@given(anything())
def test_the_judge_is_total_and_its_verdicts_are_well_formed(records: Records) -> None:
    """Whatever there is, there is a verdict: a refutation with a witness, a question where it stays open."""
    found = verdict(records)
    draft = records.facts.case.claim.draft
    match found.status:
        case VerdictStatus.REFUTED:
            assert found.witness is not None
            assert found.witness.reproduced >= records.facts.replicates or found.witness.argv[0] == "git"
        case VerdictStatus.INCONCLUSIVE:
            assert found.question
        case VerdictStatus.PROVEN:
            assert draft.declined is None
            taken = records.facts.dependencies
            assert draft.kind is not ClaimKind.DEPENDENCY or (taken.image == "sha256:2" and not taken.loaded)
            assert taken.lock is None or not taken.trouble
            assert taken.image != "sha256:3", "everything here ran in another image than the head's"
            measured = [t for t in records.facts.trials if t.subject is Subject.SPEED]
            assert draft.kind is not ClaimKind.PERFORMANCE or (draft.speed is not None and len(measured) >= 14)
            assert all(r.status is PROVEN for r in found.requirements)
        case VerdictStatus.DECLINED:
            assert draft.declined is not None
    assert found == verdict(records), "the same evidence, the same verdict"


@settings(max_examples=100, deadline=None)
@given(anything(), st.booleans())
def test_an_authors_own_check_never_proves(records: Records, holds: bool) -> None:
    """A green check of the author's own makes nothing better; a red one makes nothing better either."""
    bare = records.with_draft(checks=())
    without = Records(
        bare.facts.model_copy(update={"trials": tuple(t for t in bare.facts.trials if t.subject is not Subject.CHECK)}),
        dict(bare.evidence),
    )
    offered = without.with_draft(checks=(author_check(),))
    outcome = passed("own") if holds else failed("own")
    for replicate in range(2):
        offered.add(Subject.CHECK, "head", [outcome], replicate=replicate, expected=("own",), check="own")
    if verdict(without).status is not PROVEN:
        assert verdict(offered).status is not PROVEN


def test_a_red_check_of_the_author_refutes() -> None:
    """It failed in two fresh sandboxes, so what the author offered as proof does not hold."""
    records = graph_case().with_draft(checks=(author_check(),))
    for replicate in range(2):
        records.add(Subject.CHECK, "head", [failed("own")], replicate=replicate, expected=("own",), check="own")
    found = verdict(records)
    assert found.status is REFUTED
    assert found.witness is not None
    assert found.witness.reproduced == 2


def test_one_lost_replicate_is_no_refutation() -> None:
    """A failure has to show in each of the sandboxes that tried."""
    records = graph_case()
    test = "tests/test_a.py::test_0"
    name = "regression.head.0.False.None"
    records = records.change(name, outcomes=(failed(test), passed("tests/test_a.py::test_1")), ending=Exited(code=1))
    for replicate in (1, 2):
        for variant, outcome in (("head", failed(test)), ("base", passed(test))):
            side: Variant = "head" if variant == "head" else "base"
            records.add(Subject.REGRESSION, side, [outcome], replicate=replicate, alone=True, expected=(test,))
    assert verdict(records).status is REFUTED
    lost = records.change("regression.head.2.True.None", ending=None)
    assert verdict(lost).status is VerdictStatus.INCONCLUSIVE
    flaky = records.change("regression.head.2.True.None", outcomes=(passed(test),), ending=Exited(code=0))
    assert verdict(flaky).status is VerdictStatus.INCONCLUSIVE
    red_base = records.change("regression.base.2.True.None", outcomes=(failed(test),), ending=Exited(code=1))
    assert verdict(red_base).status is PROVEN, "fails on both: known to be unreliable, and not blamed"


def test_evidence_of_no_trial_is_not_looked_at() -> None:
    """Somebody else's green evidence does not help."""
    records = graph_case()
    name = "regression.head.0.False.None"
    stray = records.evidence[name].model_copy(update={"id": "stray"})
    spoilt = records.without(name)
    spoilt.evidence["stray"] = stray
    assert verdict(spoilt).status is VerdictStatus.INCONCLUSIVE
    listed = spoilt.with_facts(
        trials=(
            *(t for t in records.facts.trials if t.evidence != name),
            Trial(subject=Subject.REGRESSION, variant="head", evidence="stray"),
        )
    )
    assert verdict(listed).status is PROVEN
