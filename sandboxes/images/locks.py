"""Lock files of Python projects, read as data: which distributions at which version and digest, and nothing else.

A lock file comes from the repository. What it says about where to fetch from (indexes, addresses, paths, other
files) is refused or left out: that is for the machine's own configuration to say.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from assay.errors import ConfigurationError
from assay.records.base import Record

Environment = Mapping[str, str]
"""What markers ask about the interpreter: `python_version`, `sys_platform`, … (the dependency specifiers' standard)."""

_HASH: Final = re.compile(r"\s--hash[= ](\S+)")
_DIGEST: Final = re.compile(r"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")
_HARMLESS: Final = re.compile(r"--(?:require-hashes|only-binary[= ]\S+|prefer-binary)\s*")
"""Options of a requirements file that ask for what is done anyway."""


class Pin(Record):
    """One distribution of a lock file."""

    name: str
    """In its canonical form: lower case, with `-`."""
    version: str
    hashes: tuple[str, ...] = ()
    """`sha256:…` of each file that counts as it."""
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={digest}" for digest in self.hashes)])


def read_lock_file(path: str, text: str, environment: Environment) -> tuple[Pin, ...]:
    """Return what a lock file pins for an interpreter, sorted by name.

    Args:
        path: of the file; its name tells the format: `uv.lock`, `poetry.lock`, `pylock*.toml`, else
            pip's requirements, each with an exact version.
        text: its content.
        environment: of the interpreter; what a marker leaves out is left out.

    Raises ConfigurationError, naming the file and what in it cannot be used.
    """
    name = posixpath.basename(path)
    try:
        pins = list(_reader(name)(text, environment))
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, f"is no TOML: {error}") from error
    except RecursionError as error:
        raise _unusable(path, "is nested too deeply") from error
    except (_Unusable, ValueError) as error:  # names, versions, markers: `packaging` has a ValueError for each
        raise _unusable(path, f"cannot be used: {error}" if isinstance(error, ValueError) else str(error)) from error
    except (LookupError, TypeError, AttributeError) as error:
        raise _unusable(path, f"is no lock file of its kind ({type(error).__name__}: {error})") from error
    found: dict[str, Pin] = {}
    for pin in pins:
        if found.setdefault(pin.name, pin).version != pin.version:
            raise _unusable(path, f"pins {pin.name} twice: {found[pin.name].version} and {pin.version}")
    hashed = [pin for pin in found.values() if pin.hashes]
    if hashed and len(hashed) != len(found):
        bare = next(pin.name for pin in found.values() if not pin.hashes)
        raise _unusable(path, f"has digests, and none for {bare}")
    return tuple(found[name] for name in sorted(found))


class _Unusable(Exception):
    """What a lock file says cannot be used."""


def _unusable(path: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the lock file {path} {what}",
        next_step="write it anew with `uv lock`, `poetry lock`, or `pip-compile --generate-hashes`, and commit it",
    )


def _reader(name: str) -> Callable[[str, Environment], Iterator[Pin]]:
    if name == "uv.lock":
        return _read_uv
    if name == "poetry.lock":
        return _read_poetry
    return _read_pylock if re.fullmatch(r"pylock(?:\.[^.]+)?\.toml", name) else _read_requirements


def _pin(name: str, version: str, hashes: Iterator[str] | tuple[str, ...], extras: tuple[str, ...] = ()) -> Pin:
    kept = tuple(sorted({digest for digest in hashes if _DIGEST.fullmatch(digest)}))
    return Pin(name=canonicalize_name(name, validate=True), version=str(Version(version)), hashes=kept, extras=extras)


def _read_requirements(text: str, environment: Environment) -> Iterator[Pin]:
    joined = re.sub(r"\\\r?\n", " ", text)
    for raw in joined.splitlines():
        line = re.sub(r"(?:^|\s)#.*", "", raw).strip()
        if not line or _HARMLESS.fullmatch(line):
            continue
        if line.startswith("-"):
            raise _Unusable(f"has the line {line!r}: only pinned distributions are read, and no options")
        hashes = _HASH.findall(line)
        wrong = [digest for digest in hashes if not _DIGEST.fullmatch(digest)]
        if wrong:
            raise _Unusable(f"has the digest {wrong[0]!r}, which is none of SHA-256, SHA-384 or SHA-512")
        wanted = Requirement(_HASH.sub("", line).strip())
        exact = [one.version for one in wanted.specifier if one.operator in ("==", "===") and "*" not in one.version]
        if wanted.url is not None or len(wanted.specifier) != 1 or len(exact) != 1:
            raise _Unusable(f"has the line {line!r}, which does not name one version (`name==1.2.3`)")
        if wanted.marker is None or wanted.marker.evaluate(dict(environment)):
            yield _pin(wanted.name, exact[0], tuple(hashes), tuple(sorted(wanted.extras)))


