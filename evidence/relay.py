"""S9, on the host: each connection of the judge's is led to a fresh worker in the other sandbox, and nothing else is.

Defeats everything that judged code does to its judge: they share no process, no file, no user and no container. The
host carries bytes between them and reads none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import posixpath
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Final

from pydantic import JsonValue

from assay.errors import SandboxLost
from assay.evidence.layout import module_names
from assay.evidence.runner_pytest import PLACE, Run, environment
from assay.policies.settings import ProjectSettings, Settings
from assay.records.trees import Tree
from assay.sandboxes.protocol import WORKSPACE, Peer, Sandbox

_PACKAGE: Final = "assay_outside"
"""Under which the programs lie in their sandboxes."""
_CLIENT: Final = (
    *("__init__", "client", "commands", "crossing", "exchange", "folders", "ground"),
    *("ports", "proxies", "routing", "standin", "values", "watching"),
)
_WORKER: Final = ("__init__", "crossing", "folders", "programs", "worker")
_START: Final = (
    f"import sys; sys.path.insert(0, {PLACE!r}); from {_PACKAGE} import worker; del sys.path[0]; worker.main()"
)

_ANSWER_SECONDS: Final = 30.0
"""How long a worker may take for one answer; a test that needs longer is not asked outside."""
_START_SECONDS: Final = 30.0
_CONNECTIONS: Final = 4
"""At once, of one sandbox; one is used at a time."""

_Start = Callable[[], Awaitable[object]]
"""Runs a worker to its end."""


class Relay:
    """The workers of one execution, one at a time.

    Args:
        start: runs a worker. Cancelled, it kills it and whatever it started.
        asked: what the judge's process is told of it.
    """

    def __init__(self, start: _Start, asked: Mapping[str, JsonValue]) -> None:
        self._start = start
        self._asked = asked
        self._turn = asyncio.Lock()
        self._awaited: asyncio.Future[_Visit] | None = None

    async def open(self, judge: Sandbox, worker: Sandbox) -> None:
        """Let commands of both sandboxes connect; raises SandboxLost."""
        await worker.attend(self._attend_worker, connections=_CONNECTIONS)
        await judge.attend(self._attend_judge, connections=_CONNECTIONS)

    def told(self, run: Run) -> Run:
        """Return a run of tests whose process asks a worker in the program's place."""
        task = {**json.loads(run.stdin), "part": self._asked}
        return replace(run, stdin=json.dumps(task).encode(), files={**run.files, **_files(_CLIENT)})

    async def _attend_judge(self, peer: Peer) -> None:
        """Serve one connection of the judge's with a worker of its own, which ends with it."""
        async with self._turn:
            arriving = self._awaited = asyncio.get_running_loop().create_future()
            running = asyncio.ensure_future(self._start())
            try:
                await asyncio.wait((arriving, running), timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if arriving.done():
                    await _carry_both(peer, arriving.result().peer)
            finally:
                self._awaited = None
                if arriving.done():
                    arriving.result().over.set()
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError, SandboxLost):
                    await running

    async def _attend_worker(self, peer: Peer) -> None:
        """Give the first connection of a worker to who waits for it; others have nobody to talk to."""
        if self._awaited is None or self._awaited.done():
            return
        visit = _Visit(peer)
        self._awaited.set_result(visit)
        await visit.over.wait()


class _Visit:
    """A worker's connection, for as long as it is used."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.over = asyncio.Event()


async def ask_outside(judge: Sandbox, worker: Sandbox, tests: Tree, program: Tree, settings: Settings) -> Relay:
    """Make ready that a judge in one sandbox asks a program in another, and return what leads from one to the other.

    Args:
        judge: sandbox that holds the tests, and nothing of the program.
        worker: sandbox that holds the program, and no test.
        tests: the tree in the one.
        program: the tree in the other.
        settings: how the program is run, and for how long.
    """
    for path, data in _files(_WORKER).items():
        await worker.write(path, data)
    project = settings.project
    relay = Relay(
        lambda: worker.run(
            ("python3", "-I", "-B", "-c", _START),
            env=environment(project),
            cwd=posixpath.join(WORKSPACE, project.root),
            timeout=settings.proof.seconds,
        ),
        {
            "name": f"{_PACKAGE}.client",
            "names": list(_offered(project, tests, program)),
            "paths": [path for path in sorted(program) if path not in tests],
            "seconds": min(_ANSWER_SECONDS, settings.proof.seconds),
        },
    )
    await relay.open(judge, worker)
    return relay


def sent_texts() -> tuple[str, ...]:
    """Return the text of every program that is sent for asking outside, beside the launcher's."""
    return tuple(data.decode() for data in (_files(_CLIENT) | _files(_WORKER)).values())


def _files(names: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files of one of the two programs, by their paths in its sandbox."""
    source = files("assay.evidence.judge_side.outside")
    return {f"{PLACE}/{_PACKAGE}/{name}.py": (source / f"{name}.py").read_bytes() for name in names}


def _offered(project: ProjectSettings, tests: Tree, program: Tree) -> tuple[str, ...]:
    """Return the program's modules, those left out whose names the tests use for a package of their own."""
    own = {name.partition(".")[0] for name in module_names(project, tests)}
    return tuple(sorted(n for n in module_names(project, program) if n.partition(".")[0] not in own))


async def _carry_both(one: Peer, other: Peer) -> None:
    """Carry bytes both ways until either end is closed."""
    ways = [asyncio.ensure_future(_carry(a, b)) for a, b in ((one, other), (other, one))]
    gone = [asyncio.ensure_future(peer.gone()) for peer in (one, other)]
    try:
        await asyncio.wait((*ways, *gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*ways, *gone):
            task.cancel()
        await asyncio.gather(*ways, *gone, return_exceptions=True)


async def _carry(source: Peer, sink: Peer) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read():
            await sink.write(data)
