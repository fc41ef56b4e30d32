"""A terminal in a sandbox, for a person: a shell with the isolation of every command, and the engine's own stream.

Commands of agents and of the proof never run this way: a terminal has no bounds on its output and no typed ending.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from assay.errors import InfrastructureError, SandboxLost
from assay.sandboxes.engine import Engine
from assay.sandboxes.protocol import WORKSPACE

_SHELL: Final = """
# The kernel takes what a person starts before it takes the supervisor, as it does with commands.
echo 1000 > /proc/self/oom_score_adj
mkdir -p "$HOME"
shell=sh
if command -v bash >/dev/null; then shell="bash --norc"; fi
# An engine that was started in a shell's background hands on that Ctrl-C is ignored.
if env --default-signal true 2>/dev/null; then exec env --default-signal $shell; fi
exec $shell
"""
_CHUNK: Final = 65536
_ATTEMPTS: Final = 10


class Terminal:
    """A shell on a pseudo-terminal in a container. Its user, capabilities and filter are those of commands."""

    def __init__(self, engine: Engine, identity: str, stream: socket.socket) -> None:
        self._engine, self._identity, self._stream = engine, identity, stream

    async def resize(self, rows: int, columns: int) -> None:
        """Tell the programs in it how large the person's window is; without effect where the shell has ended."""
        for attempt in range(_ATTEMPTS):  # the engine may not have started it yet, though it has answered
            try:
                await self._engine.call("exec_resize", self._identity, height=rows, width=columns)
            except InfrastructureError:
                await asyncio.sleep(0.01 * attempt)
            else:
                return

    async def write(self, data: bytes) -> None:
        """Type something."""
        with suppress(OSError):  # it has ended, which `follow` tells
            await asyncio.to_thread(self._stream.sendall, data)

    async def follow(self, show: Callable[[bytes], None]) -> int:
        """Hand on all that is printed until the shell ends, and return its exit code; raises SandboxLost."""
        while data := await asyncio.to_thread(self._read):
            show(data)
        ended = await self._engine.call("exec_inspect", self._identity)
        if ended["ExitCode"] is None:
            raise SandboxLost("The sandbox ended under its terminal.")
        return int(ended["ExitCode"])

    def close(self) -> None:
        """Let go of the stream; the shell ends with the sandbox."""
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        self._stream.close()

    def _read(self) -> bytes:
        try:
            return self._stream.recv(_CHUNK)
        except OSError:
            return b""


async def open_terminal(engine: Engine, container: str, environment: Mapping[str, str]) -> Terminal:
    """Return a shell in a container that runs, as the user of its commands; raises EngineUnavailable, SandboxLost."""
    user = (await engine.call("inspect_container", container))["Config"]["Cmd"][0]  # the supervisor's first argument
    made = await engine.call(
        "exec_create",
        container,
        ["/bin/sh", "-c", _SHELL],
        stdin=True,
        tty=True,
        user=f"{user}:{user}",
        workdir=WORKSPACE,
        environment=dict(environment),
    )
    stream = await engine.stream("exec_start", made["Id"], tty=True, socket=True)
    stream.settimeout(None)
    return Terminal(engine, made["Id"], stream)
