"""Real OpenAI and Anthropic clients against a local server; names, extras and parameters."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from tests.agents.model_server import CUT, SILENT, ModelServer, Reply, anthropic_answer, failure, openai_answer

from assay.agents.answers import read_answer
from assay.agents.models import RETRIES, ContextFull, GarbledAnswer, ask, open_model
from assay.agents.turns import TURNS, Answer, Result, answer_message, result_message
from assay.errors import ConfigurationError, ModelUnavailable, ScriptError

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "ls",
        "description": "List a folder.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}
ASKED: list[BaseMessage] = [SystemMessage("You list folders."), HumanMessage("List /workspace.")]
PROVIDERS = ("openai", "anthropic")


def client(server: ModelServer, provider: str, **parameters: Any) -> BaseChatModel:
    """Return the real client of a provider, pointed at the local server."""
    given = {"base_url": server.url + ("/v1" if provider == "openai" else ""), "api_key": "test-key"} | parameters
    return open_model(f"{provider}:test-model", given)


def good(provider: str, text: str | None = None, calls: list[tuple[str, Any]] | None = None) -> Reply:
    """Return an answer of either protocol."""
    if provider == "anthropic":
        return anthropic_answer(text, calls=calls)
    return openai_answer(text, calls=[(name, json.dumps(given)) for name, given in calls or []] or None)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_tool_call_and_its_usage_are_read(server: ModelServer, provider: str) -> None:
    """The call, its arguments and the provider's own token counts arrive in our record."""
    server.says(good(provider, "I look.", [("ls", {"path": "/workspace"})]))
    answer = read_answer(await ask(client(server, provider).bind_tools([TOOL]), ASKED), number=1, seconds=0.5)
    assert answer.text == "I look."
    assert [(call.name, call.args) for call in answer.calls] == [("ls", {"path": "/workspace"})]
    assert (answer.usage.input, answer.usage.output, answer.usage.cached) == (120, 30, 100)
    assert answer.model in {"gpt-test", "claude-test"}
    assert "ls" in str(server.requests[0]["tools"])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_conversation_read_back_from_json_is_the_same_on_the_wire(server: ModelServer, provider: str) -> None:
    """What our record rebuilds is sent exactly as the client's own message would be."""
    server.says(good(provider, "I look.", [("ls", {"path": "/workspace"})]))
    model = client(server, provider).bind_tools([TOOL])
    message = await ask(model, ASKED)
    answer = read_answer(message, number=1, seconds=0.0)
    stored = TURNS.validate_json(TURNS.dump_json(answer))
    assert isinstance(stored, Answer)
    result = Result(call=answer.calls[0].id, tool="ls", text="calc.py", outcome="ok")
    bodies = []
    for said in (message, answer_message(stored)):
        await ask(model, [*ASKED, said, result_message(result)])
        bodies.append(server.requests[-1]["messages"])
    assert bodies[0] == bodies[1]
    assert "calc.py" in str(bodies[1])


async def test_signed_thinking_is_sent_back_as_it_came(server: ModelServer) -> None:
    """Anthropic refuses a conversation whose thinking blocks were changed or dropped."""
    server.says(anthropic_answer("I look.", calls=[("ls", {"path": "/"})], thinking="hm"))
    model = client(server, "anthropic").bind_tools([TOOL])
    answer = read_answer(await ask(model, ASKED), number=1, seconds=0.0)
    stored = TURNS.validate_json(TURNS.dump_json(answer))
    assert isinstance(stored, Answer)
    told = result_message(Result(call="toolu_0", tool="ls", text="x", outcome="ok"))
    await ask(model, [*ASKED, answer_message(stored), told])
    blocks = server.requests[-1]["messages"][1]["content"]
    assert blocks[0] == {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_or_broken_provider_is_asked_again(server: ModelServer, provider: str, status: int) -> None:
    """429 and 5xx are retried by the client, and the answer comes through."""
    server.says(failure(status), failure(status), good(provider, "here"))
    assert (await ask(client(server, provider), ASKED)).text == "here"
    assert len(server.requests) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_cut_connection_is_tried_again(server: ModelServer, provider: str) -> None:
    """An answer that ends in the middle is no answer, and is asked for again."""
    server.says(CUT, good(provider, "whole"))
    assert (await ask(client(server, provider), ASKED)).text == "whole"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_that_stays_down_is_infrastructure(server: ModelServer, provider: str) -> None:
    """After the retries the error says that the model is not available, and how to go on."""
    server.says(failure(503, "overloaded"))
    with pytest.raises(ModelUnavailable, match="overloaded") as caught:
        await ask(client(server, provider, max_retries=1), ASKED)
    assert len(server.requests) == 2
    assert "assay resume" in str(caught.value.next_step)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "step"), [(400, "parameters"), (401, "key"), (403, "key"), (404, "name"), (422, "parameters")]
)
async def test_a_refused_request_is_not_repeated(server: ModelServer, provider: str, status: int, step: str) -> None:
    """What the provider will refuse again is asked once, and the next step fits the refusal."""
    server.says(failure(status))
    with pytest.raises(ModelUnavailable) as caught:
        await ask(client(server, provider), ASKED)
    assert len(server.requests) == 1
    assert step in str(caught.value.next_step)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_dead_socket_ends_with_the_time_limit(server: ModelServer, provider: str) -> None:
    """A server that takes the request and says nothing holds nobody longer than the time limit."""
    server.says(SILENT)
    with pytest.raises(ModelUnavailable):
        await ask(client(server, provider, timeout=0.2, max_retries=0), ASKED)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_has_a_limit_of_its_own(server: ModelServer, provider: str) -> None:
    """The limit over all retries holds where the client's own does not."""
    server.says(SILENT)
    with pytest.raises(ModelUnavailable, match=r"within 0\.2 s"):
        await ask(client(server, provider), ASKED, seconds=0.2)


