"""The entries of the ledger: what happened in a run, each bound to the one before it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

from assay.records.base import Record, digest_of


class EntryKind(StrEnum):
    """Everything that is ever recorded."""

    RUN_STARTED = "run.started"
    RUN_RESUMED = "run.resumed"
    RUN_PARKED = "run.parked"
    RUN_FAILED = "run.failed"
    RUN_ENDED = "run.ended"
    BASE_ADOPTED = "base.adopted"
    MODEL_CALLED = "model.called"
    TOOL_CALLED = "tool.called"
    EGRESS_ASKED = "egress.asked"
    TREE_SAVED = "tree.saved"
    WORK_RESCUED = "work.rescued"
    ROLE_ENDED = "role.ended"
    STEP_VOIDED = "step.voided"
    COMMIT_MADE = "commit.made"
    PLAN_MADE = "plan.made"
    UNIT_CHANGED = "unit.changed"
    CLAIM_MADE = "claim.made"
    EVIDENCE_RECORDED = "evidence.recorded"
    VERDICT_GIVEN = "verdict.given"
    DOUBT_EXAMINED = "doubt.examined"
    GATE_JUDGED = "gate.judged"
    QUESTION_ASKED = "question.asked"
    DECISION_MADE = "decision.made"
    DECISION_REFUSED = "decision.refused"
    NOTE_LEFT = "note.left"
    BUDGET_REACHED = "budget.reached"
    DELIVERED = "delivered"


class Entry(Record):
    """One entry. `digest` covers every other field, `previous` included: the chain is the order."""

    run: str
    seq: int
    """From 1, without gaps."""
    kind: EntryKind
    key: str
    """Unique in the run. Appending a key again returns the entry that is there: what is done twice counts once."""
    unit: str | None = None
    role: str | None = None
    body: dict[str, JsonValue] = {}
    at: datetime
    previous: str
    """Digest of the entry before; of the empty string for the first."""

    @property
    def digest(self) -> str:
        """`sha256:…` over the canonical JSON of all fields."""
        return digest_of(self)
