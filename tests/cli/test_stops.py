"""Runs that are stopped: by Ctrl-C once and twice, by other signals, and by who stops reading what they print."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.program import PLAN, SLEEP, Project, Said, Start, busy, call, containers, execute, finish
from tests.cli.program import wait_for_command as wait_for

from assay.store.state import StateDirectory

pytestmark = pytest.mark.docker


def stop(process: subprocess.Popen[bytes], number: int) -> Said:
    """Send a signal and return what the process said since."""
    process.send_signal(number)
    return finish(process, 20)


def test_ctrl_c_stops_cleanly(project: Project, start: Start) -> None:
    """The sandbox is closed, the run is parked with the reason, and `assay resume` goes on to the same end."""
    process = start(*project.arguments(project.script(busy(10), PLAN)), "--json")
    run = wait_for(process, "while [")
    said = stop(process, signal.SIGINT)
    assert said.code == 130
    assert said.result["error"] == "Stopped"
    assert said.result["next"] == f"`assay resume {run}` goes on"
    assert "stopping cleanly" in said.err
    assert "Traceback" not in said.err
    assert containers(run) == []
    shown = call("show", run, "--json").result
    assert (shown["status"], shown["reason"]) == ("parked", "stopped on request")
    resumed = call("resume", run, "--json")
    assert (resumed.code, resumed.result["open"][0]["checkpoint"]) == (75, "plan"), resumed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_stop_as_cleanly(project: Project, start: Start, number: signal.Signals) -> None:
    """A service manager, and a terminal that is closed, end it the same way, with an exit code of their own."""
    process = start(*project.arguments(project.script(SLEEP)), "--json")
    run = wait_for(process, "sleep 300")
    assert stop(process, number).code == 128 + number
    assert call("show", run, "--json").result["status"] == "parked"
    assert containers(run) == []


def test_two_signals_end_at_once(project: Project, start: Start) -> None:
    """The second does not wait for anything; the container ends by itself or is removed by the next assay."""
    process = start(*project.arguments(project.script(SLEEP)), "--json")
    run = wait_for(process, "sleep 300")
    (container,) = containers(run)
    subprocess.run(["docker", "pause", container], check=True, stdout=subprocess.DEVNULL)  # so that closing takes long
    try:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while b"stopping cleanly" not in process.stderr.readline():
            assert process.poll() is None
        before = time.monotonic()
        said = stop(process, signal.SIGINT)
        assert time.monotonic() - before < 3
    finally:
        subprocess.run(["docker", "unpause", container], check=False, capture_output=True)
    assert said.code == 130
    assert "Traceback" not in said.err
    call("prune")
    assert containers(run) == []
    assert f"assay resume {run}" in call("show", run).out


def test_a_stop_before_anything_began(project: Project, start: Start) -> None:
    """While it still loads, Ctrl-C ends it without a traceback and without a run."""
    process = start("runs", env={**os.environ, "PYTHONDEVMODE": "0"})
    while "pydantic_core" not in Path(f"/proc/{process.pid}/maps").read_text():  # somewhere in its imports
        assert process.poll() is None
    said = stop(process, signal.SIGINT)
    assert said.code in (130, 0, -signal.SIGINT)
    assert "Traceback" not in said.err
    assert call("runs", "--json").out == ""


_INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
{load}
"""


@pytest.mark.parametrize(
    ("load", "code", "traceback"),
    [
        ("from assay.cli.entry import main; main()", -signal.SIGINT, False),
        ("import assay.cli.main", -signal.SIGINT, True),  # what the entry spares its users
    ],
)
def test_a_stop_in_an_import_is_no_exception(load: str, code: int, traceback: bool) -> None:
    """Ctrl-C cannot come up as an exception in the middle of an import, which might wrap it."""
    program = [sys.executable, "-c", _INTERRUPTED.format(load=load)]
    ready = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", ready, *program], check=False, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (code, traceback), done.stderr


