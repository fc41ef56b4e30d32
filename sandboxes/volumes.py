"""Volumes of the engine that sandboxes may read: whoever runs the engine allows each one, by a label on it.

A path of the host's is never mounted: a remote engine has others, and a profile comes from a repository. A named
volume is the engine's own, and its label can be set by nobody who cannot administer the engine anyway.
"""

from __future__ import annotations

from typing import Final

from assay.errors import SandboxRefused
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.engine import Engine

MOUNTABLE: Final = "dev.assay.mountable"
"""Label of a volume that sandboxes may read; its value is `yes`."""


async def check_volumes(engine: Engine, profile: SandboxProfile) -> None:
    """Raise SandboxRefused for a volume that is not there, not allowed, or leads to a path of the host's."""
    for mount in profile.mounts:
        found = await engine.call("inspect_volume", mount.volume, ignore=(404,))
        if found is None:
            raise SandboxRefused(
                f"The engine has no volume {mount.volume!r}.",
                next_step=f"docker volume create --label {MOUNTABLE}=yes {mount.volume}",
            )
        if (found.get("Labels") or {}).get(MOUNTABLE) != "yes":
            raise SandboxRefused(
                f"The volume {mount.volume!r} is not one that sandboxes may read.",
                next_step=f"whoever runs the engine allows it by making it with --label {MOUNTABLE}=yes",
            )
        if found.get("Driver") != "local" or found.get("Options"):
            raise SandboxRefused(
                f"The volume {mount.volume!r} is no plain volume of the engine's: {found.get('Driver')}, "
                f"{found.get('Options')}. It may lead to a path or a server of the host's.",
                next_step=f"docker volume create --label {MOUNTABLE}=yes NAME, and copy into it what is to be read",
            )
