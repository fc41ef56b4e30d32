"""What the host knows about a tree in a sandbox, and what has to travel to change it. No I/O."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from assay.errors import SandboxRefused
from assay.records.trees import SYMLINK, Tree, TreeFile
from assay.sandboxes.frames import decode_entry

_MOST_LINKS: Final = 40
"""Links that a path may lead through, as in Linux."""
_PATH_MAX: Final = 4095
_NAME_MAX: Final = 255
_SPECIAL: Final = {"p": "a FIFO", "s": "a socket", "b": "a block device", "c": "a character device"}


@dataclass(slots=True)
class TreeView:
    """The last known state of one root in a sandbox.

    A line of the listing holds size, times and inode, so that a file whose line is the same is the same.
    """

    lines: dict[str, bytes] = field(default_factory=dict)
    """Path to line, of everything below the root."""
    files: dict[str, TreeFile] = field(default_factory=dict)
    """Path to content, as far as it is known."""
    oids: Counter[str] = field(default_factory=Counter)
    """Of `files`: how many hold which content."""
    gone: set[str] = field(default_factory=set)
    """Contents that a file lost, since somebody last looked here; another may hold them."""
    told: dict[str, TreeFile] = field(default_factory=dict)
    """The tree as it was last returned, in order."""
    changed: set[str] = field(default_factory=set)
    """Paths whose content may be another one since."""
    unknown: dict[str, bytes] = field(default_factory=dict)
    """Path to line of what is no directory and whose content is not known."""
    directories: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    """Path to target."""
    number: int = 0
    """Of the last listing, by which the supervisor knows what it answered; 0 asks for a whole one."""
    touched: set[str] = field(default_factory=set)
    """Paths that were put or removed since that listing."""
    quiet: bool = False
    """Whether nothing was at work in the sandbox while that listing was made."""

    def update(self, listing: Sequence[bytes], number: int, *, believed: bool = True) -> None:
        """Take over a listing: whole, or what differs from the last one, as its first line says.

        `believed`: a file whose line is the same holds the same. Else that is so only of what a listing of differences
        does not name.
        """
        fresh = [line for line in listing[1:] if not line.startswith(b"-")]
        if listing[0] == b"*":
            lost = list(self.lines)
        else:
            lost = [os.fsdecode(line[1:]) for line in listing[1:] if line.startswith(b"-")]
            lost += self.touched.difference(map(_path_of, fresh))  # what was put and is there is answered
        if believed:
            same = set(fresh).intersection(self.lines.values())
            kept = set(map(_path_of, same))
            fresh = [line for line in fresh if line not in same]
            lost = [path for path in lost if path not in kept]
        for path in lost:
            self.forget(path)
        for line in fresh:
            path = _path_of(line)
            if self.lines.get(path) == line:
                continue
            self.forget(path)
            self.lines[path] = line
            if line.startswith(b"d"):
                self.directories.add(path)
            else:
                self.unknown[path] = line
        self.number = number
        self.touched.clear()

    def forget(self, path: str) -> None:
        """Drop what is known about one path."""
        self.lines.pop(path, None)
        self._drop(path)
        self.unknown.pop(path, None)
        self.links.pop(path, None)
        self.directories.discard(path)

    def _drop(self, path: str) -> None:
        file = self.files.pop(path, None)
        if file is None:
            return
        self.changed.add(path)
        self.oids[file.oid] -= 1
        if not self.oids[file.oid]:
            del self.oids[file.oid]
            self.gone.add(file.oid)

    def remove(self, path: str) -> None:
        """Note that a path is gone, with everything below it."""
        if path in self.directories:
            below = path + "/"
            for other in [other for other in self.lines if other.startswith(below)]:
                self.touched.add(other)
                self.forget(other)
        self.touched.add(path)
        self.forget(path)

    def learn(self, line: bytes, file: TreeFile, target: str | None) -> None:
        """Note the content of what a line of the listing stands for; the target where it is a link."""
        path = _path_of(line)
        self.lines[path] = line
        self._drop(path)
        self.files[path] = file
        self.oids[file.oid] += 1
        self.changed.add(path)
        self.unknown.pop(path, None)
        if target is None:
            self.links.pop(path, None)
        else:
            self.links[path] = target

    def place(self, line: bytes, file: TreeFile, target: str | None) -> None:
        """Note a file that was put, whose line the last listing did not have."""
        self.touched.add(_path_of(line))
        self.learn(line, file, target)

    def place_directories(self, directories: Iterable[str]) -> None:
        """Note directories that were made."""
        for path in directories:
            self.touched.add(path)
            self.directories.add(path)
            self.lines[path] = b"d 0 0 0 0 0 " + os.fsencode(path)

    def tree(self) -> Tree:
        """Return the tree, in the order of its paths; what it costs goes by what changed, but for a copy."""
        new = False
        for path in self.changed:
            file = self.files.get(path)
            if file is None:
                self.told.pop(path, None)
            else:
                new = new or path not in self.told
                self.told[path] = file
        self.changed.clear()
        if new:  # it stands at the end; what is nearly in order is sorted fast
            self.told = {path: self.told[path] for path in sorted(self.told)}
        return dict(self.told)


def _path_of(line: bytes) -> str:
    return os.fsdecode(line.split(b" ", 6)[6])


@dataclass(frozen=True, slots=True)
class Change:
    """What turns one tree into another."""

    remove: tuple[str, ...]
    """Paths to remove with everything below them."""
    write: tuple[str, ...]
    """Paths to write, in order."""
    directories: frozenset[str]
    """Directories that the new tree implies."""

    @classmethod
    def between(cls, view: TreeView, tree: Tree) -> Self:
        """Return what is to be done so that a root holds `tree`; raises SandboxRefused for impossible paths."""
        held = view.files.get
        write = sorted(
            path
            for path, file in tree.items()
            if (was := held(path)) is not file and (was is None or was.oid != file.oid or was.mode != file.mode)
        )
        for path in write:
            _check_path(path)
        directories = _implied_directories(tree)
        extra = view.directories - directories
        gone = (view.lines.keys() - tree.keys()) - (directories & view.directories)
        remove = tuple(path for path in gone if path.rpartition("/")[0] not in extra)
        return cls(remove, tuple(write), directories)


def _implied_directories(tree: Tree) -> frozenset[str]:
    ahead = {path.rpartition("/")[0] for path in tree}
    directories: set[str] = set()
    while ahead:
        directories |= ahead
        ahead = {path.rpartition("/")[0] for path in ahead} - directories
    directories.discard("")
    for path in directories:
        if path in tree:
            raise SandboxRefused(f"The tree has {path!r} both as a file and as a directory.")
    return frozenset(directories)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if any(part in ("", ".", "..", ".git") for part in parts) or "\0" in path:
        raise SandboxRefused(f"{path!r} is not a path that a tree can have.")
    if len(os.fsencode(path)) > _PATH_MAX or any(len(os.fsencode(part)) > _NAME_MAX for part in parts):
        raise SandboxRefused(f"The path {path[:80]!r}… is longer than a file system takes.")


def check_links(links: Mapping[str, str]) -> None:
    """Raise SandboxRefused for a link that leads out of the tree, also by way of other links."""
    for path, target in links.items():
        if _leaves(path, target, links):
            raise SandboxRefused(
                f"The link {path!r} points to {target!r}, which leaves the tree.",
                next_step="make it point to a path inside the tree, or remove it",
            )


def _leaves(path: str, target: str, links: Mapping[str, str]) -> bool:
    place = path.split("/")[:-1]
    ahead = _steps(target)
    hops = 0
    if target.startswith("/"):
        return True
    while ahead:
        step = ahead.pop()
        if step == "..":
            if not place:
                return True
            place.pop()
            continue
        place.append(step)
        onward = links.get("/".join(place))
        if onward is None:
            continue
        hops += 1
        if onward.startswith("/"):
            return True
        if hops > _MOST_LINKS:  # a loop leads nowhere
            return False
        place.pop()
        ahead += _steps(onward)
    return False


def _steps(target: str) -> list[str]:
    return [step for step in reversed(target.split("/")) if step not in ("", ".")]


def check_entries(lines: Iterable[bytes], most: int) -> None:
    """Raise SandboxRefused for what cannot be part of a tree: devices, sockets, FIFOs, and more bytes than `most`."""
    total = 0
    for line in lines:
        entry = decode_entry(line)
        if entry.kind in _SPECIAL:
            raise SandboxRefused(
                f"{entry.path!r} is {_SPECIAL[entry.kind]}, which cannot be part of a tree.", next_step="remove it"
            )
        total += entry.size
        if total > most:
            raise SandboxRefused(
                f"The tree holds more than the {most} bytes that the sandbox has room for; {entry.path!r} is sparse "
                "or one of many hard links.",
                next_step="remove it",
            )


def batch_paths(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Cut what is to be fetched into batches of about `size` bytes, and yield their paths."""
    batch: list[bytes] = []
    held = 0
    for line in lines:
        fields = line.split(b" ", 6)
        batch.append(fields[6])
        held += int(fields[2]) + len(fields[6]) + 200
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def is_link(file: TreeFile) -> bool:
    """Whether a file of a tree is a symbolic link."""
    return file.mode == SYMLINK
