"""Bringing commits of the user's repository into ours: objects and nothing else (S1).

What comes is a commit with its whole tree, and the history between it and a commit that is held
already. The rest of the history is cut off as in a shallow clone, so that the cost is that of the
files and not of the years. Every object is hashed again on the way in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from assay.errors import InfrastructureError, RepositoryError
from assay.store.files import write_whole
from assay.store.git_commands import GitCommands
from assay.store.git_objects import ObjectReader
from assay.store.git_packs import LENIENT_RULES, carry
from assay.store.git_sources import Source, borrow, incomplete, resolve
from assay.store.locks import take_lock


def adopt(ours: GitCommands, objects: ObjectReader, source: Source, revision: str, ref: str, since: str | None) -> str:
    """Resolve a revision in a repository, bring what it needs, set our ref to it, and return its commit id.

    Raises RepositoryError where the revision is none, or its objects are missing or malformed; DiskFull.
    """
    with borrow(source) as theirs:
        commit = resolve(theirs, source, revision)
        commits = _commits(theirs, source, commit, since)
        lock = take_lock(ours.git_dir / "adoption.lock", wait=True)
        try:
            _bring(ours, objects, theirs, source, commits)
            ours.update_refs(ref, commit)
        finally:
            if lock is not None:
                os.close(lock)
    return commit


def _commits(theirs: GitCommands, source: Source, commit: str, since: str | None) -> tuple[str, ...]:
    """Return the commit and, where it is related to `since`, all between the two and where they meet."""
    if since is None or theirs.run("merge-base", since, commit, accept=(0, 1, 128)).code != 0:
        return (commit,)
    listed = theirs.run("rev-list", "--boundary", f"{since}...{commit}", accept=(0, 128))
    if listed.code != 0:
        raise incomplete(source, commit, listed.err)
    return tuple({commit: None} | dict.fromkeys(line.lstrip("-") for line in listed.out.decode().split()))


def _bring(
    ours: GitCommands, objects: ObjectReader, theirs: GitCommands, source: Source, commits: tuple[str, ...]
) -> None:
    named = "".join(f"{commit}\n" for commit in commits).encode()
    listed = theirs.run(
        "rev-list", "--objects", "--no-object-names", "--no-walk=unsorted", "--stdin", stdin=named, accept=(0, 1, 128)
    )
    if listed.code != 0:
        raise incomplete(source, commits[0], listed.err)
    wanted = objects.missing(listed.out.decode().split())
    _write_shallow(ours, objects, theirs, objects.missing(commits))
    if wanted:
        try:
            # Names such as `.GIT` are let in: nothing is checked out here, and the proof looks at paths itself.
            carry(theirs, wanted, ours, f"{LENIENT_RULES},hasDotgit=ignore")
        except InfrastructureError as error:
            if type(error) is not InfrastructureError:
                raise
            raise RepositoryError(
                f"objects of {commits[0]} in {source.path} are damaged: {error.message}",
                next_step=f"`git -C {source.path} fsck` shows what is wrong",
            ) from error
    whole = ours.run(
        "rev-list", "--objects", "--quiet", "--no-walk=unsorted", "--stdin", stdin=named, accept=(0, 1, 128)
    )
    if whole.code != 0:
        raise incomplete(source, commits[0])


def _write_shallow(ours: GitCommands, objects: ObjectReader, theirs: GitCommands, arriving: tuple[str, ...]) -> None:
    """Note for which commits the parents are not held, so that git takes them for the beginning."""
    path = ours.git_dir / "shallow"
    noted = path.read_text().split() if path.exists() else []
    with ObjectReader(theirs) as reader:
        parents = _parents(objects, noted) | _parents(reader, arriving)
    absent = set(objects.missing({parent for found in parents.values() for parent in found})).difference(arriving)
    cut = sorted(commit for commit, found in parents.items() if absent.intersection(found))
    if cut:
        write_whole(path, "".join(f"{commit}\n" for commit in cut).encode(), mode=0o644)
    else:
        path.unlink(missing_ok=True)


def _parents(objects: ObjectReader, commits: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for commit in commits:
        with suppress(KeyError):  # noted before a kill, and never arrived
            found[commit] = parents_of(objects.read_object(commit, "commit"))
    return found


def parents_of(content: bytes) -> tuple[str, ...]:
    """Return the parents that a commit object names, whatever the store holds of them."""
    header = content.partition(b"\n\n")[0].split(b"\n")
    return tuple(line[7:].decode() for line in header if line.startswith(b"parent "))
