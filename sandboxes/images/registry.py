"""Base images from a registry: a tag is resolved to a digest once, and the digest is what is used ever after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from assay.errors import EngineUnavailable, ImageMissing, InfrastructureError, StoreCorrupt
from assay.records.base import Record
from assay.sandboxes.engine import Engine
from assay.store.files import write_whole

SECONDS = 15
"""How long a registry may take to name a digest before it counts as out of reach."""

_NO_ANSWER = (429, *range(500, 600))
"""What the engine answers when it reached no registry, or one that has no time for it."""


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
    """Replace the lock file whole; raises DiskFull, InfrastructureError."""
    write_whole(path, (json.dumps(lock.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode())


def split_reference(reference: str) -> tuple[str, str | None, str | None]:
    """Return the repository, tag and digest of an image reference: `host:5000/name:tag@sha256:…`."""
    name, _, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return head + slash + last, tag or None, digest or None


async def pin_base(engine: Engine, reference: str, lock_file: Path, *, renew: bool) -> str | None:
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
    digest = await _ask_registry(engine, reference)
    if digest is not None:
        write_lock(lock_file, ImageLock(digests={**lock.digests, reference: digest}))
    return digest


async def fetch_base(engine: Engine, reference: str, digest: str) -> str | None:
    """Bring a pinned base image into the engine and return its name by digest, or None where no registry answers.

    Raises:
        ImageMissing: the registry answers, and does not hold that digest.
    """
    name = split_reference(reference)[0]
    pinned = f"{name}@{digest}"
    if await _holds(engine, pinned):
        return pinned
    if await _ask_registry(engine, pinned) is None:
        return None
    said = await engine.call("pull", name, tag=digest)
    if not await _holds(engine, pinned):
        last = "".join(str(said).strip().splitlines()[-1:])
        raise InfrastructureError(f"{pinned} could not be pulled: {last}", next_step=f"docker pull {pinned}")
    return pinned


async def _holds(engine: Engine, reference: str) -> bool:
    try:
        await engine.call("inspect_image", reference)
    except ImageMissing:
        return False
    return True


async def _ask_registry(engine: Engine, reference: str) -> str | None:
    """Return the digest that the registry names for a reference, or None where no registry answers in time."""
    try:
        async with asyncio.timeout(SECONDS):
            answer = await engine.call("inspect_distribution", reference, ignore=_NO_ANSWER)
    except TimeoutError:
        return None
    except EngineUnavailable:
        raise
    except InfrastructureError as error:
        raise ImageMissing(
            f"the registry does not serve the base image {reference}: {error.message}",
            next_step="build upon another one (--base), or resolve its tag anew: assay sandbox build --force",
        ) from error
    return None if answer is None else str(answer["Descriptor"]["digest"])
