"""The program as its users start it: in this process where only its answers matter, in one of its own elsewhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.store.repositories import UserRepository
from typer.testing import CliRunner

from assay.cli.main import app

PROGRAM = str(Path(sys.executable).with_name("assay"))

PRICES = '''"""Prices."""


def discount(cents: int, percent: int) -> int:
    """Return the price after a discount."""
    return cents - cents * percent // 100
'''
TESTS = """from prices import discount


def test_ten_percent_off() -> None:
    assert discount(1000, 10) == 900
"""
SHORT = "[proof]\nbaseline_runs = 1\njittered = 0\nablations = 0\nprobed = 0\n"
"""Settings for tests to which a proof is a proof: without the steps that come last, each of which takes seconds."""
UNIT: dict[str, Any] = {
    "id": "rounding",
    "title": "Round discounts up",
    "specification": "discount(cents, percent) takes off the percentage, rounded up to the next cent.",
    "acceptance": [{"id": "up", "text": "What is taken off is rounded up to the next cent."}],
    "paths": ["prices.py"],
}
PLAN: dict[str, Any] = {"submit_plan": {"summary": "One function, one unit.", "units": [UNIT]}}
SLEEP: dict[str, Any] = {"execute": {"command": "sleep 300"}}


def busy(seconds: float) -> dict[str, Any]:
    """Return a call that takes until some seconds from now: when it is made again later, it takes no time."""
    return {"execute": {"command": f"while [ $(date +%s) -lt {time.time() + seconds:.0f} ]; do sleep 0.1; done"}}


@dataclass(frozen=True)
class Said:
    """What the program printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Everything on standard output, which must be JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> Any:
        """The last line of standard output."""
        return self.lines[-1]


def call(*arguments: str | Path) -> Said:
    """Run the program in this process, with nobody at a terminal."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return Said(done.exit_code, done.stdout, done.stderr)


class Start:
    """Starts the program in processes of its own, and ends those that a failing test leaves behind."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start one; output goes to pipes where nothing else is said."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:  # a shell that starts the tests in its background has them, and what they start, ignore Ctrl-C
            process = subprocess.Popen([PROGRAM, *map(str, arguments)], **{**pipes, **options})
        finally:
            signal.signal(signal.SIGINT, before)
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs, and close the pipes."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def finish(process: subprocess.Popen[bytes], seconds: float = 240) -> Said:
    """Wait for a process that was started, and return what it said since; the time is for one that hangs."""
    out, err = process.communicate(timeout=seconds)
    return Said(process.returncode, (out or b"").decode(), (err or b"").decode())


def execute(*arguments: str | Path, **options: Any) -> Said:
    """Run the program in a process of its own, to its end."""
    return finish(Start()(*arguments, **options))


class Project:
    """A small repository with a defect, a ticket about it, and scripts for those who mend it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = UserRepository(folder / "prices")
        self.repository.commit({"prices.py": PRICES, "tests/test_prices.py": TESTS}, "Prices")
        self.repo = self.repository.path
        self.ticket = folder / "ticket.md"
        self.ticket.write_text("# Discounts round in the customer's favour\n\nRound the discount up.\n")

    def script(self, *planner: dict[str, Any], name: str = "script.yaml", **others: Sequence[Any]) -> str:
        """Write a script and return the name of its model; each argument is a call, or a whole turn."""
        parts = {"planner": planner, **others}
        script = [
            {"role": role, "turns": [turn if {"call", "say"} & turn.keys() else {"call": turn} for turn in turns]}
            for role, turns in parts.items()
        ]
        path = self.folder / name
        path.write_text(yaml.safe_dump({"script": script}))
        return f"scripted:{path}"

    def decisions(self, *entries: dict[str, Any], name: str = "decisions.yaml") -> Path:
        """Write a file of decisions."""
        path = self.folder / name
        path.write_text(yaml.safe_dump(list(entries)))
        return path

    def arguments(self, model: str | None = None) -> list[str | Path]:
        """Return what starts a run on this project; it stops at the plan where no model is named."""
        return ["run", self.ticket, "--repo", self.repo, "--model", model or self.script(PLAN)]

    def park(self) -> str:
        """Start a run that stops at its plan, and return its id."""
        said = call(*self.arguments(), "--json")
        assert said.code == 75, said
        return str(said.result["run"])

    def change(self, name: str, files: dict[str, str | bytes]) -> str:
        """Make a branch with a change, and return its range for `assay check`."""
        self.repository.git("checkout", "--quiet", "-b", name, "main")
        self.repository.commit(files, name)
        self.repository.git("checkout", "--quiet", "main")
        return f"main..{name}"


def wait_for_command(
    process: subprocess.Popen[bytes],
    command: str,
    *,
    run: str | None = None,
    other_than: str | None = None,
    seconds: float = 60,
) -> str:
    """Wait until a sandbox executes a command, and return the id of its run.

    Args:
        process: advances the run with `--json`.
        command: part of its command line.
        run: the run, where it is known already.
        other_than: a container that does not count.
        seconds: how long to wait.
    """
    assert process.stdout is not None
    run = run or str(json.loads(process.stdout.readline())["entry"]["run"])
    end = time.monotonic() + seconds
    while not any(command in row for box in containers(run) if box != other_than for row in commands_in(box)):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < end, f"{command!r} was not executed"
        time.sleep(0.1)  # the engine has no event for a command that starts within a container
    return run


def commands_in(container: str) -> list[str]:
    """Return the command lines of the processes in a container; none where it is gone."""
    done = subprocess.run(["docker", "top", container, "-eo", "pid,args"], capture_output=True, text=True)
    return done.stdout.splitlines()


def containers(run: str) -> list[str]:
    """Return the ids of the containers that belong to a run."""
    listed = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label=dev.assay.run={run}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()
