"""What assay needs of this machine, whether it is there, and the command that mends what is not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from assay.errors import EngineUnavailable, ImageMissing, InfrastructureError
from assay.records.base import Record
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.catalog import find_image, inspect_named, with_chosen_base
from assay.sandboxes.images.debian import missing_tools
from assay.sandboxes.images.recipes import Recipe

LEAST_GIT: Final = (2, 30)
LEAST_API: Final = (1, 41)
"""Docker's API as of engine 20.10."""
SYSTEMD: Final = Path("/run/systemd/system")
"""Where systemd runs this machine; the test is sd_booted(3)'s."""
LEAST_FREE_MB: Final = 2000
"""Free space that the engine's and assay's own directories should have, MiB."""


class Finding(Record):
    """One thing that assay needs, and how it stands."""

    subject: str
    """What was looked at: `git`, `docker engine`, `image python`, …"""
    ok: bool
    detail: str
    """What was found, in one line."""
    mend: str | None = None
    """The command that mends it, where it is not well."""


async def examine(engine: Engine, *, recipes: tuple[Recipe, ...], directories: tuple[Path, ...]) -> tuple[Finding, ...]:
    """Look at everything that assay needs, and return what was found, in the order in which to mend it.

    Args:
        engine: the engine that sandboxes shall run on.
        recipes: the images that shall be there.
        directories: where assay keeps state; they, or the nearest directory above them, must be writable.

    Raises nothing: whatever cannot be looked at is a finding.
    """
    findings = [await _git(), *(_directory(path) for path in directories)]
    try:
        information = await engine.call("info")
        version = await engine.call("version")
        findings.append(_engine(information, str(version["ApiVersion"])))
        findings.extend(_engine_space(information))
        findings.extend([await _image(engine, await with_chosen_base(engine, recipe)) for recipe in recipes])
    except EngineUnavailable as error:
        findings.append(Finding(subject="docker engine", ok=False, detail=error.message, mend=mend_engine(error)))
    except InfrastructureError as error:
        findings.append(Finding(subject="docker engine", ok=False, detail=error.message, mend=error.next_step))
    return tuple(findings)


async def examine_runtimes(engine: Engine, runtimes: Mapping[str, str]) -> tuple[Finding, ...]:
    """Look whether the engine knows the runtimes that profiles ask for; an engine that does not answer is no finding.

    Args:
        engine: the engine that sandboxes shall run on.
        runtimes: profile to the name of its runtime.
    """
    try:
        known = (await engine.call("info")).get("Runtimes") or {}
    except InfrastructureError:
        return ()
    return tuple(_runtime(profile, runtime, known) for profile, runtime in sorted(runtimes.items()))


async def examine_images(engine: Engine, images: Mapping[str, str]) -> tuple[Finding, ...]:
    """Look whether the engine has the images that profiles name; an engine that does not answer is no finding.

    Args:
        engine: the engine that sandboxes shall run on.
        images: profile to the name of its image.
    """
    found = []
    for profile, name in sorted(images.items()):
        subject = f"image of [sandboxes.{profile}]"
        try:
            identity = (await inspect_named(engine, name))["Id"]
        except ImageMissing as error:
            found.append(Finding(subject=subject, ok=False, detail=error.message, mend=error.next_step))
        except InfrastructureError:
            return ()
        else:
            found.append(Finding(subject=subject, ok=True, detail=f"{name} {identity[:19]}"))
    return tuple(found)


