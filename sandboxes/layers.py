"""The supervisor in an image: one thin layer on top, made once per image through the engine's API."""

from __future__ import annotations

import asyncio
import hashlib
import io
import platform
import tarfile
from pathlib import Path
from typing import Any, Final

from assay.errors import ImageMissing, SandboxRefused
from assay.records.base import digest_of_bytes
from assay.records.sandboxes import SandboxOwner
from assay.sandboxes.engine import Engine
from assay.sandboxes.owners import OwnerProcess, make_labels

SUPERVISOR: Final = "/.assay/supervisor"
"""Where it lies in the container."""
LAYER_LABEL: Final = "dev.assay.supervisor"
"""On every image made here: digest of what was added. By it `prune` finds them."""
BASE_LABEL: Final = "dev.assay.supervisor.base"
"""On every image made here: id of the image below."""
_REPOSITORY: Final = "assay-sandbox/supervised"
_MAKING_SECONDS: Final = 3600.0
"""After which a container that such an image was being made in counts as left over."""
_MACHINES: Final = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def read_supervisor(machine: str) -> bytes:
    """Return the static binary for a machine; raises ImageMissing, naming how to build it."""
    name = _MACHINES.get(machine.lower(), machine)
    path = Path(__file__).parent / "supervisor" / f"supervisor-{name}"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageMissing(
            f"There is no supervisor for {name!r} machines ({path.name}); this one is {platform.machine()!r}.",
            next_step=f"on a {name} machine with musl-gcc, run: make -C {path.parent}",
        ) from None


class SupervisorLayers:
    """Makes and remembers the images that containers are really made from."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def image_on(self, base: dict[str, Any]) -> str:
        """Return the id of the image that adds the supervisor to `base`, an inspected image."""
        async with self._turn:
            key = base["Id"]
            if key not in self._made:
                self._made[key] = await self._find_or_make(base)
            return self._made[key]

    def forget(self, base: dict[str, Any]) -> None:
        """Forget the image on `base`, which somebody has removed."""
        self._made.pop(base["Id"], None)

    async def _find_or_make(self, base: dict[str, Any]) -> str:
        if volumes := (base.get("Config") or {}).get("Volumes"):
            raise SandboxRefused(
                f"The image declares the volumes {sorted(volumes)}, which are disk space without a limit.",
                next_step="build an image without VOLUME",
            )
        layer = await asyncio.to_thread(_pack_layer, base["Architecture"])
        labels = {LAYER_LABEL: digest_of_bytes(layer), BASE_LABEL: base["Id"]}
        found = await self._engine.call(
            "images", filters={"label": [f"{name}={text}" for name, text in labels.items()]}
        )
        if found:
            return str(found[0]["Id"])
        return await self._make(base["Id"], layer, labels)

    async def _make(self, base: str, layer: bytes, labels: dict[str, str]) -> str:
        """A container that never starts, files put into it, a commit: no builder and no registry needed."""
        tag = hashlib.sha256(f"{base}\n{labels[LAYER_LABEL]}".encode()).hexdigest()[:16]
        mine = make_labels(SandboxOwner(run="layer", role="layer"), OwnerProcess.current(), lifetime=_MAKING_SECONDS)
        created = await self._engine.call("create_container", base, command=["-"], labels=mine)
        try:
            await self._engine.call("put_archive", created["Id"], "/", layer)
            made = await self._engine.call(
                "commit", created["Id"], repository=_REPOSITORY, tag=tag, conf={"Labels": labels}
            )
        finally:
            await self._engine.call("remove_container", created["Id"], force=True, v=True, ignore=(404, 409))
        return str(made["Id"])


async def prune_layers(engine: Engine, *, dry: bool = False) -> tuple[str, ...]:
    """Remove the images made here whose supervisor is another one by now, or whose image below is gone.

    Returns the ids of what was removed; an image that a container still uses stays. To be called before
    images below are pruned, since the engine keeps what another image stands on. A dry run only tells.
    """
    everything = await engine.call("images", all=True)
    present = {image["Id"] for image in everything}
    removed = []
    for image in everything:
        labels = image.get("Labels") or {}
        if LAYER_LABEL not in labels:
            continue
        machine = (await engine.call("inspect_image", image["Id"]))["Architecture"]
        current = digest_of_bytes(await asyncio.to_thread(_pack_layer, machine))
        if labels[LAYER_LABEL] == current and labels.get(BASE_LABEL) in present:
            continue
        if not dry:
            await engine.call("remove_image", image["Id"], noprune=True, ignore=(404, 409))
        removed.append(image["Id"])
    if dry:
        return tuple(removed)
    left = {image["Id"] for image in await engine.call("images", all=True)}
    return tuple(identity for identity in removed if identity not in left)


def _pack_layer(machine: str) -> bytes:
    """Return an archive of what is added: the supervisor."""
    binary = read_supervisor(machine)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        folder = tarfile.TarInfo(SUPERVISOR.strip("/").rpartition("/")[0])
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        file = tarfile.TarInfo(SUPERVISOR.strip("/"))
        file.mode, file.size = 0o755, len(binary)
        archive.addfile(file, io.BytesIO(binary))
    return packed.getvalue()
