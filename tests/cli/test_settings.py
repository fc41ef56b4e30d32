"""`assay init`, and `assay policy check`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from tests.cli.program import Project, call
from tests.store.repositories import UserRepository

PROJECTS: list[tuple[dict[str, str | bytes], dict[str, object]]] = [
    (
        {"pyproject.toml": '[project]\nname = "x"\n', "src/x.py": "", "tests/test_x.py": "def test(): ..."},
        {"source_roots": ["src"], "runner": "pytest"},
    ),
    (
        {"services/api/pyproject.toml": '[project]\nname = "api"\n', "services/api/tests/test_a.py": "def test(): ..."},
        {"root": "services/api", "runner": "pytest"},
    ),
    ({"package.json": '{"scripts": {"test": "node --test"}}', "index.js": ""}, {"runner": "node"}),
    ({"package.json": '{"scripts": {"test": "mocha"}}', "index.js": ""}, {"runner": "pytest"}),
    ({"README": "words"}, {"runner": "pytest"}),
]


@pytest.mark.parametrize(("files", "expected"), PROJECTS)
def test_init_on_many_kinds(tmp_path: Path, files: dict[str, str | bytes], expected: dict[str, object]) -> None:
    """What is written says what was found, parses, and is what assay then reads."""
    repository = UserRepository(tmp_path / "repo")
    repository.commit(files)
    printed = call("init", "--repo", repository.path, "--print")
    assert (printed.code, printed.err) == (0, "")
    assert not (repository.path / "assay.toml").exists()
    written = call("init", "--repo", repository.path)
    assert written.code == 0
    assert f"wrote {repository.path}/assay.toml" in written.out
    text = (repository.path / "assay.toml").read_text()
    assert text == printed.out
    project = tomllib.loads(text)["project"]
    assert {name: project.get(name) for name in expected} == expected
    repository.commit({})
    assert "assay.toml at" in call("policy", "check", "ls", "--repo", repository.path).out


def test_init_writes_over_nothing(project: Project) -> None:
    """A file that is there stays, a link too, unless `--force` says otherwise; the folder may be a subfolder."""
    path = project.repo / "assay.toml"
    path.write_text("mine")
    said = call("init", "--repo", project.repo)
    assert said.code == 2
    assert f"{path} is there already" in said.err
    assert "--force" in said.err
    assert path.read_text() == "mine"
    assert call("init", "--repo", project.repo / "tests", "--force").code == 0
    assert "[project]" in path.read_text()
    assert not (project.repo / "tests" / "assay.toml").exists()
    path.unlink()
    path.symlink_to(project.folder / "elsewhere")
    assert call("init", "--repo", project.repo).code == 2
    assert not (project.folder / "elsewhere").exists()


def test_init_where_there_is_no_work_tree(project: Project, tmp_path: Path) -> None:
    """A bare repository has no place for the file; it can be printed."""
    project.repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    said = call("init", "--repo", tmp_path / "bare")
    assert said.code == 2
    assert "assay init --print" in said.err
    assert call("init", "--repo", tmp_path / "bare", "--print").code == 0
    assert not (tmp_path / "bare" / "assay.toml").exists()


def test_the_policy_is_explained(project: Project) -> None:
    """The decision, the rule, where it stands, and which part of the command it is about."""
    for command, outcome, rule in (
        ("git push origin main", "deny", "agents.coder.rules.deny["),
        ("cd src && git push", "deny", "part:  git push"),
        ("python -m pytest -q", "allow", "agents.coder.rules.allow["),
    ):
        said = call("policy", "check", command, "--repo", project.repo)
        assert said.code == 0
        assert said.out.startswith(f"{outcome}: "), said
        assert rule in said.out
        assert "built-in defaults" in said.out


def test_the_policy_of_other_tools_roles_and_files(project: Project) -> None:
    """`--tool`, `--role` and `--config` say what is asked about."""
    path = project.folder / "mine.toml"
    path.write_text('[agents.tester.rules]\nallow = ["execute(make test)"]\n')
    said = call("policy", "check", "make test", "--role", "tester", "--config", path)
    assert said.out.startswith("allow: ")
    assert str(path) in said.out
    assert call("policy", "check", "make tests", "--role", "tester", "--config", path).out.startswith("deny: ")
    arguments = json.dumps({"file_path": "/etc/passwd"})
    said = call("policy", "check", arguments, "--tool", "write_file", "--config", path)
    assert said.out.startswith("deny: ")
    assert "has no role" not in said.err
    unknown = call("policy", "check", "ls", "--role", "codr", "--config", path)
    assert unknown.code == 2
    assert "it has coder, planner, reviewer, tester" in unknown.err
    broken = call("policy", "check", "{", "--tool", "write_file", "--config", path)
    assert broken.code == 2
    assert "is no JSON object" in broken.err


def test_a_rule_is_named_by_file_and_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote it: the organisation's file, the repository's at its commit, or an option."""
    project.repository.commit({"assay.toml": '[agents.coder.rules]\ndeny = [\n  "execute(make *)",\n]\n'})
    org = project.folder / "org.toml"
    org.write_text('[agents."*".rules]\ndeny = ["execute(npm *)"]\n')
    monkeypatch.setenv("ASSAY_POLICY", str(org))
    said = call("policy", "check", "npm test", "--repo", project.repo)
    assert f"place: agents.coder.rules.deny[0], {org}:2:9" in said.out
    assert f", within {org}" in said.out
    said = call("policy", "check", "make", "--repo", project.repo)
    assert "place: agents.coder.rules.deny[1], assay.toml at " in said.out
    assert ":3:3\n" in said.out
    rule = 'agents.coder.rules.deny = ["execute(touch *)"]'
    assert "--set:1:28" in call("policy", "check", "touch x", "--repo", project.repo, "--set", rule).out


