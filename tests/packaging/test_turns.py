"""Tests that run in several processes at once: who has to be alone is, and a session is one, whatever it runs in."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import turn

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """
[pytest]
markers =
    docker: x
    alone: x
"""


def is_free(room: Path, *, alone: bool) -> bool:
    """Whether one more could come in at once."""
    with (room / "door").open("w") as door, (room / "inside").open("w") as inside:
        try:
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(inside, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_many_are_in_a_room_or_one_who_is_alone(tmp_path: Path) -> None:
    """Who is alone lets nobody in; others let others in, and nobody who has to be alone; at the end all may."""
    with turn(tmp_path, alone=False), turn(tmp_path, alone=False):
        assert is_free(tmp_path, alone=False)
        assert not is_free(tmp_path, alone=True)
    with turn(tmp_path, alone=True):
        assert not is_free(tmp_path, alone=False)
        assert not is_free(tmp_path, alone=True)
    assert is_free(tmp_path, alone=True)


def test_a_turn_ends_with_its_test_though_a_fork_lives_on(tmp_path: Path) -> None:
    """What a test leaves running has the files open, too."""
    with turn(tmp_path, alone=True):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        assert is_free(tmp_path, alone=True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


BESIDE = """
import fcntl, pathlib, time, pytest

@pytest.mark.docker
def test_beside(request):
    notes = pathlib.Path("notes")
    with notes.open("a") as file:
        file.write("began ")
    while "alone" not in notes.read_text():
        with (pathlib.Path(request.config.workerinput["room"]) / "door").open("w") as door:
            try:
                fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                break
        time.sleep(0.01)
    with notes.open("a") as file:
        file.write("ended ")
"""
ALONE = """
import pathlib, time, pytest

def test_the_other_has_begun():
    notes = pathlib.Path("notes")
    while not notes.exists() or "began" not in notes.read_text():
        time.sleep(0.01)

@pytest.mark.MARK
def test_it():
    with pathlib.Path("notes").open("a") as file:
        file.write("alone ")
"""


@pytest.mark.parametrize(("mark", "beside"), [("alone", False), ("docker", True)])
def test_a_marked_test_is_alone_among_workers(tmp_path: Path, mark: str, beside: bool) -> None:
    """It waits for what another worker's test is at; without the mark, as the negative control, it does not."""
    with session(tmp_path, {"test_alone.py": ALONE.replace("MARK", mark), "test_beside.py": BESIDE}) as process:
        assert process.wait() == 0
    notes = (tmp_path / "notes").read_text()
    assert ("began alone ended" in notes) is beside, notes


BLOCKED = """
import os, pathlib, signal

def test_it():
    pathlib.Path(f"{os.getpid()}.pid").touch()
    signal.pause()
"""


def test_ctrl_c_leaves_no_worker(tmp_path: Path) -> None:
    """A terminal sends it to all of them; they end, with the folder by which they took turns, and one line says so."""
    with session(tmp_path, {"test_one.py": BLOCKED, "test_two.py": BLOCKED}) as process:
        while len(found := list(tmp_path.glob("*.pid"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == pytest.ExitCode.INTERRUPTED
        assert process.stdout is not None
        assert "KeyboardInterrupt" in process.stdout.read()
    assert [path.stem for path in found if Path("/proc", path.stem).exists()] == []
    assert list(tmp_path.glob("assay-tests-*")) == []


@contextmanager
def session(folder: Path, files: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Yield a session of two workers under the rules of this suite, at files of a folder."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "pytest.ini").write_text(CONFIGURATION)
    for name, text in files.items():
        (folder / name).write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", "--dist", "loadfile"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
