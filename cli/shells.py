"""A shell in a sandbox: on a person's terminal as it is, or fed from standard input where there is none."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from assay.app.shells import Shell
from assay.cli.streams import Streams
from assay.records.sandboxes import Exited, OutOfMemory, Signalled, TimedOut
from assay.reports.untrusted import make_visible

_OUTPUT_LIMIT = 50_000_000
"""Bytes shown of each stream, where nobody sits at a terminal."""
_CHUNK = 4096
_KILLED = 137


async def run_input(shell: Shell, streams: Streams) -> int:
    """Let a shell in the sandbox execute what standard input says, print what it prints, return its exit code."""
    script = await asyncio.to_thread(sys.stdin.buffer.read) if sys.stdin is not None else b""
    result = await shell.sandbox.run(["/bin/sh"], stdin=script, output_limit=_OUTPUT_LIMIT)
    for outlet, output in ((streams.out, result.stdout), (streams.err, result.stderr)):
        if outlet.isatty():  # what judged code prints must not steer a person's terminal
            outlet.write(make_visible(output.text))
        else:
            outlet.write_bytes(output.data)
    match result.ending:
        case Exited(code=code):
            return code
        case Signalled(signal=number):
            return 128 + number
        case TimedOut(seconds=seconds):
            streams.say(f"assay: it was ended after {seconds:g} s", "yellow")
            return 124
        case OutOfMemory():
            streams.say("assay: it used up the sandbox's memory", "yellow")
            return _KILLED


async def run_terminal(shell: Shell, streams: Streams) -> int:
    """Connect the person's terminal with a shell in the sandbox until that ends, and return its exit code."""
    loop = asyncio.get_running_loop()
    terminal = await shell.terminal()
    typed: asyncio.Queue[bytes] = asyncio.Queue()
    descriptor = sys.stdin.fileno()

    async def resize() -> None:
        columns, rows = os.get_terminal_size(descriptor)
        await terminal.resize(rows, columns)

    async def send() -> None:
        while True:
            await terminal.write(await typed.get())

    def type_key() -> None:
        if keys := os.read(descriptor, _CHUNK):
            typed.put_nowait(keys)
        else:
            loop.remove_reader(descriptor)

    resizing: set[asyncio.Task[None]] = set()

    def resized() -> None:
        task = loop.create_task(resize())
        resizing.add(task)
        task.add_done_callback(resizing.discard)

    sender = loop.create_task(send())
    try:
        with _raw(descriptor):
            loop.add_signal_handler(signal.SIGWINCH, resized)
            await resize()
            loop.add_reader(descriptor, type_key)
            try:
                return await terminal.follow(streams.out.write_bytes)
            finally:
                loop.remove_reader(descriptor)
                loop.remove_signal_handler(signal.SIGWINCH)
                await streams.drain()
    finally:
        sender.cancel()
        await asyncio.wait((sender, *resizing))
        terminal.close()


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Hand every key on as it is, Ctrl-C too: it belongs to the shell; and put the terminal back afterwards."""
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
