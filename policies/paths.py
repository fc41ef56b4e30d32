"""Which file is what, and whether a role may have changed it: judged on the diff, never on what was asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol

from pathspec import GitIgnoreSpec

from assay.policies import harness
from assay.policies.settings import Settings
from assay.records.base import Record
from assay.records.plans import Unit
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK

_GITLINK: Final = 0o160000


class FileClass(StrEnum):
    """What a file is to the proof and to the floors."""

    SOURCE = "source"
    TEST = "test"
    HARNESS = "harness"
    """Loaded by itself when tests run: can change the outcome of each."""
    MIXED = "mixed"
    """Holds settings of the harness beside others: `pyproject.toml`, `setup.cfg`."""
    CI = "ci"
    """How the project is built and judged elsewhere, its images included."""
    POLICY = "policy"
    """Who may do what, and what agents are told."""
    LOCK = "lock"
    """Which versions of other people's code are used."""
    DOCS = "docs"
    OTHER = "other"


_BUILT_IN: Final = (
    (FileClass.POLICY, harness.POLICY),
    (FileClass.HARNESS, harness.HARNESS),
    (FileClass.CI, harness.CI),
    (FileClass.LOCK, harness.LOCK),
    (FileClass.MIXED, harness.MIXED),
)
_WORDS: Final = {
    FileClass.TEST: "is a test",
    FileClass.HARNESS: "decides how tests are run and judged",
    FileClass.CI: "decides how the project is built and judged elsewhere",
    FileClass.POLICY: "decides who may do what",
    FileClass.LOCK: "fixes other people's code, and the unit does not name it",
}
_CODER_CLASSES: Final = frozenset({FileClass.SOURCE, FileClass.DOCS, FileClass.OTHER})


class Lines(Protocol):
    """Where changed lines begin."""

    @property
    def old_start(self) -> int: ...
    @property
    def old_lines(self) -> int: ...
    @property
    def new_start(self) -> int: ...
    @property
    def new_lines(self) -> int: ...


class ChangedFile(Protocol):
    """What judging needs of a `FileChange`."""

    @property
    def path(self) -> str: ...
    @property
    def old_path(self) -> str | None: ...
    @property
    def status(self) -> str: ...
    @property
    def old_mode(self) -> int: ...
    @property
    def new_mode(self) -> int: ...
    @property
    def old_oid(self) -> str | None: ...
    @property
    def new_oid(self) -> str | None: ...
    @property
    def hunks(self) -> Sequence[Lines]: ...


class Violation(Record):
    """A file that a role changed and may not change. One of them voids the step."""

    path: str
    reason: str
    """A clause that follows the path: `is a test, and the coder changes no tests`."""
    pattern: str | None = None
    """The pattern that forbids it, where one does."""
    hunk: str | None = None
    """The head of the first changed lines, `@@ -3,2 +3,4 @@`."""


@lru_cache(maxsize=64)
def _spec(patterns: tuple[str, ...]) -> GitIgnoreSpec:  # a memo: compiling is slow, and the patterns are few
    return GitIgnoreSpec.from_lines(patterns)