@pytest.mark.parametrize("body", [b"<html>", {"hello": 1}, [], {"choices": None}, {"choices": []}])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_body_that_is_no_answer_is_infrastructure(server: ModelServer, provider: str, body: Any) -> None:
    """A proxy's page, or JSON of another kind, is a provider that cannot be used, and not a crash."""
    server.says(Reply(body))
    with pytest.raises(ModelUnavailable):
        await ask(client(server, provider, max_retries=0), ASKED)


async def test_nobody_listening_is_infrastructure() -> None:
    """A refused connection is a provider that cannot be reached."""
    given: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "api_key": "test-key", "max_retries": 0}
    with pytest.raises(ModelUnavailable):
        await ask(open_model("openai:m", given), ASKED)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_conversation_that_is_too_long_is_no_outage(server: ModelServer, provider: str) -> None:
    """It is the role that has to stop, not the run that has to wait."""
    server.says(failure(400, "prompt is too long: context_length_exceeded"))
    with pytest.raises(ContextFull):
        await ask(client(server, provider), ASKED)


@pytest.mark.parametrize("arguments", ['{"path": ', "not json", "null"])
async def test_malformed_arguments_are_a_call_that_can_be_answered(server: ModelServer, arguments: str) -> None:
    """The call is kept with what stood there, and the provider accepts our error as its result."""
    server.says(openai_answer(calls=[("ls", arguments)]))
    model = client(server, "openai").bind_tools([TOOL])
    answer = read_answer(await ask(model, ASKED), number=1, seconds=0.0)
    assert [call.name for call in answer.calls] == ["ls"]
    if arguments != "null":
        assert answer.calls[0].malformed is not None
    error = result_message(Result(call=answer.calls[0].id, tool="ls", text="Error: no JSON", outcome="error"))
    await ask(model, [*ASKED, answer_message(answer), error])
    sent = server.requests[-1]["messages"]
    assert sent[-2]["tool_calls"][0]["id"] == sent[-1]["tool_call_id"]


@pytest.mark.parametrize("arguments", ['"text"', "[1]", "5"])
async def test_arguments_of_another_kind_are_the_models_fault(server: ModelServer, arguments: str) -> None:
    """LangChain's client cannot hold a call whose arguments are no object; that is told apart from an outage."""
    server.says(openai_answer(calls=[("ls", arguments)]))
    with pytest.raises(GarbledAnswer, match="not a JSON object"):
        await ask(client(server, "openai").bind_tools([TOOL]), ASKED)


@pytest.mark.parametrize(
    ("provider", "reply"),
    [
        ("openai", openai_answer(refusal="I will not do that.")),
        ("anthropic", anthropic_answer("I will not do that.", stop="refusal")),
    ],
)
async def test_a_refusal_is_seen(server: ModelServer, provider: str, reply: Reply) -> None:
    """What a provider marks as a refusal is one in our record."""
    server.says(reply)
    answer = read_answer(await ask(client(server, provider), ASKED), number=1, seconds=0.0)
    assert answer.refusal == "I will not do that."


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_empty_answer_is_an_answer(server: ModelServer, provider: str) -> None:
    """Nothing at all reads as an answer without text and calls, and can be sent back."""
    server.says(good(provider))
    model = client(server, provider)
    answer = read_answer(await ask(model, ASKED), number=1, seconds=0.0)
    assert (answer.text, answer.calls, answer.refusal) == ("", (), None)
    await ask(model, [*ASKED, answer_message(answer), HumanMessage("Go on.")])


