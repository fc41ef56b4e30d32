"""Base images from a registry: a tag is resolved to a digest once, and the digest is what is used ever after."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import docker
import requests
from docker.errors import APIError, ImageNotFound
from pydantic import ValidationError

from assay.errors import ImageMissing, StoreCorrupt
from assay.records.base import Record

SECONDS = 15
"""How long a registry may take to name a digest before it counts as out of reach."""


class ImageLock(Record):
    """`images.lock.json`: what the tags of base images meant when they were first used."""

    version: int = 1
    digests: Mapping[str, str] = {}
    """Reference as written in a recipe or in `assay.toml`, to `sha256:…`."""


def read_lock(path: Path) -> ImageLock:
    """Return the lock file's content, empty where there is none; raises StoreCorrupt where it cannot be read."""
    try:
        return ImageLock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return ImageLock()
    except ValidationError as error:
        raise StoreCorrupt(
            f"the image lock file {path} cannot be read: {error.errors()[0]['msg']}",
            next_step=f"restore it, or remove it to have the tags resolved anew: rm {path}",
        ) from error


def write_lock(path: Path, lock: ImageLock) -> None:
    """Replace the lock file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(lock.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def split_reference(reference: str) -> tuple[str, str | None, str | None]:
    """Return the repository, tag and digest of an image reference: `host:5000/name:tag@sha256:…`."""
    name, _, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return head + slash + last, tag or None, digest or None


async def pin_base(client: docker.DockerClient, reference: str, lock_file: Path, *, renew: bool) -> str | None:
    """Return the digest that a base image stands for, from the lock file or else from its registry.

    A digest that the registry names is written to the lock file before it is used. One that stands
    there is kept although the tag may have moved, until `renew`.

    Returns:
        `sha256:…`, or None where it is not locked and no registry answers.
    """
    digest = split_reference(reference)[2]
    if digest is not None:
        return digest
    lock = read_lock(lock_file)
    if reference in lock.digests and not renew:
        return lock.digests[reference]
    digest = await _ask_registry(client, reference)
    if digest is not None:
        write_lock(lock_file, ImageLock(digests={**lock.digests, reference: digest}))
    return digest


async def fetch_base(client: docker.DockerClient, reference: str, digest: str) -> str | None:
    """Bring a pinned base image into the engine and return its name by digest, or None where no registry answers.

    Raises:
        ImageMissing: the registry answers, and does not hold that digest.
    """
    name = split_reference(reference)[0]
    pinned = f"{name}@{digest}"
    try:
        await asyncio.to_thread(client.images.get, pinned)
    except ImageNotFound:
        if await _ask_registry(client, pinned) is None:
            return None
        await asyncio.to_thread(client.images.pull, name, digest)
    return pinned


async def _ask_registry(client: docker.DockerClient, reference: str) -> str | None:
    """Return the digest that the registry names for a reference, or None where no registry answers in time."""
    try:
        async with asyncio.timeout(SECONDS):
            return str((await asyncio.to_thread(client.images.get_registry_data, reference)).id)
    except (TimeoutError, requests.exceptions.Timeout):
        return None
    except APIError as error:
        if error.status_code is None or error.status_code >= 500:
            return None
        raise ImageMissing(
            f"the registry does not hold the base image {reference}: {error.explanation or error}",
            next_step="check `[images.NAME] base`, or resolve its tag anew: assay sandbox build --force",
        ) from error
