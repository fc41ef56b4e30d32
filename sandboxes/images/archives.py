"""What is in a wheel, read without unpacking it. Whatever can be read in two ways counts in both, or is refused."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Final

from assay.errors import ConfigurationError

_METADATA_MOST: Final = 10_000_000
_SCRIPTS: Final = ("console_scripts", "gui_scripts")
_BEFORE_EVERYTHING: Final = frozenset(
    ("sitecustomize", "usercustomize", "pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
)
"""Modules that Python loads when it starts, and those that pytest does."""


class Unclear(Exception):
    """Nobody can say which programs an archive brings."""


def programs_in(wheel: Path) -> set[str]:
    """Return the names of the programs that a wheel installs; raises Unclear, ConfigurationError."""
    with zipfile.ZipFile(wheel) as archive:
        found = set(_files(archive.namelist()))
    entries = read_metadata(wheel, "entry_points.txt")
    return found | {posixpath.basename(name) for name in (*_by_sections(entries), *_by_lines(entries))}


def loads_itself(wheel: Path) -> bool:
    """Return whether something in a wheel is loaded before any program asks for it: by Python's `site`, or by pytest.

    Raises ConfigurationError; see `read_metadata`.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = [posixpath.normpath(name) for name in archive.namelist()]
    sections = {line.strip("[] ") for line in map(str.strip, read_metadata(wheel, "entry_points.txt").splitlines())}
    return "pytest11" in sections or any(map(_is_early, names))


def _is_early(name: str) -> bool:
    folder, *below = name.split("/")
    if folder.endswith(".data"):  # what belongs elsewhere than beside the packages, but for the first two of these
        kind, *below = below or [""]
        if kind == "data":  # may come to lie anywhere
            return name.endswith(".pth") or any(part.partition(".")[0] in _BEFORE_EVERYTHING for part in below)
        if kind not in ("purelib", "platlib"):
            return False
    else:
        below = [folder, *below]
    top = below[0] if below else ""
    return top.partition(".")[0] in _BEFORE_EVERYTHING or (len(below) == 1 and top.endswith(".pth"))


def _files(names: list[str]) -> Iterator[str]:
    """Yield the programs among the files that belong elsewhere than to the packages (the wheel format's `.data`)."""
    for name in names:
        folder, *below = posixpath.normpath(name).split("/")
        if folder.endswith(".data") and (below[:1] == ["scripts"] or below[-2:-1] in (["bin"], ["sbin"])):
            yield below[-1]


def _by_sections(text: str) -> Iterator[str]:
    """Yield the names of entry points as pip for a Python before 3.10 reads them."""
    parser = ConfigParser(strict=False, delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except ConfigParserError as error:
        raise Unclear from error
    for section in parser.sections():
        if section.strip() in _SCRIPTS:
            yield from parser[section]


def _by_lines(text: str) -> Iterator[str]:
    """Yield them as pip for later ones does: it knows of no line that continues another."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section in _SCRIPTS:
            yield line.partition("=")[0].strip()


def read_metadata(wheel: Path, name: str) -> str:
    """Return a file of a wheel's `.dist-info` folder; empty where there is none.

    Raises ConfigurationError where there are two, since another reader may take the other one, or where it is too long.
    """
    with zipfile.ZipFile(wheel) as archive:
        found = [entry for entry in archive.infolist() if _is_metadata(entry.filename, name)]
        if len(found) > 1:
            raise ConfigurationError(f"{wheel.name} holds {len(found)} files {name}: which one counts is not known")
        if found and found[0].file_size > _METADATA_MOST:
            raise ConfigurationError(f"the file {name} in {wheel.name} is {found[0].file_size} bytes long")
        return archive.read(found[0]).decode(errors="replace") if found else ""


def _is_metadata(path: str, name: str) -> bool:
    folder, _, file = posixpath.normpath(path).partition("/")
    return folder.endswith(".dist-info") and file == name
