"""A project's dependencies as a layer upon a sandbox image, found again by what it is made of.

In the order of `dependency_image`: found by its key, or the lock file is read for the image's interpreter, what it pins
is fetched on this machine, installed in a container without network, looked at, and only then named.
"""

from __future__ import annotations

import asyncio
import json
import posixpath
import tarfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from assay.errors import ConfigurationError, ImageMissing, InfrastructureError
from assay.records.base import digest_of, digest_of_bytes
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.archives import loads_itself
from assay.sandboxes.images.catalog import (
    DEPENDENCIES_LABEL,
    FETCHED_LABEL,
    LOADED_LABEL,
    LOCK_LABEL,
    UPON_LABEL,
    image_from,
)
from assay.sandboxes.images.locks import Pin, read_lock_file
from assay.sandboxes.images.modules import LOCK_FILES, PROGRAMS, fetch_modules, pack_modules, read_package_lock
from assay.sandboxes.images.places import BuildPlaces, Progress, disk_full_named
from assay.sandboxes.images.programs import refuse_replaced
from assay.sandboxes.images.recipes import repository, script
from assay.sandboxes.images.wheels import Interpreter, Wheel, fetch_wheels, pip_version
from assay.sandboxes.images.workbench import ask_image, put_archive, run_workbench, workbench
from assay.sandboxes.owners import OWNER_LABELS

FORMAT: Final = 3
"""Raised when the way of installing changes so that layers made before must not count."""

_PLACE: Final = ".assay-install"
_INSTALL: Final = f"""
set -eu
cd /{_PLACE}
python3 -s pip install --no-index --no-deps --ignore-installed --find-links wheels --requirement requirements.txt \
    --no-input --no-cache-dir --break-system-packages --root-user-action ignore --no-warn-script-location \
    --disable-pip-version-check --progress-bar off --compile
cd /
rm -rf /{_PLACE} /tmp/* /root/.cache
"""
_LOOK: Final = """
import importlib.metadata, json, sys
for name, version in json.loads(sys.argv[1]).items():
    found = importlib.metadata.version(name)
    assert found == version, "%s is %s and not %s" % (name, found, version)
"""


class Lock:
    """A lock file as it stands at a commit."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.digest = digest_of_bytes(data)

    def text(self) -> str:
        """Return its content; raises ConfigurationError where it is no text."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"the lock file {self.path} is not UTF-8: {error}") from error


def dependency_tag(base: str, lock: Lock) -> str:
    """Return the name of the layer of a lock file upon an image, which is told by its id."""
    made_of = {"format": FORMAT, "base": base, "lock": lock.digest, "installer": f"pip {pip_version()}"}
    return f"{repository('dependencies')}:{digest_of(made_of).removeprefix('sha256:')[:16]}"


async def dependency_image(
    engine: Engine, base: dict[str, Any], lock: Lock, places: BuildPlaces, progress: Progress = lambda line: None
) -> Image:
    """Return the image that has a lock file's distributions installed, made where the engine does not hold it.

    Args:
        engine: which shall hold it; it may be remote.
        base: the image below, as the engine describes it.
        lock: what is to be installed.
        places: where to work.
        progress: told one line about each step.

    Raises:
        ConfigurationError: the lock file cannot be used; see `read_lock_file` and `fetch_wheels`.
        ImageMissing: the image below has no Python.
        DiskFull, EngineUnavailable, InfrastructureError: a step failed; nothing half made counts.
    """
    tag = dependency_tag(base["Id"], lock)
    found = await _find(engine, tag)
    if found is not None:
        places.note_use(tag)
        return found
    async with places.one_builder(progress):
        found = await _find(engine, tag)  # another process may have made it while this one waited
        if found is None:
            with disk_full_named(places.cache), places.working_directory() as work:
                await _make(engine, base, lock, tag, work, progress)
            found = await _find(engine, tag)
    if found is None:
        raise ImageMissing(f"the image {tag} was made and is gone again", next_step="repeat what you did")
    places.note_use(tag)
    progress(f"{lock.path} is installed in {tag}")
    return found


