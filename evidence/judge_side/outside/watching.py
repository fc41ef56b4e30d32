"""Keeps what the program wrote, or said, from being executed in the process of the judge (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.

The interpreter tells of what it is about to do (audit events). A file counts by its path: what came from the program,
what lies in an archive that did, and, once anything came, all that lies in temporary folders or changed since the tests
began, for it may have been moved or copied. A text counts by who executes it: a test may, until the program was asked.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from .proxies import Link

_LOADERS = ("<frozen importlib", "<frozen zipimport")
"""How the files are called whose frames open what is imported."""
_TOLD = frozenset({"code.__new__", "compile", "exec", "marshal.loads", "pickle.find_class"})
"""Events that make a text, or bytes, into what is executed."""
_HANDING_ON = frozenset({"code", "codeop", "pickle", "shelve", "timeit"})
"""Modules of the standard library that execute what they are given; whoever called them counts."""
_STARTING = frozenset({"ctypes.dlopen", "os.exec", "os.posix_spawn"})


class Watch:
    """Refuses, before it happens, to execute what is the program's.

    Args:
        link: what was seen of the program.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def see(self, event: str, arguments: tuple[Any, ...], frame: FrameType | None) -> None:
        """Look at one event, and at the frame in which it happens; raises Uncrossable."""
        link = self._link
        if link.folders.came and (path := _executed(event, arguments, frame)) and self._is_doubtful(path):
            raise link.refuse("what the program wrote would be executed on the judge's side")
        if link.asked and event in _TOLD and self._is_of_the_tests(frame):
            raise link.refuse("a test executes a text or bytes after the program was asked")

    def _is_doubtful(self, path: str) -> bool:
        real = os.path.realpath(path)
        came, ground = self._link.folders.came, self._link.ground
        if real in came or ground.holds(real) or any(real.startswith(f"{file}/") for file in came):
            return True
        try:
            return 0 < self._link.began < Path(real).stat().st_ctime_ns
        except (OSError, ValueError):
            return False  # nothing lies there

    def _is_of_the_tests(self, frame: FrameType | None) -> bool:
        while frame is not None and frame.f_globals.get("__name__") in _HANDING_ON:
            frame = frame.f_back
        return frame is not None and f"{frame.f_code.co_filename}/".startswith(
            (f"{self._link.ground.root}/", "<string>/")
        )


def _executed(event: str, arguments: tuple[Any, ...], frame: FrameType | None) -> str:
    """Return the path of a file that an event is about to execute, or to read for that; empty for none."""
    if event == "exec":
        name = getattr(arguments[0], "co_filename", "")
        found = "" if name.startswith("<") else name  # `<string>` is no file
    elif event == "open":
        found = arguments[0] if frame is not None and frame.f_code.co_filename.startswith(_LOADERS) else ""
    elif event == "import":
        found = arguments[1]
    else:
        found = arguments[0] if event in _STARTING else ""
    return os.fsdecode(found) if isinstance(found, (str, bytes, os.PathLike)) else ""


def watch_execution(link: Link) -> None:
    """Look at everything that the interpreter is about to execute from now on."""
    watch, frame_of = Watch(link), sys._getframe
    watched = _STARTING | _TOLD | {"open", "import"}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in watched:
            watch.see(event, arguments, frame_of(1))

    sys.addaudithook(hook)
