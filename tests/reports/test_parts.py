"""The parts that a report is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.records.changes import ChangeStatus, FileChange, Hunk
from assay.records.evidence import Cell, Evidence, FailureKind, PhaseOutcome, TestOutcome
from assay.records.runs import RunStatus
from assay.records.sandboxes import Exited, OutOfMemory, Signalled, TimedOut
from assay.records.verdicts import VerdictStatus
from assay.reports import ClaimFacts, RunFacts
from assay.reports.diffs import view_changes
from assay.reports.matrix import tabulate_tests
from assay.reports.outcomes import conclude_run, line_up_claims
from assay.reports.untrusted import describe_ending, make_visible, shorten


@given(st.text(st.characters(codec=None, min_codepoint=0, max_codepoint=0x10FFFF)))
def test_whatever_text_it_is_it_can_be_written_and_hides_nothing(text: str) -> None:
    """No control, no direction and no lone surrogate is left; ordinary text is unchanged."""
    shown = make_visible(text)
    shown.encode("utf-8")
    assert not any(ord(c) < 0x20 and c not in "\t\n" for c in shown)
    assert not set(shown) & set("\x7f\x85\x9b\xad\u061c\u200b\u200e\u202e\u2028\u2067\ufeff\U000e0041")
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        (
            "caf\u00e9 \u0645\u0631\u062d\u0628\u0627 \U0001f600 \u2764\ufe0f",
            "caf\u00e9 \u0645\u0631\u062d\u0628\u0627 \U0001f600 \u2764\ufe0f",
        ),
        ("\x1b[31m", "[ESC][31m"),
        ("\x9b31m", "[CSI]31m"),
        ("x\ufe0f\ufe01\ufe02", "x\ufe0f[U+FE01][U+FE02]"),
        ("\udcff", "[0xFF]"),
        ("\ud800", "[U+D800]"),
        ("if access\u2066 # check", "if access[U+2066] # check"),
    ],
)
def test_hidden_characters_have_names(text: str, shown: str) -> None:
    """What people write stays; what hides is named."""
    assert make_visible(text) == shown


def test_a_long_text_says_how_much_is_left_out() -> None:
    """The beginning and the end are kept."""
    assert shorten("a" * 60 + "b" * 60, 100) == "a" * 50 + "\n[… 20 characters left out …]\n" + "b" * 50
    assert shorten("short", 100) == "short"


def test_every_ending_has_words() -> None:
    """A lost sandbox is not an exit code."""
    assert [
        describe_ending(e) for e in (None, Exited(code=2), Signalled(signal=9), TimedOut(seconds=30), OutOfMemory())
    ] == [
        "sandbox lost",
        "exit 2",
        "killed by signal 9",
        "timed out after 30 s",
        "out of memory",
    ]


def reported(
    call: PhaseOutcome = "passed", failure: FailureKind = "none", setup: PhaseOutcome = "passed", reports: int = 1
) -> TestOutcome:
    return TestOutcome(id="t", reports=reports, setup=setup, call=call, teardown="passed", failure=failure)


@pytest.mark.parametrize(
    ("runs", "word", "passed"),
    [
        ([reported()], "pass", 1),
        ([reported(), reported()], "pass", 2),
        ([reported("failed", "assertion")], "fail", 0),
        ([reported("failed", "error")], "error", 0),
        ([reported("failed", "import")], "import error", 0),
        ([reported(setup="error", failure="error")], "error", 0),
        ([reported("skipped")], "skip", 0),
        ([reported("xfailed")], "xfail", 0),
        ([reported("xpassed")], "xpass", 0),
        ([reported(reports=2)], "2 reports", 0),
        ([TestOutcome(id="t", setup="passed")], "incomplete", 0),
        ([None], "missing", 0),
        ([reported(), None], "flaky", 1),
        ([reported("failed", "assertion"), None], "fail / missing", 0),
    ],
)
def test_a_cell_passes_only_when_every_run_passed(
    run_facts: RunFacts, runs: list[TestOutcome | None], word: str, passed: int
) -> None:
    """A missing, skipped or twice reported test is never a pass."""
    claim = run_facts.claims[0]
    template = claim.evidence[0]
    evidence = tuple(
        Evidence.model_copy(
            template,
            update={
                "cell": Cell(source="head", tests="head"),
                "outcomes": (run,) if run else (),
                "expected": ("t",),
            },
        )
        for run in runs
    )
    table = tabulate_tests(replace(claim, evidence=evidence, stated=()))
    (row,) = table.failing or table.passing[0][1]
    assert row.cells[:3] == (None, None, None)
    assert row.cells[3]
    assert (row.cells[3].word, row.cells[3].passed, row.cells[3].runs) == (word, passed, len(runs))
    assert row.good is (word == "pass")


def change(status: ChangeStatus = "M", **fields: object) -> FileChange:
    defaults: dict[str, object] = {
        "path": "a.py",
        "old_path": "a.py",
        "old_mode": 0o100644,
        "new_mode": 0o100644,
        "old_oid": "1" * 40,
        "new_oid": "2" * 40,
        "binary": False,
        "added": 0,
        "removed": 0,
    }
    return FileChange.model_validate({**defaults, "status": status, **fields})


def test_lines_are_numbered_on_their_own_side() -> None:
    """Context counts on both sides, and `no newline` on none."""
    hunk = Hunk(old_start=4, old_lines=2, new_start=7, new_lines=2, text=" a\n-b\n+c\r\n\\ No newline at end of file\n")
    (file,) = view_changes([change(hunks=(hunk,), added=1, removed=1)]).files
    assert [(line.kind, line.old, line.new) for line in file.hunks[0].lines] == [
        ("", "4", "7"),
        ("d", "5", ""),
        ("a", "", "8"),
        ("", "", ""),
    ]
    assert file.hunks[0].heading == "@@ -4,2 +7,2 @@"


@pytest.mark.parametrize(
    ("file", "path", "status", "notes"),
    [
        (change("R", path="b.py"), "a.py → b.py", "renamed", ("Content unchanged.",)),
        (change(new_mode=0o100755), "a.py", "modified", ("Mode 100644 (file) → 100755 (executable file).",)),
        (
            change("A", old_path=None, old_mode=0, old_oid=None, binary=True),
            "a.py",
            "added",
            (f"Binary content, nothing → {'2' * 40}.",),
        ),
        (
            change("A", old_path=None, old_mode=0, old_oid=None, new_mode=0o120000),
            "a.py",
            "added",
            ("Mode 120000 (symbolic link).", "Empty file."),
        ),
        (change("D", new_mode=0, new_oid=None), "a.py", "deleted", ("Empty file.",)),
        (
            change("T", new_mode=0o160000),
            "a.py",
            "of another type",
            ("Mode 100644 (file) → 160000 (submodule).",),
        ),
    ],
)
def test_what_is_not_a_line_is_a_note(file: FileChange, path: str, status: str, notes: tuple[str, ...]) -> None:
    """Renames, modes, links and binary files are said in words."""
    (view,) = view_changes([file]).files
    assert (view.path, view.status, view.notes) == (path, status, notes)


def test_only_the_latest_claim_of_each_place_counts(run_facts: RunFacts) -> None:
    """A mended claim is not held against the run, and a claim that ends refuted is not called mended."""
    first, second, whole = run_facts.claims
    assert [(line.word, line.last) for line in line_up_claims([first, second, whole])] == [
        ("refuted, mended", False),
        ("proven (level C)", True),
        ("proven (level C)", True),
    ]
    assert [(line.word, line.last) for line in line_up_claims([second, first])] == [
        ("proven (level C)", False),
        ("refuted", True),
    ]


def test_a_run_that_was_delivered_without_proof_does_not_read_as_proven(run_facts: RunFacts) -> None:
    """What a person took under their name, or nobody examined, is not counted among the proven."""
    waived = replace(run_facts.claims[2], verdict=None)
    inconclusive = _with_status(run_facts.claims[1], VerdictStatus.INCONCLUSIVE)
    facts = replace(run_facts, claims=(inconclusive, waived))
    assert "0 of 2 final claims proven" in conclude_run(facts).sentence
    refuted = replace(run_facts, status=RunStatus.REFUTED, branch=None, reason="shares-fair does not hold")
    assert conclude_run(refuted).sentence.startswith("Refuted: shares-fair does not hold; ")


def _with_status(facts: ClaimFacts, status: VerdictStatus) -> ClaimFacts:
    assert facts.verdict
    return replace(facts, verdict=facts.verdict.model_copy(update={"status": status, "level": None}))
