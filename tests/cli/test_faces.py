"""What every command prints, and where: JSON lines alone on stdout, words that fit where they are read, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.cli.program import PLAN, PROGRAM, Project, Said, call, execute

import assay.cli.progress

GOOD = {"README.md": "Words.\n"}
BAD = {"prices.py": "def discount(cents: int, percent: int) -> int:\n    return 0\n"}


def kinds(said: Said) -> list[str]:
    """Return the kinds of the entries among the lines."""
    return [line["entry"]["kind"] for line in said.lines if "entry" in line]


@pytest.mark.docker
def test_run_and_resume_as_json(project: Project) -> None:
    """Entries as they are recorded, each with its digest, then one object; progress is on stderr alone."""
    said = call(*project.arguments(), "--json")
    assert kinds(said)[0] == "run.started"
    assert all(line["digest"].startswith("sha256:") for line in said.lines[:-1])
    result = said.result
    assert {"run", "status", "reason", "branch", "head", "verdict", "claims", "open", "report"} <= result.keys()
    assert "Is this the plan?" in said.err
    again = call("resume", result["run"], "--json")
    assert kinds(again) == ["run.resumed", "run.parked"]  # what was told of before is not told of again
    assert again.result["run"] == result["run"]
    plain = call("resume", result["run"])
    assert (plain.out, plain.code) == ("", 75)


@pytest.mark.docker
def test_check_as_json_and_in_words(project: Project) -> None:
    """The verdict is the last line and the exit code: 0 for what holds, 1 for what does not, with a witness."""
    good = call("check", project.change("good", dict(GOOD)), "--repo", project.repo, "--json")
    assert (good.code, good.result["verdict"]) == (0, "proven"), good
    assert good.result["evidence"].endswith("report.html")
    assert Path(good.result["evidence"]).is_file()
    assert "evidence.recorded" in kinds(good)
    assert {"level", "reasons", "steps", "witness", "unproven_lines", "flags"} <= good.result.keys()
    changed = project.change("bad", dict(BAD))
    bad = call("check", changed, "--repo", project.repo, "--json")
    assert (bad.code, bad.result["verdict"]) == (1, "refuted"), bad
    assert bad.result["witness"]["test"] == "tests/test_prices.py::test_ten_percent_off"
    assert "tests/test_prices.py::test_ten_percent_off" in bad.err
    assert "docker run --rm" in bad.err


@pytest.mark.alone
def test_the_others_as_json(project: Project) -> None:
    """Lists, errors and deletions are JSON lines, too; nothing else is on stdout."""
    assert call("runs", "--json").lines == []
    assert call("prune", "--json").result == {"runs": [], "bytes": 0, "sandboxes": [], "dry_run": False}
    assert all({"subject", "ok", "detail", "mend"} == line.keys() for line in call("doctor", "--json").lines)
    for arguments in (["show", "x"], ["cancel", "x"], ["resume", "x"], ["prune", "--run", "x"], ["check", "x"]):
        said = call(*arguments, "--json")
        (line,) = said.lines
        assert line.keys() == {"error", "message", "next", "exit_code"}
        assert line["exit_code"] == said.code == 2
        assert said.err.startswith(f"assay: {line['message']}\n  next: ")


@pytest.mark.docker
def test_piped_lines_are_whole(project: Project) -> None:
    """Where no terminal is, one thing that happened is one line, however narrow COLUMNS says it is."""
    project.ticket.write_text(f"# {'A very long title ' * 8}\n")
    said = execute(*project.arguments(), env={**os.environ, "COLUMNS": "40"})
    assert said.code == 75
    lines = [line for line in said.err.splitlines() if re.match(r" *\d+\.\ds ", line)]
    assert len(lines) >= 5
    assert any(line.endswith("A very long title") and line.count("A very long title") == 8 for line in lines)
    assert "\x1b" not in said.err


@pytest.mark.docker
@pytest.mark.parametrize("columns", ["80", "60", "40"])
def test_what_is_asked_for_fits(project: Project, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and texts keep to the width; only what must be copied whole is longer."""
    run = project.park()
    monkeypatch.setenv("COLUMNS", columns)
    helps = [execute("--help"), execute("run", "--help")] if columns != "40" else []  # help needs 50
    for said in (call("runs"), call("show", run), *helps):
        long = [line for line in said.out.splitlines() if len(line.rstrip()) > int(columns)]
        assert [line for line in long if "Report: " not in line and "assay resume" not in line] == []


