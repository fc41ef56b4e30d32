"""Scripts: what they hold, how the model finds its turn, and what is wrong with a bad one, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from assay.agents.models import open_model
from assay.agents.scripted import TASK_KEY, ScriptedModel
from assay.agents.scripts import parse_script
from assay.errors import ScriptError

SCRIPT = """\
# Everything that the demonstration's models say.
script:
  - role: coder
    turns:
      - say: General.
        call: {ls: {path: /workspace}}
      - expect: calc.py
        call:
          - read_file: {file_path: calc.py, limit: 3}
          - execute: {command: "pytest -q"}
      - expect: [1 failed, calc]
        usage: [100, 20]
        call: {submit_claim: {kind: fix, statement: done, when: 2026-01-01}}
  - role: coder
    attempt: 2
    turns: [{say: Second.}]
  - role: coder
    unit: div
    turns: [{say: Division.}]
  - role: coder
    unit: div
    attempt: 2
    turns: [{say: Division again.}]
"""
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "description": "x", "parameters": {"type": "object"}}}
    for name in ("ls", "read_file", "execute", "submit_claim")
]


def begin(role: str = "coder", unit: str | None = None, attempt: int = 1) -> list[BaseMessage]:
    """Return the beginning of a conversation."""
    task = {"role": role, "unit": unit, "attempt": attempt}
    return [HumanMessage("Do it.", additional_kwargs={TASK_KEY: task})]


def model(text: str = SCRIPT) -> ScriptedModel:
    """Return the model of a script."""
    return ScriptedModel(script=parse_script(text, file="demo.yaml"))


def test_turns_follow_each_other_by_the_answers_so_far() -> None:
    """The conversation alone says where the script stands, so any process can go on with it."""
    conversation = begin()
    first = model().bind_tools(TOOLS).invoke(conversation)
    assert (first.content, first.tool_calls[0]["name"], first.tool_calls[0]["id"]) == ("General.", "ls", "call_1_1")
    conversation += [first, ToolMessage("calc.py\nREADME", tool_call_id="call_1_1")]
    second = model().bind_tools(TOOLS).invoke(conversation)
    assert [call["name"] for call in second.tool_calls] == ["read_file", "execute"]
    results = [ToolMessage("def calc", tool_call_id="a"), ToolMessage("1 failed", tool_call_id="b")]
    third = model().bind_tools(TOOLS).invoke([*conversation, second, *results])
    assert third.tool_calls[0]["args"]["when"] == "2026-01-01"
    assert third.usage_metadata is not None and third.usage_metadata["total_tokens"] == 120


@pytest.mark.parametrize(
    ("unit", "attempt", "said"),
    [("add", 1, "General."), ("add", 2, "Second."), ("div", 1, "Division."), ("div", 2, "Division again."),
     ("div", 3, "Division."), (None, 1, "General.")],
)  # fmt: skip
def test_the_most_fitting_part_is_played(unit: str | None, attempt: int, said: str) -> None:
    """A part that names the unit goes before one that names the attempt, and that before a general one."""
    assert model().invoke(begin(unit=unit, attempt=attempt)).content == said


async def test_it_answers_asynchronously_too() -> None:
    """Both ways of asking give the same turn."""
    assert (await model().ainvoke(begin())).content == "General."


def test_a_script_that_runs_out_names_its_last_turn() -> None:
    """The place is where a turn would have to be added."""
    said = AIMessage("Second.")
    with pytest.raises(ScriptError, match=r"demo\.yaml:16: coder, attempt 2 \(line 14\) runs out after 1 turns"):
        model().invoke([*begin(attempt=2), said, HumanMessage("Go on.")])


def test_a_role_that_the_script_does_not_hold() -> None:
    """The message says what was asked, and what there is."""
    with pytest.raises(ScriptError, match=r"no part for tester, unit add, attempt 1.*nothing for this role"):
        model().invoke(begin("tester", "add"))
    text = "script: [{role: coder, unit: add, turns: [{say: x}]}]"
    with pytest.raises(ScriptError, match=r"It holds coder, unit add \(line 1\)"):
        model(text).invoke(begin("coder", "div"))


def test_a_conversation_of_no_role() -> None:
    """Without the role there is nothing to play, and nothing is guessed."""
    with pytest.raises(ScriptError, match="which role"):
        model().invoke([HumanMessage("Hello.")])


def test_a_tool_that_the_role_does_not_have() -> None:
    """The call's own line is named."""
    with pytest.raises(ScriptError, match=r"demo\.yaml:6: coder has no tool 'ls'; it has execute"):
        model().bind_tools(TOOLS[2:3]).invoke(begin())


