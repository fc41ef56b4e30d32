"""The only place that chooses concrete classes. A host replaces any part by giving its own.

What only an advancing run needs (the graph, the roles, the proof) is imported when one advances:
LangGraph takes a second, and `assay runs` shall not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assay.agents.protocol import RoleAgent, RoleTask
from assay.app.dependencies import LayerMaker, layers_on, places, with_dependencies
from assay.app.egress import into
from assay.app.manifests import Manifest, load_settings, load_ticket, profiles_in_use
from assay.app.observing import Listener, ObservedLedger
from assay.app.people import LocalPeople
from assay.policies.settings import RoleSettings, Settings
from assay.records import runs as run_records
from assay.records.entries import Entry
from assay.records.sandboxes import Image, Reaped
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.egress.ways import WaysOut
from assay.sandboxes.engine import Engine
from assay.sandboxes.protocol import SandboxProvider
from assay.store.blobs import FileBlobs
from assay.store.clocks import SystemClock
from assay.store.git import GitStore
from assay.store.ledger import SqliteLedger
from assay.store.protocol import Blobs, Clock, Ledger
from assay.store.redaction import Redact, Redactor
from assay.store.state import StateDirectory, state_root

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from assay.evidence.prove import Assayer
    from assay.graph.services import Services

Models = Callable[[str, RoleSettings], "BaseChatModel"]
RoleMaker = Callable[[RoleTask], RoleAgent]

AUTHOR = "assay <assay@localhost>"
"""Author of the commits that a run makes; who signed for them is in the trailers and in the ledger."""


@dataclass(frozen=True, kw_only=True)
class House:
    """The rooms, open and connected."""

    state: StateDirectory
    git: GitStore
    ledger: Ledger
    blobs: Blobs
    clock: Clock
    people: LocalPeople
    sandboxes: SandboxProvider
    checkpointer: Callable[[], Awaitable[BaseCheckpointSaver[str]]]
    """Opens the saver of LangGraph's state, the first time that it is asked for."""
    models: Models
    roles: Mapping[str, RoleMaker]
    redact: Redact
    layers: LayerMaker | None = None
    """Makes images with a project's dependencies; None where the host's own sandboxes cannot have any."""

    async def provided(
        self,
        settings: Settings,
        commit: str,
        profiles: Collection[str] | None = None,
        *,
        brought_by: str | None = None,
    ) -> Settings:
        """Return the settings with the images that profiles really mean at a base commit; all that are used where None.

        A lock file that only the change `brought_by` has leaves the base's image as it is.

        Raises ConfigurationError for a lock file that cannot be used, and what making an image raises.
        """
        wanted = profiles_in_use(settings) if profiles is None else profiles
        return await with_dependencies(self.git, self.layers, settings, commit, wanted, brought_by=brought_by)

    async def reap(self) -> Reaped:
        """Remove the sandboxes of dead processes; what such a process had not saved becomes a commit first."""
        from assay.app.rescuing import RunWork, reap

        return await reap(self.sandboxes, RunWork(self.git, self.ledger))

    async def services(self, manifest: Manifest, started: Entry) -> Services:
        """Return what the graph of one run works with."""
        from assay.agents.roles import AgentRoles
        from assay.evidence.gates import PolicyGates
        from assay.graph.services import Services

        based = await self.ledger.find(started.run, "base")
        bare = await load_settings(self.blobs, manifest)
        settings = bare if based is None else await self.provided(bare, str(based.body["commit"]))
        return Services(
            ticket=await load_ticket(self.blobs, manifest),
            repo=Path(manifest.repo),
            revision=manifest.revision,
            branch=manifest.branch,
            settings=settings,
            git=self.git,
            ledger=self.ledger,
            blobs=self.blobs,
            roles=AgentRoles(
                settings=settings,
                git=self.git,
                ledger=self.ledger,
                blobs=self.blobs,
                sandboxes=self.sandboxes,
                state=self.state,
                models=self.models,
                clock=self.clock,
                redact=self.redact,
                extra_roles=self.roles,
            ),
            prover=self.assayer(settings, bare=bare),
            gates=PolicyGates(git=self.git, ledger=self.ledger, sandboxes=self.sandboxes, settings=settings),
            people=self.people,
            started=started.at,
            author=AUTHOR,
        )

    def assayer(self, settings: Settings, *, bare: Settings | None = None, began: float | None = None) -> Assayer:
        """Return the proof under these settings.

        Args:
            settings: with the images that profiles mean at the base.
            bare: the same before `provided`, from which the image of a head is made; None where none can be.
            began: monotonic seconds from which its time counts; from when it is asked for where None.
        """
        from assay.evidence.prove import Assayer
        from assay.store.signing import SigningKey

        return Assayer(
            git=self.git,
            ledger=self.ledger,
            blobs=self.blobs,
            sandboxes=self.sandboxes,
            settings=settings,
            clock=self.clock,
            cache=self.state.cache / "baselines",
            began=began,
            signer=SigningKey(self.state.signing_key),
            image_at=None if bare is None or self.layers is None else partial(self._image_at, bare),
        )

    async def _image_at(self, bare: Settings, commit: str) -> Image:
        """Return the image of the proof's profile with what the lock file at a commit pins."""
        provided = await self.provided(bare, commit, {bare.proof.sandbox})
        return await self.sandboxes.image(provided.sandbox(bare.proof.sandbox))


