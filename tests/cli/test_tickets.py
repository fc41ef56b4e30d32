"""Tickets that cannot be used: a mistake of usage, with its place, before anything is recorded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.cli.program import PLAN, Project, call


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"x\n" * 2_500_000, "has 5,000,000 bytes; a ticket may have 1,000,000"),
        (b"---\ntitle: [a\n---\n", "line 2, column 10: the front matter does not parse"),
        (b"---\ntitle: a: b\n---\n", "line 2, column 9: the front matter does not parse"),
        (b"---\ntitel: a\n---\n", "line 2: unknown key 'titel'"),
        (b"---\nacceptance: 3\n---\n", "`acceptance` must be a list of texts"),
        (b"---\ntitle: a\n", "the front matter has no end"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"\0", "is a binary file"),
        (b"# \x1b]0;x\x07\n", "holds"),
    ],
)
def test_a_ticket_that_cannot_be_used(project: Project, text: bytes, message: str) -> None:
    """The file, the place and the next step are named; exit code 2."""
    project.ticket.write_bytes(text)
    said = call(*project.arguments(), "--json")
    if message == "holds":  # control characters in a title are no mistake: they become blanks
        assert "\x1b" not in said.err
        assert "]0;x" in said.err
        return
    assert said.code == 2
    assert str(project.ticket) in said.result["message"]
    assert message in said.result["message"]
    assert said.result["next"]
    assert call("runs", "--json").out == ""


def test_a_ticket_that_is_not_there(project: Project) -> None:
    """A missing file, and a directory."""
    for path in (project.folder / "nothing.md", project.folder):
        said = call("run", path, "--repo", project.repo, "--model", project.script(PLAN))
        assert said.code == 2
        assert str(path) in said.err


def test_a_ticket_that_names_no_repository(project: Project) -> None:
    """There are two places to name one, and the error says both."""
    said = call("run", project.ticket, "--model", project.script(PLAN))
    assert said.code == 2
    assert "give --repo PATH, or write `repo:` into the front matter" in said.err


@pytest.mark.docker
def test_the_tickets_own_repository_is_relative_to_the_ticket(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`repo:` is found from wherever assay is started; `base:` is where the run begins."""
    first = project.repository.git("rev-parse", "HEAD")
    project.repository.git("tag", "v1")
    project.repository.commit({"later": "1"})
    (tmp_path / "tickets").mkdir()
    ticket = tmp_path / "tickets" / "one.md"
    ticket.write_text("---\ntitle: One\nrepo: ../prices\nbase: v1\n---\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    said = call("run", ticket, "--model", project.script(PLAN), "--json")
    assert (said.code, said.result["repo"]) == (75, str(project.repo)), said
    adopted = next(line["entry"] for line in said.lines if line.get("entry", {}).get("kind") == "base.adopted")
    assert adopted["body"]["commit"] == first


def test_a_ticket_from_a_pipe(project: Project) -> None:
    """A ticket can be given with the shell's process substitution; an error names what was given."""
    script = f"exec assay run <(printf '') --repo {project.repo} --model {project.script(PLAN)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=_with_program())
    assert done.returncode == 2
    assert "is empty" in done.stderr


def _with_program() -> dict[str, str]:
    import os

    from tests.cli.program import PROGRAM

    return {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
