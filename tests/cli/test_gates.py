"""`assay gates`: the policy's gates over a change that exists already."""

from __future__ import annotations

import json

import pytest
from tests.cli.program import Project, call

KEY = "AKIA" + "IOSFODNN7EXAMPLR"


def test_gates_over_a_change(project: Project) -> None:
    """Each gate says its word; exit code 1 where one blocks, 3 where one asks, 0 where all pass; SARIF on request."""
    project.repository.commit(
        {"assay.toml": '[gates.keys]\nkind = "secrets"\non_failure = "block"\n[gates.size]\nmax_lines = 3\n'}
    )
    project.repository.commit({"a.py": f"x = 1\nKEY = '{KEY}'\n"})
    written = project.folder / "found.sarif"
    said = call("gates", "HEAD~1..HEAD", "--repo", project.repo, "--sarif", written)
    assert said.code == 1, said
    assert "block keys" in said.out
    assert "a.py:2: what looks like a secret (AWS Access Key)" in said.out
    assert "pass  size" in said.out
    (result,) = json.loads(written.read_text())["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("keys/AWS Access Key", "error")
    project.repository.commit({"b.py": "1\n2\n3\n4\n"})
    said = call("gates", "HEAD~1..HEAD", "--repo", project.repo, "--json")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert (said.code, [line["outcome"] for line in told if "reasons" in line]) == (3, ["pass", "ask"])
    assert told[-1]["outcomes"] == {"pass": 1, "block": 0, "ask": 1, "warn": 0}
    none = project.folder / "none.toml"
    none.write_text("")
    said = call("gates", "HEAD~1..HEAD", "--repo", project.repo, "--json", "--config", none)
    last = json.loads(said.out.splitlines()[-1])
    assert (said.code, last["gates"], bool(last["run"]), str(none) in last["source"]) == (0, 0, True, True)
    project.repository.commit({"b.py": "1\n"})
    assert call("gates", "HEAD~1..HEAD", "--repo", project.repo, "--set", "gates.size.max_lines = 3").code == 0
    assert call("runs").out.startswith("No runs yet")


def test_a_missing_scanner_stops_before_anything_starts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the gate and the extra that brings what it needs; nothing is recorded."""
    project.repository.commit({"assay.toml": '[gates.keys]\nkind = "secrets"\n'})
    project.repository.commit({"a.py": "x = 1\n"})
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "detect_secrets" else real(name))
    for arguments in (("gates", "HEAD~1..HEAD", "--repo", project.repo), project.arguments()):
        said = call(*arguments)
        assert said.code == 2, said
        assert "the gate 'keys' needs detect-secrets, which is not installed" in said.err
        assert "pip install 'assay[gates]'" in said.err
    assert call("runs").out.startswith("No runs yet")
