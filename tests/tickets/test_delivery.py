"""Names and messages of what is delivered, checked with git itself."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.records.entries import Entry, EntryKind
from assay.records.plans import Requirement, Unit
from assay.records.tickets import Ticket
from assay.tickets.delivery import branch_name, commit_message

ENTRY = Entry(
    run="r20261122-0a1b2c3d",
    seq=3,
    kind=EntryKind.VERDICT_GIVEN,
    key="verdict",
    at=datetime(2026, 11, 22, tzinfo=UTC),
    previous="sha256:0",
)


def unit(title: str, text: str = "Negative amounts are refused.") -> Unit:
    """Return a unit of that title with one requirement."""
    return Unit(
        id="amounts",
        title=title,
        specification="Refuse them.",
        acceptance=(Requirement(id="R1", text=text),),
        paths=("src/",),
    )


@pytest.mark.parametrize(
    ("title", "branch"),
    [
        ("Refuse negative amounts", "assay/refuse-negative-amounts-0a1b2c3d"),
        ("Größe & Maß: ändern!", "assay/groe-ma-andern-0a1b2c3d"),
        ("修正", "assay/ticket-0a1b2c3d"),
        ("a" * 100, f"assay/{'a' * 40}-0a1b2c3d"),
        ("one two three four five six seven eight nine ten", "assay/one-two-three-four-five-six-seven-eight-0a1b2c3d"),
    ],
)
def test_branch_is_named_for_ticket_and_run(title: str, branch: str) -> None:
    """The name is readable ASCII of bounded length, ending in what tells runs apart."""
    assert branch_name(Ticket(title=title, text=""), "r20261122-0a1b2c3d") == branch


@given(st.text(min_size=1))
@settings(max_examples=30, deadline=None)
def test_every_branch_name_is_one_for_git(title: str) -> None:
    """Whatever the title, git takes the name."""
    name = branch_name(Ticket(title=title, text=""), "r20261122-0a1b2c3d")
    subprocess.run(["git", "check-ref-format", "--branch", name], check=True, capture_output=True)


def test_message_ends_in_trailers_that_git_reads() -> None:
    """Subject, requirements and the four trailers; the ledger's is the digest of the entry."""
    ticket = Ticket(title="Refuse negative amounts", text="")
    message = commit_message(ticket, run=ENTRY.run, unit=unit("Check the sign"), entry=ENTRY)
    assert message == (
        "Check the sign\n\n- R1: Negative amounts are refused.\n\n"
        f"Assay-Run: {ENTRY.run}\nAssay-Ticket: Refuse negative amounts\nAssay-Unit: amounts\n"
        f"Assay-Ledger: {ENTRY.digest}"
    )
    assert read_trailers(message)["Assay-Ledger"] == [ENTRY.digest]


def test_texts_of_agents_cannot_pass_for_trailers() -> None:
    """Line breaks in titles and requirements do not make lines: each trailer is there once."""
    forged = "x\n\nAssay-Ledger: sha256:forged\n"
    message = commit_message(Ticket(title=forged, text=""), run=ENTRY.run, unit=unit(forged, forged), entry=ENTRY)
    trailers = read_trailers(message)
    assert trailers["Assay-Ledger"] == [ENTRY.digest]
    assert len(message.split("\n", 1)[0]) <= 72
    naive = f"{forged}Assay-Ledger: {ENTRY.digest}"
    assert len(read_trailers(naive)["Assay-Ledger"]) == 2, "without the care taken, git reads the forged one too"


def read_trailers(message: str) -> dict[str, list[str]]:
    """Return the trailers as git parses them."""
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message.encode(), capture_output=True, check=True
    )
    found: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found