def test_a_run_that_went_another_way_is_noticed() -> None:
    """What a turn expects must stand in what the model was told since its last answer, and nowhere else."""
    conversation = [*begin(), AIMessage("General."), ToolMessage("other.py", tool_call_id="x")]
    with pytest.raises(ScriptError, match=r"demo\.yaml:7: the turn expects 'calc.py', and was told: other.py"):
        model().invoke(conversation)
    earlier = [*begin(), ToolMessage("calc.py", tool_call_id="w"), *conversation[1:]]
    with pytest.raises(ScriptError, match=r"expects 'calc\.py'"):
        model().invoke(earlier)


def test_the_first_turn_can_expect_something_of_the_brief() -> None:
    """So a script notices when the feedback to a second attempt is another than it was."""
    text = "script: [{role: coder, turns: [{expect: R2 does not hold, say: x}]}]"
    with pytest.raises(ScriptError, match="R2 does not hold"):
        model(text).invoke(begin())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "demo.yaml:1: the script is empty"),
        ("- a\n- b\n", "demo.yaml:1: a script is a mapping"),
        ("a: [\n", "demo.yaml:2: this is not YAML"),
        ("parts: []\n", "demo.yaml:1: a script has no 'parts'; it has script"),
        ("{}\n", "demo.yaml:1: there is no `script:`"),
        ("script:\n", "demo.yaml:1: `script` is a list with at least one item"),
        ("script: []\n", "demo.yaml:1: `script` is a list with at least one item"),
        ("script:\n  - coder\n", "demo.yaml:2: a part is a mapping"),
        ("script:\n  - role: coder\n", "demo.yaml:2: the part has no `turns:`"),
        ("script:\n  - turns: [{say: x}]\n", "demo.yaml:2: the part has no `role:`"),
        ("script:\n  - role: coder\n    turn: []\n", "demo.yaml:3: a part has no 'turn'; it has attempt, role, turns"),
        ("script:\n  - role: 5\n    turns: [{say: x}]\n", "demo.yaml:2: `role` is text; 5 was given"),
        ("script:\n  - role: a\n    attempt: 0\n    turns: [{say: x}]\n", "demo.yaml:3: `attempt` counts from 1; 0"),
        ("script:\n  - role: a\n    attempt: x\n    turns: [{say: x}]\n", "demo.yaml:3: `attempt` counts from 1; 'x'"),
        ("script:\n  - role: a\n    role: b\n    turns: [{say: x}]\n", "demo.yaml:3: 'role' is there twice"),
        ("script:\n  - role: a\n    turns:\n      - {}\n", "demo.yaml:4: the turn neither says nor calls"),
        ("script:\n  - role: a\n    turns:\n      - says: x\n", "demo.yaml:4: a turn has no 'says'"),
        ("script:\n  - role: a\n    turns:\n      - call: ls\n", "demo.yaml:4: a call is a mapping"),
        (
            "script:\n  - role: a\n    turns:\n      - call: {ls: x}\n",
            "demo.yaml:4: the arguments of 'ls'",
        ),
        ("script:\n  - role: a\n    turns:\n      - call: {ls: {}, cat: {}}\n", "demo.yaml:4: a call is one tool"),
        (
            "script:\n  - role: a\n    turns:\n      - call: []\n",
            "demo.yaml:4: `call` is a list with at least one item",
        ),
        ("script:\n  - role: a\n    turns:\n      - {say: x, usage: [1]}\n", "demo.yaml:4: `usage` is [input tokens"),
        ("script:\n  - role: a\n    turns:\n      - {say: x, expect: [1]}\n", "demo.yaml:4: `expect` is text; 1"),
        (
            "script:\n  - role: a\n    turns:\n      - say: !!python/object:os.x {}\n",
            "demo.yaml:4: this value does",
        ),
        (
            "script:\n  - role: a\n    turns: [{say: x}]\n  - role: a\n    turns: [{say: y}]\n",
            "demo.yaml:4: a (line 2) is there already; a (line 4) would never be reached",
        ),
    ],
)
def test_a_bad_script_is_refused_with_its_place(text: str, problem: str) -> None:
    """File, line and what is wrong, before anything runs."""
    with pytest.raises(ScriptError) as caught:
        parse_script(text, file="demo.yaml")
    assert problem in caught.value.message


def test_a_script_is_opened_by_its_name(tmp_path: Path) -> None:
    """`scripted:FILE` is a model like any other; a file that is not there, or no text, is an error."""
    path = tmp_path / "demo.yaml"
    path.write_text(SCRIPT)
    assert open_model(f"scripted:{path}").invoke(begin()).content == "General."
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ScriptError, match="cannot be read"):
        open_model(f"scripted:{path}")
    with pytest.raises(ScriptError, match="cannot be read"):
        open_model(f"scripted:{tmp_path}")


def test_a_call_without_arguments() -> None:
    """A tool's name alone is a call with none."""
    answer = model("script: [{role: coder, turns: [{call: {ls: }}]}]").invoke(begin())
    assert answer.tool_calls[0]["args"] == {}
