"""What a proof costs, beside the suite that it is about.

`python -m benchmarks.proofs` makes a repository with 200 tests that take two seconds of one core, and a change of five
hunks with a test for each, and prints how long proofs of it take, as a multiple of the suite's own time (`pytest` on
one core of this machine, nothing of ours around it): by the clock, with all cores that there are, and in processor time
(of the sandboxes and of this process with what it starts; not the engine's own), which is what it would take on one
core. The baseline is in the cache, as it is for every claim but the first about a base. Each broken change breaks
another module, so that nothing of its confirmation is known before. Suite and proofs take turns, and medians are shown.

Goals: S0 to S8 and S12 with three replicates in at most 6 suites; a broken change refuted in under 1.5. With
`--large`, a suite of 5,000 ids: memory of the process (goal 300 MB) and time of the judge (1 s).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from assay.app.checks import Change, check
from assay.app.wiring import House, open_house
from assay.evidence import prove
from assay.evidence.facts import Facts
from assay.evidence.judge import judge
from assay.policies.settings import ProofSettings, Settings
from assay.records.evidence import Evidence
from assay.records.sandboxes import CommandResult
from assay.records.verdicts import Verdict
from assay.sandboxes import docker
from assay.sandboxes.supervised import SupervisedSandbox

FILES, TESTS, HUNKS = 20, 10, 5
SUITE_SECONDS = 2.0
MODULE = "def {name}(x):\n    total = 0\n    for n in range(20000):\n        total += n % 7\n    return x + {more}\n"
SUITE = """
import pytest
from shop.part{n} import price{n}


@pytest.mark.parametrize("x", range({tests}))
def test_price(x):
    for _ in range({loops}):
        assert price{n}(x) == x + {more}
"""
NEW = "from shop.part{n} import price{n}\n\n\ndef test_price{n}_is_two_more():\n    assert price{n}(1) == 3\n"
MANY = "import pytest\n\n\n@pytest.mark.parametrize('x', range(250))\ndef test_add(x):\n    assert x + 1 > x\n"


def git(repo: Path, *arguments: str) -> None:
    """Run git in a repository that this benchmark made."""
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
    subprocess.run(["git", "-C", str(repo), *who, *arguments], check=True, stdout=subprocess.DEVNULL)


def commit(repo: Path, files: dict[str, str]) -> None:
    """Write files and commit them."""
    for name, text in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "files")


def part(n: int, more: int) -> str:
    """Return a module of the shop."""
    return MODULE.format(name=f"price{n}", more=more)


def make_shop(repo: Path) -> None:
    """Make the repository: `main`, and `good` with the change."""
    git(repo, "init", "-q", "-b", "main")
    modules = {f"shop/part{n}.py": part(n, 1) for n in range(FILES)}
    extra = {f"shop/part{n}.py": part(n, 1) for n in range(FILES, FILES + HUNKS)}
    commit(repo, {"shop/__init__.py": "", **modules, **extra, **suites(1)})
    few = bare_suite(repo).processor
    commit(repo, suites(11))
    each = (bare_suite(repo).processor - few) / 10
    commit(repo, suites(max(2, 1 + round((SUITE_SECONDS - few) / each))))
    git(repo, "checkout", "-q", "-b", "good")
    changed = {f"shop/part{n}.py": part(n, 2) for n in range(FILES, FILES + HUNKS)}
    commit(repo, {**changed, **{f"tests/test_new{n}.py": NEW.format(n=n) for n in range(FILES, FILES + HUNKS)}})


def suites(loops: int) -> dict[str, str]:
    """Return the test files; with more loops they take longer."""
    return {f"tests/test_part{n}.py": SUITE.format(n=n, tests=TESTS, more=1, loops=loops) for n in range(FILES)}


def break_shop(repo: Path, number: int) -> str:
    """Commit, beside the change, one that breaks a module, and return the branch."""
    branch = f"broken{number}"
    git(repo, "checkout", "-q", "-b", branch, "good")
    commit(repo, {f"shop/part{number}.py": part(number, 2)})
    return branch


@dataclass(frozen=True)
class Cost:
    """Seconds of something: by the clock, and of processors."""

    clock: float
    processor: float

    @classmethod
    def median(cls, costs: Iterable[Cost]) -> Cost:
        """Return the medians."""
        held = list(costs)
        return cls(statistics.median(c.clock for c in held), statistics.median(c.processor for c in held))


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def bare_suite(repo: Path) -> Cost:
    """Return the cost of pytest alone, on one core, of what is checked out on `main`."""
    git(repo, "checkout", "-q", "main")
    argv = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(repo), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    core = min(os.sched_getaffinity(0))
    clock, used = time.perf_counter(), processor_seconds()
    subprocess.run(["taskset", "-c", str(core), *argv], cwd=repo, env=environment, check=True, capture_output=True)
    return Cost(time.perf_counter() - clock, processor_seconds() - used)


class Meter(SupervisedSandbox):
    """Sandboxes whose commands' processor time is summed."""

    used: ClassVar[float] = 0.0

    async def run(self, *arguments: Any, **named: Any) -> CommandResult:
        """Run a command and count what it used."""
        result = await super().run(*arguments, **named)
        Meter.used += result.cpu_seconds
        return result


