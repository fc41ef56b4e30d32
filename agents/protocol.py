"""What a role is to the graph: something that advances from a journal to a result, a question or its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import Field

from assay.records.base import Record
from assay.records.decisions import Decision, Question
from assay.records.plans import Unit


class RoleTask(Record):
    """One piece of work for one role."""

    run: str
    role: str
    unit: Unit | None = None
    attempt: int = 1
    """Counts from 1; a later attempt knows what was wrong with the one before from its brief."""
    brief: str
    """Markdown: everything that the role is told. Nothing else of the run reaches it."""
    result: Literal["plan", "specification", "claim", "review"]
    """Which typed result it must hand in."""
    commit: str
    """Commit whose tree lies in the workspace at the start."""
    may_change: tuple[str, ...] = ()
    """gitignore-style patterns; empty means that the workspace is read-only."""
    held_out: bool = False
    """Whether the role has a second tree, `/held_out`, which is kept apart (the tester's)."""

    @property
    def name(self) -> str:
        """The task's name in ledger keys, file names and labels: unique in the run and stable."""
        return f"{self.unit.id if self.unit else 'run'}.{self.role}.{self.attempt}"


class Finished(Record):
    """The role handed in its result."""

    type: Literal["finished"] = "finished"
    result: str
    """Digest of the blob that holds the typed result."""
    tree: str
    """Git tree of the workspace at the end."""
    held_out: str | None = None
    """Git tree of `/held_out`, where the task has one and it is not empty."""
    transcript: str
    """Name of the transcript."""


class NeedsDecision(Record):
    """A tool call needs a person. The role goes on from its journal when the answer is there."""

    type: Literal["needs_decision"] = "needs_decision"
    question: Question


class Exhausted(Record):
    """The role stopped without a result. What it had done so far is in `tree`, labelled as what it is."""

    type: Literal["exhausted"] = "exhausted"
    cause: Literal["budget", "model"]
    """A budget was reached; or the model gave nothing usable, refused, or went in circles."""
    reason: str
    tree: str
    held_out: str | None = None
    transcript: str


Advance = Annotated[Finished | NeedsDecision | Exhausted, Field(discriminator="type")]


class RoleAgent(Protocol):
    """One role at one task. External coding agents fit behind it too.

    `advance` may be called again at any time, in another process too, and does nothing twice: it
    reads its journal, goes on where that ends, and returns the same result when it is finished.
    """

    async def advance(self, decisions: Mapping[str, Decision]) -> Advance:
        """Work until there is a result, a question, or no budget.

        Args:
            decisions: by question id, what people have answered so far.
        """
        ...


class Roles(Protocol):
    """Who does which role; a platform can add one, replace one, or put an external agent in."""

    def agent(self, task: RoleTask) -> RoleAgent:
        """Return the agent for this task; raises ConfigurationError for a role that nobody fills."""
        ...