async def test_an_answer_of_a_megabyte_is_cut() -> None:
    """What is too long is kept as its beginning, with its size, and its calls are not made."""
    call: Any = {"name": "write_file", "args": {"content": "x" * 1_000_000}, "id": "1", "type": "tool_call"}
    answer = read_answer(AIMessage(content="y" * 30_000, tool_calls=[call]), number=1, seconds=0.0)
    assert answer.cut is not None and answer.cut > 1_000_000
    assert answer.calls == ()
    assert len(answer.model_dump_json()) < 30_000


async def test_text_that_is_not_unicode_is_kept_readable() -> None:
    """A lone surrogate from the wire can be written down and sent back."""
    answer = read_answer(AIMessage(content="a\ud800b"), number=1, seconds=0.0)
    assert answer.text.encode() == "a\ufffdb".encode()


async def test_calls_without_an_id_get_one_that_stays() -> None:
    """Two calls never share an id, so that each result finds its call."""
    calls: Any = [{"name": "ls", "args": {}, "id": i, "type": "tool_call"} for i in (None, "a", "a")]
    answer = read_answer(AIMessage(content="", tool_calls=calls), number=3, seconds=0.0)
    assert [call.id for call in answer.calls] == ["call_3_1", "a", "call_3_3"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_time_limits_and_retries_are_set(provider: str) -> None:
    """A client is never left with a provider's default of ten minutes."""
    model: Any = open_model(f"{provider}:m", {"api_key": "test-key"})
    timeout = model.request_timeout if provider == "openai" else model.default_request_timeout
    assert (timeout, model.max_retries) == (180.0, RETRIES)


def test_ollama_gets_its_time_limit_in_its_own_way() -> None:
    """Ollama's client takes HTTP options whole."""
    model: Any = open_model("ollama:m")
    assert model.client_kwargs == {"timeout": 180.0}


@pytest.mark.parametrize("name", ["gpt", "openai:", ":gpt", ""])
def test_a_name_without_both_halves_is_refused(name: str) -> None:
    """The message shows the form."""
    with pytest.raises(ConfigurationError, match="provider:model"):
        open_model(name)


def test_an_unknown_provider_names_the_known_ones() -> None:
    """Who mistypes a provider sees those that exist."""
    with pytest.raises(ConfigurationError, match=r"anthropic.*openai") as caught:
        open_model("opnai:gpt")
    assert "opnai" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("openai:m", "langchain_openai", "pip install 'assay[openai]'"),
        ("anthropic:m", "langchain_anthropic", "pip install 'assay[anthropic]'"),
        ("ollama:m", "langchain_ollama", "pip install 'assay[ollama]'"),
        ("groq:m", "langchain_groq", "pip install 'langchain-groq'"),
    ],
)
def test_a_missing_package_names_what_to_install(
    name: str, module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra where assay has one, the package otherwise."""
    real = importlib.import_module

    def missing(asked: str, package: str | None = None) -> Any:
        if asked.startswith((module, "langchain_community")):
            raise ImportError(asked)
        return real(asked, package)

    from langchain.chat_models import base

    base._get_chat_model_creator.cache_clear()
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModelUnavailable) as caught:
        open_model(name)
    base._get_chat_model_creator.cache_clear()
    assert caught.value.next_step == install


def test_a_missing_key_is_a_matter_of_configuration() -> None:
    """The message says where to put it."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        open_model("openai:m")
    assert "environment" in str(caught.value.next_step)


def test_a_parameter_that_does_not_fit_is_named() -> None:
    """A wrong type in the parameters is a configuration error."""
    with pytest.raises(ConfigurationError, match="temperature"):
        open_model("openai:m", {"api_key": "test-key", "temperature": "warm"})


def test_a_scripted_model_takes_no_parameters(tmp_path: Path) -> None:
    """Nothing that somebody sets is left out in silence."""
    with pytest.raises(ConfigurationError, match="temperature"):
        open_model(f"scripted:{tmp_path}/s.yaml", {"temperature": 1})
    with pytest.raises(ScriptError, match="cannot be read"):
        open_model(f"scripted:{tmp_path}/s.yaml")


@pytest.mark.parametrize(("outcome", "status"), [("error", "error"), ("denied", "error"), ("ok", "success")])
def test_a_tool_message_says_whether_the_call_worked(outcome: Any, status: str) -> None:
    """Providers are told which results are errors."""
    assert result_message(Result(call="1", tool="ls", text="x", outcome=outcome)).status == status
