"""The host's own bare git store: content goes in and out as data, and becomes commits here.

No command runs in a directory that a user or an agent can write, and no configuration but ours is read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from assay.errors import RepositoryError, StoreCorrupt
from assay.records.changes import FileChange, MergeOutcome
from assay.records.repositories import RepositoryFacts
from assay.records.trees import GITLINK, Contents, Tree, TreeFile, blob_id
from assay.store import git_adoption, git_delivery, git_facts, git_sources
from assay.store.files import disk_errors, write_whole
from assay.store.git_commands import CONFIGURATION, GitCommands, GitResult
from assay.store.git_diffs import read_changes, read_patch
from assay.store.git_objects import ObjectReader, decode_path, encode_commit, encode_trees, object_id, write_objects
from assay.store.git_patches import apply_patch

_OID: Final = re.compile(r"[0-9a-f]{40}")
_REF: Final = re.compile(r"refs/(?!.*(?:\.\.|//|\.lock(?:/|$)|/\.|\.$|/$))[A-Za-z0-9][A-Za-z0-9_./@+-]*")
_WORTH_ASKING: Final = 20
_ATTRIBUTES: Final = "* -text -ident -filter -working-tree-encoding -export-ignore -export-subst\n"
"""Outweighs every `.gitattributes` in a tree, so that `git archive` gives files as they are to whoever runs it here."""
_REGULAR_BITS: Final = 0o100000


class GitStore:
    """One bare repository. Every method that writes has written durably when it returns."""

    def __init__(self, path: Path, commands: GitCommands) -> None:
        """Take over a repository; use `GitStore.open`."""
        self.path = path
        self._commands = commands
        self._objects = ObjectReader(commands)
        self._known: set[str] = set()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the store, or make one.

        Raises InfrastructureError where git is missing or too old, DiskFull.
        """
        return await asyncio.to_thread(cls._open, path)

    @classmethod
    def _open(cls, path: Path) -> Self:
        commands = GitCommands(path)
        commands.check_version()
        with disk_errors(path):
            for directory in ("objects/pack", "refs/heads", "info"):
                (path / directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        written = (("HEAD", "ref: refs/heads/none\n"), ("config", CONFIGURATION), ("info/attributes", _ATTRIBUTES))
        for name, content in written:
            with disk_errors(path):
                changed = not (path / name).is_file() or (path / name).read_text() != content
            if changed:
                write_whole(path / name, content.encode(), mode=0o644)
        return cls(path, commands)

    @property
    def contents(self) -> Contents:
        """The bytes behind a tree's ids; may be read from any thread."""
        return self._objects

    async def close(self) -> None:
        """End the reading process."""
        await asyncio.to_thread(self._objects.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- the user's repository

    async def inspect(self, repo: Path) -> RepositoryFacts:
        """Return what there is to know of a repository; raises RepositoryError."""
        return await asyncio.to_thread(lambda: git_facts.inspect(git_sources.locate(repo)))

    async def adopt(self, repo: Path, revision: str, ref: str, *, since: str | None = None) -> str:
        """Bring a commit with its whole tree from a repository into the store, and return its id.

        Args:
            repo: a path in the repository.
            revision: what git takes as the name of a commit.
            ref: our ref that is set to it.
            since: a commit whose history with this one is brought too, so that `is_ancestor` and
                `merge_base` know how they are related.

        Raises RepositoryError where the repository or the revision cannot be used, DiskFull.
        """
        _check_ref(ref)

        def work() -> str:
            source = git_sources.locate(repo)
            return git_adoption.adopt(self._commands, self._objects, source, revision, ref, since)

        return await asyncio.to_thread(work)

    async def branch_exists(self, repo: Path, branch: str) -> bool:
        """Return whether a repository has a branch of this name."""
        return await asyncio.to_thread(lambda: git_delivery.branch_commit(git_sources.locate(repo), branch) is not None)

    async def deliver(self, commit: str, repo: Path, branch: str) -> None:
        """Make `branch` exist at `commit` in a repository. Doing it again is fine.

        Work tree, index, HEAD, stash, hooks and configuration are not touched, and no hook runs.
        Raises RepositoryError when the branch is at another commit or checked out, DiskFull.
        """
        await asyncio.to_thread(lambda: git_delivery.deliver(self._commands, git_sources.locate(repo), commit, branch))

    # -- trees

    async def tree(self, revision: str) -> Tree:
        """Return the files of a commit or tree. A submodule is an entry of mode `GITLINK`.

        Raises StoreCorrupt when it is not held.
        """
        return await asyncio.to_thread(self._tree, revision)

    async def write_blob(self, data: bytes) -> str:
        """Keep bytes as a blob and return its id."""
        oid = blob_id(data)
        await asyncio.to_thread(self._write, {oid: ("blob", data)})
        return oid

    async def write_tree(self, tree: Tree, fresh: Mapping[str, bytes] | None = None) -> str:
        """Keep a tree and return its id.

        Args:
            tree: all files.
            fresh: content by blob id, for blobs that the store does not hold.

        Raises StoreCorrupt for a blob that is neither held nor fresh, or fresh and not what its id
        says; RepositoryError for a path that a tree cannot hold.
        """
        return await asyncio.to_thread(self._write_tree, tree, fresh or {})

    async def overlay(self, base: str, over: str) -> str:
        """Return the id of the tree `base` with the files of `over` added or in the place of its own."""

        def work() -> str:
            return self._write_tree(lay_over(self._tree(base), self._tree(over)), {})

        return await asyncio.to_thread(work)

    async def without(self, tree: str, remove: Callable[[str], bool]) -> str:
        """Return the id of a tree without the paths for which `remove` is true."""

        def work() -> str:
            return self._write_tree({path: file for path, file in self._tree(tree).items() if not remove(path)}, {})

        return await asyncio.to_thread(work)

    async def subtree(self, revision: str, path: str) -> str:
        """Return the id of the tree at a directory of a commit or tree; raises RepositoryError where there is none."""
        found = await self._run("rev-parse", "--verify", "--quiet", f"{_oid(revision)}:{path}", accept=(0, 1, 128))
        oid = found.out.decode().strip()
        if found.code == 0 and (await self._run("cat-file", "-t", oid)).out.strip() == b"tree":
            return oid
        raise RepositoryError(f"{revision[:12]} has no directory {path!r}")

    async def diff(self, old: str, new: str, *, context: int = 3) -> tuple[FileChange, ...]:
        """Return what happened to each file between two commits or trees.

        Args:
            old: commit or tree.
            new: commit or tree.
            context: unchanged lines around each hunk; with 0 a hunk is exactly what changed.
        """
        return await asyncio.to_thread(read_changes, self._commands, _oid(old), _oid(new), context)

    async def patch_text(self, old: str, new: str) -> str:
        """Return the patch between two commits or trees, for reading; what is not UTF-8 is shown as escapes."""
        patch = await asyncio.to_thread(read_patch, self._commands, _oid(old), _oid(new), 3)
        return patch.decode(errors="backslashreplace")

    async def apply(self, tree: str, patch: bytes) -> str:
        """Return the tree that a unified diff makes of a commit or tree; raises UsageError naming what does not fit."""
        return await asyncio.to_thread(apply_patch, self._commands, _oid(tree), patch)

    async def merge(self, base: str, ours: str, theirs: str) -> MergeOutcome:
        """Merge two commits or trees that both come from `base`."""
        epoch = datetime.fromtimestamp(0).astimezone()
        root = await self.commit_tree(await self.tree_id(base), (), "base", author="assay <assay>", at=epoch)
        sides = [
            await self.commit_tree(await self.tree_id(side), (root,), "side", author="assay <assay>", at=epoch)
            for side in (ours, theirs)
        ]
        merged = await self._run(
            "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", *sides, accept=(0, 1)
        )
        tree, *conflicts = [part for part in merged.out.split(b"\0") if part]
        return MergeOutcome(tree=tree.decode(), conflicts=tuple(decode_path(path) for path in conflicts))

    # -- commits and refs

    async def tree_id(self, revision: str) -> str:
        """Return the id of the tree of a commit, or of a tree itself; raises StoreCorrupt when it is not held."""
        return await asyncio.to_thread(self._tree_id, revision)

    async def parents(self, commit: str) -> tuple[str, ...]:
        """Return the parents that a commit names; raises StoreCorrupt when it is not held."""
        return git_adoption.parents_of(await asyncio.to_thread(self._read, commit, "commit"))

    async def commit_tree(self, tree: str, parents: Iterable[str], message: str, *, author: str, at: datetime) -> str:
        """Make a commit and return its id: the same arguments, the same id.

        Args:
            tree: id of its tree.
            parents: ids of its parents.
            message: subject, empty line, body.
            author: `Name <mail>`; committer too.
            at: when, kept in UTC to the second.
        """
        content = encode_commit(_oid(tree), [_oid(parent) for parent in parents], message, author, at)
        oid = object_id("commit", content)
        await asyncio.to_thread(self._write, {oid: ("commit", content)})
        return oid

    async def message(self, commit: str) -> str:
        """Return the message of a commit."""
        content = await asyncio.to_thread(self._read, commit, "commit")
        return content.partition(b"\n\n")[2].decode(errors="replace")

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether `newer` descends from `older`, or is it, as far as the history is held."""
        return (await self._run("merge-base", "--is-ancestor", _oid(older), _oid(newer), accept=(0, 1))).code == 0

    async def merge_base(self, one: str, other: str) -> str | None:
        """Return the commit where two histories meet, as far as they are held, or None."""
        found = await self._run("merge-base", _oid(one), _oid(other), accept=(0, 1))
        return found.out.decode().strip() or None

    async def set_ref(self, name: str, commit: str) -> None:
        """Set one of our refs to a commit, or to a tree."""
        await asyncio.to_thread(self._commands.update_refs, _check_ref(name), _oid(commit))

    async def ref(self, name: str) -> str | None:
        """Return the commit of one of our refs, or None."""
        found = await self._run("rev-parse", "--verify", "--quiet", _check_ref(name), accept=(0, 1))
        return found.out.decode().strip() or None

    async def refs(self, prefix: str) -> dict[str, str]:
        """Return our refs under a prefix (`refs/runs/x` and `refs/runs/x/…`) with their commits."""
        found = await self._run("for-each-ref", "--format=%(refname) %(objectname)", _check_ref(prefix.rstrip("/")))
        return dict(line.split(" ") for line in found.out.decode().splitlines())

    async def delete_refs(self, prefix: str) -> None:
        """Delete our refs under a prefix."""
        lines = "".join(f"delete {name}\n" for name in await self.refs(prefix))
        await asyncio.to_thread(lambda: self._commands.update_refs("--stdin", stdin=lines.encode()))

    async def collect_garbage(self) -> None:
        """Delete what no ref leads to and is older than two weeks, so that nobody is at work on it."""
        await self._run("gc", "--quiet", "--prune=2.weeks.ago")

    # -- inside

    async def _run(self, *arguments: str, stdin: bytes = b"", accept: tuple[int, ...] = (0,)) -> GitResult:
        return await asyncio.to_thread(lambda: self._commands.run(*arguments, stdin=stdin, accept=accept))

    def _tree(self, revision: str) -> dict[str, TreeFile]:
        listed = self._commands.run("ls-tree", "-r", "-t", "-z", "--full-tree", _oid(revision), accept=(0, 128))
        if listed.code != 0:
            raise StoreCorrupt(f"{revision} is not held in {self.path}: {listed.err.strip()}")
        files: dict[str, TreeFile] = {}
        for line in listed.out.split(b"\0"):
            facts, _, path = line.partition(b"\t")
            if not path:
                continue
            mode, kind, oid = facts.decode().split(" ")
            if kind != "commit":
                self._known.add(oid)
            if kind != "tree":
                files[decode_path(path)] = TreeFile(_canonical_mode(int(mode, 8)), oid)
        return files

    def _write_tree(self, tree: Tree, fresh: Mapping[str, bytes]) -> str:
        wanted = {file.oid for file in tree.values() if file.mode != GITLINK} - self._known
        for oid in self._absent([oid for oid in wanted if oid not in fresh]):
            raise StoreCorrupt(f"blob {oid} of a tree is neither held in {self.path} nor given")
        blobs = {oid: ("blob", fresh[oid]) for oid in sorted(wanted) if oid in fresh}
        for oid, (_, data) in blobs.items():
            if blob_id(data) != oid:
                raise StoreCorrupt(f"what was given as blob {oid} has another id")
        root, trees = encode_trees(tree)
        new = [oid for oid in trees if oid not in self._known]
        # Writing a few objects that are held already costs less than asking the reading process for them.
        new = list(self._absent(new)) if len(new) > _WORTH_ASKING else new
        write_objects(self._commands, blobs | {oid: trees[oid] for oid in new})
        self._known |= wanted | trees.keys()
        return root

    def _absent(self, oids: list[str]) -> tuple[str, ...]:
        return self._objects.missing(oids) if oids else ()

    def _write(self, objects: Mapping[str, tuple[str, bytes]]) -> None:
        write_objects(self._commands, objects)

    def _tree_id(self, revision: str) -> str:
        try:
            content = self._objects.read_object(_oid(revision), "commit")
        except KeyError:
            self._read(revision, "tree")
            return revision
        return content.partition(b"\n")[0].removeprefix(b"tree ").decode()

    def _read(self, oid: str, kind: str) -> bytes:
        try:
            return self._objects.read_object(_oid(oid), kind)
        except KeyError:
            raise StoreCorrupt(f"{kind} {oid} is not held in {self.path}") from None


def lay_over(base: Tree, over: Tree) -> Tree:
    """Return the files of `base` with those of `over` added or in the place of its own.

    Where one has a file and the other a directory of that name, `over` has its way.
    """
    directories = {path[:end] for path in over for end in range(len(path)) if path[end] == "/"}
    kept = {
        path: file
        for path, file in base.items()
        if path not in directories and not any(path[:end] in over for end in range(len(path)) if path[end] == "/")
    }
    return kept | dict(over)


def _canonical_mode(mode: int) -> int:
    # Trees of very old repositories hold modes such as 100664; git's index knows only these two for files.
    if mode & 0o170000 == _REGULAR_BITS:
        return 0o100755 if mode & 0o100 else 0o100644
    return mode


def _oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise RepositoryError(f"{text!r} is no object id", next_step="resolve the name with `adopt` or `ref` first")
    return text


def _check_ref(name: str) -> str:
    if not _REF.fullmatch(name):
        raise RepositoryError(f"{name!r} is no name for a ref of the store")
    return name
