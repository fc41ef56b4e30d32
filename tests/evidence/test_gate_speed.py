"""The gate `speed`: base and head in turn, by the base's benchmark, however the command names it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from gate_bench import GateBench, gate

from assay.evidence.gates.looks import Look
from assay.policies.settings import ProjectSettings, Settings
from assay.records.sandboxes import CommandResult, Exited
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.fake import FakeCommand, FakeOutcome
from assay.sandboxes.protocol import Sandbox


def measured(base: float, head: float, noise: float = 0.0) -> Callable[[Look, Sandbox], Awaitable[CommandResult]]:
    """Return a benchmark of which base and head take so many seconds, with noise in turn up and down."""
    count = iter(range(10_000))

    async def run(look: Look, sandbox: Sandbox) -> CommandResult:
        slow = await sandbox.read("/workspace/speed") == b"head"
        seconds = (head if slow else base) * (1 + noise * (-1) ** (next(count) % 3))
        return CommandResult(ending=Exited(code=0), seconds=seconds, cpu_seconds=seconds)

    return run


async def test_speed_against_the_base(gates: GateBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that is slower than the bound is found, one that is not passes; what cannot be told is inconclusive."""
    one = gate("speed", command=["bench"], at_most=1.2)
    for base, head, noise, outcome in (
        (1.0, 1.3, 0.01, "block"), (1.0, 1.1, 0.01, "pass"), (1.0, 1.2, 0.3, "ask"), (0.0, 0.0, 0.0, "ask"),
    ):  # fmt: skip
        monkeypatch.setattr("assay.evidence.gates.speed._run", measured(base, head, noise))
        told = await gates.judge(one, {"speed": "base"}, {"speed": "head"})
        assert told.outcome == outcome, told
        if noise > 0.1:
            assert told.reasons[0].startswith("inconclusive, the noise is larger")


async def test_a_benchmark_that_says_nothing(gates: GateBench) -> None:
    """One that the change brings measures nothing; one that fails only on the change is the change's."""
    own = gate("speed", command=["python", "bench.py"], at_most=1.5)
    brought = await gates.judge(own, {"a": "1"}, {"a": "1", "bench.py": "x"})
    assert brought.reasons == ("the benchmark is the change's own: bench.py",)

    def breaks(asked: FakeCommand) -> FakeOutcome:
        return FakeOutcome(ending=Exited(code=int(asked.tree["a"].data == b"2")))

    one = gate("speed", command=["bench"], at_most=1.5)
    fails = await gates.judge(one, {"a": "1"}, {"a": "2"}, breaks)
    assert (fails.outcome, "not on the change" in fails.reasons[0]) == ("block", True)
    broken = await gates.judge(one, {"a": "2"}, {"a": "1"}, breaks)
    assert (broken.outcome, "does not run on the base" in broken.reasons[0]) == ("ask", True)


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (["python", "bench.py"], "app/bench.py"),
        (["python", "./perf/../bench.py"], "app/bench.py"),
        (["sh", "-c", "cd . && python bench.py; true"], "app/bench.py"),
        (["pytest", "perf/test_x.py::test_y"], "app/perf/test_x.py"),
        (["run", "--suite=perf"], "app/perf/sizes.json"),
        (["python", "-m", "perf.all"], "app/perf/all.py"),
        (["python", "-m", "perf.all"], "app/src/perf/all/__main__.py"),
        (["python", "/workspace/app/bench.py"], "app/bench.py"),
    ],
)
async def test_the_benchmark_is_the_bases(gates: GateBench, command: list[str], path: str) -> None:
    """However the command names it: what it names is read from the folder that it runs in."""
    base = {path: "base", "app/src/work.py": "1"}
    seen = []

    def bench(asked: FakeCommand) -> FakeOutcome:
        seen.append((asked.tree[path].data, asked.tree["app/src/work.py"].data))
        return FakeOutcome(ending=Exited(code=len(seen) - 1))  # fails on the head, so that nothing is measured

    settings = Settings(project=ProjectSettings(root="app"))
    one = gate("speed", command=command, at_most=1.5)
    await gates.judge(one, base, {path: "head", "app/src/work.py": "2"}, bench, settings=settings)
    assert seen == [(b"base", b"1"), (b"base", b"2")]


async def test_the_program_is_not_the_benchmark(gates: GateBench) -> None:
    """A word that names the folder of the program does not put the base's program into the head; nor does a letter."""
    seen = []

    def look(asked: FakeCommand) -> FakeOutcome:
        seen.append((asked.tree["src/work.py"].data, asked.tree["b"].data))
        return FakeOutcome(ending=Exited(code=int(len(seen) == 2)))

    one = gate("speed", command=["bench", "src", "."], at_most=1.5)
    await gates.judge(one, {"src/work.py": "1", "b": "1"}, {"src/work.py": "2", "b": "2"}, look)
    assert seen == [(b"1", b"1"), (b"2", b"2")]
    all_of_it = gate("speed", command=["bench", "lib"], at_most=1.5)
    told = await gates.judge(all_of_it, {"lib/a.py": "1"}, {"lib/a.py": "2"})
    assert (told.outcome, "nothing would be measured" in told.reasons[0]) == ("ask", True)


@pytest.mark.docker
async def test_speed_of_real_programs(gates: GateBench) -> None:
    """In two real sandboxes: twenty times the work is more than half as much again, by the base's own benchmark."""
    work = "import work\nwork.run()\n"
    files = {"bench.py": work, "work.py": "def run(): sum(i * i for i in range(200_000))\n"}
    slow = {"bench.py": "pass\n", "work.py": "def run(): [sum(i * i for i in range(200_000)) for _ in range(20)]\n"}
    one = gate("speed", command=["python3", "bench.py"], at_most=1.5)
    async with DockerProvider() as provider:
        told = await gates.judge(one, files, slow, provider=provider)
    assert told.outcome == "block", told
