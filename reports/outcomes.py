"""What it all came to, in words: for the first line of every report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assay.records.runs import RunStatus
from assay.records.unproven import UnprovenLine, Why
from assay.records.verdicts import Verdict, VerdictStatus
from assay.reports.facts import CheckFacts, ClaimFacts, RunFacts

Tone = Literal["good", "bad", "open"]
"""How to colour something: it holds, it does not, or it is not decided."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result in a word and in a sentence."""

    tone: Tone
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """A claim and what became of it later."""

    facts: ClaimFacts
    place: str
    """`unit NAME`, or `whole change`."""
    tone: Tone
    word: str
    """The verdict with its level; `refuted, mended` where a later claim of the same place holds, and `inconclusive,
    accepted` where it holds once a person has accepted what it changes."""
    last: bool
    """Whether it is the latest claim of its place: the one that counts."""


_VERDICT_TONES: dict[VerdictStatus, Tone] = {
    VerdictStatus.PROVEN: "good",
    VerdictStatus.REFUTED: "bad",
    VerdictStatus.INCONCLUSIVE: "open",
    VerdictStatus.DECLINED: "open",
}

_UNPROVEN_WORDS: dict[Why, str] = {
    "unexecuted": "not executed",
    "removable": "could be taken out",
    "restorable": "could come back",
    "changeable": "could be something else",
}

_RUN_WORDS: dict[RunStatus, tuple[Tone, str]] = {
    RunStatus.RUNNING: ("open", "Running"),
    RunStatus.PARKED: ("open", "Waiting for a person"),
    RunStatus.DELIVERED: ("good", "Delivered"),
    RunStatus.REFUTED: ("bad", "Refuted"),
    RunStatus.INCONCLUSIVE: ("open", "Inconclusive"),
    RunStatus.DECLINED: ("open", "Declined"),
    RunStatus.REJECTED: ("bad", "Rejected"),
    RunStatus.CANCELLED: ("open", "Cancelled"),
    RunStatus.EXHAUSTED: ("open", "Stopped at a limit"),
    RunStatus.FAILED: ("open", "Stopped by a failure"),
}


def name_place(unit: str | None) -> str:
    """Return what a claim is about, in words."""
    return f"unit {unit}" if unit else "whole change"


def word_verdict(verdict: Verdict | None) -> str:
    """Return a verdict in a few words: `proven (level C)`, `refuted`."""
    if verdict is None:
        return "not examined"
    return f"{verdict.status.value} (level {verdict.level})" if verdict.level else verdict.status.value


def line_up_claims(claims: Sequence[ClaimFacts]) -> tuple[ClaimLine, ...]:
    """Return the claims in order, each with what became of it."""
    latest = {facts.claim.unit: number for number, facts in enumerate(claims)}
    lines = []
    for number, facts in enumerate(claims):
        last = latest[facts.claim.unit] == number
        verdict = facts.verdict
        word = word_verdict(verdict)
        tone: Tone = _VERDICT_TONES[verdict.status] if verdict else "open"
        newest = claims[latest[facts.claim.unit]]
        if not last and tone != "good" and newest.verdict and newest.verdict.status is VerdictStatus.PROVEN:
            word += ", accepted" if newest.claim.accepted and newest.claim.head == facts.claim.head else ", mended"
        lines.append(ClaimLine(facts, name_place(facts.claim.unit), tone, word, last))
    return tuple(lines)


def conclude_run(facts: RunFacts) -> Outcome:
    """Return what a run came to."""
    tone, word = _RUN_WORDS[facts.status]
    lines = line_up_claims(facts.claims)
    last = [line for line in lines if line.last]
    holding = sum(line.tone == "good" for line in last)
    refuted = sum(line.tone == "bad" and not line.last for line in lines)
    start = word if facts.branch is None else f"{word} as branch {facts.branch}"
    parts = [f"{holding} of {_count(len(last), 'final claim')} proven"] if last else []
    if refuted:
        parts.append(f"{_count(refuted, 'earlier claim')} refuted by execution on the way")
    waiting = [asked.question.title for asked in facts.asked if asked.decision is None]
    if facts.status is RunStatus.PARKED and waiting:
        parts.append(f"open: {'; '.join(waiting)}")
    elif facts.reason and facts.status is not RunStatus.DELIVERED:
        parts.insert(0, facts.reason.rstrip("."))
    sentence = f"{start}: {'; '.join(parts)}" if parts else start
    sentence += "" if sentence.endswith("?") else "."
    return Outcome(tone, word, sentence)


def conclude_check(facts: CheckFacts) -> Outcome:
    """Return what a check came to."""
    verdict = facts.claim.verdict
    if verdict is None:
        return Outcome("open", "Not examined", "The claim was not examined to the end.")
    word = word_verdict(verdict)
    return Outcome(
        _VERDICT_TONES[verdict.status], word[0].upper() + word[1:], verdict.reasons[0] if verdict.reasons else ""
    )


def count_unproven(lines: Sequence[UnprovenLine]) -> str:
    """Return how many lines are unproven, by why: `3 unproven lines (1 not executed, 2 could be something else)`."""
    found = [(word, sum(line.why == why for line in lines)) for why, word in _UNPROVEN_WORDS.items()]
    by_why = ", ".join(f"{number} {word}" for word, number in found if number)
    return f"{_count(len(lines), 'unproven line')} ({by_why})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
