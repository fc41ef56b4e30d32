"""Killed anywhere, a role goes on where its journal ends: only the step in flight is lost, nothing is done twice."""

from __future__ import annotations

import inspect
import itertools
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.agents.bench import (
    RUN,
    SUBMIT,
    SUBMITTED,
    Bench,
    ListModel,
    commands,
    decide,
    execute,
    open_bench,
    says,
    script,
    write,
)

from assay.agents.protocol import Advance, Finished, NeedsDecision
from assay.errors import EngineUnavailable, SandboxLost, SandboxRefused, StoreCorrupt
from assay.policies.settings import ToolRules
from assay.records.decisions import Decision, DecisionType
from assay.records.entries import EntryKind
from assay.records.trees import REGULAR
from assay.sandboxes.fake import FakeCommand, FakeFile, FakeOutcome, FakeSandbox
from assay.store.transcripts import Transcript

SCRIPT = script(
    "coder",
    write("a.py", "one"),
    {"say": "Two at once.", "call": [{"execute": {"command": "put b.py b"}}, {"read_file": {"file_path": "a.py"}}]},
    {"say": "I only talk."},
    {"call": {"edit_file": {"file_path": "/workspace/a.py", "old_string": "one", "new_string": "two"}}},
    execute("put c.py asked"),
    SUBMIT,
)
RULES = ToolRules(ask=("execute(put c.py *)",), allow=("*", "execute"))


EVERYTHING = {
    *("SqliteLedger.append", "SqliteLedger.append_all", "Transcript.append", "GitStore.write_tree", "GitStore.set_ref"),
    "FileBlobs.put",
    *(f"FakeSandbox.{name}" for name in ("run", "put_tree", "take_tree", "close")),
    "FakeSandboxProvider.open",
}


class Killed(BaseException):
    """The process is gone. Nothing in the product may catch it."""


class Points:
    """Counts, by name, the points at which a kill is tried, and kills at one of them."""

    def __init__(self, kill_at: tuple[str, int] | None) -> None:
        self.kill_at = kill_at
        self.reached: Counter[str] = Counter()
        self.killed = False

    def reach(self, name: str) -> None:
        """Come by a point."""
        self.reached[name] += 1
        if (name, self.reached[name]) == self.kill_at:
            raise Killed(name)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a point before and one after it."""

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.reach(f"before {name}")
            result = await function(*args, **kwargs)
            self.reach(f"after {name}")
            return result

        def wrapped_blocking(*args: Any, **kwargs: Any) -> Any:
            self.reach(f"before {name}")
            result = function(*args, **kwargs)
            self.reach(f"after {name}")
            return result

        return wrapped if inspect.iscoroutinefunction(function) else wrapped_blocking


@asynccontextmanager
async def mined(bench: Bench, points: Points, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Put points around everything durable and every call to the engine."""
    with monkeypatch.context() as patched:
        for thing, name in (
            (bench.ledger, "append"),
            (bench.git, "write_tree"),
            (bench.git, "set_ref"),
            (bench.blobs, "put"),
            (bench.sandboxes, "open"),
            (bench.ledger, "append_all"),
            (Transcript, "append"),
            (FakeSandbox, "run"),
            (FakeSandbox, "put_tree"),
            (FakeSandbox, "take_tree"),
            (FakeSandbox, "close"),
        ):
            owner = thing.__name__ if isinstance(thing, type) else type(thing).__name__
            patched.setattr(thing, name, points.around(f"{owner}.{name}", getattr(thing, name)))
        yield


async def to_the_end(bench: Bench) -> Finished:
    """Advance a coder to its end, with a person who approves."""
    decisions: dict[str, Decision] = {}
    for _ in range(3):
        advance: Advance = await bench.agent(SCRIPT).advance(decisions)
        if isinstance(advance, Finished):
            return advance
        assert isinstance(advance, NeedsDecision)
        decisions = {**decisions, **decide(advance.question, DecisionType.APPROVE)}
    raise AssertionError("it never ends")


async def killed_once(
    root: Path, kill_at: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Points]:
    """Bring a coder to its end with one kill on the way, and return what came out and which points there are."""
    async with open_bench(root) as bench:
        bench.configure(rules=RULES)
        points = Points(kill_at)
        try:
            async with mined(bench, points, monkeypatch):
                await to_the_end(bench)
        except Killed:
            points.killed = True
        done = await to_the_end(bench)
        await bench.ledger.verify(RUN)
        keys = [entry.key for entry in await bench.entries()]
        assert len(keys) == len(set(keys))
        turns = [json.loads(line)["type"] for line in bench.transcript().read_text().splitlines()]
        return (done.tree, done.result, sorted(keys), turns), points


