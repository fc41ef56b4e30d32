"""The demonstration as a person sees it: `examples/demo/run.sh`, with real Docker, from ticket to branch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DEMO = Path(__file__).parents[2] / "examples" / "demo"


def demonstrate(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration without a terminal, with a state directory of its own."""
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ASSAY_STATE": str(folder / "state"),
        "TMPDIR": str(folder),
        **variables,
    }
    return subprocess.run(
        ["bash", DEMO / "run.sh", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )


def git(repo: str, *command: str) -> str:
    """Run git in the target repository and return what it prints."""
    return subprocess.run(["git", "-C", repo, *command], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.docker
def test_the_demonstration_ends_with_a_proven_branch(tmp_path: Path) -> None:
    """A claim is refuted and mended, a doubt executed, both decisions come from the file, and a branch is there."""
    done = demonstrate(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    entries: list[dict[str, Any]] = [line["entry"] for line in lines if "entry" in line]
    result = lines[-1]
    assert (result["status"], result["verdict"]) == ("delivered", "proven")
    verdicts = {e["body"]["claim"]: e["body"]["status"] for e in entries if e["kind"] == "verdict.given"}
    assert verdicts == {"shares.1": "refuted", "shares.2": "proven", "amounts.1": "proven", "whole.1": "proven"}
    assert [e["body"]["outcome"] for e in entries if e["kind"] == "doubt.examined"] == ["dispelled"]
    decisions = [e["body"]["decision"] for e in entries if e["kind"] == "decision.made"]
    assert [(d["question"].split(":")[0], d["type"], d["via"]) for d in decisions] == [
        ("plan", "approve", "file:decisions.yaml"),
        ("delivery", "approve", "file:decisions.yaml"),
    ]
    repo = re.findall(r"the repository that it is about is in (.*)", done.stderr)[0]
    assert len(git(repo, "rev-list", f"main..{result['branch']}").split()) == 2
    assert git(repo, "rev-parse", result["branch"]) == result["head"]
    assert git(repo, "status", "--porcelain") == ""
    assert "proven (level B)" in done.stderr
    page = Path(result["report"]).read_text()
    assert "refuted, mended" in page


@pytest.mark.docker
@pytest.mark.parametrize("how", ["the variant", "taken out by hand"])
def test_without_the_fix_the_demonstration_ends_with_exit_1(tmp_path: Path, how: str) -> None:
    """The coder insists, execution does not: nothing is delivered, and the run says which requirement is broken."""
    script = DEMO / "script-without-fix.yaml"
    if how == "taken out by hand":
        whole = yaml.safe_load((DEMO / "script.yaml").read_text())
        whole["script"] = [part for part in whole["script"] if part.get("attempt") != 2]
        script = tmp_path / "script.yaml"
        script.write_text(yaml.safe_dump(whole))
    done = demonstrate(tmp_path, "--model", f"scripted:{script}")
    assert done.returncode == 1, done.stderr
    assert "shares-fair" in done.stderr
    repo = re.findall(r"the repository that it is about is in (.*)", done.stderr)[0]
    assert git(repo, "branch", "--list", "assay/*") == ""
