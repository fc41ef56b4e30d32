"""What an author says in words is held against what was computed, and what was not computed is not believed."""

from __future__ import annotations

import pytest
from tests.evidence.books import failed, passed

from assay.evidence.facts import Subject
from assay.evidence.statements import Known, known_of, mark_statement

KNOWN = Known(
    commits=("1a" * 20, "2b" * 20),
    changed=("calc.py", "docs/use.md"),
    tests_changed=(),
    passing=12,
    failing=0,
    added=2,
    dependencies=(),
)
BROKEN = Known(commits=KNOWN.commits, changed=("calc.py", "tests/test_calc.py"), tests_changed=("tests/test_calc.py",),
               passing=11, failing=1, added=0, dependencies=("uv.lock: attrs comes in: 1",))  # fmt: skip


@pytest.mark.parametrize(
    ("said", "mark"),
    [
        ("All tests pass.", "confirmed"),
        ("All 12 tests pass", "confirmed"),
        ("12 passed, 0 failed", "confirmed"),
        ("40 tests pass.", "contradicted"),
        ("3 failures remain", "contradicted"),
        ("No test fails.", "confirmed"),
        ("Adds 2 new tests.", "confirmed"),
        ("Added 5 regression tests.", "contradicted"),
        ("No tests were changed.", "confirmed"),
        ("Fixes `calc.py`.", "confirmed"),
        ("Only changes calc.py.", "contradicted"),
        ("Updates `other.py` too.", "contradicted"),
        ("2 files changed", "confirmed"),
        (f"Tested at {'2b' * 5}", "confirmed"),
        ("This commit is deadbeef12", "contradicted"),
        ("Refactored nothing else; see deadbeef12", "unverified"),
        ("No new dependencies.", "confirmed"),
        ("It works without additional packages", "confirmed"),
        ("It has dependencies.", "unverified"),
        ("It is ten times faster.", "unverified"),
        ("All tests pass and the new parser is ten times faster than before on large files.", "unverified"),
        ("The mean of an empty list is now an error.", "unverified"),
    ],
)
def test_a_sentence_is_marked(said: str, mark: str) -> None:
    """By what was computed alone; a sentence that says more than that is not confirmed by a part of it."""
    (sentence,) = [s for s in mark_statement(said, KNOWN) if not s.text.startswith("see ")]
    assert sentence.mark == mark, sentence


@pytest.mark.parametrize(
    "said", ["All tests pass.", "12 passed", "No tests were changed.", "Adds 2 tests.", "No new dependency"]
)
def test_the_same_sentence_about_another_change_is_contradicted(said: str) -> None:
    """The negative control: what holds of one change does not of another."""
    (sentence,) = mark_statement(said, BROKEN)
    assert sentence.mark == "contradicted", sentence
    assert sentence.why


@pytest.mark.parametrize(
    "said", ["All tests pass.", "12 passed", "No tests were changed.", "Fixes calc.py", "2 files changed"]
)
def test_nothing_is_believed_where_nothing_was_computed(said: str) -> None:
    """Where a proof did not come so far, no sentence is confirmed."""
    assert [s.mark for s in mark_statement(said, Known())] == ["unverified"]


def test_a_statement_is_taken_apart() -> None:
    """Headings, bullets and sentences in a line, without their marks."""
    said = "# Fix mean\n\n- All tests pass. It is faster!\n* No tests were changed\n\n---\n"
    assert [s.text for s in mark_statement(said, KNOWN)] == [
        "Fix mean",
        "All tests pass.",
        "It is faster!",
        "No tests were changed",
    ]
    assert len(mark_statement("Yes. " * 1000, KNOWN)) == 200


def test_counts_are_of_whole_runs() -> None:
    """Head's own suite, or the base's where no test changed; a run that was not whole says nothing."""
    from tests.evidence.books import check_case

    records = check_case()
    commits = ("1" * 40, "2" * 40)
    runs = list(records.evidence.values())
    # The books of the judge's tests say base for all tests; here the cells matter.
    head = next(e for e in runs if e.purpose == Subject.BROUGHT.value and e.cell.source == "head")
    own = head.model_copy(update={"cell": head.cell.model_copy(update={"tests": "head"})})
    found = known_of([*runs, own], commits=commits, changed=("a",), tests_changed=("tests/test_n.py",))
    assert (found.passing, found.failing, found.added) == (3, 0, 1)
    red = own.model_copy(update={"outcomes": (*own.outcomes[:2], failed("tests/test_n.py::test_new"))})
    found = known_of([*runs, red], commits=commits, changed=("a",), tests_changed=("tests/test_n.py",))
    assert (found.passing, found.failing) == (2, 1)
    broken = own.model_copy(update={"trouble": "forged", "outcomes": (passed("a::b"),)})
    found = known_of([*runs, broken], commits=commits, changed=("a",), tests_changed=("tests/test_n.py",))
    assert (found.passing, found.added) == (None, None)
    unchanged = known_of(runs, commits=commits, changed=("a",), tests_changed=())
    assert unchanged.passing == 2
