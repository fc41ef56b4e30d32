"""The state that travels through the graph: references only.

Commits and trees are ids in the git store, everything larger is a blob's digest. Containers,
clients and conversations are never here, so a checkpoint stays a few kilobytes for ever.
"""

from __future__ import annotations

from typing import Annotated

from assay.records.base import Record
from assay.records.runs import RunStatus, UnitStatus


class UnitState(Record):
    """Where one unit stands, and what it has come to so far."""

    id: str
    status: UnitStatus = UnitStatus.WAITING
    reason: str = ""
    """Why it stands there, one sentence."""
    base: str | None = None
    """Commit that the unit starts from: the run's base with the units that it depends on."""
    specify_attempts: int = 0
    implement_attempts: int = 0
    review_attempts: int = 0
    disputes: int = 0
    """How often the coder held a test to be wrong."""
    specification: str | None = None
    """Blob of the tester's `Specification`."""
    visible: str | None = None
    """Git tree of the visible tests alone."""
    held_out: str | None = None
    """Git tree of the held-out tests. No sandbox of a coder ever gets it."""
    start: str | None = None
    """Commit that the coder starts from: base with the visible tests, or its last try."""
    tests_commit: str | None = None
    """Commit of base with the visible tests; what the coder's change is measured from."""
    head: str | None = None
    """Commit that the latest claim is about."""
    claim: str | None = None
    """Blob of the latest `Claim`."""
    verdict: str | None = None
    """Blob of the `Verdict` on it."""
    review: str | None = None
    """Blob of the latest `Review`."""
    feedback: str | None = None
    """Blob with the Markdown that the next role is told."""
    question: str | None = None
    """Blob of the `Question` that is open."""
    then: str | None = None
    """Node that goes on when the open question is answered."""
    redo: bool = False
    """Whether integration sent the unit back, to be done again on `base`."""


def merge_units(left: dict[str, UnitState], right: dict[str, UnitState]) -> dict[str, UnitState]:
    """Join the units that parallel tasks hand back; each task hands back its own only."""
    return {**left, **right}


class RunState(Record):
    """The state of a run."""

    run: str
    base: str | None = None
    """Commit that the run starts from."""
    plan: str | None = None
    """Blob of the `Plan` as it stands."""
    plan_attempts: int = 0
    units: Annotated[dict[str, UnitState], merge_units] = {}
    head: str | None = None
    """Commit of the integrated units, one commit each."""
    integrations: int = 0
    """How often the units were put together."""
    claim: str | None = None
    verdict: str | None = None
    """Blob of the `Verdict` on the whole."""
    feedback: str | None = None
    question: str | None = None
    """Blob of the `Question` that is open."""
    status: RunStatus = RunStatus.RUNNING
    reason: str = ""


class UnitRun(Record):
    """What one unit's task is given."""

    run: str
    run_base: str
    plan: str
    unit: UnitState
    siblings: dict[str, UnitState] = {}
    """All units of the run, as they stood when this one was sent out."""
    units: Annotated[dict[str, UnitState], merge_units] = {}
    """What is handed back: this unit alone. (What came in under this name would go back with it, and
    set the siblings back to where they stood.)"""


class UnitOutcome(Record):
    """What one unit's task hands back to the run."""

    units: Annotated[dict[str, UnitState], merge_units] = {}
