"""The state directory: its place, its privacy, its version, and who may advance a run."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from assay.errors import ConfigurationError, InfrastructureError, RunError
from assay.store.locks import take_lock
from assay.store.state import VERSION, StateDirectory, state_root


def test_one_setting_moves_it() -> None:
    """`ASSAY_STATE` names it; without, it is the user's state directory."""
    assert state_root({"ASSAY_STATE": "/somewhere/else"}) == Path("/somewhere/else")
    assert state_root({"ASSAY_STATE": "~/x"}) == Path("~/x").expanduser()
    assert state_root({}).name == "assay"
    assert state_root({"ASSAY_STATE": ""}).name == "assay"


def test_it_is_private_whatever_the_umask_and_however_it_was(tmp_path: Path) -> None:
    """Nobody else may look into it, even where it was open before."""
    root = tmp_path / "deep" / "state"
    root.mkdir(parents=True, mode=0o777)
    old = os.umask(0)
    try:
        state = StateDirectory.open(root)
    finally:
        os.umask(old)
    for path in (state.root, state.blobs, state.cache, state.root / "runs"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_layout(tmp_path: Path) -> None:
    """Every part has its place, and what is no id names none."""
    state = StateDirectory.open(tmp_path)
    assert state.ledger == tmp_path / "ledger.sqlite3"
    assert state.checkpoints == tmp_path / "checkpoints.sqlite3"
    assert state.git == tmp_path / "git"
    assert state.transcript("r1", "unit.coder.1") == tmp_path / "runs" / "r1" / "transcripts" / "unit.coder.1.jsonl"
    assert state.report("r1") == tmp_path / "runs" / "r1" / "report.html"
    for name in ("", "..", "../x", "a/b", "a\0", ".hidden", "x" * 200):
        with pytest.raises(RunError):
            state.run(name)
        with pytest.raises(RunError):
            state.transcript("r1", name)


def test_newer_and_unreadable_versions_are_refused(tmp_path: Path) -> None:
    """State of a future assay, or with a version that is none, is left alone."""
    StateDirectory.open(tmp_path)
    for text in (str(VERSION + 1), "rubbish", "-1"):
        (tmp_path / "version").write_text(text)
        with pytest.raises(ConfigurationError, match="this assay knows only") as caught:
            StateDirectory.open(tmp_path)
        assert "ASSAY_STATE" in str(caught.value)
        assert (tmp_path / "version").read_text() == text


def test_older_state_is_migrated_step_by_step(tmp_path: Path) -> None:
    """Each version's migration runs once and in order; one that fails is tried again the next time."""
    StateDirectory.open(tmp_path, version=1)
    done: list[int] = []

    def second(root: Path) -> None:
        done.append(2)
        if len(done) == 2:
            raise OSError("power failure")
        (root / "new").write_text("x")

    migrations = {1: lambda _: done.append(1), 2: second}
    with pytest.raises(OSError, match="power"):
        StateDirectory.open(tmp_path, version=3, migrations=migrations)
    assert (tmp_path / "version").read_text() == "2\n"
    StateDirectory.open(tmp_path, version=3, migrations=migrations)
    StateDirectory.open(tmp_path, version=3, migrations=migrations)
    assert done == [1, 2, 2]
    assert (tmp_path / "version").read_text() == "3\n"
    with pytest.raises(ConfigurationError, match="cannot bring to 5"):
        StateDirectory.open(tmp_path, version=5, migrations={})


def test_a_run_is_held_by_one(tmp_path: Path) -> None:
    """The second to come is told who holds it and what to do; other runs are free; afterwards it is free."""
    state = StateDirectory.open(tmp_path)
    with state.lock_run("r1"):
        with pytest.raises(RunError) as caught, StateDirectory.open(tmp_path).lock_run("r1"):
            pass
        assert f"run r1 is being advanced by process {os.getpid()} on " in str(caught.value)
        assert "next: wait for it, or stop it there, and then `assay resume r1`" in str(caught.value)
        with state.lock_run("r2"):
            pass
    with state.lock_run("r1"):
        pass


async def test_looking_who_holds_a_run_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A lock that is only looked at comes free at once, and is waited for; one that is held is told with its holder."""
    state = StateDirectory.open(tmp_path)
    with state.lock_run("r1"):
        assert state.holder("r1") == os.getpid()
    assert state.holder("r1") is None
    assert state.holder("never-was") is None
    looking = take_lock(state.run("r1") / "lock", wait=False)
    assert looking is not None
    asyncio.get_running_loop().run_in_executor(None, os.close, looking)
    with state.lock_run("r1"):
        pass


HOLD = """
import sys, time
from pathlib import Path
from assay.store.state import StateDirectory
with StateDirectory.open(Path(sys.argv[1])).lock_run("r1"):
    print("held", flush=True)
    time.sleep(600)
"""


async def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    """Another process's lock is respected while it lives, and gone with a kill."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    state = StateDirectory.open(tmp_path)
    with pytest.raises(RunError, match=f"process {process.pid}"), state.lock_run("r1"):
        pass
    process.send_signal(signal.SIGKILL)
    await process.wait()
    with state.lock_run("r1"):
        pass


def test_a_pruned_run_can_be_locked_anew(tmp_path: Path) -> None:
    """Files of a run go with it, lock included; whoever comes next gets a lock that is really held."""
    state = StateDirectory.open(tmp_path)
    with state.lock_run("r1"):
        state.report("r1").write_text("x" * 100)
        assert state.size_of_run("r1") >= 100
        state.prune_run("r1")
        assert not state.run("r1").exists()
        with state.lock_run("r1"), pytest.raises(RunError), state.lock_run("r1"):
            pass
    state.prune_run("never-was")


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way is an error with its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="file"):
        StateDirectory.open(tmp_path / "file" / "state")