async def _find(engine: Engine, tag: str) -> Image | None:
    try:
        return image_from(await engine.call("inspect_image", tag))
    except ImageMissing:
        return None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a layer will be made of."""

    archive: Path
    """Unpacked at the root."""
    packages: tuple[str, ...]
    """`pypi/name=version`, `npm/name=version`."""
    files: tuple[str, ...]
    """Names and digests of what was fetched."""
    install: str = ""
    """Shell text for root in a container without network; empty where unpacking is all."""
    look: tuple[str, ...] = ()
    """Command of an unprivileged user that fails unless everything is there."""
    programs: str = ""
    """Folder that is put on the path."""
    loaded: tuple[str, ...] = ()
    """Those of the packages that are loaded by themselves."""


async def _make(engine: Engine, base: dict[str, Any], lock: Lock, tag: str, work: Path, progress: Progress) -> None:
    of_node = posixpath.basename(lock.path) in LOCK_FILES
    prepared = await (_prepare_modules if of_node else _prepare_wheels)(engine, base, lock, work, progress)
    # Its user would become the image's own, where it has none.
    root = "0:0" if (base.get("Config") or {}).get("User") else ""
    async with workbench(engine, base["Id"], ["/bin/sh", "-c", prepared.install], user=root) as container:
        await put_archive(engine, container, prepared.archive)
        if prepared.install:
            progress(f"installing {len(prepared.packages)} distributions in a container without network")
            code, said = await run_workbench(engine, container)
            if code != 0:
                raise InfrastructureError(f"pip could not install what {lock.path} pins:\n{said[-2000:]}")
        await refuse_replaced(engine, base["Id"], container, lock.path, prepared.programs)
        made = await engine.call("commit", container, conf=_config(base, lock, prepared))
    if prepared.look:
        await ask_image(engine, made["Id"], prepared.look)
    name, _, label = tag.rpartition(":")
    await engine.call("tag", made["Id"], name, label)


async def _prepare_wheels(
    engine: Engine, base: dict[str, Any], lock: Lock, work: Path, progress: Progress
) -> _Prepared:
    interpreter = await _ask_interpreter(engine, base["Id"])
    pins = read_lock_file(lock.path, lock.text(), interpreter.markers)
    wheels = await fetch_wheels(pins, interpreter, work, lock.path, progress) if pins else ()
    versions = json.dumps({wheel.name: wheel.version for wheel in wheels})
    return _Prepared(
        archive=_pack(work, pins, wheels),
        packages=tuple(f"pypi/{wheel.name}={wheel.version}" for wheel in wheels),
        files=tuple(sorted(f"{wheel.path.name} sha256:{wheel.sha256}" for wheel in wheels)),
        install=_INSTALL if wheels else f"rm -rf /{_PLACE}",
        look=("python3", "-I", "-c", _LOOK, versions),
        loaded=tuple(f"pypi/{wheel.name}={wheel.version}" for wheel in wheels if loads_itself(wheel.path)),
    )


async def _prepare_modules(
    _engine: Engine, base: dict[str, Any], lock: Lock, work: Path, progress: Progress
) -> _Prepared:
    modules = read_package_lock(lock.path, lock.text(), base["Architecture"])
    fetched = await fetch_modules(modules, work, lock.path, progress)
    archive = work / "modules.tar"

    def pack() -> None:
        with tarfile.open(archive, "w") as packed:
            pack_modules(modules, fetched, packed)

    await asyncio.to_thread(pack)
    return _Prepared(
        archive=archive,
        packages=tuple(sorted({f"npm/{module.name}={module.version}" for module in modules})),
        files=tuple(sorted(f"{module.name} sha512:{module.digest}" for module in modules)),
        programs=PROGRAMS,
    )


async def _ask_interpreter(engine: Engine, image: str) -> Interpreter:
    try:
        said = await ask_image(engine, image, ["python3", "-I", "-c", script("interpreter.py")])
        return Interpreter.model_validate_json(said)
    except (InfrastructureError, ValidationError) as error:
        raise ImageMissing(
            f"dependencies need a Python in the image {image[:19]}, and `python3` in it does not answer: {error}",
            next_step='name an image that has one, for instance image = "python"',
        ) from error


def _config(base: dict[str, Any], lock: Lock, prepared: _Prepared) -> dict[str, Any]:
    """Return the new image's configuration: that of the image below, and labels that say what was added."""
    below = base.get("Config") or {}
    kept = {name: below.get(name) for name in ("Cmd", "Entrypoint", "Env", "WorkingDir", "User") if below.get(name)}
    if prepared.programs:  # last, so that they stand before nothing
        kept["Env"] = [f"{v}:{prepared.programs}" if v.startswith("PATH=") else v for v in below.get("Env") or ()]
    labels = {
        # The container's own: they would make every container of this image one of a dead owner's.
        **dict.fromkeys(OWNER_LABELS, ""),
        UPON_LABEL: base["Id"],
        LOCK_LABEL: f"{lock.digest} {lock.path}",
        DEPENDENCIES_LABEL: " ".join(prepared.packages),
        LOADED_LABEL: " ".join(prepared.loaded),
        FETCHED_LABEL: digest_of(list(prepared.files)),
    }
    return {**kept, "Labels": labels}


def _pack(work: Path, pins: tuple[Pin, ...], wheels: tuple[Wheel, ...]) -> Path:
    """Write a tar file with the wheels, their list, and the pip that fetched them, which needs nothing but Python."""
    path = work / "install.tar"
    specification = find_spec("pip")
    if specification is None or specification.origin is None:
        raise InfrastructureError("pip is not installed beside assay", next_step="python3 -m ensurepip")
    with tarfile.open(path, "w") as archive:
        archive.add(Path(specification.origin).parent, f"{_PLACE}/pip", filter=_plain)
        for wheel in wheels:
            archive.add(wheel.path, f"{_PLACE}/wheels/{wheel.path.name}", filter=_plain)
        listed = work / "installed.txt"
        listed.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins))
        archive.add(listed, f"{_PLACE}/requirements.txt", filter=_plain)
    return path


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "__pycache__" in entry.name.split("/"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry
