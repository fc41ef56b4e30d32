"""Every state of the demonstration does what its script says that it does, executed here without assay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.agents.scripts import Part, Script, load_script
from assay.records.claims import ClaimDraft
from assay.records.plans import Plan
from assay.records.results import Review, Specification

DEMO = Path(__file__).parents[2] / "examples" / "demo"
COMMIT = "0061058ff6f76b73a9faa8f981ea89d4cbca37d0"


@pytest.fixture(scope="module")
def script() -> Script:
    return load_script(DEMO / "script.yaml")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    shutil.copytree(DEMO / "repo", tmp_path / "repo", ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return tmp_path / "repo"


def submitted(part: Part) -> dict[str, Any]:
    call = part.turns[-1].calls[-1]
    assert call.tool.startswith("submit_")
    return dict(call.args)


def carry_out(part: Part, repo: Path, *, held_out: bool = True) -> None:
    """Do what the part's file tools do; files of the held-out tree are laid over the repository."""
    for call in (call for turn in part.turns for call in turn.calls):
        if call.tool not in {"write_file", "edit_file"}:
            continue
        root, _, path = str(call.args["file_path"]).lstrip("/").partition("/")
        if root == "held_out" and not held_out:
            continue
        if call.tool == "write_file":
            (repo / path).write_text(str(call.args["content"]))
        else:
            text, old = (repo / path).read_text(), str(call.args["old_string"])
            assert text.count(old) == 1, f"line {call.line}"
            (repo / path).write_text(text.replace(old, str(call.args["new_string"])))


def execute(argv: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def run_tests(repo: Path) -> dict[str, str]:
    """Return test id to `passed`, `failed` or `error`."""
    report = repo.parent / "report.xml"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    execute([*argv, f"--junitxml={report}"], repo)
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        verdict = "failed" if case.find("failure") is not None else "passed"
        outcomes[f"{case.get('file')}::{case.get('name')}"] = "error" if case.find("error") is not None else verdict
    return outcomes


def stated(script: Script, unit: str) -> Specification:
    return Specification.model_validate(submitted(script.part("tester", unit, 1)))


def test_the_library_passes_its_own_tests(repo: Path) -> None:
    """The base is green, so what fails later is the change's."""
    outcomes = run_tests(repo)
    assert len(outcomes) == 23
    assert set(outcomes.values()) == {"passed"}


@pytest.mark.parametrize("unit", ["shares", "amounts"])
def test_each_stated_test_fails_at_the_base_and_none_errs(script: Script, repo: Path, unit: str) -> None:
    """The blank: the tester's tests fail where the work is not done, and they are exactly those that it names."""
    before = run_tests(repo)
    carry_out(script.part("tester", unit, 1), repo)
    outcomes = run_tests(repo)
    assert {test: o for test, o in outcomes.items() if test not in before} == {
        test.id: "failed" for test in stated(script, unit).tests
    }
    assert all(outcomes[test] == "passed" for test in before)


def test_the_first_try_passes_what_the_coder_sees_and_fails_one_held_out_requirement(
    script: Script, repo: Path
) -> None:
    """The wrong change is plausible: only held-out tests of `shares-fair` show it."""
    carry_out(script.part("tester", "shares", 1), repo, held_out=False)
    carry_out(script.part("coder", "shares", 1), repo)
    seen = run_tests(repo)
    assert len(seen) == 26
    assert set(seen.values()) == {"passed"}
    carry_out(script.part("tester", "shares", 1), repo)
    failed = {test for test, outcome in run_tests(repo).items() if outcome != "passed"}
    by_id = {test.id: test for test in stated(script, "shares").tests}
    assert failed
    assert {by_id[test].requirement for test in failed} == {"shares-fair"}
    assert all(by_id[test].held_out for test in failed)


def test_the_whole_passes_everything_and_dispels_the_doubt(script: Script, repo: Path) -> None:
    """With the mend and the other unit all tests pass; the doubt fails at the base and holds at the head."""
    review = Review.model_validate(submitted(script.part("reviewer", "shares", 1)))
    (doubt,) = review.doubts
    command = [sys.executable, *doubt.check.command[1:]]
    assert execute(command, repo).returncode == 1
    for role, unit, attempt in [
        ("tester", "shares", 1),
        ("tester", "amounts", 1),
        ("coder", "shares", 1),
        ("coder", "shares", 2),
        ("coder", "amounts", 1),
    ]:
        carry_out(script.part(role, unit, attempt), repo)
    outcomes = run_tests(repo)
    assert len(outcomes) == 23 + 6 + 6
    assert set(outcomes.values()) == {"passed"}
    assert execute(command, repo).stdout == "[-33, -33, -34]\n"


@pytest.mark.parametrize("name", ["script.yaml", "script-without-fix.yaml"])
def test_what_is_submitted_is_valid_and_fits_the_plan(name: str) -> None:
    """Each part ends with a typed result whose requirements are the plan's."""
    script = load_script(DEMO / name)
    plan = Plan.model_validate(submitted(script.part("planner", None, 1)))
    assert [unit.depends_on for unit in plan.units] == [(), ()]
    for unit in plan.units:
        known = {requirement.id for requirement in unit.acceptance}
        assert {test.requirement for test in stated(script, unit.id).tests} == known
        Review.model_validate(submitted(script.part("reviewer", unit.id, 1)))
        for attempt in (1, 2):
            ClaimDraft.model_validate(submitted(script.part("coder", unit.id, attempt)))


def test_the_script_without_fix_differs_by_the_mend_alone(script: Script, repo: Path) -> None:
    """Taking out the mend is all that is changed, and it leaves the first try as it is, at any later try."""
    other = load_script(DEMO / "script-without-fix.yaml")

    def rest(one: Script) -> list[object]:
        kept = [part for part in one.parts if (part.role, part.unit) != ("coder", "shares")]
        return [*kept_facts(kept), *kept_facts([one.part("coder", "shares", 1).model_copy(update={"attempt": None})])]

    def kept_facts(parts: list[Part]) -> list[object]:
        return [
            *[part.model_dump(exclude={"line": True, "turns": {"__all__": {"line", "calls"}}}) for part in parts],
            *[(call.tool, call.args) for part in parts for turn in part.turns for call in turn.calls],
        ]

    assert rest(script) == rest(other)
    carry_out(other.part("coder", "shares", 1), repo)
    before = (repo / "splitbill" / "shares.py").read_text()
    for attempt in (2, 3, 7):
        carry_out(other.part("coder", "shares", attempt), repo)
    assert (repo / "splitbill" / "shares.py").read_text() == before


def test_the_repository_is_the_same_commit_everywhere(tmp_path: Path) -> None:
    """Nobody's git settings, name or clock get into the commit."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TZ": "Asia/Tokyo", "GIT_AUTHOR_NAME": "somebody else"}
    subprocess.run([DEMO / "repository.sh", tmp_path / "target"], check=True, env=env)
    head = subprocess.run(
        ["git", "-C", tmp_path / "target", "rev-parse", "HEAD"], check=True, capture_output=True, text=True, env=env
    )
    assert head.stdout.strip() == COMMIT


def test_the_decisions_file_answers_both_checkpoints() -> None:
    """The plan and the delivery are approved by name, and nothing else is."""
    filed = yaml.safe_load((DEMO / "decisions.yaml").read_text())
    assert [(entry["checkpoint"], entry["decision"]) for entry in filed] == [
        ("plan", "approve"),
        ("delivery", "approve"),
    ]
