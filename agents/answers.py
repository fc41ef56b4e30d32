"""Reads what a model's client returned into our own record, and bounds it."""

from __future__ import annotations

import json
from typing import Any, Final

from langchain_core.messages import AIMessage
from pydantic import JsonValue

from assay.agents.turns import ANSWER_BYTES, KEPT_TEXT, Answer, Call, Usage

_PLAIN_BLOCKS: Final = {"text", "tool_use", "tool_call", "refusal"}
"""Content blocks that a client rebuilds from text and calls; any other kind is kept as it came."""
_DROPPED_EXTRAS: Final = {"tool_calls", "function_call", "refusal", "parsed"}


def read_answer(message: AIMessage, *, number: int, seconds: float) -> Answer:
    """Return the answer as a record.

    Args:
        message: what the client returned.
        number: which answer of the conversation it is, from 1; names calls that came without an id.
        seconds: how long it took.
    """
    metadata = message.response_metadata
    usage = message.usage_metadata or {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    extras = {key: value for key, value in message.additional_kwargs.items() if key not in _DROPPED_EXTRAS}
    identity = {"id": message.id, "model_provider": metadata.get("model_provider")}
    extras |= {key: value for key, value in identity.items() if value is not None}
    calls = _calls(message, number)
    blocks = _blocks(message)
    garbled = None
    try:
        plain, size = _as_json({"text": message.text, "calls": calls, "blocks": blocks, "extras": extras})
    except ValueError as error:  # NaN, Infinity, a number of thousands of digits: Python's parser takes them
        plain, size = {"text": message.text, "calls": [], "blocks": None, "extras": {}}, 0
        garbled = f"it holds a number that JSON does not have ({error})"
    cut = size > ANSWER_BYTES
    return Answer(
        text=plain["text"][:KEPT_TEXT] if cut else plain["text"],
        cut=size if cut else None,
        refusal=_refusal(message),
        usage=Usage(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            cached=usage.get("input_token_details", {}).get("cache_read") or 0,
        ),
        model=str(metadata.get("model_name") or metadata.get("model") or ""),
        stop=str(metadata.get("stop_reason") or metadata.get("finish_reason") or metadata.get("done_reason") or ""),
        seconds=seconds,
        garbled=garbled,
        calls=() if cut else tuple(Call.model_validate(call) for call in plain["calls"]),
        blocks=None if cut else plain["blocks"],
        extras={} if cut else plain["extras"],
    )


def _calls(message: AIMessage, number: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"id": call["id"], "name": call["name"], "args": call["args"]} for call in message.tool_calls
    ]
    made += [
        {"id": call.get("id"), "name": call.get("name") or "", "malformed": call.get("args") or ""}
        for call in message.invalid_tool_calls
    ]
    seen: set[str] = set()
    for n, call in enumerate(made, 1):
        if not call["id"] or call["id"] in seen:
            call["id"] = f"call_{number}_{n}"
        seen.add(call["id"])
    return made


def _blocks(message: AIMessage) -> list[JsonValue] | None:
    if isinstance(message.content, str):
        return None
    kinds = {block.get("type") if isinstance(block, dict) else "text" for block in message.content}
    return None if kinds <= _PLAIN_BLOCKS else list(message.content)


def _refusal(message: AIMessage) -> str | None:
    if said := message.additional_kwargs.get("refusal"):
        return str(said)[:KEPT_TEXT]
    if not isinstance(message.content, str):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") == "refusal":
                return str(block.get("refusal", ""))[:KEPT_TEXT]
    reason = message.response_metadata.get("stop_reason") or message.response_metadata.get("finish_reason")
    return (message.text[:KEPT_TEXT] or str(reason)) if reason in {"refusal", "content_filter"} else None


def _as_json(value: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the value as plain JSON without lone surrogates, and how many bytes it takes."""
    text = json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        size = len(text.encode())
    plain: dict[str, Any] = json.loads(text)
    return plain, size
