"""Path capabilities on diffs that the store computes: what git makes of renames, modes, links and submodules."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.policies.paths import Violation, capability, judge_changes, mixed_blobs
from assay.policies.settings import Settings
from assay.records.plans import Requirement, Unit
from assay.records.trees import EXECUTABLE, GITLINK, REGULAR, SYMLINK, TreeFile
from assay.store.git import GitStore

Entry = tuple[int, str]
LONG = "".join(f"line {n}\n" for n in range(20))
BASE: dict[str, Entry] = {
    "src/a.py": (REGULAR, LONG),
    "src/run.sh": (REGULAR, "true\n"),
    "tests/test_a.py": (REGULAR, LONG.replace("line", "assert")),
    "tests/run.sh": (REGULAR, "true\n"),
    "pyproject.toml": (REGULAR, "[project]\nname = 'a'\n"),
    ".github/workflows/ci.yml": (REGULAR, "on: push\n"),
    ".gitattributes": (REGULAR, "*.x text\n"),
}
UNIT = Unit(id="u", title="t", specification="s", acceptance=(Requirement(id="R1", text="x"),), paths=("**",))
MOVED = BASE["tests/test_a.py"][1]

CASES: list[tuple[str, dict[str, Entry | None], str, str, str | None]] = [
    (
        "a test renamed to source",
        {"tests/test_a.py": None, "src/b.py": (REGULAR, MOVED)},
        "tests/test_a.py",
        "is a test",
        None,
    ),
    (
        "renamed and changed",
        {"tests/test_a.py": None, "src/b.py": (REGULAR, MOVED + "x\n")},
        "tests/test_a.py",
        "is a test",
        "@@",
    ),
    (
        "source renamed to a test",
        {"src/a.py": None, "tests/test_b.py": (REGULAR, LONG)},
        "tests/test_b.py",
        "is a test",
        None,
    ),
    ("the mode of a test", {"tests/run.sh": (EXECUTABLE, "true\n")}, "tests/run.sh", "is a test", None),
    (
        "a link in the place of a file",
        {"src/a.py": (SYMLINK, "../tests/test_a.py")},
        "src/a.py",
        "is a symbolic link",
        "@@",
    ),
    ("a new link", {"src/l": (SYMLINK, "/etc/passwd")}, "src/l", "is a symbolic link", "@@"),
    ("a submodule", {"src/vendor": (GITLINK, "1" * 40)}, "src/vendor", "is a submodule", "@@"),
    ("attributes", {".gitattributes": (REGULAR, "*.py filter=x\n")}, ".gitattributes", "decides who may do what", "@@"),
    (
        "attributes below",
        {"src/.gitattributes": (REGULAR, "*.py -diff\n")},
        "src/.gitattributes",
        "decides who may",
        "@@",
    ),
    ("modules", {".gitmodules": (REGULAR, "[submodule 'x']\n")}, ".gitmodules", "decides who may do what", "@@"),
    (
        "CI",
        {".github/workflows/ci.yml": (REGULAR, "on: never\n")},
        ".github/workflows/ci.yml",
        "decides how the pro",
        "@@",
    ),
    ("CI taken away", {".github/workflows/ci.yml": None}, ".github/workflows/ci.yml", "decides how the project", "@@"),
    (
        "test configuration",
        {"pytest.ini": (REGULAR, "[pytest]\naddopts = -k x\n")},
        "pytest.ini",
        "decides how tests",
        "@@",
    ),
    (
        "settings of pytest",
        {"pyproject.toml": (REGULAR, "[project]\nname = 'a'\n[tool.pytest]\naddopts = '-x'\n")},
        "pyproject.toml",
        "changes settings of the tests",
        "@@",
    ),
    ("a conftest", {"src/conftest.py": (REGULAR, "x = 1\n")}, "src/conftest.py", "decides how tests are run", "@@"),
]


async def tree_of(git: GitStore, entries: dict[str, Entry]) -> str:
    files = {}
    for path, (mode, content) in entries.items():
        files[path] = TreeFile(mode, content if mode == GITLINK else await git.write_blob(content.encode()))
    return await git.write_tree(files)


@pytest.mark.parametrize(("edits", "path", "reason", "hunk"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
async def test_what_a_coder_may_not_change(
    tmp_path: Path, edits: dict[str, Entry | None], path: str, reason: str, hunk: str | None
) -> None:
    """Even a unit that names everything does not open these; file and hunk are named."""
    found = await judged(tmp_path, edits)
    assert [v.path for v in found] == [path]
    assert found[0].reason.startswith(reason)
    assert (found[0].hunk or "").startswith(hunk or "")
    assert (found[0].hunk is None) is (hunk is None)


async def test_what_a_coder_may_change(tmp_path: Path) -> None:
    """Source changed, renamed, made executable and removed, and a dependency in pyproject.toml: nothing is found."""
    edits: dict[str, Entry | None] = {
        "src/a.py": None,
        "src/b.py": (REGULAR, LONG + "more\n"),
        "src/run.sh": (EXECUTABLE, "true\n"),
        "pyproject.toml": (REGULAR, "[project]\nname = 'a'\ndependencies = ['x']\n"),
    }
    assert await judged(tmp_path, edits) == ()


async def judged(folder: Path, edits: dict[str, Entry | None]) -> tuple[Violation, ...]:
    settings = Settings()
    async with await GitStore.open(folder / "git") as git:
        after = {path: entry for path, entry in {**BASE, **edits}.items() if entry is not None}
        changes = await git.diff(await tree_of(git, BASE), await tree_of(git, after))
        texts = {oid: git.contents.read(oid).decode() for oid in mixed_blobs(changes)}
        may = capability("coder", UNIT, settings)
        return judge_changes(changes, may_change=may, role="coder", settings=settings, texts=texts)
