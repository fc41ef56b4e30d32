"""How many bytes a run leaves on disk for each step of an agent.

`python -m benchmarks.run_growth` prints a table: for runs of more and more steps the bytes of all files,
of ours (transcript, ledger, git objects) and of LangChain's agent with its SQLite saver, and the bytes
that each further step costs. A constant is linear growth; a figure that grows with the steps is quadratic.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import tempfile
from pathlib import Path

from benchmarks.agent_contenders import Contender, SteppingModel, run_ours, run_with_saver

MEGABYTE = 1_000_000


def bytes_after(contender: Contender, steps: int, size: int) -> int:
    """Return the bytes of all files that a run of so many steps leaves."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_run(contender, SteppingModel(steps=steps, size=size, asked=[]), Path(directory)))
        return sum(path.lstat().st_size for path in Path(directory).rglob("*") if path.is_file())


async def _run(contender: Contender, model: SteppingModel, directory: Path) -> None:
    await contender(model, directory)


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 50, 100, 300, 1000])
    parser.add_argument("--size", type=int, default=2000, help="characters of each message")
    parser.add_argument("--saver-steps", type=int, default=300, help="most steps with the saver, which takes minutes")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}; two messages of {given.size} characters a step")
    print("| steps | ours MB | bytes for each further step | SQLite saver MB | bytes for each further step |")
    print("|---|---|---|---|---|")
    before: dict[str, tuple[int, int]] = {}
    for steps in given.steps:
        cells = [str(steps)]
        for name, contender in (("ours", run_ours), ("saver", run_with_saver)):
            if contender is run_with_saver and steps > given.saver_steps:
                cells += ["-", "-"]
                continue
            total = bytes_after(contender, steps, given.size)
            last_steps, last_total = before.get(name, (0, 0))
            cells += [f"{total / MEGABYTE:.2f}"]
            cells += [f"{(total - last_total) / (steps - last_steps):,.0f}" if name in before else "-"]
            before[name] = (steps, total)
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
