"""The built-in agent from its first question to its result: tools, rules, people, notes, roles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from tests.agents.bench import (
    CLAIM,
    SUBMIT,
    SUBMITTED,
    UNIT,
    Bench,
    ListModel,
    commands,
    decide,
    execute,
    says,
    script,
    write,
)

from assay.agents.protocol import Advance, Exhausted, Finished, NeedsDecision, RoleTask
from assay.errors import ConfigurationError
from assay.policies.settings import RoleSettings, Settings, ToolRules
from assay.records.claims import ClaimDraft
from assay.records.decisions import CheckpointKind, DecisionType
from assay.records.entries import EntryKind
from assay.records.plans import Plan
from assay.sandboxes.fake import FakeCommand, FakeOutcome

PLAN: dict[str, Any] = {"summary": "one unit", "units": [UNIT.model_dump(mode="json")]}


def told(model: ListModel, call: int) -> str:
    """Return all that the model was sent at one call."""
    return "\n".join(str(message.text) for message in model.asked[call])


async def test_a_coder_changes_a_file_and_claims_it(bench: Bench) -> None:
    """The result is the typed claim, and the tree is the workspace at the end."""
    agent = bench.agent(script("coder", write("calc.py", "x = 1\n"), execute("put more.py y"), SUBMIT))
    done = await agent.advance({})
    assert isinstance(done, Finished)
    assert ClaimDraft.model_validate_json(await bench.blobs.get(done.result)).statement == "add adds"
    files = await bench.files(done.tree)
    assert (files["calc.py"], files["more.py"]) == (b"x = 1\n", b"y")
    kinds = [entry.kind for entry in await bench.entries()]
    assert kinds.count(EntryKind.MODEL_CALLED) == 3
    assert kinds.count(EntryKind.TOOL_CALLED) == 3
    assert kinds.count(EntryKind.TREE_SAVED) == 2
    assert kinds[-1] is EntryKind.ROLE_ENDED
    assert not bench.sandboxes.open_sandboxes


async def test_a_finished_task_is_finished_for_good(bench: Bench) -> None:
    """Asking again gives the same result, and no model is opened for it."""
    first = await bench.agent(script("coder", SUBMIT)).advance({})
    again = await bench.agent(script("coder", {"say": "this turn is never asked for"})).advance({})
    assert first == again


async def test_the_model_is_told_prompt_brief_and_tools(bench: Bench) -> None:
    """The first question holds the role's prompt and its brief, and nothing else."""
    model = ListModel(answers=[SUBMITTED], asked=[])
    await bench.agent(model, bench.task(brief="The brief.")).advance({})
    assert told(model, 0).startswith("# You are the coder")
    assert told(model, 0).endswith("The brief.")


async def test_several_calls_are_made_in_order_and_written_down_one_by_one(bench: Bench) -> None:
    """Each call of one answer has its own entry, and sees what the one before it did."""
    several = says(
        "",
        ("write_file", {"file_path": "/workspace/a.py", "content": "one"}),
        ("edit_file", {"file_path": "/workspace/a.py", "old_string": "one", "new_string": "two"}),
        ("read_file", {"file_path": "/workspace/a.py"}),
    )
    model = ListModel(answers=[several, SUBMITTED], asked=[])
    done = await bench.agent(model).advance({})
    assert isinstance(done, Finished)
    assert (await bench.files(done.tree))["a.py"] == b"two"
    tools = [entry.body["tool"] for entry in await bench.entries(EntryKind.TOOL_CALLED)]
    assert tools == ["write_file", "edit_file", "read_file", "submit_claim"]
    assert "     1  two" in told(model, 1)


async def test_what_comes_after_the_submission_is_not_done(bench: Bench) -> None:
    """The submission ends the work, also in the middle of an answer."""
    both = says("", ("submit_claim", CLAIM), ("write_file", {"file_path": "/workspace/a.py", "content": "late"}))
    done = await bench.agent(ListModel(answers=[both])).advance({})
    assert isinstance(done, Finished)
    assert "a.py" not in await bench.files(done.tree)


