"""Path capabilities: judged on the diff, whatever the change was called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.policies.paths import FileClass, Violation, capability, classify, judge_changes, mixed_blobs, odd_path
from assay.policies.settings import PathSettings, RoleSettings, Settings
from assay.records.changes import ChangeStatus, FileChange, Hunk
from assay.records.plans import Requirement, Unit

SETTINGS = Settings()
UNIT = Unit(
    id="u",
    title="t",
    specification="s",
    acceptance=(Requirement(id="R1", text="x"),),
    paths=("/src/", "pyproject.toml", "uv.lock", "docs/"),
)


def change(
    path: str, status: ChangeStatus = "M", *, old: str | None = None, mode: int = 0o100644, was: int = 0o100644
) -> FileChange:
    """Make a change of one file; an added file has no old side, a deleted one no new mode."""
    hunk = Hunk(old_start=3, old_lines=1, new_start=3, new_lines=2, text="-a\n+b\n+c\n")
    return FileChange(
        path=path,
        old_path=old if old is not None else (None if status == "A" else path),
        status=status,
        old_mode=0 if status == "A" else was,
        new_mode=0 if status == "D" else mode,
        old_oid=None if status == "A" else "1" * 40,
        new_oid=None if status == "D" else "2" * 40,
        binary=False,
        added=2,
        removed=1,
        hunks=(hunk,),
    )


def judged(*changes: FileChange, role: str = "coder", settings: Settings = SETTINGS) -> tuple[Violation, ...]:
    return judge_changes(changes, may_change=capability(role, UNIT, settings), role=role, settings=settings)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("src/a.py", "source"), ("a/b/c.rs", "source"), ("Makefile", "other"), ("data/x.bin", "other"),
        ("tests/test_a.py", "test"), ("tests/data/x.json", "test"), ("src/test_a.py", "test"), ("a_test.py", "test"),
        ("conftest.py", "harness"), ("tests/conftest.py", "harness"), ("src/deep/conftest.py", "harness"),
        ("pytest.ini", "harness"), (".pytest.ini", "harness"), ("pytest.toml", "harness"),
        ("x/.pytest.toml", "harness"),
        ("tox.ini", "harness"), (".coveragerc", "harness"), (".coveragerc.toml", "harness"), ("x.pth", "harness"),
        ("src/sitecustomize.py", "harness"), ("src/usercustomize.py", "harness"),
        ("x.egg-info/entry_points.txt", "harness"),
        ("x.dist-info/entry_points.txt", "harness"), ("a/__pycache__/b.cpython-311.pyc", "harness"),
        ("sitecustomize/__init__.py", "harness"),
        (".github/workflows/ci.yml", "ci"), (".gitlab-ci.yml", "ci"), ("Jenkinsfile", "ci"), ("Dockerfile", "ci"),
        ("deploy/Dockerfile.prod", "ci"), ("docker-compose.yml", "ci"), (".pre-commit-config.yaml", "ci"),
        ("assay.toml", "policy"), ("sub/assay.toml", "policy"), (".gitattributes", "policy"), (".gitmodules", "policy"),
        ("CODEOWNERS", "policy"), (".github/CODEOWNERS", "policy"), ("AGENTS.md", "policy"),
        ("sub/CLAUDE.md", "policy"),
        ("uv.lock", "lock"), ("requirements.txt", "lock"), ("requirements-dev.txt", "lock"), ("go.sum", "lock"),
        ("web/package-lock.json", "lock"), ("pyproject.toml", "mixed"), ("setup.cfg", "mixed"),
        ("docs/a.txt", "docs"), ("README.md", "docs"), ("LICENSE", "docs"), ("src/docs/x.py", "source"),
    ],
)  # fmt: skip
def test_files_are_known_by_their_names(path: str, kind: str) -> None:
    """The names are those that pytest, coverage, Python, git and the CI systems look for."""
    assert classify(path, SETTINGS) == FileClass(kind)


@pytest.mark.parametrize(
    "path",
    ["CONFTEST.py", "tests/ConfTest.PY", "conf\u200btest.py", "\uff43onftest.py", "PyTest.ini", ".GitAttributes",
     "ASSAY.TOML", "DOCKERFILE", "Tests/test_a.py", "TESTS/x", ".GITHUB/workflows/x.yml"],
)  # fmt: skip
def test_spelling_hides_nothing(path: str) -> None:
    """Case, invisible and compatibility characters do not make a source file of what is none."""
    assert classify(path, SETTINGS) not in (FileClass.SOURCE, FileClass.OTHER, FileClass.DOCS)
    everything = judge_changes([change(path)], may_change=("**",), role="coder", settings=SETTINGS)
    assert [v.path for v in everything] == [path]


def test_the_policy_says_what_a_test_is() -> None:
    """Its patterns replace the built-in ones, negations included; harness files stay what they are."""
    settings = Settings(paths=PathSettings(tests=("spec/", "!spec/tools/", "golden/*.txt")))
    assert classify("spec/a.py", settings) is FileClass.TEST
    assert classify("spec/tools/a.py", settings) is FileClass.SOURCE
    assert classify("golden/a.txt", settings) is FileClass.TEST
    assert classify("tests/test_a.py", settings) is FileClass.SOURCE
    assert classify("tests/conftest.py", settings) is FileClass.HARNESS


def test_who_may_change_what() -> None:
    """Planner and reviewer nothing, the tester tests, the coder the unit's paths, others what the policy says."""
    assert capability("planner", UNIT, SETTINGS) == ()
    assert capability("reviewer", UNIT, SETTINGS) == ()
    assert capability("coder", UNIT, SETTINGS) == UNIT.paths
    assert capability("coder", None, SETTINGS) == ()
    assert capability("tester", UNIT, SETTINGS) == (*SETTINGS.paths.tests, "!conftest.py")
    narrow = UNIT.model_copy(update={"test_paths": ("tests/u/",)})
    assert capability("tester", narrow, SETTINGS) == ("tests/u/", "!conftest.py")
    assert capability("writer", UNIT, SETTINGS) == ()
    writer = Settings(agents={"writer": RoleSettings(paths=("docs/",))})
    assert capability("writer", None, writer) == ("docs/",)


