"""S14, judged: what becomes of a claim by what is known of the head's dependencies. Each part is taken away once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from assay.evidence.dependency_changes import Undeclared
from assay.evidence.environment import CANARY_FAILS, CANARY_PASSES
from assay.evidence.facts import Subject, Variant
from assay.evidence.judge import judge
from assay.records.claims import ClaimKind
from assay.records.evidence import TestOutcome
from assay.records.verdicts import Verdict, VerdictStatus

from .books import Records, check_case, failed, passed, with_dependencies

PROVEN, REFUTED, INCONCLUSIVE = VerdictStatus.PROVEN, VerdictStatus.REFUTED, VerdictStatus.INCONCLUSIVE
Made = Callable[[str], TestOutcome]
SUITE = ("tests/test_a.py::test_0", "tests/test_a.py::test_1")


def verdict(records: Records) -> Verdict:
    """Return the verdict on a case."""
    return judge(records.facts, records.evidence.values())


def update(**fields: object) -> Records:
    """Return a claim of kind dependency that is proven, with something else known of its dependencies."""
    return with_dependencies(check_case(ClaimKind.DEPENDENCY), **fields)


def open_for(records: Records, reason: str) -> None:
    """Hold a verdict against what must keep it open."""
    found = verdict(records)
    assert found.status is INCONCLUSIVE, found.reasons
    assert reason in "\n".join(found.reasons)
    assert found.question


def test_what_was_resolved_and_broke_nothing_is_proven() -> None:
    """The control of everything below."""
    found = verdict(update())
    assert found.status is PROVEN, found.reasons
    assert found.level == "B"
    step = next(step for step in found.steps if step.id == "S14")
    assert "2 of 2 tests of the base pass at the head with the base's dependencies, too" in step.reasons


def test_a_claim_about_dependencies_needs_a_change_of_them() -> None:
    """Nothing that is known here differs."""
    open_for(check_case(ClaimKind.DEPENDENCY), "no manifest, lock file or image that is known here differs")


def test_what_was_not_resolved_is_open() -> None:
    """For every kind of claim where the sandboxes are made from that lock file; else for claims about it."""
    unresolved = {"image": None, "trouble": "no digest", "question": "Which file?"}
    open_for(update(**unresolved), "no digest")
    open_for(with_dependencies(check_case(), **unresolved), "no digest")
    open_for(update(**unresolved, lock=None), "no digest")
    beside = verdict(with_dependencies(check_case(), **unresolved, lock=None))
    assert beside.status is PROVEN
    assert any("no digest" in step.reasons for step in beside.steps)


def test_the_head_ran_with_what_was_resolved() -> None:
    """Evidence from another image says nothing of the head's dependencies."""
    open_for(update(image="sha256:9"), "the head was not run with its own dependencies")


def test_the_canary_sings_with_the_heads_dependencies() -> None:
    """A runner that is broken by them is no failure of the program; one that was not tried shows nothing."""
    name = "canary.head.0.False.None"
    silent = (failed(CANARY_PASSES, "error"), failed(CANARY_FAILS))
    open_for(update().change(name, outcomes=silent), "does not pass with the head's dependencies")
    deaf = (passed(CANARY_PASSES), passed(CANARY_FAILS))
    open_for(update().change(name, outcomes=deaf), "does not fail with the head's dependencies")
    kept = update()
    trials = tuple(t for t in kept.facts.trials if t.evidence != name)
    open_for(kept.with_facts(trials=trials), "no canary was run with the head's dependencies")


def test_what_loads_itself_is_asked_about() -> None:
    """Always in a claim about it; beside another one only where something rests on it, or nobody tried without it."""
    loaded = {"loaded": ("pypi/hook 1.0",)}
    open_for(update(**loaded), "pypi/hook 1.0, which is loaded by itself")
    beside = with_dependencies(check_case(), **loaded)
    assert verdict(beside).status is PROVEN, "everything passes without it, too"
    old = "regression.old-lock.0.False.None"
    open_for(beside.change(old, outcomes=tuple(map(failed, SUITE))), "2 tests were seen to pass only with it")
    trials = tuple(t for t in beside.facts.trials if t.variant != "old-lock")
    open_for(beside.with_facts(trials=trials), "tests were seen to pass only with it")


def test_a_base_without_tests_shows_nothing() -> None:
    """Of new versions, at least."""
    records = update()
    for replicate in range(2):
        records = records.change(f"regression.base.{replicate}.False.None", outcomes=())
    open_for(records, "nothing shows that what worked works with the new dependencies")


def test_what_the_claim_does_not_name_refutes() -> None:
    """The trees show it; a claim that says nothing of new dependencies is not held to that."""
    one = Undeclared(name="attrs", path="pyproject.toml")
    found = verdict(update(undeclared=(one,)).with_draft(new_dependencies=()))
    assert found.status is REFUTED
    assert found.reasons[0] == "the claim says which dependencies are new (none), and pyproject.toml brings attrs"
    assert found.witness is not None
    assert found.witness.command.endswith("-- pyproject.toml")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        (passed, failed, "the new dependencies alone break it"),
        (passed, passed, "only the changed program together with the new dependencies breaks it"),
        (failed, passed, "the changed program breaks it, with the base's dependencies, too"),
    ],
)
def test_the_cause_is_told(old: Made, new: Made, cause: str) -> None:
    """By which of the two, program and dependencies, it takes."""
    test = SUITE[0]
    records = update().change("regression.head.0.False.None", outcomes=(failed(test), passed(SUITE[1])))
    records = records.change("regression.old-lock.0.False.None", outcomes=(old(test), passed(SUITE[1])))
    records.add(Subject.REGRESSION, "new-lock", [new(test), passed(SUITE[1])], expected=SUITE)
    sides: tuple[tuple[Variant, Made], ...] = (("head", failed), ("base", passed))
    for replicate in (1, 2):
        for variant, made in sides:
            records.add(Subject.REGRESSION, variant, [made(test)], replicate=replicate, alone=True, expected=(test,))
    found = verdict(records)
    assert found.status is REFUTED
    assert any(reason.startswith(f"{test}: {cause}") for reason in found.reasons), found.reasons
