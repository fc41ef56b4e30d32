"""What of a change can be executed (S13): its statements, and the heads of those that hold others, by line.

Comments, docstrings, formatting and imports are left out, as they are no parts of the change.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from assay.evidence.controls import same_program
from assay.evidence.parts import Edit, apply, hunks_of, pair_renamed
from assay.evidence.syntax import parse
from assay.records.base import digest_of

_NOTHING: Final = (ast.Import, ast.ImportFrom, ast.Pass, ast.Global, ast.Nonlocal, ast.Try, ast.TryStar)
"""What is no part of a change, or does nothing itself."""


@dataclass(frozen=True, slots=True)
class Executable:
    """A simple statement, or the head of a compound one, of which some line changed."""

    path: str
    first: int
    """Its first line at the head, from 1."""
    last: int
    changed: tuple[int, ...]
    """Its lines that the change added or altered."""
    node: ast.stmt | ast.match_case
    tree: ast.Module
    """Of the file, in which the node is."""


def changed_statements(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[Executable, ...]:
    """Return what of a change can be executed, by file and line.

    Args:
        before: Python files of the program at the base, by path.
        after: the same at the head; a file under a new name is held against what it was.
    """
    old_names = {new: old for old, new in pair_renamed(before, after).items()}
    found: list[Executable] = []
    for path, data in sorted(after.items()):
        tree, old = parse(data), before.get(old_names.get(path, path), b"")
        if tree is not None and (lines := _changed(tree, old, data)):
            found += _executables(path, tree, lines)
    return tuple(found)


def drawn(executables: Sequence[Executable], most: int, secret: str) -> dict[str, Executable]:
    """Return statements by a name; of more than `most` a sample, which no author can choose."""
    named = {f"s{number}": one for number, one in enumerate(executables)}
    chosen = sorted(named, key=lambda name: digest_of([secret, named[name].path, name]))[:most]
    return {name: one for name, one in named.items() if name in set(chosen)}


def _changed(head: ast.Module, before: bytes, after: bytes) -> frozenset[int]:
    """Return the lines of the head that differ, but those of hunks which change no more than the text."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    lines: set[int] = set()
    for old_from, old_to, new_from, new_to in hunks_of(old, new):
        without = parse(apply(new, [Edit("", new_from + 1, new_to, tuple(old[old_from:old_to]))]))
        if without is None or not same_program(without, head):
            lines |= set(range(new_from + 1, new_to + 1))
    return frozenset(lines)


def _executables(path: str, tree: ast.Module, lines: Collection[int]) -> Iterator[Executable]:
    for node, first, last in _spans(tree):
        changed = tuple(n for n in range(first, last + 1) if n in lines)
        if changed:
            yield Executable(path, first, last, changed, node, tree)


def _spans(node: ast.AST) -> Iterator[tuple[ast.stmt | ast.match_case, int, int]]:
    """Yield what is executed below a node, in order, with its first and last line."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _spans(ast.Module(child.orelse, []))
        elif isinstance(child, ast.match_case):
            if child.guard is not None:
                yield child, child.guard.lineno, child.guard.end_lineno or child.guard.lineno
            yield from _spans(child)
        elif isinstance(child, ast.ExceptHandler):
            yield from _spans(child)
        elif isinstance(child, ast.stmt):
            if not isinstance(child, _NOTHING) and not _is_silent(child):
                yield child, *_lines_of(child)
            yield from _spans(child)


def _is_silent(node: ast.stmt) -> bool:
    """Return whether a statement has nothing to execute: a docstring, an ellipsis, a bare annotation."""
    bare = isinstance(node, ast.AnnAssign) and node.value is None
    return bare or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _lines_of(node: ast.stmt) -> tuple[int, int]:
    """Return first and last line of a simple statement, or of what stands before a compound one's body."""
    inside = [*getattr(node, "body", ()), *getattr(node, "orelse", ()), *getattr(node, "cases", ())]
    if not inside:
        return node.lineno, node.end_lineno or node.lineno
    head = (n for part in ast.iter_child_nodes(node) if part not in inside for n in ast.walk(part))
    return node.lineno, max([node.lineno, *(getattr(n, "end_lineno", None) or 0 for n in head)])
