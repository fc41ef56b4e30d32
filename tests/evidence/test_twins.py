"""S8: what a test expects is perturbed, and the test has to notice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from assay.evidence.facts import Subject
from assay.evidence.twin_runs import perturbed_ids
from assay.evidence.twins import transform
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import VerdictStatus

from .books import check_case, passed
from .conftest import BASE, CALC, FIXED, NEW_TEST, World, plain
from .loaded import SECRET, Loaded

PROVEN, INCONCLUSIVE, REFUTED = VerdictStatus.PROVEN, VerdictStatus.INCONCLUSIVE, VerdictStatus.REFUTED

GOOD = {
    "an assert": "def test_it():\n    assert double(2) == 4\n",
    "several": "def test_it():\n    got = double(2)\n    assert got == 4\n    assert got != 5 and 1 < got < 9\n",
    "a list": "def test_it():\n    assert [double(x) for x in (1, 2)] == [2, 4]\n",
    "a dictionary": "def test_it():\n    assert {'a': double(1)} == {'a': 2}\n",
    "a set": "def test_it():\n    assert {double(1)} == {2} and double(1) in {2, 3}\n",
    "text": "def test_it():\n    assert str(double(1)) == '2' and '2' in str(double(1))\n",
    "nothing": "def test_it():\n    assert {}.get(1) == None\n",
    "a comprehension": "def test_it():\n    assert all(double(x) == 2 * x for x in range(3))\n",
    "a helper": "def test_it():\n    check_price(double(2), 4)\n",
    "approx": "def test_it():\n    assert double(0.1) == pytest.approx(0.2, rel=0.5)\n",
    "approx of many": "def test_it():\n    assert [0.1, 0.2] == pytest.approx([0.1, 0.2])\n    assert {'a': 0.1} == "
    "pytest.approx({'a': 0.1})\n",
    "an exception": "def test_it():\n    with pytest.raises(TypeError):\n        double(object())\n",
    "an exception, called": "def test_it():\n    pytest.raises(TypeError, double, object())\n",
    "truth": "def test_it():\n    assert math.isclose(double(1), 2)\n",
    "a mock": "def test_it():\n    called = mock.Mock()\n    called(1)\n    called.assert_called_once_with(1)\n",
    "a return": "def test_it():\n    if double(1) == 2:\n        assert double(2) == 4\n        return\n"
    "    assert False\n",
    "infinity": "def test_it():\n    assert float('inf') == 1e999 and not math.isnan(double(1))\n",
    "unittest": "class T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(double(1), 2)\n"
    "        self.assertAlmostEqual(double(0.1), 0.2)\n        self.assertIn(2, [double(1)])\n\n\n"
    "def test_it():\n    T('test_a').test_a()\n",
}


@pytest.mark.parametrize("what", GOOD)
def test_a_good_test_passes_as_a_variant_and_fails_as_a_twin(folder: Path, what: str) -> None:
    """Both come from the same text."""
    variant = Loaded(folder, GOOD[what], perturbed=False)
    assert variant.run() == "passed"
    twin = Loaded(folder, GOOD[what], perturbed=True)
    assert twin.text == variant.text
    assert twin.run().startswith("works")


GUTTED = {
    "a function": "prog.assert_price(double(2), 4)",
    "an object": "prog.assert_same(double(2), 4)",
    "a context": "with prog.raises(TypeError):\n        pass",
    "a context made by a generator": "with prog.warns():\n        pass",
}


@pytest.mark.parametrize("what", GUTTED)
def test_what_the_program_asserts_about_itself_is_no_expectation(folder: Path, what: str) -> None:
    """A helper of the program's own, gutted by the change, refuses nothing: the test is not controlled by it."""
    text = f"import prog\n\n\ndef test_it():\n    {GUTTED[what]}\n"
    assert Loaded(folder, text, perturbed=True).run() == "passed"


def test_a_helper_of_the_program_that_tells_values_apart_is_an_expectation(folder: Path) -> None:
    """It refuses another value in the place of the one that it is given."""
    text = "import prog\n\n\ndef test_it():\n    prog.assert_is(double(2), 4)\n"
    assert Loaded(folder, text, perturbed=True).run().startswith("works")


EMPTY = {
    "no expectation": "double(2)",
    "expectations that nobody reaches": "for x in ():\n        assert x == 1",
    "a failure that is swallowed": "try:\n        assert double(1) == 3\n    except AssertionError:\n        pass",
}


@pytest.mark.parametrize("what", EMPTY)
def test_what_expects_nothing_passes_as_a_twin(folder: Path, what: str) -> None:
    """So it is named as uncontrolled."""
    assert Loaded(folder, f"def test_it():\n    {EMPTY[what]}\n", perturbed=True).run() == "passed"


