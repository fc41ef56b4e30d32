"""A chat model that answers from a script: for tests, demonstrations and work without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from assay.agents.scripts import Part, Script, Turn, load_script
from assay.errors import ScriptError

TASK_KEY: Final = "assay_task"
"""Key in a message's `additional_kwargs` under which the role, the unit and the attempt stand.
No client sends it anywhere."""


class ScriptedModel(BaseChatModel):
    """Finds its turn from the conversation alone, so that a resumed run goes on at the right place."""

    script: Script

    @classmethod
    def load(cls, path: Path) -> ScriptedModel:
        """Return the model for a script; raises ScriptError."""
        return cls(script=load_script(path))

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"script": self.script.file}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        names = tuple(convert_to_openai_tool(tool)["function"]["name"] for tool in tools)
        return self.bind(tool_names=names, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tool_names: tuple[str, ...] | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, tool_names))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        tool_names: tuple[str, ...] | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, tool_names))])

    def _answer(self, messages: list[BaseMessage], tool_names: tuple[str, ...] | None) -> AIMessage:
        part = self._part(messages)
        answers = [n for n, message in enumerate(messages) if isinstance(message, AIMessage)]
        if len(answers) >= len(part.turns):
            raise ScriptError(
                f"{self.script.file}:{part.turns[-1].line}: {part} runs out after {len(part.turns)} turns.",
                next_step="end the part with a turn that calls the role's submit tool, or add a turn",
            )
        turn = part.turns[len(answers)]
        self._check_expected(turn, messages[answers[-1] + 1 if answers else 0 :])
        for call in turn.calls:
            if tool_names is not None and call.tool not in tool_names:
                raise ScriptError(
                    f"{self.script.file}:{call.line}: {part.role} has no tool {call.tool!r}; "
                    f"it has {', '.join(tool_names) or 'none'}."
                )
        return _message(turn, len(answers))

    def _part(self, messages: list[BaseMessage]) -> Part:
        task = next((m.additional_kwargs[TASK_KEY] for m in messages if TASK_KEY in m.additional_kwargs), None)
        if task is None:
            raise ScriptError(f"{self.script.file}: no message says which role is asked (`{TASK_KEY}`).")
        return self.script.part(task["role"], task.get("unit"), task.get("attempt", 1))

    def _check_expected(self, turn: Turn, told: list[BaseMessage]) -> None:
        text = "\n".join(str(message.text) for message in told)
        for expected in turn.expect:
            if expected not in text:
                shown = text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"
                raise ScriptError(
                    f"{self.script.file}:{turn.line}: the turn expects {expected!r}, and was told: {shown}",
                    next_step="the run went another way than the script: correct the turn, or what went before it",
                )


def _message(turn: Turn, number: int) -> AIMessage:
    given, produced = turn.usage
    return AIMessage(
        content=turn.say,
        tool_calls=[
            {"name": call.tool, "args": call.args, "id": f"call_{number + 1}_{n}", "type": "tool_call"}
            for n, call in enumerate(turn.calls, 1)
        ],
        usage_metadata={"input_tokens": given, "output_tokens": produced, "total_tokens": given + produced},
        response_metadata={"model_name": "scripted"},
    )
