"""What the tests of images share: an engine's client, the image itself, a small base image and a registry."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import platformdirs
import pytest

from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Recipe, build_image, load_recipe
from assay.sandboxes.images.debian import find_mirror, root_archive


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """A client of the engine; its absence is a failure."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine, as assay speaks to it."""
    engine = Engine()
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="session")
def user_cache() -> Path:
    """The cache that `make` uses, so that what set-up built is not built again."""
    return platformdirs.user_cache_path("assay")


@pytest.fixture
def places(tmp_path: Path) -> BuildPlaces:
    """A cache and a lock file of the test's own."""
    return BuildPlaces(cache=tmp_path / "cache", lock=tmp_path / "images.lock.json")


@pytest.fixture(scope="session")
def python_image(engine: Engine, user_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image `python`, as set-up built it."""
    lock = tmp_path_factory.mktemp("lock") / "images.lock.json"
    places = BuildPlaces(cache=user_cache / "images", lock=lock)
    return asyncio.run(build_image(engine, load_recipe("python"), places))


@pytest.fixture(scope="session")
def minimal_archive(user_cache: Path) -> Path:
    """A root file system with no package beyond the minimal ones, bootstrapped for real once for this machine."""
    places = BuildPlaces(cache=user_cache / "images", lock=user_cache / "no.lock.json")

    async def bootstrap() -> Path:
        async with places.one_builder(print):
            return await root_archive(Recipe(name="minimal"), places, print, anew=False)

    return asyncio.run(bootstrap())


@pytest.fixture(scope="session")
def slim_base(client: docker.DockerClient, minimal_archive: Path) -> Iterator[str]:
    """An image like the ones that registries call `debian:…-slim`: minimal, with apt's sources; its id."""
    raw, slim = (f"assay-test-{kind}-{os.getpid()}" for kind in ("raw", "slim"))  # several workers may each make one
    imported = client.api.import_image_from_file(str(minimal_archive), repository=raw, tag="1")
    assert "sha256:" in imported
    mirror = asyncio.run(find_mirror(Recipe(name="minimal")))
    source = f"deb {mirror.uri} {mirror.suite} {' '.join(mirror.components)}"
    container = client.containers.create(f"{raw}:1", ["sh", "-c", f"echo '{source}' > /etc/apt/sources.list"])
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0
        base = container.commit(repository=slim, tag="1")
    finally:
        container.remove(force=True)
    yield str(base.id)
    client.images.remove(f"{slim}:1")
    client.images.remove(f"{raw}:1")


@dataclass(frozen=True)
class Registry:
    """A registry of the test's own."""

    client: docker.DockerClient
    address: str

    def push(self, image: str, name: str) -> str:
        """Push an image under `name:tag` and return the reference under which the registry serves it."""
        repository, _, tag = f"{self.address}/{name}".rpartition(":")
        self.client.api.tag(image, repository, tag)
        for event in self.client.api.push(repository, tag, stream=True, decode=True):
            assert "error" not in event, event
        self.client.images.remove(f"{repository}:{tag}")
        return f"{repository}:{tag}"


@pytest.fixture(scope="session")
def registry(
    client: docker.DockerClient, user_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Debian's docker-registry on a free port of the loopback interface; engines take such a one without TLS."""
    program = shutil.which("docker-registry") or user_cache / "registry/usr/bin/docker-registry"
    work = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = work / "config.yml"
    configuration.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{work / 'data'}'}}}}\n"
    )
    with (work / "log").open("wb") as log:
        process = subprocess.Popen([str(program), "serve", str(configuration)], stdout=log, stderr=log)
    try:
        _wait_until_open(address, process)
        yield Registry(client, address)
    finally:
        process.terminate()
        process.wait(timeout=10)
        for attributes in client.api.images():
            for reference in [*(attributes.get("RepoTags") or ()), *(attributes.get("RepoDigests") or ())]:
                if reference.startswith(address):
                    client.images.remove(reference)


def _wait_until_open(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=2).close()
        except OSError:
            assert process.poll() is None, "the registry ended at once"
            assert time.monotonic() < deadline, "the registry did not open its port"
            time.sleep(0.05)
        else:
            return