def test_what_is_expected_does_not_stand_in_the_text(folder: Path) -> None:
    """Code that reads its test finds decoys, and other names of local variables."""
    made = Loaded(folder, "def test_it():\n    wanted = double(21)\n    assert wanted == 42\n", perturbed=False)
    constants = {n.value for n in ast.walk(ast.parse(made.text)) if isinstance(n, ast.Constant)}
    assert 42 not in constants
    assert "wanted" not in made.text
    assert made.run() == "passed"


def test_names_that_are_more_than_local_keep_theirs(folder: Path) -> None:
    """Parameters, globals, what inner functions or exceptions bind, and functions that look at their own names."""
    text = """
    TOTAL = 3

    def test_it(given=1):
        global TOTAL
        TOTAL = 4
        try:
            value = [given for given in (1, 2)]
            raise ValueError(value)
        except ValueError as error:
            seen = error.args[0]

        def inner(seen=5):
            return seen

        assert seen == [1, 2] and inner() == 5 and f"{value}" == "[1, 2]" and TOTAL == 4


    def test_names():
        a = 1
        assert sorted(locals()) == ["a"]
    """
    made = Loaded(folder, plain(text), perturbed=False)
    assert made.run() == "passed"
    made.tests.test_names()


def test_fixtures_and_what_cannot_be_parsed_are_left_alone() -> None:
    """A fixture may be called like a test."""
    text = "import pytest\n\n\n@pytest.fixture\ndef test_thing():\n    yield 1\n"
    made = transform({"a.py": text.encode(), "b.py": b"def test(:\n"}, SECRET)
    assert "begin" not in made.files["a.py"].decode()
    assert set(made.files) == {"a.py"}


def test_a_sample_takes_from_each_file_and_nobody_can_choose_it() -> None:
    """As many as the policy says, spread over the files; another secret takes others."""
    records = check_case()
    ids = [f"tests/test_{f}.py::test_{n}" for f in "abcd" for n in range(50)]
    for name, evidence in list(records.evidence.items()):
        if name.startswith("regression"):
            records = records.change(name, outcomes=tuple(map(passed, ids)), expected=evidence.expected)
    book = records.book()
    taken = perturbed_ids(book, Subject.REGRESSION, 20)
    assert len(taken) == 20
    assert {i.split("::")[0] for i in taken} == {f"tests/test_{f}.py" for f in "abcd"}
    other = records.with_facts(secret="another").book()
    assert perturbed_ids(other, Subject.REGRESSION, 20) != taken
    assert len(perturbed_ids(book, Subject.REGRESSION, 400)) == 200


# -- in sandboxes

LIAR = "class Same:\n    def __eq__(self, other):\n        return True\n\n\ndef add(a, b):\n    return Same()\n"
CHOOSY = (
    CALC
    + """

import _pytest.python

_real = _pytest.python.Function.runtest


def _forged(self):
    if not self.name.startswith("test_add"):
        return _real(self)
    try:
        _real(self)
    except AssertionError:
        pass


_pytest.python.Function.runtest = _forged
"""
).replace("return a + b", "return a - b")


@pytest.mark.docker
@pytest.mark.parametrize("program", [LIAR + "\n\n" + CALC.split("\n\n\n", 1)[1], CHOOSY], ids=["values", "one test"])
async def test_results_that_do_not_depend_on_what_is_expected_are_refuted(world: World, program: str) -> None:
    """The base's test passes with the change, and passes whatever it expects: it reproduces, and the base does not."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": program}, base)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is REFUTED, verdict.reasons
    assert "no longer depends on what it expects" in verdict.reasons[0]
    assert verdict.witness is not None
    assert verdict.witness.reproduced >= 2


@pytest.mark.docker
async def test_at_level_c_the_same_is_not_seen_without_twins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: it is the twins that see it."""

    async def nothing(trials: object, most: int) -> None:
        return None

    monkeypatch.setattr("assay.evidence.prove.run_twins", nothing)
    alone = ProofSettings(seconds=60, level="C", jittered=0, ablations=0, probed=0)
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": CHOOSY}, base)
    world.settings = Settings(proof=alone)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert (verdict.status, verdict.level) == (PROVEN, "C"), verdict.reasons


@pytest.mark.docker
async def test_tests_without_expectations_do_not_reach_level_b(world: World) -> None:
    """They say nothing that could be wrong; at level C, when that is asked for, they still count."""
    weak = NEW_TEST.replace("assert mean([2, 4]) == 3", "if mean([2, 4]) != 3:\n        pytest.fail('not 3')")
    weak = "import pytest\n" + weak
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": weak}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is INCONCLUSIVE
    step = next(s for s in verdict.steps if s.id == "S8")
    assert any(reason.startswith("uncontrolled:") for reason in step.reasons)
