"""What a report is made of: the facts of a run, or of a check, gathered from the ledger by whoever asks for it.

Plain frozen dataclasses and not records: a report is read once, and paths that are not UTF-8 must get in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from assay.records.changes import FileChange
from assay.records.claims import Claim, MarkedSentence
from assay.records.decisions import Decision, Question
from assay.records.evidence import Evidence
from assay.records.plans import Plan, Requirement
from assay.records.results import Doubt, Review, StatedTest
from assay.records.runs import RunStatus, UnitStatus
from assay.records.sandboxes import Image
from assay.records.tickets import Ticket
from assay.records.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """Where a unit of the plan ended."""

    id: str
    status: UnitStatus
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFacts:
    """A question to a person, and what they answered."""

    question: Question
    decision: Decision | None = None
    """None: nobody has answered yet."""
    asked: datetime
    refused: tuple[str, ...] = ()
    """Why earlier answers did not count, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """A claim with what examining it showed."""

    claim: Claim
    attempt: int = 1
    verdict: Verdict | None = None
    """None: it was not examined to the end."""
    requirements: tuple[Requirement, ...] = ()
    """What had to hold, with the words of the plan."""
    stated: tuple[StatedTest, ...] = ()
    """Which trusted test states which requirement."""
    evidence: tuple[Evidence, ...] = ()
    images: tuple[Image, ...] = ()
    """What it was executed in."""
    changes: tuple[FileChange, ...] = ()
    """Base to head of the claim, where the report should show the change as it was claimed."""
    sentences: tuple[MarkedSentence, ...] = ()
    """The author's words, each sentence with what the proof says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtFacts:
    """A doubt of the reviewer, and what executing it showed."""

    doubt: Doubt
    outcome: Literal["confirmed", "dispelled", "inconclusive"] | None = None
    """None: it was not executed."""
    reason: str = ""
    got: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFacts:
    """One review."""

    unit: str | None
    attempt: int = 1
    review: Review
    doubts: tuple[DoubtFacts, ...] = ()
    """The same doubts as in the review, in the same order, with their outcomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What a gate said of the whole change."""

    name: str
    outcome: Literal["passed", "failed", "inconclusive", "waived"]
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFacts:
    """What one role did at one task, and what it cost."""

    role: str
    unit: str | None = None
    attempt: int = 1
    model: str = ""
    ended: str = ""
    """How it ended, in words: `finished`, `budget: …`."""
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    money: float | None = None
    """In the currency of the price table; None where the model has no price."""
    commands: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFacts:
    """A command that an agent ran in its sandbox."""

    role: str
    unit: str | None = None
    command: str
    ending: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """Something else that a reader should know of: a resume, a voided step, a note, a budget that was reached."""

    at: datetime
    what: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """The chain that everything in the report comes from."""

    entries: int
    last_digest: str
    path: str = ""
    intact: bool | None = None
    """Whether the chain was recomputed for this report and fits; None where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HowTo:
    """A command for the reader."""

    purpose: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFacts:
    """A change that somebody else made, and the one claim about it."""

    id: str
    repo: str
    made: datetime
    ticket: Ticket | None = None
    claim: ClaimFacts
    changes: tuple[FileChange, ...] = ()
    """Base to head."""
    manifest: tuple[tuple[str, str], ...] = ()
    """Name and value of what the proof ran with: image, settings, versions."""
    ledger: LedgerFacts | None = None
    how_to: tuple[HowTo, ...] = ()

    @property
    def claims(self) -> tuple[ClaimFacts, ...]:
        """The one claim, so that a check reads like a run."""
        return (self.claim,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run, as far as it has come."""

    id: str
    status: RunStatus
    reason: str = ""
    repo: str
    base: str
    """Commit that the run started from."""
    head: str | None = None
    """Commit that was delivered, or that the run has come to."""
    branch: str | None = None
    """Branch in the target repository, once it is delivered."""
    started: datetime
    ended: datetime | None = None
    ticket: Ticket
    plan: Plan | None = None
    units: tuple[UnitFacts, ...] = ()
    asked: tuple[AskedFacts, ...] = ()
    claims: tuple[ClaimFacts, ...] = ()
    """In the order in which they were made; several of one unit are its attempts."""
    reviews: tuple[ReviewFacts, ...] = ()
    gates: tuple[GateFacts, ...] = ()
    changes: tuple[FileChange, ...] = ()
    """Base to head."""
    work: tuple[WorkFacts, ...] = ()
    commands: tuple[CommandFacts, ...] = ()
    events: tuple[EventFacts, ...] = ()
    manifest: tuple[tuple[str, str], ...] = ()
    """Name and value of what the run ran with: image, settings, prompts, models, by digest."""
    ledger: LedgerFacts | None = None
    how_to: tuple[HowTo, ...] = ()
    """How to verify and reproduce, how to go on."""