def test_a_lower_layer_cannot_loosen(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repository, file in its place, option, and check's own options: each is refused, and both places are named."""
    org = project.folder / "org.toml"
    org.write_text('fixed = ["agents.*.model"]\n[budget]\ntokens = 1000\n[proof]\nlevel = "B"\n')
    project.repository.commit({"assay.toml": "[checkpoints]\nplan = false\n"})
    said = call("policy", "show", "--effective", "--repo", project.repo)
    assert said.code == 2
    assert ":2:1: checkpoints.plan = false loosens what preset supervised:4:1 says, true" in said.err
    project.repository.commit({"assay.toml": "[budget]\ntokens = 5000\n"})
    monkeypatch.setenv("ASSAY_POLICY", str(org))
    said = call("run", project.ticket, "--repo", project.repo, "--model", "a:b")
    assert said.code == 2
    assert f":2:1: budget.tokens = 5000 loosens what {org}:3:1 says, 1000" in said.err
    own = project.folder / "own.toml"
    own.write_text('[agents.coder]\nmodel = "a:b"\n')
    said = call("policy", "show", "--effective", "--repo", project.repo, "--config", own)
    assert f"{own}:2:1: agents.coder.model is fixed by {org}:1:10" in said.err
    project.repository.commit({"assay.toml": ""})
    said = call("policy", "show", "--effective", "--repo", project.repo, "--set", "budget.tokens = 1001")
    assert f"--set:1:8: budget.tokens = 1001 loosens what {org}:3:1 says" in said.err
    project.repository.commit({"prices.py": "PRICE = 1\n"})
    said = call("check", "HEAD~1..HEAD", "--repo", project.repo, "--level", "C")
    assert said.code == 2
    assert f"--level C: proof.level = C loosens what {org}:5:1 says, B" in said.err
    more = project.folder / "more.toml"  # a second file of the organisation's stands below the first
    more.write_text("[budget]\ntokens = 1002\n")
    said = call("policy", "show", "--effective", "--repo", project.repo, "--policy", more)
    assert f"{more}:2:1: budget.tokens = 1002 loosens what {org}:3:1 says" in said.err
    assert call("policy", "show", "--effective", "--repo", project.repo, "--set", "budget.tokens = 9").code == 0


def test_the_policy_is_shown(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset as it is written, the layers, and what they come to with the layer of each value."""
    for name in ("supervised", "guarded", "headless"):
        said = call("policy", "show", "--preset", name)
        assert said.out.startswith(f"# {name}: ")
        assert tomllib.loads(said.out)["checkpoints"]["delivery"] is True
    assert "one of supervised, guarded, headless" in call("policy", "show", "--preset", "gaurded").err
    org = project.folder / "org.toml"
    org.write_text('preset = "guarded"\n[budget]\ntokens = 1000\n')
    monkeypatch.setenv("ASSAY_POLICY", str(org))
    shown = call("policy", "show", "--repo", project.repo).out
    assert shown.index("# ---- preset guarded") < shown.index(f"# ---- {org}")
    printed = call("policy", "show", "--effective", "--repo", project.repo).out
    assert f"tokens = 1000  # {org}:3:1" in printed
    assert "plan = true  # preset guarded:5:1" in printed
    assert 'kind = "secrets"  # preset guarded:' in printed
    assert tomllib.loads(printed)["budget"]["tokens"] == 1000
    lower = call("policy", "show", "--effective", "--repo", project.repo, "--preset", "headless")
    assert "plan = false loosens what preset guarded:5:1 says" in lower.err


def test_a_preset_alone_takes_no_other_layers(project: Project) -> None:
    """What would be left out is refused, with the option that takes it in."""
    assert call("policy", "show", "--preset", "guarded").out.startswith("# guarded")
    for option, value in (
        ("--set", "budget.tokens = 5"),
        ("--repo", project.repo),
        ("--config", "x"),
        ("--policy", "x"),
    ):
        said = call("policy", "show", "--preset", "guarded", option, value)
        assert said.code == 2
        assert option in said.err
        assert "--effective" in said.err
    said = call("policy", "show", "--effective", "--preset", "guarded", "--repo", project.repo)
    assert said.code == 0
