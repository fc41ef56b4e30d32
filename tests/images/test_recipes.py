"""Recipes, references and the lock file: everything of images that needs no engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from assay.errors import ConfigurationError, StoreCorrupt
from assay.sandboxes.images import Recipe, load_recipe
from assay.sandboxes.images.recipes import NAMES
from assay.sandboxes.images.registry import ImageLock, read_lock, split_reference, write_lock

DIGEST = "sha256:" + "a" * 64


def test_an_unknown_recipe_is_refused_by_name() -> None:
    """The error quotes what was asked for and lists what there is."""
    with pytest.raises(ConfigurationError, match="'pyhton'") as caught:
        load_recipe("pyhton")
    assert "python" in str(caught.value.next_step)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_whole(name: str) -> None:
    """Each has git and patch, a probe of its own, and a key of its own."""
    recipe = load_recipe(name)
    assert recipe.name == recipe.probe == name
    assert {"git", "patch"} <= set(recipe.packages)
    assert len({load_recipe(other).key for other in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    "change",
    [{"packages": ("git",)}, {"base": "debian:other"}, {"suite": "trixie"}, {"by_apt": ("npm",)}, {"probe": "base"}],
)
def test_the_key_changes_with_whatever_the_image_is_made_of(change: dict[str, object]) -> None:
    """An image that was built by another recipe must not count."""
    recipe = load_recipe("python")
    assert recipe.key == load_recipe("python").key
    assert recipe.key != recipe.model_copy(update=change).key


def test_a_base_of_the_users_own_is_taken() -> None:
    """It replaces the base and nothing else."""
    own = load_recipe("python", base="registry.example/debian:mine")
    assert own.base == "registry.example/debian:mine"
    assert own.packages == load_recipe("python").packages


@pytest.mark.parametrize("base", ["", "debian\nRUN id", "a b", "-x"])
def test_a_base_that_is_no_image_is_refused(base: str) -> None:
    """It becomes a line of a Dockerfile."""
    with pytest.raises(ConfigurationError, match="not the name of an image"):
        load_recipe("python", base=base)


@pytest.mark.parametrize("package", ["git; rm -rf /", "$(id)", "--allow-unauthenticated", ""])
def test_what_is_no_package_name_never_reaches_a_shell(package: str) -> None:
    """Package names are the only text of a recipe that becomes part of a command."""
    with pytest.raises(ValidationError):
        Recipe(name="mine", packages=(package,))


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("debian", ("debian", None, None)),
        ("debian:bookworm-slim", ("debian", "bookworm-slim", None)),
        ("127.0.0.1:5000/debian", ("127.0.0.1:5000/debian", None, None)),
        ("127.0.0.1:5000/a/debian:1", ("127.0.0.1:5000/a/debian", "1", None)),
        (f"debian@{DIGEST}", ("debian", None, DIGEST)),
        (f"host:1/debian:2@{DIGEST}", ("host:1/debian", "2", DIGEST)),
    ],
)
def test_references_are_taken_apart(reference: str, parts: tuple[str, str | None, str | None]) -> None:
    """A port is not a tag, and a digest is kept beside one."""
    assert split_reference(reference) == parts


def test_the_lock_file_says_again_what_was_written(tmp_path: Path) -> None:
    """It is JSON that a person can read and commit, and an absent one is empty."""
    path = tmp_path / "deep" / "images.lock.json"
    assert read_lock(path) == ImageLock()
    write_lock(path, ImageLock(digests={"debian:bookworm-slim": DIGEST}))
    assert read_lock(path).digests == {"debian:bookworm-slim": DIGEST}
    assert [entry.name for entry in path.parent.iterdir()] == ["images.lock.json"]


@pytest.mark.parametrize("content", ["", "{", '{"digests": 3}', '{"version": 1, "digest": {}}'])
def test_a_damaged_lock_file_is_an_error_and_not_an_empty_one(tmp_path: Path, content: str) -> None:
    """A lock that cannot be read must not let a tag be resolved anew in silence."""
    path = tmp_path / "images.lock.json"
    path.write_text(content)
    with pytest.raises(StoreCorrupt, match=str(path)):
        read_lock(path)
