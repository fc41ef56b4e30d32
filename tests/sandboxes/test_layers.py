"""The supervisor's layer on an image: made once, found again, and gone when it is of no use."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator

import docker
import pytest
from tests.sandboxes.engines import WatchedEngine

from assay.errors import SandboxRefused
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes import layers as layers_module
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.layers import BASE_LABEL, prune_layers, read_supervisor

pytestmark = pytest.mark.docker

NAME = "assay-test-layers"


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine as a bystander sees it; images that a test made are removed."""
    bystander = docker.from_env()
    yield bystander
    for image in bystander.images.list(NAME):
        for layer in layers_on(bystander, str(image.id)):
            bystander.images.remove(layer, force=True)
        bystander.images.remove(str(image.id), force=True)
    bystander.close()


def layers_on(client: docker.DockerClient, image: str) -> list[str]:
    """Return the ids of the layers on an image."""
    return [str(one.id) for one in client.images.list(filters={"label": f"{BASE_LABEL}={image}"})]


def make_image(client: docker.DockerClient, *changes: str) -> str:
    """Import an image that holds one empty file: no shell, no library, nothing."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    client.api.import_image_from_data(packed.getvalue(), repository=NAME, tag="1", changes=list(changes))
    return str(client.images.get(f"{NAME}:1").id)


async def test_a_layer_is_made_once(client: docker.DockerClient, owner: SandboxOwner) -> None:
    """Many that open at once share one layer, and another process finds it."""
    image = make_image(client)
    profile = SandboxProfile(image=f"{NAME}:1")
    engine = WatchedEngine()
    async with DockerProvider(engine) as provider:
        await asyncio.gather(*(provider.open(profile, owner) for _ in range(3)))
    assert engine.calls.count("commit") == 1
    assert len(layers_on(client, image)) == 1
    again = WatchedEngine()
    async with DockerProvider(again) as provider:
        await provider.open(profile, owner)
    assert "commit" not in again.calls


async def test_any_image_is_a_sandbox(client: docker.DockerClient, owner: SandboxOwner) -> None:
    """The supervisor needs nothing of an image: files move in and out of one that is empty."""
    make_image(client)
    async with DockerProvider() as provider, await provider.open(SandboxProfile(image=f"{NAME}:1"), owner) as box:
        await box.write("a", b"a")
        assert await box.read("a") == b"a"
        assert set((await box.take_tree()).tree) == {"a"}
        result = await box.run("true")
        assert b"cannot run '/bin/sh'" in result.stderr.data


async def test_a_pruned_layer_is_made_again(client: docker.DockerClient, owner: SandboxOwner) -> None:
    """Somebody who prunes images while a provider lives costs it only the making."""
    image = make_image(client)
    profile = SandboxProfile(image=f"{NAME}:1")
    async with DockerProvider() as provider:
        await (await provider.open(profile, owner)).close()
        for layer in layers_on(client, image):
            client.images.remove(layer, force=True)
        await (await provider.open(profile, owner)).close()


@pytest.mark.alone
async def test_useless_layers_are_pruned(
    client: docker.DockerClient, owner: SandboxOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer with an older supervisor, or on an image that is gone, is removed; one in use is not."""
    image = make_image(client)
    profile = SandboxProfile(image=f"{NAME}:1")
    async with DockerProvider() as provider:
        await (await provider.open(profile, owner)).close()
        (current,) = layers_on(client, image)
        with monkeypatch.context() as older:
            older.setattr(layers_module, "read_supervisor", lambda machine: read_supervisor(machine) + b"\0")
            async with DockerProvider() as other:
                await (await other.open(profile, owner)).close()
        (stale,) = set(layers_on(client, image)) - {current}
        engine = WatchedEngine()
        removed = await prune_layers(engine)
        await engine.close()
        assert stale in removed
        assert current not in removed
        assert layers_on(client, image) == [current]


async def test_volumes_are_refused(client: docker.DockerClient, provider: DockerProvider, owner: SandboxOwner) -> None:
    """An image that declares volumes would bring disk space without a limit."""
    make_image(client, "VOLUME /data")
    with pytest.raises(SandboxRefused, match="/data"):
        await provider.open(SandboxProfile(image=f"{NAME}:1"), owner)


async def test_the_images_environment_and_checks(
    client: docker.DockerClient, provider: DockerProvider, owner: SandboxOwner
) -> None:
    """An image's entry point, user and health check change nothing; its variables reach commands."""
    make_image(client, "USER 1234", 'ENTRYPOINT ["/evil"]', 'HEALTHCHECK CMD ["/evil"]', "ENV A=b")
    async with await provider.open(SandboxProfile(image=f"{NAME}:1"), owner) as box:
        state = client.api.inspect_container(box.id)
        assert state["Config"]["User"] == "0:0"
        assert state["Config"]["Healthcheck"] == {"Test": ["NONE"]}
        assert state["Path"] == "/.assay/supervisor"
        result = await box.run(["/.assay/supervisor"])
        assert b"usage" in result.stderr.data


async def test_the_image_may_choose_the_user(
    client: docker.DockerClient, provider: DockerProvider, owner: SandboxOwner
) -> None:
    """`user = "image"` means its number, for commands and for the files that are put; a name is refused."""
    profile = SandboxProfile(image=f"{NAME}:1", user="image")
    named_by_number = client.api.create_container((await provider.image(SandboxProfile())).id, ["-"])
    client.api.commit(named_by_number, repository=NAME, tag="1", changes=["USER 1234:99"])
    client.api.remove_container(named_by_number)
    async with await provider.open(profile, owner) as box:
        await box.write("hello", b"x")
        assert (await box.run("id -u; id -g; stat -c %u hello .")).stdout.text == "1234\n1234\n1234\n1234\n"
    make_image(client, "USER daemon")
    with pytest.raises(SandboxRefused, match="'daemon'"):
        await provider.open(profile, owner)
