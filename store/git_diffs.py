"""What differs between two trees, from `diff-tree`: no external diff, no text conversion, no attributes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from assay.errors import StoreCorrupt
from assay.records.changes import ChangeStatus, FileChange, Hunk
from assay.store.git_commands import GitCommands
from assay.store.git_objects import decode_path

_OPTIONS: Final = ("-r", "-M", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")
_HUNK: Final = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NO_OBJECT: Final = "0" * 40


@dataclass(frozen=True)
class _Raw:
    status: str
    old_mode: int
    new_mode: int
    old_oid: str | None
    new_oid: str | None
    old_path: bytes
    new_path: bytes


def read_changes(commands: GitCommands, old: str, new: str, context: int) -> tuple[FileChange, ...]:
    """Return what happened to each file between two trees or commits, in the order of the new paths."""
    out = commands.run("diff-tree", *_OPTIONS, "--raw", "-z", old, new).out
    raws = tuple(_read_raw(out))
    if not raws:
        return ()
    numbers = _read_numbers(commands.run("diff-tree", *_OPTIONS, "--numstat", "-z", old, new).out)
    blocks = _split_patch(read_patch(commands, old, new, context))
    changes: list[FileChange] = []
    for raw in raws:
        # A file that becomes a link is shown as deleted and made anew, in two blocks.
        hunks = [hunk for _ in range(2 if raw.status == "T" else 1) for hunk in _read_hunks(next(blocks, b""))]
        added, removed = numbers.get(raw.new_path, (0, 0))
        changes.append(_change(raw, added, removed, tuple(hunks)))
    return tuple(changes)


def read_patch(commands: GitCommands, old: str, new: str, context: int) -> bytes:
    """Return the patch between two trees or commits as git prints it."""
    return commands.run("diff-tree", *_OPTIONS, "-p", f"-U{context}", old, new).out


def _change(raw: _Raw, added: int | None, removed: int | None, hunks: tuple[Hunk, ...]) -> FileChange:
    return FileChange(
        path=decode_path(raw.new_path),
        old_path=None if raw.status == "A" else decode_path(raw.old_path),
        status=cast("ChangeStatus", raw.status),
        old_mode=raw.old_mode,
        new_mode=raw.new_mode,
        old_oid=raw.old_oid,
        new_oid=raw.new_oid,
        binary=added is None,
        added=added or 0,
        removed=removed or 0,
        hunks=hunks,
    )


def _read_raw(out: bytes) -> Iterator[_Raw]:
    fields = iter(out.split(b"\0"))
    for field in fields:
        if not field.startswith(b":"):
            continue  # the ids of the commits that are compared, or the end
        old_mode, new_mode, old_oid, new_oid, status = field[1:].decode().split()
        old_path = next(fields)
        yield _Raw(
            status=status[0],
            old_mode=int(old_mode, 8),
            new_mode=int(new_mode, 8),
            old_oid=None if old_oid == _NO_OBJECT else old_oid,
            new_oid=None if new_oid == _NO_OBJECT else new_oid,
            old_path=old_path,
            new_path=next(fields) if status[0] == "R" else old_path,
        )


def _read_numbers(out: bytes) -> dict[bytes, tuple[int | None, int | None]]:
    """Return added and removed lines by new path; None for binary files."""
    found: dict[bytes, tuple[int | None, int | None]] = {}
    fields = iter(out.split(b"\0"))
    for field in fields:
        parts = field.split(b"\t", 2)
        if len(parts) != 3:
            continue
        added, removed = (None if part == b"-" else int(part) for part in parts[:2])
        if parts[2]:
            path = parts[2]
        else:  # a renamed file: the old and the new path follow
            next(fields)
            path = next(fields)
        found[path] = (added, removed)
    return found


def _split_patch(patch: bytes) -> Iterator[bytes]:
    # Lines of content have a space, + or - in front, and names with a line break are quoted: only a header
    # begins with these words.
    for block in re.split(rb"(?m)^(?=diff --git )", patch):
        if block.startswith(b"diff --git "):
            yield block


def _read_hunks(block: bytes) -> Iterator[Hunk]:
    lines = block.split(b"\n")
    starts = [number for number, line in enumerate(lines) if line.startswith(b"@@ ")]
    for start, end in itertools.pairwise([*starts, len(lines)]):
        found = _HUNK.match(lines[start])
        if found is None:
            raise StoreCorrupt(f"git printed a hunk that cannot be read: {lines[start][:80]!r}")
        old_start, old_lines, new_start, new_lines = (1 if part is None else int(part) for part in found.groups())
        yield Hunk(
            old_start=old_start,
            old_lines=old_lines,
            new_start=new_start,
            new_lines=new_lines,
            text="\n".join(decode_path(line) for line in lines[start + 1 : end]).removesuffix("\n") + "\n",
        )
