"""A case on disk: the agent's repository with base, head and whatever else it left, and what the trusted side gives."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.assay_bench.containers import Laid, Tree
from benchmarks.assay_bench.records import Case, Files, Place

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Agent"), ("EMAIL", "agent@example.org"), ("DATE", "2026-11-22T12:00:00Z"))
}


@dataclass(frozen=True)
class Made:
    """Where everything of a case lies."""

    repo: Path
    root: str
    base: str
    head: str
    """Commit that the agent names, as a full id."""
    home: Files = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    tests: Path | None = None
    held_out: Path | None = None


def git(repo: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """Run git without anybody's configuration and return what it prints; raises CalledProcessError."""
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **_IDENTITY}
    argv = ["git", "-C", str(repo), "-c", "core.autocrlf=false", "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(argv, env=variables, input=stdin, capture_output=True, check=True)
    return done.stdout.decode(errors="surrogateescape").strip()


def build(case: Case, folder: Path) -> Made:
    """Write a case into an empty folder."""
    repo, work, host = folder / "project", case.work, case.host
    repo.mkdir(parents=True)
    git(repo, "init", "-q", "-b", "main")
    older = dict(host.files)
    older[host.neighbour.path] = older[host.neighbour.path].replace(host.neighbour.works, host.neighbour.subtle)
    root = commit(repo, older, "Begin")
    base = commit(repo, {**host.files, **work.base}, "Mend a corner")
    git(repo, "checkout", "-q", "-b", "work")
    head = commit(repo, work.changes, case.task.title) if work.changes else base
    place = Place(repo, lambda *arguments: git(repo, *arguments), root, base, head)
    if work.trick is not None:
        work.trick(place)
    write(repo, work.workspace)
    tests = {case.task.visible.path: case.task.visible.text, **work.trusted}
    held_out = {case.task.held_out.path: case.task.held_out.text}
    held_out |= {host.neighbour.held_out.path: host.neighbour.held_out.text}
    return Made(
        repo=repo,
        root=root,
        base=base,
        head=place.head,
        home=work.home,
        environment=work.environment,
        tests=_side(folder / "tests", tests) if work.given != "nothing" else None,
        held_out=_side(folder / "held-out", held_out) if work.given == "all" else None,
    )


def commit(repo: Path, files: Files, message: str) -> str:
    """Write files and commit everything that is not ignored; return the commit."""
    write(repo, files)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "--allow-empty", "--no-verify", "-m", message)
    return git(repo, "rev-parse", "HEAD")


def write(folder: Path, files: Files) -> None:
    """Write, link or remove files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (content is None and path.exists()):
            path.unlink()
        if isinstance(content, str) and content.startswith("->"):
            path.unlink(missing_ok=True)
            path.symlink_to(content[2:])
        elif content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)


def _side(folder: Path, files: Files) -> Path:
    write(folder, {path: text for path, text in files.items() if text is not None})
    return folder


def committed_tree(repo: Path, revision: str) -> dict[str, Laid]:
    """Return the files of a commit as git stores them: no filter, no attribute, no replacement."""
    listing = git(repo, "--no-replace-objects", "ls-tree", "-r", "-z", revision)
    entries = [entry.partition("\t") for entry in listing.split("\0") if entry]
    blobs = [(meta.split(), path) for meta, _, path in entries if meta.split()[1] == "blob"]
    asked = "\n".join(oid for (_, _, oid), _ in blobs).encode()
    argv = ["git", "--no-replace-objects", "-C", str(repo), "cat-file", "--batch"]
    out = subprocess.run(argv, input=asked + b"\n", capture_output=True, check=True).stdout if blobs else b""
    files: dict[str, Laid] = {}
    at = 0
    for (mode, _, _), path in blobs:
        line = out.index(b"\n", at)
        size = int(out[at:line].split()[2])
        files[path] = Laid(out[line + 1 : line + 1 + size], mode == "100755", mode == "120000")
        at = line + size + 2
    return files


def folder_tree(folder: Path) -> dict[str, Laid]:
    """Return everything that lies in a folder, `.git` apart: what the agent sees."""
    files: dict[str, Laid] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.split("/")[0] == ".git":
            continue
        if path.is_symlink():
            files[name] = Laid(str(path.readlink()).encode(), link=True)
        elif path.is_file():
            files[name] = Laid(path.read_bytes(), os.access(path, os.X_OK))
    return files


def as_tree(files: Files) -> Tree:
    """Return plain files as a tree."""
    return {p: Laid(c.encode() if isinstance(c, str) else c) for p, c in files.items() if c is not None}
