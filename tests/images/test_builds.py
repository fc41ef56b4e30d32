"""Builds that are killed, meet each other, find no room or no tools: nothing half done counts, nothing is left."""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.api.client import APIClient

from assay.errors import DiskFull, EngineUnavailable, ImageMissing, InfrastructureError
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import (
    BuildPlaces,
    Recipe,
    build_image,
    debian,
    find_image,
    list_images,
    load_recipe,
    prune_images,
)
from assay.sandboxes.images import build as build_module
from assay.sandboxes.images.debian import Archive, find_mirror, root_archive, run_logged
from assay.sandboxes.images.recipes import NAMES, repository

SHIPPED = tuple(load_recipe(name) for name in NAMES)
"""What this machine may hold for other purposes than these tests."""

DEAD = "127.0.0.1:1/nobody:answers"
"""A base image whose registry refuses every connection."""


def own_recipe(name: str, **changes: object) -> Recipe:
    """Return a recipe of the test's own, which no registry serves."""
    return Recipe.model_validate({"name": f"test-{name}", "base": DEAD, **changes})


def cached(places: BuildPlaces, recipe: Recipe, archive: Path) -> Path:
    """Put a root file system into the cache as if it had been bootstrapped there."""
    places.cache.mkdir(exist_ok=True)
    kept = places.cache / f"{recipe.name}-{recipe.key}.tar.gz"
    kept.write_bytes(archive.read_bytes())
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    note = Archive(sha256=digest, size=kept.stat().st_size)
    kept.with_name(kept.name + ".json").write_text(note.model_dump_json())
    return kept


@pytest.fixture
def exported(client: docker.DockerClient, python_image: Image, tmp_path: Path) -> Path:
    """The root file system of the image `python`, as a tar file."""
    container = client.containers.create(python_image.id, ["true"])
    path = tmp_path / "exported.tar"
    try:
        with path.open("wb") as file:
            file.writelines(cast("Iterator[bytes]", container.export()))
    finally:
        container.remove()
    return path


@pytest.mark.docker
@pytest.mark.alone
async def test_without_a_registry_the_root_file_system_is_imported(
    engine: Engine, exported: Path, places: BuildPlaces
) -> None:
    """The image comes out like the other way's, says that it has no base, and is pruned when no recipe makes it."""
    recipe = own_recipe("import")
    cached(places, recipe, exported)
    said: list[str] = []
    built = await build_image(engine, recipe, places, progress=said.append)
    try:
        assert built.digest is None
        assert any("python3-pytest" in package for package in built.packages)
        assert not places.lock.exists()
        assert any("no registry answers" in line for line in said)
        assert await find_image(engine, recipe) == built
        assert built in await list_images(engine)
    finally:
        removed = await prune_images(engine, SHIPPED, places)
    assert built.id in removed
    assert await find_image(engine, recipe) is None
    assert await find_image(engine, load_recipe("python")) is not None


@pytest.mark.docker
@pytest.mark.alone
async def test_a_half_built_image_does_not_count(
    client: docker.DockerClient, engine: Engine, python_image: Image, places: BuildPlaces
) -> None:
    """What a killed build left in the engine is not found, not listed, and removed by a prune."""
    recipe = own_recipe("half")
    container = client.containers.create(python_image.id, ["true"])
    labels = f"LABEL dev.assay.image={recipe.name} dev.assay.recipe={recipe.key} dev.assay.state=building"
    half = container.commit(repository=repository(recipe.name), tag=recipe.key, changes=labels)
    container.remove()
    assert await find_image(engine, recipe) is None
    assert half.id not in {image.id for image in await list_images(engine)}
    assert half.id in await prune_images(engine, (*SHIPPED, recipe), places)


@pytest.mark.docker
@pytest.mark.alone
async def test_an_image_in_use_survives_a_prune(
    client: docker.DockerClient, engine: Engine, python_image: Image, places: BuildPlaces
) -> None:
    """A container keeps its image, whatever the recipes say."""
    recipe = own_recipe("used")
    container = client.containers.create(python_image.id, ["true"])
    labels = f"LABEL dev.assay.image={recipe.name} dev.assay.recipe={recipe.key} dev.assay.state=ready"
    used = container.commit(repository=repository(recipe.name), tag=recipe.key, changes=labels)
    container.remove()
    holder = client.containers.create(used, ["true"])
    try:
        assert used.id not in await prune_images(engine, SHIPPED, places)
        assert await find_image(engine, recipe) is not None
    finally:
        holder.remove()
    assert used.id in await prune_images(engine, SHIPPED, places)


