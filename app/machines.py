"""What this machine lacks, and the images that sandboxes are made from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import docker
import platformdirs

from assay.errors import EngineUnavailable
from assay.records.sandboxes import Image
from assay.sandboxes.doctor import Finding, examine, mend_engine
from assay.sandboxes.images import BuildPlaces, build_image, load_recipe
from assay.store.state import state_root


def places(root: Path | None = None) -> BuildPlaces:
    """Return where image builds keep things: the cache, and the lock file beside the state."""
    state = root or state_root(os.environ)
    return BuildPlaces(cache=platformdirs.user_cache_path("assay") / "images", lock=state / "images.lock.json")


async def findings(root: Path | None = None) -> tuple[Finding, ...]:
    """Return what assay needs of this machine and how each of it stands."""
    where = places(root)
    return await examine(recipes=(load_recipe("python"),), directories=(root or state_root(os.environ), where.cache))


async def build(name: str, *, force: bool, progress: Callable[[str], None], root: Path | None = None) -> Image:
    """Build a sandbox image; raises EngineUnavailable, ConfigurationError, DiskFull and what the build says."""
    recipe = load_recipe(name)
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise EngineUnavailable(f"no Docker engine answers: {error}", next_step=mend_engine(error)) from error
    try:
        return await build_image(client, recipe, places(root), force=force, progress=progress)
    finally:
        client.close()
