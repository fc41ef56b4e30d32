"""S2: what a tree may hold before anything in it is executed.

Defeats files that act without being read as source: links out of the tree, names that stand for git's own files or for
each other, compiled code, package metadata, and modules that are found before the standard library's or the judge's.
What the base holds already is not blamed on the change.
"""

from __future__ import annotations

import posixpath
import sys
import unicodedata
from collections.abc import Iterator
from typing import Final

from assay.policies.settings import ProjectSettings
from assay.records.trees import GITLINK, SYMLINK, Contents, Tree
from assay.records.verdicts import Step

_COMPILED: Final = (".pyc", ".pyo", ".pyd", ".so", ".dylib", ".dll", ".pth", ".egg", ".egg-link")
_METADATA: Final = (".dist-info", ".egg-info")
_JUDGE: Final = frozenset(
    {"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py", "exceptiongroup", "tomli"}
)
_START: Final = frozenset({"sitecustomize", "usercustomize"})
_HARMLESS: Final = frozenset({"test", "this", "antigravity", "idlelib", "lib2to3", "turtledemo", "__main__"})
"""Names of the standard library that projects use for themselves and that nothing of the judge imports."""
_GIT: Final = frozenset({".git", "git~1"})
_LARGEST_FILE: Final = 50_000_000
_LARGEST_TREE: Final = 200_000
_ELF: Final = b"\x7fELF"


def examine_tree(base: Tree, head: Tree, contents: Contents, project: ProjectSettings) -> Step:
    """Return S2: failed, with each reason, where the change brings something that a tree must not hold."""
    fresh = [p for p, f in head.items() if base.get(p) != f]
    reasons = [reason for path in fresh for reason in _examine(path, head, contents)]
    reasons += _collisions(set(fresh), head)
    reasons += _shadows(base, head, project)
    if len(head) > max(_LARGEST_TREE, len(base)):
        reasons.append(f"the tree holds {len(head)} files, more than {_LARGEST_TREE}")
    return Step(id="S2", title="Tree policy", outcome="failed" if reasons else "passed", reasons=tuple(reasons))


def _examine(path: str, head: Tree, contents: Contents) -> Iterator[str]:
    file, shown = head[path], ascii(path)
    if file.mode == GITLINK:
        yield f"{shown} is a new submodule, whose content cannot be judged"
        return
    if any(_plain_name(part) in _GIT for part in path.split("/")):
        yield f"{shown} is a name of git's own"
    if any(unicodedata.category(c) in {"Cc", "Cf"} for c in path):
        yield f"{shown} holds characters that cannot be seen"
    if path.lower().endswith(_COMPILED):
        yield f"{shown} is compiled code or acts on the import path; it cannot be read"
    if any(part.lower().endswith(_METADATA) for part in path.split("/")):
        yield f"{shown} is metadata of an installed package, which could register plug-ins"
    data = contents.read(file.oid)
    if file.mode == SYMLINK:
        if leaves(path, data):
            yield f"{shown} is a link that leaves the tree: {data.decode(errors='replace')!a}"
    elif data.startswith(_ELF):
        yield f"{shown} is a compiled program"
    if len(data) > _LARGEST_FILE:
        yield f"{shown} has {len(data)} bytes, more than {_LARGEST_FILE}"


def leaves(path: str, target: bytes) -> bool:
    """Return whether a link at `path` leads out of its tree, or into git's own directory."""
    text = target.decode(errors="surrogateescape")
    if text.startswith("/"):
        return True
    parts = posixpath.normpath(posixpath.join(posixpath.dirname(path), text)).split("/")
    return parts[0] == ".." or any(_plain_name(part) in _GIT for part in parts)


def without_escapes(tree: Tree, contents: Contents) -> Tree:
    """Return a tree without links that leave it and without submodules: neither can be laid down in a sandbox."""
    return {
        p: f
        for p, f in tree.items()
        if f.mode != GITLINK and not (f.mode == SYMLINK and leaves(p, contents.read(f.oid)))
    }


def _plain_name(part: str) -> str:
    """Return a name as file systems that fold case and drop characters would take it."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", part) if unicodedata.category(c) not in {"Cc", "Cf"})
    return seen.rstrip(" .").casefold()


def _collisions(fresh: set[str], head: Tree) -> Iterator[str]:
    """Yield names, of which one is new, that are one name where case or encoding do not count."""
    seen: dict[str, str] = {}
    for path in sorted(head):
        folded = unicodedata.normalize("NFC", path).casefold()
        other = seen.setdefault(folded, path)
        if other != path and (path in fresh or other in fresh):
            yield f"{path!a} and {other!a} are one name where case or encoding do not count"


def _shadows(base: Tree, head: Tree, project: ProjectSettings) -> Iterator[str]:
    known = _modules(base, project)
    for name, path in sorted(_modules(head, project).items()):
        if name in known:
            continue
        if name in _START:
            yield f"{path!a} would run at the start of every Python process"
        elif name in _JUDGE or (name in sys.stdlib_module_names and name not in _HARMLESS):
            yield f"{path!a} would be imported in the place of the module {name!r}"


def _modules(tree: Tree, project: ProjectSettings) -> dict[str, str]:
    """Return the top-level modules that the source roots offer, each with one of its files."""
    roots = {posixpath.normpath(posixpath.join(project.root, part)) for part in project.source_roots}
    found: dict[str, str] = {}
    for path in tree:
        if not path.endswith(".py"):
            continue
        for root in roots:
            inside = path if root == "." else path.removeprefix(root + "/")
            if root == "." or inside != path:
                found.setdefault(inside.split("/")[0].removesuffix(".py"), path)
    return found
