"""S14, before anything is executed: what a change does to manifests, lock files and images, and what its claim says.

Defeats dependencies that come in beside something else: each that is new, gone, another version, open, without a
digest, or from another place is shown, whatever the claim is about. Trees are read as data.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from typing import Final, Literal

from assay.evidence.manifests import Listing, Taken, Unread, canonical, is_manifest, read_manifest, without_credentials
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.base import Record
from assay.records.claims import ClaimDraft
from assay.records.trees import EXECUTABLE, REGULAR, Contents, Tree
from assay.records.verdicts import Flag

_IMAGES: Final = ("dockerfile", "dockerfile.*", "*.dockerfile", "containerfile", "containerfile.*")
_SETTINGS: Final = "assay.toml"
_SETUP: Final = "setup.py"
_MOST: Final = 200
"""Flags of one kind and file; of more, the number is told."""

Kind = Literal["added", "removed", "changed", "unpinned", "without-hashes", "source", "unread", "image"]


class Undeclared(Record):
    """A dependency that the claim says is not there."""

    name: str
    path: str


class Dependencies(Record):
    """What a change does to the code of other people that it takes."""

    files: tuple[str, ...] = ()
    """Manifests, lock files and images that differ."""
    lock: str | None = None
    """Lock file from which the proof's sandboxes are made, where it is among them."""
    unhashed: tuple[str, ...] = ()
    """Distributions in that lock file, as the change leaves it, that have no digest."""
    unreadable: str = ""
    """Why that lock file cannot be read as data, as the change leaves it."""
    undeclared: tuple[Undeclared, ...] = ()
    """What comes in although the claim says which dependencies are new, and does not name it."""
    flags: tuple[Flag, ...] = ()
    image: str | None = None
    """Id of the image with the head's dependencies, once there is one."""
    trouble: str = ""
    """Why there is none; empty where none is needed."""
    question: str = ""
    """What a person would have to answer then."""
    loaded: tuple[str, ...] = ()
    """What the head's dependencies bring that is loaded by itself, before the program is, and the base's do not."""


def examine_dependencies(
    base: Tree, head: Tree, contents: Contents, settings: Settings, draft: ClaimDraft
) -> Dependencies:
    """Return what differs between two trees in the dependencies that they name.

    Args:
        base: the tree before.
        head: the tree after.
        contents: bytes of both.
        settings: say from which lock file sandboxes are made; read at the base.
        draft: says what is new, or does not.
    """
    named = settings.sandbox(settings.proof.sandbox).dependencies
    lock = None if named is None else posixpath.normpath(named)
    look = _Look(base, head, contents, settings, lock)
    if not look.changed:
        return Dependencies()
    unhashed, unreadable = look.digests_of(lock) if lock in look.changed and lock in head else ((), "")
    return Dependencies(
        files=look.changed,
        lock=lock if lock in look.changed else None,
        unhashed=unhashed,
        unreadable=unreadable,
        undeclared=tuple(look.undeclared(draft)),
        flags=tuple(look.flags()),
    )


class _Look:
    def __init__(self, base: Tree, head: Tree, contents: Contents, settings: Settings, lock: str | None) -> None:
        self._base, self._head, self._contents = base, head, contents
        self._settings, self._lock = settings, lock
        differing = (p for p in sorted(base.keys() | head.keys()) if base.get(p) != head.get(p))
        self._listings: dict[str, tuple[Listing, Listing] | str] = {}
        self.changed = tuple(p for p in differing if self._matters(p))

    def _matters(self, path: str) -> bool:
        """Return whether a file that differs says something else of dependencies than before, or may do so."""
        name = posixpath.basename(path)
        if is_manifest(path) or path == self._lock:
            both = self._both(path)
            return isinstance(both, str) or both[0] != both[1] or path == self._lock
        if _is_image(name):
            return _images(self._read(self._base, path)) != _images(self._read(self._head, path))
        if path == _SETTINGS:
            return _sandboxes(self._read(self._base, path)) != _sandboxes(self._read(self._head, path))
        return name == _SETUP or classify(path, self._settings) is FileClass.LOCK

    def _both(self, path: str) -> tuple[Listing, Listing] | str:
        """Return what a file says at base and head, or why that cannot be known."""
        if path not in self._listings:
            try:
                before, after = (
                    read_manifest(path, self._read(tree, path), installed=path == self._lock)
                    for tree in (self._base, self._head)
                )
                self._listings[path] = (before, after)
            except Unread as error:
                self._listings[path] = str(error)
        return self._listings[path]

    def _read(self, tree: Tree, path: str) -> bytes:
        file = tree.get(path)
        return self._contents.read(file.oid) if file is not None and file.mode in (REGULAR, EXECUTABLE) else b""

    def digests_of(self, path: str | None) -> tuple[tuple[str, ...], str]:
        """Return what has no digest in the head's lock file, or why that is not known."""
        both = self._both(path or "")
        if isinstance(both, str):
            return (), both
        return tuple(sorted(n for n, taken in both[1].taken.items() if not taken.digests)), ""

    # -- what is said of it

    def undeclared(self, draft: ClaimDraft) -> Iterator[Undeclared]:
        """Yield what no file of the base names, a file of the head asks for, and the claim does not name.

        Where the claim names some, what comes in with them by a lock file alone is theirs; and what a first lock file
        lists belongs to what manifests of the base wanted.
        """
        if draft.new_dependencies is None:
            return
        declared = {canonical(name) for name in draft.new_dependencies}
        known, wanted = self._names_at_base()
        for path in self.changed:
            both = self._both(path) if is_manifest(path) or path == self._lock else ""
            if isinstance(both, str) or (declared and both[1].locked):
                continue
            if wanted and both[1].locked and not both[0].taken:
                continue
            for name in sorted(both[1].taken.keys() - both[0].taken.keys() - declared - known):
                yield Undeclared(name=name, path=path)

    def _names_at_base(self) -> tuple[set[str], bool]:
        """Return what the base's files name, and whether one of them says what is wanted, and not what is taken."""
        names, wanted = set[str](), False
        for path in filter(is_manifest, self._base):
            try:
                listing = read_manifest(path, self._read(self._base, path))
            except Unread:
                continue
            names |= listing.taken.keys()
            wanted |= bool(listing.taken) and not listing.locked
        return names, wanted

    def flags(self) -> Iterator[Flag]:
        """Yield a flag for each thing that differs, file by file."""
        for path in self.changed:
            if _is_image(posixpath.basename(path)) or path == _SETTINGS:
                yield from self._image_flags(path)
                continue
            known = is_manifest(path) or path == self._lock
            both = self._both(path) if known else "assay does not read files of this kind"
            if isinstance(both, str):
                yield _flag("unread", path, f"what it says of dependencies is not known: {both}")
                continue
            by_kind: dict[Kind, list[str]] = {}
            for kind, text in _differences(*both):
                by_kind.setdefault(kind, []).append(text)
            for kind, texts in by_kind.items():
                yield from (_flag(kind, path, text) for text in texts[:_MOST])
                if len(texts) > _MOST:
                    yield _flag(kind, path, f"and {len(texts) - _MOST} more")

    def _image_flags(self, path: str) -> Iterator[Flag]:
        read = _sandboxes if path == _SETTINGS else _images
        before, after = read(self._read(self._base, path)), read(self._read(self._head, path))
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                text = f"{name}: {before.get(name, 'nothing')} becomes {after.get(name, 'nothing')}"
                yield _flag("image", path, f"{text}; the proof uses what the base says")


