"""The manifest: everything that a run was started with, by digest, so that any process can go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from assay.errors import ConfigurationError, RunError
from assay.policies.settings import RoleSettings, Settings
from assay.records.base import Record, canonical_json
from assay.records.entries import Entry, EntryKind
from assay.records.tickets import Ticket
from assay.store.protocol import Blobs, Ledger

ROLES = ("planner", "tester", "coder", "reviewer")


class Manifest(Record):
    """What a run was started with."""

    version: str
    """Of assay."""
    ticket: str
    """Blob of the `Ticket`."""
    settings: str
    """Blob of the `Settings` in force, the command line's included."""
    settings_source: str
    """Where they came from, for people."""
    repo: str
    """Absolute path of the target repository."""
    revision: str
    """The base as it was asked for."""
    branch: str
    """Branch that is delivered."""
    title: str
    started_by: str
    mode: Literal["interactive", "headless"]
    dirty: tuple[str, ...] = ()
    """Paths that were changed and not committed in the target's work tree; they are no part of the run."""
    prompts: dict[str, str] = {}
    """Role to digest of its prompt."""
    images: dict[str, str] = {}
    """Profile to id of its sandbox image."""


def profiles_in_use(settings: Settings) -> frozenset[str]:
    """Return the names of the sandbox profiles that a run uses."""
    return frozenset({settings.role(role).sandbox for role in ROLES} | {settings.proof.sandbox})


async def entries_of(ledger: Ledger, run: str, *, kinds: Sequence[EntryKind] = ()) -> tuple[Entry, ...]:
    """Return a run's entries; raises RunError where there are none."""
    entries = await ledger.entries(run, kinds=kinds) if run.isascii() else ()
    if not entries:
        raise RunError(f"there is no run {run!r}", next_step="`assay runs` lists them")
    return entries


async def read_manifest(ledger: Ledger, run: str) -> tuple[Manifest, Entry]:
    """Return a run's manifest and the entry that holds it; raises RunError for an unknown run."""
    started = await entries_of(ledger, run, kinds=(EntryKind.RUN_STARTED,))
    return Manifest.model_validate(started[0].body["manifest"]), started[0]


async def write_manifest(ledger: Ledger, run: str, manifest: Manifest) -> Entry:
    """Record that a run starts."""
    return await ledger.append(
        run, EntryKind.RUN_STARTED, "started", {"manifest": manifest.model_dump(mode="json"), "title": manifest.title}
    )


async def load_ticket(blobs: Blobs, manifest: Manifest) -> Ticket:
    """Return the ticket of a run."""
    return Ticket.model_validate_json(await blobs.get(manifest.ticket))


async def load_settings(blobs: Blobs, manifest: Manifest) -> Settings:
    """Return the settings of a run."""
    return Settings.model_validate_json(await blobs.get(manifest.settings))


async def keep(blobs: Blobs, record: Record) -> str:
    """Keep a record and return its digest."""
    return await blobs.put(canonical_json(record))


def with_model(settings: Settings, model: str | None) -> Settings:
    """Return the settings with a model for every role that names none.

    Raises ConfigurationError, naming the roles, where there is none to give.
    """
    lacking = [name for name in ROLES if not settings.role(name).model]
    if lacking and not model:
        raise ConfigurationError(
            f"no model is named for {', '.join(lacking)}",
            next_step="give --model provider:name, or set `model` under [agents.ROLE] in assay.toml",
        )
    agents: dict[str, RoleSettings] = dict(settings.agents)
    for name in lacking:
        agents[name] = settings.role(name).model_copy(update={"model": model})
    return settings.model_copy(update={"agents": agents})
