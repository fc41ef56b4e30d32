"""Budgets, and models that give nothing usable: each ends the role with what there is, labelled as what it is."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from tests.agents.bench import RUN, SUBMITTED, Bench, ListModel, decide, execute, says, script, write
from tests.agents.model_server import ModelServer, failure, openai_answer

from assay.agents.loop import IDLE_ANSWERS, SAME_CALLS
from assay.agents.models import open_model
from assay.agents.outputs import TEXT_CHARACTERS
from assay.agents.protocol import Exhausted, Finished
from assay.errors import ModelUnavailable, ScriptError
from assay.policies.settings import Budget, Settings, UnitSettings
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.entries import EntryKind
from assay.records.sandboxes import Exited
from assay.sandboxes.fake import FakeCommand, FakeOutcome

LOOK: tuple[str, dict[str, Any]] = ("ls", {"path": "/workspace"})


async def stopped(bench: Bench, model: Any, cause: str, reason: str) -> Exhausted:
    """Run a coder that does not finish, and check that it stays stopped for the reason."""
    end = await bench.agent(model).advance({})
    assert isinstance(end, Exhausted), end
    assert end.cause == cause
    assert reason in end.reason
    assert await bench.agent(ListModel(answers=[])).advance({}) == end
    return end


async def test_a_budget_of_model_calls_hands_back_what_there_is(bench: Bench) -> None:
    """The work so far is in the tree, and the end says which budget was reached."""
    bench.configure(budget=Budget(model_calls=2))
    end = await stopped(bench, script("coder", write("a.py", "x"), execute("say a"), {"say": "?"}), "budget", "2 of 2")
    assert (await bench.files(end.tree))["a.py"] == b"x"


async def test_the_last_answer_of_a_budget_may_still_submit(bench: Bench) -> None:
    """Calls that an answer within the budget made are made, the submission first of all."""
    bench.configure(budget=Budget(model_calls=2, tokens=1_000))
    answers = [says("", LOOK, tokens=400), says("", ("submit_claim", {"kind": "fix", "statement": "s"}), tokens=400)]
    assert isinstance(await bench.agent(ListModel(answers=answers)).advance({}), Finished)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(tokens=300), "tokens"),
        (Budget(money=0.0005), "money"),
        (Budget(commands=1), "commands"),
        (Budget(seconds=1e-9), "seconds"),
    ],
)
async def test_every_budget_is_kept(bench: Bench, budget: Budget, reason: str) -> None:
    """Tokens, money, commands and time end the role, each by its own bound."""
    bench.configure(budget=budget, prices={"scripted:test.yaml": (1.0, 1.0), "m": (1.0, 1.0)})
    answers = [says("", ("execute", {"command": f"say {n}"}), tokens=100) for n in range(9)]
    if reason == "money":
        role = bench.settings.agents["coder"].model_copy(update={"model": "m"})
        bench.settings = Settings(agents={"coder": role}, prices=bench.settings.prices)
    await stopped(bench, ListModel(answers=answers), "budget", reason)


async def test_a_restart_does_not_reset_a_budget(bench: Bench) -> None:
    """What was used before a crash counts, to the call."""
    bench.configure(budget=Budget(model_calls=3))
    answers = [says("", ("execute", {"command": f"say {n}"})) for n in range(9)]
    for n in range(1, 3):
        model = Failing(answers=answers, asked=[], fails_at=n)
        with pytest.raises(ModelUnavailable):
            await bench.agent(model).advance({})
    last = ListModel(answers=answers, asked=[])
    await stopped(bench, last, "budget", "3 of 3")
    assert len(last.asked) == 1


async def test_the_budget_of_the_run_counts_everybody(bench: Bench) -> None:
    """What another role has used up counts for the run, and a person can extend it."""
    bench.configure(budget=Budget())
    bench.settings = bench.settings.model_copy(update={"budget": Budget(model_calls=2)})
    body = {"model": "m", "input_tokens": 1, "output_tokens": 1, "seconds": 1.0}
    await bench.ledger.append(RUN, EntryKind.MODEL_CALLED, "model:other.coder.1:1", body)
    await bench.ledger.append(RUN, EntryKind.MODEL_CALLED, "model:other.coder.1:2", body)
    model = ListModel(answers=[SUBMITTED], asked=[])
    question = Question(
        id="budget:run:0",
        run=RUN,
        kind=CheckpointKind.BUDGET,
        title="Go on?",
        description="",
        allowed=(DecisionType.APPROVE,),
    )
    granted = await bench.agent(model, bench.task(attempt=2)).advance(decide(question, DecisionType.APPROVE))
    assert isinstance(granted, Finished)
    await stopped(bench, ListModel(answers=[]), "budget", "of the run")


async def test_the_budget_of_a_unit_counts_all_its_roles(bench: Bench) -> None:
    """What the tester used up at the unit counts for the coder there; another unit does not; a person extends it."""
    bench.configure(budget=Budget())
    bench.settings = bench.settings.model_copy(update={"units": UnitSettings(budget=Budget(model_calls=2))})
    body = {"model": "m", "input_tokens": 1, "output_tokens": 1, "seconds": 1.0}
    for key, unit in (("model:add.tester.1:1", "add"), ("model:add.tester.1:2", "add"), ("model:x.coder.1:1", "x")):
        await bench.ledger.append(RUN, EntryKind.MODEL_CALLED, key, body, unit=unit)
    await stopped(bench, ListModel(answers=[]), "budget", "of the unit is used up: 2 of 2")
    question = Question(
        id="budget:unit:add:0", run=RUN, kind=CheckpointKind.BUDGET, title="Go on?", description="",
        allowed=(DecisionType.APPROVE,),
    )  # fmt: skip
    model = ListModel(answers=[SUBMITTED], asked=[])
    granted = await bench.agent(model, bench.task(attempt=2)).advance(decide(question, DecisionType.APPROVE))
    assert isinstance(granted, Finished)


@pytest.mark.parametrize("text", ["", "I would now fix the bug.", "   \n"])
async def test_a_model_that_only_talks_is_reminded_and_then_stopped(bench: Bench, text: str) -> None:
    """It is told what to do a few times, and never waited for for ever."""
    model = ListModel(answers=[says(text)], asked=[])
    await stopped(bench, model, "model", f"{IDLE_ANSWERS} answers in a row")
    assert len(model.asked) == IDLE_ANSWERS
    assert "submit_claim" in str(model.asked[-1][-1].text)


async def test_an_empty_answer_is_not_sent_back_empty(bench: Bench) -> None:
    """Anthropic refuses an assistant's message without text; a placeholder stands in its place."""
    model = ListModel(answers=[says(" \n"), SUBMITTED], asked=[])
    await bench.agent(model).advance({})
    assert model.asked[1][2].text == "(no answer)"


