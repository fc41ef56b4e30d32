"""What lies where: the program's files in one sandbox, the tests' in the other, and temporary ones in both (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .folders import Sent, Unshared

_OURS = Path(__file__).parent.parent
"""Where the judge's own programs lie, in either sandbox."""
_TESTS = ("test_*.py", "*_test.py", "conftest.py")
_END = r"[^\s\0'\":;,=<>|&()]*"
"""What a path in the middle of a text goes on with."""


class Ground:
    """Tells whose a path is.

    Args:
        root: folder of the tree, in both sandboxes.
        files: the program's, relative to it.
        modules: dotted names of the program's modules and packages.
    """

    def __init__(self, root: str, files: Iterable[str], modules: frozenset[str]) -> None:
        self.root = os.path.normpath(root)
        self.modules = modules
        self._files = frozenset(f"{self.root}/{path}" for path in files)
        self._folders = frozenset(str(folder) for path in self._files for folder in Path(path).parents)
        self._folders -= frozenset(str(folder) for folder in Path(self.root).parents)
        self._temporary = os.path.realpath(tempfile.gettempdir())
        entries = importlib.metadata.entry_points(group="console_scripts")
        self.scripts = frozenset(entry.name for entry in entries if entry.module.partition(".")[0] in modules)
        """Commands of the image that begin in a module of the program's."""

    def owns(self, word: str, cwd: str) -> bool:
        """Return whether a word of a command names a file of the program's, or a folder that holds one."""
        parts = {self._resolve(part, cwd) for part in (word, word.partition("=")[2])}
        return not parts.isdisjoint(self._files) or not parts.isdisjoint(self._folders)

    def is_file(self, word: str, cwd: str) -> bool:
        """Return whether a word names a file of the program's."""
        return self._resolve(word, cwd) in self._files

    def is_temporary(self, word: str) -> bool:
        """Return whether a word names something in the temporary folder, the folder itself, or one above it."""
        above = word.startswith("/") and f"{self._temporary}/".startswith(f"{os.path.normpath(word).rstrip('/')}/")
        return above or self._temporary in word or tempfile.gettempdir() in word

    def holds(self, path: str) -> bool:
        """Return whether a path without links lies in the temporary folder, and is none of the judge's own."""
        return path.startswith(f"{self._temporary}/") and not f"{path}/".startswith(f"{os.path.realpath(_OURS)}/")

    @staticmethod
    def is_near(word: str, files: Iterable[str]) -> bool:
        """Return whether a word names one of these files, what lies beside it, or a folder above it."""
        return any(str(Path(file).parent) in word or file.startswith(f"{word}/") for file in files)

    @staticmethod
    def _resolve(word: str, cwd: str) -> str:
        return os.path.normpath(Path(cwd) / word) if word else ""

    def places(self, texts: Iterable[str], cwd: str | None) -> Iterator[tuple[str, Sent, bool]]:
        """Yield what the program must be given that these texts name: place, what of it is sent, whether it comes back.

        Args:
            texts: words of a command, values of variables, arguments of a function.
            cwd: folder in which a command starts, to which words are relative; None where only absolute paths count.

        Raises Unshared for what must not be given.
        """
        if cwd is not None:
            yield from self._named(cwd)
        for text in texts:
            if cwd is not None and len(text) < 4096 and "\0" not in text:
                for part in {text, text.partition("=")[2]} - {""}:
                    if os.path.lexists(Path(cwd) / part):
                        yield from self._named(self._resolve(part, cwd))
            for root in {self._temporary, tempfile.gettempdir()}:
                for found in re.finditer(re.escape(root) + _END, text):
                    yield from self._named(found.group())
            if text.startswith("/") and "\0" not in text:
                yield from self._named(text)

    def _named(self, path: str) -> Iterator[tuple[str, Sent, bool]]:
        path = os.path.normpath(path)
        if path.startswith(f"{self._temporary}/"):
            yield from self._temporary_place(path)
        elif path.startswith(f"{self.root}/") and os.path.lexists(path) and path not in self._files:
            yield from self._place_of_the_tests(path)

    def _temporary_place(self, path: str) -> Iterator[tuple[str, Sent, bool]]:
        if path == str(_OURS) or path.startswith(f"{_OURS}/") or str(_OURS).startswith(f"{path}/"):
            raise Unshared("a path of the judge's own is given to the program")
        if os.path.realpath(path) != path:
            raise Unshared("a path with a link in it is given to the program")
        parent = str(Path(path).parent)
        if parent != self._temporary and not Path(path).is_dir():
            yield parent, "known", True  # what it writes beside that
        yield path, "all", True

    def _place_of_the_tests(self, path: str) -> Iterator[tuple[str, Sent, bool]]:
        """Yield data of the tests that is named. It is given and does not come back; no text of a test is given."""
        inside = [path]
        if Path(path).is_dir():
            if path == str(Path.cwd()):
                return  # the project's own folder: who starts there is given nothing of the tests
            inside = [name for _, _, names in os.walk(path) for name in names]
        if any(fnmatch.fnmatch(Path(name).name, pattern) for name in inside for pattern in _TESTS):
            raise Unshared("a file of the tests is given to the program")
        if os.path.realpath(path) != path:
            raise Unshared("a path with a link in it is given to the program")
        yield path, "all", False
