"""Chat models by name: `provider:model` for real ones, `scripted:FILE` for turns from a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from langchain_core.exceptions import ContextOverflowError
from langchain_core.exceptions import ModelError as ProviderError
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables import Runnable
from pydantic import JsonValue, ValidationError

from assay.agents.scripted import ScriptedModel
from assay.errors import ConfigurationError, ModelUnavailable

REQUEST_SECONDS: Final = 180.0
"""Time limit of one request; without one, a dead socket holds a client for ten minutes."""
RETRIES: Final = 4
"""Times that a client asks again, with growing pauses, after 429, 5xx, a time-out or a cut connection."""
CALL_SECONDS: Final = 1800.0
"""Time limit of one answer with all its retries, also when the server lets it trickle."""

EXTRAS: Final = ("anthropic", "ollama", "openai")
"""Providers that are extras of assay; others work where their LangChain package is installed."""

_SDK_ERRORS: Final = (
    ("openai", "OpenAIError"),
    ("anthropic", "AnthropicError"),
    ("ollama", "ResponseError"),
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
)
"""Base errors of the clients, for the status codes that LangChain does not classify."""


class ContextFull(Exception):
    """The conversation no longer fits the model."""


class GarbledAnswer(Exception):
    """The model called a tool in a way that its client cannot read; the text says what is wrong."""


def open_model(name: str, parameters: Mapping[str, JsonValue] | None = None) -> BaseChatModel:
    """Return the chat model called `name`.

    Args:
        name: `provider:model` as in LangChain's `init_chat_model`, or `scripted:FILE.yaml`.
        parameters: for the model's constructor; they win over the time limit and the retries set here.

    Raises:
        ConfigurationError: the name, the provider or a parameter is not known, or a key is missing.
        ModelUnavailable: the provider's package is not installed.
        ScriptError: the script does not read.
    """
    provider, colon, model = name.partition(":")
    if not (provider and colon and model):
        raise ConfigurationError(
            f"The model {name!r} is not of the form provider:model.",
            next_step="name one like openai:MODEL, anthropic:MODEL, ollama:MODEL or scripted:FILE.yaml",
        )
    if provider == "scripted":
        if parameters:
            raise ConfigurationError(f"A scripted model takes no parameters; {sorted(parameters)} were given.")
        return ScriptedModel.load(Path(model))
    return _open_client(provider, model, dict(parameters or {}))


def _open_client(provider: str, model: str, parameters: dict[str, Any]) -> BaseChatModel:
    # here, because it loads LangGraph, which takes a second
    from langchain.chat_models import init_chat_model

    try:
        options = _client_defaults(provider) | parameters
        return cast("BaseChatModel", init_chat_model(model, model_provider=provider, **options))
    except ImportError as error:
        what = f"assay[{provider}]" if provider in EXTRAS else _package_of(error)
        raise ModelUnavailable(
            f"The model {provider}:{model} needs a package that is not installed.",
            next_step=f"pip install '{what}'",
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"The parameters of {provider}:{model} do not fit: {error}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"The model provider {provider!r} is not known: {error}",
            next_step=f"assay's extras are {', '.join(EXTRAS)}",
        ) from error
    except sdk_errors() as error:
        raise ConfigurationError(
            f"The model {provider}:{model} cannot be set up: {error}",
            next_step="set the provider's key in the environment, or correct [agents.ROLE.parameters]",
        ) from error


def _client_defaults(provider: str) -> dict[str, Any]:
    if provider == "ollama":  # it takes HTTP options whole, and has no retries of its own
        return {"client_kwargs": {"timeout": REQUEST_SECONDS}}
    return {"timeout": REQUEST_SECONDS, "max_retries": RETRIES}


def _package_of(error: ImportError) -> str:
    return str(error).rsplit("pip install ", 1)[-1].strip(" `") or "the provider's LangChain package"


def sdk_errors() -> tuple[type[Exception], ...]:
    """Return the base errors of LangChain's clients, and of those provider clients that are loaded."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in _SDK_ERRORS)
    return (ProviderError, *(error for error in found if error is not None))


async def ask(
    model: Runnable[LanguageModelInput, AIMessage], messages: Sequence[BaseMessage], *, seconds: float = CALL_SECONDS
) -> AIMessage:
    """Return the model's answer.

    The messages are our own, so they are passed on without LangChain's check of each, which costs as
    much as the rest of a call once there are many.

    Raises:
        ContextFull: the conversation is too long for the model.
        GarbledAnswer: the model's fault, and nobody else's; it can be told.
        ModelUnavailable: no answer that can be read came, after the client's own retries.
        ScriptError: a scripted model does not hold an answer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await model.ainvoke(ChatPromptValue.model_construct(messages=messages))
    except ContextOverflowError as error:
        raise ContextFull(str(error)) from error
    except sdk_errors() as error:
        raise ModelUnavailable(
            f"The model gave no answer: {type(error).__name__}: {_first_line(error)}", next_step=_next_step(error)
        ) from error
    except TimeoutError as error:
        raise ModelUnavailable(
            f"The model gave no answer within {seconds:g} s.", next_step="assay resume goes on from here"
        ) from error
    except OSError as error:
        raise ModelUnavailable(f"The model cannot be reached: {error}", next_step="check the network") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        if isinstance(error, ValidationError) and any("tool_calls" in problem["loc"] for problem in error.errors()):
            raise GarbledAnswer("the arguments of a tool call were not a JSON object") from error
        # what LangChain's clients raise over a body that is not an answer
        raise ModelUnavailable(
            f"The model's answer cannot be read: {type(error).__name__}: {_first_line(error)}",
            next_step="check base_url, and that the server speaks the provider's protocol",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:500]


def _next_step(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    if status in {401, 403}:
        return "check the provider's key and what it may use"
    if status == 404:
        return "check the model's name in assay.toml"
    if status is not None and 400 <= status < 500 and status != 429:
        return "the provider refuses the request itself: check [agents.ROLE.parameters]"
    return "assay resume goes on from here once the provider answers"
