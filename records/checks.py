"""The check: a command with what it must show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.records.base import Record
from assay.records.plans import Identifier


class ExpectExit(Record):
    """The command ends by itself with this exit code and, where given, prints this text."""

    type: Literal["exit"] = "exit"
    code: int = 0
    prints: str | None = None
    """Text that standard output must contain."""


class ExpectTests(Record):
    """Each of these tests is reported once, with set-up, call and tear-down passed."""

    type: Literal["tests"] = "tests"
    ids: Annotated[tuple[str, ...], Field(min_length=1)]


class ExpectMetric(Record):
    """The last line of standard output that reads `NAME=NUMBER` keeps to the bounds."""

    type: Literal["metric"] = "metric"
    name: str
    at_least: float | None = None
    at_most: float | None = None


Expectation = Annotated[ExpectExit | ExpectTests | ExpectMetric, Field(discriminator="type")]


class Check(Record):
    """What somebody offers as proof: a command, and what it shows when the claim is true."""

    id: Identifier
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Argument vector, run at the root of the tree; `("sh", "-c", "…")` where a shell is wanted."""
    expect: Expectation = ExpectExit()
    seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Time limit."""
