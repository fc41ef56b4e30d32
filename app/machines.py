"""What this machine lacks, and the images that sandboxes are made from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import platformdirs

from assay.records.sandboxes import Image
from assay.sandboxes.doctor import Finding, examine
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, build_image, load_recipe, with_chosen_base
from assay.store.state import state_root


def places(root: Path | None = None) -> BuildPlaces:
    """Return where image builds keep things: the cache, and the lock file beside the state."""
    state = root or state_root(os.environ)
    return BuildPlaces(cache=platformdirs.user_cache_path("assay") / "images", lock=state / "images.lock.json")


async def findings(root: Path | None = None) -> tuple[Finding, ...]:
    """Return what assay needs of this machine and how each of it stands."""
    where = places(root)
    directories = (root or state_root(os.environ), where.cache)
    async with _engine() as engine:
        return await examine(engine, recipes=(load_recipe("python"),), directories=directories)


async def build(
    name: str, *, base: str | None = None, force: bool, progress: Callable[[str], None], root: Path | None = None
) -> Image:
    """Build a sandbox image upon a base, the one that was chosen last where None.

    Raises EngineUnavailable, ConfigurationError, DiskFull and what the build says.
    """
    recipe = load_recipe(name, base=base)
    async with _engine() as engine:
        recipe = recipe if base else await with_chosen_base(engine, recipe)
        return await build_image(engine, recipe, places(root), force=force, progress=progress)


@asynccontextmanager
async def _engine() -> AsyncIterator[Engine]:
    engine = Engine()
    try:
        yield engine
    finally:
        await engine.close()