@pytest.mark.docker
@pytest.mark.alone
async def test_a_root_file_system_without_the_tools_becomes_no_image(
    engine: Engine, minimal_archive: Path, places: BuildPlaces
) -> None:
    """The tools are used before the image gets its name; a failure quotes what they said."""
    recipe = own_recipe("toolless")
    cached(places, recipe, minimal_archive)
    with pytest.raises(InfrastructureError, match="lacks a tool"):
        await build_image(engine, recipe, places)
    assert await find_image(engine, recipe) is None
    assert await prune_images(engine, SHIPPED, places)


@pytest.mark.docker
def test_an_archive_tells_nothing_of_its_build(minimal_archive: Path) -> None:
    """Two builds give the same bytes: nothing in it is younger than the packages, or named after this machine."""
    with tarfile.open(minimal_archive) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    newest = max(member.mtime for member in members)
    assert names == sorted(names, key=lambda name: [part.encode() for part in name.split("/")])
    assert newest < minimal_archive.stat().st_mtime - 3600
    assert not {"./etc/hostname", "./etc/resolv.conf", "./etc/machine-id"} & set(names)
    assert not [member.name for member in members if member.isfile() and member.mode & 0o6000]


async def test_a_damaged_archive_is_not_used(places: BuildPlaces, tmp_path: Path) -> None:
    """One byte is enough; so is a note that a killed build never wrote."""
    source = tmp_path / "source"
    source.write_bytes(b"root file system")
    recipe = own_recipe("damaged")
    kept = cached(places, recipe, source)
    assert await root_archive(recipe, places, print, anew=False) == kept

    kept.write_bytes(b"root file systen")
    assert not debian._is_whole(kept)
    kept.write_bytes(b"root file system")
    kept.with_name(kept.name + ".json").unlink()
    assert not debian._is_whole(kept)


async def test_one_builder_at_a_time(places: BuildPlaces) -> None:
    """The second waits, says so, and finds the first one's working directory gone."""
    events: list[str] = []
    inside = asyncio.Event()
    leave = asyncio.Event()

    async def first() -> None:
        async with places.one_builder(events.append):
            inside.set()
            await leave.wait()
            events.append("first leaves")

    def told(line: str) -> None:
        events.append(line)
        leave.set()

    async def second() -> None:
        await inside.wait()
        async with places.one_builder(told):
            events.append("second enters")

    await asyncio.gather(first(), second())
    assert events == ["waiting for another process that builds an image", "first leaves", "second enters"]


async def test_what_a_killed_build_left_is_removed_by_the_next(places: BuildPlaces) -> None:
    """Every working directory belongs to whoever holds the lock, so the next holder may remove it."""
    left = places.cache / "building-killed" / "root"
    left.mkdir(parents=True)
    async with places.one_builder(print):
        assert not left.exists()


BUILD_AND_SAY = """
import asyncio, sys
from pathlib import Path
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces, Recipe, build_image
places = BuildPlaces(cache=Path(sys.argv[1]), lock=Path(sys.argv[1]) / "images.lock.json")
recipe = Recipe(name="test-killed", base="127.0.0.1:1/nobody:answers")
asyncio.run(build_image(Engine(), recipe, places, progress=lambda line: print(line, flush=True)))
"""