async def test_a_kill_at_any_point_loses_only_the_step_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enumerated, not sampled: before and after each append, each write to git and each call to the engine."""
    expected, points = await killed_once(tmp_path / "whole", None, monkeypatch)
    assert expected[3].count("answer") == 6
    assert {name.split(" ")[1] for name in points.reached} == EVERYTHING
    for name in points.reached:
        for number in itertools.count(1):
            place = tmp_path / f"{name} {number}"
            seen, points = await killed_once(place, (name, number), monkeypatch)
            assert seen == expected, f"{name} {number}"
            shutil.rmtree(place)
            if not points.killed:  # how many turns are written at once depends on the disk
                break
        assert number > 1, f"nothing was killed at {name}"


async def test_a_turn_that_only_the_transcript_has_is_made_good(bench: Bench) -> None:
    """A kill between transcript and ledger leaves no hole in the ledger."""
    bench.configure(rules=RULES)
    first = await bench.agent(SCRIPT).advance({})
    before = [entry.key for entry in await bench.entries()]
    await bench.ledger.forget(RUN)
    assert await bench.agent(SCRIPT).advance({}) == first
    assert [entry.key for entry in await bench.entries()] == before


async def test_a_transcript_that_lost_a_turn_is_corrupt(bench: Bench) -> None:
    """What the ledger recorded must be there; going on from less would do things twice."""
    await bench.agent(script("coder", write("a.py", "x"), SUBMIT)).advance({})
    lines = bench.transcript().read_bytes().splitlines(keepends=True)
    bench.transcript().write_bytes(b"".join(lines[:-1]))
    with pytest.raises(StoreCorrupt, match="transcript ends before"):
        await bench.agent(script("coder", SUBMIT)).advance({})


async def test_a_transcript_that_was_changed_is_corrupt(bench: Bench) -> None:
    """One changed byte in the past is found, with its line."""
    await bench.agent(script("coder", write("a.py", "x"), SUBMIT)).advance({})
    data = bench.transcript().read_bytes()
    bench.transcript().write_bytes(data.replace(b"wrote /workspace/a.py", b"wrote /workspace/b.py"))
    with pytest.raises(StoreCorrupt, match="line 3"):
        await bench.agent(script("coder", SUBMIT)).advance({})


async def test_a_line_that_is_no_turn_is_corrupt(bench: Bench) -> None:
    """The place is named."""
    bench.transcript().parent.mkdir(parents=True)
    bench.transcript().write_text('{"type": "wish"}\n')
    with pytest.raises(StoreCorrupt, match="line 1: not a turn"):
        await bench.agent(script("coder", SUBMIT)).advance({})


async def test_a_torn_last_line_was_never_there(bench: Bench) -> None:
    """A kill in the middle of a write costs that turn and no other."""
    bench.configure(rules=RULES)
    await bench.agent(SCRIPT).advance({})
    with bench.transcript().open("ab") as file:
        file.write(b'{"type": "answer", "te')
    assert isinstance(await to_the_end(bench), Finished)


async def test_a_resumed_role_continues_on_the_saved_files(bench: Bench) -> None:
    """The fresh sandbox holds what the lost one held, and the agent's own git shows it as a change."""
    bench.configure(rules=RULES)
    first = await bench.agent(SCRIPT).advance({})
    assert isinstance(first, NeedsDecision)
    seen: list[dict[str, FakeFile]] = []

    def look(asked: FakeCommand) -> FakeOutcome | None:
        seen.append(dict(asked.tree))
        return commands(asked)

    bench.sandboxes._commands = look
    await bench.agent(SCRIPT).advance(decide(first.question, DecisionType.APPROVE))
    assert "a.py" not in seen[0]  # the disposable git starts at the commit
    assert seen[-1]["a.py"].data == b"two" and seen[-1]["b.py"].data == b"b"


async def test_saved_trees_are_kept_alive(bench: Bench) -> None:
    """A ref holds the last saved tree while the role is not finished."""
    bench.configure(rules=RULES)
    await bench.agent(SCRIPT).advance({})
    saved = (await bench.entries(EntryKind.TREE_SAVED))[-1].body["tree"]
    assert await bench.git.ref(f"refs/assay/runs/{RUN}/wip/add.coder.1") == saved


