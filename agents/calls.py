"""One tool call: whether it is allowed, whether a person must say so, what it gave, and its turn in the journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from assay.agents.desk import Desk
from assay.agents.files import ToolFailed
from assay.agents.journal import Journal, arguments_digest
from assay.agents.protocol import RoleTask
from assay.agents.submissions import InvalidSubmission, read_submission, submit_tool
from assay.agents.tools import CHANGING, TOOLS
from assay.agents.turns import Call, Result, ToolOutcome
from assay.agents.workspace import Workspace
from assay.errors import SandboxLost, SandboxRefused
from assay.policies.rules import RuleBook
from assay.records.base import Record, canonical_json
from assay.records.decisions import CheckpointKind, Decision, DecisionType, Question


@dataclass(frozen=True, slots=True)
class _Said:
    """What a call comes to."""

    text: str
    outcome: ToolOutcome
    tree: str | None = None
    held_out: str | None = None
    result: str | None = None
    decision: str | None = None


class Caller:
    """Makes the calls of one task, one by one."""

    def __init__(
        self,
        task: RoleTask,
        desk: Desk,
        journal: Journal,
        workspace: Workspace,
        decisions: Mapping[str, Decision],
        tools: tuple[str, ...],
        rules: RuleBook,
    ) -> None:
        """Name what the calls work on.

        Args:
            task: the task.
            desk: what every agent works with.
            journal: where each result is written down.
            workspace: the task's files.
            decisions: by question id, what people have answered so far.
            tools: names of the tools that the role has.
            rules: which calls are allowed.
        """
        self._task = task
        self._desk = desk
        self._journal = journal
        self._workspace = workspace
        self._decisions = decisions
        self._tools = tools
        self._rules = rules

    async def make(self, call: Call) -> Question | None:
        """Make the next call and write its result down, or return the question that a person must answer first.

        Raises:
            EngineUnavailable, ImageMissing: no sandbox can be opened.
        """
        started = time.monotonic()
        said = await self._said(call)
        if isinstance(said, Question):
            return said
        await self._journal.add(
            Result(
                call=call.id,
                tool=call.name,
                text=said.text,
                outcome=said.outcome,
                seconds=time.monotonic() - started,
                tree=said.tree,
                held_out=said.held_out,
                arguments=arguments_digest(call.args),
                decision=said.decision,
                result=said.result,
            )
        )
        return None

    async def _said(self, call: Call) -> _Said | Question:
        if call.name not in self._tools:
            return _error(f"there is no tool {call.name!r}; you have {', '.join(self._tools)}")
        if call.malformed is not None:
            return _error(f"the arguments are not a JSON object: {call.malformed[:300]!r}")
        if call.name == submit_tool(self._task):
            return await self._submitted(call)
        try:
            args = TOOLS[call.name].model_validate(call.args)
        except ValidationError as error:
            return _error(f"the arguments do not fit: {_problems(error)}")
        return await self._ruled(call, args)

    async def _ruled(self, call: Call, args: Record) -> _Said | Question:
        ruling = self._rules.decide(call.name, args.model_dump(mode="json", exclude_none=True))
        if ruling.outcome == "deny":
            return _Said(f"Denied by policy: {ruling.reason}", "denied")
        if ruling.outcome == "allow":
            return await self._run(call.name, args)
        question = self._question(call, ruling.reason)
        decision = self._decisions.get(question.id)
        if decision is None or decision.digest != question.digest:
            return question
        return await self._decided(call, args, decision)

    async def _decided(self, call: Call, args: Record, decision: Decision) -> _Said:
        match decision.type:
            case DecisionType.APPROVE:
                said = await self._run(call.name, args)
            case DecisionType.EDIT:
                said = await self._edited(call, decision)
            case DecisionType.REJECT:
                said = _Said(f"A person rejected this call. {decision.message}".strip(), "rejected")
            case DecisionType.RESPOND:
                said = _Said(decision.message, "answered")
        return _Said(said.text, said.outcome, said.tree, said.held_out, said.result, decision.question)

    async def _edited(self, call: Call, decision: Decision) -> _Said:
        given = (decision.args or {}).get("args")
        try:
            args = TOOLS[call.name].model_validate(given)
        except ValidationError as error:
            return _error(f"a person edited this call, and the arguments do not fit: {_problems(error)}")
        ruling = self._rules.decide(call.name, args.model_dump(mode="json", exclude_none=True))
        if ruling.outcome == "deny":
            return _Said(f"A person edited this call, and policy denies it: {ruling.reason}", "denied")
        said = await self._run(call.name, args)
        shown = canonical_json(args).decode()
        return _Said(f"A person changed the arguments to {shown}\n{said.text}", said.outcome, said.tree, said.held_out)

    async def _run(self, name: str, args: Record) -> _Said:
        for last in (False, True):
            try:
                return await self._run_once(name, args)
            except SandboxLost as error:
                await self._workspace.discard()
                if last:
                    lost = f"The sandbox ended while this ran, twice ({error.message}). It was as if never called."
                    return _Said(lost, "lost")
        raise AssertionError("the loop returns")

    async def _run_once(self, name: str, args: Record) -> _Said:
        conversation = self._journal.conversation
        tools = await self._workspace.tools(conversation.tree, conversation.held_out)
        outcome: ToolOutcome = "ok"
        try:
            text = await tools.run(args)
        except ToolFailed as error:
            text, outcome = f"Error: {error}", "error"
        if name not in CHANGING:
            return _Said(text, outcome)
        try:
            tree, held_out = await self._workspace.save()
        except SandboxRefused as error:
            return _Said(
                f"{text}\nError: the workspace cannot be kept as it is: {error.message}. Mend that first.", "error"
            )
        return _Said(text, outcome, tree, held_out)

    async def _submitted(self, call: Call) -> _Said:
        try:
            result = read_submission(self._task, call.args)
        except InvalidSubmission as error:
            return _error(f"this is not what was asked for, and nothing was handed in:\n{error}")
        return _Said("Handed in.", "submitted", result=await self._desk.blobs.put(canonical_json(result)))

    def _question(self, call: Call, reason: str) -> Question:
        args: dict[str, JsonValue] = {"tool": call.name, "args": call.args}
        unit = self._task.unit.id if self._task.unit else None
        return Question(
            id=f"{self._task.name}:tool:{self._journal.conversation.results + 1}",
            run=self._task.run,
            unit=unit,
            kind=CheckpointKind.TOOL,
            title=f"May the {self._task.role} call {call.name}?",
            args=args,
            description=f"{reason}\n\nApprove: it is made. Edit: it is made with your arguments. "
            "Reject: it is not made, and your message goes to the agent. Respond: your message is its result.",
            allowed=(DecisionType.APPROVE, DecisionType.EDIT, DecisionType.REJECT, DecisionType.RESPOND),
        )


def _error(text: str) -> _Said:
    return _Said(f"Error: {text}", "error")


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False)[:10]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the whole'}: {p['msg']}" for p in problems)
