"""What there is to know of the user's repository, found out without executing anything that it names."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from assay.errors import AssayError
from assay.records.repositories import RepositoryFacts
from assay.store.git_commands import GitCommands
from assay.store.git_objects import decode_path
from assay.store.git_sources import Source, borrow

_MOST_ATTRIBUTES: Final = 200


def inspect(source: Source) -> RepositoryFacts:
    """Return the facts of a repository. Its files, index and configuration stay as they are."""
    with borrow(source, logs=False) as view:
        head = view.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", accept=(0, 1, 128))
        commit = head.out.decode().strip() if head.code == 0 else None
        symbolic = view.run("symbolic-ref", "--quiet", "HEAD", accept=(0, 1, 128))
        branch = symbolic.out.decode(errors="replace").strip().removeprefix("refs/heads/")
        entries = _entries(view, commit) if commit else {}
        dirty, untracked, unknown = (None, None, "it has no work tree") if source.bare else _compare(view, source)
        return RepositoryFacts(
            path=str(source.path),
            head=commit,
            branch=branch or None,
            bare=source.bare,
            shallow=(source.common_dir / "shallow").is_file(),
            partial=source.partial,
            dirty=dirty,
            untracked=untracked,
            unknown=unknown,
            submodules=tuple(sorted(path for path, (kind, _) in entries.items() if kind == "commit")),
            lfs=_names_lfs(view, entries),
        )


def _entries(view: GitCommands, commit: str) -> dict[str, tuple[str, str]]:
    """Return type and id by path; empty where trees are missing."""
    listed = view.run("ls-tree", "-r", "-z", "--full-tree", commit, accept=(0, 1, 128))
    found: dict[str, tuple[str, str]] = {}
    for line in listed.out.split(b"\0"):
        facts, _, path = line.partition(b"\t")
        if path:
            _, kind, oid = facts.decode().split()
            found[decode_path(path)] = (kind, oid)
    return found


def _names_lfs(view: GitCommands, entries: dict[str, tuple[str, str]]) -> bool:
    oids = [oid for path, (_, oid) in entries.items() if path.rpartition("/")[2] == ".gitattributes"]
    contents = (view.run("cat-file", "blob", oid, accept=(0, 1, 128)).out for oid in oids[:_MOST_ATTRIBUTES])
    return any(b"filter=lfs" in content for content in contents)


def _compare(view: GitCommands, source: Source) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None, str]:
    """Compare HEAD, index and files; return dirty and untracked paths, and what is uncertain about them.

    `git status` runs with our configuration, on a copy of the index. Attributes in the tree may name
    filters, but what a filter *is* stands in the configuration, and ours defines none.
    """
    with tempfile.TemporaryDirectory(prefix="assay-index-") as name:
        index = Path(name) / "index"
        try:
            for part in ("index", *(path.name for path in source.git_dir.glob("sharedindex.*"))):
                if (source.git_dir / part).is_file():
                    # With its time: git distrusts entries as young as the index itself, which a copy is not.
                    shutil.copy2(source.git_dir / part, (index if part == "index" else view.git_dir / part))
            if (source.common_dir / "info" / "exclude").is_file():
                shutil.copyfile(source.common_dir / "info" / "exclude", view.git_dir / "info" / "exclude")
            status = view.run(
                "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal",
                "--ignore-submodules=all", work_tree=source.path, index=index,
            )  # fmt: skip
        except (AssayError, OSError) as error:
            return None, None, f"the files could not be compared: {error}"
        lines = [line for line in status.out.split(b"\0") if line]
        dirty = tuple(decode_path(line[3:]) for line in lines if line[:2] != b"??")
        untracked = tuple(decode_path(line[3:]) for line in lines if line[:2] == b"??")
        filtered = _filtered(view, source, index, dirty)
    uncertain = f"{len(filtered)} of them are under a filter that was not run" if filtered else ""
    return dirty, untracked, uncertain


def _filtered(view: GitCommands, source: Source, index: Path, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the paths whose attributes name a filter: their files need not look like their blobs."""
    if not paths:
        return ()
    asked = b"\0".join(path.encode(errors="surrogateescape") for path in paths)
    out = view.run("check-attr", "-z", "--stdin", "filter", stdin=asked, work_tree=source.path, index=index).out
    fields = out.split(b"\0")
    values = zip(fields[0::3], fields[2::3], strict=False)
    return tuple(decode_path(path) for path, value in values if value not in {b"unspecified", b"unset"})