def test_a_coder_changes_the_units_source() -> None:
    """Adding, changing, deleting, renaming and making executable below the unit's paths are fine."""
    assert (
        judged(
            change("src/a.py"),
            change("src/b.py", "A"),
            change("src/c.py", "D"),
            change("src/e.py", "R", old="src/d.py"),
            change("src/run.sh", mode=0o100755),
            change("docs/a.md"),
            change("uv.lock"),
        )
        == ()
    )


@pytest.mark.parametrize(
    ("made", "path", "reason"),
    [
        (change("lib/a.py"), "lib/a.py", "is not among what the coder may change here"),
        (change("src/test_a.py", "A"), "src/test_a.py", "is a test"),
        (change("src/conftest.py", "A"), "src/conftest.py", "decides how tests are run and judged"),
        (change("src/a.pth", "A"), "src/a.pth", "decides how tests are run and judged"),
        (change("src/Dockerfile"), "src/Dockerfile", "decides how the project is built"),
        (change("src/.gitattributes", "A"), "src/.gitattributes", "decides who may do what"),
        (change("src/poetry.lock"), "src/poetry.lock", "fixes other people's code, and the unit does not name it"),
        (change("src/a.py", "R", old="tests/test_a.py"), "tests/test_a.py", "is a test"),
        (change("tests/test_a.py", "R", old="src/a.py"), "tests/test_a.py", "is a test"),
        (change("tests/test_a.py", "D"), "tests/test_a.py", "is a test"),
        (change("tests/run.sh", mode=0o100755), "tests/run.sh", "is a test"),
        (change("src/link", "A", mode=0o120000), "src/link", "is a symbolic link"),
        (change("src/a.py", "T", mode=0o120000), "src/a.py", "is a symbolic link"),
        (change("tests", "A", mode=0o120000), "tests", "is a symbolic link"),
        (change("src/vendor", "A", mode=0o160000), "src/vendor", "is a submodule"),
        (change("src/a.py", mode=0o100664), "src/a.py", "has the mode 100664"),
        (change("src/../tests/test_a.py"), "src/../tests/test_a.py", "is not a plain relative path"),
        (change("/src/a.py"), "/src/a.py", "is not a plain relative path"),
        (change("src/a.py/"), "src/a.py/", "is not a plain relative path"),
        (change("src\\a.py"), "src\\a.py", "is not a plain relative path"),
        (change("src/.git/hooks/x", "A"), "src/.git/hooks/x", "lies in what git takes for its own folder"),
        (change("src/.GIT./x", "A"), "src/.GIT./x", "lies in what git takes for its own folder"),
        (change("src/.g\u200cit/x", "A"), "src/.g\u200cit/x", "lies in what git takes for its own folder"),
        (change("src/git~1/x", "A"), "src/git~1/x", "lies in what git takes for its own folder"),
        (change("SRC/a.py", "A"), "SRC/a.py", "is not among what the coder may change here"),
    ],
)  # fmt: skip
def test_a_coder_changes_nothing_else(made: FileChange, path: str, reason: str) -> None:
    """Tests, harness, CI, policy, links, odd names, and the old side of a rename are refused with the hunk."""
    (violation,) = judged(made)
    assert violation.path == path
    assert violation.reason.startswith(reason)
    assert violation.hunk == "@@ -3,1 +3,2 @@"


