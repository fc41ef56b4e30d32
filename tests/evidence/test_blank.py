"""The blank: tests that do not fail for a reason that counts go back to the tester."""

from __future__ import annotations

import pytest

from assay.evidence.protocol import TrustedTests
from assay.records.results import StatedTest

from .conftest import BASE, Files, World, states

pytestmark = pytest.mark.docker

FILE = "tests/test_new.py"
TESTS: Files = {
    FILE: """
        import pytest
        import calc


        def test_fails():
            assert calc.mean([2, 4]) == 3


        def test_crashes_inside():
            assert calc.mean(None) is None


        def test_passes():
            assert calc.add(1, 1) == 2


        def test_lacks_what_is_to_come():
            assert calc.median([1]) == 1


        def test_is_mistyped():
            assert pytest.aprox(1)


        def test_takes_another_argument():
            assert calc.add(1, 2, digits=1) == 3


        @pytest.mark.skip
        def test_is_skipped():
            assert 0


        @pytest.mark.parametrize("n", [1, 2])
        def test_values(n):
            assert n == 2
    """,
    "tests/test_slug.py": """
        from slug import slugify


        def test_slug():
            assert slugify("A") == "a"
    """,
}


async def blank_of(world: World, *stated: StatedTest, files: Files = TESTS) -> tuple[str, str]:
    """Return status and reasons of a blank."""
    base = await world.commit(BASE)
    result = await world.blank(base, TrustedTests(visible=await world.tree(files), stated=stated))
    return result.status, "; ".join(result.reasons)


async def test_reasons_that_count_pass(world: World) -> None:
    """A false assertion, an error of the program, and what the base's own module does not have yet."""
    status, reasons = await blank_of(
        world,
        states(f"{FILE}::test_fails"),
        states(f"{FILE}::test_crashes_inside"),
        states(f"{FILE}::test_lacks_what_is_to_come"),
        states(f"{FILE}::test_takes_another_argument", because="add knows no digits yet"),
        states(f"{FILE}::test_values"),
        states("tests/test_slug.py::test_slug", because="there is no module slug yet"),
    )
    assert status == "passed", reasons
    assert "it must fail code that does nothing" in reasons


async def test_reasons_that_do_not_count_are_told_one_by_one(world: World) -> None:
    """Each with the sentence that the tester needs."""
    status, reasons = await blank_of(
        world,
        states(f"{FILE}::test_fails"),
        states(f"{FILE}::test_passes"),
        states(f"{FILE}::test_is_mistyped"),
        states(f"{FILE}::test_is_skipped"),
        states(f"{FILE}::test_is_not_there"),
        states(f"{FILE}::test_values[1]"),
        states("tests/test_slug.py::test_slug", because="words are to be joined"),
        states("tests/test_gone.py::test_gone"),
    )
    assert status == "failed"
    for said in (
        "test_passes passes at the base",
        "test_is_mistyped is vacuous: AttributeError",
        "test_is_skipped was skipped",
        "test_is_not_there is not collected",
        "test_slug is vacuous: ModuleNotFoundError",
        "test_gone is not collected",
    ):
        assert said in reasons
    assert "test_fails" not in reasons


async def test_a_test_that_ends_its_runner_is_told_so(world: World) -> None:
    """It is the test's fault and not the environment's."""
    files: Files = {FILE: "import os\n\n\ndef test_ends():\n    os._exit(1)\n"}
    status, reasons = await blank_of(world, states(f"{FILE}::test_ends"), files=files)
    assert status == "failed"
    assert "the report has no end" in reasons


async def test_a_base_that_cannot_run_tests_is_a_question(world: World) -> None:
    """The tester can do nothing about it."""
    base = await world.commit({**BASE, "pytest.ini": "[pytest]\naddopts = --no-such-option\n"})
    trusted = TrustedTests(visible=await world.tree(TESTS), stated=(states(f"{FILE}::test_fails"),))
    assert (await world.blank(base, trusted)).status == "inconclusive"


async def test_no_stated_test_is_no_blank(world: World) -> None:
    """There is nothing that could fail."""
    base = await world.commit(BASE)
    result = await world.blank(base, TrustedTests(visible=await world.tree(TESTS)))
    assert (result.status, result.reasons) == ("failed", ("no test is stated",))


async def test_tests_that_lead_out_of_the_tree_are_refused(world: World) -> None:
    """The tree policy holds for the trusted side, too."""
    base = await world.commit(BASE)
    trusted = TrustedTests(
        visible=await world.tree({"tests/data": "->/etc"}), stated=(states("tests/test_a.py::test_a"),)
    )
    result = await world.blank(base, trusted)
    assert result.status == "failed"
    assert "leaves the tree" in result.reasons[0]
