"""What reads text of a change on the host takes time in proportion to it, and survives what parsers choke on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from assay.evidence.commands import _NUMBER
from assay.evidence.flags import _SUPPRESSIONS
from assay.evidence.gates.licences import _declared
from assay.evidence.gates.looks import ChangedFile
from assay.evidence.manifests import read_manifest
from assay.evidence.null_scripts import null_scripts
from assay.evidence.overlay import _TESTS_INSIDE
from assay.evidence.probe_answers import Answer
from assay.evidence.reach import _pytest_part, reach_of
from assay.evidence.runner_pytest import _configures_pytest
from assay.evidence.statements import Known, mark_statement
from assay.evidence.syntax import parse

_LENGTH = 300_000
_SECONDS = 10.0
"""Of the processor's time; what grows with the square takes minutes for as much."""
_KNOWN = Known(commits=("a" * 40, "b" * 40), changed=("a.py",), tests_changed=(), passing=1, failing=0, added=1)


def _reach(text: str) -> object:
    return reach_of({"a.py": b"", "test_a.py": text.encode()}, {"a.py"}, program={"a.py"}, shared=())


def _mark(text: str) -> object:
    return mark_statement(text, _KNOWN)


def _go(text: str) -> object:
    return read_manifest("go.mod", text.encode())


def _null(text: str) -> object:
    return null_scripts({}, {"a.js": text.encode()}, "raise")


def _number(text: str) -> object:
    return re.findall(rf"x\s*=\s*({_NUMBER})\s*$", text, re.MULTILINE)


def _except(text: str) -> object:
    return _SUPPRESSIONS["except"].findall(text.encode())


def _inside(text: str) -> object:
    return _TESTS_INSIDE.search(text.encode())


@pytest.mark.parametrize(
    ("read", "begin", "repeated"),
    [
        *(
            (_reach, "", text)
            for text in ("\n", " ", "=", "= ", "=\n", "=a", "a.", "import ", "import\n", "'a", "\t\n")
        ),
        *((_reach, begin, text) for begin in ("import", "=", "=a") for text in ("\n", " ", "\t", "a", ".")),
        (_go, "", "a."),
        (_go, "require ", "a."),
        (_go, "a.b ", "\n"),
        (_null, "function", " "),
        (_number, "x=", "1"),
        (_except, "", "\n"),
        (_inside, "", "\n"),
        (_mark, "a", " "),
        (_mark, "", "1,"),
        (_mark, "The head: ", "a234567 "),
    ],
)
def test_hostile_text_is_read_in_proportion_to_its_length(
    read: Callable[[str], object], begin: str, repeated: str
) -> None:
    """Blanks, line breaks, dots, digits and words over and over again do not hold up the host."""
    text = begin + repeated * (_LENGTH // len(repeated)) + "!"
    began = time.process_time()
    read(text)
    assert time.process_time() - began < _SECONDS


def test_a_number_too_long_for_python_ends_no_proof() -> None:
    """`tomllib` and `int` raise a plain ValueError for one of more than 4300 digits."""
    number = "1" * 5000
    assert _pytest_part("pyproject.toml", f"x = {number}".encode()) == f"x = {number}".encode()
    assert not _configures_pytest("pyproject.toml", f"x = {number}".encode())
    for said in (f"{number} tests pass.", f"It adds {number} tests.", f"{number} files changed.", f"{number} fail."):
        assert [sentence.mark for sentence in mark_statement(said, _KNOWN)] == ["unverified"]
    assert [sentence.mark for sentence in mark_statement("1,0 tests pass.", _KNOWN)] == ["contradicted"]


def test_a_number_that_is_read_and_cannot_be_written_ends_no_proof() -> None:
    """Python reads hexadecimal ones of any length, and raises ValueError where it should show them."""
    number = "0x" + "f" * 5000
    assert parse(f"def f():\n    return {number}\n".encode()) is None
    assert parse(b"def f():\n    return 0xff\n") is not None
    assert Answer(kind="value", text=f"({number}, ((), {{}}))").shown.startswith("has no answer")
    assert Answer(kind="value", text="(0xff, ((), {}))").shown == "gives 255"
    for said in (f"license = {number}", "license = 1979-05-27", f"license = {{x = {number}}}"):
        file = ChangedFile("pyproject.toml", f"[project]\n{said}\n".encode())
        assert len(list(_declared((file,)))) == 1