def test_a_violation_names_the_pattern() -> None:
    """A person sees which rule forbids it."""
    assert judged(change("src/conftest.py"))[0].pattern == "conftest.py"
    settings = Settings(paths=PathSettings(protected=("src/core/", "!src/core/open.py")))
    assert judged(change("src/core/a.py"), settings=settings)[0].pattern == "src/core/"
    assert judged(change("src/core/open.py"), settings=settings) == ()
    assert judged(change("src/CORE/a.py"), settings=settings)[0].pattern == "src/core/"


def test_a_wildcard_opens_no_floor() -> None:
    """A plan that lets the coder change everything does not let it change tests, locks or CI."""
    everything = UNIT.model_copy(update={"paths": ("**",)})
    made = [change(p) for p in ("a.py", "tests/test_a.py", "uv.lock", ".github/workflows/x.yml", "assay.toml")]
    found = judge_changes(made, may_change=capability("coder", everything, SETTINGS), role="coder", settings=SETTINGS)
    assert [v.path for v in found] == ["tests/test_a.py", "uv.lock", ".github/workflows/x.yml", "assay.toml"]


def test_a_role_is_narrowed_by_its_own_paths() -> None:
    """`[agents.coder] paths` takes away from what a plan gives, and adds nothing."""
    settings = Settings(agents={"coder": RoleSettings(paths=("src/api/", "lib/"))})
    assert judged(change("src/api/a.py"), settings=settings) == ()
    assert judged(change("src/a.py"), settings=settings)[0].reason.startswith("is outside of the paths")
    assert judged(change("lib/a.py"), settings=settings)[0].reason.startswith("is not among")


def test_planner_and_reviewer_change_nothing() -> None:
    """Their workspace is read-only; a change that came about all the same is a violation."""
    for role in ("planner", "reviewer", "unheard-of"):
        assert len(judged(change("src/a.py"), change("README.md"), role=role)) == 2


def test_a_tester_changes_tests_only() -> None:
    """Test paths of the policy and of the unit; no source, no harness, not even a new conftest.py."""
    assert judged(change("tests/test_a.py", "A"), change("tests/data/x.json", "A"), role="tester") == ()
    refused = judged(
        change("src/a.py"),
        change("tests/conftest.py", "A"),
        change("tests/pytest.ini", "A"),
        change("Tests/a.json", "A"),
        change("tests/link", "A", mode=0o120000),
        role="tester",
    )
    assert [v.path for v in refused] == [
        "src/a.py", "tests/conftest.py", "tests/pytest.ini", "Tests/a.json", "tests/link",
    ]  # fmt: skip
    wide = UNIT.model_copy(update={"test_paths": ("**",)})
    may = capability("tester", wide, SETTINGS)
    assert [
        v.path
        for v in judge_changes(
            [change("tests/a", "A"), change("src/a.py")], may_change=may, role="tester", settings=SETTINGS
        )
    ] == ["src/a.py"]