async def test_mistakes_in_calls_go_back_to_the_model(bench: Bench) -> None:
    """An unknown tool, arguments that do not fit or do not read, and a bad result are told and survived."""
    bad = says("", ("delete", {}), ("read_file", {"offset": "x"}), ("submit_claim", {"kind": "wish"}))
    bad.invalid_tool_calls = [{"name": "ls", "args": '{"pa', "id": "c9", "error": None, "type": "invalid_tool_call"}]
    model = ListModel(answers=[bad, SUBMITTED], asked=[])
    assert isinstance(await bench.agent(model).advance({}), Finished)
    text = told(model, 1)
    assert "there is no tool 'delete'" in text and "submit_claim" in text
    assert "file_path: Field required" in text and "offset: Input should be a valid integer" in text
    assert "- kind: Input should be 'fix'" in text and "- statement: Field required" in text
    assert "not a JSON object" in text and '{"pa' in text
    outcomes = [entry.body["outcome"] for entry in await bench.entries(EntryKind.TOOL_CALLED)]
    assert outcomes == ["error", "error", "error", "error", "submitted"]


async def test_a_tester_has_a_second_tree_that_nobody_else_gets(bench: Bench) -> None:
    """Held-out tests come back apart, and no coder's sandbox ever holds a byte of them."""
    token = "planted-7f3a"
    bench.configure("tester")
    test = {"id": "tests/test_a.py::test_b", "requirement": "R1", "fails_because": "no sum", "held_out": True}
    turns = (
        {"call": {"write_file": {"file_path": "/held_out/tests/test_a.py", "content": token}}},
        {"call": {"submit_tests": {"statement": "s", "tests": [test]}}},
    )
    tester = bench.task("tester")
    done = await bench.agent(script("tester", *turns), tester).advance({})
    assert isinstance(done, Finished)
    assert done.held_out is not None
    assert await bench.files(done.held_out) == {"tests/test_a.py": token.encode()}
    assert token.encode() not in b"".join((await bench.files(done.tree)).values())

    seen: list[bytes] = []

    def look(asked: FakeCommand) -> FakeOutcome | None:
        seen.extend(file.data for file in asked.files.values())
        return commands(asked)

    bench.sandboxes._commands = look
    for attempt in (1, 2):
        coder = bench.task(attempt=attempt)
        assert isinstance(await bench.agent(script("coder", execute("say x"), SUBMIT), coder).advance({}), Finished)
    assert seen and token.encode() not in b"".join(seen)
    assert b"return a - b" in b"".join(seen)  # the search would have found what is there


async def test_an_empty_held_out_tree_is_none(bench: Bench) -> None:
    """A tester that declines leaves nothing behind."""
    bench.configure("tester")
    task = bench.task("tester")
    turn = {"call": {"submit_tests": {"statement": "s", "declined": "it cannot be stated"}}}
    done = await bench.agent(script("tester", turn), task).advance({})
    assert isinstance(done, Finished) and done.held_out is None


async def test_a_planner_cannot_change_the_workspace(bench: Bench) -> None:
    """Its sandbox is read-only, its write is refused as text, and its tree is the commit's."""
    bench.configure("planner")
    turns = (write("calc.py", "x"), execute("put calc.py x"), {"call": {"submit_plan": PLAN}})
    task = bench.task("planner")
    done = await bench.agent(script("planner", *turns), task).advance({})
    assert isinstance(done, Finished)
    assert done.tree == await bench.git.tree_id(bench.commit)
    assert Plan.model_validate_json(await bench.blobs.get(done.result)).units == (UNIT,)
    assert not await bench.entries(EntryKind.TREE_SAVED)


async def test_a_write_outside_of_the_paths_is_told_at_once(bench: Bench) -> None:
    """The coder learns what it may change before the floor throws the step away."""
    model = ListModel(
        answers=[says("", ("write_file", {"file_path": "/workspace/setup.cfg", "content": "x"})), SUBMITTED], asked=[]
    )
    await bench.agent(model).advance({})
    assert "you may change only *.py" in told(model, 1)


async def test_what_tools_leave_behind_is_no_change(bench: Bench) -> None:
    """Byte code stays out of the tree; its bytes are there when the same content becomes a file that counts."""
    turns = (execute("put __pycache__/a.pyc same"), execute("put a.py same"), SUBMIT)
    done = await bench.agent(script("coder", *turns)).advance({})
    assert isinstance(done, Finished)
    files = await bench.files(done.tree)
    assert files["a.py"] == b"same" and "__pycache__/a.pyc" not in files
    assert len(await bench.entries(EntryKind.TREE_SAVED)) == 1


