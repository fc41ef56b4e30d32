"""Wheels of pinned distributions, fetched on this machine by pip, for the interpreter of an image.

pip is asked for wheels alone (`--only-binary :all:`), so that nothing of what is fetched is executed here: a source
distribution would run its build script. What comes is read as archives only.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from assay.errors import AssayError, ConfigurationError, InfrastructureError
from assay.records.base import Record
from assay.sandboxes.images.archives import Unclear, programs_in, read_metadata
from assay.sandboxes.images.locks import Pin
from assay.sandboxes.images.places import Progress, disk_full
from assay.sandboxes.images.programs import PROTECTED

_TAIL: Final = 15
_LONGEST: Final = 3600.0
"""Seconds that fetching may take."""


class Interpreter(Record):
    """The Python of an image, as it says itself."""

    version: str
    """`3.11`."""
    implementation: str
    """`cp`, as tags of wheels have it."""
    machine: str
    """`x86_64`, …"""
    glibc: str | None
    """`2.36`; None for another C library."""
    markers: dict[str, str]
    """What markers ask about."""
    installed: dict[str, str]
    """Canonical name to version of the distributions that are there."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A fetched wheel."""

    path: Path
    name: str
    version: str
    sha256: str


def pip_version() -> str:
    """Return the version of the pip that fetches, and that installs."""
    return installed_version("pip")


async def fetch_wheels(
    pins: Sequence[Pin], interpreter: Interpreter, folder: Path, lock: str, progress: Progress
) -> tuple[Wheel, ...]:
    """Fetch what a lock file pins into a folder, from the index that pip on this machine is set up for.

    Args:
        pins: what the lock file names, for this interpreter.
        interpreter: for which the wheels must be.
        folder: an empty one.
        lock: the lock file's name, for messages.
        progress: told one line.

    Raises:
        ConfigurationError: there is no wheel, another digest, or a dependency that the lock file does not pin.
        DiskFull: no space left.
        InfrastructureError: the index cannot be reached, or pip failed otherwise; its last lines are quoted.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{pin}\n" for pin in pins))
    store = folder / "wheels"
    store.mkdir()
    progress(f"fetching {len(pins)} distributions that {lock} pins")
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(store), "--requirement", str(wanted)]
    options += ["--require-hashes"] if any(pin.hashes for pin in pins) else []
    code, said = await _pip(["download", "-vv", *options, *_target(interpreter)], folder)
    if code != 0:
        raise _failure(said, pins, lock, interpreter)
    wheels = await asyncio.to_thread(_read_folder, store)
    problems = [*_missing(wheels, pins), *_shadowing(wheels), *_unmet(wheels, pins, interpreter)]
    if problems:
        raise ConfigurationError(
            f"the distributions that {lock} pins cannot be installed together:\n" + "\n".join(problems[:20]),
            next_step="lock the whole graph (`pip-compile --generate-hashes`, `uv lock`), and commit the lock file",
        )
    return wheels


async def _pip(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run pip apart from this process and from the directory it stands in; return exit code and what it said."""
    command = [sys.executable, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        "--progress-bar=off",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
    )
    try:
        async with asyncio.timeout(_LONGEST):
            said, _ = await process.communicate()
    except TimeoutError:
        return 1, f"pip took longer than {_LONGEST:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="backslashreplace")


def _target(interpreter: Interpreter) -> Iterator[str]:
    """Yield the options that name an interpreter and a C library other than pip's own."""
    plain = interpreter.version.replace(".", "")
    yield from ("--implementation", interpreter.implementation, "--python-version", interpreter.version)
    for abi in (f"{interpreter.implementation}{plain}", "abi3", "none"):
        yield from ("--abi", abi)
    machine = interpreter.machine
    if interpreter.glibc is not None:
        # PEP 600: a wheel for an older glibc runs on a newer one; pip does not draw that conclusion by itself.
        newest = int(interpreter.glibc.split(".")[1])
        for minor in range(newest, 4, -1):
            yield from ("--platform", f"manylinux_2_{minor}_{machine}")
        for legacy in ("manylinux2014", "manylinux2010", "manylinux1"):
            yield from ("--platform", f"{legacy}_{machine}")
    yield from ("--platform", f"linux_{machine}", "--platform", "any")


