"""What differs between two trees."""

from __future__ import annotations

from typing import Literal

from assay.records.base import Record

ChangeStatus = Literal["A", "M", "D", "R", "T"]
"""Added, modified (content or executable bit), deleted, renamed (`old_path` to `path`), or of another type."""


class Hunk(Record):
    """A run of changed lines, as in a unified diff."""

    old_start: int
    """Line number from 1; with `old_lines` 0, the line after which the new ones come."""
    old_lines: int
    new_start: int
    new_lines: int
    text: str
    """The lines with their ` `, `+`, `-` or `\\` in front. Bytes that are not UTF-8 are surrogates."""


class FileChange(Record):
    """What happened to one file."""

    path: str
    """The path in the new tree; in the old one for a deleted file. Bytes that are not UTF-8 are surrogates."""
    old_path: str | None
    """The path in the old tree; None for an added file."""
    status: ChangeStatus
    old_mode: int
    """git mode; 0 for an added file."""
    new_mode: int
    """git mode; 0 for a deleted file."""
    old_oid: str | None
    new_oid: str | None
    binary: bool
    added: int
    """Lines; 0 for a binary file."""
    removed: int
    hunks: tuple[Hunk, ...] = ()


class MergeOutcome(Record):
    """What merging two trees gave."""

    tree: str
    """Git tree; with conflict markers in the files where there are conflicts."""
    conflicts: tuple[str, ...] = ()
    """Paths that a person or a coder must resolve; empty for a clean merge."""
