"""The user's repository, read as data.

git obeys what it finds in a repository: its configuration names programs for hooks, filters,
fsmonitor, diffs and more. So git is never run *in* it. A git directory of our own, with our own
configuration, borrows the repository's objects and refs by links, and git runs there.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.errors import AssayError, RepositoryError, RepositoryMissing
from assay.store.git_commands import CONFIGURATION, GitCommands

_HEADS: Final = ("HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD")
_LONGEST_HEAD: Final = 100_000
_PLAIN_KEYS: Final = (
    "core.autocrlf",
    "core.checkstat",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.sharedrepository",
    "core.symlinks",
    "core.trustctime",
)
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9]{1,16}")


@dataclass(frozen=True)
class Source:
    """Where the parts of a repository lie."""

    path: Path
    """Root of the work tree, or the git directory of a bare repository."""
    git_dir: Path
    """HEAD and index; of its own in a linked work tree."""
    common_dir: Path
    """Objects, refs and configuration."""
    settings: Mapping[str, str]
    """Keys (lower case) and values of its configuration file."""

    @property
    def bare(self) -> bool:
        """Whether there is no work tree."""
        return self.path == self.git_dir

    @property
    def partial(self) -> bool:
        """Whether it is a partial clone."""
        return "extensions.partialclone" in self.settings or any(
            re.fullmatch(r"remote\..*\.promisor", key) for key in self.settings
        )

    @property
    def plain_settings(self) -> dict[str, str]:
        """Those settings which change how files are compared, and cannot name a program."""
        found = {key: self.settings[key] for key in _PLAIN_KEYS if key in self.settings}
        return {key: value for key, value in found.items() if _PLAIN_VALUE.fullmatch(value)}


def locate(repo: Path) -> Source:
    """Find the repository that a path lies in, as git would.

    Raises RepositoryMissing where there is none, RepositoryError where it cannot be read.
    """
    start = repo.expanduser().absolute()
    start = start.parent if start.name == ".git" else start
    try:
        if not start.exists():
            raise RepositoryError(f"{repo} does not exist", next_step="name the root of a git repository with --repo")
        for place in (start, *start.parents):
            if _is_git_dir(place / ".git"):
                return _source(place, place / ".git")
            if (place / ".git").is_file():
                return _source(place, _linked_git_dir(place))
            if _is_git_dir(place):
                return _source(place, place)
    except PermissionError as error:
        raise RepositoryError(
            f"{error.filename} may not be read", next_step="make it readable for the user that runs assay"
        ) from error
    raise RepositoryMissing(
        f"{repo} is not in a git repository", next_step="name one with --repo, or make one with `git init` and a commit"
    )


@contextmanager
def borrow(source: Source, *, logs: bool = True) -> Iterator[GitCommands]:
    """Give git a directory of our own that borrows objects and refs from a repository.

    Args:
        source: the repository.
        logs: borrow its reflogs too, so that `main@{1}` can be resolved.
    """
    with tempfile.TemporaryDirectory(prefix="assay-git-") as name:
        view = Path(name)
        try:
            for head in _HEADS:
                if (source.git_dir / head).is_file():
                    with (source.git_dir / head).open("rb") as file:
                        (view / head).write_bytes(file.read(_LONGEST_HEAD))
            shared = ["objects", "refs", "packed-refs", "shallow", *(["logs"] if logs else [])]
            for part in (source.common_dir / name for name in shared):
                if part.is_dir():
                    next(part.iterdir(), None)  # raises where it may not be read
                if part.exists():
                    (view / part.name).symlink_to(part.resolve())
        except PermissionError as error:
            raise RepositoryError(
                f"{error.filename} may not be read", next_step="make it readable for the user that runs assay"
            ) from error
        (view / "info").mkdir()
        settings = "".join(
            f"[core]\n\t{key.partition('.')[2]} = {value}\n" for key, value in source.plain_settings.items()
        )
        (view / "config").write_text(CONFIGURATION + settings)
        yield GitCommands(view, source.path)


def resolve(view: GitCommands, source: Source, revision: str) -> str:
    """Return the id of the commit that a revision names in a borrowed repository.

    Raises RepositoryError for a repository without commits, and for what names no commit.
    """
    if not revision or revision.startswith("-") or "\0" in revision:
        raise RepositoryError(f"{revision!r} is no revision", next_step="name a branch, a tag or a commit")
    named = _parse(view, revision)
    commit = _parse(view, f"{named}^{{commit}}") if named else None
    if commit:
        _check_held(view, source, commit)
        return commit
    names = view.run("for-each-ref", "--format=%(refname)").out.decode(errors="replace").split()
    if not names and _parse(view, "HEAD^{commit}") is None:
        raise RepositoryError(f"{source.path} has no commits", next_step="commit something in it first")
    if named and named != revision:  # a whole id parses whether or not there is such an object
        kind = view.run("cat-file", "-t", named, accept=(0, 1, 128)).out.decode().strip()
        if kind:
            raise RepositoryError(f"{revision!r} in {source.path} is a {kind}, not a commit", next_step="name a commit")
        raise incomplete(source, revision)
    raise RepositoryError(f"{source.path} has no revision {revision!r}", next_step=_suggestion(revision, names))


def _parse(view: GitCommands, revision: str) -> str | None:
    found = view.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, accept=(0, 1, 128))
    oid = found.out.decode(errors="replace").strip()
    return oid if found.code == 0 and re.fullmatch(r"[0-9a-f]{40}", oid) else None


def _check_held(view: GitCommands, source: Source, commit: str) -> None:
    if view.run("cat-file", "-e", f"{commit}^{{tree}}", accept=(0, 1, 128)).code != 0:
        raise incomplete(source, commit)


def incomplete(source: Source, revision: str, err: str = "") -> AssayError:
    """Return the error for a repository in which objects of a revision are missing, or may not be read."""
    if "Permission denied" in err:
        return RepositoryError(
            f"objects of {revision} in {source.path} may not be read",
            next_step="make them readable for the user that runs assay",
        )
    why = " (it is a partial clone)" if source.partial else ""
    return RepositoryError(
        f"objects of {revision} are missing in {source.path}{why}",
        next_step=f"fetch them, as `git -C {source.path} fetch --refetch --no-filter` does, or use a full clone",
    )


def checked_out_branches(source: Source) -> dict[str, Path]:
    """Return the branches that are checked out, by full ref name, with the HEAD that says so."""
    heads = [source.common_dir / "HEAD", source.git_dir / "HEAD", *source.common_dir.glob("worktrees/*/HEAD")]
    found: dict[str, Path] = {}
    for head in heads:
        if head.is_file():
            text = head.read_bytes()[:4096].decode(errors="replace").strip()
            if text.startswith("ref:"):
                found.setdefault(text.removeprefix("ref:").strip(), head)
    return found


def _suggestion(revision: str, names: list[str]) -> str:
    short = sorted({re.sub(r"^refs/(heads|tags|remotes)/", "", name) for name in names})
    near = difflib.get_close_matches(revision, short, n=3)
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"it has {', '.join(short[:8])}{', …' if len(short) > 8 else ''}" if short else "name a commit"


def _is_git_dir(path: Path) -> bool:
    if not (path / "HEAD").is_file():
        return False
    common = _common_dir(path)
    return (common / "objects").is_dir() and (common / "refs").is_dir()


def _common_dir(git_dir: Path) -> Path:
    named = git_dir / "commondir"
    return (git_dir / named.read_bytes()[:4096].decode().strip()).resolve() if named.is_file() else git_dir.resolve()


def _linked_git_dir(work_tree: Path) -> Path:
    text = (work_tree / ".git").read_bytes()[:4096].decode(errors="surrogateescape")
    git_dir = work_tree / text.removeprefix("gitdir:").strip()
    if not text.startswith("gitdir:") or not _is_git_dir(git_dir):
        raise RepositoryError(
            f"{work_tree / '.git'} does not lead to a git directory",
            next_step="mend the work tree with `git worktree repair` in its main repository",
        )
    return git_dir


def _source(path: Path, git_dir: Path) -> Source:
    bare = path == git_dir
    git_dir = git_dir.resolve()
    common = _common_dir(git_dir)
    settings = _settings(common / "config")
    algorithm = settings.get("extensions.objectformat", "sha1").lower()
    if algorithm != "sha1":
        raise RepositoryError(
            f"{path} names its objects by {algorithm.upper()}, which assay does not read",
            next_step="use a clone of it in the SHA-1 format",
        )
    storage = settings.get("extensions.refstorage", "files").lower()
    if storage != "files":
        raise RepositoryError(
            f"{path} stores its refs as {storage}, which assay does not read",
            next_step="change that with `git refs migrate --ref-format=files`, or use another clone",
        )
    return Source(git_dir if bare else path, git_dir, common, settings)


def _settings(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    # Without includes, and as a file like any other: the values are read, and not followed.
    listed = GitCommands(Path("/")).run(
        "config", "--file", str(path), "--no-includes", "--null", "--list", accept=(0, 1, 3, 128)
    )
    if listed.code != 0:
        raise RepositoryError(f"{path} cannot be read: {listed.err.strip()}", next_step="mend it with an editor")
    pairs = (item.partition("\n") for item in listed.out.decode(errors="replace").split("\0") if item)
    return {key.lower(): value for key, _, value in pairs}
