"""Questions to people and their answers, in LangChain's human-in-the-loop form."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, JsonValue

from assay.records.base import Record, digest_of


class CheckpointKind(StrEnum):
    """What a person is asked about."""

    PLAN = "plan"
    TOOL = "tool"
    WAIVER = "waiver"
    BUDGET = "budget"
    QUESTION = "question"
    INCONCLUSIVE = "inconclusive"
    EXPECTATION = "expectation"
    DISPUTE = "dispute"
    UNPROVEN = "unproven"
    DELIVERY = "delivery"


class DecisionType(StrEnum):
    """The four answers of the human-in-the-loop form."""

    APPROVE = "approve"
    EDIT = "edit"
    REJECT = "reject"
    RESPOND = "respond"


class Question(Record):
    """What a person is asked, with everything that they are shown. Its digest binds the answer to it."""

    id: str
    """Unique in the run, and the same when the asking node runs again."""
    run: str
    unit: str | None = None
    kind: CheckpointKind
    title: str
    args: dict[str, JsonValue] = {}
    """The thing itself: the plan, the command, the delivery. `edit` answers with other `args`."""
    description: str
    """Markdown: what a person needs to judge."""
    allowed: Annotated[tuple[DecisionType, ...], Field(min_length=1)]

    @property
    def digest(self) -> str:
        """Digest of exactly what is shown."""
        return digest_of(self)

    def request(self) -> dict[str, Any]:
        """Return the question as LangChain's `HITLRequest`, with `question` and `digest` beside it."""
        return {
            "action_requests": [{"name": self.kind.value, "args": self.args, "description": self.description}],
            "review_configs": [{"action_name": self.kind.value, "allowed_decisions": [a.value for a in self.allowed]}],
            "question": self.model_dump(mode="json"),
            "digest": self.digest,
        }


class Decision(Record):
    """A person's answer. It counts once, for the question with this digest."""

    question: str
    """Id of the question."""
    digest: str
    """Digest of the question as the person saw it."""
    type: DecisionType
    message: str = ""
    """For `reject` and `respond`: what to tell the agent. For `approve`: an optional remark."""
    args: dict[str, JsonValue] | None = None
    """For `edit`: the thing as it should be."""
    by: str
    """Who, as authenticated."""
    via: str
    """Where it was given: `terminal`, `file:NAME`, `api`."""
    at: datetime