@lru_cache(maxsize=64)
def _folded_spec(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines([fold(pattern) for pattern in patterns])


def fold(path: str) -> str:
    """Return a path without case, composition and invisible characters: as lenient file systems compare."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", path) if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible.casefold())


def matching(patterns: tuple[str, ...], path: str, *, lenient: bool = False) -> str | None:
    """Return the gitignore-style pattern that decides for a path; None where it is not matched.

    Args:
        patterns: a later one outweighs an earlier one; `!` takes back.
        path: relative, `/`-separated.
        lenient: compare without case and composition, for what must not be got around.
    """
    if not patterns:
        return None
    spec, name = (_folded_spec(patterns), fold(path)) if lenient else (_spec(patterns), path)
    for form in (name, f"{name}/"):  # a link or submodule named like a folder counts as the folder
        result = spec.check_file(form)
        if result.include and result.index is not None:
            return patterns[result.index]
        if not lenient:
            break
    return None


def classify(path: str, settings: Settings) -> FileClass:
    """Return what a file is, by built-in names and the policy's test paths.

    Names are compared without case and composition, so that no spelling which some file system takes
    for `conftest.py` is a source file.
    """
    for kind, patterns in _BUILT_IN:
        if matching(patterns, path, lenient=True):
            return kind
    if matching(settings.paths.tests, path, lenient=True):
        return FileClass.TEST
    if matching(harness.DOCS, path, lenient=True):
        return FileClass.DOCS
    return FileClass.SOURCE if matching(harness.SOURCE, path, lenient=True) else FileClass.OTHER


def capability(role: str, unit: Unit | None, settings: Settings) -> tuple[str, ...]:
    """Return the patterns of what a role may change at a unit; empty means nothing, and a read-only workspace.

    `judge_changes` holds the outcome against these and against the floors, which no pattern opens.
    """
    if role in ("planner", "reviewer"):
        return ()
    if role == "tester":
        # A conftest.py, even a new one, governs the tests beside it, which are not the tester's.
        return () if unit is None else (*(unit.test_paths or settings.paths.tests), "!conftest.py")
    if role == "coder":
        return () if unit is None else unit.paths
    return settings.role(role).paths


def judge_changes(
    changes: Iterable[ChangedFile],
    *,
    may_change: Sequence[str],
    role: str,
    settings: Settings,
    texts: Mapping[str, str] | None = None,
) -> tuple[Violation, ...]:
    """Return every file in a diff that the role may not have changed; both sides of a rename are judged.

    Args:
        changes: the diff between the tree that the role was given and the one that it left.
        may_change: what `capability` gave.
        role: its floor is applied.
        settings: protected paths, test paths, and the role's own narrowing.
        texts: git blob id to text, for `mixed_blobs`; a mixed file without texts is refused.
    """
    judge = _Judge(tuple(may_change), role, settings, texts or {})
    sides = [(c, side) for c in changes for side in dict.fromkeys((c.path, c.old_path)) if side is not None]
    return tuple(v for change, side in sides if (v := judge.violation(change, side)) is not None)


def mixed_blobs(changes: Iterable[ChangedFile]) -> tuple[str, ...]:
    """Return the blob ids whose texts `judge_changes` needs to judge changed `pyproject.toml` files and the like."""
    mixed = (c for c in changes if matching(harness.MIXED, c.path, lenient=True))
    return tuple(dict.fromkeys(oid for c in mixed for oid in (c.old_oid, c.new_oid) if oid))


class _Judge:
    def __init__(self, may_change: tuple[str, ...], role: str, settings: Settings, texts: Mapping[str, str]) -> None:
        self._may_change = may_change
        self._role = role
        self._settings = settings
        self._texts = texts

    def violation(self, change: ChangedFile, path: str) -> Violation | None:
        reason, pattern = self._refusal(change, path) or (None, None)
        if reason is None:
            return None
        hunk = change.hunks[0] if change.hunks else None
        head = f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@" if hunk else None
        return Violation(path=path, reason=reason, pattern=pattern, hunk=head)

    def _refusal(self, change: ChangedFile, path: str) -> tuple[str, str | None] | None:
        """Return why the role may not change a path and the pattern that says so; None where it may."""
        if (odd := odd_path(path)) is not None:
            return odd, None
        if path == change.path and (link := _odd_mode(change.new_mode)) is not None:
            return link, None
        if (refused := self._floor(change, path)) is not None:
            return refused
        if (pattern := matching(self._settings.paths.protected, path, lenient=True)) is not None:
            return "is protected by the policy", pattern
        if matching(self._may_change, path) is None:
            return f"is not among what the {self._role} may change here", None
        narrowed = self._settings.role(self._role).paths
        if narrowed and matching(narrowed, path) is None:
            return f"is outside of the paths of the {self._role} in the policy", None
        return None

    def _floor(self, change: ChangedFile, path: str) -> tuple[str, str | None] | None:
        kind = classify(path, self._settings)
        if self._role == "tester":
            if kind is FileClass.TEST and matching(self._settings.paths.tests, path) is not None:
                return None
            return (_WORDS.get(kind, "is not a test") if kind is not FileClass.TEST else "is not a test"), None
        if kind in _CODER_CLASSES or (kind is FileClass.LOCK and self._names(path)):
            return None
        if kind is FileClass.MIXED:
            return self._mixed(change)
        pattern = next((m for k, p in _BUILT_IN if k is kind and (m := matching(p, path, lenient=True))), None)
        return f"{_WORDS[kind]}, and the {self._role} changes none of that", pattern

    def _names(self, path: str) -> bool:
        """Whether the unit names this very file, and not just a folder or a wildcard around it."""
        return path in {pattern.removeprefix("/") for pattern in self._may_change}

    def _mixed(self, change: ChangedFile) -> tuple[str, str | None] | None:
        if change.status not in ("A", "M", "D") and change.old_path != change.path:
            return "holds settings of the tests, and was renamed", None
        try:
            old, new = (
                harness.harness_settings(change.path, self._texts[oid] if oid else "")
                for oid in (change.old_oid, change.new_oid)
            )
        except KeyError:
            return "holds settings of the tests, and its text is not at hand to tell them apart", None
        except ValueError as error:
            return f"holds settings of the tests and cannot be read: {error}", None
        if old != new:
            return f"changes settings of the tests or of coverage, and the {self._role} changes none of them", None
        return None


def odd_path(path: str) -> str | None:
    """Return why a path is none that a change may hold; None for a plain one."""
    if not path or path.startswith("/") or "\\" in path or re.search(r"[\x00-\x1f\x7f]", path):
        return "is not a plain relative path"
    for part in path.split("/"):
        name = fold(part).rstrip(". ")
        if part in ("", ".", ".."):
            return "is not a plain relative path"
        if name in (".git", "git~1") or name.startswith(".git:"):
            return "lies in what git takes for its own folder"
    return None


def _odd_mode(mode: int) -> str | None:
    if mode in (0, REGULAR, EXECUTABLE):
        return None
    if mode == SYMLINK:
        return "is a symbolic link, which makes one path mean another"
    if mode == _GITLINK:
        return "is a submodule, whose content nobody here has seen"
    return f"has the mode {mode:o}, which is none of a plain file"
