"""A bench for agents: real git store, ledger and blobs in a temporary directory, fake sandboxes, a scripted model."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import JsonValue

from assay.agents.protocol import RoleAgent, RoleTask
from assay.agents.roles import AgentRoles
from assay.agents.scripted import ScriptedModel
from assay.agents.scripts import parse_script
from assay.policies.settings import Budget, RoleSettings, Settings, ToolRules
from assay.records.decisions import Decision, DecisionType, Question
from assay.records.entries import Entry, EntryKind
from assay.records.plans import Requirement, Unit
from assay.records.sandboxes import Exited
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes.fake import FakeCommand, FakeFile, FakeOutcome, FakeSandboxProvider
from assay.store.blobs import FileBlobs
from assay.store.clocks import SystemClock
from assay.store.git import GitStore
from assay.store.ledger import SqliteLedger
from assay.store.redaction import Redactor
from assay.store.state import StateDirectory

RUN = "run-1"
ALLOW_ALL = ToolRules(allow=("*", "*(//**)", "execute"))
FILES = {"calc.py": b"def add(a, b):\n    return a - b\n", "README.md": b"# calc\n", "tests/test_calc.py": b"\n"}
UNIT = Unit(
    id="add",
    title="Add numbers",
    specification="add(a, b) returns the sum.",
    acceptance=(Requirement(id="R1", text="add(2, 3) is 5"),),
    paths=("*.py",),
)


def commands(asked: FakeCommand) -> FakeOutcome | None:
    """Execute `put PATH TEXT`, `say TEXT` and `fail`; everything else is left to the fake."""
    words = shlex.split(asked.command) if isinstance(asked.command, str) else list(asked.command)
    match words:
        case ["put", path, text]:
            files = dict(asked.files) | {f"/workspace/{path}": FakeFile(REGULAR, text.encode())}
            return FakeOutcome(stdout=f"put {path}\n".encode(), files=files)
        case ["say", text]:
            return FakeOutcome(stdout=text.encode())
        case ["fail"]:
            return FakeOutcome(Exited(code=3), stderr=b"it failed\n")
        case ["test", *_]:
            return FakeOutcome(Exited(code=1))
        case _:
            return None


class ListModel(BaseChatModel):
    """Gives the answer whose number is that of the answers so far; the last one again and again."""

    answers: list[AIMessage]
    asked: list[list[BaseMessage]] = []
    """What was sent, call by call."""

    @property
    def _llm_type(self) -> str:
        return "list"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(list(messages))
        number = sum(isinstance(message, AIMessage) for message in messages)
        answer = self.answers[min(number, len(self.answers) - 1)]
        return ChatResult(generations=[ChatGeneration(message=answer.model_copy(deep=True))])


def says(text: str = "", *calls: tuple[str, Mapping[str, Any]], tokens: int = 0, **more: Any) -> AIMessage:
    """Return an answer with tool calls."""
    return AIMessage(
        content=text,
        tool_calls=[{"name": n, "args": dict(a), "id": f"c{i}", "type": "tool_call"} for i, (n, a) in enumerate(calls)],
        usage_metadata={"input_tokens": tokens, "output_tokens": tokens, "total_tokens": 2 * tokens},
        **more,
    )


@dataclass
class Bench:
    """Everything that an agent works with, and what a test asks of it."""

    root: Path
    git: GitStore
    ledger: Any
    blobs: FileBlobs
    state: StateDirectory
    sandboxes: FakeSandboxProvider
    commit: str
    settings: Settings = field(default_factory=Settings)

    def configure(
        self, role: str = "coder", *, rules: ToolRules = ALLOW_ALL, budget: Budget | None = None, **more: Any
    ) -> None:
        """Set one role's rules and budget, and more of the settings."""
        own = RoleSettings(model="scripted:test.yaml", rules=rules, budget=budget or Budget())
        self.settings = Settings(agents={**self.settings.agents, role: own}, **more)

    def task(self, role: str = "coder", **changes: Any) -> RoleTask:
        """Return a task; the coder's unless a role is named."""
        result = {"planner": "plan", "tester": "specification", "coder": "claim", "reviewer": "review"}[role]
        fields: dict[str, Any] = {
            "run": RUN,
            "role": role,
            "unit": None if role == "planner" else UNIT,
            "brief": "Do it.",
            "result": result,
            "commit": self.commit,
            "may_change": ("*.py",) if role in {"coder", "tester"} else (),
            "held_out": role == "tester",
        }
        return RoleTask.model_validate(fields | changes)

    def agent(self, model: BaseChatModel | str, task: RoleTask | None = None, **more: Any) -> RoleAgent:
        """Return the agent for a task, with a model or a script's text."""
        chosen = ScriptedModel(script=parse_script(model, file="test.yaml")) if isinstance(model, str) else model
        roles = AgentRoles(
            settings=self.settings,
            git=self.git,
            ledger=more.pop("ledger", self.ledger),
            blobs=self.blobs,
            sandboxes=more.pop("sandboxes", self.sandboxes),
            state=self.state,
            models=lambda role, settings: chosen,
            clock=SystemClock(),
            redact=Redactor({"MY_TOKEN": "tok-12345678"}),
            **more,
        )
        return roles.agent(task or self.task())

    async def entries(self, *kinds: EntryKind) -> tuple[Entry, ...]:
        """Return the run's entries."""
        found: tuple[Entry, ...] = await self.ledger.entries(RUN, kinds=kinds)
        return found

    async def files(self, tree: str) -> dict[str, bytes]:
        """Return the files of a tree."""
        return {path: self.git.contents.read(file.oid) for path, file in (await self.git.tree(tree)).items()}

    def transcript(self, task: RoleTask | None = None) -> Path:
        """Return the path of a task's transcript."""
        return self.state.transcript(RUN, (task or self.task()).name)