async def test_a_model_that_comes_to_its_senses_is_not_stopped(bench: Bench) -> None:
    """Only answers in a row count."""
    answers = [says("hm"), says("hm"), says("", LOOK), says("hm"), says("hm"), SUBMITTED]
    assert isinstance(await bench.agent(ListModel(answers=answers)).advance({}), Finished)


async def test_a_refusal_ends_the_role_at_once(bench: Bench) -> None:
    """There is no use in asking again, and the reason is the model's own."""
    refusal = AIMessage(content="", additional_kwargs={"refusal": "I cannot help with that."})
    model = ListModel(answers=[refusal], asked=[])
    await stopped(bench, model, "model", "I cannot help with that")
    assert len(model.asked) == 1


async def test_a_model_in_a_loop_is_stopped(bench: Bench) -> None:
    """The same call with the same result, again and again, is going in circles."""
    model = ListModel(answers=[says("", LOOK)], asked=[])
    await stopped(bench, model, "model", f"the same call {SAME_CALLS} times")
    assert len(model.asked) == SAME_CALLS


async def test_asking_again_for_something_that_changes_is_no_loop(bench: Bench) -> None:
    """Running the tests after each change is work, although the command is the same."""
    count = iter(range(100))
    run = ("execute", {"command": "count"})

    def commands(asked: FakeCommand) -> FakeOutcome | None:
        return (
            FakeOutcome(Exited(code=1), stdout=f"{next(count)} failed".encode()) if asked.command == "count" else None
        )

    bench.sandboxes._commands = commands
    answers = [says("", run)] * (2 * SAME_CALLS) + [SUBMITTED]
    assert isinstance(await bench.agent(ListModel(answers=answers)).advance({}), Finished)


