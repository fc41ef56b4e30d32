"""Which images the profiles of a repository really mean: with its dependencies, as its lock file has them."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import platformdirs

from assay.errors import ConfigurationError
from assay.policies.settings import Settings
from assay.records.sandboxes import Image
from assay.records.trees import EXECUTABLE, REGULAR
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Lock, dependency_image, dependency_tag, inspect_named
from assay.store.git import GitStore
from assay.store.state import state_root

LayerMaker = Callable[[str, Lock], Awaitable[tuple[str, Image]]]
"""From the name of an image and a lock file to the name of the image with its distributions, and what that is."""

_MOST_BYTES = 20_000_000
"""Of a lock file."""


def places(root: Path | None = None) -> BuildPlaces:
    """Return where image builds keep things: the cache, and the lock file beside the state."""
    state = root or state_root(os.environ)
    return BuildPlaces(cache=platformdirs.user_cache_path("assay") / "images", lock=state / "images.lock.json")


def layers_on(engine: Engine, places: BuildPlaces, progress: Callable[[str], None]) -> LayerMaker:
    """Return what makes layers of dependencies on an engine."""

    async def make(name: str, lock: Lock) -> tuple[str, Image]:
        base = await inspect_named(engine, name)
        made = await dependency_image(engine, base, lock, places, progress)
        return dependency_tag(base["Id"], lock), made

    return make


async def with_dependencies(
    git: GitStore,
    layers: LayerMaker | None,
    settings: Settings,
    commit: str,
    profiles: Collection[str],
    *,
    brought_by: str | None = None,
) -> Settings:
    """Return settings in which the images of some profiles have what the lock files at a commit pin.

    Args:
        git: holds the commit.
        layers: makes the images; None where the host's own sandboxes cannot have any.
        settings: as the repository has them.
        commit: the base: nothing of what an agent or a change wrote since is read.
        profiles: names of those that will be used.
        brought_by: a change; a lock file that only it has leaves the image at the commit as it is.

    Raises ConfigurationError for a lock file that is not there or cannot be used, and what making an image raises.
    """
    changed = {}
    for name in sorted(profiles):
        profile = settings.sandbox(name)
        if profile.dependencies is None:
            continue
        if layers is None:
            raise ConfigurationError(
                f"[sandboxes.{name}] dependencies: these sandboxes cannot have layers of dependencies",
                next_step="take the setting out, and name an `image` that has them",
            )
        if brought_by is not None and await _is_brought(git, commit, brought_by, profile.dependencies):
            continue
        lock = await _read_lock(git, commit, name, profile.dependencies)
        image, _ = await layers(profile.image, lock)
        changed[name] = profile.model_copy(update={"image": image})
    return settings.model_copy(update={"sandboxes": {**settings.sandboxes, **changed}}) if changed else settings


async def _is_brought(git: GitStore, commit: str, head: str, path: str) -> bool:
    name = posixpath.normpath(path)
    return name not in await git.tree(commit) and name in await git.tree(head)


async def _read_lock(git: GitStore, commit: str, profile: str, path: str) -> Lock:
    file = (await git.tree(commit)).get(posixpath.normpath(path))
    if file is None or file.mode not in (REGULAR, EXECUTABLE):
        raise ConfigurationError(
            f"[sandboxes.{profile}] dependencies: there is no file {path!r} at {commit[:12]}",
            next_step="name a lock file relative to the root of the repository, and commit it",
        )
    data = await asyncio.to_thread(git.contents.read, file.oid)
    if len(data) > _MOST_BYTES:
        raise ConfigurationError(f"the lock file {path} is {len(data)} bytes long, which none should be")
    return Lock(path, data)
