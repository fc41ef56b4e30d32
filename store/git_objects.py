"""git objects as bytes: reading them through one `cat-file` process, and writing them without any.

A step of an agent changes a few files. Writing its blobs, trees and commit here costs a file each;
asking git for it would cost several processes. Formats: git's documentation, gitformat-pack and
the chapter "Git Internals - Git Objects" of Pro Git.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import IO, Final, Self

from assay.errors import RepositoryError, StoreCorrupt
from assay.records.trees import EXECUTABLE, GITLINK, REGULAR, SYMLINK, Tree
from assay.store.files import disk_errors, write_whole
from assay.store.git_commands import GitCommands, pipes_of

_MODES: Final = frozenset({REGULAR, EXECUTABLE, SYMLINK, GITLINK})
_DIRECTORY: Final = 0o040000
_PACK_TYPES: Final = {"commit": 1, "tree": 2, "blob": 3}
_AS_PACK: Final = 100
"""From so many objects on, one pack is cheaper than files: it is one fsync."""
_LEVEL: Final = 1
_BATCH: Final = 500
_DEEPEST: Final = 256

Objects = Mapping[str, tuple[str, bytes]]
"""Object id to type (`blob`, `tree`, `commit`) and content."""


class ObjectReader:
    """Reads objects by id; safe to use from several threads. Implements `Contents`."""

    def __init__(self, commands: GitCommands) -> None:
        self._commands = commands
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def read(self, oid: str) -> bytes:
        """Return the content of a blob; raises KeyError when it is not held."""
        return self.read_object(oid, "blob")

    def read_object(self, oid: str, kind: str) -> bytes:
        """Return the content of an object of this type; raises KeyError when no such object is held."""
        found = self._ask(oid)
        if found is None or found[0] != kind:
            raise KeyError(oid)
        return found[1]

    def _ask(self, oid: str) -> tuple[str, bytes] | None:
        with self._lock, self._ended_by_errors():
            given, taken = self._streams()
            given.write(f"contents {oid}\nflush\n".encode())
            given.flush()
            header = taken.readline().split()
            if len(header) != 3:
                if header and header[-1] == b"missing":
                    return None
                raise StoreCorrupt(f"git object {oid} cannot be read from {self._commands.git_dir}")
            content = taken.read(int(header[2]) + 1)[:-1]
        return header[1].decode(), content

    def missing(self, oids: Iterable[str]) -> tuple[str, ...]:
        """Return those of the ids that are not held, in order."""
        absent: list[str] = []
        asked = list(oids)
        with self._lock, self._ended_by_errors():
            given, taken = self._streams()
            for start in range(0, len(asked), _BATCH):
                batch = asked[start : start + _BATCH]
                given.write("".join(f"info {oid}\n" for oid in batch).encode() + b"flush\n")
                given.flush()
                absent += [oid for oid in batch if taken.readline().endswith(b" missing\n")]
        return tuple(absent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; nothing can be read afterwards."""
        with self._lock:
            self._closed = True
            self._end()

    def _streams(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._closed:
            raise StoreCorrupt(f"the git store {self._commands.git_dir} is closed")
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = self._commands.serve("cat-file", "--batch-command", "--buffer")
        given, taken, _ = pipes_of(self._process)
        return given, taken

    @contextmanager
    def _ended_by_errors(self) -> Iterator[None]:
        # A request that was broken off leaves its answer in the pipe, where it would be taken for the next one's.
        try:
            yield
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        if self._process is None:
            return
        given, taken, told = pipes_of(self._process)
        with suppress(BrokenPipeError):
            given.close()
        taken.close()
        self._process.wait()
        told.close()
        self._process = None


def object_id(kind: str, content: bytes) -> str:
    """Return git's SHA-1 id of an object."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def write_objects(commands: GitCommands, objects: Objects) -> None:
    """Write objects durably, in this order; what they refer to is there already or comes first.

    Raises DiskFull, InfrastructureError.
    """
    if len(objects) >= _AS_PACK:
        commands.run("index-pack", "--stdin", stdin=_pack(objects))
        return
    for oid, (kind, content) in objects.items():
        path = commands.git_dir / "objects" / oid[:2] / oid[2:]
        with disk_errors(path):
            if path.exists():
                os.utime(path)  # in use again: too young to be collected as garbage
            else:
                data = f"{kind} {len(content)}\0".encode() + content
                # As git does it: the names become durable with the journal's next commit, which the
                # ledger's entry about these objects brings about. Syncing each directory doubles the cost.
                write_whole(path, zlib.compress(data, _LEVEL), mode=0o444, sync_name=False)


def _pack(objects: Objects) -> bytes:
    parts = [b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")]
    for kind, content in objects.values():
        size = len(content)
        byte = _PACK_TYPES[kind] << 4 | size & 15
        size >>= 4
        header = bytearray()
        while size:
            header.append(byte | 0x80)
            byte = size & 0x7F
            size >>= 7
        header.append(byte)
        parts += [bytes(header), zlib.compress(content, _LEVEL)]
    whole = b"".join(parts)
    return whole + hashlib.sha1(whole, usedforsecurity=False).digest()


def encode_trees(tree: Tree) -> tuple[str, dict[str, tuple[str, bytes]]]:
    """Return the id of a tree, and all tree objects that it is made of, the deepest first.

    Raises RepositoryError for a path that a tree cannot hold, or one that is both file and directory.
    """
    root: _Directory = {}
    for path, file in tree.items():
        if file.mode not in _MODES:
            raise RepositoryError(f"a tree cannot hold {path!r} with mode {file.mode:o}")
        *parents, name = encode_path(path).split(b"/")
        if len(parents) > _DEEPEST:
            raise RepositoryError(f"{path[:80]!r}… lies more than {_DEEPEST} directories deep")
        directory = root
        for parent in parents:
            child = directory.setdefault(_component(path, parent), {})
            if not isinstance(child, dict):
                raise RepositoryError(f"{path!r} needs a directory where the tree has a file")
            directory = child
        if _component(path, name) in directory:
            raise RepositoryError(f"the tree has {path!r} as a file and as a directory")
        directory[name] = (file.mode, file.oid)
    objects: dict[str, tuple[str, bytes]] = {}
    return _encode(root, objects), objects


def encode_path(path: str) -> bytes:
    """Return a path as git has it; what is not UTF-8 travels as surrogates."""
    return path.encode(errors="surrogateescape")


def decode_path(path: bytes) -> str:
    """Return a path of git's as text; what is not UTF-8 becomes surrogates."""
    return path.decode(errors="surrogateescape")


_Directory = dict[bytes, "_Directory | tuple[int, str]"]


def _component(path: str, name: bytes) -> bytes:
    if name in {b"", b".", b".."} or b"\0" in name:
        raise RepositoryError(f"a tree cannot hold the path {path!r}")
    return name


def _encode(directory: _Directory, objects: dict[str, tuple[str, bytes]]) -> str:
    # git orders a directory as if its name ended in a slash.
    ordered = sorted(directory.items(), key=lambda item: item[0] + b"/" if isinstance(item[1], dict) else item[0])
    parts: list[bytes] = []
    for name, child in ordered:
        mode, oid = (_DIRECTORY, _encode(child, objects)) if isinstance(child, dict) else child
        parts.append(b"%o %b\0%b" % (mode, name, bytes.fromhex(oid)))
    content = b"".join(parts)
    oid = object_id("tree", content)
    objects[oid] = ("tree", content)
    return oid


def encode_commit(tree: str, parents: Iterable[str], message: str, author: str, at: datetime) -> bytes:
    """Return the content of a commit object: author and committer are one, the time is in UTC, to the second."""
    name, _, mail = author.partition("<")
    person = f"{_plain(name)} <{_plain(mail)}> {int(at.timestamp())} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {person}", f"committer {person}"]
    text = message.replace("\0", "").strip("\n")
    return ("\n".join(lines) + f"\n\n{text}\n").encode(errors="backslashreplace")


def _plain(text: str) -> str:
    return " ".join("".join(c for c in text if c not in "<>\0").split())
