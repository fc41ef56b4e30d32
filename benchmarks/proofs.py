"""What a proof costs, beside the suite that it is about.

`python -m benchmarks.proofs` makes a repository with 200 tests that take two seconds of one core, and a change of five
hunks with a test for each, and prints how long proofs of it take: wall time, and as a multiple of the suite's own time
(`pytest` on one core of this machine, nothing of ours around it). The baseline is in the cache, as it is for every
claim but the first about a base. Goals: S0 to S8 and S12 with three replicates in at most 6 suites; a broken change
refuted in under 1.5. With `--large`, a suite of 5,000 ids: memory of the process (goal 300 MB) and time of the judge
(1 s).
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
from pathlib import Path
from unittest import mock

from assay.app.checks import Change, check
from assay.app.wiring import House, open_house
from assay.evidence import prove
from assay.evidence.facts import Facts
from assay.evidence.judge import judge
from assay.policies.settings import ProofSettings, Settings
from assay.records.evidence import Evidence
from assay.records.verdicts import Verdict

FILES, TESTS, HUNKS = 20, 10, 5
MODULE = "def {name}(x):\n    total = 0\n    for n in range(20000):\n        total += n % 7\n    return x + {more}\n"
SUITE = """
import pytest
from shop.part{n} import price{n}


@pytest.mark.parametrize("x", range({tests}))
def test_price(x):
    for _ in range(7):
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
    """Make the repository: `main`, `good` with the change, and `broken` with one that breaks a module."""
    git(repo, "init", "-q", "-b", "main")
    modules = {f"shop/part{n}.py": part(n, 1) for n in range(FILES)}
    suites = {f"tests/test_part{n}.py": SUITE.format(n=n, tests=TESTS, more=1) for n in range(FILES)}
    extra = {f"shop/part{n}.py": part(n, 1) for n in range(FILES, FILES + HUNKS)}
    commit(repo, {"shop/__init__.py": "", **modules, **extra, **suites})
    git(repo, "checkout", "-q", "-b", "good")
    changed = {f"shop/part{n}.py": part(n, 2) for n in range(FILES, FILES + HUNKS)}
    commit(repo, {**changed, **{f"tests/test_new{n}.py": NEW.format(n=n) for n in range(FILES, FILES + HUNKS)}})
    git(repo, "checkout", "-q", "-b", "broken")
    commit(repo, {"shop/part3.py": part(3, 2)})


def bare_suite(repo: Path, rounds: int) -> float:
    """Return the median seconds of pytest alone, on one core."""
    git(repo, "checkout", "-q", "main")
    argv = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(repo), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    core = min(os.sched_getaffinity(0))
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(["taskset", "-c", str(core), *argv], cwd=repo, env=environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


async def time_proof(house: House, repo: Path, head: str, settings: Settings, expected: str) -> float:
    """Return the seconds of one proof; raises SystemExit where its verdict is another than the one expected."""
    began = time.perf_counter()
    verdict, _ = await check(house, Change(repo=repo, base="main", head=head), settings)
    taken = time.perf_counter() - began
    if verdict.status.value != expected:
        raise SystemExit(f"{head} ought to be {expected} and is {verdict.status.value}: {verdict.reasons}")
    return taken


async def measure(rounds: int) -> int:
    """Print the table and return how many goals were missed."""
    first = Settings(proof=ProofSettings(ablations=0, probed=0, jittered=3))
    kinds: tuple[tuple[str, str, Settings, str, float | None], ...] = (
        ("proven: S0 to S8 and S12, three replicates", "good", first, "proven", 6.0),
        ("proven: with S11 and S13, mutants too", "good", Settings(), "proven", None),
        ("refuted: the base's test fails", "broken", Settings(), "refuted", 1.5),
    )
    missed = 0
    with tempfile.TemporaryDirectory(prefix="assay-proofs-") as place:
        repo = Path(place, "shop")
        repo.mkdir()
        make_shop(repo)
        suite = bare_suite(repo, rounds)
        print(f"{'':46} {'median':>8} {'suites':>7} {'goal':>6}")
        print(f"{'pytest alone, one core (the floor)':46} {suite:6.2f} s {1:6.2f}x")
        async with open_house(root=Path(place, "state")) as house:
            await time_proof(house, repo, "good", Settings(), "proven")  # fills the cache of baselines
            for name, head, settings, expected, goal in kinds:
                taken = [await time_proof(house, repo, head, settings, expected) for _ in range(rounds)]
                ratio = statistics.median(taken) / suite
                missed += goal is not None and ratio > goal
                said = "" if goal is None else f"{goal:.1f}x"
                print(f"{name:46} {statistics.median(taken):6.2f} s {ratio:6.2f}x {said:>6}", flush=True)
    return missed


async def measure_large() -> int:
    """Print memory and the judge's time for 5,000 ids, and return how many goals were missed."""
    spent: list[float] = []

    def timed(facts: Facts, evidence: Iterable[Evidence]) -> Verdict:
        began = time.perf_counter()
        verdict = judge(facts, evidence)
        spent.append(time.perf_counter() - began)
        return verdict

    with tempfile.TemporaryDirectory(prefix="assay-proofs-") as place, mock.patch.object(prove, "judge", timed):
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
    print(
        f"5,000 ids: proven in {taken:.1f} s; at most {memory:.0f} MB (goal 300); the judge {spent[-1]:.2f} s (goal 1)"
    )
    return (memory > 300) + (spent[-1] > 1)


def main() -> int:
    """Measure, print, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="proofs of each kind")
    parser.add_argument("--large", action="store_true", help="only the suite of 5,000 ids")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    return int(asyncio.run(measure_large() if arguments.large else measure(arguments.rounds)) > 0)


if __name__ == "__main__":
    sys.exit(main())