def test_colour_only_where_it_is_wanted(project: Project) -> None:
    """Nothing is coloured in a pipe; FORCE_COLOR asks for it, and NO_COLOR wins."""
    assert "\x1b" not in call("doctor").out
    assert "\x1b[" in execute("doctor", env={**os.environ, "FORCE_COLOR": "1"}).out
    assert "\x1b[3" not in execute("doctor", env={**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1"}).out


def test_an_output_that_is_no_utf8() -> None:
    """Letters that the output cannot hold are written as escapes, and stop nothing."""
    said = execute("--help", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert said.code == 0
    assert "Traceback" not in execute("doctor", env={**os.environ, "PYTHONIOENCODING": "ascii"}).err


def test_closed_streams() -> None:
    """`>&-` and `2>&-` are no reason to fail."""
    for closed in (">&-", ">&- 2>&- <&-"):
        done = subprocess.run(["bash", "-c", f"{PROGRAM} runs {closed}"], capture_output=True, text=True)
        assert done.returncode == 0, (closed, done)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["rnus"], "runs"),
        (["resum", "x"], "resume"),
        (["run", "x", "--modle", "y"], "--model"),
        (["sandbox", "biuld"], "build"),
        (["prune", "--oder-than", "3"], "--older-than"),
    ],
)
def test_a_slip_of_the_fingers(arguments: list[str], suggested: str) -> None:
    """Unknown commands and options name the nearest known one; exit code 2."""
    said = call(*arguments)
    assert said.code == 2
    assert suggested in said.err
    assert said.out == ""


@pytest.mark.parametrize("arguments", [["run"], ["prune", "--older-than", "-1"], ["prune", "--older-than", "x"], []])
def test_arguments_that_do_not_fit(arguments: list[str]) -> None:
    """Missing and impossible arguments are a mistake of usage."""
    assert call(*arguments).code == 2


def test_version() -> None:
    """`assay --version` prints one line."""
    from importlib.metadata import version

    said = call("--version")
    assert (said.code, said.out) == (0, f"assay {version('assay')}\n")


def complete(words: str, *, shell: str = "bash") -> list[str]:
    """Return what the shell would offer after these words."""
    environment = {
        **os.environ,
        "_ASSAY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
    }
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.docker
def test_shell_completion(project: Project, tmp_path: Path) -> None:
    """Commands, options and the ids of runs are offered; the script for the shell can be had."""
    run = project.park()
    assert complete("assay re") == ["resume"]
    assert "--decisions" in complete("assay run --")
    assert complete("assay show ") == [run]
    assert complete(f"assay show {run[:4]}") == [run]
    assert complete("assay show x") == []
    environment = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    asked = (
        f"{PROGRAM} --show-completion; true"  # by a shell that stays: which one it is, is told by the processes above
    )
    shown = subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True)
    assert "_ASSAY_COMPLETE=complete_bash" in shown.stdout


def test_completion_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the state cannot be read, Tab offers nothing and says nothing."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ledger.sqlite3").write_text("this is no database, and long enough to be seen as none")
    monkeypatch.setenv("ASSAY_STATE", str(tmp_path / "broken"))
    assert complete("assay show ") == []


def test_what_should_not_happen_is_no_verdict(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of assay ends with exit code 3 and a traceback; 1 would mean that the change was refuted."""
    from assay.app.service import Assay

    async def broken(self: Assay) -> None:
        raise ZeroDivisionError("a \x1b[31mdefect")

    monkeypatch.setattr(Assay, "runs", broken)
    said = call("runs", "--json")
    assert said.code == 3
    assert said.result["error"] == "ZeroDivisionError"
    assert "this is a defect of assay" in said.result["next"]
    assert "Traceback" in said.err
    assert "assay: ZeroDivisionError: a [ESC][31mdefect" in said.err


def test_json_is_ascii(project: Project) -> None:
    """Whatever is in a text, a JSON line is safe to print anywhere."""
    said = call("show", "\u202e\udcff\x1b", "--json")
    assert said.out.isascii()
    assert json.loads(said.out)["message"] == "there is no run '\\u202e\\udcff\\x1b'"


@pytest.mark.docker
def test_a_long_step_is_told_of_in_a_pipe(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no status line can be, a line says from time to time that the run is still at work, and on what."""
    monkeypatch.setattr(assay.cli.progress, "QUIET_SECONDS", 0.6)
    said = call(*project.arguments(project.script({"execute": {"command": "sleep 2.5"}}, PLAN)))
    assert said.code == 75
    assert re.search(r"s +… still at work: planner uses its tools \(\d s\)\n", said.err)
    monkeypatch.undo()
    assert "still at work" not in call(*project.arguments()).err


def test_a_check_of_a_dirty_head(project: Project) -> None:
    """What is not committed is not checked, and that is said."""
    (project.repo / "prices.py").write_text("half finished\n")
    said = call("check", "main..", "--repo", project.repo)
    assert "not committed, so left out and left alone: prices.py" in said.err
