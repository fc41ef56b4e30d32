"""The trees of a case: one for each cell of the matrix, with the trusted overlay where it belongs (S5, S7)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Final

from assay.evidence.adopt import Adopted
from assay.evidence.controls import Null, null_sources
from assay.evidence.facts import Subject
from assay.evidence.null_scripts import SUFFIXES, null_scripts
from assay.evidence.overlay import Division
from assay.evidence.protocol import Case
from assay.evidence.runner_node import is_node_test
from assay.evidence.tree_policy import without_escapes
from assay.policies.settings import ProjectSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.evidence import Cell, Side
from assay.records.trees import GITLINK, REGULAR, Tree, TreeFile, blob_id
from assay.store.git import GitStore

_MODULES: Final = ("test_*.py", "*_test.py")
"""pytest's own default for names of test files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What lies where."""

    project: ProjectSettings
    division: Division
    base: Tree
    head: Tree
    visible: Tree
    held_out: Tree

    def trusted(self, subject: Subject) -> tuple[Tree, ...]:
        """Return the trees that are laid over for a subject."""
        match subject:
            case Subject.VISIBLE:
                return (self.visible,)
            case Subject.HELD_OUT:
                return (self.visible, self.held_out)
            case Subject.REGRESSION | Subject.BROUGHT | Subject.CANARY | Subject.CHECK | Subject.SPEED | Subject.PROBE:
                return ()

    def tree(self, cell: Cell, subject: Subject) -> Tree:
        """Return the files of a cell."""
        sides: dict[Side, Tree] = {"base": self.base, "head": self.head}
        return self.division.compose(sides[cell.source], sides[cell.tests], *self.trusted(subject))

    def null_tree(self, cell: Cell, subject: Subject, null: Null, kind: ClaimKind) -> tuple[Tree, dict[str, bytes]]:
        """Return the head's files of a cell with functions that do nothing, and what is new of them by blob id.

        Taken out are the functions that the change made; for a change of tests alone, all of the program's.
        """
        changed = tuple(p for p in self.head if self.head[p] != self.base.get(p))
        everything = kind is ClaimKind.TESTS
        paths = tuple(p for p in (self.head if everything else changed) if not self.division.is_judge_side(p))
        nulled: dict[str, bytes] = {}
        for make, suffixes in ((null_sources, (".py",)), (null_scripts, SUFFIXES)):
            before = {} if everything else self.division.sources_of_program(self.base, paths, *suffixes)
            nulled |= make(before, self.division.sources_of_program(self.head, paths, *suffixes), null)
        fresh = {blob_id(data): data for data in nulled.values()}
        program = {**self.head, **{p: TreeFile(REGULAR, blob_id(data)) for p, data in nulled.items()}}
        tests = self.base if cell.tests == "base" else self.head
        return self.division.compose(program, tests, *self.trusted(subject)), fresh

    def altered_tree(self, cell: Cell, subject: Subject, files: Mapping[str, TreeFile | None]) -> Tree:
        """Return the head's files of a cell with others in the place of some of the program's; None takes one away."""
        program = {p: f for p, f in {**self.head, **files}.items() if f is not None}
        tests = self.base if cell.tests == "base" else self.head
        return self.division.compose(program, tests, *self.trusted(subject))

    def program(self, side: Side) -> Tree:
        """Return the files of a side without its tests and whatever else belongs to the judge's side."""
        tree = self.base if side == "base" else self.head
        return {p: f for p, f in tree.items() if f.mode != GITLINK and not self.division.is_judge_side(p)}

    def is_test(self, path: str) -> bool:
        """Return whether a file of any of the trees belongs to the judge's side."""
        return path in self.visible or path in self.held_out or self.division.is_judge_side(path)

    def modules(self, subject: Subject, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the test files to run, relative to the project: those of the ids, and all that were laid over."""
        own = self.visible if subject is Subject.VISIBLE else self.held_out if subject is Subject.HELD_OUT else {}
        named = {posixpath.normpath(i.split("::", 1)[0]) for i in ids} - {"."}
        known = {p for tree in (self.base, self.head, *self.trusted(subject)) for p in tree}
        found = {n for n in named if self._in_tree(n) in known}
        found |= {p for p in map(self._in_project, own) if p is not None and self._is_module(p)}
        return tuple(sorted(found))

    def module_names(self) -> frozenset[str]:
        """Return the dotted names of the modules and packages that the base's source roots offer."""
        return module_names(self.project, self.base)

    def _is_module(self, path: str) -> bool:
        """Return whether a file of the trusted side holds tests by its name, as the runner sees it."""
        match self.project.runner:
            case "pytest":
                return any(fnmatch(posixpath.basename(path), pattern) for pattern in _MODULES)
            case "node":
                return is_node_test(path)
            case "junit":
                return True  # which files are tests, its command alone knows

    def _in_tree(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.project.root, path))

    def _in_project(self, path: str) -> str | None:
        root = posixpath.normpath(self.project.root)
        if root == ".":
            return path
        return path.removeprefix(root + "/") if path.startswith(root + "/") else None


def module_names(project: ProjectSettings, tree: Iterable[str]) -> frozenset[str]:
    """Return the dotted names of the modules and packages that a project's source roots offer."""
    names: set[str] = set()
    roots = {posixpath.normpath(posixpath.join(project.root, part)) for part in project.source_roots}
    for path in tree:
        for root in roots:
            inside = path if root == "." else path.removeprefix(root + "/")
            if path.endswith(".py") and (root == "." or inside != path):
                parts = inside.removesuffix(".py").removesuffix("/__init__").split("/")
                names |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return frozenset(names)


async def lay_out(git: GitStore, settings: Settings, case: Case, adopted: Adopted) -> Layout:
    """Return what lies where in a case."""
    contents, trusted = git.contents, case.trusted
    base, head = without_escapes(adopted.base, contents), without_escapes(adopted.head, contents)
    return Layout(
        project=settings.project,
        division=Division(settings, contents, base, head),
        base=base,
        head=head,
        visible=without_escapes(await git.tree(trusted.visible), contents) if trusted.visible else {},
        held_out=without_escapes(await git.tree(trusted.held_out), contents) if trusted.held_out else {},
    )
