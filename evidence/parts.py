"""Parts of a change that can be taken out by themselves (S13): hunks of lines, and statements of what is new.

Comments, docstrings, formatting and imports are no parts: what an import brings shows where it is used.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from assay.evidence.controls import same_program
from assay.evidence.syntax import parse, parse_own
from assay.records.trees import Tree, TreeFile

_SIMILAR: Final = 0.6
"""Part of two files that has to be the same for one to be the other under a new name."""
_SMALL: Final = 6
"""Lines of a hunk that is taken out as a whole where something was in its place before."""
_LONG: Final = 3000
"""Lines of a file whose differences are sought with the quicker and coarser way."""
_COMPOUND: Final = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.For, ast.AsyncFor, ast.While, ast.With),
    *(ast.AsyncWith, ast.Try, ast.TryStar, ast.Match),
)
_NO_PART: Final = (ast.Import, ast.ImportFrom, ast.Pass, ast.Global, ast.Nonlocal)


@dataclass(frozen=True, slots=True)
class Edit:
    """What takes one part out: other lines in the place of some of the head's."""

    path: str
    first: int
    """First line at the head, from 1."""
    last: int
    """Last line at the head; one less than the first where the change only takes away."""
    lines: tuple[bytes, ...] = ()
    """What comes in their place."""
    file: TreeFile | None = None
    """The base's file, where the part is a file as a whole."""
    whole: bool = False


def pair_renamed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, str]:
    """Return the new name of each file that is gone where another, much the same, is new."""
    gone = {p: d for p, d in before.items() if p not in after}
    fresh = {p: d for p, d in after.items() if p not in before}
    pairs: dict[str, str] = {}
    for path, data in sorted(gone.items()):
        ratios = {p: _alike(data, d) for p, d in sorted(fresh.items()) if p not in pairs.values()}
        best = max(ratios, key=ratios.__getitem__, default=None)
        if best is not None and ratios[best] >= _SIMILAR:
            pairs[path] = best
    return pairs


def _alike(one: bytes, other: bytes) -> float:
    return difflib.SequenceMatcher(None, one.splitlines(), other.splitlines()).ratio()


def _ratio(one: bytes, other: bytes) -> float:
    return difflib.SequenceMatcher(None, one.split(), other.split()).ratio()


def split_file(path: str, before: bytes, after: bytes) -> tuple[Edit, ...]:
    """Return the parts of a Python file's change, in order; none of them overlaps another.

    A hunk that cannot be taken out alone, for what is left would be no Python, is joined with the next one.
    """
    head = parse(after)
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    whole = Edit(path, 1, len(new), tuple(old))
    if head is None or parse(before) is None:
        return (whole,)
    found: list[Edit] = []
    pending: tuple[int, int] | None = None
    for old_from, old_to, new_from, new_to in hunks_of(old, new):
        start = (old_from, new_from) if pending is None else pending
        hunk = Edit(path, start[1] + 1, new_to, tuple(old[start[0] : old_to]))
        leaves = () if pending is not None else _leaves(path, head, new, hunk)
        without = parse(apply(new, [hunk]))
        if leaves:
            found += leaves
        elif without is None:
            pending = start
            continue
        elif not _same(without, head):
            found.append(hunk)
        pending = None
    return (whole,) if pending is not None else tuple(found)


def hunks_of(old: list[bytes], new: list[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Yield from and to of old and new lines that differ. What was added beside changed lines is apart from them where
    each can be taken out without the other.
    """
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=len(new) > _LONG)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            continue
        before, count = old[old_from:old_to], old_to - old_from
        if tag == "replace" and count < new_to - new_from:
            first, last = new[new_from : new_from + count], new[new_to - count : new_to]
            ahead = _ratio(b"".join(before), b"".join(first)) >= _ratio(b"".join(before), b"".join(last))
            middle = new_from + count if ahead else new_to - count
            old_middle = old_to if ahead else old_from
            pieces = (old_from, old_middle, new_from, middle), (old_middle, old_to, middle, new_to)
            edits = [Edit("", start + 1, end, tuple(old[a:b])) for a, b, start, end in pieces]
            if all(parse(apply(new, [e])) for e in edits):
                yield from pieces
                continue
        yield old_from, old_to, new_from, new_to


def apply(lines: list[bytes], edits: Iterable[Edit]) -> bytes:
    """Return a file, given by its lines, without these parts."""
    made = list(lines)
    for edit in sorted(edits, key=lambda e: e.first, reverse=True):
        made[edit.first - 1 : max(edit.last, edit.first - 1)] = edit.lines
    return b"".join(made)


def _leaves(path: str, head: ast.Module, new: list[bytes], hunk: Edit) -> tuple[Edit, ...]:
    """Return the statements of a hunk, each taken out by itself; none where the hunk is small or nothing new."""
    if hunk.lines and hunk.last - hunk.first < _SMALL:
        return ()
    inside = [s for s in _statements(head) if hunk.first <= s.lineno and (s.end_lineno or 0) <= hunk.last]
    made = tuple(
        Edit(path, s.lineno, s.end_lineno or s.lineno, (_indent(new[s.lineno - 1]) + b"pass\n",))
        for s in inside
        if _owns_its_lines(s, new)
    )
    return made if all(b.first > a.last for a, b in pairwise(made)) else ()


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the simple statements below a node that do something, in order."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (s for part in child.orelse for s in _statements(ast.Module([part], [])))
        elif isinstance(child, (*_COMPOUND, ast.ExceptHandler, ast.match_case)):
            yield from _statements(child)
        elif isinstance(child, ast.stmt) and not isinstance(child, _NO_PART) and not _is_constant(child):
            yield child


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _owns_its_lines(node: ast.stmt, lines: list[bytes]) -> bool:
    ahead = lines[node.lineno - 1][: node.col_offset]
    after = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset :].strip()
    return not ahead.strip() and (not after or after.startswith(b"#"))


def _indent(line: bytes) -> bytes:
    return line[: len(line) - len(line.lstrip())]


def _same(one: ast.Module, other: ast.Module) -> bool:
    return same_program(_without_imports(one), _without_imports(other))


def _without_imports(tree: ast.Module) -> ast.Module:
    copied = parse_own(ast.unparse(tree))
    for node in ast.walk(copied):
        for name in ("body", "orelse", "finalbody"):
            held = getattr(node, name, None)
            if isinstance(held, list):
                setattr(node, name, [s for s in held if not isinstance(s, (ast.Import, ast.ImportFrom))])
    return copied


def split_change(
    paths: Iterable[str], base: Tree, head: Tree, before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> tuple[Edit, ...]:
    """Return all parts of a change of the program.

    Args:
        paths: files of the program that the change alters.
        base: the tree before.
        head: the tree after.
        before: Python files among them at the base, by path.
        after: Python files among them at the head.

    A file under a new name is held against what it was under the old one; the name itself is no part. A file that is no
    Python is one part.
    """
    renamed = pair_renamed(before, after)
    old_names = {new: old for old, new in renamed.items()}
    found: list[Edit] = []
    for path in paths:
        if path in renamed:
            continue
        if path in after:
            old = before.get(old_names.get(path, path), b"")
            parts = split_file(path, old, after[path])
            found += parts
        else:
            found.append(Edit(path, 1, 1 if path in head else 0, file=base.get(path), whole=True))
    return tuple(found)
