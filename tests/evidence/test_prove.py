"""The proof from end to end, on real Docker: what comes through, and what does not."""

from __future__ import annotations

import pytest

from assay.evidence.protocol import TrustedTests
from assay.records.claims import ClaimKind
from assay.records.verdicts import VerdictStatus

from .conftest import BASE, CALC, FIXED, NEW_TEST, World, case, states, trusted_case

pytestmark = pytest.mark.docker

VISIBLE = {
    "tests/test_mean.py": """
        from calc import mean


        def test_mean_of_two():
            assert mean([2, 4]) == 3
    """
}
HIDDEN = {
    "tests/test_mean_more.py": """
        from calc import mean


        def test_mean_of_secret_five():
            assert mean([1, 2, 3, 4, 90]) == 20
    """
}


async def trusted(world: World) -> TrustedTests:
    """Return one visible and one held-out test of `mean`."""
    return TrustedTests(
        visible=await world.tree(VISIBLE),
        held_out=await world.tree(HIDDEN),
        stated=(
            states("tests/test_mean.py::test_mean_of_two"),
            states("tests/test_mean_more.py::test_mean_of_secret_five", held_out=True),
        ),
    )


async def test_an_ordinary_fix_with_its_test_is_proven(world: World) -> None:
    """A fix whose test fails without it and passes with it, and that breaks nothing."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.prove(base, head)
    assert (verdict.status, verdict.level) == (VerdictStatus.PROVEN, "B")
    assert [s.id for s in verdict.steps] == ["S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8"]


async def test_requirements_are_proven_by_trusted_tests(world: World) -> None:
    """The graph's case: visible and held-out tests fail in the blank, and pass with the work."""
    base = await world.commit(BASE)
    tests = await trusted(world)
    blank = await world.blank(base, tests)
    assert blank.status == "passed", blank.reasons
    before = len(await world.evidence())
    head = await world.commit({"calc.py": FIXED}, base)
    verdict = await world.assayer().prove(trusted_case(base, head, tests))
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    made = await world.evidence()
    assert len({e.id for e in made}) == len(made)
    blanks = [e for e in made[before:] if e.cell.source == "base" and e.overlay]
    assert blanks == [], "what the blank executed is not executed again"


async def test_a_special_case_is_caught_by_the_held_out_test(world: World) -> None:
    """Code that was written to the visible test is refuted, and the witness names the requirement."""
    base = await world.commit(BASE)
    special = "    if values == [2, 4]:\n        return 3\n    return sum"
    cheat = CALC.replace("    return sum", special)
    head = await world.commit({"calc.py": cheat}, base)
    verdict = await world.assayer().prove(trusted_case(base, head, await trusted(world)))
    assert verdict.status is VerdictStatus.REFUTED
    assert verdict.witness is not None
    assert (verdict.witness.requirement, verdict.witness.held_out, verdict.witness.reproduced) == ("R1", True, 2)
    assert "secret" not in " ".join(verdict.reasons)


async def test_what_passed_and_is_broken_refutes(world: World) -> None:
    """A change that breaks a test of the base is refuted although its own suite is green."""
    base = await world.commit(BASE)
    broken = FIXED.replace("a + b", "a - b")
    head = await world.commit(
        {"calc.py": broken, "tests/test_calc.py": NEW_TEST.replace("add(1, 2) == 3", "add(1, 2) == -1")}, base
    )
    verdict = await world.prove(base, head)
    assert verdict.status is VerdictStatus.REFUTED
    assert verdict.witness is not None
    assert verdict.witness.test == "tests/test_calc.py::test_add"
    assert "assert -1 == 3" in verdict.witness.got


async def test_a_declared_change_of_expectation_goes_to_a_person(world: World) -> None:
    """The same change, declared: nobody but a person can say whether it is right; once accepted, it is proven."""
    base = await world.commit(BASE)
    head = await world.commit(
        {
            "calc.py": FIXED.replace("a + b", "a - b"),
            "tests/test_calc.py": NEW_TEST.replace("add(1, 2) == 3", "add(1, 2) == -1"),
        },
        base,
    )
    declared = ({"test": "tests/test_calc.py::test_add", "why": "the ticket says so"},)
    verdict = await world.prove(base, head, changed_expectations=declared)
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert verdict.question is not None
    assert "the ticket says so" in verdict.question
    accepted = case(base, head, changed_expectations=declared)
    claim = accepted.claim.model_copy(update={"id": "c2"})
    accepted = accepted.model_copy(update={"claim": claim, "accepted_expectations": ("tests/test_calc.py::test_add",)})
    verdict = await world.assayer().prove(accepted)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons


async def test_a_feature_in_a_new_module_is_controlled_by_null_implementations(world: World) -> None:
    """Its test cannot even be imported at the base; it counts because code that does nothing fails it."""
    base = await world.commit(BASE)
    test = "from slug import slugify\n\n\ndef test_slug():\n    assert slugify('A b') == 'a-b'\n"
    source = "def slugify(text):\n    return text.lower().replace(' ', '-')\n"
    head = await world.commit({"slug.py": source, "tests/test_slug.py": test}, base)
    verdict = await world.prove(base, head, ClaimKind.FEATURE)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert "S8" in [s.id for s in verdict.steps]


async def test_a_vacuous_test_of_a_new_module_shows_nothing(world: World) -> None:
    """A test that only imports what is new passes whatever that does."""
    base = await world.commit(BASE)
    test = "import slug\n\n\ndef test_slug():\n    assert slug.slugify\n"
    head = await world.commit({"slug.py": "def slugify(text):\n    return 1\n", "tests/test_slug.py": test}, base)
    verdict = await world.prove(base, head, ClaimKind.FEATURE)
    assert verdict.status is VerdictStatus.INCONCLUSIVE


async def test_doubts_are_executed(world: World) -> None:
    """A doubt is confirmed, dispelled or inconclusive by what its check shows."""
    from assay.records.checks import Check, ExpectMetric
    from assay.records.results import Doubt

    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED}, base)
    about = case(base, head)
    holds = Check(id="holds", command=("python3", "-c", "import calc; assert calc.mean([2, 4]) == 3"))
    fails = Check(id="fails", command=("python3", "-c", "import calc; assert calc.mean([]) == 0"))
    absent = Check(id="absent", command=("no-such-tool",))
    metric = Check(id="metric", command=("echo", "speed=3"), expect=ExpectMetric(name="speed", at_least=5))
    outcomes = {}
    for check in (holds, fails, absent, metric):
        doubt = Doubt(statement="?", check=check)
        result = await world.assayer().examine(about, doubt, key=f"d.{check.id}")
        outcomes[check.id] = result.outcome
        if check.id == "fails":
            assert "ZeroDivisionError" in result.got
    assert outcomes == {"holds": "dispelled", "fails": "confirmed", "absent": "inconclusive", "metric": "confirmed"}
