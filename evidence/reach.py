"""Which tests a change can reach, as far as the text of the files tells; where it leaves that open, it can.

It decides what is looked at first, and which of the base's tests need only one of the other surroundings (S12) and not
all of them. It decides nothing else: what a change cannot reach by name is executed all the same.

One file uses another if its text has the other's name as a word: `part3` for `shop/part3.py`, `shop` for
`shop/__init__.py`. Whatever imports it, in code or by a text that somebody else imports, has to name it. What can load,
list or start files without their names counts as using everything.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field
from typing import Final

from assay.evidence.layout import Layout
from assay.evidence.runner_pytest import INI_FILES
from assay.records.trees import EXECUTABLE, REGULAR, Contents

_COMMAND: Final = "(the test command)"
_MOST_BYTES: Final = 30_000_000
"""Of text that is looked at; in what is larger, everything counts as reached."""
_WORD: Final = re.compile(rb"[A-Za-z_]\w*")
_NAMED_ALONE: Final = re.compile(
    rb"(?<=['\"])([A-Za-z_][\w.]*)(?=['\"])|^[^\S\n]*import[^\S\n]+([\w., ]+)|=\s*([\w.]+)\s*$", re.MULTILINE
)
"""Names that stand in quotes, after `=`, or after `import`: of a package they mean all that lies in it."""
_UNNAMED: Final = frozenset(
    b"importlib import_module __import__ pkgutil runpy entry_points find_spec ctypes exec eval subprocess Popen "
    b"multiprocessing ProcessPoolExecutor pty fork forkpty system popen spawnl spawnv spawnlp spawnvp posix_spawn "
    b"execv execve create_subprocess_exec create_subprocess_shell pytester testdir runpytest glob rglob iterdir "
    b"listdir scandir walk getsource getsourcelines getsourcefile __subclasses__ get_objects load_tests doctest".split()
)
"""Words by which a program loads, lists, reads or starts what it does not name."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What is known of a change before anything of it is executed."""

    untouched: frozenset[str] = field(default_factory=frozenset)
    """Files whose tests can reach nothing of it."""
    nearest: tuple[str, ...] = ()
    """Files that name a changed one themselves."""


def look(layout: Layout, contents: Contents, changed: Collection[str]) -> Reach:
    """Return what a change of these files of the program can reach; reads both trees."""
    project, texts = layout.project, dict[str, bytes]()
    if project.runner != "pytest" or not changed:
        return Reach()
    roots = {posixpath.normpath(posixpath.join(project.root, part)) for part in project.source_roots}
    shared = {posixpath.normpath(posixpath.join(project.root, name)) for name in INI_FILES}
    for tree in (layout.base, layout.head):
        for path, file in tree.items():
            if file.mode in (REGULAR, EXECUTABLE) and (path.endswith(".py") or path in shared):
                if path in texts and layout.base.get(path) == layout.head.get(path):
                    continue
                data = contents.read(file.oid)
                texts[path] = texts.get(path, b"") + b"\n" + (_pytest_part(path, data) if path in shared else data)
    texts[_COMMAND] = " ".join(project.test_command).encode()
    fixed = {_COMMAND, *shared} | {path for path in texts if posixpath.basename(path) == "conftest.py"}
    return reach_of(
        texts,
        changed,
        program={path for path in texts if path.endswith(".py") and not layout.division.is_judge_side(path)},
        shared=fixed,
        unsettled=is_unsettled(layout.base.keys() ^ layout.head.keys(), {"" if r == "." else r for r in roots}),
    )


def _pytest_part(path: str, data: bytes) -> bytes:
    """Return what a file of settings says to pytest; all of it where that cannot be told."""
    text = data.decode(errors="replace")
    if path.endswith("pyproject.toml"):
        try:
            return repr(tomllib.loads(text).get("tool", {}).get("pytest", "")).encode()
        except (ValueError, AttributeError, RecursionError):
            return data
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except ConfigParserError:
        return data
    named = ("pytest", "tool:pytest")
    return "\n".join(f"{k} = {v}" for s in named if s in parser for k, v in parser[s].items()).encode()