def _read_pylock(text: str, environment: Environment) -> Iterator[Pin]:
    """PEP 751: `packages`, each with `marker` and the digests of its `wheels`."""
    document = tomllib.loads(text)
    if not str(document["lock-version"]).startswith("1."):
        raise _Unusable(f"has lock-version {document['lock-version']!r}; 1.0 is known")
    for package in document.get("packages", ()):
        if not _holds(package.get("marker"), environment):
            continue
        name = package["name"]
        if "version" not in package or not (package.get("wheels") or package.get("sdist")):
            raise _Unusable(f"takes {name} from a directory, an archive or a repository, and not from an index")
        yield _pin(name, package["version"], _digests(package.get("wheels", ())))


def _digests(wheels: Any) -> Iterator[str]:
    for wheel in wheels:
        yield from (f"{kind}:{digest}" for kind, digest in wheel["hashes"].items())


def _read_poetry(text: str, environment: Environment) -> Iterator[Pin]:
    """poetry.lock 2: `package`, each with `markers` and the digests of its `files`; optional ones are left out."""
    for package in tomllib.loads(text).get("package", ()):
        markers = package.get("markers")
        needed = any(_holds(m, environment) for m in (markers.values() if isinstance(markers, dict) else [markers]))
        if package.get("optional") or not needed:
            continue
        if package.get("source", {}).get("type", "legacy") not in ("legacy", "pypi"):
            raise _Unusable(f"takes {package['name']} from {package['source']['type']}, and not from an index")
        yield _pin(package["name"], package["version"], tuple(file["hash"] for file in package["files"]))


def _read_uv(text: str, environment: Environment) -> Iterator[Pin]:
    """uv.lock: a graph, walked from the project itself, its groups of development dependencies included."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads(text).get("package", ()):
        packages.setdefault(package["name"], []).append(package)
    roots = [one for found in packages.values() for one in found if set(one["source"]) & {"virtual", "editable"}]
    if not roots:
        raise _Unusable("names no project to start from")
    waiting: list[tuple[dict[str, Any], str | None]] = []
    for root in roots:
        waiting += [(root, None), *((root, f"dev:{group}") for group in root.get("dev-dependencies", {}))]
    seen: set[tuple[str, str, str | None]] = set()
    while waiting:
        package, part = waiting.pop()
        key = (package["name"], package.get("version", ""), part)
        if key in seen:
            continue
        seen.add(key)
        for edge in _edges(package, part):
            if _holds(edge.get("marker"), environment):
                target = _target(packages, edge)
                waiting += [(target, None), *((target, extra) for extra in edge.get("extra", ()))]
        if part is None and package not in roots:
            if "registry" not in package["source"]:
                raise _Unusable(f"takes {package['name']} from {sorted(package['source'])[0]}, and not from an index")
            yield _pin(package["name"], package["version"], tuple(w["hash"] for w in package.get("wheels", ())))


def _edges(package: Mapping[str, Any], part: str | None) -> list[dict[str, Any]]:
    if part is None:
        return list(package.get("dependencies", ()))
    kind, _, group = part.partition("dev:")
    table = "dev-dependencies" if group else "optional-dependencies"
    return list(package.get(table, {}).get(group or kind, ()))


def _target(packages: Mapping[str, list[dict[str, Any]]], edge: Mapping[str, Any]) -> dict[str, Any]:
    found = [one for one in packages[edge["name"]] if edge.get("version") in (None, one.get("version"))]
    if len(found) != 1:
        raise _Unusable(f"does not say which {edge['name']} is meant")
    return found[0]


def _holds(marker: str | None, environment: Environment) -> bool:
    """Whether a marker holds; the default groups of a project count as asked for, its extras do not."""
    if not marker:
        return True
    known: dict[str, Any] = {**environment, "extras": set(), "dependency_groups": {"dev", "test", "tests"}, "extra": ""}
    return Marker(marker).evaluate(known, context="lock_file")
