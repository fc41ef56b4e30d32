"""Honest but awkward changes come through, or go to a person with a question; none is called a lie."""

from __future__ import annotations

import pytest

from assay.records.claims import ClaimKind
from assay.records.verdicts import VerdictStatus

from .conftest import BASE, CALC, FIXED, NEW_TEST, TESTS, Files, World

pytestmark = pytest.mark.docker

PROVEN, INCONCLUSIVE, REFUTED = VerdictStatus.PROVEN, VerdictStatus.INCONCLUSIVE, VerdictStatus.REFUTED


async def test_declined_is_its_own_outcome(world: World) -> None:
    """An honest "could not do it" is recorded as that, and nothing is executed."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED}, base)
    verdict = await world.prove(base, head, declined="the ticket contradicts itself")
    assert verdict.status is VerdictStatus.DECLINED
    assert "contradicts itself" in verdict.reasons[0]
    assert await world.evidence() == ()


async def test_a_failing_and_a_flaky_test_at_the_base_are_not_blamed(world: World) -> None:
    """What did not pass each time before is not held against the change; what it mends shows the change."""
    flaky = "import os\n\n\ndef test_flaky():\n    assert os.getpid() % 2 == 0 and os.urandom(1)[0] < 20\n"
    red = NEW_TEST + "\n\ndef test_never():\n    assert 0\n"
    base = await world.commit({**BASE, "tests/test_flaky.py": flaky, "tests/test_red.py": red})
    head = await world.commit({"calc.py": FIXED}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is PROVEN, verdict.reasons


async def test_renamed_tests_and_a_refactoring_are_proven(world: World) -> None:
    """The base's tests still pass under their old names, and the new names pass on both sides."""
    base = await world.commit(BASE)
    head = await world.commit(
        {
            "calc.py": CALC.replace("return a + b", "total = a\n    total += b\n    return total"),
            "tests/test_calc.py": None,
            "tests/test_sums.py": TESTS.replace("test_add", "test_sum_of_two"),
        },
        base,
    )
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is PROVEN, verdict.reasons
    assert {f.kind for f in verdict.flags} >= {"renamed-test", "protected-file"}


async def test_a_refactoring_that_changes_behaviour_is_refuted(world: World) -> None:
    """Its own new test fails without it: that is no refactoring, whatever it is otherwise."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is REFUTED
    assert verdict.witness is not None
    assert verdict.witness.test == "tests/test_calc.py::test_mean"


async def test_documentation_is_proven_by_an_unchanged_program(world: World) -> None:
    """Text, comments and docstrings are no program; one line of code beside them is."""
    base = await world.commit(BASE)
    text = {"README.md": "# calc\n", "calc.py": CALC.replace("def add(a, b):", 'def add(a, b):\n    """Sum."""')}
    verdict = await world.prove(base, await world.commit(text, base), ClaimKind.DOCS)
    assert verdict.status is PROVEN, verdict.reasons


async def test_documentation_that_changes_the_program_is_refuted(world: World) -> None:
    """The trees contradict the claim; nothing has to be executed to see it."""
    base = await world.commit(BASE)
    head = await world.commit({"README.md": "# calc\n", "calc.py": FIXED}, base)
    verdict = await world.prove(base, head, ClaimKind.DOCS)
    assert verdict.status is REFUTED
    assert verdict.witness is not None
    assert "git" in verdict.witness.command


async def test_tests_alone_have_to_be_able_to_fail(world: World) -> None:
    """A test of what is there is proven where a program that does nothing fails it; an empty one stays open."""
    base = await world.commit(BASE)
    good = "from calc import add\n\n\ndef test_more():\n    assert add(2, 2) == 4\n"
    head = await world.commit({"tests/test_more.py": good}, base)
    verdict = await world.prove(base, head, ClaimKind.TESTS)
    assert verdict.status is PROVEN, verdict.reasons


async def test_tests_that_show_nothing_stay_open(world: World) -> None:
    """The negative control of the test above."""
    base = await world.commit(BASE)
    head = await world.commit({"tests/test_more.py": "import calc\n\n\ndef test_more():\n    assert calc\n"}, base)
    verdict = await world.prove(base, head, ClaimKind.TESTS)
    assert verdict.status is INCONCLUSIVE


async def test_a_fix_without_any_test_stays_open_with_a_question(world: World) -> None:
    """Nothing broke, and nothing shows what it does: a person is asked which test would."""
    base = await world.commit(BASE)
    verdict = await world.prove(base, await world.commit({"calc.py": FIXED}, base))
    assert verdict.status is INCONCLUSIVE
    assert verdict.question is not None
    assert "--tests" in verdict.question


async def test_a_crash_that_is_mended_counts_although_no_assertion_failed(world: World) -> None:
    """At the base the program itself raised; that is what the fix is about."""
    base = await world.commit(BASE)
    source = FIXED.replace("return sum", "if not values:\n        return 0\n    return sum")
    bug = CALC.replace("(len(values) + 1)", "len(values)")
    base = await world.commit({"calc.py": bug}, base)
    test = TESTS + "\n\ndef test_mean_of_nothing():\n    import calc\n\n    assert calc.mean([]) == 0\n"
    head = await world.commit({"calc.py": source, "tests/test_calc.py": test}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is PROVEN, verdict.reasons
    assert not any("functions do nothing" in reason for s in verdict.steps for reason in s.reasons)


async def test_new_fixtures_in_a_new_conftest_serve_the_changes_own_tests(world: World) -> None:
    """The head's harness enters the head's own suite, is flagged, and judges nothing of the base's."""
    base = await world.commit(BASE)
    head = await world.commit(
        {
            "calc.py": FIXED,
            "tests/conftest.py": "import pytest\n\n\n@pytest.fixture\ndef values():\n    return [2, 4]\n",
            "tests/test_mean.py": "from calc import mean\n\n\ndef test_mean(values):\n    assert mean(values) == 3\n",
        },
        base,
    )
    verdict = await world.prove(base, head)
    assert verdict.status is PROVEN, verdict.reasons
    assert "tests/conftest.py" in [f.path for f in verdict.flags]


