"""Bringing a branch into the user's repository: objects and one ref, and nothing else of it is touched."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from assay.errors import RepositoryError
from assay.store.git_commands import GitCommands
from assay.store.git_objects import ObjectReader
from assay.store.git_packs import LENIENT_RULES, carry
from assay.store.git_sources import Source, borrow, checked_out_branches

_NOTHING: Final = "0" * 40
_COMPONENT: Final = re.compile(r"(?!\.)(?!.*\.lock$)(?!.*\.\.)(?!.*@\{)[^\x00-\x20\x7f~^:?*\[\\/]+(?<!\.)")


def check_branch_name(branch: str) -> None:
    """Raise RepositoryError for what git would not take as the name of a branch."""
    if branch.startswith("-") or branch in {"HEAD", "@"} or not all(map(_COMPONENT.fullmatch, branch.split("/"))):
        raise RepositoryError(f"{branch!r} is no name for a branch", next_step="see `git help check-ref-format`")


def branch_commit(source: Source, branch: str) -> str | None:
    """Return the commit of a branch in a repository, or None where it has no such branch."""
    check_branch_name(branch)
    with borrow(source, logs=False) as theirs:
        return _commit(theirs, f"refs/heads/{branch}")


def deliver(ours: GitCommands, source: Source, commit: str, branch: str) -> None:
    """Make `branch` exist at `commit` in a repository; a branch that is there at that commit is left as it is.

    Raises RepositoryError when it exists at another commit, is checked out, cannot be written, or
    when the repository does not hold what the commit is based on; DiskFull.
    """
    check_branch_name(branch)
    ref = f"refs/heads/{branch}"
    with borrow(source, logs=False) as theirs:
        existing = _commit(theirs, ref)
        if existing == commit:
            return
        _refuse_taken(theirs, source, branch, existing)
        pack = _send(ours, theirs, source, commit)
        created = theirs.run("update-ref", "--no-deref", ref, commit, _NOTHING, accept=(0, 1, 128))
        if created.code != 0 and _commit(theirs, ref) != commit:
            raise RepositoryError(
                f"the branch {branch} cannot be made in {source.path}: {created.err.strip()}",
                next_step="remove what is in the way, or choose another name, and deliver again",
            )
    _give_to_owner(source, pack, ref)


def _refuse_taken(theirs: GitCommands, source: Source, branch: str, existing: str | None) -> None:
    ref = f"refs/heads/{branch}"
    leads_to = theirs.run("symbolic-ref", "--quiet", ref, accept=(0, 1, 128)).out.decode(errors="replace").strip()
    if existing is not None or leads_to:
        raise RepositoryError(
            f"{source.path} has a branch {branch} already, at {leads_to or (existing or '')[:12]}",
            next_step=f"rename it with `git branch -m {branch} OTHER`, or choose another name",
        )
    checked_out = checked_out_branches(source).get(ref)
    if checked_out is not None:
        raise RepositoryError(
            f"the branch {branch} is checked out in {source.path} ({checked_out})",
            next_step="switch to another branch there, or choose another name",
        )
    place = source.common_dir
    for part in ref.split("/"):
        place = place / part
        if part not in {"refs"} and place.is_symlink():
            raise RepositoryError(f"{place} is a link, and a branch is not written through one")


def _send(ours: GitCommands, theirs: GitCommands, source: Source, commit: str) -> str | None:
    """Send what the repository lacks; return the name of the pack, or None when it lacks nothing."""
    history = ours.run("rev-list", "--topo-order", commit).out.decode().split()
    with ObjectReader(theirs) as reader:
        lacking = set(reader.missing(history))
        held = [f"^{found}" for found in history if found not in lacking]
        if not held:
            raise RepositoryError(
                f"{source.path} does not hold the commit that the branch is based on",
                next_step="deliver into the repository that the run started from, or fetch its base there",
            )
        ends = "\n".join([commit, *held]).encode()
        listed = ours.run("rev-list", "--objects", "--no-object-names", "--stdin", stdin=ends)
        objects = reader.missing(listed.out.decode().split())
    return carry(ours, objects, theirs, LENIENT_RULES) if objects else None


def _commit(commands: GitCommands, ref: str) -> str | None:
    found = commands.run("rev-parse", "--verify", "--quiet", ref, accept=(0, 1, 128))
    return found.out.decode().strip() if found.code == 0 else None


def _give_to_owner(source: Source, pack: str | None, ref: str) -> None:
    """Give root's new files to whom the repository belongs: in a container, both are often different users."""
    owner = source.common_dir.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    written: list[Path] = []
    if pack is not None:
        written += (source.common_dir / "objects" / "pack").glob(f"pack-{pack}.*")
    place = source.common_dir / ref
    while place != source.common_dir:
        written.append(place)
        place = place.parent
    for path in written:
        with suppress(FileNotFoundError):
            if path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
