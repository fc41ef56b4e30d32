"""Real shells as witnesses: what a command line runs is what they run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_LINKED = ("bash", "cat", "env", "find", "nice", "nohup", "sleep", "timeout", "xargs")
_SPY = """#!{bash}
printf '%s\\n' "git $*" >> "$SPY_LOG"
"""


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], list[str]]:
    """Return a function that gives a text to a shell and returns the calls of `git` that it made.

    The shell finds nothing but a few harmless programs and a `git` that only writes down that it was
    called, starts in an empty directory, and is killed with everything it started after a second.
    """
    home = tmp_path_factory.mktemp("shell")
    programs, work, log = home / "bin", home / "work", home / "log"
    programs.mkdir()
    work.mkdir()
    bash = shutil.which("bash")
    dash = shutil.which("dash")
    assert bash and dash, "bash and dash are needed as witnesses"
    for name in _LINKED:
        found = shutil.which(name)
        assert found, f"{name} is needed"
        (programs / name).symlink_to(found)
    (programs / "sh").symlink_to(dash)
    spy = programs / "git"
    spy.write_text(_SPY.format(bash=bash))
    spy.chmod(0o755)

    def run(shell: str, text: str) -> list[str]:
        log.write_text("")
        with subprocess.Popen(
            [str(programs / shell), "-c", text],
            cwd=work,
            env={"PATH": str(programs), "SPY_LOG": str(log), "FUNCNEST": "20"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            _end_group(process)
        _empty(work)
        return log.read_text().splitlines()

    return run


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
