"""Volumes of the engine that sandboxes may read: whoever runs the engine allows each one, by a label on it.

A path of the host's is never mounted: a remote engine has others, and a profile comes from a repository. A named
volume is the engine's own, and its label can be set by nobody who cannot administer the engine anyway.
"""

from __future__ import annotations

import posixpath
from typing import Any, Final

from docker.types import Mount as DockerMount

from assay.errors import SandboxRefused
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.engine import Engine

MOUNTABLE: Final = "dev.assay.mountable"
"""Label of a volume that sandboxes may read; its value is `yes`."""
PLACES: Final = ("/opt", "/srv", "/mnt")
"""Below these volumes may appear: nothing that runs is looked for there."""


def check_mounts(profile: SandboxProfile) -> None:
    """Raise SandboxRefused for a mount in a place where it could stand before something else, or for two in one."""
    seen: list[str] = []
    for mount in profile.mounts:
        target = mount.target
        if posixpath.normpath(target) != target or not any(target.startswith(f"{place}/") for place in PLACES):
            raise SandboxRefused(
                f"The volume {mount.volume!r} cannot be mounted at {target!r}.",
                next_step=f"choose a place below one of {', '.join(PLACES)}, for instance {PLACES[0]}/data",
            )
        if any(f"{target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{target}/") for other in seen):
            raise SandboxRefused(f"Two volumes cannot be mounted at {target!r}.", next_step="choose places apart")
        seen.append(target)


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


def mount_options(profile: SandboxProfile) -> list[Any]:
    """Return the mounts for `create_host_config`: read-only, and never filled from the image."""
    return [
        DockerMount(target=mount.target, source=mount.volume, type="volume", read_only=True, no_copy=True)
        for mount in profile.mounts
    ]
