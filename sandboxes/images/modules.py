"""Packages of npm as a lock file pins them: fetched from this machine's registry, checked, and laid out as data.

What npm does with `ci --ignore-scripts`, without npm: nothing of a package is executed, here or in the image. Packages
are unpacked file by file into one tar file, which refuses links, devices and paths that lead out.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import io
import json
import os
import posixpath
import re
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from assay.errors import ConfigurationError, InfrastructureError
from assay.records.base import Record
from assay.sandboxes.images.places import Progress

LOCK_FILES: Final = ("package-lock.json", "npm-shrinkwrap.json")
PROGRAMS: Final = "/node_modules/.bin"
"""Where programs lie. Node looks for modules in `/node_modules` from every folder of the workspace, after its own."""
_NAME: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*", re.IGNORECASE)
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")
_PLACE: Final = re.compile(rf"(?:node_modules/{_NAME.pattern}/)*node_modules/{_NAME.pattern}", re.IGNORECASE)
_MACHINES: Final = {"amd64": "x64", "x86_64": "x64", "arm64": "arm64", "aarch64": "arm64"}
_AT_ONCE: Final = 8
_SECONDS: Final = 60.0
_MOST_BYTES: Final = 500_000_000
"""Of one package, packed or not."""


class Module(Record):
    """A package at one place of the tree of modules."""

    place: str
    """`node_modules/a/node_modules/@scope/b`."""
    name: str
    version: str
    digest: str
    """SHA-512, hexadecimal, of the packed file."""
    programs: dict[str, str] = {}
    """Name to file in the package."""
    has_script: bool = False
    """Whether it has an install script, which is not run."""


def read_package_lock(path: str, text: str, machine: str) -> tuple[Module, ...]:
    """Return what a lock file of npm 7 or newer pins for a machine, sorted by place.

    Raises ConfigurationError, naming the file and what in it cannot be used.
    """
    try:
        document = json.loads(text)
        if document.get("lockfileVersion") not in (2, 3):
            raise _unusable(path, f"has lockfileVersion {document.get('lockfileVersion')!r}; 2 and 3 are known")
        modules = [_module(path, place, entry, machine) for place, entry in document["packages"].items() if place]
    except RecursionError as error:
        raise _unusable(path, "is nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(path, f"is no lock file of npm's ({type(error).__name__}: {error})") from error
    return tuple(sorted((one for one in modules if one is not None), key=lambda one: one.place))


def _unusable(path: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the lock file {path} {what}", next_step="write it anew with `npm install --package-lock-only`, and commit it"
    )


def _module(path: str, place: str, entry: Mapping[str, Any], machine: str) -> Module | None:
    """Return a package; None for one that is part of another's file, or for other machines only."""
    if entry.get("inBundle") or (entry.get("optional") and not _fits(entry, machine)):
        return None
    if not _PLACE.fullmatch(place) or ".." in place:
        raise _unusable(path, f"has a package of the repository itself, {place!r}: workspaces are not installed")
    name = entry.get("name") or place.rpartition("node_modules/")[2]
    version, found = str(entry.get("version")), re.search(r"sha512-([A-Za-z0-9+/]{86}==)", entry.get("integrity", ""))
    if entry.get("link") or found is None or not _VERSION.fullmatch(version) or not _NAME.fullmatch(name):
        raise _unusable(path, f"takes {place!r} from {entry.get('resolved')!r}, and not from a registry with a SHA-512")
    programs = entry.get("bin") or {}
    if isinstance(programs, str):
        programs = {name.rpartition("/")[2]: programs}
    return Module(
        place=place,
        name=name,
        version=version,
        digest=base64.b64decode(found[1]).hex(),
        programs={program: posixpath.normpath(file) for program, file in programs.items()},
        has_script=bool(entry.get("hasInstallScript")),
    )


def _fits(entry: Mapping[str, Any], machine: str) -> bool:
    wanted = {"os": "linux", "cpu": _MACHINES.get(machine, machine), "libc": "glibc"}
    return all(_allows(entry.get(key), value) for key, value in wanted.items())


def _allows(listed: Sequence[str] | None, value: str) -> bool:
    if not listed:
        return True
    return f"!{value}" not in listed and (value in listed or all(one.startswith("!") for one in listed))


