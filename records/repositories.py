"""What is known of a target repository before anything is done with it."""

from __future__ import annotations

from assay.records.base import Record


class RepositoryFacts(Record):
    """A repository as it was found. Nothing in it was executed to find this out."""

    path: str
    """Root of the work tree, or the git directory of a bare repository."""
    head: str | None
    """Commit that HEAD names; None in an empty repository."""
    branch: str | None
    """Branch that is checked out; None where HEAD is detached."""
    bare: bool
    shallow: bool
    partial: bool
    """Whether it is a partial clone, in which objects may be missing."""
    dirty: tuple[str, ...] | None
    """Tracked paths that differ from HEAD; None where that could not be found out. They are left alone."""
    untracked: tuple[str, ...] | None
    """Paths that are neither tracked nor ignored by the repository's own rules; a directory ends in `/`."""
    unknown: str = ""
    """Why `dirty` and `untracked` could not be found out, or may be incomplete."""
    submodules: tuple[str, ...] = ()
    """Paths of gitlinks at HEAD. Their content is not part of a run."""
    lfs: bool = False
    """Whether attributes at HEAD name Git LFS: such files are pointers in a run."""
