"""A project's dependencies as a layer upon a sandbox image, found again by what it is made of.

In the order of `dependency_image`: found by its key, or the lock file is read for the image's interpreter, the wheels
are fetched on this machine, installed by pip in a container without network, looked at, and only then named.
"""

from __future__ import annotations

import json
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from assay.errors import ConfigurationError, ImageMissing, InfrastructureError
from assay.records.base import digest_of, digest_of_bytes
from assay.records.sandboxes import Image
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.catalog import DEPENDENCIES_LABEL, FETCHED_LABEL, LOCK_LABEL, UPON_LABEL, image_from
from assay.sandboxes.images.locks import Pin, read_lock_file
from assay.sandboxes.images.places import BuildPlaces, Progress, disk_full_named
from assay.sandboxes.images.recipes import repository, script
from assay.sandboxes.images.wheels import Interpreter, Wheel, fetch_wheels, pip_version
from assay.sandboxes.images.workbench import ask_image, put_archive, run_workbench, workbench
from assay.sandboxes.owners import OWNER_LABELS

FORMAT: Final = 1
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


async def _make(engine: Engine, base: dict[str, Any], lock: Lock, tag: str, work: Path, progress: Progress) -> None:
    interpreter = await _ask_interpreter(engine, base["Id"])
    pins = read_lock_file(lock.path, lock.text(), interpreter.markers)
    wheels = await fetch_wheels(pins, interpreter, work, lock.path, progress) if pins else ()
    progress(f"installing {len(wheels)} distributions in a container without network")
    archive = _pack(work, pins, wheels)
    command = ["/bin/sh", "-c", _INSTALL if wheels else f"rm -rf /{_PLACE}"]
    # Its user would become the image's own, where it has none.
    root = "0:0" if (base.get("Config") or {}).get("User") else ""
    async with workbench(engine, base["Id"], command, user=root) as container:
        await put_archive(engine, container, archive)
        code, said = await run_workbench(engine, container)
        if code != 0:
            raise InfrastructureError(f"pip could not install what {lock.path} pins:\n{said[-2000:]}")
        made = await engine.call("commit", container, conf=_config(base, lock, wheels))
    versions = json.dumps({wheel.name: wheel.version for wheel in wheels})
    await ask_image(engine, made["Id"], ["python3", "-c", _LOOK, versions])
    name, _, label = tag.rpartition(":")
    await engine.call("tag", made["Id"], name, label)


async def _ask_interpreter(engine: Engine, image: str) -> Interpreter:
    try:
        said = await ask_image(engine, image, ["python3", "-I", "-c", script("interpreter.py")])
        return Interpreter.model_validate_json(said)
    except (InfrastructureError, ValidationError) as error:
        raise ImageMissing(
            f"dependencies need a Python in the image {image[:19]}, and `python3` in it does not answer: {error}",
            next_step='name an image that has one, for instance image = "python"',
        ) from error


def _config(base: dict[str, Any], lock: Lock, wheels: tuple[Wheel, ...]) -> dict[str, Any]:
    """Return the new image's configuration: that of the image below, and labels that say what was added."""
    below = base.get("Config") or {}
    kept = {name: below.get(name) for name in ("Cmd", "Entrypoint", "Env", "WorkingDir", "User") if below.get(name)}
    labels = {
        # The container's own: they would make every container of this image one of a dead owner's.
        **dict.fromkeys(OWNER_LABELS, ""),
        UPON_LABEL: base["Id"],
        LOCK_LABEL: f"{lock.digest} {lock.path}",
        DEPENDENCIES_LABEL: " ".join(f"{wheel.name}={wheel.version}" for wheel in wheels),
        FETCHED_LABEL: digest_of(sorted(f"{wheel.path.name} {wheel.sha256}" for wheel in wheels)),
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
