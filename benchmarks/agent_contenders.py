"""The same conversation, held by four loops: what the benchmarks of agents compare.

The model answers at once, each time with some text and one tool call; the tool returns some text. The
times at which the model is asked are what is measured: from one to the next is one step.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from assay.agents.protocol import Finished, RoleTask
from assay.agents.roles import AgentRoles
from assay.policies.settings import RoleSettings, Settings, ToolRules
from assay.records.plans import Requirement, Unit
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes.fake import FakeSandboxProvider
from assay.store.blobs import FileBlobs
from assay.store.clocks import SystemClock
from assay.store.git import GitStore
from assay.store.ledger import SqliteLedger
from assay.store.redaction import Redactor
from assay.store.state import StateDirectory

PROMPT = "You are a coder."
BRIEF = "Do it."
PATH = "/workspace/text.txt"
UNIT = Unit(
    id="u",
    title="t",
    specification="s",
    acceptance=(Requirement(id="R", text="r"),),
    paths=("*",),
)


class SteppingModel(BaseChatModel):
    """Calls one tool a step, and hands in or stops after the last one."""

    steps: int
    size: int
    """Characters of text in each answer."""
    writes: bool = False
    """Whether each step changes a file."""
    asked: list[float] = []
    """When each answer was asked for."""

    @property
    def _llm_type(self) -> str:
        return "stepping"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=list(tools))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer("tools" in kwargs))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        names = {
            str(tool.get("function", {}).get("name")) for tool in kwargs.get("tools", []) if isinstance(tool, dict)
        }
        return ChatResult(generations=[ChatGeneration(message=self._answer("submit_claim" in names))])

    def _answer(self, submits: bool) -> AIMessage:
        self.asked.append(time.perf_counter())
        number = len(self.asked)
        calls: list[Any] = []
        if number <= self.steps:
            args: dict[str, Any] = {"file_path": PATH, "limit": 100 + number}
            if self.writes:
                args = {"file_path": "/workspace/changed.txt", "content": f"{number}\n"}
            name = "write_file" if self.writes else "read_file"
            calls = [{"name": name, "args": args, "id": f"c{number}", "type": "tool_call"}]
        elif submits:
            args = {"kind": "fix", "statement": "done"}
            calls = [{"name": "submit_claim", "args": args, "id": "last", "type": "tool_call"}]
        usage: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        return AIMessage(content="x" * self.size, tool_calls=calls, usage_metadata=usage)


Contender = Callable[[SteppingModel, Path], Awaitable[None]]


def _read_tool(size: int) -> StructuredTool:
    text = "y" * size

    async def read_file(file_path: str, limit: int = 100) -> str:
        """Read a file."""
        return text

    return StructuredTool.from_function(coroutine=read_file, name="read_file", description="Read a file.")


async def run_bare(model: SteppingModel, directory: Path) -> None:
    """Hold the conversation with langchain-core alone; nothing is kept."""
    tool = _read_tool(model.size)
    bound = model.bind_tools([tool])
    messages: list[BaseMessage] = [SystemMessage(PROMPT), HumanMessage(BRIEF)]
    while True:
        answer = await bound.ainvoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return
        messages += [await tool.ainvoke(call) for call in answer.tool_calls]


async def run_ours(model: SteppingModel, directory: Path) -> None:
    """Hold it with the built-in agent, every turn in the transcript and the ledger before the next."""
    async with AsyncExitStack() as stack:
        state = StateDirectory.open(directory)
        git = await stack.enter_async_context(await GitStore.open(state.git))
        redact = Redactor(os.environ)
        ledger = await stack.enter_async_context(SqliteLedger(state.ledger, SystemClock(), redact=redact))
        data = b"y" * (model.size - 8)
        tree = await git.write_tree({"text.txt": TreeFile(REGULAR, blob_id(data))}, {blob_id(data): data})
        commit = await git.commit_tree(tree, (), "base", author="A <a@b>", at=datetime(2026, 1, 1, tzinfo=UTC))
        await git.set_ref("refs/assay/runs/r/base", commit)
        rules = ToolRules(allow=("*", "execute"))
        roles = AgentRoles(
            settings=Settings(agents={"coder": RoleSettings(rules=rules)}),
            git=git,
            ledger=ledger,
            blobs=FileBlobs(state.blobs),
            sandboxes=FakeSandboxProvider(),
            state=state,
            models=lambda role, settings: model,
            clock=SystemClock(),
            redact=redact,
        )
        task = RoleTask(run="r", role="coder", unit=UNIT, brief=BRIEF, result="claim", commit=commit, may_change=("*",))
        done = await roles.agent(task).advance({})
        if not isinstance(done, Finished):
            raise TypeError(f"the agent did not finish: {done}")


async def run_with_saver(model: SteppingModel, directory: Path) -> None:
    """Hold it with LangChain's agent and its SQLite saver, a checkpoint at each step."""
    async with AsyncSqliteSaver.from_conn_string(str(directory / "checkpoints.sqlite3")) as saver:
        agent = create_agent(model, [_read_tool(model.size)], system_prompt=PROMPT, checkpointer=saver)
        given: Any = {"messages": [HumanMessage(BRIEF)]}
        config: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 10 * model.steps + 100}
        await agent.ainvoke(given, config, durability="sync")


async def run_with_transcript(model: SteppingModel, directory: Path) -> None:
    """Hold it with LangChain's agent, no saver, and each message appended to a file and flushed."""
    with (directory / "transcript.jsonl").open("ab", buffering=0) as file:
        agent = create_agent(
            model, [_read_tool(model.size)], system_prompt=PROMPT, middleware=[_Transcript(file.fileno())]
        )
        given: Any = {"messages": [HumanMessage(BRIEF)]}
        await agent.ainvoke(given, {"recursion_limit": 10 * model.steps + 100})


class _Transcript(AgentMiddleware[Any, Any]):
    """Writes each answer and each result down."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        response = await handler(request)
        for message in response.result:
            self._append(message)
        return response

    async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        message = await handler(request)
        if isinstance(message, ToolMessage):
            self._append(message)
        return message

    def _append(self, message: BaseMessage) -> None:
        os.write(self._descriptor, json.dumps(message.model_dump(mode="json")).encode() + b"\n")
        os.fsync(self._descriptor)
