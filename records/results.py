"""What the tester and the reviewer hand in. (The planner hands in a `Plan`, the coder a `ClaimDraft`.)"""

from __future__ import annotations

from typing import Literal

from assay.records.base import Record
from assay.records.checks import Check
from assay.records.plans import Identifier


class StatedTest(Record):
    """One test, the requirement that it states, and why it must fail before the work is done."""

    id: str
    """As the runner names it, for pytest `tests/test_x.py::test_name[param]`."""
    requirement: Identifier
    fails_because: str
    """The reason for which it fails at the base."""
    held_out: bool = False
    """Whether it lies in the held-out tree, which no coder sees."""


class Specification(Record):
    """The tester's result: tests that state a unit's requirements."""

    statement: str
    tests: tuple[StatedTest, ...] = ()
    declined: str | None = None
    """Why the specification cannot be stated as tests."""


class Finding(Record):
    """Something that the reviewer saw, for a person to read."""

    path: str
    line: int | None = None
    severity: Literal["note", "concern"] = "note"
    text: str


class Doubt(Record):
    """A finding that can be executed: what must hold if the change is right."""

    statement: str
    requirement: Identifier | None = None
    check: Check


class Review(Record):
    """The reviewer's result: findings for people, doubts for the framework; never a verdict."""

    summary: str
    findings: tuple[Finding, ...] = ()
    doubts: tuple[Doubt, ...] = ()
