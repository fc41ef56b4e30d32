"""A refutation can be seen again by anybody with git and Docker, and without assay."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from assay.evidence.witness import STORE_VARIABLE, bear_difference
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .conftest import BASE, FIXED, Files, World

pytestmark = pytest.mark.docker


def see_again(world: World, verdict: Verdict) -> subprocess.CompletedProcess[str]:
    """Run the witness's command line in a plain shell."""
    assert verdict.witness is not None
    variables = {"PATH": os.environ["PATH"], STORE_VARIABLE: str(world.git.path)}
    return subprocess.run(
        ["sh", "-c", verdict.witness.command], capture_output=True, text=True, env=variables, check=False, timeout=120
    )


async def test_the_command_line_of_a_witness_shows_the_failure(world: World) -> None:
    """Even where the tree's own attributes would keep the tests out of an archive."""
    files: Files = {**BASE, ".gitattributes": "tests export-ignore\n*.py eol=crlf\n", "tests/data.txt": "a'b $HOME\n"}
    base = await world.commit(files)
    head = await world.commit({"calc.py": FIXED.replace("a + b", "a - b")}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is VerdictStatus.REFUTED
    shown = see_again(world, verdict)
    assert shown.returncode == 1, shown.stderr
    assert "assert -1 == 3" in shown.stdout
    assert "1 failed" in shown.stdout


async def test_the_command_line_of_an_authors_check_shows_its_failure(world: World) -> None:
    """A check is a command; its witness is that command on the head's tree, quoted as it has to be."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED}, base)
    script = "import calc, sys; print('it is', calc.mean([1, 2])); sys.exit(7)"
    checks = ({"id": "own", "command": ("python3", "-c", script)},)
    verdict = await world.prove(base, head, ClaimKind.FIX, checks=checks)
    assert verdict.status is VerdictStatus.REFUTED, verdict.reasons
    assert verdict.witness is not None
    assert "at the base" in verdict.witness.got
    shown = see_again(world, verdict)
    assert (shown.returncode, shown.stdout) == (7, "it is 1.5\n")


async def test_the_command_line_of_a_contradiction_shows_the_difference(world: World) -> None:
    """Where trees alone contradict a claim, git shows it."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED}, base)
    shown = see_again(world, await world.prove(base, head, ClaimKind.DOCS))
    assert shown.returncode == 0
    assert "-    return sum(values) / (len(values) + 1)" in shown.stdout


def test_a_path_that_its_author_named_executes_nothing(tmp_path: Path) -> None:
    """Somebody pastes the line that compares two trees; the file's name is a name there, whatever it holds."""
    path = ":(glob)it's $(touch made)`touch made`.py"
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path))
    subprocess.run([*git, "init", "-q"], check=True)
    made = []
    for text in ("1\n", "2\n"):
        (tmp_path / path).write_text(text)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", text], check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
        made.append(done.stdout.strip())
    draft = ClaimDraft(kind=ClaimKind.DOCS, statement="words")
    claim = Claim(id="c1", author="a", base=made[0], head=made[1], draft=draft)
    witness = bear_difference(claim, "0" * 40, path, expected="the same", got="another")
    environment = {**os.environ, "ASSAY_STORE": str(tmp_path / ".git")}
    shown = subprocess.run(
        witness.command, shell=True, check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "-1\n+2" in shown.stdout
    assert not (tmp_path / "made").exists()
