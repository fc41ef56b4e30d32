"""Rules for the whole suite."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NEVER_SKIPPED = ("docker", "browser")
"""Markers of tests that the project's own test command may not leave out."""
_LONG = ("tests/chaos/", "tests/docs/", "tests/examples/", "tests/evidence/")
"""Folders with files that take minutes: workers begin with them, so that none is at one when the others have ended."""
_ROOM = pytest.StashKey[Path]()
"""Where the workers of one session keep the files by which they take turns."""


def pytest_configure(config: pytest.Config) -> None:
    """Make that folder, in the process that starts the workers, or take the one that it names."""
    given = getattr(config, "workerinput", {}).get("room")
    config.stash[_ROOM] = Path(given or tempfile.mkdtemp(prefix="assay-tests-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Name it to a worker of pytest-xdist."""
    node.workerinput["room"] = str(node.config.stash[_ROOM])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it, when the workers have ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.stash[_ROOM])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with what takes long; a session in one process keeps to the order of the folders."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked `alone` run while no other one uses the engine."""
    alone = item.get_closest_marker("alone") is not None
    if not alone and item.get_closest_marker("docker") is None:
        return (yield)  # it shares nothing
    with turn(item.config.stash[_ROOM], alone=alone):
        return (yield)


@contextmanager
def turn(room: Path, *, alone: bool) -> Iterator[None]:
    """Wait for one's turn in a room for many, or for one who is alone in it.

    Everybody comes in by a door. Who is to be alone keeps it shut, waits until the room is empty, and opens it at the
    end. The kernel opens it for a process that dies.
    """
    with (room / "door").open("w") as door, (room / "inside").open("w") as inside:
        try:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            if not alone:
                fcntl.flock(door, fcntl.LOCK_UN)
            yield
        finally:  # said, since a fork of this process may hold the files open for longer
            fcntl.flock(inside, fcntl.LOCK_UN)
            fcntl.flock(door, fcntl.LOCK_UN)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test of those kinds into a failed one, where `ASSAY_FORBID_SKIPS=1` says so."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _forbidden(item):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which ASSAY_FORBID_SKIPS=1 forbids: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that is skipped whole: what it would have held is not known."""
    report = yield
    if report.skipped and os.environ.get("ASSAY_FORBID_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped whole, which ASSAY_FORBID_SKIPS=1 forbids: {report.longrepr}"
    return report


def _forbidden(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in NEVER_SKIPPED)
    return marked and os.environ.get("ASSAY_FORBID_SKIPS") == "1"
