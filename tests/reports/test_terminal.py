"""What a terminal shows at the end."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from assay.records.runs import RunStatus
from assay.records.unproven import UnprovenLine
from assay.reports import CheckFacts, RunFacts, print_terminal, render_terminal


def printed(facts: RunFacts | CheckFacts, **options: Any) -> str:
    stream = io.StringIO()
    print_terminal(facts, Console(file=stream, width=80, **options))
    return stream.getvalue()


def test_a_run_is_a_table_of_claims_in_eighty_columns_without_colour(run_facts: RunFacts) -> None:
    """Piped, there are no escapes, and each claim's place, author and verdict stand on one line."""
    text = printed(run_facts)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "2 of 2 final claims proven; 1 earlier claim refuted" in " ".join(text.split())
    rows = [line.split()[:6] for line in lines]
    assert ["no", "unit", "shares", "coder", "refuted,", "mended"] in rows
    assert ["ok", "whole", "change", "integration", "proven", "(level"] in rows
    assert "plan: approve by ana via terminal: Two small units. Go." in lines


def test_a_refuted_check_shows_its_witness_and_the_command_whole(check_facts: CheckFacts) -> None:
    """The command that reproduces it is one line, however long, so that it can be copied."""
    lines = printed(check_facts).splitlines()
    witness = check_facts.claim.verdict and check_facts.claim.verdict.witness
    assert witness
    assert f"  again     {witness.command}" in lines
    assert "  expected  [34, 34, 33]" in lines
    assert "  got       assert [35, 33, 33] == [34, 34, 33]" in lines
    assert lines[-1] == "  assay check --repo . main..fix"


def test_an_open_question_is_shown_as_open(run_facts: RunFacts) -> None:
    """A parked run says what it waits for."""
    asked = (replace(run_facts.asked[0], decision=None),)
    text = printed(replace(run_facts, status=RunStatus.PARKED, asked=asked))
    assert "plan: nobody has answered: Is this the plan?" in text


@pytest.mark.parametrize("colour", [None, "truecolor"])
def test_hostile_text_sends_nothing_to_the_terminal(
    run_facts: RunFacts, poison: Callable[[Any], Any], colour: str | None
) -> None:
    """Escapes of tickets and tests are signs; the only ones are our own colours, and markup is text."""
    text = printed(poison(run_facts), force_terminal=colour is not None, color_system=colour)
    assert "[ESC][31mred[ESC]]0;title[BEL][CR][NUL] [U+202E]evil[U+2066] [U+D800] [0xFF]" in " ".join(text.split())
    assert "\x1b]" not in text
    assert "\x1b[31mred" not in text
    assert not set(text) & set("\x00\x07\r\u202e\u2066")
    text.encode("utf-8")


def test_markup_of_rich_is_text(run_facts: RunFacts) -> None:
    """A title cannot colour or link."""
    ticket = run_facts.ticket.model_copy(update={"title": "[bold]x[/bold] [link=file:///etc]y[/link]"})
    assert "[bold]x[/bold] [link=file:///etc]y[/link]" in printed(replace(run_facts, ticket=ticket))


def test_it_is_one_renderable(run_facts: RunFacts) -> None:
    """It goes into a panel or a live view as it is."""
    console = Console(file=io.StringIO(), width=80)
    assert console.render_lines(render_terminal(run_facts))


def test_unproven_lines_are_told_once_with_the_reason_of_each(run_facts: RunFacts) -> None:
    """What no check executes comes first; a run tells those of the whole, and a long list is cut."""
    text = printed(run_facts)
    assert text.count("unproven lines") == 1
    told = " ".join(text.split())
    assert "4 unproven lines (2 not executed, 1 could be taken out, 1 could be something else), whole change:" in told
    assert "splitbill/trips.py:4-5 no check executes it raise ValueError(<b>trip</b>) log(trip)" in told
    assert "every check passes with `left + 1` for `left`, or without `[each]`" in told
    assert told.index("trips.py:4-5") < told.index("shares.py:11") < told.index("shares.py:12")
    claim = run_facts.claims[-1]
    assert claim.verdict
    many = tuple(UnprovenLine(path="a.py", line=2 * n) for n in range(1, 13))
    verdict = claim.verdict.model_copy(update={"unproven_lines": many})
    text = printed(replace(run_facts, claims=(*run_facts.claims[:-1], replace(claim, verdict=verdict))))
    assert "… and 4 more places in the report" in text
