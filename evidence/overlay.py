"""S5: the trusted overlay. Tests, golden files and test configuration come from the trusted side.

Defeats tests and harness that the change bends: what it does to them enters only the cells of the matrix that are about
its own tests.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from typing import Final

from assay.evidence.controls import same_program, without_docstrings
from assay.evidence.imports import imported_names
from assay.evidence.syntax import parse
from assay.policies.harness import harness_settings
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.evidence import Side
from assay.records.trees import EXECUTABLE, GITLINK, REGULAR, Contents, Tree
from assay.store.git import lay_over

_TESTS: Final = frozenset({FileClass.TEST, FileClass.HARNESS})
_TESTS_INSIDE: Final = re.compile(rb"^[^\S\n]*(?:async\s+)?def\s+test|^[^\S\n]*class\s+Test|\bTestCase\b", re.MULTILINE)
_PROGRAM: Final = frozenset({FileClass.SOURCE, FileClass.OTHER, FileClass.LOCK, FileClass.MIXED, FileClass.TEST})
"""Classes of what is program where it is not on the judge's side; a test's name may be a module's."""


class Division:
    """Which files of a change belong to the tests (the judge's side), and which to the program.

    Args:
        settings: say what a test is; read at the base, never from the change.
        contents: bytes of the trees.
        base: the tree before.
        head: the tree after.
    """

    def __init__(self, settings: Settings, contents: Contents, base: Tree, head: Tree) -> None:
        self._settings = settings
        self._project = settings.project
        self._contents = contents
        self._base = base
        self._head = head
        self._classes: dict[str, FileClass] = {}
        self._texts: dict[tuple[Side, FileClass], bytes] = {}
        self._named: frozenset[str] | None = None
        self._changed = tuple(sorted(p for p in base.keys() | head.keys() if base.get(p) != head.get(p)))

    def is_judge_side(self, path: str) -> bool:
        """Return whether a file is a test, golden file, fixture or test configuration.

        Names decide, and where they leave it open, who uses the file: one that holds test configuration beside other
        settings does unless that part of it stayed as it was; data does if the base's tests name it and its program
        does not; a module with a test's name does not if the program imports it and it holds no test.
        """
        match self._class(path):
            case FileClass.MIXED:
                return not self._same_harness(path)
            case FileClass.OTHER:
                return self._is_golden(path)
            case FileClass.TEST:
                return not self._is_imported(path)
            case kind:
                return kind in _TESTS

    def compose(self, source: Tree, tests: Tree, *trusted: Tree) -> Tree:
        """Return the program of one side with the tests of another, and trusted tests over both.

        Only what the change touches has to be told apart; the rest is the same on both sides. Submodules are left out:
        their content is not part of any tree.
        """
        composed = {p: f for p, f in source.items() if f.mode != GITLINK}
        for path in filter(self.is_judge_side, self._changed):
            composed.pop(path, None)
        judge = {p: tests[p] for p in self._changed if p in tests and self.is_judge_side(p)}
        composed = dict(lay_over(composed, {p: f for p, f in judge.items() if f.mode != GITLINK}))
        for over in trusted:
            composed = dict(lay_over(composed, over))
        return composed

    def changed_tests(self, *trusted: Tree) -> tuple[str, ...]:
        """Return the paths of the judge's side that the change itself adds, alters or removes.

        What it takes over from the trusted side, byte for byte, is not its own.
        """
        given = {(p, f) for over in trusted for p, f in over.items()}
        return tuple(p for p in self._changed if self.is_judge_side(p) and (p, self._head.get(p)) not in given)

    def replaced(self, *trusted: Tree) -> tuple[str, ...]:
        """Return the files of the base in whose place the trusted side put others."""
        return tuple(sorted({p for over in trusted for p, f in over.items() if self._base.get(p, f) != f}))

    def changed_program(self) -> tuple[str, ...]:
        """Return the files of the program that differ in more than comments, docstrings and formatting."""
        paths = (p for p in self._changed if not self.is_judge_side(p) and self._class(p) in _PROGRAM)
        return tuple(p for p in paths if not self._same_code(p))

    def python_of_program(self, tree: Tree, paths: tuple[str, ...]) -> dict[str, bytes]:
        """Return the Python files of the program among these paths, by path."""
        return self.sources_of_program(tree, paths, ".py")

    def sources_of_program(self, tree: Tree, paths: tuple[str, ...], *suffixes: str) -> dict[str, bytes]:
        """Return the files of the program among these paths whose names end in one of the suffixes, by path."""
        return {p: self._contents.read(tree[p].oid) for p in paths if p in tree and p.endswith(suffixes)}

    def _class(self, path: str) -> FileClass:
        """Return what a file is; documentation that the base's program names is its data."""
        if path not in self._classes:
            kind = classify(path, self._settings)
            self._classes[path] = kind
            if kind is FileClass.DOCS and path in self._changed and self._is_read(path):
                self._classes[path] = FileClass.SOURCE
        return self._classes[path]

    def _same_harness(self, path: str) -> bool:
        before, after = self._base.get(path), self._head.get(path)
        if before == after:
            return True
        try:
            old, new = (
                harness_settings(path, self._contents.read(f.oid).decode() if f is not None else "")
                for f in (before, after)
            )
        except ValueError:
            return False
        return old == new

    def _is_golden(self, path: str) -> bool:
        """Return whether the base's tests name a data file of the base, or its folder, and the program does not."""
        held = self._base.get(path)
        if held is None or held.mode == GITLINK or held == self._head.get(path):
            return False
        tests, program = self._python("base", FileClass.TEST), self._python("base", FileClass.SOURCE)
        parts = [re.escape(part.encode(errors="surrogateescape")) for part in path.split("/")[-2:]]
        named = re.compile(rb"(?<!\w)(?:" + b"|".join(parts) + rb")(?!\w)")  # whole: `lib` is not named by `pathlib`
        return named.search(tests) is not None and named.search(program) is None

    def _is_imported(self, path: str) -> bool:
        """Return whether a module with a test's name is part of the program, which imports it.

        Of what the base holds, the base's program says so, and only of a module without tests: `ab_test.py` may compare
        samples. Of what only the head has, the head's program does.
        """
        if not path.endswith(".py"):
            return False
        if path in self._base:
            return not _TESTS_INSIDE.search(self._contents.read(self._base[path].oid)) and self._is_used(path)
        if path not in self._head:
            return False
        module = re.escape(path.rsplit("/", 1)[-1].removesuffix(".py").encode(errors="surrogateescape"))
        pattern = rb"^[^\S\n]*(?:from|import)\b[^#\n]*\b" + module + rb"\b"
        return re.search(pattern, self._python("head", FileClass.SOURCE), re.MULTILINE) is not None

    def _is_used(self, path: str) -> bool:
        """Return whether a module of the base's program imports this one by its whole name."""
        roots = (posixpath.normpath(posixpath.join(self._project.root, r)) for r in self._project.source_roots)
        inside = {path, *(posixpath.relpath(path, root) for root in roots if path.startswith(f"{root}/"))}
        names = {p.removesuffix(".py").replace("/", ".") for p in inside}
        return any(names & set(imported_names(p, self._contents.read(self._base[p].oid))) for p in self._sources())

    def _is_read(self, path: str) -> bool:
        """Return whether the base's program names this text by a path, as what reads it does."""
        if path not in self._base:
            return False
        if self._named is None:
            trees = (parse(self._contents.read(self._base[p].oid)) for p in self._sources())
            self._named = frozenset(name for tree in trees if tree is not None for name in _paths_named(tree))
        return path.rsplit("/", 1)[-1] in self._named

    def _sources(self) -> tuple[str, ...]:
        """Return the modules of the base's program; `setup.py` is none, for nothing of it is there at run time."""
        plain = (p for p, f in self._base.items() if p.endswith(".py") and f.mode in (REGULAR, EXECUTABLE))
        return tuple(
            p for p in plain if classify(p, self._settings) is FileClass.SOURCE and posixpath.basename(p) != "setup.py"
        )

    def _python(self, side: Side, kind: FileClass) -> bytes:
        """Return all Python files of one class in one tree, one after the other."""
        if (side, kind) not in self._texts:
            tree = self._base if side == "base" else self._head
            paths = (p for p, f in tree.items() if p.endswith(".py") and f.mode in (REGULAR, EXECUTABLE))
            data = (self._contents.read(tree[p].oid) for p in paths if self._class(p) is kind)
            self._texts[side, kind] = b"\n".join(data)
        return self._texts[side, kind]

    def _same_code(self, path: str) -> bool:
        before, after = self._base.get(path), self._head.get(path)
        if before is None or after is None or before.mode != after.mode or not path.endswith(".py"):
            return False
        old, new = parse(self._contents.read(before.oid)), parse(self._contents.read(after.oid))
        return old is not None and new is not None and same_program(old, new)


def _paths_named(tree: ast.Module) -> Iterator[str]:
    """Yield the last parts of what may be paths among a module's texts: those without blanks that are no docstrings."""
    for node in ast.walk(without_docstrings(tree)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"\s", node.value):
            yield node.value.rsplit("/", 1)[-1]
