"""Which sandbox images the engine holds; everything that is known of one is in its labels."""

from __future__ import annotations

from typing import Any, Final

from assay.errors import ImageMissing
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.recipes import Recipe, repository, upon

NAME_LABEL: Final = "dev.assay.image"
RECIPE_LABEL: Final = "dev.assay.recipe"
PACKAGES_LABEL: Final = "dev.assay.packages"
BASE_LABEL: Final = "dev.assay.base"
DIGEST_LABEL: Final = "dev.assay.base-digest"
STATE_LABEL: Final = "dev.assay.state"
UPON_LABEL: Final = "dev.assay.dependencies.base"
"""On a layer of dependencies: id of the image below. By it such layers are found."""
LOCK_LABEL: Final = "dev.assay.dependencies.lock"
"""On a layer of dependencies: digest and path of the lock file."""
DEPENDENCIES_LABEL: Final = "dev.assay.dependencies.packages"
"""On a layer of dependencies: what was installed, `pypi/name=version` or `npm/name=version`, separated by spaces."""
LOADED_LABEL: Final = "dev.assay.dependencies.loaded"
"""On a layer of dependencies: which of them are loaded by themselves, before any program asks for them."""
FETCHED_LABEL: Final = "dev.assay.dependencies.files"
"""On a layer of dependencies: digest of the names and digests of the files that were installed."""
BUILDING: Final = "building"
READY: Final = "ready"


def image_labels(recipe: Recipe, *, base_digest: str | None, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the labels of a finished image.

    Packages are written `name=version`, as apt takes them, separated by spaces.
    """
    return {
        NAME_LABEL: recipe.name,
        RECIPE_LABEL: recipe.key,
        BASE_LABEL: recipe.base,
        DIGEST_LABEL: base_digest or "",
        PACKAGES_LABEL: " ".join(packages),
        STATE_LABEL: READY,
    }


def knows_localhost(attributes: dict[str, Any]) -> bool:
    """Return whether an inspected image resolves `localhost` by itself, as is tried when one of ours is built."""
    labels = (attributes.get("Config") or {}).get("Labels") or {}
    return labels.get(STATE_LABEL) == READY


def image_from(attributes: dict[str, Any]) -> Image:
    """Return the record of an image from what the engine says of it; works for images that are not assay's."""
    labels = (attributes.get("Config") or {}).get("Labels") or attributes.get("Labels") or {}
    names = [*(attributes.get("RepoTags") or ()), *(attributes.get("RepoDigests") or ())]
    foreign_digest = next((name.partition("@")[2] for name in attributes.get("RepoDigests") or ()), None)
    packages = [*labels.get(PACKAGES_LABEL, "").split(), *labels.get(DEPENDENCIES_LABEL, "").split()]
    return Image(
        name=labels.get(NAME_LABEL) or next(iter(names), attributes["Id"]),
        id=attributes["Id"],
        digest=labels.get(DIGEST_LABEL) or foreign_digest,
        packages=tuple(package.replace("=", " ", 1) for package in packages),
        lock=labels.get(LOCK_LABEL, "").partition(" ")[0] or None,
        loaded=tuple(package.replace("=", " ", 1) for package in labels.get(LOADED_LABEL, "").split()),
    )


async def inspect_named(engine: Engine, name: str) -> dict[str, Any]:
    """Return what the engine says of an image, by a recipe's name or a reference; raises ImageMissing."""
    reference = name if any(mark in name for mark in ":/@") else f"{repository(name)}:latest"
    try:
        found: dict[str, Any] = await engine.call("inspect_image", reference)
    except ImageMissing as error:
        step = f"assay sandbox build {name}" if reference != name else f"make {name!r} known to the engine"
        raise ImageMissing(f"The engine does not have the image {reference!r}.", next_step=step) from error
    return found


async def find_image(engine: Engine, recipe: Recipe) -> Image | None:
    """Return the image that this very recipe made, or None where there is none or only a half-finished one."""
    try:
        found = await engine.call("inspect_image", recipe.tag)
    except ImageMissing:
        return None
    labels = (found.get("Config") or {}).get("Labels") or {}
    if labels.get(STATE_LABEL) != READY or labels.get(RECIPE_LABEL) != recipe.key:
        return None
    return image_from(found)


async def with_chosen_base(engine: Engine, recipe: Recipe) -> Recipe:
    """Return the recipe upon the base that a person chose when the newest image of its name was built."""
    try:
        found = await engine.call("inspect_image", f"{repository(recipe.name)}:latest")
    except ImageMissing:
        return recipe
    base = ((found.get("Config") or {}).get("Labels") or {}).get(BASE_LABEL)
    return upon(recipe, base) if base else recipe


async def list_images(engine: Engine) -> tuple[Image, ...]:
    """Return the finished sandbox images that the engine holds, newest first.

    An image that somebody built upon one of them has its labels and another name, and is not listed.
    """
    found = await engine.call("images", filters={"label": f"{STATE_LABEL}={READY}"})
    own = (attributes for attributes in found if _own_name(attributes["Labels"]) in (attributes["RepoTags"] or ()))
    newest_first = sorted(own, key=lambda attributes: int(attributes["Created"]), reverse=True)
    return tuple(image_from(attributes) for attributes in newest_first)


def _own_name(labels: dict[str, str]) -> str:
    return f"{repository(labels[NAME_LABEL])}:{labels.get(RECIPE_LABEL)}"
