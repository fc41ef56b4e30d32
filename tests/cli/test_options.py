"""What can be said to `assay run` and `assay resume`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.program import PLAN, SHORT, Project, Said, call

pytestmark = pytest.mark.docker

APPROVE = {"checkpoint": "plan", "decision": "approve"}
TESTER = [
    {
        "write_file": {
            "file_path": "/workspace/tests/test_rounding.py",
            "content": "from prices import discount\n\n\ndef test_up() -> None:\n    assert discount(5, 10) == 4\n",
        }
    },
    {
        "write_file": {
            "file_path": "/held_out/tests/test_held_out.py",
            "content": "from prices import discount\n\n\ndef test_less() -> None:\n    assert discount(1, 1) == 0\n",
        }
    },
    {
        "submit_tests": {
            "statement": "Rounded up.",
            "tests": [
                {"id": "tests/test_rounding.py::test_up", "requirement": "up", "fails_because": "it is rounded down"},
                {
                    "id": "tests/test_held_out.py::test_less",
                    "requirement": "up",
                    "fails_because": "it is rounded down",
                    "held_out": True,
                },
            ],
        }
    },
]
CODER = [
    {
        "edit_file": {
            "file_path": "/workspace/prices.py",
            "old_string": "cents - cents * percent // 100",
            "new_string": "cents - -(-cents * percent // 100)",
        }
    },
    {"submit_claim": {"kind": "fix", "statement": "Rounded up.", "behaviour_changed": ["prices.discount"]}},
]
REVIEWER = [{"submit_review": {"summary": "One line."}}]


def settings(project: Project, text: str) -> Path:
    """Write a file of settings beside the repository."""
    path = project.folder / "other.toml"
    path.write_text(text)
    return path


def decided(said: Said) -> list[tuple[str, str]]:
    """Return the decisions that were made, with where they came from."""
    bodies = [
        line["entry"]["body"]["decision"] for line in said.lines if line.get("entry", {}).get("kind") == "decision.made"
    ]
    return [(body["type"], body["via"]) for body in bodies]


def test_a_whole_run_with_decisions_from_files(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of the file answers once: used again on resume it answers nothing more, until a new entry does.

    The script's path was relative, and the run is resumed from another directory.
    """
    project.repository.commit({"assay.toml": SHORT})
    project.script(PLAN, tester=TESTER, coder=CODER, reviewer=REVIEWER)
    monkeypatch.chdir(project.folder)
    filed = project.decisions(APPROVE)
    arguments = [*project.arguments("scripted:script.yaml"), "--decisions", filed.name, "--json"]
    said = call(*arguments)
    assert (said.code, said.result["open"][0]["checkpoint"]) == (75, "delivery"), said
    assert decided(said) == [("approve", "file:decisions.yaml")]
    run = said.result["run"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = call("resume", run, "--decisions", filed, "--json")
    assert (again.code, decided(again)) == (75, [])
    project.decisions(APPROVE, {"checkpoint": "delivery", "decision": "approve", "message": "Read."})
    done = call("resume", run, "--decisions", filed, "--json")
    assert (done.code, done.result["status"], done.result["verdict"]) == (0, "delivered", "proven"), done
    assert decided(done) == [("approve", "file:decisions.yaml")]
    branch = done.result["branch"]
    assert project.repository.git("rev-parse", branch) == done.result["head"]
    assert "-(-cents" in project.repository.git("show", f"{branch}:prices.py")
    shown = call("show", run)
    assert "Delivered as branch" in shown.out
    assert "delivery: approve by" in shown.out
    assert [claim["verdict"] for claim in call("show", run, "--json").result["claims"]] == ["proven"]
    assert call("resume", run).code == 2  # it is over


def test_another_file_of_settings(project: Project) -> None:
    """`--config` is taken in the place of the repository's own; what it names is relative to it."""
    project.repository.commit({"assay.toml": "[checkpoints]\nplan = false\n"})
    (project.folder / "mine.md").write_text("You plan. PLEASE PLAN.")
    project.script(PLAN)
    path = settings(project, '[agents.planner]\nprompt = "mine.md"\nmodel = "scripted:script.yaml"\n')
    said = call(*project.arguments("scripted:/nowhere.yaml"), "--config", path)
    assert said.code == 3  # the other roles have only the model of the command line
    assert "/nowhere.yaml" in said.err
    said = call(*project.arguments(), "--config", path, "--json")
    assert (said.code, said.result["open"][0]["checkpoint"]) == (75, "plan"), said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[agent.planner]\n", "agents"),
        ("[agents.planner]\nmodle = 'x'\n", "model"),
        ("[[[", ":1:3: not valid TOML"),
        ("[checkpoints]\nplan = 'maybe'\n", "checkpoints.plan"),
    ],
)
def test_settings_that_cannot_be_used(project: Project, text: str, message: str) -> None:
    """File, place and the nearest known key are named; exit code 2, nothing recorded."""
    path = settings(project, text)
    said = call(*project.arguments(), "--config", path)
    assert said.code == 2
    assert str(path) in said.err
    assert message in said.err
    assert call("runs", "--json").out == ""
    assert call(*project.arguments(), "--config", project.folder / "nowhere.toml").code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checkpoint: plan\n", "must be a list"),
        ("- {checkpoint: plan}\n", "entry 1, decision"),
        ("- {checkpoint: plan, decision: maybe}\n", "entry 1, decision"),
        ("- {checkpoint: plan, decision: approve, who: me}\n", "entry 1, who"),
        ("[", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_decisions_that_cannot_be_used(project: Project, text: str | None, message: str) -> None:
    """A file of decisions is looked at before anything begins."""
    path = project.folder / "decisions.yaml"
    if text is not None:
        path.write_text(text)
    said = call(*project.arguments(), "--decisions", path)
    assert said.code == 2
    assert message in said.err
    assert call("runs", "--json").out == ""


def test_models_that_cannot_be_used(project: Project) -> None:
    """None, a name that is none, and a script that is not there: each says what to write."""
    for model, message in (
        ([], "give --model provider:name"),
        (["--model", "gpt"], "is not of the form provider:model"),
        (["--model", "scripted:nowhere.yaml"], "nowhere.yaml' cannot be read"),
    ):
        said = call("run", project.ticket, "--repo", project.repo, *model)
        assert said.code in (2, 3)
        assert message in said.err
    assert call("runs", "--json").out == ""


def test_the_base_is_where_the_run_begins(project: Project) -> None:
    """`--base` wins over the ticket's, and both over HEAD."""
    first = project.repository.git("rev-parse", "HEAD")
    second = project.repository.commit({"later": "1"})
    project.repository.commit({"last": "1"})
    project.ticket.write_text(f"---\ntitle: One\nbase: {second}\n---\n")
    for more, expected in ((["--base", first], first), ([], second)):
        said = call(*project.arguments(), *more, "--json")
        adopted = next(line["entry"] for line in said.lines if line.get("entry", {}).get("kind") == "base.adopted")
        assert adopted["body"]["commit"] == expected
