"""The verdict on a claim. Only the framework writes one, from evidence and policy alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from assay.records.base import Record
from assay.records.unproven import UnprovenLine


class VerdictStatus(StrEnum):
    """Whether a claim holds. "Could not run" is never false, and never true."""

    PROVEN = "proven"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    DECLINED = "declined"
    """The author said that it could not be done, and why."""


Level = Literal["A", "B", "C"]


class Step(Record):
    """One step of the protocol, as it went."""

    id: str
    """`S0` to `S17`."""
    title: str
    outcome: Literal["passed", "failed", "flagged", "inconclusive", "not_run"]
    reasons: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    """Ids of the evidence that it rests on."""
    seconds: float = 0.0


class Flag(Record):
    """Something in the diff that a person should see (S3). It informs; it is not a verdict."""

    kind: str
    """Short and stable, `protected-file`, `removed-test`, …"""
    path: str
    line: int | None = None
    text: str


class Witness(Record):
    """What shows that a claim does not hold, and how to see it again."""

    argv: tuple[str, ...]
    image: str
    tree: str
    test: str | None = None
    requirement: str | None = None
    held_out: bool = False
    """Whether it is a held-out test, whose name and text no agent may be told."""
    expected: str
    got: str
    reproduced: int
    """In how many fresh sandboxes it was seen."""
    command: str = ""
    """One command line for a person that shows it with plain Docker."""


class RequirementVerdict(Record):
    """Whether one requirement holds, and by which tests."""

    requirement: str
    status: VerdictStatus
    level: Level | None = None
    tests: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class Verdict(Record):
    """What the framework says of a claim."""

    claim: str
    base: str
    head: str
    tree: str
    """Tree of the head: verdicts bind to trees."""
    status: VerdictStatus
    level: Level | None = None
    """Weakest level of its requirements; None unless proven."""
    reasons: tuple[str, ...]
    """A sentence each, the deciding one first."""
    question: str | None = None
    """For `inconclusive`: what precisely a person would have to answer."""
    requirements: tuple[RequirementVerdict, ...] = ()
    steps: tuple[Step, ...] = ()
    witness: Witness | None = None
    unproven_lines: tuple[UnprovenLine, ...] = ()
    """Changed lines that no check needs as they are, each with the reason (S13)."""
    flags: tuple[Flag, ...] = ()
    seconds: float = 0.0
