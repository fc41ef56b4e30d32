"""Less evidence, or worse, never makes a better verdict; and a step that only adds to a proof can only take away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evidence.facts import NEEDED, Subject, Trial, Variant
from assay.evidence.judge import judge
from assay.records.claims import ClaimKind
from assay.records.evidence import TestOutcome
from assay.records.sandboxes import Ending, Exited, OutOfMemory, Signalled, TimedOut
from assay.records.verdicts import RequirementVerdict, Verdict, VerdictStatus

from .books import (
    Records,
    at_level_a,
    author_check,
    check_case,
    failed,
    graph_case,
    in_other_surroundings,
    kept_case,
    passed,
    uncollected,
    with_probe,
    with_strength,
)

PROVEN = VerdictStatus.PROVEN
KINDS = (ClaimKind.REFACTOR, ClaimKind.DOCS, ClaimKind.TESTS, ClaimKind.PERFORMANCE, ClaimKind.DEPENDENCY)
ENDINGS: tuple[Ending | None, ...] = (None, Exited(code=3), Signalled(signal=9), TimedOut(seconds=1), OutOfMemory())
AT_HEAD: frozenset[Variant] = frozenset({"head", "jittered", "outside"})
"""Where a test has to pass."""
PROOFS: frozenset[str] = frozenset({*NEEDED, "outside", "outside-base"})
"""What is executed because something cannot be proven without it."""
ADDED: dict[str, Callable[[Trial], bool]] = {
    "S11": lambda trial: trial.subject is Subject.PROBE,
    "S12": lambda trial: trial.variant.startswith("jittered"),
    "S13": lambda trial: trial.variant in ("covered", "ablated", "mutated"),
    "S14": lambda trial: trial.variant in ("old-lock", "new-lock"),
    "own checks": lambda trial: trial.subject is Subject.CHECK,
}
"""What only adds to a proof: for want of time it is left out, and the verdict says so."""


def verdict(records: Records) -> Verdict:
    """Judge records."""
    return judge(records.facts, records.evidence.values())


def score(found: Verdict | RequirementVerdict) -> int:
    """Return how good a verdict is: 0 where nothing is proven, more for a higher level."""
    return 0 if found.status is not PROVEN or found.level is None else 1 + "CBA".index(found.level)


def scores(records: Records) -> dict[str, int]:
    """Return how good the verdict on a claim is, and on each of its requirements."""
    found = verdict(records)
    return {"": score(found), **{r.requirement: score(r) for r in found.requirements}}


def is_no_better(less: Records, more: Records) -> bool:
    """Return whether nothing comes out better of one than of the other."""
    known = scores(more)
    return all(value <= known[name] for name, value in scores(less).items())


def bare() -> st.SearchStrategy[Records]:
    """Return cases with everything that a proof needs, of each kind, with and without requirements."""
    return st.one_of(
        st.builds(graph_case, st.integers(0, 3), st.integers(1, 2), vacuous=st.booleans()),
        st.builds(check_case, st.sampled_from([ClaimKind.FIX, ClaimKind.FEATURE]), vacuous=st.booleans()),
        st.builds(kept_case, st.sampled_from(KINDS)),
    )


def checked(records: Records) -> Records:
    """Add a check of the author's that holds."""
    records = records.with_draft(checks=(author_check(),))
    records.add(Subject.CHECK, "head", [passed("own")], expected=("own",), check="own")
    return records


@st.composite
def whole(draw: st.DrawFn) -> Records:
    """Return a case that is proven, at level A or B, with some of the steps that only add to it."""
    records = draw(bare())
    records = records.with_facts(level=draw(st.sampled_from(["B", "C"])))
    for add in (in_other_surroundings, with_strength, with_probe, checked, at_level_a):
        if draw(st.booleans()):
            records = add(records)
    return records


def without(records: Records, gone: Iterable[str]) -> Records:
    """Return records in which some executions were never made."""
    names = set(gone)
    trials = tuple(t for t in records.facts.trials if t.evidence not in names)
    return Records(
        records.facts.model_copy(update={"trials": trials}),
        {name: e for name, e in records.evidence.items() if name not in names},
    )


def of(records: Records, kind: Callable[[Trial], bool]) -> list[str]:
    """Return the ids of evidence of some trials."""
    return [t.evidence for t in records.facts.trials if kind(t) and t.evidence in records.evidence]


def outcomes_for(test: str) -> st.SearchStrategy[TestOutcome]:
    """Return what may become of a test that does not pass."""
    ways = [failed(test), failed(test, "error"), failed(test, "import"), failed(test, "none", "skipped")]
    ways += [failed(test, "none", "xfailed"), passed(test).model_copy(update={"reports": 2})]
    return st.sampled_from(ways)


@st.composite
def spoilt(draw: st.DrawFn, records: Records, names: list[str]) -> Records:
    """Return records in which one of these executions went in some other way, whatever that means."""
    name = draw(st.sampled_from(names))
    evidence = records.evidence[name]
    how = draw(st.sampled_from(["ending", "trouble", "outcome", "fewer", "silent"]))
    match how:
        case "ending":
            return records.change(name, ending=draw(st.sampled_from(ENDINGS)))
        case "trouble":
            return records.change(name, trouble="the report has no end")
        case "silent":
            return records.change(name, observed="", touched={})
        case "fewer":
            return records.change(name, outcomes=evidence.outcomes[1:])
        case _:
            changed = [draw(outcomes_for(o.id)) for o in evidence.outcomes[:1]]
            return records.change(name, outcomes=(*changed, *evidence.outcomes[1:]))


