"""Which files of a program import which others, as far as their text says."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator, Mapping

from assay.evidence.syntax import parse


def importers(sources: Mapping[str, bytes], changed: frozenset[str]) -> frozenset[str]:
    """Return the files that import one of the changed ones, directly or through others.

    Args:
        sources: Python files by path.
        changed: paths of files.

    A module is known by the end of its path, so that it does not matter from which folder it is imported.
    """
    named = {path: frozenset(imported_names(path, data)) for path, data in sources.items()}
    reached, fresh = changed, changed
    while fresh:
        names = {name for path in fresh for name in _names(path)}
        fresh = frozenset(p for p, imported in named.items() if p not in reached and imported & names)
        reached |= fresh
    return reached - changed


def files_with_sets(sources: Mapping[str, bytes]) -> frozenset[str]:
    """Return the files that use sets, and those that import one which does."""
    own = frozenset(p for p, data in sources.items() if _uses_sets(parse(data)))
    return own | importers(sources, own)


def _uses_sets(tree: ast.Module | None) -> bool:
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Set() | ast.SetComp() | ast.Name(id="set" | "frozenset") | ast.Attribute(attr="keys"):
                return True
            case _:
                pass
    return False


def _names(path: str) -> Iterator[str]:
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    yield from (".".join(parts[n:]) for n in range(len(parts)))


def imported_names(path: str, data: bytes) -> Iterator[str]:
    """Yield the dotted names that a file imports or may import; relative ones from the tree's root."""
    tree = parse(data)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Import(names=names):
                yield from (a.name for a in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                folder = path
                for _ in range(level):
                    folder = posixpath.dirname(folder)
                start = ".".join(filter(None, [folder.replace("/", ".") if level else "", module]))
                yield start
                yield from (f"{start}.{a.name}".removeprefix(".") for a in names)
            case _:
                pass
