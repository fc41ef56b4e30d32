"""A local server that speaks the OpenAI and Anthropic protocols, with answers that a test lines up.

It reads whole HTTP/1.1 requests with asyncio's streams and nothing else, so that it can also do what
a proper server never does: cut a connection, or say nothing at all.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer: a status and a body, or a misbehaviour."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    misbehaves: str = ""
    """`cut` sends half of the answer and closes; `silent` never answers."""


@dataclass
class ModelServer:
    """What was asked, and what is answered next; the last reply is repeated."""

    url: str = ""
    replies: deque[Reply] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = field(default_factory=dict)

    def says(self, *replies: Reply) -> None:
        """Line up answers."""
        self.replies.extend(replies)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's request, and close it: a client keeps no socket over the end of a test."""
        self.open[asyncio.current_task()] = writer
        try:
            if head := await _head(reader):
                length = int(head.get("content-length", "0"))
                self.requests.append(json.loads(await reader.readexactly(length) or b"{}"))
                self.paths.append(head[":path"])
                self.keys.append(head.get("authorization", head.get("x-api-key", "")))
                reply = self.replies.popleft() if len(self.replies) > 1 else self.replies[0]
                if reply.misbehaves == "silent":
                    await reader.read()  # until the client gives up
                    return
                await _send(writer, reply)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> dict[str, str]:
    first = (await reader.readline()).decode().split()
    if len(first) < 2:
        return {}
    head = {":path": first[1]}
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        head[name.lower()] = value.strip()
    return head


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "retry-after-ms": "5",
        "connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | reply.headers).items())
    data = f"HTTP/1.1 {reply.status} status\r\n{lines}\r\n".encode() + body
    writer.write(data[: len(data) - len(body) // 2 - 1] if reply.misbehaves == "cut" else data)
    await writer.drain()


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """Run a server on a free loopback port."""
    state = ModelServer()
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for writer in state.open.values():
            writer.close()
        await asyncio.gather(*(task for task in state.open if task is not None))


def openai_answer(
    text: str | None = None, *, calls: list[tuple[str, str]] | None = None, refusal: str | None = None
) -> Reply:
    """Return a chat completion; `calls` are tool names with their arguments as the wire carries them, a string."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(calls)
        ]
    return Reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-test",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": {
                "prompt_tokens": 120,
                "completion_tokens": 30,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 100},
            },
        }
    )


def anthropic_answer(
    text: str | None = None,
    *,
    calls: list[tuple[str, Any]] | None = None,
    stop: str | None = None,
    thinking: str | None = None,
) -> Reply:
    """Return a message; `calls` are tool names with their input, any JSON."""
    content: list[dict[str, Any]] = []
    if thinking is not None:
        content.append({"type": "thinking", "thinking": thinking, "signature": "c2lnbmVk"})
    if text is not None:
        content.append({"type": "text", "text": text})
    content += [
        {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": given}
        for n, (name, given) in enumerate(calls or [])
    ]
    return Reply(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-test",
            "content": content,
            "stop_reason": stop or ("tool_use" if calls else "end_turn"),
            "stop_sequence": None,
            "usage": {"input_tokens": 20, "output_tokens": 30, "cache_read_input_tokens": 100},
        }
    )


def failure(status: int, message: str = "no", **headers: str) -> Reply:
    """Return an error in a form that both clients read."""
    error = {"type": "error", "message": message, "code": None, "param": None}
    return Reply({"type": "error", "error": error}, status, dict(headers))


CUT = Reply({"half": "an answer" * 50}, misbehaves="cut")
SILENT = Reply(misbehaves="silent")
