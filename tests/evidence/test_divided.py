"""What runs first and what is divided is quicker, and shows neither more nor less than the whole suite."""

from __future__ import annotations

import pytest

from assay.evidence import divided
from assay.evidence.divided import divide, nearest_ids
from assay.evidence.expectations import Standing
from assay.evidence.facts import Subject, Variant
from assay.evidence.judge import judge
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.evidence import TestOutcome
from assay.records.sandboxes import Exited, TimedOut
from assay.records.verdicts import Verdict, VerdictStatus

from .books import Records, canary, check_case, failed, halved, passed, start
from .conftest import CALC, FIXED, TESTS, Files, World, case

PROVEN, REFUTED, INCONCLUSIVE = VerdictStatus.PROVEN, VerdictStatus.REFUTED, VerdictStatus.INCONCLUSIVE
ONE, TWO = "tests/test_a.py::test_0", "tests/test_a.py::test_1"


def verdict(records: Records) -> Verdict:
    """Judge records."""
    return judge(records.facts, records.evidence.values())


def test_a_suite_is_divided_where_it_pays() -> None:
    """Over no more sandboxes than there are, none with less to do than pays; each file once, about as much each."""
    seconds = {f"t{n}.py": 10.0 for n in range(9)}
    assert len(divide(seconds, 8)) == 4
    groups = divide(seconds, 3)
    assert sorted(f for group in groups for f in group) == sorted(seconds)
    assert [len(group) for group in groups] == [3, 3, 3]
    assert divide({"a.py": 100.0}, 8) == (("a.py",),)
    assert divide({"a.py": 1.0, "b.py": 1.0}, 8) == (("a.py", "b.py"),)
    assert divide({}, 8) == ((),)


def counted(*tests: int) -> Records:
    """Return a baseline of files with so many tests each."""
    records = start(ClaimKind.FIX, (), ())
    made = [passed(f"tests/test_{n}.py::test[{i}]") for n, count in enumerate(tests) for i in range(count)]
    for replicate in range(2):
        records.add(Subject.REGRESSION, "base", made, replicate=replicate)
    return records


def test_the_nearest_tests_run_first_where_they_are_a_small_part() -> None:
    """As many files of those as a third of the tests lies in, small ones first; nothing of a suite that is small."""
    files = ("tests/test_0.py", "tests/test_1.py", "tests/test_2.py")
    one, two = "tests/test_0.py::test[0]", [f"tests/test_1.py::test[{n}]" for n in range(4)]
    assert nearest_ids(counted(1, 4, 9, 10).book(), files) == (one, *two)
    assert nearest_ids(counted(15, 4, 5).book(), files[:1]) == ()
    assert nearest_ids(counted(1, 4).book(), files) == ()
    assert nearest_ids(counted(1, 4, 9, 10).book(), ()) == ()


def test_parts_are_read_as_one() -> None:
    """Each id counts in the part that was asked for it: missing, foreign and repeated ones did not pass."""
    head = halved(check_case(), "head").book().first(Subject.REGRESSION, "head")
    assert head is not None
    assert head.whole
    assert [head.stand(i) for i in (ONE, TWO)] == [Standing.PASSED, Standing.PASSED]
    assert head.evidence.expected == (ONE, TWO)


def spoil(name: str, **fields: object) -> Records:
    """Return a divided case of which one part is something else."""
    records = halved(check_case(), "head")
    return records.change(next(n for n in records.evidence if n.endswith(name)), **fields)


@pytest.mark.parametrize(
    ("fields", "standing"),
    [
        ({"outcomes": ()}, Standing.MISSING),
        ({"outcomes": (passed(ONE),)}, Standing.MISSING),
        ({"outcomes": (passed(TWO), passed(TWO))}, Standing.DUPLICATED),
        ({"ending": TimedOut(seconds=1)}, Standing.BROKEN),
        ({"trouble": "the report has no end"}, Standing.BROKEN),
        ({"ending": None}, Standing.LOST),
        ({"outcomes": (failed(TWO),), "ending": Exited(code=1)}, Standing.FAILED),
    ],
)
def test_a_part_that_does_not_hold_proves_nothing(fields: dict[str, object], standing: Standing) -> None:
    """Whatever is wrong with one part is wrong with the suite; what is not asked again stays open."""
    records = spoil("half-1", **fields)
    head = records.book().first(Subject.REGRESSION, "head")
    assert head is not None
    assert head.stand(TWO) is standing
    assert verdict(records).status is INCONCLUSIVE