async def test_what_policy_denies_is_not_done(bench: Bench) -> None:
    """The model is told, the call is recorded, and nothing was run."""
    bench.configure(rules=ToolRules(deny=("execute(put *)",), allow=("*", "execute")))
    model = ListModel(answers=[says("", ("execute", {"command": "put a.py x"})), SUBMITTED], asked=[])
    done = await bench.agent(model).advance({})
    assert isinstance(done, Finished)
    assert "Denied by policy" in told(model, 1)
    assert "a.py" not in await bench.files(done.tree)
    assert (await bench.entries(EntryKind.TOOL_CALLED))[0].body["outcome"] == "denied"


async def test_without_any_rule_nothing_is_allowed(bench: Bench) -> None:
    """Absence denies."""
    bench.settings = Settings(agents={"odd": RoleSettings(prompt=None)})
    bench.configure(rules=ToolRules())
    model = ListModel(answers=[says("", ("execute", {"command": "put a.py x"})), SUBMITTED], asked=[])
    await bench.agent(model).advance({})
    assert "Denied by policy" in told(model, 1)


ASK = ToolRules(ask=("execute(put *)",), allow=("*", "execute"))


async def asked(bench: Bench) -> tuple[Advance, str]:
    """Bring a coder to a call that needs a person."""
    bench.configure(rules=ASK)
    text = script("coder", write("b.py", "kept"), execute("put a.py x"), SUBMIT)
    return await bench.agent(text).advance({}), text


async def test_a_call_that_needs_a_person_is_a_question(bench: Bench) -> None:
    """The role returns, holds nothing open, and asks the same question whenever it is called again."""
    first, text = await asked(bench)
    assert isinstance(first, NeedsDecision)
    assert first.question.id == "add.coder.1:tool:2"
    assert first.question.kind is CheckpointKind.TOOL
    assert first.question.args == {"tool": "execute", "args": {"command": "put a.py x"}}
    assert not bench.sandboxes.open_sandboxes
    assert await bench.agent(text).advance({}) == first


@pytest.mark.parametrize(
    ("kind", "more", "expected", "outcome"),
    [
        (DecisionType.APPROVE, {}, b"x", "ok"),
        (DecisionType.EDIT, {"args": {"args": {"command": "put a.py edited"}}}, b"edited", "ok"),
        (DecisionType.REJECT, {"message": "not that file"}, None, "rejected"),
        (DecisionType.RESPOND, {"message": "it is there already"}, None, "answered"),
        (DecisionType.EDIT, {"args": {"args": {"cmd": "?"}}}, None, "error"),
        (DecisionType.EDIT, {"args": None}, None, "error"),
    ],
)
async def test_the_role_goes_on_with_the_answer(
    bench: Bench, kind: DecisionType, more: dict[str, Any], expected: bytes | None, outcome: str
) -> None:
    """Approved, edited, rejected or answered: the call has its result, and the work before it is kept."""
    first, text = await asked(bench)
    assert isinstance(first, NeedsDecision)
    done = await bench.agent(text).advance(decide(first.question, kind, **more))
    assert isinstance(done, Finished)
    files = await bench.files(done.tree)
    assert files.get("a.py") == expected
    assert files["b.py"] == b"kept"
    entry = (await bench.entries(EntryKind.TOOL_CALLED))[1]
    assert (entry.body["outcome"], entry.body["decision"]) == (outcome, first.question.id)
    if more.get("message"):
        assert str(more["message"]) in bench.transcript().read_text()


async def test_an_answer_to_something_else_does_not_count(bench: Bench) -> None:
    """A decision is bound to what the person saw; with another digest the question stays open."""
    first, text = await asked(bench)
    assert isinstance(first, NeedsDecision)
    changed = first.question.model_copy(update={"args": {"tool": "execute", "args": {"command": "put a.py y"}}})
    assert await bench.agent(text).advance(decide(changed, DecisionType.APPROVE)) == first


async def test_a_person_cannot_edit_past_a_denial(bench: Bench) -> None:
    """Edited arguments are judged again."""
    bench.configure(rules=ToolRules(deny=("execute(put secret *)",), ask=("execute(put *)",), allow=("*",)))
    text = script("coder", execute("put a.py x"), SUBMIT)
    first = await bench.agent(text).advance({})
    assert isinstance(first, NeedsDecision)
    edit = decide(first.question, DecisionType.EDIT, args={"args": {"command": "put secret x"}})
    done = await bench.agent(text).advance(edit)
    assert isinstance(done, Finished)
    assert "secret" not in await bench.files(done.tree)