def _flag(kind: Kind, path: str, text: str) -> Flag:
    return Flag(kind=f"dependency-{kind}", path=path, text=without_credentials(text))


def _differences(before: Listing, after: Listing) -> Iterator[tuple[Kind, str]]:
    """Yield what differs between two states of one file."""
    for source in sorted(after.sources - before.sources):
        yield "source", f"everything may be taken from {source}"
    known = {source for taken in before.taken.values() for source in taken.sources}
    for name in sorted(before.taken.keys() | after.taken.keys()):
        old, new = before.taken.get(name), after.taken.get(name)
        if new is None:
            yield "removed", f"{name} goes"
        elif old is None:
            yield "added", f"{name} comes in: {new.version}"
            yield from _looseness(name, new, after)
        elif old != new:
            if old.versions != new.versions:
                yield "changed", f"{name}: {old.version} becomes {new.version}"
            elif not new.digests >= old.digests:
                yield "changed", f"{name} {new.version} has other digests: it is another file"
            yield from _looseness(name, new, after)
        new_sources = set() if new is None else new.sources - (old.sources if old is not None else known)
        for source in sorted(new_sources):
            yield "source", f"{name} comes from {source}"


def _looseness(name: str, taken: Taken, listing: Listing) -> Iterator[tuple[Kind, str]]:
    """Yield what is left open about something that is new or changed. A manifest says what is wanted, a lock more."""
    if not taken.pinned:
        yield "unpinned", f"{name} is not pinned: {taken.version}"
    elif not taken.digests and listing.locked:
        yield "without-hashes", f"{name} {taken.version} has no digest"


def _is_image(name: str) -> bool:
    return any(fnmatch(name.lower(), pattern) for pattern in _IMAGES)


def _images(data: bytes) -> Mapping[str, str]:
    """Return what a Dockerfile builds upon and takes files from, by place."""
    lines = re.sub(rb"\\\r?\n", b" ", data).decode(errors="replace").splitlines()
    found = [m[1] for line in lines if (m := re.match(r"\s*FROM\s+(?:--\S+\s+)*(\S+)", line, re.IGNORECASE))]
    taken = [m[1] for line in lines if (m := re.match(r"\s*COPY\s.*--from=(\S+)", line, re.IGNORECASE))]
    installed = [
        without_credentials(line.strip())[:200] for line in lines if re.match(r"\s*(?:RUN|ADD)\s", line, re.IGNORECASE)
    ]
    named = (("FROM", found), ("COPY --from", taken), ("step", installed))
    return {f"{what} {n}": text for what, texts in named for n, text in enumerate(texts, start=1)}


def _sandboxes(data: bytes) -> Mapping[str, str]:
    """Return what `assay.toml` says of images and lock files; nothing where it cannot be read."""
    try:
        sandboxes = tomllib.loads(data.decode()).get("sandboxes", {})
        found = {f"[sandboxes.{name}] {key}": str(one[key]) for name, one in sandboxes.items() for key in one}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {"the file": "something that cannot be read"}
    return {name: text for name, text in found.items() if name.endswith((" image", " dependencies"))}