def test_an_id_that_another_part_reports_was_not_asked_for_there() -> None:
    """It stands as repeated where its own part has it as well, and never as passed."""
    head = spoil("half-0", outcomes=(passed(ONE), passed(TWO))).book().first(Subject.REGRESSION, "head")
    assert head is not None
    assert [head.stand(i) for i in (ONE, TWO)] == [Standing.PASSED, Standing.DUPLICATED]


def test_the_whole_suite_decides_where_it_ran() -> None:
    """A test that fails for want of what another file's tests leave behind is not held against the change."""
    records = spoil("half-1", outcomes=(failed(TWO),), ending=Exited(code=1))
    records.add(Subject.REGRESSION, "head", [passed(ONE), passed(TWO)], expected=(ONE, TWO))
    assert verdict(records).status is PROVEN


def early(heads: list[TestOutcome], bases: list[TestOutcome]) -> Records:
    """Return a proof that stopped after the tests nearest to the change: one failed, and ran again so at both sides."""
    records = start(ClaimKind.FIX, (), ())
    canary(records)
    for replicate in range(2):
        records.add(Subject.REGRESSION, "base", [passed(ONE), passed(TWO)], replicate=replicate)
    records.add(Subject.REGRESSION, "near", [failed(ONE)], expected=(ONE,))
    variants: tuple[tuple[Variant, list[TestOutcome]], ...] = (("near", heads), ("near-base", bases))
    for variant, ends in variants:
        for n, outcome in enumerate(ends, start=1):
            records.add(Subject.REGRESSION, variant, [outcome], replicate=n, expected=(ONE,), alone=True)
    return records


@pytest.mark.parametrize(
    ("heads", "bases", "status"),
    [
        ([failed(ONE)] * 2, [passed(ONE)] * 2, REFUTED),
        ([failed(ONE)], [passed(ONE)] * 2, INCONCLUSIVE),
        ([failed(ONE)] * 2, [passed(ONE)], INCONCLUSIVE),
        ([failed(ONE), passed(ONE)], [passed(ONE)] * 2, INCONCLUSIVE),
        ([failed(ONE)] * 2, [passed(ONE), failed(ONE)], INCONCLUSIVE),
        ([], [], INCONCLUSIVE),
    ],
)
def test_an_early_failure_refutes_as_a_late_one(
    heads: list[TestOutcome], bases: list[TestOutcome], status: VerdictStatus
) -> None:
    """Each time by itself at the head, and never at the base, as often as any refutation; with the canary green."""
    records = early(heads, bases)
    found = verdict(records)
    assert found.status is status
    steps = {s.id: s.outcome for s in found.steps}
    assert steps["S7"] == "failed"
    assert (steps["S6"] == "failed") is (status is REFUTED)
    if found.witness is not None:
        assert (found.witness.reproduced, ONE in found.reasons[0]) == (2, True)
    sick = records.with_facts(trials=tuple(t for t in records.facts.trials if t.subject is not Subject.CANARY))
    assert verdict(sick).status is INCONCLUSIVE


def test_what_failed_early_and_passes_in_the_whole_suite_changes_nothing() -> None:
    """It is not dropped from what has to pass either: were it broken, the whole suite would still say so."""
    records = check_case()
    records.add(Subject.REGRESSION, "near", [failed(ONE)], expected=(ONE,))
    for n in (1, 2):
        for variant in ("near", "near-base"):
            records.add(Subject.REGRESSION, variant, [failed(ONE)], replicate=n, expected=(ONE,), alone=True)
    assert verdict(records).status is PROVEN
    broken = records.change("regression.head.0.False.None", outcomes=(failed(ONE), passed(TWO)))
    assert verdict(broken).status is INCONCLUSIVE, "it is one of the ids that have to pass, and nothing ran again"


# -- executed

LEAVES = "import os\n\n\ndef test_leaves():\n    os.environ['LEFT'] = 'here'\n"
LACKS = "import os\nfrom calc import add\n\n\ndef test_lacks():\n    assert os.environ['LEFT'] and add(2, 2) == 4\n"
LONG: Files = {
    "calc.py": CALC,
    "other.py": "def g():\n    return 1\n",
    "tests/test_1leaves.py": LEAVES,
    "tests/test_2lacks.py": LACKS,
    "tests/test_calc.py": TESTS,
    "tests/test_other.py": "from other import g\n\n\ndef test_g():\n    assert g() == 1\n",
}
NEW = "from calc import mean\n\n\ndef test_mean():\n    assert mean([2, 4]) == 3\n"
POLICY = Settings(proof=ProofSettings(seconds=60, level="C", sandboxes=3, jittered=0, ablations=0, mutants=0, probed=0))
JITTERED = POLICY.model_copy(update={"proof": POLICY.proof.model_copy(update={"jittered": 2})})