async def test_notes_are_read_before_the_next_question(bench: Bench) -> None:
    """A note for the role, the unit or everybody is passed on once; another unit's is not."""
    append = bench.ledger.append
    await append("run-1", EntryKind.NOTE_LEFT, "note:1", {"by": "ada", "text": "use names"}, unit="add")
    await append("run-1", EntryKind.NOTE_LEFT, "note:2", {"by": "ada", "text": "for others"}, unit="other")
    await append("run-1", EntryKind.NOTE_LEFT, "note:3", {"by": "bob", "text": "for testers"}, role="tester")
    model = ListModel(answers=[says("", ("ls", {"path": "/workspace"})), SUBMITTED], asked=[])
    assert isinstance(await bench.agent(model).advance({}), Finished)
    assert told(model, 0).endswith("A note from ada:\n\nuse names")
    assert told(model, 1).count("use names") == 1
    assert "for others" not in told(model, 1) and "for testers" not in told(model, 1)


async def test_secrets_are_in_no_file(bench: Bench) -> None:
    """What a tool prints and a model repeats is written without the environment's secrets."""
    secret = "tok-12345678"
    model = ListModel(answers=[says(f"I use {secret}", ("execute", {"command": f"say {secret}"})), SUBMITTED], asked=[])
    assert isinstance(await bench.agent(model).advance({}), Finished)
    assert secret not in told(model, 1)
    for path in Path(bench.root).rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert "[redacted:MY_TOKEN]" in bench.transcript().read_text()


async def test_a_platform_can_replace_a_role_and_add_one(bench: Bench) -> None:
    """An agent of the host's own is asked in the place of ours."""
    expected = Exhausted(cause="model", reason="mine", tree="0" * 40, transcript="none")

    class Own:
        async def advance(self, decisions: object) -> Advance:
            return expected

    own: Any = {"coder": lambda task: Own(), "auditor": lambda task: Own()}
    for role in own:
        task = bench.task().model_copy(update={"role": role})
        assert (
            await bench.agent("script: [{role: x, turns: [{say: x}]}]", task, extra_roles=own).advance({}) == expected
        )


async def test_a_role_that_nobody_fills_is_refused(bench: Bench) -> None:
    """The message says how to fill it."""
    task = bench.task().model_copy(update={"role": "auditor"})
    with pytest.raises(ConfigurationError, match="auditor") as caught:
        bench.agent(script("auditor", SUBMIT), task)
    assert "extra_roles" in str(caught.value.next_step)


async def test_a_role_with_a_prompt_of_its_own(bench: Bench, tmp_path: Path) -> None:
    """A new role needs nothing but a Markdown file and rules."""
    prompt = tmp_path / "auditor.md"
    prompt.write_text("# You audit")
    role = RoleSettings(prompt=str(prompt), rules=ToolRules(allow=("*",)))
    bench.settings = Settings(agents={"auditor": role})
    model = ListModel(answers=[says("", ("submit_review", {"summary": "fine"}))], asked=[])
    fields = bench.task("reviewer").model_dump() | {"role": "auditor"}
    assert isinstance(await bench.agent(model, RoleTask.model_validate(fields)).advance({}), Finished)
    assert told(model, 0).startswith("# You audit")


@pytest.mark.parametrize(
    ("role", "message"),
    [
        (RoleSettings(tools=("ls", "delete")), "delete"),
        (RoleSettings(prompt="/nowhere.md", rules=ToolRules(allow=("*",))), "nowhere"),
        (RoleSettings(sandbox="big"), "big"),
    ],
)
async def test_settings_that_cannot_be_used_are_named(bench: Bench, role: RoleSettings, message: str) -> None:
    """A tool, a prompt or a sandbox profile that does not exist is a configuration error."""
    bench.settings = Settings(agents={"coder": role})
    with pytest.raises(ConfigurationError, match=message):
        await bench.agent(script("coder", SUBMIT)).advance({})


async def test_an_answer_without_ids_can_be_answered(bench: Bench) -> None:
    """Some providers give calls no id; ours are stable, so that a resumed conversation fits."""
    calls: Any = [{"name": "ls", "args": {"path": "/"}, "id": None, "type": "tool_call"}]
    model = ListModel(answers=[AIMessage(content="", tool_calls=calls), SUBMITTED], asked=[])
    assert isinstance(await bench.agent(model).advance({}), Finished)
    assert model.asked[1][-1].tool_call_id == "call_1_1"  # type: ignore[attr-defined]
