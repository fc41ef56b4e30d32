"""What a role's transcript holds, in a form of our own that outlives LangChain's versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, SystemMessage, ToolMessage
from langchain_core.messages import ToolCall as LangChainCall
from pydantic import Field, JsonValue, TypeAdapter

from assay.agents.scripted import TASK_KEY
from assay.records.base import Record

FORMAT: Final = 1
ANSWER_BYTES: Final = 400_000
"""An answer that is longer as JSON is cut to its beginning, and its calls are not made."""
NOTHING: Final = "(no answer)"
"""Stands for an answer that held nothing: providers refuse a conversation with an empty message in it."""
KEPT_TEXT: Final = 20_000
"""Characters that are kept of the text of such an answer."""


class Opening(Record):
    """The first record: everything that the role was told before its first answer."""

    type: Literal["opening"] = "opening"
    format: int = FORMAT
    at: datetime
    role: str
    unit: str | None
    attempt: int
    model: str
    prompt: str
    brief: str
    tools: tuple[str, ...]


class Call(Record):
    """A tool call as the model made it."""

    id: str
    name: str
    args: dict[str, JsonValue] = {}
    malformed: str | None = None
    """What stood in the place of the arguments where they are not a JSON object."""


class Usage(Record):
    """Tokens of one answer, as the provider counts them."""

    input: int = 0
    output: int = 0
    cached: int = 0
    """Of the input, read from the provider's cache."""


class Answer(Record):
    """One answer of the model."""

    type: Literal["answer"] = "answer"
    text: str
    calls: tuple[Call, ...] = ()
    refusal: str | None = None
    """What the provider's refusal says, where the answer is marked as one."""
    cut: int | None = None
    """Bytes of the whole answer, where it was too long to be kept."""
    garbled: str | None = None
    """What was wrong with an answer that its client could not read, and that is not there therefore."""
    usage: Usage = Usage()
    model: str = ""
    stop: str = ""
    """Why the model stopped, in the provider's words."""
    seconds: float = 0.0
    blocks: list[JsonValue] | None = None
    """Content blocks to be sent back as they came (thinking, signatures, references)."""
    extras: dict[str, JsonValue] = {}
    """What else must be sent back: message id and the provider's own fields."""


ToolOutcome = Literal["ok", "error", "denied", "rejected", "answered", "lost", "submitted"]


class Result(Record):
    """What a tool call gave."""

    type: Literal["result"] = "result"
    call: str
    tool: str
    text: str
    outcome: ToolOutcome
    seconds: float = 0.0
    tree: str | None = None
    """Git tree of the workspace after the call, where it changed."""
    held_out: str | None = None
    """Git tree of `/held_out` after the call, where it changed."""
    arguments: str = ""
    """Digest of the arguments that were used."""
    decision: str | None = None
    """Id of the question that a person answered about the call."""
    result: str | None = None
    """Digest of the typed result, where the call submitted it."""


class Told(Record):
    """A message to the model: a reminder by assay, or a person's note."""

    type: Literal["told"] = "told"
    text: str
    by: str = "assay"
    key: str | None = None
    """Key of the note's entry in the ledger."""


Turn = Annotated[Opening | Answer | Result | Told, Field(discriminator="type")]
TURNS: Final[TypeAdapter[Opening | Answer | Result | Told]] = TypeAdapter(Turn)


def opening_messages(opening: Opening) -> list[BaseMessage]:
    """Return the first messages of the conversation."""
    task = {"role": opening.role, "unit": opening.unit, "attempt": opening.attempt}
    return [
        SystemMessage(content=opening.prompt),
        HumanMessage(content=opening.brief, additional_kwargs={TASK_KEY: task}),
    ]


def answer_message(answer: Answer) -> AIMessage:
    """Return the answer as the provider's client sends it back."""
    usage = answer.usage
    extras = dict(answer.extras)
    identity, provider = extras.pop("id", None), extras.pop("model_provider", None)
    metadata: dict[str, Any] = {"model_name": answer.model, "stop_reason": answer.stop}
    text = answer.text if answer.text.strip() or answer.calls else NOTHING
    return AIMessage(
        content=text if answer.blocks is None else _content(answer.blocks),
        id=identity if isinstance(identity, str) else None,
        additional_kwargs=extras,
        response_metadata=metadata | ({"model_provider": provider} if provider else {}),
        tool_calls=[
            LangChainCall(name=c.name, args=dict(c.args), id=c.id, type="tool_call")
            for c in answer.calls
            if c.malformed is None
        ],
        invalid_tool_calls=[
            InvalidToolCall(name=c.name, args=c.malformed, id=c.id, error=None, type="invalid_tool_call")
            for c in answer.calls
            if c.malformed is not None
        ],
        usage_metadata={
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
        },
    )


def _content(blocks: list[JsonValue]) -> list[str | dict[str, Any]]:
    return [block for block in blocks if isinstance(block, str | dict)]


def result_message(result: Result) -> ToolMessage:
    """Return a tool's result as the model gets it."""
    good = result.outcome in {"ok", "answered", "submitted"}
    return ToolMessage(
        content=result.text, name=result.tool, tool_call_id=result.call, status="success" if good else "error"
    )


def told_message(told: Told) -> HumanMessage:
    """Return a reminder or a note as the model gets it."""
    return HumanMessage(content=told.text)
