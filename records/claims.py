"""The claim: a statement about a commit, with the checks that would prove it (S0)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from assay.records.base import Record
from assay.records.checks import Check
from assay.records.plans import Identifier


class ClaimKind(StrEnum):
    """What a change says that it is; each kind states what proves it."""

    FIX = "fix"
    FEATURE = "feature"
    REFACTOR = "refactor"
    PERFORMANCE = "performance"
    DEPENDENCY = "dependency"
    DOCS = "docs"
    TESTS = "tests"


class ChangedExpectation(Record):
    """A test of the base whose expectation the change alters on purpose."""

    test: str
    why: str


class SpeedClaim(Record):
    """How much faster a change makes something."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The workload: an argument vector that runs at the root of either tree, prints what it computed, the same at both,
    and ends with 0. Files of it come from the base.
    """
    at_most: Annotated[float, Field(gt=0, lt=1)]
    """What the head takes at most, as a part of the base's processor time: 0.5 is twice as fast."""


class MarkedSentence(Record):
    """A sentence of the author's words, held against what the proof computed. Shown, and never used to decide."""

    text: str
    mark: Literal["confirmed", "contradicted", "unverified"]
    why: str = ""
    """What was computed; empty where nothing was looked at."""


class ClaimDraft(Record):
    """What an author submits. The framework adds who, and which commits: authors do not know them."""

    kind: ClaimKind
    statement: str
    """Free text for people; shown, and never used to decide."""
    requirements: tuple[Identifier, ...] = ()
    """Ids of the requirements that are said to be fulfilled; empty means all of the unit."""
    checks: tuple[Check, ...] = ()
    """The author's own checks: they can refute the claim, and never prove it."""
    behaviour_changed: tuple[str, ...] = ()
    """Public functions or commands that behave differently now."""
    changed_expectations: tuple[ChangedExpectation, ...] = ()
    new_dependencies: tuple[str, ...] | None = None
    """What it takes from other people that the base does not: all of it, or `()` for none. None: nothing is said."""
    speed: SpeedClaim | None = None
    """Of a claim of kind performance: what gets faster, and how much."""
    declined: str | None = None
    """Why it could not be done. An honest outcome of its own, neither a proof nor a lie."""
    disputes: tuple[ChangedExpectation, ...] = ()
    """Tests that the author holds to be wrong, each with the reason; the tester derives them again."""


class Claim(Record):
    """A draft, bound to its author and its commits."""

    id: Identifier
    author: str
    """Role, or `person:NAME`."""
    unit: Identifier | None = None
    base: str
    """Commit that the change starts from."""
    head: str
    """Commit that the claim is about."""
    draft: ClaimDraft
    accepted: tuple[str, ...] = ()
    """Tests whose changed expectation a person accepted: the author's claim on the same work, once more."""
