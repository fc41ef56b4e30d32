"""Building a sandbox image, in the order of `build_image`: found, or from a registry, or from Debian's packages."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import requests

from assay.errors import AssayError, EngineUnavailable, ImageMissing, InfrastructureError
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.catalog import BUILDING, NAME_LABEL, STATE_LABEL, find_image, image_labels
from assay.sandboxes.images.debian import root_archive
from assay.sandboxes.images.places import BuildPlaces, Progress, disk_full
from assay.sandboxes.images.recipes import Recipe, repository, script
from assay.sandboxes.images.registry import fetch_base, pin_base
from assay.sandboxes.images.workbench import run_workbench, workbench

_ENVIRONMENT = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8"


async def build_image(
    engine: Engine,
    recipe: Recipe,
    places: BuildPlaces,
    *,
    force: bool = False,
    progress: Progress = lambda line: None,
) -> Image:
    """Return the sandbox image of a recipe, built where the engine does not hold it.

    Args:
        engine: which shall hold the image; it may be remote.
        recipe: what it is made of.
        places: the cache, and the lock file for the base image's digest.
        force: build anew, resolving the base image's tag and fetching the packages again.
        progress: told one line about each step.

    Raises:
        ImageMissing: no registry answers, and this machine cannot bootstrap one.
        DiskFull: the cache or the engine has no room.
        EngineUnavailable: no engine answers, or it went away.
        InfrastructureError: a step failed; its last lines are quoted. Nothing half built counts as built.
    """
    found = None if force else await find_image(engine, recipe)
    if found is not None:
        return found
    async with places.one_builder(progress):
        # Another process may have built it while this one waited.
        found = None if force else await find_image(engine, recipe)
        return found or await _build(engine, recipe, places, anew=force, progress=progress)


async def _build(engine: Engine, recipe: Recipe, places: BuildPlaces, *, anew: bool, progress: Progress) -> Image:
    progress(f"asking the registry for {recipe.base}")
    base_digest = await pin_base(engine, recipe.base, places.lock, renew=anew)
    base = base_digest and await fetch_base(engine, recipe.base, base_digest)
    if base:
        raw = await _from_registry(engine, recipe, base, progress)
    else:
        progress(f"no registry answers for {recipe.base}: building from Debian's packages")
        base_digest = None
        archive = await root_archive(recipe, places, progress, anew=anew)
        progress("importing the root file system into the engine")
        raw = await _import(engine, recipe, archive)
    progress("trying its tools in a container")
    packages = await _probe(engine, raw, script(f"probe-{recipe.probe}.sh"))
    await _finish(engine, recipe, raw, base_digest=base_digest, packages=packages)
    built = await find_image(engine, recipe)
    if built is None:
        raise ImageMissing(f"the image {recipe.tag} was built and is gone again", next_step="assay sandbox build")
    progress(f"built {recipe.tag} ({built.id[:19]}, {len(built.packages)} packages)")
    return built


async def _from_registry(engine: Engine, recipe: Recipe, base: str, progress: Progress) -> str:
    """Install the recipe's packages on a base image that is named by digest; return the new image's id."""
    packages = (*recipe.packages, *recipe.by_apt)
    progress(f"installing {len(packages)} packages on {base}")
    install = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    dockerfile = "\n".join(
        [
            f"FROM {base}",
            f"LABEL {NAME_LABEL}={recipe.name} {STATE_LABEL}={BUILDING}",
            "COPY finish.sh /tmp/finish.sh",
            "RUN export DEBIAN_FRONTEND=noninteractive && apt-get update"
            f" && {install} && sh /tmp/finish.sh && rm /tmp/finish.sh",
        ]
    )
    return await _build_from(engine, {"Dockerfile": dockerfile, "finish.sh": script("finish.sh")}, progress)


async def _finish(
    engine: Engine, recipe: Recipe, raw: str, *, base_digest: str | None, packages: tuple[str, ...]
) -> None:
    """Put the labels on a proven image, and only then its names."""
    labels = image_labels(recipe, base_digest=base_digest, packages=packages).items()
    # One instruction for all of them: the engine keeps an image for each. No value holds a quote, `$` or `\\`.
    label = " ".join(f'{name}="{value}"' for name, value in labels)
    dockerfile = f'FROM {raw}\nENV {_ENVIRONMENT}\nWORKDIR /workspace\nCMD ["/bin/sh"]\nLABEL {label}\n'
    finished = await _build_from(engine, {"Dockerfile": dockerfile}, lambda line: None)
    for tag in (recipe.key, "latest"):
        await engine.call("tag", finished, repository(recipe.name), tag)


async def _build_from(engine: Engine, files: dict[str, str], progress: Progress) -> str:
    """Run `docker build` over a few files, and return the id of the image; no tag is given."""
    loop = asyncio.get_running_loop()

    def tell(line: str) -> None:
        loop.call_soon_threadsafe(progress, line)

    answer = await engine.call(
        "build",
        fileobj=_context(files),
        custom_context=True,
        rm=True,
        forcerm=True,
        nocache=True,
        network_mode="host",  # only apt in a recipe of ours runs here; the engine may have no bridge
        decode=True,
    )
    try:
        return await asyncio.to_thread(_built_id, answer, tell)
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"the engine went away during a build: {error}", next_step="assay doctor") from error


def _built_id(answer: Iterator[dict[str, Any]], tell: Progress) -> str:
    """Read the stream of a build to its end; its last lines are quoted when it fails."""
    said: list[str] = []
    for event in answer:
        if "aux" in event:
            return str(event["aux"]["ID"])
        line = str(event.get("stream", "")).rstrip()
        said = [*said[-19:], line] if line else said
        if line.startswith("Step "):
            tell(line)
        if "error" in event:
            raise _failure("\n".join([*said, str(event["error"])]))
    raise InfrastructureError("docker build ended without an image:\n" + "\n".join(said), next_step="assay doctor")


def _context(files: dict[str, str]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    buffer.seek(0)
    return buffer


async def _import(engine: Engine, recipe: Recipe, archive: Path) -> str:
    """`docker import` a root file system and return the image's id."""
    changes = [f"LABEL {NAME_LABEL}={recipe.name}", f"LABEL {STATE_LABEL}={BUILDING}"]
    answer = await engine.call("import_image_from_file", str(archive), changes=changes)
    for event in map(json.loads, filter(str.strip, str(answer).splitlines())):
        if "error" in event:
            raise _failure(str(event["error"]))
        if str(event.get("status", "")).startswith("sha256:"):
            return str(event["status"])
    raise InfrastructureError(f"docker import of {archive} ended without an image", next_step="assay doctor")


async def _probe(engine: Engine, image: str, tools: str) -> tuple[str, ...]:
    """Use each tool in a container with no network, and return the packages as `name=version`, sorted."""
    command = ["/bin/sh", "-c", tools]
    # The engine must not add to the image's own /etc/hosts: whether `localhost` is known there is tried, too.
    async with workbench(engine, image, command, user="", bare_network=True) as container:
        code, said = await run_workbench(engine, container)
    if code != 0:
        raise InfrastructureError(
            f"the new image lacks a tool that sandboxes need:\n{said}",
            next_step="if you chose the base: it must be a Debian image (assay sandbox build --base IMAGE)",
        )
    return tuple(sorted(line for line in said.splitlines() if "=" in line))


def _failure(said: str) -> AssayError:
    if "no space left on device" in said.lower():
        return disk_full("the engine")
    return InfrastructureError(f"the engine could not build the image:\n{said}", next_step="assay doctor")
