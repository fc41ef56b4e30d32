"""One process's part in a run that is killed: start it or go on with it, to its end or to its death.

What a process is to do travels as JSON (`Job`), and so does what came of it (`Facts`). `python chaos_runs.py JOB` does
one job; `chaos_server` does many, each in a fork of a process that has imported everything already.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

import structlog
from chaos_controls import Break, patched, wrapped
from chaos_facts import look
from chaos_host import HostCommands, take_chance_out
from chaos_kills import Phase, Point, WatchedEngine, WatchedLedger, Watcher, Where, kill_at, watched_saver
from chaos_ticket import ChaosTicket
from langchain_core.language_models import BaseChatModel

from assay.agents.models import open_model
from assay.app.configuration import settings_for
from assay.app.deciders import Decider, FileDecider
from assay.app.manifests import Manifest
from assay.app.service import Assay, Made
from assay.app.wiring import House, open_house
from assay.graph.services import Services
from assay.records.base import Record
from assay.records.entries import Entry
from assay.records.sandboxes import Image
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.fake import FakeSandboxProvider
from assay.sandboxes.protocol import SandboxProvider
from assay.store.protocol import Ledger
from assay.tickets.reading import read_ticket


class Job(Record):
    """What one process is to do."""

    world: str
    """Folder with `state/` and `repo/`."""
    ticket: str
    """Folder of the ticket's files."""
    out: str
    """File for the facts."""
    start: bool = False
    """Whether to start a run; else to go on with the one that there is."""
    memory: str | None = None
    """Folder of the fake sandboxes' memory; None means real Docker."""
    image: Image | None = None
    """What the fake sandboxes' image is, so that the evidence of real ones counts in them."""
    watched: Literal["ledger", "engine", "saver"] = "ledger"
    kill: tuple[Where, Phase] | None = None
    """Where the process kills itself."""
    pause: bool = False
    """Whether it says each point on stdout, and stops itself there until somebody lets it go on."""
    broken: Break | None = None
    """What is broken on purpose."""


@dataclass(frozen=True, kw_only=True)
class MovedHouse(House):
    """A house whose runs find their target repository in another place: that of a copied world."""

    repo: Path

    async def services(self, manifest: Manifest, started: Entry) -> Services:
        return await super().services(manifest.model_copy(update={"repo": str(self.repo)}), started)


class _Points:
    """Counts the points of this process and does what the job says at each."""

    def __init__(self, job: Job) -> None:
        self.count = 0
        self._then: Watcher = kill_at(*job.kill) if job.kill else lambda point: None
        self._pause = job.pause
        self._alone = threading.Lock()

    def __call__(self, point: Point) -> None:
        self.count = max(self.count, point.number)
        if self._pause:
            with self._alone:
                os.write(1, f"{point.number} {point.phase} {point.what}\n".encode())
                # To this thread: another one would take a signal to the process a little later than now.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        self._then(point)


async def perform(job: Job) -> None:
    """Do a job and write its facts, unless it kills this process."""
    points = _Points(job)
    async with _open(job, points) as house:
        assay = Assay(house)
        await house.reap()
        if job.start:
            run = await _start(assay, job)
        else:
            (run,) = await house.ledger.runs()
        found = await house.ledger.entries(run)
        ended = await house.ledger.find(run, "ended")
        if ended is None:
            await assay.advance(run, _decider(house, job))
        facts = await look(house, run, Path(job.world) / "repo", found, points.count)
    Path(job.out).write_text(facts.model_dump_json())


@asynccontextmanager
async def _open(job: Job, points: _Points) -> AsyncIterator[House]:
    world = Path(job.world)
    provider: SandboxProvider
    if job.memory is None:
        provider = DockerProvider(WatchedEngine(points if job.watched == "engine" else lambda point: None))
    else:
        take_chance_out()
        images = dict.fromkeys((job.image.name, job.image.id), job.image) if job.image else None
        provider = FakeSandboxProvider(HostCommands(Path(job.memory)), images=images)

    def wrap(ledger: Ledger) -> Ledger:
        inner = wrapped(ledger, job.broken)
        return WatchedLedger(inner, points) if job.watched == "ledger" else inner

    house = open_house(
        root=world / "state",
        sandboxes=provider,
        wrap_ledger=wrap,
        models=lambda _role, settings: model_of(settings.model),
    )
    with patched(job.broken), watched_saver(points) if job.watched == "saver" else nullcontext():
        try:
            async with house as opened:
                parts = {field.name: getattr(opened, field.name) for field in fields(House)}
                yield MovedHouse(repo=world / "repo", **parts)
        finally:
            await provider.close()


@cache
def model_of(name: str) -> BaseChatModel:
    """Return a chat model; the same script is read once."""
    return open_model(name)


async def _start(assay: Assay, job: Job) -> str:
    ticket = ChaosTicket(Path(job.ticket))
    repo = Path(job.world) / "repo"
    settings, source = await settings_for(assay.house.git, repo, None, None)
    return await assay.start(
        read_ticket(ticket.ticket), repo, settings=settings, settings_source=source, model=ticket.model
    )


def _decider(house: House, job: Job) -> Callable[[Made], Decider]:
    decisions = ChaosTicket(Path(job.ticket)).decisions

    def make(made: Made) -> Decider:
        used = [(kind, unit) for via, kind, unit in made if via == f"file:{decisions.name}"]
        return FileDecider(decisions, house.people, house.clock, used=used)

    return make


def do(text: str) -> None:
    """Do a job that is given as JSON."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(perform(Job.model_validate_json(text)))


if __name__ == "__main__":
    do(sys.argv[1])
