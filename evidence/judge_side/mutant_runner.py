"""The judge's part inside the sandbox that tries mutants (S13): in which of them does some test fail?

This file is written into a fresh sandbox beside the launcher, which loads it before any judged code. The tree holds
every mutant, and a switch chooses one. Each is tried in a process of its own, forked after the tests were collected, so
that what one mutant leaves behind is not there for the next; a mutant of what is executed while modules are imported is
forked before that. Two controls come first: without a mutant the tests have to pass in such a process, and the test of
the judge's that must fail has to be seen failing in one. What a process says of itself is judged code's own word.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import sys
from json import dumps, loads
from os import _exit, close, fork, killpg, pipe, read, setsid, waitpid, write  # judged code may replace os's own
from pathlib import Path
from select import select
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Emit = Callable[..., None]

MEMORY: Final = 1 << 30
"""Bytes of address space that a mutant may add."""
SHORTEST: Final = 3.0
"""Seconds of the processor that a mutant may always take."""
PATIENCE: Final = 10
"""How often as long as the same tests take without it; and how often as long it may take by the clock, for others work
on the machine, too.
"""
STEP: Final = 0.002
"""Seconds between two looks at a process."""


class Trial:
    """In a process of its own: runs tests as a mutant, says which ones passed, and ends the process."""

    def __init__(self, writing: int, tests: Sequence[str], *, to_the_end: bool) -> None:
        self.writing = writing
        self.tests = tests
        self.to_the_end = to_the_end
        self.passes = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Run the tests, where the process was forked before they were collected."""
        self.run(session)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase that did not pass."""
        if report.outcome != "passed":
            self.passes = False

    def run(self, session: pytest.Session) -> NoReturn:
        """Run the tests up to the first that does not pass."""
        plugins, hook = session.config.pluginmanager, session.config.hook
        if plugins.has_plugin("terminalreporter"):  # nobody reads what it says
            plugins.unregister(name="terminalreporter")
        if not plugins.is_registered(self):
            plugins.register(self)
        items = {item.nodeid: item for item in session.items}
        passed: dict[str, float] = {}
        try:
            for place, test in enumerate(self.tests):
                began, self.passes = monotonic(), test in items
                if self.passes:
                    after = next((items[t] for t in self.tests[place + 1 :] if t in items), None)
                    hook.pytest_runtest_protocol(item=items[test], nextitem=after)
                if self.passes:
                    passed[test] = monotonic() - began
                elif not self.to_the_end:
                    break
        finally:  # also where a mutant ends the session
            said = memoryview(dumps(passed).encode() + b"\n")
            while said:
                said = said[write(self.writing, said) :]
            _exit(0)


class Process:
    """Such a process, as its parent sees it."""

    def __init__(self, pid: int, reading: int) -> None:
        self.pid = pid
        self.reading = reading
        self.said = b""
        self.silent = False
        """Whether nothing more will come."""

    def wait(self, seconds: float) -> dict[str, float] | None:
        """Return which tests passed, with the seconds that each took; None where the process took too long."""
        until, ended, status = monotonic() + seconds, 0, 0
        while not ended and monotonic() < until:
            if not self.listen(STEP):
                sleep(STEP)
            ended, status = waitpid(self.pid, os.WNOHANG)
        with contextlib.suppress(ProcessLookupError):  # nothing of it is left
            killpg(self.pid, signal.SIGKILL)
        if not ended:
            waitpid(self.pid, 0)
        while self.listen(0):
            pass
        close(self.reading)
        spent = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return None if spent or not ended else read_passed(self.said)

    def listen(self, seconds: float) -> bool:
        """Take what the process says, and return whether it said something; it may take so many seconds to do so."""
        if self.silent or not select([self.reading], [], [], seconds)[0]:
            return False
        data = read(self.reading, 65_536)
        self.said += data
        self.silent = not data
        return bool(data)


def read_passed(said: bytes) -> dict[str, float]:
    """Return what a process says of its tests; nothing where it ended before it could."""
    try:
        passed = loads(said)
    except (ValueError, RecursionError):
        return {}
    whole = isinstance(passed, dict) and all(isinstance(s, float) for s in passed.values())
    return passed if whole else {}


class MutantRunner:
    """A pytest plugin that tries mutants once the tests are collected, before any of them runs."""

    def __init__(self, emit: Emit, asked: dict[str, Any]) -> None:
        self.emit = emit
        self.switch: str = asked["switch"]
        self.control: str = asked["control"]
        self.tests: list[str] = asked["tests"]
        self.mutants: list[dict[str, Any]] = asked["mutants"]
        self.until: float = monotonic() + asked["seconds"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Try the mutants that need nothing but a fork; of the tests, one and the judge's own are left to run after."""
        mine = [item.nodeid for item in session.items if item.nodeid.endswith(f"::{self.control}")]
        begun = self.start("", mine)
        if isinstance(begun, Trial):
            begun.run(session)
        self.emit(kind="observed", control="fails", seen=bool(mine) and begun.wait(self.left()) == {})
        if (trial := self.go_through(early=False)) is not None:
            trial.run(session)
        self.choose("")
        session.items[:] = [i for n, i in enumerate(session.items) if n == 0 or i.nodeid in mine]

    def go_through(self, *, early: bool) -> Trial | None:
        """Try mutants; returns the trial in each process that is forked for one, and at the end nothing."""
        mutants = [m for m in self.mutants if m["early"] is early]
        if not mutants:
            return None
        everything = [self.tests[n] for n in sorted({n for m in mutants for n in m["tests"]})]
        began, begun = monotonic(), self.start("", everything, silent=early)
        if isinstance(begun, Trial):
            return begun
        fit = begun.wait(self.left()) or {}
        whole = monotonic() - began
        self.emit(kind="observed", control="passes", unfit=[t for t in everything if t not in fit])
        for mutant in mutants:
            tests = [t for t in (self.tests[n] for n in mutant["tests"]) if t in fit]
            limit = max(SHORTEST, PATIENCE * (whole if early else sum(fit[t] for t in tests)))
            if not tests or self.left() < limit:
                continue
            begun = self.start(str(mutant["id"]), tests, silent=early, seconds=limit)
            if isinstance(begun, Trial):
                return begun
            passed = begun.wait(min(PATIENCE * limit, self.left()))
            ended = "timeout" if passed is None else "survived" if passed.keys() == set(tests) else "killed"
            self.emit(kind="observed", mutant=mutant["id"], ended=ended)
        return None

    def start(
        self, number: str, tests: Sequence[str], *, silent: bool = False, seconds: float | None = None
    ) -> Trial | Process:
        """Fork: the child is a trial as this mutant (none, where it is empty), and its parent has the process.

        Args:
            number: of the mutant.
            tests: to run.
            silent: whether its output goes nowhere.
            seconds: of the processor that it may use.
        """
        self.choose(number)
        reading, writing = pipe()
        child = fork()
        if child:
            close(writing)
            return Process(child, reading)
        close(reading)
        setsid()
        for descriptor in (1, 2) if silent else ():
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        limit_memory()
        if seconds is not None:
            whole = math.ceil(seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
        if (module := sys.modules.get(self.switch)) is not None:
            module.now = number  # type: ignore[attr-defined]
        return Trial(writing, tests, to_the_end=not number)

    def choose(self, number: str) -> None:
        """Say which mutant those processes are that import the switch from now on."""
        Path("/tmp", self.switch).write_text(number)  # noqa: S108 - inside of the sandbox

    def left(self) -> float:
        """Return the seconds that are left for all mutants together."""
        return self.until - monotonic()


def limit_memory() -> None:
    """Let a mutant fail that wants far too much, and not the sandbox."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))


def take_part(emit: Emit, tree: str, asked: dict[str, Any]) -> MutantRunner | Trial:
    """Return the plugin for the launcher. What has to be there when modules are imported is tried before that."""
    runner = MutantRunner(emit, asked)
    return runner.go_through(early=True) or runner