async def executed(world: World) -> list[tuple[str, str, int]]:
    """Return what was executed with the change: purpose, cell, and how many ids were asked for."""
    return [(e.purpose, str(e.cell), len(e.expected)) for e in await world.evidence() if e.cell.source == "head"]


@pytest.mark.docker
async def test_a_divided_suite_proves_what_the_whole_one_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that lacks what another leaves fails in its part, by itself at the base too, and passes in company."""
    monkeypatch.setattr(divided, "_WORTH", 1e-6)
    base = await world.commit(LONG)
    head = await world.commit({"calc.py": FIXED, "tests/test_new.py": NEW}, base)
    found = await world.assayer(JITTERED).prove(case(base, head))
    assert found.status is PROVEN, found.reasons
    made = await executed(world)
    whole = [m for m in made if m[:2] == ("regression", "head/base")]
    assert len(whole) == 4, "three parts, and then everything"
    assert sorted(m[2] for m in whole[:3]) == [1, 1, 2]
    assert [m for m in made if m[0].endswith("nearest to the change first")]
    brought = [m for m in made if m[:2] == ("tests that the change brings", "head/head")]
    assert len(brought) == 4


@pytest.mark.docker
async def test_parts_that_hold_are_enough_and_one_that_breaks_refutes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs as a whole then: the new test is found beside the parts, and the broken one is confirmed alone.

    In further surroundings only what the change reaches is executed, and its own test.
    """
    monkeypatch.setattr(divided, "_WORTH", 1e-6)
    base = await world.commit({p: t for p, t in LONG.items() if "leaves" not in p and "lacks" not in p})
    head = await world.commit({"calc.py": FIXED, "tests/test_new.py": NEW}, base)
    found = await world.assayer(JITTERED).prove(case(base, head))
    assert found.status is PROVEN, found.reasons
    made = await executed(world)
    assert sorted(m[2] for m in made if m[0] == "regression in other surroundings") == [1, 2]
    assert len([m for m in made if m[0] == "tests that the change brings in other surroundings"]) == 2
    assert [m[2] for m in made if m[:2] == ("regression", "head/base")] == [1, 1]
    assert "2 ids, 0 of them not passed" in next(s for s in found.steps if s.id == "S6").reasons[0]
    broken = await world.commit({"calc.py": FIXED.replace("a + b", "a - b"), "tests/test_new.py": NEW}, base)
    other = case(base, broken)
    again = other.model_copy(update={"run": "other"})
    refuted = await world.assayer(JITTERED).prove(again)
    assert refuted.status is REFUTED, refuted.reasons
    assert "tests/test_calc.py::test_add" in refuted.reasons[0]


@pytest.mark.docker
async def test_a_broken_change_is_refuted_before_the_whole_suite_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests that name the changed module come first; the witness is theirs, and nothing else was executed."""
    monkeypatch.setattr(divided, "_LEAST", 1)
    monkeypatch.setattr(divided, "_SHARE", 1.0)
    base = await world.commit(LONG)
    head = await world.commit({"calc.py": CALC.replace("a + b", "a - b")}, base)
    found = await world.assayer(POLICY).prove(case(base, head, ClaimKind.REFACTOR))
    assert found.status is REFUTED, found.reasons
    assert "tests/test_calc.py::test_add" in found.reasons[0]
    assert {m[0] for m in await executed(world)} == {"regression, those nearest to the change first"}
    assert found.witness is not None
    assert "test_calc.py::test_add" in " ".join(found.witness.argv) + found.witness.command


# -- what parts do not see

_CACHE = "def add(a, b):\n    return a + b\n"
_KEPT = "SEEN = []\n\n\ndef add(a, b):\n    SEEN.append(a)\n    return a + b + (9 if len(SEEN) > 1 else 0)\n"
_TOGETHER: Files = {
    "calc.py": _CACHE,
    "tests/test_a.py": "from calc import add\n\n\ndef test_a():\n    assert add(1, 1) == 2\n",
    "tests/test_b.py": "from calc import add\n\n\ndef test_b():\n    assert add(1, 2) == 3\n",
}


@pytest.mark.docker
async def test_what_only_the_whole_suite_refutes_is_not_proven_by_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of one file fill what breaks those of another: without a run of all together, nothing is divided."""
    monkeypatch.setattr(divided, "_WORTH", 1e-6)
    base = await world.commit(_TOGETHER)
    kept = case(base, await world.commit({"calc.py": _KEPT}, base), kind=ClaimKind.REFACTOR)
    for name, policy in (("none", POLICY), ("later", JITTERED)):
        found = await world.assayer(policy).prove(kept.model_copy(update={"run": name}))
        assert found.status is REFUTED, (name, found.reasons)