async def test_an_unchanged_tree_is_not_saved_again(bench: Bench) -> None:
    """A command that changes nothing leaves no entry and no ref."""
    await bench.agent(script("coder", execute("say x"), SUBMIT)).advance({})
    assert not await bench.entries(EntryKind.TREE_SAVED)
    assert await bench.git.ref(f"refs/assay/runs/{RUN}/wip/add.coder.1") is None


def losing(bench: Bench, times: int) -> list[int]:
    """Make the sandbox end under the command `break`, so many times."""
    calls: list[int] = []

    def breaks(asked: FakeCommand) -> FakeOutcome | None:
        if asked.command != "break":
            return commands(asked)
        calls.append(1)
        if len(calls) <= times:
            for sandbox in list(bench.sandboxes.open_sandboxes.values()):
                sandbox.lose()
        return FakeOutcome(stdout=b"whole", files={**asked.files, "/workspace/d.py": FakeFile(REGULAR, b"d")})

    bench.sandboxes._commands = breaks
    return calls


async def test_a_lost_sandbox_costs_only_the_call(bench: Bench) -> None:
    """The call is made again in a fresh sandbox, on the files as they were before it."""
    calls = losing(bench, 1)
    done = await bench.agent(script("coder", write("a.py", "x"), execute("break"), SUBMIT)).advance({})
    assert isinstance(done, Finished)
    files = await bench.files(done.tree)
    assert (files["a.py"], files["d.py"], len(calls)) == (b"x", b"d", 2)


async def test_a_call_that_breaks_every_sandbox_is_given_up(bench: Bench) -> None:
    """Twice lost, the model is told, and the role goes on with the files from before."""
    calls = losing(bench, 99)
    model = ListModel(
        answers=[
            says("", ("write_file", {"file_path": "/workspace/a.py", "content": "x"})),
            says("", ("execute", {"command": "break"})),
            says("", ("read_file", {"file_path": "/workspace/a.py"})),
            SUBMITTED,
        ],
        asked=[],
    )
    done = await bench.agent(model).advance({})
    assert isinstance(done, Finished) and len(calls) == 2
    assert "sandbox ended" in str(model.asked[2][-1].text)
    assert "     1  x" in str(model.asked[3][-1].text)
    assert [e.body["outcome"] for e in await bench.entries(EntryKind.TOOL_CALLED)] == ["ok", "lost", "ok", "submitted"]


async def test_without_an_engine_the_run_can_be_resumed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sandbox is no result of the role: the error goes up, and the next try goes on."""
    text = script("coder", write("a.py", "x"), SUBMIT)

    async def gone(*args: object) -> FakeSandbox:
        raise EngineUnavailable("no engine")

    with monkeypatch.context() as patched:
        patched.setattr(bench.sandboxes, "open", gone)
        with pytest.raises(EngineUnavailable):
            await bench.agent(text).advance({})
    assert isinstance(await bench.agent(text).advance({}), Finished)
    assert len(await bench.entries(EntryKind.MODEL_CALLED)) == 2


async def test_a_sandbox_that_is_lost_while_it_is_filled_is_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left running when a sandbox cannot be set up."""

    async def lost(*args: object, **kwargs: object) -> None:
        raise SandboxLost("while filling")

    monkeypatch.setattr(FakeSandbox, "put_tree", lost)
    done = await bench.agent(script("coder", write("a.py", "x"), SUBMIT)).advance({})
    assert isinstance(done, Finished)
    assert not bench.sandboxes.open_sandboxes


async def test_a_workspace_that_cannot_be_kept_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO in the tree is the model's to remove; the role goes on."""
    real = FakeSandbox.take_tree
    refusals = iter([True])

    async def take(self: FakeSandbox, **kwargs: Any) -> Any:
        if next(refusals, False):
            raise SandboxRefused("'pipe' is a FIFO")
        return await real(self, **kwargs)

    monkeypatch.setattr(FakeSandbox, "take_tree", take)
    model = ListModel(
        answers=[says("", ("execute", {"command": f"put {n}.py x"})) for n in "ab"] + [SUBMITTED], asked=[]
    )
    done = await bench.agent(model).advance({})
    assert isinstance(done, Finished)
    assert "'pipe' is a FIFO" in str(model.asked[1][-1].text)
    assert {"a.py", "b.py"} <= (await bench.files(done.tree)).keys()
