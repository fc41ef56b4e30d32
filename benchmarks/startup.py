"""What starting costs: whole processes, from the fork to the exit.

`python -m benchmarks.startup` prints a table: the median over runs in which the programs take turns, and its
ratio to an interpreter that does nothing. Goals: `import assay` under 150 ms, `assay --help` under 300 ms.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASSAY = str(Path(sys.executable).with_name("assay"))

PROGRAMS: dict[str, tuple[list[str], float | None]] = {
    "python -c pass (the floor)": ([sys.executable, "-c", "pass"], None),
    "import assay": ([sys.executable, "-c", "import assay"], 150),
    "assay --help": ([ASSAY, "--help"], 300),
    "assay --version": ([ASSAY, "--version"], None),
    "assay runs (none)": ([ASSAY, "runs"], None),
    "import pydantic": ([sys.executable, "-c", "import pydantic"], None),
    "import langchain_core.messages": ([sys.executable, "-c", "import langchain_core.messages"], None),
    "import langgraph.graph": ([sys.executable, "-c", "import langgraph.graph"], None),
}
"""By what they are called, the programs and the most that they may take, in ms."""


def time_process(argv: list[str], environment: dict[str, str]) -> float:
    """Return the milliseconds from starting a program to its end."""
    began = time.perf_counter()
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1e3


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the times of each program; the first round, which fills caches, does not count."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "ASSAY_STATE": state}
        for number in range(rounds + 1):
            for name, (argv, _) in PROGRAMS.items():
                taken = time_process(argv, environment)
                if number:
                    times[name].append(taken)
    return times


def main() -> int:
    """Measure, print the table, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="processes of each kind")
    arguments = parser.parse_args()
    times = measure(arguments.rounds)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    floor = next(iter(medians.values()))
    print(f"{arguments.rounds} processes of each, in turns; Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{'':32} {'median':>9} {'least':>9} {'to floor':>9} {'goal':>9}")
    missed = 0
    for name, (_, goal) in PROGRAMS.items():
        said = "" if goal is None else f"{goal:.0f} ms"
        missed += goal is not None and medians[name] > goal
        ratio = f"{medians[name] / floor:.1f}x"
        print(f"{name:32} {medians[name]:6.0f} ms {min(times[name]):6.0f} ms {ratio:>9} {said:>9}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
