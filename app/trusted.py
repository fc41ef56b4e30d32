"""Trusted tests for `assay check`, from a folder or a patch to a git tree that is laid over base and head."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from assay.errors import UsageError
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.trees import EXECUTABLE, REGULAR, Tree, TreeFile, blob_id
from assay.store.git import GitStore

_MOST_BYTES: Final = 50_000_000
"""Of a patch."""
_ALLOWED: Final = frozenset({FileClass.TEST, FileClass.HARNESS, FileClass.OTHER, FileClass.DOCS})
"""What a patch of trusted tests may touch: tests, their configuration, and the data and texts that they read."""


async def trusted_tree(git: GitStore, given: Path | None, *, base: str, settings: Settings) -> str | None:
    """Return the git tree of trusted tests; None where none were given.

    Args:
        git: where it is kept.
        given: a folder with files at the paths that they have in the repository, or a unified diff.
        base: commit to which a diff is applied; what it adds and changes is the tree. What it deletes is laid over as
            an empty file, for a tree that is laid over others cannot take away.
        settings: say what a test is. A diff that touches the program is refused: laid over the head, it would put the
            base's program, as the diff changes it, in the place of the one that is to be examined.

    Raises UsageError.
    """
    if given is None:
        return None
    if given.is_dir():
        tree, contents = await asyncio.to_thread(_read_folder, given)
        return await git.write_tree(tree, contents)
    return await _from_patch(git, given, await asyncio.to_thread(_read_patch, given), base, settings)


async def _from_patch(git: GitStore, path: Path, patch: bytes, base: str, settings: Settings) -> str:
    try:
        applied = await git.tree(await git.apply(base, patch))
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", next_step=error.next_step) from error
    before = await git.tree(base)
    touched = sorted(p for p in before.keys() | applied.keys() if before.get(p) != applied.get(p))
    if not touched:
        raise UsageError(
            f"{path} changes nothing", next_step="give a unified diff that adds tests, or a folder of them"
        )
    for name in touched:
        _check(path, name, applied, settings)
    empty = blob_id(b"")
    over = {name: applied.get(name, TreeFile(REGULAR, empty)) for name in touched}
    return await git.write_tree(over, {empty: b""})


def _check(path: Path, name: str, applied: Tree, settings: Settings) -> None:
    kind = classify(name, settings)
    if kind not in _ALLOWED:
        raise UsageError(
            f"{path} touches {name}, which is no test ({kind.value})",
            next_step="leave it out of the patch; [paths] tests in assay.toml says what a test is",
        )
    if name in applied and applied[name].mode not in (REGULAR, EXECUTABLE):
        raise UsageError(f"{path} makes {name} a link or a submodule", next_step="trusted tests are plain files")


def _read_patch(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist", next_step="name a folder of tests, or a unified diff") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES:,} bytes; a patch of tests may not")
    return data


def _read_folder(folder: Path) -> tuple[dict[str, TreeFile], dict[str, bytes]]:
    tree: dict[str, TreeFile] = {}
    contents: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
            continue
        data = path.read_bytes()
        mode = EXECUTABLE if os.access(path, os.X_OK) else REGULAR
        oid = blob_id(data)
        tree[str(path.relative_to(folder))] = TreeFile(mode, oid)
        contents[oid] = data
    if not tree:
        raise UsageError(f"{folder} holds no files")
    return tree, contents