def _failure(said: str, pins: Sequence[Pin], lock: str, interpreter: Interpreter) -> AssayError:
    """Return what pip's failure means."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "WARNING", "Could not"))][-_TAIL:]
    if "No space left on device" in said:
        return disk_full("the image cache")
    if "DO NOT MATCH THE HASHES" in said:
        start = next(number for number, line in enumerate(lines) if "DO NOT MATCH THE HASHES" in line)
        return ConfigurationError(
            f"a file from the index is not the one that {lock} pins:\n" + "\n".join(lines[start + 1 : start + 6]),
            next_step="find out whether the index or the lock file was changed; nothing was installed",
        )
    absent = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)", said)
    unreachable = re.search(r"Could not fetch URL \S+: (?!404)", said)
    if absent is None or unreachable is not None:
        return InfrastructureError(
            f"the distributions that {lock} pins could not be fetched:\n" + "\n".join(errors or lines[-_TAIL:]),
            next_step="make pip on this machine reach an index (PIP_INDEX_URL, or `pip config set global.index-url …`)",
        )
    name = canonicalize_name(absent[1].split("==")[0])
    pin = next((one for one in pins if one.name == name), None)
    sources = re.search(rf"No sources permitted for {re.escape(name)}\b", said, re.IGNORECASE)
    tags = re.search(rf"none of the wheel's tags.*{re.escape(name.replace('-', '_'))}", said, re.IGNORECASE)
    platform = f"Python {interpreter.version} on {interpreter.machine}"
    if sources is not None and tags is None:
        why = f"the index holds its source only, and building that would execute it on this machine ({platform})"
    else:
        why = f"the index holds no wheel of that version for {platform}"
    return ConfigurationError(
        f"{lock} pins {f'{pin.name} {pin.version}' if pin else name}, and {why}",
        next_step="build the wheel where you trust it and put it into your index, or give the profile an `image` "
        "that has it",
    )


def _read_folder(folder: Path) -> tuple[Wheel, ...]:
    wheels = []
    for path in sorted(folder.iterdir()):
        name, version, _, _ = parse_wheel_filename(path.name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        wheels.append(Wheel(path, name, str(version), digest))
    return tuple(wheels)


def _missing(wheels: Sequence[Wheel], pins: Sequence[Pin]) -> Iterator[str]:
    fetched = {(wheel.name, wheel.version) for wheel in wheels}
    for pin in pins:
        if (pin.name, pin.version) not in fetched:
            yield f"{pin.name} {pin.version} was not fetched"


def _shadowing(wheels: Sequence[Wheel]) -> Iterator[str]:
    """Yield what would be refused after the installation, too; here it can be said which wheel it is."""
    for wheel in wheels:
        try:
            programs = programs_in(wheel.path)
        except Unclear:
            yield f"{wheel.name} {wheel.version} has an entry_points.txt of which nobody knows what pip makes of it"
            continue
        for program in sorted(programs & PROTECTED):
            yield f"{wheel.name} {wheel.version} brings a program {program!r}, which would stand before the image's own"


def _unmet(wheels: Sequence[Wheel], pins: Sequence[Pin], interpreter: Interpreter) -> Iterator[str]:
    """Yield what a wheel needs and neither the lock file nor the image has."""
    there = {**interpreter.installed, **{wheel.name: wheel.version for wheel in wheels}}
    extras = {pin.name: pin.extras for pin in pins}
    for wheel in wheels:
        metadata = HeaderParser().parsestr(read_metadata(wheel.path, "METADATA"))
        for text in metadata.get_all("Requires-Dist") or ():
            try:
                needed = Requirement(text)
            except InvalidRequirement:
                continue
            asked = [{**interpreter.markers, "extra": extra} for extra in ("", *extras.get(wheel.name, ()))]
            if needed.marker is not None and not any(needed.marker.evaluate(one) for one in asked):
                continue
            found = there.get(canonicalize_name(needed.name))
            if found is None or not needed.specifier.contains(Version(found), prereleases=True):
                yield f"{wheel.name} {wheel.version} needs {needed}, and there is {found or 'none'}"
