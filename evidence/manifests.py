"""Files that say which of other people's code a project takes, read as data: nothing of them is executed or asked.

A manifest says what is wanted (`pyproject.toml`, `package.json`, …), a lock file what is taken (`uv.lock`, requirements
with digests, …). Both sides of a change are read leniently, so that a person sees what differs; what a layer is made of
is read by `assay.sandboxes.images.locks`, strictly.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_MOST_BYTES: Final = 20_000_000
_DIGEST: Final = re.compile(r"--hash[= ](\S+)")
_SOURCE_OPTIONS: Final = re.compile(r"(?:-i|-f|--(?:extra-)?index-url|--find-links|--trusted-host|-r|-c)\b.*|--pre\b.*")
_USER: Final = re.compile(r"""(://)[^\s/?#"'<>\\]*@""")
_TOKEN: Final = re.compile(r"""([?&][\w.-]*(?:token|key|secret|passw|auth|sig)[\w.-]*=)[^\s&#"']+""", re.IGNORECASE)
_EXACT: Final = re.compile(r"={0,3}\s*v?\d[^\s,*<>=!~^|]*")


class Unread(Exception):
    """A file of dependencies cannot be read as data."""

    def __init__(self, reason: str) -> None:
        """Say why, without what an address in the file may hold of secrets."""
        super().__init__(without_credentials(reason))


@dataclass(slots=True)
class Taken:
    """One distribution, as a file names it."""

    versions: set[str] = field(default_factory=set)
    """As written: `1.2.0`, `>=1,<2`; empty where the file leaves it open."""
    digests: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    """From where, as far as it is said: an index's address without its path, a repository, a folder."""

    @property
    def pinned(self) -> bool:
        """Whether each mention names one version."""
        return bool(self.versions) and all(_EXACT.fullmatch(v) for v in self.versions)

    @property
    def version(self) -> str:
        """What is asked for, in a few words."""
        return ", ".join(sorted(v for v in self.versions if v)) or "any version"


@dataclass(slots=True)
class Listing:
    """What one file of dependencies says."""

    taken: dict[str, Taken] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    """Places that everything may be taken from: indexes, options."""
    locked: bool = False
    """Whether it says what is taken, all of it, and not only what is wanted."""

    def add(self, name: str, version: str = "", digests: set[str] | None = None, source: str = "") -> None:
        """Note one mention of a distribution."""
        one = self.taken.setdefault(_canonical(name), Taken())
        one.versions.add(version.strip())
        one.digests |= digests or set()
        if source:
            one.sources.add(_place(source))

    def require(self, text: object, source: str = "") -> None:
        """Note a requirement as Python's specifiers write it."""
        try:
            wanted = Requirement(str(text))
        except InvalidRequirement as error:
            raise Unread(f"{without_credentials(str(text))[:80]!r} is no requirement") from error
        self.add(wanted.name, str(wanted.specifier), source=wanted.url or source)


def is_manifest(path: str) -> bool:
    """Return whether a file of this name says which of other people's code is taken, and can be read here."""
    return _reader(path) is not None


def read_manifest(path: str, data: bytes, *, installed: bool = False) -> Listing:
    """Return what a file of dependencies says; an empty one for no data.

    Args:
        path: its name tells the format.
        data: its content.
        installed: whether layers are made from it; under any other name it is then pip's requirements.

    Addresses in it are without credentials. Raises Unread, with the reason.
    """
    reader = _reader(path) or (_read_requirements if installed else None)
    if reader is None:
        raise Unread("nothing here reads files of this kind")
    if len(data) > _MOST_BYTES:
        raise Unread(f"it is {len(data)} bytes long")
    listing = Listing()
    if not data.strip():
        return listing
    try:
        reader(data.decode(), listing)
    except (ValueError, ConfigParserError, RecursionError) as error:
        raise Unread(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    except (LookupError, TypeError, AttributeError) as error:
        raise Unread(f"it is no file of its kind ({type(error).__name__}: {error})") from error
    listing.sources = {without_credentials(source) for source in listing.sources}
    for one in listing.taken.values():
        one.versions = {without_credentials(version) for version in one.versions}
        one.sources = {without_credentials(source) for source in one.sources}
    return listing


def without_credentials(text: str) -> str:
    """Return a text whose addresses name no user, password or token: what is told of a file goes where it does not."""
    return _TOKEN.sub(r"\1…", _USER.sub(r"\1", text))


def _reader(path: str) -> Callable[[str, Listing], None] | None:
    name = posixpath.basename(path)
    folder = posixpath.basename(posixpath.dirname(path))
    if name in _READERS:
        return _READERS[name]
    if fnmatch(name, "pylock.*.toml"):
        return _read_packages
    patterns = ("requirements*.txt", "requirements*.in", "requirements*.lock", "constraints*.txt", "*-requirements.txt")
    if any(fnmatch(name, p) for p in patterns) or (folder == "requirements" and name.endswith((".txt", ".in"))):
        return _read_requirements
    return None


def _read_requirements(text: str, listing: Listing) -> None:
    for raw in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(?:^|\s)#.*", "", raw).strip()
        if not line:
            continue
        if line.startswith("-"):
            editable = re.match(r"(?:-e|--editable)[= ]\s*(.+)", line)
            if editable or _SOURCE_OPTIONS.fullmatch(line):
                listing.sources.add(line)
            continue
        digests = set(_DIGEST.findall(line))
        bare = re.sub(r"\s--\S+.*", "", line).strip()
        if re.match(r"(?:[\w+.-]+://|\.{0,2}/)", bare):  # an address or a path without a name
            listing.sources.add(bare)
            continue
        try:
            wanted = Requirement(bare)
        except InvalidRequirement as error:
            raise Unread(f"{without_credentials(bare)[:80]!r} is no requirement") from error
        listing.add(wanted.name, str(wanted.specifier), digests, wanted.url or "")
    listing.locked = bool(listing.taken) and all(t.digests for t in listing.taken.values())


def _read_pyproject(text: str, listing: Listing) -> None:
    document = tomllib.loads(text)
    project, tool = _table(document, "project"), _table(document, "tool")
    groups = [*_table(project, "optional-dependencies").values(), *_table(document, "dependency-groups").values()]
    uv, poetry = _table(tool, "uv"), _table(tool, "poetry")
    groups += [project.get("dependencies", ()), _table(document, "build-system").get("requires", ())]
    groups += [uv.get("dev-dependencies", ()), *_table(_table(tool, "pdm"), "dev-dependencies").values()]
    for wanted in (one for group in groups for one in group if not isinstance(one, Mapping)):
        listing.require(wanted)
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    tables += [_table(group, "dependencies") for group in _table(poetry, "group").values()]
    for table in tables:
        _read_table({name: one for name, one in table.items() if name != "python"}, listing)
    for name, source in _table(uv, "sources").items():
        listing.taken.setdefault(_canonical(name), Taken()).sources.add(_short(source))
    listing.sources |= {_short(one) for key in ("index", "find-links") for one in _listed(uv.get(key))}
    listing.sources |= {_short(uv[key]) for key in ("index-url", "extra-index-url") if key in uv}
    listing.sources |= {_short(one) for one in _listed(poetry.get("source"))}
    listing.taken.pop(_canonical(str(project.get("name") or poetry.get("name") or "")), None)  # extras of its own


def _read_table(table: Mapping[str, Any], listing: Listing) -> None:
    """Read a table of names, each with a version or with a table of its own, as Poetry, Pipenv and Cargo write them."""
    for name, told in table.items():
        for one in _listed(told):
            if isinstance(one, Mapping):
                source = next((f"{k} {one[k]}" for k in ("git", "path", "url", "file", "registry") if k in one), "")
                listing.add(name, str(one.get("version", "")), source=source)
            else:
                listing.add(name, "" if one == "*" else str(one))


def _read_setup(text: str, listing: Listing) -> None:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    lists = [parser.get("options", key, fallback="") for key in ("install_requires", "setup_requires", "tests_require")]
    if parser.has_section("options.extras_require"):
        lists += [parser.get("options.extras_require", key) for key in parser.options("options.extras_require")]
    for line in (line.strip() for text in lists for line in text.splitlines()):
        if line and not line.startswith("#"):
            listing.require(line)


def _read_packages(text: str, listing: Listing) -> None:
    """`uv.lock`, `poetry.lock`, `pdm.lock`, `pylock.toml`: a list of packages."""
    document = tomllib.loads(text)
    _list_packages((*document.get("package", ()), *document.get("packages", ())), listing)


def _read_cargo_lock(text: str, listing: Listing) -> None:
    """What has neither a source nor a checksum is the project's own."""
    packages = tomllib.loads(text).get("package", ())
    _list_packages([p for p in packages if "source" in p or "checksum" in p], listing)


def _list_packages(packages: Iterable[Mapping[str, Any]], listing: Listing) -> None:
    listing.locked = True
    for package in packages:
        source = package.get("source", "")
        if isinstance(source, Mapping):
            if set(source) & {"virtual", "editable"}:  # the project itself
                continue
            source = source["registry"] if set(source) == {"registry"} else _short(source)
        elsewhere = next(
            (f"{key} {_short(package[key])}" for key in ("vcs", "directory", "archive") if key in package), ""
        )
        files = [*package.get("files", ()), *package.get("wheels", ()), *_listed(package.get("sdist"))]
        digests = {str(d) for d in (package.get("checksum"),) if d}
        for file in files:
            digests |= {f"{k}:{v}" for k, v in file["hashes"].items()} if "hashes" in file else {file.get("hash", "")}
        listing.add(package["name"], str(package.get("version", "")), digests - {""}, str(source or elsewhere))


def _read_pipfile(text: str, listing: Listing) -> None:
    document = tomllib.loads(text)
    for key in ("packages", "dev-packages"):
        _read_table(_table(document, key), listing)
    listing.sources |= {_place(str(one.get("url"))) for one in _listed(document.get("source"))}


def _read_pipfile_lock(text: str, listing: Listing) -> None:
    listing.locked = True
    document = json.loads(text)
    for name, one in (entry for key in ("default", "develop") for entry in document.get(key, {}).items()):
        source = next((f"{k} {one[k]}" for k in ("git", "path", "file") if k in one), "")
        listing.add(name, str(one.get("version", "")), set(one.get("hashes", ())), source)
    listing.sources |= {_place(str(one["url"])) for one in document.get("_meta", {}).get("sources", ())}


def _read_package_json(text: str, listing: Listing) -> None:
    document = json.loads(text)
    for key in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "overrides"):
        for name, version in document.get(key, {}).items():
            told = version if isinstance(version, str) else _short(version)
            elsewhere = told if re.match(r"(?:git|file|link|https?|github|npm)[:+]|[\w-]+/[\w.-]+", told) else ""
            listing.add(name, "" if told == "*" else told, source=elsewhere)


def _read_package_lock(text: str, listing: Listing) -> None:
    listing.locked = True
    for path, one in json.loads(text)["packages"].items():
        if "node_modules/" in path and not one.get("link"):  # others are the project's own workspaces
            name = str(one.get("name") or path.rpartition("node_modules/")[2])
            digests = {str(one["integrity"])} if "integrity" in one else set()
            listing.add(name, str(one.get("version", "")), digests, str(one.get("resolved", "")))


def _read_cargo(text: str, listing: Listing) -> None:
    document = tomllib.loads(text)
    for table in (document, _table(document, "workspace"), *_table(document, "target").values()):
        for key in ("dependencies", "dev-dependencies", "build-dependencies"):
            _read_table(_table(table, key), listing)


def _read_go(text: str, listing: Listing) -> None:
    for words in map(str.split, text.splitlines()):
        module, version = [*words[words[:1] == ["require"] :], "", ""][:2]
        if "." in module[1:-1] and re.match(r"v\d", version):
            listing.add(module, version)
    listing.sources |= {line.strip() for line in text.splitlines() if "=>" in line}


_READERS: Final[Mapping[str, Callable[[str, Listing], None]]] = {
    "pyproject.toml": _read_pyproject,
    "setup.cfg": _read_setup,
    "Pipfile": _read_pipfile,
    "Pipfile.lock": _read_pipfile_lock,
    **dict.fromkeys(("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"), _read_packages),
    "Cargo.lock": _read_cargo_lock,
    "package.json": _read_package_json,
    **dict.fromkeys(("package-lock.json", "npm-shrinkwrap.json"), _read_package_lock),
    "Cargo.toml": _read_cargo,
    "go.mod": _read_go,
}


def _canonical(name: str) -> str:
    return name.lower() if name.startswith("@") or "/" in name else canonicalize_name(name)


def canonical(requirement: str) -> str:
    """Return the name in a requirement, or in whatever an author calls a dependency, as listings have it."""
    found = re.match(r"\s*(@?[\w.-]+(?:/[\w.-]+)*)", requirement)
    return _canonical(found[1]) if found else requirement


def _place(source: str) -> str:
    """Return a source without what differs from one file of it to the next."""
    found = re.match(r"(?:registry\+|sparse\+)?(https?://[^/#?]+)", source)
    return found[1] if found else source.partition("#")[0]


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key, {})
    if not isinstance(found, Mapping):
        raise Unread(f"`{key}` is no table")
    return found


def _listed(value: Any) -> Iterator[Any]:
    if value is not None:
        yield from value if isinstance(value, list) else (value,)


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
