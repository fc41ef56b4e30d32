"""Building upon a base image from a registry, tried against a real one on the loopback interface."""

from __future__ import annotations

from typing import Protocol

import docker
import pytest

from assay.errors import ImageMissing
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Recipe, build_image, load_recipe, with_chosen_base
from assay.sandboxes.images.registry import ImageLock, fetch_base, pin_base, read_lock, write_lock

pytestmark = pytest.mark.docker


class Registry(Protocol):
    """What the fixture `registry` gives."""

    address: str

    def push(self, image: str, name: str) -> str: ...


def own_recipe(base: str = "debian:bookworm-slim") -> Recipe:
    """Return the recipe `python` under another name: the image that other tests use stays what it is."""
    return Recipe.model_validate({**load_recipe("python").model_dump(), "name": "test-registry", "base": base})


def relabelled(client: docker.DockerClient, image: str) -> str:
    """Return the id of an image that differs from another one only in a label."""
    container = client.containers.create(image, ["true"])
    try:
        return str(container.commit(changes="LABEL assay.test=moved").id)
    finally:
        container.remove()


async def test_a_base_is_resolved_once_and_built_upon_by_its_digest(
    client: docker.DockerClient, engine: Engine, registry: Registry, slim_base: str, places: BuildPlaces
) -> None:
    """The lock is written before the build, the build keeps to it when the tag moves, and the image says so."""
    reference = registry.push(slim_base, "debian:slim")
    recipe = own_recipe(reference)
    first = await pin_base(engine, reference, places.lock, renew=False)
    assert first is not None
    assert read_lock(places.lock).digests == {reference: first}

    other = relabelled(client, slim_base)
    assert registry.push(other, "debian:slim") == reference
    said: list[str] = []
    built = await build_image(engine, recipe, places, progress=said.append)
    try:
        assert built.digest == first
        assert await with_chosen_base(engine, own_recipe()) == recipe
        assert any(f"@{first}" in line for line in said)
        assert {package.split()[0] for package in built.packages} >= {"git", "python3-pytest", "libfaketime"}
        assert not places.cache.exists() or not list(places.cache.glob("*.tar.gz"))
        assert client.images.get(recipe.tag).labels["dev.assay.recipe"] == recipe.key

        renewed = await pin_base(engine, reference, places.lock, renew=True)
        assert renewed not in {None, first}
        assert read_lock(places.lock).digests == {reference: renewed}
    finally:
        client.images.remove(recipe.tag)
        client.images.remove(recipe.tag.partition(":")[0] + ":latest")


async def test_a_digest_in_the_reference_needs_no_registry(engine: Engine, places: BuildPlaces) -> None:
    """What is pinned already is taken as it is, and nothing is written."""
    digest = "sha256:" + "1" * 64
    assert await pin_base(engine, f"127.0.0.1:1/debian@{digest}", places.lock, renew=True) == digest
    assert not places.lock.exists()


async def test_no_registry_means_no_digest(engine: Engine, places: BuildPlaces) -> None:
    """Where none answers, none is made up, and a locked one cannot be fetched."""
    dead = "127.0.0.1:1/debian:slim"
    assert await pin_base(engine, dead, places.lock, renew=False) is None
    assert not places.lock.exists()
    assert await fetch_base(engine, dead, "sha256:" + "2" * 64) is None


async def test_a_registry_that_lacks_the_base_is_an_error(
    engine: Engine, registry: Registry, places: BuildPlaces
) -> None:
    """It is not taken for one that does not answer: another base would be used in silence."""
    absent = f"{registry.address}/debian:absent"
    with pytest.raises(ImageMissing, match="absent"):
        await pin_base(engine, absent, places.lock, renew=False)
    write_lock(places.lock, ImageLock(digests={absent: "sha256:" + "3" * 64}))
    with pytest.raises(ImageMissing, match="333"):
        await build_image(engine, own_recipe(absent), places)
