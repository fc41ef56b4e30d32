"""S3: what in the diff a person should look at.

Defeats nothing by itself: flags inform, and no verdict rests on one. They show what changed in the harness, which tests
went away or are skipped now, and source that knows more about its tests than it should.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final

from assay.evidence.syntax import parse
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.trees import GITLINK, SYMLINK, Contents, Tree
from assay.records.verdicts import Flag, Step

_PROTECTED: Final = {
    FileClass.HARNESS: "decides how tests are run",
    FileClass.MIXED: "holds project settings, some of which may decide how tests are run",
    FileClass.CI: "decides how the project is built and judged elsewhere",
    FileClass.LOCK: "fixes the versions of other people's code",
    FileClass.POLICY: "decides who may do what",
}
_SUPPRESSIONS: Final = {
    "except": re.compile(rb"^[^\S\n]*except\b", re.MULTILINE),
    "noqa": re.compile(rb"#\s*noqa\b"),
    "type: ignore": re.compile(rb"#\s*type:\s*ignore\b"),
    "pragma": re.compile(rb"#\s*pragma:"),
}
_SKIPS: Final = re.compile(rb"\b(?:skip|skipif|xfail|importorskip|skipTest|skipIf|skipUnless|expectedFailure)\b")
_WATCHERS: Final = frozenset(
    {"_getframe", "_exit", "atexit", "builtins", "gc", "inspect", "pytest", "settrace", "setprofile", "sys.modules"}
)
_RUNNER: Final = re.compile(r"PYTEST_CURRENT_TEST|_pytest|\bpytest\b")
_SHORTEST: Final = 4
"""Characters of a literal that is worth a look; of a number, digits."""
_MOST: Final = 200


def flag_changes(
    base: Tree, head: Tree, trusted: Tree, contents: Contents, settings: Settings
) -> tuple[Step, tuple[Flag, ...]]:
    """Return S3 and its flags.

    Args:
        base: the tree before.
        head: the tree after.
        trusted: tests whose content the author may know.
        contents: bytes of the trees.
        settings: say which files are tests.
    """
    look = _Look(base, head, trusted, contents, settings)
    flags = tuple(sorted(look.flags(), key=lambda f: (f.kind, f.path, f.line or 0)))[:_MOST]
    kinds = tuple(f"{sum(1 for f in flags if f.kind == kind)} {kind}" for kind in dict.fromkeys(f.kind for f in flags))
    return Step(id="S3", title="Diff flags", outcome="flagged" if flags else "passed", reasons=kinds), flags


class _Look:
    def __init__(self, base: Tree, head: Tree, trusted: Tree, contents: Contents, settings: Settings) -> None:
        self._base, self._head, self._trusted = base, head, trusted
        self._contents = contents
        self._settings = settings
        self._changed = sorted(p for p in base.keys() | head.keys() if base.get(p) != head.get(p))

    def flags(self) -> Iterator[Flag]:
        """Yield every flag, in no order."""
        for path in self._changed:
            kind = classify(path, self._settings)
            if kind in _PROTECTED:
                yield Flag(kind="protected-file", path=path, text=f"{self._verb(path)}; it {_PROTECTED[kind]}")
            elif kind is FileClass.TEST and path in self._base and not self._is_given(path):
                yield Flag(kind="protected-file", path=path, text=f"{self._verb(path)}; it is a test of the base")
            yield from self._counts(path, kind)
            if kind is FileClass.SOURCE:
                yield from self._watches(path)
        yield from self._removed_tests()
        yield from self._shared_literals()

    def _is_given(self, path: str) -> bool:
        return path in self._trusted and self._trusted[path] == self._head.get(path)

    def _verb(self, path: str) -> str:
        return "was added" if path not in self._base else "was removed" if path not in self._head else "was changed"

    def _text(self, tree: Tree, path: str) -> bytes:
        file = tree.get(path)
        return b"" if file is None or file.mode in (GITLINK, SYMLINK) else self._contents.read(file.oid)

    def _counts(self, path: str, kind: FileClass) -> Iterator[Flag]:
        if not path.endswith(".py"):
            return
        before, after = self._text(self._base, path), self._text(self._head, path)
        for name, pattern in _SUPPRESSIONS.items():
            more = len(pattern.findall(after)) - len(pattern.findall(before))
            if more > 0:
                yield Flag(kind="suppression", path=path, text=f"{more} more {name!r}")
        skips = len(_SKIPS.findall(after)) - len(_SKIPS.findall(before))
        if skips > 0 and kind in (FileClass.TEST, FileClass.HARNESS):
            yield Flag(
                kind="skipped-test", path=path, text=f"{skips} more marks that skip tests or expect them to fail"
            )

    def _removed_tests(self) -> Iterator[Flag]:
        paths = [p for p in self._changed if classify(p, self._settings) is FileClass.TEST]
        before = {(p, n): b for p in paths for n, b in _tests(self._text(self._base, p)).items()}
        after = {(p, n): b for p in paths for n, b in _tests(self._text(self._head, p)).items()}
        bodies = {body: f"{p}::{n}" for (p, n), body in after.items() if (p, n) not in before}
        for (path, name), body in before.items():
            if (path, name) in after:
                continue
            if body in bodies:
                yield Flag(kind="renamed-test", path=path, text=f"{name} is now {bodies[body]}")
            else:
                yield Flag(kind="removed-test", path=path, text=f"{name} is gone")

    def _watches(self, path: str) -> Iterator[Flag]:
        before, after = parse(self._text(self._base, path)), parse(self._text(self._head, path))
        known = {name for name, _ in _watched(before)} if before is not None else set()
        for name, line in _watched(after) if after is not None else ():
            if name not in known:
                yield Flag(kind="watches-runner", path=path, line=line, text=f"looks at {name}")

    def _shared_literals(self) -> Iterator[Flag]:
        fresh = [(path, literal, line) for path in self._changed for literal, line in self._new_literals(path)]
        needles = {literal: literal.strip("'\"").encode() for _, literal, _ in fresh}
        known: set[str] = set()
        for path, tree in self._known_tests() if fresh else ():
            data = self._text(tree, path)
            if any(needle in data for needle in needles.values()):
                known |= _literals(parse(data)).keys()
        for path, literal, line in fresh:
            if literal in known:
                text = f"the literal {literal[:80]} is also in a test"
                yield Flag(kind="shared-literal", path=path, line=line, text=text)

    def _new_literals(self, path: str) -> Iterator[tuple[str, int]]:
        if path.endswith(".py") and classify(path, self._settings) is FileClass.SOURCE:
            old = _literals(parse(self._text(self._base, path)))
            new = _literals(parse(self._text(self._head, path)))
            yield from ((literal, new[literal]) for literal in sorted(new.keys() - old.keys()))

    def _known_tests(self) -> Iterator[tuple[str, Tree]]:
        yield from ((p, self._trusted) for p in self._trusted if p.endswith(".py"))
        python = (p for p in self._base if p.endswith(".py"))
        yield from ((p, self._base) for p in python if classify(p, self._settings) is FileClass.TEST)


def _tests(data: bytes) -> Mapping[str, str]:
    """Return the test functions of a file with the shape of their bodies."""
    tree = parse(data)
    found: dict[str, str] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            found[node.name] = "".join(ast.dump(statement) for statement in node.body)
    return found


def _watched(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((a.name, node.lineno) for a in names if a.name.split(".")[0] in _WATCHERS)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in _WATCHERS:
                yield module, node.lineno
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (
                name in _WATCHERS or f"{owner}.{name}" in _WATCHERS
            ):
                yield f"{owner}.{name}", node.lineno
            case ast.Constant(value=str(text)) if _RUNNER.search(text):
                yield repr(text[:40]), node.lineno
            case _:
                pass


def _literals(tree: ast.Module | None) -> dict[str, int]:
    """Return the literals of a file that are long enough to be no accident, with a line of each."""
    found: dict[str, int] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
            continue
        value = node.value
        text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""
        if len(text.strip()) >= _SHORTEST:
            found.setdefault(repr(value), node.lineno)
    return found