@st.composite
def any_case(draw: st.DrawFn) -> Records:
    """Return a case of which nothing or a little was spoilt already."""
    records = draw(whole())
    for _ in range(draw(st.integers(0, 2))):
        records = draw(spoilt(records, sorted(records.evidence)))
    return records


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("add", [lambda r: r, in_other_surroundings, with_strength, with_probe, checked])
def test_whole_cases_of_every_kind_are_proven(kind: ClaimKind, add: Callable[[Records], Records]) -> None:
    """Without this, everything below would show nothing."""
    for records in (add(kept_case(kind)), add(graph_case()), add(check_case(vacuous=True))):
        assert scores(records)[""] == 2, verdict(records).reasons
        assert scores(at_level_a(records))[""] == 3, verdict(records).reasons


@settings(max_examples=80, deadline=None)
@given(any_case(), st.data())
def test_an_execution_that_is_missing_makes_nothing_better(records: Records, data: st.DataObject) -> None:
    """Whether its evidence is gone from the store, or it was never made and is needed."""
    name = data.draw(st.sampled_from(sorted(records.evidence)))
    assert is_no_better(records.without(name), records)
    if needed := of(records, lambda t: t.variant in PROOFS and not ADDED["S11"](t) and not ADDED["own checks"](t)):
        assert is_no_better(without(records, [data.draw(st.sampled_from(needed))]), records)


@settings(max_examples=80, deadline=None)
@given(any_case(), st.data())
def test_a_test_that_does_not_pass_any_more_makes_nothing_better(records: Records, data: st.DataObject) -> None:
    """At the head, in other surroundings, and with the judge outside: failed, skipped, repeated, or not reported."""
    places = [(n, o) for n in of(records, lambda t: t.variant in AT_HEAD) for o in records.evidence[n].outcomes]
    name, outcome = data.draw(st.sampled_from([(n, o) for n, o in places if o.passed] or [("", passed(""))]))
    if name:
        others = tuple(o for o in records.evidence[name].outcomes if o is not outcome)
        worse = data.draw(outcomes_for(outcome.id))
        assert is_no_better(records.change(name, outcomes=(*others, worse)), records)
        own = name.startswith(Subject.BROUGHT.value.replace(" ", "-"))
        if not own:  # what the change does not bring any more is no part of it
            assert is_no_better(records.change(name, outcomes=others), records)


@settings(max_examples=100, deadline=None)
@given(whole(), st.data())
def test_a_step_that_only_adds_can_only_take_away(records: Records, data: st.DataObject) -> None:
    """However its executions went, nothing is proven with them that is not proven, at that level, without them."""
    step = data.draw(st.sampled_from(sorted(ADDED)))
    names = of(records, ADDED[step])
    spared = without(records, names)
    for _ in range(data.draw(st.integers(0, 2)) if names else 0):
        records = data.draw(spoilt(records, names))
    assert is_no_better(records, spared), step
    if step == "S13":
        found, plain = verdict(records), verdict(spared)
        assert found.witness == plain.witness, "it refutes nothing"


@settings(max_examples=40, deadline=None)
@given(whole(), st.sampled_from(["killed", "survived", "timeout", "nonsense"]), st.booleans())
def test_whatever_a_mutant_did_decides_nothing(records: Records, ended: str, sound: bool) -> None:
    """Neither does a process that says so without its controls."""
    said = [{"kind": "observed", "control": "fails", "seen": sound}, {"kind": "observed", "mutant": 1, "ended": ended}]
    for name in of(records, lambda t: t.variant == "mutated"):
        changed = records.change(name, observed="\n".join(map(json.dumps, said)))
        found, before = verdict(changed), verdict(records)
        assert (found.status, found.level, found.reasons) == (before.status, before.level, before.reasons)
        assert {u.why for u in found.unproven_lines} == ({"changeable"} if sound and ended == "survived" else set())


@settings(max_examples=40, deadline=None)
@given(whole())
def test_without_its_twins_nothing_is_more_than_level_c(records: Records) -> None:
    """But a change that leaves the program as it is, which is the base's own."""
    bare_of_them = without(records, of(records, lambda t: t.variant in ("twin", "twin-base")))
    found = verdict(bare_of_them)
    if records.facts.program_changed and records.evidence.keys() != bare_of_them.evidence.keys():
        assert found.level in (None, "C")
        assert (found.status is PROVEN) is (records.facts.level == "C")
    assert all(r.level in (None, "C") for r in found.requirements)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2), st.booleans())
def test_a_vacuous_test_proves_nothing(suite: int, held_out: bool) -> None:
    """It fails at the base for an import alone, and was not tried with functions that do nothing."""
    subject = Subject.HELD_OUT if held_out else Subject.VISIBLE
    records = graph_case(suite)
    name = of(records, lambda t: t.subject is subject and t.variant == "base")[0]
    file = records.evidence[name].expected[0].split("::")[0]
    found = verdict(records.change(name, outcomes=(uncollected(file),)))
    assert found.status is not PROVEN
    assert all(r.status is not PROVEN for r in found.requirements)
    fix = check_case()
    name = of(fix, lambda t: t.subject is Subject.BROUGHT and t.variant == "base")[0]
    assert verdict(fix.change(name, outcomes=(uncollected("tests/test_n.py"),))).status is not PROVEN