def find_registry() -> str:
    """Return the registry that npm on this machine is set up for; raises InfrastructureError where it names none."""
    named = {name.upper(): text for name, text in os.environ.items()}  # npm takes its variables in either case
    found = named.get("NPM_CONFIG_REGISTRY")
    settings = Path(named.get("NPM_CONFIG_USERCONFIG") or Path.home() / ".npmrc")
    if not found and settings.is_file():
        lines = settings.read_text(errors="replace").splitlines()
        found = next((line.partition("=")[2].strip() for line in lines if re.match(r"registry\s*=", line)), None)
    if not found or urllib.parse.urlsplit(found).scheme not in ("http", "https"):
        raise InfrastructureError(
            f"no registry of npm's is set up on this machine ({found!r})",
            next_step="name one: NPM_CONFIG_REGISTRY=https://…, or `registry=` in ~/.npmrc",
        )
    return found.rstrip("/")


async def fetch_modules(modules: Sequence[Module], folder: Path, lock: str, progress: Progress) -> dict[str, Path]:
    """Fetch each package once into a folder, and return its digest's file.

    Raises ConfigurationError for another digest, InfrastructureError where the registry does not give it.
    """
    registry = find_registry()
    wanted = {module.digest: module for module in modules}
    progress(f"fetching {len(wanted)} packages that {lock} pins")
    if scripted := sorted({module.name for module in modules if module.has_script}):
        progress(f"their install scripts are not run: {', '.join(scripted)}")
    turns = asyncio.Semaphore(_AT_ONCE)

    async def fetch(module: Module) -> Path:
        async with turns:
            return await asyncio.to_thread(_fetch, registry, module, folder, lock)

    paths = await asyncio.gather(*map(fetch, wanted.values()))
    return dict(zip(wanted, paths, strict=True))


def _fetch(registry: str, module: Module, folder: Path, lock: str) -> Path:
    # The address in the lock file is the repository's word; its digest is what counts.
    address = f"{registry}/{module.name}/-/{module.name.rpartition('/')[2]}-{module.version}.tgz"
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme was looked at
            data: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise InfrastructureError(
            f"{module.name} {module.version}, which {lock} pins, could not be fetched from {registry}: {error}",
            next_step="make the registry reachable, or name another one: NPM_CONFIG_REGISTRY=https://…",
        ) from error
    if hashlib.sha512(data).hexdigest() != module.digest:
        raise ConfigurationError(
            f"{module.name} {module.version} from {registry} is not the file that {lock} pins",
            next_step="find out whether the registry or the lock file was changed; nothing was installed",
        )
    path = folder / module.digest[:40]
    path.write_bytes(data)
    return path


def pack_modules(modules: Sequence[Module], files: Mapping[str, Path], archive: tarfile.TarFile) -> None:
    """Write the tree of modules, and links to the programs of those at its top, into a tar file."""
    for module in modules:
        for name, mode, data in _unpack(module, files[module.digest]):
            entry = tarfile.TarInfo(f"{module.place}/{name}")
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
        if module.place.count("node_modules/") != 1:
            continue
        for program, file in sorted(module.programs.items()):
            if "/" in program or program in ("", ".", "..") or file.startswith(("../", "/")):
                raise ConfigurationError(f"{module.name} {module.version} has the program {program!r} at {file!r}")
            link = tarfile.TarInfo(f"node_modules/.bin/{program}")
            link.type, link.linkname = tarfile.SYMTYPE, f"../{module.place.removeprefix('node_modules/')}/{file}"
            archive.addfile(link)


def _unpack(module: Module, path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield the files of a package: path below it, mode and content."""
    programs, size = set(module.programs.values()), 0
    try:
        with tarfile.open(path, "r:gz") as packed:
            for entry in packed:
                name = posixpath.normpath(entry.name.partition("/")[2])
                if entry.isdir() or name == ".":
                    continue
                size += entry.size
                if not entry.isfile() or name.startswith(("/", "../")) or name == ".." or size > _MOST_BYTES:
                    raise ConfigurationError(
                        f"{module.name} {module.version} holds {entry.name!r}, which is no plain file of its own"
                    )
                content = packed.extractfile(entry)
                executable = name in programs or entry.mode & 0o111
                yield name, 0o755 if executable else 0o644, content.read() if content else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ConfigurationError(f"{module.name} {module.version} is no archive: {error}") from error
