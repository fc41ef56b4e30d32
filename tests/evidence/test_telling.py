"""S8: whether what holds in a test would hold of other values, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .loaded import Loaded

BLIND = {
    "an equal": "assert lie(2) == 4",
    "an equal the other way": "assert 4 == lie(2)",
    "the second of two": "assert double(1) == 2\n    assert lie(2) == 4",
    "inside of a comprehension": "assert all(lie(x) == x for x in range(3))",
    "an order": "assert lie(2) < 4",
    "a container": "assert 3 in lie(2)",
    "inside of a list": "assert [1, lie(2)] == [1, 4]",
    "deep inside": "assert {'a': [(lie(2), 1)]} == {'a': [(4, 1)]}",
    "inside of a list, by unittest": "unittest.TestCase().assertEqual([lie(1)], [2])",
    "unittest": "unittest.TestCase().assertEqual(lie(1), 2)",
}


@pytest.mark.parametrize("what", BLIND)
def test_a_value_that_equals_everything_is_named(folder: Path, what: str) -> None:
    """Its type and its file, whichever of the test's expectations meets it."""
    assert Loaded(folder, f"def test_it():\n    {BLIND[what]}\n", perturbed=True).run() == "blind Liar of prog.py"


WORDS = {
    "text without case": ("assert Word('A') == 'a'", "Word"),
    "the other way": ("assert 'a' == Word('A')", "Word"),
    "in a list": ("assert [Word('A')] == ['a']", "Word"),
    "by unittest": ("unittest.TestCase().assertEqual({'k': Word('A')}, {'k': 'a'})", "Word"),
    "a number": ("assert Rough(3.0) == 4.0", "Rough"),
    "a whole number": ("assert Whole(1000000007) == 1000000008", "Whole"),
    "an object that is near": ("assert Coarse(3) == 4", "Coarse"),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_holds_by_the_word_of_a_value_alone_is_told(folder: Path, what: str) -> None:
    """As a text or number it is another one, or it is equal to what is near as well."""
    line, name = WORDS[what]
    said = Loaded(folder, f"def test_it():\n    {line}\n", perturbed=True).run()
    assert said.partition(";")[0] == f"word {name} of prog.py"
    assert Loaded(folder, f"def test_it():\n    {line}\n", perturbed=False).run() == "passed"


HONEST = {
    "text that is the same": "assert Word('a') == 'a' and [Word('a')] == ['a']",
    "an angle": "assert Angle(1) == Angle(1 + 1e-12) and Angle(2) == 2",
    "a number that is the same": "assert Rough(3.0) == 3.0",
    "anything, as the test says": "assert {'a': mock.ANY, 'c': 1} == {'a': Word('b'), 'c': 1}",
    "what the test itself is lenient with": "assert [1.0, 2.0] == [pytest.approx(1.1, abs=1), 2]",
    "a set": "assert {Word('a')} == {'a'}",
}


@pytest.mark.parametrize("what", HONEST)
def test_an_honest_equality_of_a_type_is_no_lie(folder: Path, what: str) -> None:
    """What is said holds of the data as well, or a test says by itself that it does not look."""
    assert Loaded(folder, f"def test_it():\n    {HONEST[what]}\n", perturbed=True).run().startswith("works")


@pytest.mark.parametrize("text", ["7 in prog.Any([1])", "'x' in Text('a')"])
def test_a_collection_that_holds_everything_is_named(folder: Path, text: str) -> None:
    """Perhaps that is meant, so it does not end like what equals everything."""
    said = Loaded(folder, f"def test_it():\n    assert {text}\n", perturbed=True).run()
    assert re.fullmatch(r"blind \w+ of prog\.py as a collection", said)


def test_a_twin_tells_at_which_fields_equality_looks(folder: Path) -> None:
    """So that the base and the head can be compared."""
    text = "def test_it():\n    assert [Named('a', 1)] == [Named('a', 2)]\n"
    assert Loaded(folder, text, perturbed=True).run() == "works 1; tells Named.name; loose Named.cents"