async def time_proof(house: House, repo: Path, head: str, settings: Settings, expected: str) -> Cost:
    """Return the cost of one proof; raises SystemExit where its verdict is another than the one expected."""
    clock, used = time.perf_counter(), processor_seconds() + Meter.used
    verdict, _ = await check(house, Change(repo=repo, base="main", head=head), settings)
    cost = Cost(time.perf_counter() - clock, processor_seconds() + Meter.used - used)
    if verdict.status.value != expected:
        raise SystemExit(f"{head} ought to be {expected} and is {verdict.status.value}: {verdict.reasons}")
    return cost


async def measure(rounds: int, *, apart: bool) -> int:
    """Print the table and return how many goals were missed."""
    first = Settings(proof=ProofSettings(ablations=0, mutants=0, probed=0, jittered=3))
    kinds: tuple[tuple[str, Settings, str, float | None], ...] = (
        ("proven: S0 to S8 and S12, three replicates", first, "proven", 6.0),
        *([("proven: with S11 and S13, mutants too", Settings(), "proven", None)] if apart else []),
        ("refuted: the base's test fails", Settings(), "refuted", 1.5),
    )
    missed = 0
    with (
        tempfile.TemporaryDirectory(prefix="assay-proofs-") as place,
        mock.patch.object(docker, "SupervisedSandbox", Meter),
    ):
        repo = Path(place, "shop")
        repo.mkdir()
        make_shop(repo)
        alone: list[Cost] = []
        taken: dict[str, list[Cost]] = {name: [] for name, *_ in kinds}
        async with open_house(root=Path(place, "state")) as house:
            await time_proof(house, repo, "good", kinds[-2][1], "proven")  # fills the cache of baselines
            for number in range(rounds):
                alone.append(bare_suite(repo))
                for name, settings, expected, _ in kinds:
                    head = "good" if expected == "proven" else break_shop(repo, number % FILES)
                    taken[name].append(await time_proof(house, repo, head, settings, expected))
        suite = Cost.median(alone)
        print(f"{'':46} {'clock':>8} {'suites':>7} {'processor':>10} {'suites':>7} {'goal':>6}")
        print(f"{'pytest alone, one core (the floor)':46} {suite.clock:6.2f} s {1:6.2f}x {suite.processor:8.2f} s")
        for name, _, _, goal in kinds:
            cost = Cost.median(taken[name])
            ratio, work = cost.clock / suite.clock, cost.processor / suite.processor
            missed += goal is not None and ratio > goal
            said = "" if goal is None else f"{goal:.1f}x"
            print(f"{name:46} {cost.clock:6.2f} s {ratio:6.2f}x {cost.processor:8.2f} s {work:6.2f}x {said:>6}")
    return missed


async def measure_large() -> int:
    """Print memory and the judge's time for 5,000 ids, and return how many goals were missed."""
    spent: list[float] = []  # processor seconds: the judge waits for nothing

    def timed(facts: Facts, evidence: Iterable[Evidence]) -> Verdict:
        began = time.thread_time()
        verdict = judge(facts, evidence)
        spent.append(time.thread_time() - began)
        return verdict

    with (
        tempfile.TemporaryDirectory(prefix="assay-proofs-") as place,
        mock.patch.object(prove, "judge", timed),
        mock.patch.object(docker, "SupervisedSandbox", Meter),
    ):
        repo = Path(place, "many")
        repo.mkdir()
        git(repo, "init", "-q", "-b", "main")
        commit(repo, {"calc.py": "def f():\n    return 1\n", **{f"tests/test_{n}.py": MANY for n in range(20)}})
        git(repo, "checkout", "-q", "-b", "good")
        test = "from calc import f\n\n\ndef test_f():\n    assert f() == 2\n"
        commit(repo, {"calc.py": "def f():\n    return 2\n", "tests/test_f.py": test})
        async with open_house(root=Path(place, "state")) as house:
            taken = await time_proof(house, repo, "good", Settings(), "proven")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"5,000 ids: proven in {taken.clock:.1f} s, with {taken.processor:.1f} s of processors")
    print(f"at most {memory:.0f} MB (goal 300); the judge {spent[-1]:.2f} s of a processor (goal 1)")
    return (memory > 300) + (spent[-1] > 1)


def main() -> int:
    """Measure, print, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="proofs of each kind")
    parser.add_argument("--short", action="store_true", help="without the row of S11 and S13")
    parser.add_argument("--large", action="store_true", help="only the suite of 5,000 ids")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    return int(
        asyncio.run(measure_large() if arguments.large else measure(arguments.rounds, apart=not arguments.short)) > 0
    )


if __name__ == "__main__":
    sys.exit(main())
