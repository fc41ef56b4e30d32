"""The built-in agent: ask the model, do what it calls, write down each, until it submits its result.

Every turn is durable before the next one starts, and where the agent stands is read from its turns
alone. So `advance` may be killed anywhere and called again: it loses at most the turn in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from pydantic import TypeAdapter

from assay.agents.answers import read_answer
from assay.agents.calls import Caller
from assay.agents.conversation import Conversation
from assay.agents.desk import Desk
from assay.agents.journal import Journal
from assay.agents.meters import Meter
from assay.agents.models import ContextFull, GarbledAnswer, ask
from assay.agents.prompting import load_prompt
from assay.agents.protocol import Advance, Exhausted, Finished, NeedsDecision, RoleTask
from assay.agents.tools import tool_names, tool_schemas
from assay.agents.turns import Answer, Opening, Told
from assay.agents.workspace import Workspace
from assay.errors import AssayError, ConfigurationError
from assay.policies.rules import RuleBook
from assay.records.decisions import Decision
from assay.records.sandboxes import SandboxProfile

IDLE_ANSWERS: Final = 3
"""Answers in a row without a usable call after which the role is stopped."""
SAME_CALLS: Final = 5
"""Times that one call may be made in a row with the same arguments and the same result."""
_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_ADVANCE: Final[TypeAdapter[Advance]] = TypeAdapter(Advance)


class ToolLoopAgent:
    """One role at one task, on any chat model that can call tools. Implements `RoleAgent`."""

    def __init__(self, task: RoleTask, desk: Desk, rules: RuleBook, model: Callable[[], BaseChatModel]) -> None:
        """Name what it works with; nothing is opened before `advance`.

        Args:
            task: the task.
            desk: what every agent works with.
            rules: which calls are allowed.
            model: opens the role's chat model; called only when the model has something to answer.
        """
        self._task = task
        self._desk = desk
        self._role = desk.settings.role(task.role)
        self._tools = tool_names(task, self._role.tools)
        self._rules = rules
        self._open_model = model
        self._model: Runnable[LanguageModelInput, AIMessage] | None = None

    async def advance(self, decisions: Mapping[str, Decision]) -> Advance:
        """Work until there is a result, a question, or no budget.

        Raises:
            ModelUnavailable, ScriptError: the model gives no answer.
            EngineUnavailable, ImageMissing: no sandbox can be opened.
            StoreCorrupt: the journal is not what the ledger recorded.
        """
        task, desk = self._task, self._desk
        path = desk.transcripts(task.run, task.name)
        profile = self._profile()
        meter = Meter(task, desk.ledger, desk.settings, decisions)
        async with (
            await Journal.open(task, desk.ledger, path, count=meter.count, redact=desk.redact) as journal,
            Workspace(task, desk.git, desk.sandboxes, profile) as workspace,
        ):
            if (ended := await journal.ended()) is not None:
                return _ADVANCE.validate_python(ended.body["advance"])
            if journal.conversation.opening is None:
                await journal.add(self._opening())
            caller = Caller(task, desk, journal, workspace, decisions, self._tools, self._rules)
            try:
                return await self._work(journal, caller, meter)
            except asyncio.CancelledError:
                with suppress(AssayError):  # what was done is saved, or else kept
                    await journal.settle()
                await workspace.keep_unsaved(desk.ledger)
                raise

    async def _work(self, journal: Journal, caller: Caller, meter: Meter) -> Advance:
        conversation = journal.conversation
        while conversation.result is None:
            await meter.read()
            call = conversation.pending[0] if conversation.pending else None
            if (reason := _in_circles(conversation)) is not None:
                return await self._stop(journal, "model", reason)
            if (reason := meter.reached(call)) is not None:
                return await self._stop(journal, "budget", reason)
            if call is not None:
                question = await caller.make(call)
                if question is not None:
                    return NeedsDecision(question=question)
                continue
            if isinstance(conversation.last, Answer) and not conversation.last.calls:
                await journal.add(Told(text=_reminder(conversation.last, self._tools[-1])))
            for note in meter.notes:
                if note.key not in conversation.heard:
                    await journal.add(note)
            try:
                await journal.add(await self._ask(conversation))
            except ContextFull as error:
                return await self._stop(journal, "model", f"the conversation no longer fits the model: {error}")
        tree, held_out = await self._trees(conversation)
        finished = Finished(result=conversation.result, tree=tree, held_out=held_out, transcript=self._task.name)
        await journal.end(finished)
        return finished

    async def _ask(self, conversation: Conversation) -> Answer:
        if self._model is None:
            self._model = self._open_model().bind_tools(tool_schemas(self._task, self._tools))
        started = time.monotonic()
        try:
            message = await ask(self._model, conversation.messages)
        except GarbledAnswer as error:
            return Answer(text="", garbled=str(error), seconds=time.monotonic() - started)
        return read_answer(message, number=conversation.answers + 1, seconds=time.monotonic() - started)

    async def _stop(self, journal: Journal, cause: str, reason: str) -> Advance:
        tree, held_out = await self._trees(journal.conversation)
        exhausted = Exhausted.model_validate(
            {"cause": cause, "reason": reason, "tree": tree, "held_out": held_out, "transcript": self._task.name}
        )
        await journal.end(exhausted)
        return exhausted

    async def _trees(self, conversation: Conversation) -> tuple[str, str | None]:
        tree = conversation.tree or await self._desk.git.tree_id(self._task.commit)
        return tree, None if conversation.held_out == _EMPTY_TREE else conversation.held_out

    def _profile(self) -> SandboxProfile:
        try:
            return self._desk.settings.sandbox(self._role.sandbox)
        except KeyError:
            raise ConfigurationError(
                f"[agents.{self._task.role}] sandbox: there is no profile {self._role.sandbox!r}.",
                next_step=f"add [sandboxes.{self._role.sandbox}], or name another",
            ) from None

    def _opening(self) -> Opening:
        task = self._task
        return Opening(
            at=self._desk.clock.now(),
            role=task.role,
            unit=task.unit.id if task.unit else None,
            attempt=task.attempt,
            model=self._role.model,
            prompt=load_prompt(task.role, self._role.prompt),
            brief=task.brief,
            tools=self._tools,
        )


def _in_circles(conversation: Conversation) -> str | None:
    """Say why there is no use in going on, or return None."""
    last = conversation.last
    if isinstance(last, Answer) and last.refusal is not None and not last.calls:
        return f"the model refused: {' '.join(last.refusal.split())[:500]}"
    if conversation.idle >= IDLE_ANSWERS:
        return f"the model gave {conversation.idle} answers in a row that call no tool"
    if conversation.repeated >= SAME_CALLS:
        return f"the model made the same call {conversation.repeated} times in a row, with the same result each time"
    return None


def _reminder(answer: Answer, submit: str) -> str:
    if answer.cut is not None:
        what = f"Your answer was {answer.cut} bytes long. That is too much, and nothing of it was done."
    elif answer.garbled is not None:
        what = f"Your answer could not be read: {answer.garbled}."
    elif answer.text.strip():
        what = "Nobody reads what you only say."
    else:
        what = "Your answer was empty."
    return f"{what} Call a tool, or hand in your result with `{submit}`."
