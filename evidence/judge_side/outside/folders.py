"""Files that judge and program both see, where they run apart (S9): what changed on one side goes to the other.

This file is written into both sandboxes, outside of the workspace, beside the client or the worker; assay itself never
imports it. It may use nothing but the standard library.

A path is the same on both sides. What is read and what is sent is bounded; only regular files and folders cross, with
their modes and times. What comes is laid down below the places that were named before, and nowhere else, whatever the
other side sends.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

MOST_BYTES = 8_000_000
"""Of all files that one message carries."""
MOST_FILES = 2_000
_MODES = 0o777

Sent = Literal["all", "known", "none"]
"""What of a place goes to the other side: all that lies there, or what is known to lie on both, or nothing."""

Change = list[Any]
"""`file`, path, mode, time, content; `folder`, path, mode; or `gone`, path."""


class Unshared(Exception):
    """What lies there cannot cross, or what came may not be laid down."""


class Folders:
    """The places that both sides share, and what is known of them on this side.

    Args:
        came: files that the other side wrote before.
        refused: how the names of files end that are not laid down on this side.
    """

    def __init__(self, came: Iterable[str] = (), refused: tuple[str, ...] = ()) -> None:
        self._lock = threading.RLock()
        self._places: dict[str, tuple[Sent, bool]] = {}
        self._known: dict[str, tuple[int, ...]] = {}
        self._refused = refused
        self.came = set(came)
        """Files that the other side wrote, whatever became of them here."""

    def add(self, place: str, *, sent: Sent, taken: bool) -> bool:
        """Share a place: a file, or a folder with all that lies in it; return whether that is new.

        Args:
            place: absolute path, without links in it.
            sent: what of it goes to the other side.
            taken: whether what comes from there is laid down.
        """
        with self._lock:
            before = self._places.get(place)
            kept = before if before is not None else (sent, taken)
            self._places[place] = ("all" if "all" in (sent, kept[0]) else kept[0], taken or kept[1])
            return self._places[place] != before

    def forget(self) -> None:
        """Share nothing any more; what came stays what came."""
        with self._lock:
            self._places.clear()
            self._known.clear()

    def clear(self, place: str) -> None:
        """Remove what was left at a place, unless something that is shared lies there."""
        with self._lock:
            if any(_is_below(p, place) or _is_below(place, p) for p in self._places):
                return
            if Path(place).is_dir() and not Path(place).is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                Path(place).unlink(missing_ok=True)

    def __bool__(self) -> bool:
        return bool(self._places)

    def changes(self) -> list[Change]:
        """Return what changed on this side since it was last asked, or was told; raises Unshared."""
        with self._lock:
            found = self._look()
            made = [["gone", path] for path in sorted(self._known.keys() - found.keys(), reverse=True)]
            new = [path for path in sorted(found) if self._known.get(path) != found[path]]
            if len(found) > MOST_FILES:
                raise Unshared(f"more than {MOST_FILES} files are shared")
            left = MOST_BYTES
            for path in new:
                made.append(_read(path, left))
                left -= len(made[-1][4]) if made[-1][0] == "file" else 0
            self._known = found
            return made

    def _look(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for place, (sent, _) in self._places.items():
            if sent == "all":
                found |= _below(place)
            elif sent == "known":
                found |= {p: s for p, s in _below(place).items() if p in self._known or p == place}
            else:
                found |= {p: s for p, s in self._known.items() if _is_below(p, place)}
        return found

    def apply(self, changes: Any) -> None:
        """Lay down what changed on the other side; raises Unshared for what is no change, or lies elsewhere."""
        with self._lock:
            try:
                for change in changes:
                    self._apply(*change)
            except (TypeError, ValueError, OSError, AttributeError, OverflowError, binascii.Error) as error:
                raise Unshared(f"a file of the other side cannot be laid down ({type(error).__name__})") from None

    def _apply(self, kind: str, path: str, mode: int = 0, time: int = 0, content: str = "") -> None:
        place = Path(path)
        taken = any(_is_below(path, p) for p, (_, taken) in self._places.items() if taken)
        if not taken or os.path.normpath(path) != path:
            raise Unshared("a file lies where nothing is shared")
        if os.path.realpath(place.parent) != str(place.parent) or place.is_symlink():
            raise Unshared("a file lies behind a link")
        match kind:
            case "gone":
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink(missing_ok=True)
                for gone in [p for p in self._known if _is_below(p, path)]:
                    del self._known[gone]
                return
            case "folder":
                place.mkdir(parents=True, exist_ok=True)
                place.chmod(mode & _MODES)
            case "file":
                if path.endswith(self._refused):
                    raise Unshared("the program wrote byte code")
                place.parent.mkdir(parents=True, exist_ok=True)
                if not os.access(place, os.W_OK):
                    place.unlink(missing_ok=True)
                place.write_bytes(base64.b64decode(content, validate=True))
                place.chmod(mode & _MODES)
                os.utime(place, ns=(time, time))
                self.came.add(path)
            case _:
                raise Unshared("no change")
        self._known[path] = _mark(place.lstat())


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _below(place: str) -> dict[str, tuple[int, ...]]:
    """Return everything at and below a place, with what tells whether it changed; raises Unshared."""
    found: dict[str, tuple[int, ...]] = {}
    for path, status in _walk(place):
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise Unshared("something that is neither file nor folder is shared")
        found[path] = _mark(status)
        if len(found) > MOST_FILES:
            raise Unshared(f"more than {MOST_FILES} files are shared")
    return found


def _walk(place: str) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [place]
    while waiting:
        path = waiting.pop()
        try:
            status = os.lstat(path)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting += [entry.path for entry in os.scandir(path)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise Unshared(f"something that is shared cannot be read ({type(error).__name__})") from None


def _mark(status: os.stat_result) -> tuple[int, ...]:
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode,)
    return (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)


def _read(path: str, most: int) -> Change:
    place = Path(path)
    try:
        status = place.lstat()
        if stat.S_ISDIR(status.st_mode):
            return ["folder", path, status.st_mode & _MODES]
        if status.st_size > most:
            raise Unshared(f"more than {MOST_BYTES} bytes of files are shared")
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        return ["gone", path]
    except OSError as error:
        raise Unshared(f"something that is shared cannot be read ({type(error).__name__})") from None
    if len(data) > most:
        raise Unshared(f"more than {MOST_BYTES} bytes of files are shared")
    return ["file", path, status.st_mode & _MODES, status.st_mtime_ns, base64.b64encode(data).decode()]