@pytest.mark.parametrize(
    ("old", "new", "fine"),
    [
        ("[project]\nname='a'\n", "[project]\nname='a'\ndependencies=['x']\n", True),
        ("[tool.ruff]\nx=1\n", "[tool.ruff]\nx=2\n", True),
        ("[project]\n", "[project]\n[tool.pytest.ini_options]\naddopts='-k x'\n", False),
        ("[project]\n", "[project]\n[tool.pytest]\naddopts=['-k']\n", False),
        ("[tool.coverage.run]\nbranch=true\n", "[tool.coverage.run]\nbranch=false\n", False),
        ("[project]\n", "[project.entry-points.pytest11]\nx='y'\n", False),
        ("[project]\n", "[tool.poetry.plugins.pytest11]\nx='y'\n", False),
        ("[project]\n", "[tool.pytest_env]\nX='y'\n", False),
        ("[project]\n", "[project\n", False),
    ],
)
def test_pyproject_is_judged_by_its_sections(old: str, new: str, fine: bool) -> None:
    """A coder who may change pyproject.toml may add a dependency, and may not touch pytest or coverage."""
    made = [change("pyproject.toml")]
    assert mixed_blobs(made) == ("1" * 40, "2" * 40)
    texts = {"1" * 40: old, "2" * 40: new}
    may = capability("coder", UNIT, SETTINGS)
    found = judge_changes(made, may_change=may, role="coder", settings=SETTINGS, texts=texts)
    assert (found == ()) is fine
    assert judge_changes(made, may_change=may, role="coder", settings=SETTINGS)[0].reason.endswith("tell them apart")


def test_setup_cfg_is_judged_by_its_sections() -> None:
    """`[tool:pytest]` and `[coverage:run]` are the harness's; `[metadata]` is not."""
    unit = UNIT.model_copy(update={"paths": ("setup.cfg",)})
    may = capability("coder", unit, SETTINGS)

    def refused(new: str) -> bool:
        texts = {"1" * 40: "[metadata]\nname = a\n", "2" * 40: new}
        return bool(judge_changes([change("setup.cfg")], may_change=may, role="coder", settings=SETTINGS, texts=texts))

    assert not refused("[metadata]\nname = b\n")
    assert refused("[metadata]\nname = a\n[tool:pytest]\naddopts = -k x\n")
    assert refused("[metadata]\nname = a\n[coverage:run]\nomit = *\n")
    assert refused("[metadata]\nname = a\n[options.entry_points]\npytest11 =\n  x = y\n")


def test_a_new_pyproject_with_test_settings_is_refused() -> None:
    """A file that was not there may not bring settings of the harness either."""
    may = capability("coder", UNIT, SETTINGS)
    made = [change("pyproject.toml", "A")]
    for text, fine in (("[project]\nname='a'\n", True), ("[tool.pytest.ini_options]\naddopts='x'\n", False)):
        texts = {"2" * 40: text}
        found = judge_changes(made, may_change=may, role="coder", settings=SETTINGS, texts=texts)
        assert (found == ()) is fine


def test_names_that_are_not_utf8_are_judged_like_others() -> None:
    """Surrogates stand for bytes; they neither crash nor escape."""
    assert judged(change("src/\udcff.py")) == ()
    assert judged(change("tests/\udcff.py"))[0].path == "tests/\udcff.py"


@given(
    st.lists(st.sampled_from(["tests", "src", "conftest.py", "a.py", ".git", "..", ".", "", "x y", "é"]), max_size=5)
)
def test_a_coder_never_gets_past_the_floor(parts: list[str]) -> None:
    """Whatever path: with the widest capability, tests, harness and odd paths are refused."""
    path = "/".join(parts)
    found = judge_changes([change(path)], may_change=("**",), role="coder", settings=SETTINGS)
    forbidden = "tests" in parts or "conftest.py" in parts or odd_path(path) is not None
    assert bool(found) is forbidden