async def test_an_answer_of_a_megabyte_is_not_obeyed(bench: Bench) -> None:
    """It is cut, told, and counted as unusable; the journal stays small."""
    huge = says("y" * 30_000, ("write_file", {"file_path": "/workspace/a.py", "content": "x" * 1_000_000}))
    model = ListModel(answers=[huge, SUBMITTED], asked=[])
    done = await bench.agent(model).advance({})
    assert isinstance(done, Finished)
    assert "a.py" not in await bench.files(done.tree)
    assert "too much" in str(model.asked[1][-1].text)
    assert bench.transcript().stat().st_size < 50_000


async def test_what_a_tool_prints_is_bounded(bench: Bench) -> None:
    """A megabyte of output reaches the model as its beginning and its end."""
    bench.sandboxes._commands = lambda asked: FakeOutcome(stdout=b"a" * 500_000 + b"b" * 500_000)
    model = ListModel(answers=[says("", ("execute", {"command": "flood"})), SUBMITTED], asked=[])
    await bench.agent(model).advance({})
    text = str(model.asked[1][-1].text)
    assert len(text) < TEXT_CHARACTERS + 200
    assert text.startswith("aaa") and "bbb" in text and "exit code 0" in text


class Failing(ListModel):
    """Fails at one call, as a client does that gave up."""

    fails_at: int
    error: Exception = ConnectionResetError("gone")

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if sum(isinstance(message, AIMessage) for message in messages) == self.fails_at:
            raise self.error
        return super()._generate(messages, *args, **kwargs)


async def test_a_conversation_that_is_too_long_ends_the_role(bench: Bench) -> None:
    """It cannot be sent, so there is nothing to wait for."""
    model = Failing(answers=[says("", LOOK)], asked=[], fails_at=1, error=ContextOverflowError("200001 tokens"))
    await stopped(bench, model, "model", "no longer fits the model: 200001 tokens")


async def test_a_provider_that_is_down_leaves_the_run_resumable(bench: Bench) -> None:
    """The error is infrastructure; later the role goes on with the same conversation."""
    answers = [says("", ("write_file", {"file_path": "/workspace/a.py", "content": "x"})), SUBMITTED]
    with pytest.raises(ModelUnavailable):
        await bench.agent(Failing(answers=answers, asked=[], fails_at=1)).advance({})
    model = ListModel(answers=answers, asked=[])
    done = await bench.agent(model).advance({})
    assert isinstance(done, Finished)
    assert len(model.asked) == 1
    assert (await bench.files(done.tree))["a.py"] == b"x"


async def test_a_script_that_runs_out_fails_with_its_place(bench: Bench) -> None:
    """The file and the line are in the error."""
    with pytest.raises(ScriptError, match=r"test\.yaml:1"):
        await bench.agent(script("coder", write("a.py", "x"))).advance({})


async def test_the_whole_way_with_a_real_client(bench: Bench, server: ModelServer) -> None:
    """Malformed arguments go back as an error, a busy provider is asked again, and both calls count."""
    server.says(
        openai_answer(calls=[("ls", '{"path": ')]),
        failure(429),
        openai_answer(calls=[("ls", "[1]")]),
        openai_answer(calls=[("submit_claim", '{"kind": "fix", "statement": "s"}')]),
    )
    model = open_model("openai:gpt-test", {"base_url": server.url + "/v1", "api_key": "test-key"})
    assert isinstance(await bench.agent(model).advance({}), Finished)
    called = await bench.entries(EntryKind.MODEL_CALLED)
    assert [entry.body["input_tokens"] for entry in called] == [120, 0, 120]
    assert called[0].body["served"] == "gpt-test"
    assert "not a JSON object" in str(server.requests[1]["messages"][-1])
    assert "could not be read" in str(server.requests[-1]["messages"][-1])
    assert {tool["function"]["name"] for tool in server.requests[0]["tools"]} >= {"execute", "submit_claim"}


async def test_malformed_arguments_use_up_the_budget(bench: Bench, server: ModelServer) -> None:
    """A model that never gets its arguments right is stopped by its budget, like any other."""
    bench.configure(budget=Budget(model_calls=4))
    for n in range(4):
        server.says(openai_answer(calls=[("ls", f'{{"path": {n}')]))
    model = open_model("openai:gpt-test", {"base_url": server.url + "/v1", "api_key": "test-key"})
    await stopped(bench, model, "budget", "4 of 4 model calls")