def _runtime(profile: str, runtime: str, known: Mapping[str, Any]) -> Finding:
    subject = f"runtime of [sandboxes.{profile}]"
    if runtime in known:
        return Finding(subject=subject, ok=True, detail=f"{runtime}: {known[runtime].get('path', 'known')}")
    path = shutil.which(runtime, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or f"/path/to/{runtime}"
    entry = json.dumps({"runtimes": {runtime: {"path": path, "runtimeArgs": ["--network=none"]}}})
    return Finding(
        subject=subject,
        ok=False,
        detail=f"the engine does not know {runtime!r}, but {', '.join(sorted(known))}",
        mend=f"add {entry} to /etc/docker/daemon.json on its machine, then there: kill -HUP $(pidof dockerd)",
    )


def mend_engine(error: BaseException) -> str:
    """Return the command with which this user, on this machine, makes a Docker engine answer."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    if os.environ.get("DOCKER_HOST"):
        return f"start the engine at {os.environ['DOCKER_HOST']}, or: unset DOCKER_HOST"
    if "Permission denied" in str(error):
        return "sudo usermod -aG docker $USER, then log in again"
    if shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return f"{sudo}apt-get install docker.io"
    if SYSTEMD.is_dir():
        return f"{sudo}systemctl start docker"
    return f"{sudo}dockerd >/var/log/dockerd.log 2>&1 &"


async def _git() -> Finding:
    install = "apt-get install git" if os.geteuid() == 0 else "sudo apt-get install git"
    try:
        process = await asyncio.create_subprocess_exec("git", "--version", stdout=asyncio.subprocess.PIPE)
    except FileNotFoundError:
        return Finding(subject="git", ok=False, detail="not found", mend=install)
    said = (await process.communicate())[0].decode().strip()
    version = re.search(r"(\d+)\.(\d+)", said)
    ok = version is not None and (int(version[1]), int(version[2])) >= LEAST_GIT
    return Finding(subject="git", ok=ok, detail=said, mend=None if ok else install)


def _directory(path: Path) -> Finding:
    existing = _nearest(path)
    subject = f"directory {path}"
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(subject=subject, ok=False, detail="not writable", mend=f"sudo chown -R $USER {existing}")
    free = shutil.disk_usage(existing).free // 2**20
    ok = free >= LEAST_FREE_MB
    return Finding(subject=subject, ok=ok, detail=f"{free} MiB free", mend=None if ok else "assay prune")


def _nearest(path: Path) -> Path:
    """Return the last folder on the way to a path that can be seen."""
    seen = Path(path.anchor)
    for place in (*reversed(path.parents), path):
        try:
            there = place.exists()
        except PermissionError:
            there = False
        if not there:
            break
        seen = place
    return seen


def _engine(information: dict[str, Any], api: str) -> Finding:
    major, minor = (int(part) for part in api.split(".")[:2])
    ok = (major, minor) >= LEAST_API and information.get("OSType") == "linux"
    detail = (
        f"{information.get('ServerVersion')} (API {api}, {information.get('OSType')}, "
        f"{information.get('Driver')}, cgroup v{information.get('CgroupVersion', '1')}, "
        f"runtimes {' '.join(sorted(information.get('Runtimes') or {}))})"
    )
    return Finding(
        subject="docker engine", ok=ok, detail=detail, mend=None if ok else "install Docker Engine 20.10 or newer"
    )


def _engine_space(information: dict[str, Any]) -> tuple[Finding, ...]:
    """Look at the disk that holds images and containers, where the engine is this machine's own."""
    root = Path(str(information.get("DockerRootDir", "/nowhere")))
    if information.get("Name") != socket.gethostname():
        return ()
    try:
        free = shutil.disk_usage(root).free // 2**20
    except OSError:
        return ()
    ok = free >= LEAST_FREE_MB
    mend = None if ok else "assay sandbox prune && docker system prune"
    return (Finding(subject="engine's disk", ok=ok, detail=f"{free} MiB free in {root}", mend=mend),)


async def _image(engine: Engine, recipe: Recipe) -> Finding:
    subject = f"image {recipe.name}"
    found = await find_image(engine, recipe)
    if found is not None:
        origin = f"base {found.digest}" if found.digest else "from Debian's packages"
        detail = f"{recipe.tag} {found.id[:19]}, {len(found.packages)} packages, {origin}"
        return Finding(subject=subject, ok=True, detail=detail)
    absent = missing_tools()
    detail = f"{recipe.tag} is not in the engine"
    if absent:
        detail += f"; without a registry it cannot be built here, for want of {', '.join(absent)}"
    mend = "assay sandbox build" if recipe.name == "python" else f"assay sandbox build {recipe.name}"
    return Finding(subject=subject, ok=False, detail=detail, mend=mend)