def descendants(pid: int) -> set[int]:
    """Return the processes below one, by the kernel's own list."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except FileNotFoundError:  # it ended between the look at the folder and the look into it
            continue
        for child in map(int, children):
            found |= {child} | descendants(child)
    return found


def open_process(pid: int) -> int | None:
    """Return a descriptor of a process, or None where it has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def kill_with_everything_below(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to one process, and wait until every one below it has ended too."""
    below = [opened for pid in descendants(process.pid) if (opened := open_process(pid)) is not None]
    assert below
    process.kill()
    for descriptor in below:
        ended, _, _ = select.select([descriptor], [], [], 10)
        os.close(descriptor)
        assert ended


@pytest.mark.docker
def test_a_killed_build_leaves_nothing_that_counts(engine: Engine, tmp_path: Path) -> None:
    """SIGKILL in the middle of debootstrap: its processes end, and neither archive nor image is there."""
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", BUILD_AND_SAY, str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        assert any(line.startswith("Retrieving") for line in builder.stdout)
        kill_with_everything_below(builder)
    assert list(cache.glob("building-*"))
    assert not list(cache.glob("*.tar.gz*"))
    assert asyncio.run(find_image(engine, Recipe(name="test-killed", base=DEAD))) is None


MOUNT_AND_WAIT = """
import subprocess, sys
from assay.sandboxes.images.debian import _contained
script = 'mount -t tmpfs none "$1" && grep -c "$1" /proc/self/mounts && exec sleep 1000'
subprocess.run(_contained(["sh", "-c", script, "sh", sys.argv[1]]))
"""


@pytest.mark.docker
def test_what_a_killed_build_had_mounted_is_gone(tmp_path: Path) -> None:
    """The mount is there for the command, never for the machine, and gone with the one who asked for it."""
    command = [sys.executable, "-c", MOUNT_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        try:
            inside = builder.stdout.readline().strip()
            outside = Path("/proc/self/mounts").read_text()
        finally:
            kill_with_everything_below(builder)
    assert inside == "1"
    assert str(tmp_path) not in outside
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


@pytest.fixture
def full_cache(tmp_path: Path) -> Iterator[Path]:
    """A cache on a disk of 30 MB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m,mode=700", "none", str(path)], check=True)
    yield path
    left = list(path.glob("building-*"))
    subprocess.run(["umount", str(path)], check=True)
    assert left == []


@pytest.mark.docker
@pytest.mark.parametrize("needed", [debian.NEEDED_BYTES, 0])
async def test_a_full_disk_is_named(
    engine: Engine, full_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: int
) -> None:
    """Seen before the work begins; and where it fills up in the middle, debootstrap's log says so."""
    monkeypatch.setattr(debian, "NEEDED_BYTES", needed)
    places = BuildPlaces(cache=full_cache, lock=tmp_path / "images.lock.json")
    with pytest.raises(DiskFull, match=str(full_cache)):
        await build_image(engine, own_recipe("full"), places)


def test_an_engine_without_room_is_named() -> None:
    """The engine's own words for it become the same error; others do not."""
    full = build_module._failure("write /var/lib/docker/tmp/x: no space left on device")
    assert isinstance(full, DiskFull)
    assert not isinstance(build_module._failure("exec format error"), DiskFull)


async def test_a_machine_that_cannot_bootstrap_says_what_it_lacks(
    places: BuildPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the tool, the error names it and the command that brings it."""
    monkeypatch.setattr(debian, "NEEDED_TOOLS", ("debootstrap-of-nobody",))
    with pytest.raises(ImageMissing, match="debootstrap-of-nobody") as caught:
        await root_archive(own_recipe("none"), places, print, anew=False)
    assert "apt-get install debootstrap" in str(caught.value.next_step)


async def test_the_mirror_is_the_machines_own() -> None:
    """It is one that apt itself would read, with its components, and nothing is built in."""
    mirror = await find_mirror(load_recipe("python"))
    listing = await run_logged(["apt-get", "update", "--print-uris"], None)
    assert f"'{mirror.uri}/dists/" in listing
    assert "main" in mirror.components


async def test_a_failing_command_quotes_its_last_lines() -> None:
    """The person sees what it said, and not only that it failed."""
    with pytest.raises(InfrastructureError, match="wrong release"):
        await run_logged(["sh", "-c", "echo E: wrong release; exit 3"], None)


async def test_no_engine_is_named(places: BuildPlaces) -> None:
    """An engine that is not there, or goes away, is an error of its own."""
    gone = Engine(lambda: APIClient(base_url="tcp://127.0.0.1:1"))
    with pytest.raises(EngineUnavailable, match="engine"):
        await build_image(gone, load_recipe("python"), places)
    await gone.close()
