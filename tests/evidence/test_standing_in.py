"""S9: what stands for a command of the program's, and the command itself, where streams end early or nothing starts."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from assay.evidence.judge_side.outside import commands, exchange, standin
from assay.evidence.judge_side.outside.crossing import Stream
from assay.evidence.judge_side.outside.folders import Folders
from assay.evidence.judge_side.outside.ground import Ground
from assay.evidence.judge_side.outside.programs import Command
from assay.evidence.judge_side.outside.proxies import Link


class Asked(Link):
    """A link that answers by itself, and keeps what it was asked."""

    def __init__(self, root: Path) -> None:
        super().__init__(Ground(str(root), ["tool"], frozenset()), 5.0)
        self.seen: list[tuple[str, Any]] = []

    def share(self, texts: list[str], cwd: str | None = None) -> None:
        """Share nothing."""

    def request(self, do: str, seconds: float, **fields: Any) -> Any:
        """Start everything, and read nothing of what is fed."""
        self.seen.append((fields.get("name", do), fields.get("arguments")))
        return {"start": 0, "running": False}[do]


def test_input_that_is_not_read_ends_once(tmp_path: Path) -> None:
    """However much is written that the command does not read, what stands for it is told that a single time."""
    link = Asked(tmp_path)
    remote = commands.Remote(link, 0)
    with remote.there as there:
        carrying = threading.Thread(target=remote._carry_in)
        carrying.start()
        for letter in (b"i", b"i", b"i", b"I"):
            there.sendall(standin.HEAD.pack(letter, 0))
        there.shutdown(socket.SHUT_WR)
        carrying.join()
        there.setblocking(False)
        assert there.recv(100) == standin.HEAD.pack(b"c", 0)
    assert [name for name, _ in link.seen] == ["feed", "feed", "signal"]
    remote._here.close()


def test_closing_twice_is_no_failure() -> None:
    """What stands for a command ends as the command did, whatever became of its standard input."""
    here, there = socket.socketpair()
    with here, there:
        line = [sys.executable, "-I", "-S", standin.__file__, str(there.fileno())]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[there.fileno()])
        here.sendall(standin.HEAD.pack(b"c", 0) * 2 + standin.HEAD.pack(b"x", 4) + struct.pack("<i", 7))
        assert process.communicate()[1] == b""
        assert process.returncode == 7


def test_a_command_without_a_stand_in_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can stand for a command here, it does not go on there."""
    link = Asked(tmp_path)
    kind = type("Popen", (commands.Process,), {"assay_link": link, "assay_ordinary": {}})
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        kind([str(tmp_path / "tool")], env={})
    assert link.seen == [("start", None), ("signal", [int(signal.SIGKILL), True])]


def test_a_stream_is_shut_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who shuts a stream between finding something in it and reading that waits for the reader."""
    command = Command([sys.executable, "-c", "print('x')"], "/", {}, merged=True, leads=False)
    select, shutting = command._reading.select, threading.Thread(target=command.shut, args=("out",))

    def select_and_shut(timeout: float) -> Any:
        found = select(timeout)
        if found and shutting.ident is None:
            shutting.start()
            shutting.join(0.2)
        return found

    monkeypatch.setattr(command._reading, "select", select_and_shut)
    said = ["idle"]
    while said[0] == "idle":
        said = command.next()
    assert said == ["out", b"x\n"]
    shutting.join()
    while said[0] != "end":
        said = command.next()
    assert said == ["end", 0]
    command.feed(None)
    command._reading.close()


def test_no_request_carries_files_before_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that asks while another one shares a place does not send its files to who does not know of it."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(exchange, "connect", lambda: Stream(ours))
    folders = Folders()
    asked = exchange.Exchange(folders)
    add = folders.add

    def ask() -> None:
        with contextlib.suppress(EOFError, TimeoutError):
            asked.ask({}, 10)

    asking = threading.Thread(target=ask)

    def add_and_ask(place: str, **how: Any) -> bool:
        new = add(place, **how)
        asking.start()
        asking.join(0.2)
        return new

    monkeypatch.setattr(folders, "add", add_and_ask)
    asked.share(str(tmp_path), "all", back=True)
    with ours, theirs:
        told = Stream(theirs).receive(10)
        assert (told["share"], [change[0] for change in told["files"]]) == ([[str(tmp_path), True]], ["folder"])
        asked.close()
        asking.join()
