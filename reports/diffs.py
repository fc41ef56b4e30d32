"""The change as a reader sees it: files, hunks and numbered lines, bounded so that a page stays a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from assay.records.changes import FileChange, Hunk
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK

FILE_LINES: Final = 3_000
"""Lines shown of one file."""
ALL_LINES: Final = 20_000
"""Lines shown of the whole change."""
ALL_FILES: Final = 2_000
UNFOLDED_LINES: Final = 300
"""Up to this many lines in all, files are shown unfolded."""

_STATUSES: Final = {"A": "added", "M": "modified", "D": "deleted", "R": "renamed", "T": "of another type"}
_MODES: Final = {REGULAR: "file", EXECUTABLE: "executable file", SYMLINK: "symbolic link", 0o160000: "submodule"}


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of a hunk."""

    kind: str
    """`a` added, `d` removed, empty for context."""
    old: str
    new: str
    """Line numbers, empty where the line is not there."""
    text: str


@dataclass(frozen=True, slots=True)
class HunkView:
    """A run of lines with its heading."""

    heading: str
    lines: tuple[LineView, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """One file."""

    path: str
    status: str
    added: int
    removed: int
    notes: tuple[str, ...]
    hunks: tuple[HunkView, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """The whole change."""

    files: tuple[FileView, ...]
    added: int
    removed: int
    left_out: str
    """What is not shown, a sentence; empty when everything is."""
    unfolded: bool


def view_changes(changes: Sequence[FileChange]) -> ChangeView:
    """Return what to show of a change. The counts are of all of it, also where lines are left out."""
    left = ALL_LINES
    files = []
    for change in changes[:ALL_FILES]:
        hunks, shown, cut = _view_hunks(change.hunks, min(left, FILE_LINES))
        left -= shown
        notes = (*_describe(change), *((f"{cut} more lines of this file are not shown.",) if cut else ()))
        path = change.path if change.status != "R" else f"{change.old_path} → {change.path}"
        files.append(FileView(path, _STATUSES[change.status], change.added, change.removed, notes, hunks))
    missing = len(changes) - len(files)
    return ChangeView(
        files=tuple(files),
        added=sum(change.added for change in changes),
        removed=sum(change.removed for change in changes),
        left_out=_say_left_out(missing, sum(_count(c) for c in changes) - (ALL_LINES - left)),
        unfolded=ALL_LINES - left <= UNFOLDED_LINES,
    )


def _view_hunks(hunks: Sequence[Hunk], limit: int) -> tuple[tuple[HunkView, ...], int, int]:
    """Return at most `limit` lines of hunks, how many these are, and how many were left out."""
    views = []
    shown = cut = 0
    for hunk in hunks:
        lines = _split(hunk)
        room = limit - shown
        cut += max(0, len(lines) - room)
        if room > 0:
            heading = f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@"
            views.append(HunkView(heading, _number(hunk, lines[:room])))
            shown += min(len(lines), room)
    return tuple(views), shown, cut


def _number(hunk: Hunk, lines: Sequence[str]) -> tuple[LineView, ...]:
    old, new = hunk.old_start, hunk.new_start
    views = []
    for line in lines:
        match line[:1]:
            case "+":
                views.append(LineView("a", "", str(new), line))
                new += 1
            case "-":
                views.append(LineView("d", str(old), "", line))
                old += 1
            case "\\":
                views.append(LineView("", "", "", line))
            case _:
                views.append(LineView("", str(old), str(new), line))
                old, new = old + 1, new + 1
    return tuple(views)


def _split(hunk: Hunk) -> list[str]:
    return hunk.text.removesuffix("\n").split("\n")


def _count(change: FileChange) -> int:
    return sum(len(_split(hunk)) for hunk in change.hunks)


def _describe(change: FileChange) -> tuple[str, ...]:
    notes = []
    if change.binary:
        notes.append(f"Binary content, {change.old_oid or 'nothing'} → {change.new_oid or 'nothing'}.")
    if change.old_mode and change.new_mode and change.old_mode != change.new_mode:
        notes.append(f"Mode {_name_mode(change.old_mode)} → {_name_mode(change.new_mode)}.")
    elif (mode := change.new_mode or change.old_mode) != REGULAR:
        notes.append(f"Mode {_name_mode(mode)}.")
    if change.status == "R" and not change.hunks and not change.binary:
        notes.append("Content unchanged.")
    elif not change.hunks and not change.binary and change.status in "AD":
        notes.append("Empty file.")
    return tuple(notes)


def _name_mode(mode: int) -> str:
    return f"{mode:06o} ({_MODES[mode]})" if mode in _MODES else f"{mode:06o}"


def _say_left_out(files: int, lines: int) -> str:
    parts = [f"{files} files"] * bool(files) + [f"{lines} lines"] * bool(lines)
    return f"Not everything is shown: {' and '.join(parts)} are left out; git shows the rest." if parts else ""