@asynccontextmanager
async def open_house(
    *,
    root: Path | None = None,
    listener: Listener | None = None,
    sandboxes: SandboxProvider | None = None,
    checkpointer: BaseCheckpointSaver[str] | None = None,
    models: Models | None = None,
    roles: Mapping[str, RoleMaker] | None = None,
    clock: Clock | None = None,
    wrap_ledger: Callable[[Ledger], Ledger] | None = None,
    progress: Callable[[str], None] = lambda line: None,
    layers: LayerMaker | None = None,
) -> AsyncIterator[House]:
    """Open everything, and close it again.

    Args:
        root: state directory; `ASSAY_STATE` or the user's own where None.
        listener: is told of every new ledger entry.
        sandboxes: the host's own provider; Docker where None. A provider that is given is not closed.
        checkpointer: the host's own saver for LangGraph's state; SQLite in the state directory where None.
        models: opens the chat model of a role; by its name in the settings where None.
        roles: the host's own agents, by role.
        clock: where dates come from.
        wrap_ledger: puts something around the ledger, for a host that records elsewhere as well.
        progress: is told one line about each long step of preparing, as installing dependencies is.
        layers: makes images with a project's dependencies, for sandboxes of the host's own.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        state = StateDirectory.open(root or state_root(os.environ))
        redact = Redactor(os.environ)
        ledger: Ledger = await stack.enter_async_context(SqliteLedger(state.ledger, clock, redact=redact))
        if wrap_ledger is not None:
            ledger = wrap_ledger(ledger)
        if listener is not None:
            ledger = ObservedLedger(ledger, listener)
        if sandboxes is None:
            engine = Engine()
            layers = layers or layers_on(engine, places(state.root), progress)
            sandboxes = DockerProvider(engine, ways_out=WaysOut(into(ledger)))
            stack.push_async_callback(sandboxes.close)
        git = await GitStore.open(state.git)
        stack.push_async_callback(git.close)
        opening = asyncio.Lock()

        async def saver() -> BaseCheckpointSaver[str]:
            nonlocal checkpointer
            async with opening:
                if checkpointer is None:
                    checkpointer = await stack.enter_async_context(_sqlite_saver(state.checkpoints))
            return checkpointer

        yield House(
            state=state,
            git=git,
            ledger=ledger,
            blobs=FileBlobs(state.blobs, redact=redact),
            clock=clock,
            people=LocalPeople.at(state.root / "people.key"),
            sandboxes=sandboxes,
            checkpointer=saver,
            models=models or _open_named_model,
            roles=roles or {},
            redact=redact,
            layers=layers,
        )


def _open_named_model(_role: str, settings: RoleSettings) -> BaseChatModel:
    from assay.agents.models import open_model

    return open_model(settings.model, settings.parameters)


def record_serializer() -> JsonPlusSerializer:
    """Return a serializer that knows exactly the types in the graph's state.

    What is not named here would come back as a plain dict, in silence.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from assay.graph import state as graph_state

    kinds = (
        graph_state.RunState,
        graph_state.UnitRun,
        graph_state.UnitState,
        graph_state.UnitOutcome,
        run_records.RunStatus,
        run_records.UnitStatus,
    )
    return JsonPlusSerializer(allowed_msgpack_modules=[(kind.__module__, kind.__name__) for kind in kinds])


@asynccontextmanager
async def _sqlite_saver(path: Path) -> AsyncIterator[BaseCheckpointSaver[str]]:
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA synchronous=FULL")
        saver = AsyncSqliteSaver(connection, serde=record_serializer())
        await saver.setup()
        yield saver
