"""A run: one ticket's way through the graph."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from assay.records.base import Record


class RunStatus(StrEnum):
    """Where a run stands. Everything but `running` and `parked` is final."""

    RUNNING = "running"
    PARKED = "parked"
    """Waits for a person, and holds nothing."""
    DELIVERED = "delivered"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    DECLINED = "declined"
    """The work could not be done, and the agent said so."""
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXHAUSTED = "exhausted"
    """A budget was reached, and nobody extended it."""
    FAILED = "failed"
    """Something that assay needs did not work; `assay resume` goes on."""

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for a run that stands here."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    RunStatus.RUNNING: 3,
    RunStatus.PARKED: 75,
    RunStatus.DELIVERED: 0,
    RunStatus.REFUTED: 1,
    RunStatus.INCONCLUSIVE: 3,
    RunStatus.DECLINED: 3,
    RunStatus.REJECTED: 4,
    RunStatus.CANCELLED: 4,
    RunStatus.EXHAUSTED: 124,
    RunStatus.FAILED: 3,
}


class UnitStatus(StrEnum):
    """Where a unit stands."""

    WAITING = "waiting"
    RUNNING = "running"
    ASKED = "asked"
    DONE = "done"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    DECLINED = "declined"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"


class RunSummary(Record):
    """One line of `assay runs`."""

    id: str
    title: str
    repo: str
    status: RunStatus
    reason: str = ""
    """Why it stands there, one sentence."""
    started: datetime
    changed: datetime