@asynccontextmanager
async def open_bench(
    root: Path, executes: Callable[[FakeCommand], FakeOutcome | None] = commands
) -> AsyncIterator[Bench]:
    """Set a bench up in a directory."""
    async with AsyncExitStack() as stack:
        state = StateDirectory.open(root)
        git = await stack.enter_async_context(await GitStore.open(state.git))
        ledger = await stack.enter_async_context(SqliteLedger(state.ledger, SystemClock()))
        tree = {path: TreeFile(REGULAR, blob_id(data)) for path, data in FILES.items()}
        written = await git.write_tree(tree, {blob_id(data): data for data in FILES.values()})
        commit = await git.commit_tree(written, (), "base", author="A <a@b>", at=datetime(2026, 1, 1, tzinfo=UTC))
        await git.set_ref(f"refs/assay/runs/{RUN}/base", commit)
        sandboxes = FakeSandboxProvider(executes)
        stack.push_async_callback(sandboxes.close)
        bench = Bench(root, git, ledger, FileBlobs(state.blobs), state, sandboxes, commit)
        bench.configure()
        yield bench


def decide(question: Question, kind: DecisionType, **more: Any) -> Mapping[str, Decision]:
    """Return a person's answer to a question, as `advance` takes it."""
    decision = Decision(
        question=question.id,
        digest=question.digest,
        type=kind,
        by="ada",
        via="terminal",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        **more,
    )
    return {question.id: decision}


def script(role: str, *turns: Any) -> str:
    """Return a script for one role; JSON is YAML."""
    return json.dumps({"script": [{"role": role, "turns": list(turns)}]})


SUBMITTED = says("", ("submit_claim", {"kind": "fix", "statement": "add adds"}))
CLAIM: dict[str, JsonValue] = {"kind": "fix", "statement": "add adds"}
SUBMIT: dict[str, JsonValue] = {"call": {"submit_claim": CLAIM}}


def write(path: str, content: str) -> dict[str, JsonValue]:
    """Return a turn that writes a file."""
    return {"call": {"write_file": {"file_path": f"/workspace/{path}", "content": content}}}


def execute(command: str) -> dict[str, JsonValue]:
    """Return a turn that runs a command."""
    return {"call": {"execute": {"command": command}}}
