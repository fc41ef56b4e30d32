"""Recipes: what an image is made of, and the key by which one that is already built is found."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Final

from pydantic import Field, ValidationError

from assay.errors import ConfigurationError
from assay.records.base import Record, digest_of

NAMES: Final = ("base", "node", "python")
"""Recipes that are shipped."""

FORMAT: Final = 1
"""Raised when the way of building changes so that images built before must not count."""

DebianPackage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]


class Recipe(Record):
    """What one image is made of."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    base: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")] = "debian:bookworm-slim"
    """Image that is built upon, where a registry answers; a tag is resolved to a digest once and locked."""
    suite: str = "bookworm"
    """Debian release that is bootstrapped on a Debian machine, where no registry answers."""
    packages: tuple[DebianPackage, ...] = ()
    """Debian packages beyond the minimal system; the same for both ways."""
    by_apt: tuple[DebianPackage, ...] = ()
    """More of them, whose dependencies are too much for debootstrap: apt installs these upon the rest."""
    probe: Annotated[str, Field(pattern=r"^[a-z]+$")] = "python"
    """Which tools a new image must prove to have: `probe-NAME.sh` beside this module."""

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change whenever a build would come out differently by intention."""
        made_with = {"format": FORMAT, "finish": script("finish.sh"), "probe": script(f"probe-{self.probe}.sh")}
        left_out = {"probe"} if self.by_apt else {"probe", "by_apt"}  # so that others keep the key that they had
        made_of = self.model_dump(mode="json", exclude=left_out)
        return digest_of({"recipe": made_of, **made_with}).removeprefix("sha256:")[:16]

    @property
    def tag(self) -> str:
        """Name of the image that this very recipe makes."""
        return f"{repository(self.name)}:{self.key}"


def repository(name: str) -> str:
    """Return the image name, without a tag, under which the images of a recipe are kept."""
    return f"assay-sandbox/{name}"


def load_recipe(name: str, *, base: str | None = None) -> Recipe:
    """Return a shipped recipe.

    Args:
        name: one of `NAMES`.
        base: image to build upon instead of the recipe's own.

    Raises:
        ConfigurationError: there is no recipe of that name, or the base is no image reference.
    """
    if name not in NAMES:
        raise ConfigurationError(f"no image recipe is called {name!r}", next_step=f"use one of: {', '.join(NAMES)}")
    recipe = Recipe.model_validate(tomllib.loads(script(f"{name}.toml")))
    return recipe if base is None else upon(recipe, base)


def upon(recipe: Recipe, base: str) -> Recipe:
    """Return the same recipe with another base; raises ConfigurationError for what is no image reference."""
    try:
        return Recipe.model_validate({**recipe.model_dump(), "base": base})
    except ValidationError as error:
        raise ConfigurationError(
            f"{base!r} is not the name of an image", next_step="write it like host:5000/debian:bookworm-slim"
        ) from error


def script(name: str) -> str:
    """Return the text of a file that is shipped beside this module."""
    return (files("assay.sandboxes.images") / name).read_text()
