"""What a step of an agent costs beside the model and the command.

`python -m benchmarks.agent_loop` prints a table: for each loop the median time of a step near the
10th, the 100th and the last step, over repeated runs in which the loops take turns, and its ratio to
a bare langchain-core loop in the same run. See `agent_contenders.py` for the loops.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.agent_contenders import (
    Contender,
    SteppingModel,
    run_bare,
    run_ours,
    run_with_saver,
    run_with_transcript,
)


def steps_of(contender: Contender, steps: int, size: int, *, writes: bool = False) -> list[float]:
    """Return how long each step took, in milliseconds."""
    model = SteppingModel(steps=steps, size=size, writes=writes, asked=[])
    with tempfile.TemporaryDirectory() as directory:
        gc.collect()
        asyncio.run(_run(contender, model, Path(directory)))
    return [(after - before) * 1e3 for before, after in zip(model.asked, model.asked[1:], strict=False)]


async def _run(contender: Contender, model: SteppingModel, directory: Path) -> None:
    await contender(model, directory)


def median_near(times: Sequence[float], step: int) -> float:
    """Return the median of the twenty steps around one."""
    return statistics.median(times[max(0, step - 10) : step + 10])


def main() -> None:
    """Measure all loops and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=2000, help="characters of each message")
    parser.add_argument("--quick", action="store_true", help="leave the agent with a saver out, which takes minutes")
    given = parser.parse_args()
    contenders: dict[str, tuple[Contender, bool]] = {
        "bare langchain-core loop": (run_bare, False),
        "ours, durable": (run_ours, False),
        "ours, durable, a file changed at each step": (run_ours, True),
        "create_agent, transcript outside": (run_with_transcript, False),
    }
    if not given.quick:
        contenders["create_agent, SQLite saver"] = (run_with_saver, False)
    runs: dict[str, list[list[float]]] = {name: [] for name in contenders}
    for repeat in range(given.repeats):
        for name, (contender, writes) in contenders.items():
            if contender is run_with_saver and repeat:
                continue
            runs[name].append(steps_of(contender, given.steps, given.size, writes=writes))
    places = sorted({10, min(100, given.steps), given.steps})
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; {given.size} characters a message; "
        f"medians of {given.repeats} runs, ms a step; ratio to the bare loop of the same run"
    )
    print("".join(["| loop "] + [f"| step {place} | ratio " for place in places] + ["| all | ratio |"]))
    print("|---" * (2 * len(places) + 3) + "|")
    for name, measured in runs.items():
        cells = [name]
        for place in [*places, None]:
            pairs = [
                (_at(one, place), _at(bare, place))
                for one, bare in zip(measured, runs["bare langchain-core loop"], strict=False)
            ]
            cells.append(f"{statistics.median(one for one, _ in pairs):.2f}")
            cells.append(f"{statistics.median(one / bare for one, bare in pairs):.2f}")
        print("| " + " | ".join(cells) + " |")


def _at(times: Sequence[float], place: int | None) -> float:
    return statistics.median(times) if place is None else median_near(times, place)


if __name__ == "__main__":
    main()
