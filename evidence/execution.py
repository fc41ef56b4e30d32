"""Executing one thing in a fresh sandbox and recording what it showed: once, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from pydantic import JsonValue

from assay.errors import SandboxLost
from assay.evidence.commands import bounded, read_command
from assay.evidence.environment import canary_of, place_in, workspace_of
from assay.evidence.probe_calls import Probe
from assay.evidence.promises import Promises
from assay.evidence.relay import Relay, ask_outside, sent_texts
from assay.evidence.reported import run_reported
from assay.evidence.runner_junit import without_reports
from assay.evidence.runner_node import node_launcher
from assay.evidence.runner_probe import probe_source, with_probe
from assay.evidence.runner_pytest import PRELUDE, environment, launcher_source, prepare, read_report
from assay.policies.settings import Settings
from assay.records.base import canonical_json, digest_of
from assay.records.checks import Check
from assay.records.entries import EntryKind
from assay.records.evidence import Cell, Evidence, Surroundings, TestOutcome
from assay.records.sandboxes import CommandResult, Image, SandboxOwner, SandboxProfile
from assay.records.trees import Tree
from assay.sandboxes.protocol import WORKSPACE, Sandbox, SandboxProvider
from assay.store.git import GitStore
from assay.store.protocol import Blobs, Clock, Ledger

_FEWEST_AT_ONCE: Final = 2
_MOST_AT_ONCE: Final = 8
"""Sandboxes that one proof uses at the same time, where the policy does not say how many: one for each processor."""
_STREAM_LIMIT: Final = 16_000_000
"""Bytes kept of each stream of a run of tests; enough for a report of twenty thousand tests."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is to be executed."""

    purpose: str
    """For people."""
    cell: Cell
    commit: str
    """Commit whose source is in the tree."""
    tree: str
    """Git tree that is laid down."""
    overlay: str | None = None
    """Git tree of the trusted tests that are part of it."""
    replicate: int = 0
    modules: tuple[str, ...] = ()
    """Test files; none means the whole suite."""
    select: tuple[str, ...] | None = None
    """Ids to run; None runs all."""
    expected: tuple[str, ...] = ()
    """Ids that have to be reported, as evidence shows them."""
    arguments: tuple[str, ...] = ()
    """Added to pytest's."""
    seconds: float | None = None
    """Time limit; None is the policy's, and no more than that is given."""
    surroundings: Surroundings | None = None
    """Others than usual."""
    until: tuple[tuple[str, ...], ...] = ()
    """Groups of ids; it may end early once of each group one has failed."""
    trace: tuple[tuple[str, tuple[tuple[int, int, str], ...]], ...] = ()
    """Lines of the program, by path and with the name of a part, of which it is told which tests execute them."""
    altered: bool = False
    """Whether program or tests were altered on purpose."""
    scope: str = ""
    """For what it is executed anew, although the same was executed for something else."""
    plain: bool = False
    """Whether the repository's own way of running tests is left out: the canary's."""
    worker: str | None = None
    """Git tree of the program, where it runs in a sandbox of its own and the judge asks it from outside (S9)."""
    image: Image | None = None
    """Where it runs, and where a program apart does; None: in the base's. Others have the head's dependencies (S14)."""
    worker_image: Image | None = None
    check: Check | None = None
    """A command in the place of tests. A check that expects tests is an order for those tests instead."""
    probe: Probe | None = None
    """Calls that are noted while the tests run, or done again in the place of tests."""


