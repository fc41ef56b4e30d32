"""A terminal, as a person has one, for a program in a test."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cli.program import PROGRAM

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


class Terminal:
    """Runs `assay` on a pseudo-terminal; what it shows is read and what a person types is written."""

    def __init__(self, *arguments: str | Path, width: int = 80, environment: Mapping[str, str] | None = None) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        self.raw = ""
        """Everything that was shown, control sequences included."""
        self._seen = 0
        self.process = subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C becomes a signal
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._own)

    @property
    def text(self) -> str:
        """What was shown, without control sequences, and with the status line's updates as lines."""
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    def wait_for(self, expected: str, seconds: float = 60) -> str:
        """Read until a text was shown that was not waited for before, and return what was shown up to it."""
        end = time.monotonic() + seconds
        while expected not in self.text[self._seen :]:
            assert time.monotonic() < end, f"{expected!r} is not shown:\n{self.text}"
            if not self._read() and expected not in self.text[self._seen :]:
                raise AssertionError(f"it ended without {expected!r}:\n{self.text}")
        found = self.text.index(expected, self._seen) + len(expected)
        shown, self._seen = self.text[self._seen : found], found
        return shown

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._own, text.encode())

    def end(self, seconds: float = 30) -> int:
        """Read to the end, and return the exit code."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        return self.process.wait(seconds)

    def _read(self) -> bool:
        """Take what is shown within half a second; return False when nothing will come any more."""
        ready, _, _ = select.select([self._own], [], [], 0.5)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._own, 65536)
        except OSError:  # a terminal that nobody has open any more
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)