def test_a_check_is_stopped(project: Project, start: Start) -> None:
    """`assay check` stops as cleanly, and leaves no sandbox."""
    slow = "import time\n\n\ndef test_slow() -> None:\n    time.sleep(300)\n"
    changed = project.change("slow", {"tests/test_slow.py": slow, "prices.py": "import os\n"})
    process = start("check", changed, "--repo", project.repo, "--json")
    run = wait_for(process, "pytest")
    said = stop(process, signal.SIGINT)
    assert (said.code, said.result["error"]) == (130, "Stopped"), said
    assert containers(run) == []


def test_two_processes_on_one_run(project: Project, start: Start, state: Path) -> None:
    """The second is refused with the name of the first, exit code 2; the first does not notice."""
    process = start(*project.arguments(project.script(SLEEP)), "--json")
    run = wait_for(process, "sleep 300")
    said = call("resume", run, "--json")
    assert (said.code, said.result["error"]) == (2, "RunError")
    assert f"run {run} is being advanced by process {process.pid} on " in said.result["message"]
    assert said.result["next"].count("assay resume") == 1
    assert StateDirectory(state).holder(run) == process.pid
    assert call("prune", "--run", run).code == 2
    assert call("show", run, "--json").result["status"] == "running"
    assert process.poll() is None
    stop(process, signal.SIGINT)


def test_a_list_whose_reader_has_gone() -> None:
    """`assay runs | head -0` says nothing about it, and ends as programs do whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    for arguments in (["runs"], ["runs", "--help"], ["doctor", "--json"]):
        said = execute(*arguments, stdout=writer)
        assert "Traceback" not in said.err
        assert "BrokenPipe" not in said.err
        if "--help" not in arguments:
            assert said.code == 128 + signal.SIGPIPE
    os.close(writer)


def test_a_run_whose_reader_goes_stops_cleanly(project: Project, start: Start) -> None:
    """`assay run --json | head -1`: nobody reads on, so nothing more is spent; the run is parked."""
    process = start(*project.arguments(project.script(SLEEP)), "--json")
    run = wait_for(process, "sleep 300")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    said = finish(process, 20)
    assert (said.code, said.err.count("Traceback")) == (128 + signal.SIGPIPE, 0)
    assert call("show", run, "--json").result["reason"] == "stopped on request"
    assert containers(run) == []


def test_a_reader_that_stands_still_holds_up_nothing(project: Project, start: Start) -> None:
    """With a full pipe the run goes on to its stop; the output is all there once somebody reads it."""
    process = start(*project.arguments(), "--json", pipesize=4096)
    assert process.stdout is not None
    run = json.loads(os.read(process.stdout.fileno(), 4096).split(b"\n")[0])["entry"]["run"]
    end = time.monotonic() + 60
    while call("show", run, "--json").result["status"] != "parked":
        assert time.monotonic() < end
        time.sleep(0.1)  # another process writes the ledger
    assert process.poll() is None  # it waits for its reader
    assert fcntl.ioctl(process.stdout.fileno(), 0x541B, b"\0" * 4) != b"\0" * 4  # FIONREAD: something waits in the pipe
    lines = finish(process).out.splitlines()
    assert json.loads(lines[-1])["status"] == "parked"
    assert process.returncode == 75


def test_ctrl_c_is_heard_although_nobody_reads(project: Project, start: Start) -> None:
    """A stopped pager does not make the program deaf: one Ctrl-C stops it cleanly."""
    process = start(*project.arguments(project.script({"ls": {"path": "/workspace"}}, SLEEP)), "--json", pipesize=4096)
    assert process.stdout is not None
    run = json.loads(os.read(process.stdout.fileno(), 4096).split(b"\n")[0])["entry"]["run"]
    wait_for(process, "sleep 300", run=run)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert call("show", run, "--json").result["reason"] == "stopped on request"
    assert containers(run) == []