async def test_a_declared_dependency_that_is_not_in_the_image_goes_to_a_person(world: World) -> None:
    """Nothing can be executed that needs it; without the declaration, the same change is refuted."""
    base = await world.commit(BASE)
    files: Files = {"calc.py": "import numpy\n" + FIXED, "tests/test_calc.py": NEW_TEST}
    head = await world.commit(files, base)
    verdict = await world.prove(base, head, new_dependencies=("numpy",))
    assert verdict.status is INCONCLUSIVE
    assert verdict.question is not None
    assert "numpy" in verdict.question


async def test_a_base_whose_tests_cannot_run_stays_open(world: World) -> None:
    """An unknown option in the base's own configuration is a question about the image, and not about the change."""
    base = await world.commit({**BASE, "pytest.ini": "[pytest]\naddopts = --no-such-option\n"})
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is INCONCLUSIVE
    assert "could not be run at the base" in " ".join(verdict.reasons)


async def test_a_head_that_cannot_be_imported_is_refuted(world: World) -> None:
    """The base passes what the head cannot even start."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": "def add(a, b:\n", "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is REFUTED
    assert verdict.witness is not None
    assert "SyntaxError" in verdict.witness.got


async def test_a_head_that_is_no_descendant_stays_open(world: World) -> None:
    """The wrong commit is not judged at all."""
    base = await world.commit(BASE)
    other = await world.commit({**BASE, "calc.py": FIXED})
    verdict = await world.prove(base, other)
    assert verdict.status is INCONCLUSIVE
    assert "does not descend" in verdict.reasons[0]
    assert await world.evidence() == ()


async def test_a_project_in_a_folder_with_sources_in_src(world: World) -> None:
    """Ids are relative to the project's root, whose own configuration counts; the rest of the tree lies around it."""
    from assay.policies.settings import ProjectSettings

    world.settings = world.settings.model_copy(update={"project": ProjectSettings(root="lib")})
    base = await world.commit(
        {
            "lib/src/calc.py": CALC,
            "lib/tests/test_calc.py": TESTS,
            "lib/pyproject.toml": "[project]\nversion = '1'\n[tool.pytest.ini_options]\ntestpaths = ['tests']\n",
            "tests/test_other.py": "def test_elsewhere():\n    assert 0\n",
        }
    )
    head = await world.commit(
        {
            "lib/src/calc.py": FIXED,
            "lib/tests/test_calc.py": NEW_TEST,
            "lib/pyproject.toml": "[project]\nversion = '2'\n[tool.pytest.ini_options]\ntestpaths = ['tests']\n",
        },
        base,
    )
    verdict = await world.prove(base, head)
    assert verdict.status is PROVEN, verdict.reasons
    ids = {o.id for e in await world.evidence() for o in e.outcomes}
    assert ids >= {"tests/test_calc.py::test_add"}
    assert not any("elsewhere" in i for i in ids)
