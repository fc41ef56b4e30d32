"""Ways out of sandboxes: who may grant them, and how the ledger learns what goes through them."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import platformdirs
from pydantic import ValidationError

from assay.errors import ConfigurationError
from assay.policies.egress import narrowed, not_covered, parse_destination, parse_network
from assay.policies.settings import Settings
from assay.records.egress import Egress, EgressEvent
from assay.records.entries import EntryKind
from assay.records.sandboxes import SandboxOwner
from assay.sandboxes.egress.ways import Recorder
from assay.store.protocol import Ledger

VARIABLE: Final = "ASSAY_EGRESS"
_FILE: Final = "egress.toml"


def grant_path(environment: Mapping[str, str]) -> Path:
    """Return the file in which a person grants ways out: `ASSAY_EGRESS`, or one beside the user's settings."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return platformdirs.user_config_path("assay", appauthor=False) / _FILE


async def read_grant(path: Path) -> Egress:
    """Return what a person grants to every repository; nothing where there is no such file.

    It has the keys of `[sandboxes.NAME.egress]`, at its top. Raises ConfigurationError.
    """
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    except FileNotFoundError:
        return Egress()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    try:
        grant = Egress.model_validate(tomllib.loads(text))
        for destination in grant.allow:
            parse_destination(destination)
        for network in grant.networks:
            parse_network(network)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(f"{path}: {where}: {first['msg']}", next_step="docs/egress.md shows one") from None
    except ValueError as error:  # of TOML, or of a destination
        raise ConfigurationError(f"{path}: {error}", next_step="docs/egress.md shows one") from None
    return grant


def within(settings: Settings, profiles: Collection[str], grant: Egress, *, source: str, path: Path) -> Settings:
    """Return a repository's settings, no way out in them wider than the grant; raises ConfigurationError.

    Args:
        settings: as the repository gives them.
        profiles: names of those whose ways out it asks for by itself.
        grant: what a person allows every repository.
        source: where the settings were read, for the message.
        path: where a grant is written, for the message.
    """
    narrower = dict(settings.sandboxes)
    for name in profiles:
        profile = settings.sandboxes[name]
        if beyond := not_covered(profile.egress, grant):
            raise ConfigurationError(
                f"{source}: [sandboxes.{name}.egress] asks for {', '.join(beyond)}, and a repository cannot grant "
                "itself a way out.",
                next_step=f"grant it in {path}, or give settings of your own with --config; docs/egress.md",
            )
        narrower[name] = profile.model_copy(update={"egress": narrowed(profile.egress, grant)})
    return settings.model_copy(update={"sandboxes": narrower})


def into(ledger: Ledger) -> Recorder:
    """Return what writes everything that happens to a request of a sandbox into the run's ledger."""

    async def record(owner: SandboxOwner, sandbox: str, event: EgressEvent) -> None:
        body = event.model_dump(mode="json", exclude_defaults=True)
        key = f"egress:{sandbox}:{event.number}:{event.stage}"
        await ledger.append(owner.run, EntryKind.EGRESS_ASKED, key, {"sandbox": sandbox, **body}, role=owner.role)

    return record
