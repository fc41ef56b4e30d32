"""What this machine lacks, and the images that sandboxes are made from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from assay.app.configuration import look_up_settings
from assay.app.dependencies import places
from assay.app.wiring import open_house
from assay.errors import AssayError
from assay.records.base import Record
from assay.records.sandboxes import Image, Left, SandboxProfile
from assay.sandboxes.doctor import Finding, examine, examine_images, examine_runtimes
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import (
    HeldImage,
    Recipe,
    build_image,
    list_held,
    load_recipe,
    prune_images,
    with_chosen_base,
)
from assay.sandboxes.images.recipes import NAMES
from assay.sandboxes.inventory import HeldSandbox, list_sandboxes
from assay.store.state import state_root


async def findings(root: Path | None = None, repo: Path | None = None) -> tuple[Finding, ...]:
    """Return what assay needs of this machine, and a repository's profiles of its engine, and how each of it stands."""
    where = places(root)
    directories = (root or state_root(os.environ), where.cache)
    profiles = await _profiles(repo, root) if repo else {}
    images = {name: profile.image for name, profile in profiles.items()}
    recipes = tuple(load_recipe(name) for name in NAMES if name == "python" or name in images.values())
    async with _engine() as engine:
        found = await examine(engine, recipes=recipes, directories=directories)
        others = {name: image for name, image in images.items() if image not in NAMES}
        runtimes = {name: profile.runtime for name, profile in profiles.items() if profile.runtime}
        return (*found, *await examine_images(engine, others), *await examine_runtimes(engine, runtimes))


async def _profiles(repo: Path, root: Path | None) -> dict[str, SandboxProfile]:
    """Return the profiles of a repository; none where its settings cannot be read."""
    try:
        settings, _ = await look_up_settings(repo, None, root=root)
    except AssayError:
        return {}
    return dict(settings.sandboxes)


async def sandboxes_held() -> tuple[HeldSandbox, ...]:
    """Return the sandboxes on the engine; raises EngineUnavailable."""
    async with _engine() as engine:
        return await list_sandboxes(engine)


async def images_held(root: Path | None = None, *, unused_days: float = 30) -> tuple[HeldImage, ...]:
    """Return assay's images on the engine, and whether each is needed; raises EngineUnavailable."""
    async with _engine() as engine:
        return await list_held(engine, await _recipes(engine), places(root), unused_days=unused_days)


class PrunedSandboxes(Record):
    """What `assay sandbox prune` removed, or would remove."""

    sandboxes: tuple[str, ...]
    left: tuple[Left, ...] = ()
    """Those that hold work which could not be kept."""
    images: tuple[str, ...]


async def prune_sandboxes(
    unused_days: float, *, dry: bool, progress: Callable[[str], None], root: Path | None = None
) -> PrunedSandboxes:
    """Remove sandboxes of dead processes, their work kept first, and images that nothing needs any more."""
    sandboxes = tuple(one.id for one in await sandboxes_held() if one.left_over)
    left: tuple[Left, ...] = ()
    if not dry:
        async with open_house(root=root) as house:
            reaped = await house.reap()
        sandboxes, left = reaped.removed, reaped.left
    async with _engine() as engine:
        images = await prune_images(
            engine, await _recipes(engine), places(root), unused_days=unused_days, dry=dry, progress=progress
        )
    return PrunedSandboxes(sandboxes=sandboxes, left=left, images=images)


async def _recipes(engine: Engine) -> tuple[Recipe, ...]:
    """Return what images are made of now, each upon the base that was chosen last."""
    return tuple([await with_chosen_base(engine, load_recipe(name)) for name in NAMES])


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
