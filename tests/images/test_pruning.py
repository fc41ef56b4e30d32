"""Which images a prune leaves alone, though no recipe makes them now."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from tests.images.conftest import Registry

from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Recipe, list_held, load_recipe, prune_images
from assay.sandboxes.images.recipes import NAMES, repository
from assay.sandboxes.layers import SupervisorLayers

pytestmark = pytest.mark.docker
SHIPPED = tuple(load_recipe(name) for name in NAMES)
OWN = Recipe(name="test-latest", base="127.0.0.1:1/nobody:answers")
"""What is made of this now has another key than what the engine holds."""


@pytest.fixture
def outdated(client: docker.DockerClient, python_image: Image) -> Iterator[str]:
    """Id of an image that a recipe made which has changed since, with one upon it that has a layer's labels."""
    container = client.containers.create(python_image.id, ["true"])
    labels = f"LABEL dev.assay.image={OWN.name} dev.assay.recipe={'0' * 16} dev.assay.state=ready"
    made = container.commit(repository=repository(OWN.name), tag="latest", changes=labels)
    container.remove()
    client.api.tag(str(made.id), repository(OWN.name), "0" * 16)
    yield str(made.id)
    client.images.remove(str(made.id), force=True)


@pytest.fixture
def layer(client: docker.DockerClient, outdated: str) -> Iterator[str]:
    """Id of a layer of dependencies upon it."""
    container = client.containers.create(outdated, ["true"])
    made = container.commit(
        repository=repository("dependencies"),
        tag="test-latest",
        changes=f"LABEL dev.assay.dependencies.base={outdated}",
    )
    container.remove()
    yield str(made.id)
    client.images.remove(str(made.id), force=True)


async def test_what_profiles_find_by_its_name_stays(
    client: docker.DockerClient, engine: Engine, places: BuildPlaces, outdated: str, layer: str
) -> None:
    """`NAME:latest` of a changed recipe is what sandboxes open until it is built anew, and layers upon it are used.

    Without that name, or where no recipe has the name any more, both go.
    """
    removed = await prune_images(engine, (*SHIPPED, OWN), places, dry=True)
    assert {outdated, layer}.isdisjoint(removed)
    assert {outdated, layer} <= set(await prune_images(engine, SHIPPED, places, dry=True))
    client.images.remove(f"{repository(OWN.name)}:latest")
    assert {outdated, layer} <= set(await prune_images(engine, (*SHIPPED, OWN), places, dry=True))


async def test_an_image_of_a_persons_that_was_pulled_by_digest_stays(
    client: docker.DockerClient, engine: Engine, places: BuildPlaces, outdated: str, registry: Registry
) -> None:
    """It has the labels of the image that it was made from, and no tag."""
    container = client.containers.create(outdated, ["true"])
    own = container.commit(changes="LABEL somebodys=own")
    container.remove()
    tagged = registry.push(str(own.id), "somebodys:1")
    digest = (await engine.call("inspect_distribution", tagged))["Descriptor"]["digest"]
    by_digest = f"{tagged.rpartition(':')[0]}@{digest}"
    client.api.pull(by_digest)
    attributes = client.images.get(by_digest).attrs
    assert (attributes["Id"], attributes["RepoTags"]) == (own.id, [])
    held = {one.id: one for one in await list_held(engine, SHIPPED, places, unused_days=30)}
    assert (held[str(own.id)].names, held[str(own.id)].needed) == ((by_digest,), True)
    assert own.id not in await prune_images(engine, SHIPPED, places, dry=True)
    client.images.remove(by_digest, force=True)


@pytest.mark.alone
async def test_what_stands_on_an_image_that_lost_its_last_name_goes(
    client: docker.DockerClient, engine: Engine, places: BuildPlaces, python_image: Image
) -> None:
    """The engine keeps an image below as long as another stands on it; removed is the upper one alone.

    With its name, which somebody else's image may have by its digest, too, it is needed.
    """
    container = client.containers.create(python_image.id, ["true"])
    below = container.commit(repository="assay-test-lost", tag="1", changes="LABEL somebodys=own")
    container.remove()
    layers = SupervisorLayers(engine)
    upper = await layers.image_on(await engine.call("inspect_image", str(below.id)))
    try:
        assert upper not in await prune_images(engine, SHIPPED, places, dry=True)
        client.images.remove("assay-test-lost:1")
        assert upper in await prune_images(engine, SHIPPED, places, dry=True)
        assert upper in await prune_images(engine, SHIPPED, places)
        assert client.images.get(str(below.id)).tags == []
    finally:
        client.images.remove(str(below.id), force=True)
