"""The application service: what every face of assay can do with runs."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog

from assay.agents.prompting import load_prompt
from assay.app.deciders import Decider
from assay.app.manifests import (
    ROLES,
    Manifest,
    entries_of,
    keep,
    load_settings,
    profiles_in_use,
    read_manifest,
    with_model,
    write_manifest,
)
from assay.app.statuses import LIFE, open_questions, status_of, status_with, summary_of
from assay.app.wiring import House, open_house
from assay.errors import AssayError, ConfigurationError, RunError
from assay.policies.settings import Settings
from assay.records.base import digest_of_bytes
from assay.records.decisions import CheckpointKind, Decision, Question
from assay.records.entries import Entry, EntryKind
from assay.records.runs import RunStatus, RunSummary
from assay.records.tickets import Ticket
from assay.store.ledger import sqlite_errors
from assay.tickets.delivery import branch_name

log = structlog.get_logger()

Made = tuple[tuple[str, CheckpointKind, str | None], ...]
"""Where each decision so far was given, on what kind of question, and for which unit."""

CHECK = "check-"
"""What the ids of checks begin with; they share the ledger with runs, and are none."""

_SUPERSTEPS = 10_000
"""LangGraph's own brake; budgets stop a run long before."""


class Assay:
    """Starts, advances and ends runs. Any process with the same state directory can go on with any run."""

    def __init__(self, house: House) -> None:
        self.house = house

    @classmethod
    @asynccontextmanager
    async def open(cls, **parts: Any) -> AsyncIterator[Assay]:
        """Open assay with the parts that `open_house` takes, and close it again.

        Sandboxes that a dead process left behind are removed first.
        """
        async with open_house(**parts) as house:
            yield cls(house)

    async def start(
        self,
        ticket: Ticket,
        repo: Path,
        *,
        settings: Settings,
        settings_source: str = "built-in defaults",
        model: str | None = None,
        base: str | None = None,
        headless: bool = False,
    ) -> str:
        """Record a new run and return its id. Nothing is recorded when something that it needs is missing.

        Args:
            ticket: what is asked.
            repo: the target repository.
            settings: the policy in force.
            settings_source: where it came from.
            model: for every role that names none.
            base: revision to start from; the ticket's, or `HEAD`, where None.
            headless: whether nobody watches.

        Raises RepositoryError, ConfigurationError, EngineUnavailable, ImageMissing.
        """
        from assay.evidence.gates import check_tools

        check_tools(settings)
        settings = with_model(settings, model)
        for role in ROLES:
            self.house.models(role, settings.role(role))
        facts = await self.house.git.inspect(repo)
        run = f"r{self.house.clock.now():%Y%m%d}-{secrets.token_hex(4)}"
        revision = base or ticket.base or "HEAD"
        commit = await self.house.git.adopt(repo, revision, f"refs/assay/runs/{run}/base")
        try:
            images = await self._images(settings, commit)
        except AssayError:
            await self.house.git.delete_refs(f"refs/assay/runs/{run}/")
            raise
        manifest = Manifest(
            version=metadata.version("assay"),
            ticket=await keep(self.house.blobs, ticket),
            settings=await keep(self.house.blobs, settings),
            settings_source=settings_source,
            repo=str(repo.resolve()),
            revision=revision,
            branch=branch_name(ticket, run),
            title=ticket.title,
            started_by=getpass.getuser(),
            mode="headless" if headless else "interactive",
            dirty=facts.dirty or (),
            prompts={role: digest_of_bytes(load_prompt(role, settings.role(role).prompt).encode()) for role in ROLES},
            images=images,
        )
        if await load_settings(self.house.blobs, manifest) != settings:
            await self.house.git.delete_refs(f"refs/assay/runs/{run}/")
            raise ConfigurationError(
                f"the settings ({settings_source}) hold a secret, which is never written down",
                next_step="take it out of the file, and put it into the environment of assay",
            )
        await write_manifest(self.house.ledger, run, manifest)
        tree = await self.house.git.tree_id(commit)
        await self.house.ledger.append(
            run, EntryKind.BASE_ADOPTED, "base", {"commit": commit, "tree": tree, "revision": revision}
        )
        return run

    async def _images(self, settings: Settings, commit: str) -> dict[str, str]:
        """Return the id of each profile's image, made where it has to be."""
        provided = await self.house.provided(settings, commit)
        sandboxes, names = self.house.sandboxes, sorted(profiles_in_use(settings))
        return {name: (await sandboxes.image(provided.sandbox(name))).id for name in names}

    async def advance(self, run: str, decider: Callable[[Made], Decider] | None = None) -> tuple[RunStatus, str]:
        """Take a run to its next stop: its end, a question that nobody answers, or a failure.

        Args:
            run: id of the run.
            decider: makes who answers, from what was decided already; nobody where None.

        Returns where the run stands then, and why. Raises RunError where another process advances it or
        it is over. A failure of what assay needs is recorded, raised, and can be resumed.
        """
        from assay.graph.build import build_graph  # here, because it loads LangGraph, which takes a second

        with self.house.state.lock_run(run), structlog.contextvars.bound_contextvars(run=run):
            entries = await self.house.ledger.entries(run)
            manifest, started = await read_manifest(self.house.ledger, run)
            status, reason = status_of(entries)
            if any(entry.kind is EntryKind.RUN_ENDED for entry in entries):
                raise RunError(f"run {run} is over: {status.value}, {reason}", next_step=f"`assay show {run}` shows it")
            if len(entries) > 2:
                await self._record(run, EntryKind.RUN_RESUMED, {"by": getpass.getuser(), "pid": os.getpid()})
            made = _decided(entries)
            services = await self.house.services(manifest, started)
            try:
                with sqlite_errors(self.house.state.checkpoints):
                    graph = build_graph(services, await self.house.checkpointer())
                    return await self._to_next_stop(run, graph, decider(made) if decider else None)
            except AssayError as error:
                await self._record(run, EntryKind.RUN_FAILED, {"reason": str(error), "error": type(error).__name__})
                raise
            except asyncio.CancelledError:
                await asyncio.shield(self._record(run, EntryKind.RUN_PARKED, {"reason": "stopped on request"}))
                raise

    async def cancel(self, run: str, reason: str) -> RunSummary:
        """End a run at once, whoever advances it; what it did so far stays readable."""
        entries = await entries_of(self.house.ledger, run)
        if any(entry.kind is EntryKind.RUN_ENDED for entry in entries):
            status, why = status_of(entries)
            raise RunError(f"run {run} is over already: {status.value}, {why}")
        body: dict[str, Any] = {"status": RunStatus.CANCELLED.value, "reason": reason, "by": getpass.getuser()}
        await self.house.ledger.append(run, EntryKind.RUN_ENDED, "ended", body)
        holder = self.house.state.holder(run)
        if holder is not None and holder != os.getpid():
            with suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(holder, signal.SIGTERM)
        return await self.summary(run)

    async def runs(self) -> tuple[RunSummary, ...]:
        """Return every run, newest first."""
        named = await self.house.ledger.runs()
        return tuple([await self.summary(run) for run in named if not run.startswith(CHECK)])

    async def summary(self, run: str) -> RunSummary:
        """Return the line of one run; raises RunError for an unknown one."""
        await read_manifest(self.house.ledger, run)
        summary = summary_of(run, await self.house.ledger.entries(run, kinds=LIFE))
        status, reason = status_with(run, summary.status, summary.reason, self.house.state.holder(run))
        return summary.model_copy(update={"status": status, "reason": reason})

    async def questions(self, run: str) -> tuple[Question, ...]:
        """Return what a run waits for."""
        return open_questions(await self.house.ledger.entries(run))

    async def _to_next_stop(self, run: str, graph: Any, decider: Decider | None) -> tuple[RunStatus, str]:
        from langgraph.types import Command

        from assay.graph.state import RunState

        config = {"configurable": {"thread_id": run}, "recursion_limit": _SUPERSTEPS}
        saved = await (await self.house.checkpointer()).aget_tuple(config)  # type: ignore[arg-type]
        # The first checkpoint is there before the input is in it. Where the process died or the disk was full in
        # between, LangGraph cannot go on from it (`aget_state` shows the input, and running it does not see it).
        begun = saved is not None and "run" in saved.checkpoint["channel_values"]
        given: Any = None if begun else RunState(run=run)
        while True:
            result = await graph.ainvoke(given, config, durability="sync", version="v2")
            if not result.interrupts:
                return status_of(await self.house.ledger.entries(run, kinds=LIFE))
            answers: dict[str, Any] = {}
            for stop in result.interrupts:
                question = Question.model_validate(stop.value["question"])
                answer = await decider.decide(question, refused=stop.value.get("refused")) if decider else None
                if answer is not None:
                    answers[stop.id] = answer
            if not answers:
                titles = "; ".join(f"{q.kind.value}: {q.title}" for q in await self.questions(run))
                await self._record(run, EntryKind.RUN_PARKED, {"reason": f"waits for a person ({titles})"})
                return RunStatus.PARKED, f"waits for a person ({titles})"
            given = Command(resume=answers)

    async def _record(self, run: str, kind: EntryKind, body: dict[str, Any]) -> Entry:
        count = len(await self.house.ledger.entries(run, kinds=(kind,)))
        return await self.house.ledger.append(run, kind, f"{kind.value}:{count + 1}", body)


def _decided(entries: Sequence[Entry]) -> Made:
    """Return what was decided in a run so far, in order."""
    asked = {
        str(e.body["digest"]): Question.model_validate(e.body["question"])
        for e in entries
        if e.kind is EntryKind.QUESTION_ASKED
    }
    made = (Decision.model_validate(e.body["decision"]) for e in entries if e.kind is EntryKind.DECISION_MADE)
    return tuple((d.via, asked[d.digest].kind, asked[d.digest].unit) for d in made)