def reach_of(
    texts: Mapping[str, bytes],
    changed: Collection[str],
    *,
    program: Collection[str],
    shared: Iterable[str],
    unsettled: bool = False,
) -> Reach:
    """Return what a change can reach.

    Args:
        texts: by path, Python files and test configuration; of a file that differs, the text of both sides.
        changed: files of the program that the change alters.
        program: files that belong to the program.
        shared: files that every test uses: `conftest.py`, test configuration.
        unsettled: whether the change does what no text names; then it reaches everything.
    """
    names = _names(texts)
    size = sum(len(text) for text in texts.values())
    if not changed or not all(map(_is_findable, changed)) or size > _MOST_BYTES:
        return Reach()
    uses = {path: _used(text, names) - {path} for path, text in texts.items()}
    nearest = tuple(sorted(p for p, used in uses.items() if p not in program and used & set(changed)))
    if unsettled:
        return Reach(nearest=nearest)
    unnamed = {path for path, text in texts.items() if not _UNNAMED.isdisjoint(_WORD.findall(text))}
    reached = _users(uses, {*changed, *unnamed})
    if any(path in reached for path in shared) or not all(map(str.isascii, reached)):
        return Reach(nearest=nearest)
    by_name = _users(uses, set(program) & texts.keys())  # who tests a program without a name of it has other ways
    return Reach(frozenset(p for p in texts if p in by_name and p not in reached), nearest)


def is_unsettled(added: Iterable[str], roots: Collection[str]) -> bool:
    """Return whether files that come or go may stand in the place of modules that are no part of the repository.

    Args:
        added: paths that only one side has.
        roots: folders on the import path.
    """
    for path in added:
        folder, name = posixpath.split(path)
        if (posixpath.dirname(folder) if name == "__init__.py" else folder) in roots:
            return True
    return False


def _is_findable(path: str) -> bool:
    """Return whether a file can be found by its name: Python has more letters than are looked for."""
    name = posixpath.basename(path.removesuffix("/__init__.py")).removesuffix(".py")
    return path.endswith(".py") and path.isascii() and _WORD.fullmatch(name.encode()) is not None


def _names(texts: Iterable[str]) -> dict[bytes, frozenset[str]]:
    """Return by each name that a file may be called in a text which files it means; `name/` means all of a package."""
    found: dict[bytes, set[str]] = {}
    for path in texts:
        if not path.endswith(".py"):
            continue
        parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
        found.setdefault(parts[-1].encode(errors="surrogateescape"), set()).add(path)
        for package in path.split("/")[:-1]:
            found.setdefault(f"{package}/".encode(errors="surrogateescape"), set()).add(path)
    return {name: frozenset(paths) for name, paths in found.items()}


def _used(text: bytes, names: Mapping[bytes, frozenset[str]]) -> set[str]:
    words = set(_WORD.findall(text)) & names.keys()
    alone: set[bytes] = set()
    for quoted, imported, given in _NAMED_ALONE.findall(text):
        named = [name.split()[0].split(b".") for name in imported.split(b",") if name.strip()]
        alone |= {parts[0] + b"/" for parts in named}  # the name of a package is bound, and all of it is at hand
        named += [name.split(b".") for name in (quoted, given) if name]
        alone |= {parts[-1] + b"/" for parts in named}
    return {path for name in words | (alone & names.keys()) for path in names[name]}


def _users(uses: Mapping[str, set[str]], of: set[str]) -> set[str]:
    """Return these files and those that use one of them, themselves or through others."""
    users: dict[str, list[str]] = {}
    for path, used in uses.items():
        for other in used:
            users.setdefault(other, []).append(path)
    reached, waiting = set(of), list(of)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in reached:
                reached.add(user)
                waiting.append(user)
    return reached
