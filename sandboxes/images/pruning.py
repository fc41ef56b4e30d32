"""Which images of assay's nobody needs any more, and their removal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from assay.errors import ImageMissing
from assay.records.base import Record
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.catalog import LOCK_LABEL, NAME_LABEL, READY, RECIPE_LABEL, STATE_LABEL, UPON_LABEL
from assay.sandboxes.images.places import BuildPlaces, Progress
from assay.sandboxes.images.recipes import Recipe, repository
from assay.sandboxes.layers import BASE_LABEL, LAYER_LABEL, prune_layers

_IN_USE: Final = 409
_UNNAMED: Final = ("<none>:<none>", "<none>@<none>")

Kind = Literal["profile", "dependencies", "supervised", "unfinished"]


class HeldImage(Record):
    """An image of assay's in the engine."""

    id: str
    kind: Kind
    """`profile`: made by a recipe; `dependencies`: a project's upon one; `supervised`: either with the supervisor
    in it, from which containers are made; `unfinished`: left by a build that was killed."""
    names: tuple[str, ...]
    """By tag, and by digest where a registry knows it."""
    created: int
    """Seconds since 1970."""
    size: int
    """Bytes; layers that several images share count in each."""
    upon: str | None
    """Id of the image below, where assay made it upon one of its own."""
    lock: str | None
    """Path of the lock file."""
    needed: bool
    """Whether it is what a recipe makes now or what profiles find by its name, was used lately, or has a name that is
    not assay's own."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    recipes: frozenset[tuple[str, str]]
    places: BuildPlaces
    used_since: float


async def list_held(
    engine: Engine, recipes: tuple[Recipe, ...], places: BuildPlaces, *, unused_days: float
) -> tuple[HeldImage, ...]:
    """Return every image of assay's, newest first, and whether it is still needed.

    Args:
        engine: which holds them.
        recipes: what is made of them is needed.
        places: remember when layers of dependencies were used.
        unused_days: a layer of dependencies that was not used for so long is not needed.
    """
    wanted = _Wanted(
        frozenset((recipe.name, recipe.key) for recipe in recipes), places, time.time() - unused_days * 86400
    )
    own = [*await engine.call("images", filters={"label": NAME_LABEL})]
    own += await engine.call("images", filters={"label": UPON_LABEL})
    own += await engine.call("images", filters={"label": LAYER_LABEL})
    found = {attributes["Id"]: attributes for attributes in own}
    held = [_held(attributes, wanted) for attributes in found.values()]
    gone = {one.id for one in held if not one.needed}
    below = {one.upon for one in held if one.upon is not None}
    # The engine keeps an image whose last name somebody took away as long as another stands on it: it is gone, too.
    everything = await engine.call("images", all=True) if below else ()
    present = {attributes["Id"] for attributes in everything if _names(attributes)}
    # What stands on an image that is gone, or that goes, is needed by nobody either; two steps reach the topmost.
    for _ in range(2):
        held = [
            one.model_copy(update={"needed": False})
            if one.upon is not None and _own_names(one.names) and (one.upon in gone or one.upon not in present)
            else one
            for one in held
        ]
        gone = {one.id for one in held if not one.needed}
    return tuple(sorted(held, key=lambda one: (-one.created, one.id)))


async def prune_images(
    engine: Engine,
    recipes: tuple[Recipe, ...],
    places: BuildPlaces,
    *,
    unused_days: float = 30,
    dry: bool = False,
    progress: Progress = lambda line: None,
) -> tuple[str, ...]:
    """Remove what builds left behind and the images that nobody needs any more; return the ids removed.

    An image that a container still uses stays, one with a name that is not assay's own, and `NAME:latest` of a recipe.
    Waits for a build that is under way with the same cache.

    Args:
        engine: which holds them.
        recipes: what is made of them stays.
        places: where root file systems and packages are kept; those that no recipe needs go, too.
        unused_days: layers of dependencies go that were not used for so long.
        dry: only say what would go.
        progress: told of each one.
    """
    removed = []
    async with places.one_builder(progress):
        held = await list_held(engine, recipes, places, unused_days=unused_days)
        order = ("supervised", "dependencies", "profile", "unfinished")
        for one in sorted((one for one in held if not one.needed), key=lambda one: order.index(one.kind)):
            if dry or await _remove(engine, list(one.names) or [one.id]):
                removed.append(one.id)
                progress(f"{'would remove' if dry else 'removed'} {one.names[0] if one.names else one.id}")
        removed += await prune_layers(engine, dry=dry)
        if not dry:
            places.sweep(recipes_kept={f"{recipe.name}-{recipe.key}" for recipe in recipes})
    return tuple(removed)


def _held(attributes: Mapping[str, Any], wanted: _Wanted) -> HeldImage:
    labels = attributes.get("Labels") or {}
    names = _names(attributes)
    kind, needed = _judge(labels, names, int(attributes["Created"]), wanted)
    return HeldImage(
        id=attributes["Id"],
        kind=kind,
        names=names,
        created=int(attributes["Created"]),
        size=int(attributes["Size"]),
        upon=labels.get(BASE_LABEL) or labels.get(UPON_LABEL),
        lock=labels.get(LOCK_LABEL, "").partition(" ")[2] or None,
        needed=needed,
    )


def _judge(labels: Mapping[str, str], names: tuple[str, ...], created: int, wanted: _Wanted) -> tuple[Kind, bool]:
    """Return what an image is, and whether it is needed as far as its own labels and names tell."""
    foreign = not _own_names(names)
    if LAYER_LABEL in labels:
        return "supervised", True
    if UPON_LABEL in labels:
        if not names:
            return "unfinished", False
        return "dependencies", foreign or max(created, *map(wanted.places.last_use, names)) >= wanted.used_since
    if labels.get(STATE_LABEL) != READY:
        return "unfinished", foreign
    name, key = labels[NAME_LABEL], labels.get(RECIPE_LABEL, "")
    # Profiles find it by this name though its recipe has changed since, and only it knows the base that was chosen.
    found = f"{repository(name)}:latest" in names and any(name == known for known, _ in wanted.recipes)
    return "profile", foreign or found or (name, key) in wanted.recipes


def _names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    # An image that somebody pulled by its digest has no tag. It has the labels of the one that it was made from.
    listed = [*(attributes.get("RepoTags") or ()), *(attributes.get("RepoDigests") or ())]
    return tuple(name for name in listed if name not in _UNNAMED)


def _own_names(names: tuple[str, ...]) -> bool:
    return all(name.startswith(repository("")) for name in names)


async def _remove(engine: Engine, names: list[str]) -> bool:
    """Remove an image by all its names; False where something still needs it."""
    for name in names:
        try:
            # The image below stays, though it may have no name: somebody's own is found by its id alone.
            removed = await engine.call("remove_image", name, noprune=True, ignore=(_IN_USE,))
        except ImageMissing:
            continue
        if removed is None:
            return False
    return True