class Bench:
    """Where orders are executed, some at a time, each in a sandbox that nobody has used.

    Args:
        run: run in whose ledger evidence is recorded.
        image: the sandbox image, as it is now.
        profile: the sealed profile.
    """

    def __init__(
        self,
        run: str,
        *,
        git: GitStore,
        ledger: Ledger,
        blobs: Blobs,
        sandboxes: SandboxProvider,
        settings: Settings,
        clock: Clock,
        image: Image,
        profile: SandboxProfile,
        progress: Callable[[str], None] | None,
    ) -> None:
        self._run = run
        self._git = git
        self._ledger = ledger
        self._blobs = blobs
        self._sandboxes = sandboxes
        self._settings = settings
        self._clock = clock
        self.image = image
        self._records: dict[str, str] = {}  # image id to the digest of what is known of the image
        self._profile = profile.model_copy(update={"image": image.id})
        self._progress = progress
        self.places = settings.proof.sandboxes or min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, os.cpu_count() or 1))
        """Sandboxes that there may be at once."""
        self._free = asyncio.Semaphore(self.places)
        self._promises = Promises(sandboxes)
        self._closing: list[asyncio.Task[None]] = []

    def promise(self, count: int) -> None:
        """Let the provider know that at least so many sandboxes will be opened from now on."""
        self._promises.promise(self._profile, count)

    async def close(self) -> None:
        """Wait until every sandbox is gone, and have none prepared any more; raises what closing one met."""
        self._promises.take_back()
        for met in await asyncio.gather(*self._closing, return_exceptions=True):
            if isinstance(met, BaseException):
                raise met

    def identify(self, order: Order) -> str:
        """Return the id of an order's evidence: what is executed again is the same evidence."""
        node = self._settings.project.runner == "node"
        made_of: dict[str, JsonValue] = {
            "tree": order.tree,
            "image": (order.image or self.image).id,
            "profile": digest_of(self._profile_on(order.image)),
            "project": digest_of(self._settings.project),
            "seconds": self._settings.proof.seconds,  # not what was measured: it is another each time
            "launcher": digest_of([(node_launcher() if node else launcher_source()).decode()]),
            "scope": order.scope,
            "modules": list(order.modules),
            "select": None if order.select is None else list(order.select),
            "arguments": list(order.arguments),
            "worker": None if order.worker is None else [order.worker, digest_of(list(sent_texts()))],
            "worker_image": None if order.worker_image is None else order.worker_image.id,
            "check": None if order.check is None else order.check.model_dump(mode="json"),
            "surroundings": None if order.surroundings is None else order.surroundings.model_dump(mode="json"),
            "until": [list(ids) for ids in order.until],
            "trace": [[path, [list(r) for r in ranges]] for path, ranges in order.trace],
        }
        if order.probe is not None:
            made_of["probe"] = digest_of([order.probe.model_dump(mode="json"), probe_source()])
        name = order.purpose.replace(" ", "-").replace("'", "").replace(":", "")
        sides = f"{order.cell.source}-{order.cell.tests}"
        return f"{name}.{sides}.{order.replicate}.{digest_of(made_of).removeprefix('sha256:')[:12]}"

    def _limit(self, order: Order) -> float:
        most = self._settings.proof.seconds
        return most if order.seconds is None else min(most, order.seconds)

    def _profile_on(self, image: Image | None) -> SandboxProfile:
        return self._profile if image is None else self._profile.model_copy(update={"image": image.id})

    async def keep_image(self, image: Image) -> None:
        """Keep what is known of an image, so that all evidence leads to it."""
        self._records[image.id] = await self._blobs.put(canonical_json(image))

    async def execute(self, order: Order) -> Evidence:
        """Return the evidence of an order, executing it unless that was done before.

        Where a sandbox is lost, another one is tried. Evidence of a lost one is recorded, and never recalled.
        """
        name = self.identify(order)
        if (known := await self.recall(name)) is not None:
            return known
        profile = place_in(self._profile_on(order.image), order.surroundings)
        with self._promises.waiting(profile):
            await self._free.acquire()
        try:
            return await self._execute(order, name)
        finally:
            self._free.release()

    async def _execute(self, order: Order, name: str) -> Evidence:
        if self._progress is not None:
            self._progress(f"{order.purpose}, source of {order.cell.source}, tests of {order.cell.tests}")
        try:
            return await self._record(await self._try(order, name))
        except SandboxLost as error:
            _log.warning("sandbox_lost", run=self._run, evidence=name, error=error.message)
            await self._lost(order, name, error)
        try:
            return await self._record(await self._try(order, name))
        except SandboxLost as error:
            return await self._lost(order, name, error)

    async def recall(self, name: str) -> Evidence | None:
        """Return evidence that this run has recorded already."""
        entry = await self._ledger.find(self._run, f"evidence:{name}")
        if entry is None:
            return None
        return Evidence.model_validate_json(await self._blobs.get(str(entry.body["evidence"])))

    async def adopt(self, evidence: Evidence) -> Evidence:
        """Record evidence that was made elsewhere, in the same image, and return it."""
        return await self._record(evidence.model_copy(update={"image_record": self._records.get(self.image.id)}))

    async def _record(self, evidence: Evidence) -> Evidence:
        digest = await self._blobs.put(canonical_json(evidence))
        passed = sum(1 for o in evidence.outcomes if o.passed)
        body: dict[str, JsonValue] = {
            "evidence": digest,
            "purpose": evidence.purpose,
            "cell": str(evidence.cell),
            "tree": evidence.tree,
            "ending": "lost" if evidence.ending is None else evidence.ending.type,
            "passed": passed,
            "not_passed": len(evidence.outcomes) - passed,
        }
        entry = await self._ledger.append(self._run, EntryKind.EVIDENCE_RECORDED, f"evidence:{evidence.id}", body)
        if entry.body["evidence"] == digest:
            return evidence
        return Evidence.model_validate_json(await self._blobs.get(str(entry.body["evidence"])))

    async def _try(self, order: Order, name: str) -> Evidence:
        tree = without_reports(self._settings.project, await self._git.tree(order.tree))
        async with self._opened(order, order.image, tree, name) as sandbox:
            if order.check is not None:
                return await self._command(sandbox, order, order.check, name)
            if order.worker is None:
                return await self._tests(sandbox, order, tree, name)
            program = await self._git.tree(order.worker)
            async with self._opened(order, order.worker_image, program, name) as worker:
                asked = await ask_outside(sandbox, worker, tree, program, self._settings)
                made = await self._tests(sandbox, order, tree, name, asked)
                await worker.processes()  # raises where it was lost: what the judge saw then says nothing
                return made

    @asynccontextmanager
    async def _opened(self, order: Order, image: Image | None, tree: Tree, name: str) -> AsyncIterator[Sandbox]:
        """Give a fresh sandbox with a tree in it."""
        owner = SandboxOwner(run=self._run, role="check", step=name)
        profile = place_in(self._profile_on(image), order.surroundings)
        self._promises.keep(profile)
        sandbox = await self._sandboxes.open(profile, owner)
        try:
            await sandbox.put_tree(tree, self._git.contents, root=workspace_of(order.surroundings))
            yield sandbox
        finally:  # nobody has to wait until it is gone but whoever ends the proof
            self._closing.append(asyncio.get_running_loop().create_task(sandbox.close()))

    async def _command(self, sandbox: Sandbox, order: Order, check: Check, name: str) -> Evidence:
        started, project = self._clock.now(), self._settings.project
        variables = environment(project)
        seconds = min(check.seconds, self._settings.proof.seconds)
        result = await sandbox.run(
            check.command, env=variables, cwd=posixpath.join(WORKSPACE, project.root), timeout=seconds
        )
        outcomes = (read_command(check, result),)
        return self._evidence(order, name, check.command, variables, started, result, outcomes)

    async def _tests(
        self, sandbox: Sandbox, order: Order, tree: Tree, name: str, outside: Relay | None = None
    ) -> Evidence:
        started = self._clock.now()
        project = canary_of(self._settings.project).project if order.plain else self._settings.project
        if project.runner != "pytest":
            seconds = self._settings.proof.seconds
            ran = await run_reported(
                sandbox, project, tree, modules=order.modules, select=order.select, seconds=seconds
            )
            known, outcomes = ran.run, ran.report.outcomes
            return self._evidence(
                order, name, known.argv, known.environment, started, ran.result, outcomes, ran.report.trouble
            )
        contents = self._git.contents
        workspace = workspace_of(order.surroundings)
        run = await asyncio.to_thread(
            lambda: prepare(
                project,
                tree,
                contents,
                modules=order.modules,
                select=order.select,
                arguments=order.arguments,
                workspace=workspace,
                order="" if order.surroundings is None else order.surroundings.order,
                until=order.until,
                trace=order.trace,
            )
        )
        if order.probe is not None:
            run = with_probe(run, order.probe, self._settings.proof.seconds)
        if outside is not None:
            run = outside.told(run)
        for path, data in run.files.items():
            await sandbox.write(path, data)
        variables = environment(project, workspace) | self._surrounding(order)
        if order.surroundings is not None:
            await sandbox.run(PRELUDE.format(order.surroundings.processes), env=variables, cwd=WORKSPACE)
        result = await sandbox.run(
            run.argv,
            stdin=run.stdin,
            env={name: value for name, value in variables.items() if name != "PYTHONPATH"},
            cwd=run.cwd,
            timeout=self._limit(order),
            output_limit=_STREAM_LIMIT,
            report=True,
        )
        report = read_report(result, run)
        made = self._evidence(order, name, run.argv, variables, started, result, report.outcomes, report.trouble)
        output = f"{made.output}\n[{run.control} is the judge's own and has to fail]"
        if order.worker is not None:
            image = (order.worker_image or self.image).id
            output += f"\n[the program, tree {order.worker}, was asked from this sandbox, and ran in one of {image}]"
        return made.model_copy(update={"output": output, "touched": dict(report.touched), "observed": report.observed})

    def _surrounding(self, order: Order) -> dict[str, str]:
        """Return the variables of other surroundings; what the policy names stays as it says."""
        if order.surroundings is None:
            return {}
        named = self._settings.sandbox(self._settings.proof.sandbox).environment
        return {name: value for name, value in order.surroundings.variables.items() if name not in named}

    def _evidence(
        self,
        order: Order,
        name: str,
        argv: tuple[str, ...],
        variables: Mapping[str, str],
        started: datetime,
        result: CommandResult | None,
        outcomes: tuple[TestOutcome, ...] = (),
        trouble: str = "",
    ) -> Evidence:
        shown = "" if result is None else bounded(result.stdout.text + result.stderr.text)
        return Evidence(
            id=name,
            purpose=order.purpose,
            cell=order.cell,
            replicate=order.replicate,
            commit=order.commit,
            tree=order.tree,
            overlay=order.overlay,
            image=(order.image or self.image).id,
            image_record=self._records.get((order.image or self.image).id),
            policy=digest_of(self._settings),
            argv=argv,
            environment={**self._profile.environment, **variables},
            surroundings=order.surroundings,
            altered=order.altered,
            ending=None if result is None else result.ending,
            outcomes=outcomes,
            expected=order.expected,
            trouble=trouble,
            output=shown,
            output_bytes=0 if result is None else result.stdout.length + result.stderr.length,
            output_digest="" if result is None else result.stdout.digest,
            started=started,
            seconds=0.0 if result is None else result.seconds,
            cpu_seconds=0.0 if result is None else result.cpu_seconds,
        )

    async def _lost(self, order: Order, name: str, error: SandboxLost) -> Evidence:
        number = 1
        while await self._ledger.find(self._run, f"evidence:{name}.lost-{number}") is not None:
            number += 1
        lost = self._evidence(
            order,
            f"{name}.lost-{number}",
            (),
            {},
            self._clock.now(),
            None,
            trouble=f"the sandbox was lost: {error.message}",
        )
        return await self._record(lost)
