"""The HTML report, read as text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from assay.records.changes import FileChange, Hunk
from assay.records.evidence import Evidence, TestOutcome
from assay.records.runs import RunStatus
from assay.reports import CheckFacts, LedgerFacts, RunFacts, render_check_report, render_report


class Parsed(HTMLParser):
    """Collects tags, and checks that what is opened is closed."""

    optional = frozenset({"td", "th", "tr", "li"})
    void = frozenset({"meta", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.void | self.optional:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.optional:
            assert self.open.pop() == tag, f"</{tag}> closes something else at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_run_reads_outcome_first_then_claims_then_the_rest(run_facts: RunFacts) -> None:
    """What holds comes before why, and why before everything else."""
    html = render_report(run_facts)
    words = Parsed(html).words
    order = [
        "Delivered as branch assay/splitting-a-bill-loses-cents: 2 of 2 final claims proven; 1 earlier claim refuted",
        "refuted, mended",
        "a held-out test fails by assertion",
        "Expected",
        "[34, 34, 33]",
        "[35, 33, 33]",
        "docker run --rm -i --network none",
        "No two shares differ by more than a cent",
        "S10",
        "base/base",
        "fail 2/2",
        "Unit shares, try 2",
        "Three of us had dinner",
        "after shares",
        "An earlier answer did not count",
        "dispelled",
        "return [total // people] * people",
        "0.0123",
        "python -m pytest -q",
        "chain recomputed and intact",
        "cdcdcd",
    ]
    place = 0
    for text in order:
        assert text in words[place:], text
        place = words.index(text, place)


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_state_of_a_run_has_its_first_sentence(run_facts: RunFacts, status: RunStatus) -> None:
    """A run that is parked, refuted or broken is reported as what it is."""
    facts = replace(run_facts, status=status, reason="because of X.", branch=None)
    words = Parsed(render_report(facts)).words
    assert ("Delivered" in words) is (status is RunStatus.DELIVERED)
    assert ("because of X;" in words) is (status is not RunStatus.DELIVERED)


def test_a_run_that_has_only_just_started_is_a_report_too(run_facts: RunFacts) -> None:
    """Nothing but the ticket is there yet."""
    facts = RunFacts(
        id="r-1",
        status=RunStatus.PARKED,
        repo="/r",
        base="0" * 40,
        started=run_facts.started,
        ticket=run_facts.ticket,
        asked=(replace(run_facts.asked[0], decision=None),),
    )
    words = Parsed(render_report(facts)).words
    assert "Waiting for a person: open: Is this the plan?" in words
    assert "Nothing is approved by default" in words


def test_a_check_is_a_page_of_its_own(check_facts: CheckFacts) -> None:
    """One claim, no run, the same parts."""
    words = Parsed(render_check_report(check_facts)).words
    assert "Refuted: Requirement shares-fair does not hold" in words
    assert "Plan" not in words
    assert "assay check --repo . main..fix" in words


def test_a_broken_chain_is_said(run_facts: RunFacts) -> None:
    """A ledger that does not fit is not passed over."""
    broken = LedgerFacts(entries=3, last_digest="sha256:0", intact=False)
    assert "the chain does not fit" in Parsed(render_report(replace(run_facts, ledger=broken))).words


def test_hostile_text_is_shown_and_nothing_of_it_is_markup(
    run_facts: RunFacts, check_facts: CheckFacts, poison: Callable[[Any], Any]
) -> None:
    """The poisoned page has the same tags as the clean one, and no character that hides or moves others."""
    for clean, dirty in [
        (render_report(run_facts), render_report(poison(run_facts))),
        (render_check_report(check_facts), render_check_report(poison(check_facts))),
    ]:
        dirty.encode("utf-8")
        parsed = Parsed(dirty)
        assert set(parsed.tags) - {"br"} == set(Parsed(clean).tags) - {"br"}
        assert parsed.tags.count("script") == 1
        assert not {name for name in parsed.attributes if name.startswith("on")}
        assert not {"style", "src"} & parsed.attributes
        assert re.findall("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", dirty) == []
        assert "[ESC][31mred[ESC]]0;title[BEL][CR][NUL] [U+202E]evil[U+2066] [U+D800] [0xFF]" in parsed.words
        assert "{{ 7 * 7 }}{% raw %}" in parsed.words
        assert "&amp;" in parsed.words


def test_the_policy_names_exactly_the_style_and_the_script_of_the_page(run_facts: RunFacts) -> None:
    """Nothing else may run or load: the digests are those of the page's own two blocks."""
    html = render_report(run_facts)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy

    def digest(block: str) -> str:
        found = re.search(f"<{block}>(.*?)</{block}>", html, re.DOTALL)
        assert found
        return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    assert policy[1].replace("&#39;", "'") == (
        f"default-src 'none'; style-src 'sha256-{digest('style')}'; script-src 'sha256-{digest('script')}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "http:" not in html
    assert "https:" not in html


def large(run_facts: RunFacts, *, tests: int, files: int, lines: int) -> RunFacts:
    """Return the run with that many tests in all four cells, and a change of that size."""
    outcomes = tuple(
        TestOutcome(
            id=f"tests/unit/test_module_{n // 50}.py::test_something_of_interest_{n}",
            setup="passed",
            call="passed",
            teardown="passed",
            seconds=0.01,
        )
        for n in range(tests)
    )
    first = run_facts.claims[-1]
    evidence = tuple(
        Evidence.model_copy(one, update={"outcomes": outcomes, "expected": tuple(o.id for o in outcomes)})
        for one in first.evidence
    )
    text = "".join(
        f"-    old_{n} = compute({n})\n+    new_{n} = compute({n + 1})\n" for n in range(lines // files // 2)
    )
    change = FileChange(
        path="",
        old_path="",
        status="M",
        old_mode=0o100644,
        new_mode=0o100644,
        old_oid="a",
        new_oid="b",
        binary=False,
        added=lines // files // 2,
        removed=lines // files // 2,
        hunks=(Hunk(old_start=1, old_lines=9, new_start=1, new_lines=9, text=text),),
    )
    changes = tuple(change.model_copy(update={"path": f"src/package/module_{n}.py"}) for n in range(files))
    return replace(run_facts, claims=(replace(first, evidence=evidence),), changes=changes)


def test_a_large_run_stays_a_file_that_opens(run_facts: RunFacts) -> None:
    """5,000 tests and 5,000 lines in 200 files: under four megabytes, and nothing of the tests is left out."""
    html = render_report(large(run_facts, tests=5_000, files=200, lines=5_000))
    assert len(html.encode()) < 4_000_000
    assert html.count("test_something_of_interest_") >= 5_000
    assert "5000 lines added" not in html
    assert "2400 lines added, 2400 removed" in Parsed(html).words


def test_a_huge_change_is_bounded_and_says_so(run_facts: RunFacts) -> None:
    """What is left out is counted, file by file and in all."""
    html = render_report(large(run_facts, tests=1, files=10, lines=60_000))
    words = Parsed(html).words
    assert "Not everything is shown: 40000 lines are left out" in words
    assert "3000 more lines of this file are not shown." in words
    assert len(html) < 6_000_000


def test_unproven_lines_stand_folded_before_the_steps_each_with_its_reason(run_facts: RunFacts) -> None:
    """What stands there, and what could; text of the repository is no markup."""
    page = render_report(replace(run_facts, claims=run_facts.claims[-1:]))
    words = " ".join(Parsed(page).words.split())
    assert words.index("4 unproven lines (2 not executed") < words.index("Steps of the proof")
    assert "splitbill/trips.py:4-5raise ValueError(<b>trip</b>)log(trip)no check executes it" in words
    assert "every check passes with left + 1 for leftor without [each]" in words
