"""Which layers are in force, where they are read from, and what each may name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.app.test_egress import repository

from assay.app.configuration import Around, look_up_policy
from assay.errors import ConfigurationError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No grant and no policy of the machine that the test runs on."""
    monkeypatch.setenv("ASSAY_EGRESS", str(tmp_path / "egress.toml"))
    monkeypatch.delenv("ASSAY_POLICY", raising=False)


async def test_files_are_relative_to_the_layer_that_names_them(tmp_path: Path) -> None:
    """The organisation's prompt lies beside its file, the repository's in the repository."""
    repo = repository(tmp_path / "repo", '[agents.coder]\nprompt = "coder.md"\n')
    (tmp_path / "org").mkdir()
    org = tmp_path / "org" / "policy.toml"
    org.write_text('[agents.tester]\nprompt = "tester.md"\nmodel = "scripted:turns.yaml"\n')
    found = await look_up_policy(repo, None, root=tmp_path / "state", around=Around(organisation=org))
    assert found.settings.role("coder").prompt == str(repo / "coder.md")
    assert found.settings.role("tester").prompt == str(tmp_path / "org" / "tester.md")
    assert found.settings.role("tester").model == f"scripted:{tmp_path}/org/turns.yaml"
    assert found.source.endswith(f"within {org}")


async def test_rules_of_a_gate_are_relative_to_the_layer_that_names_each(tmp_path: Path) -> None:
    """Lists of rules add up, and each item keeps the folder of who said it; an absolute one stays."""
    repo = repository(tmp_path / "repo", '[gates.s]\nkind = "security"\nrules = ["own.yaml", "/abs.yaml"]\n')
    org = tmp_path / "policy.toml"
    org.write_text('[gates.s]\nkind = "security"\nrules = ["theirs"]\n')
    found = await look_up_policy(repo, None, root=tmp_path / "state", around=Around(organisation=org))
    assert found.settings.gates["s"].rules == (str(tmp_path / "theirs"), str(repo / "own.yaml"), "/abs.yaml")
    alone = await look_up_policy(repo, None, root=tmp_path / "state")
    assert alone.settings.gates["s"].rules == (str(repo / "own.yaml"), "/abs.yaml")


async def test_what_the_organisation_names_it_grants(tmp_path: Path) -> None:
    """A repository needs no grant of a person's for a way out within the organisation's; for another one it does."""
    org = tmp_path / "org.toml"
    org.write_text('[sandboxes."*".egress]\nallow = ["*.example.org:443"]\n')
    around = Around(organisation=org)
    repo = repository(tmp_path / "repo", '[sandboxes.net.egress]\nallow = ["a.example.org:443"]\n')
    found = await look_up_policy(repo, None, root=tmp_path / "state", around=around)
    assert found.settings.sandbox("net").egress.allow == ("a.example.org:443",)
    assert not found.settings.sandbox("default").egress.granted
    with pytest.raises(ConfigurationError, match="cannot grant itself a way out"):
        await look_up_policy(repo, None, root=tmp_path / "state")
    wide = repository(tmp_path / "wide", '[sandboxes.net.egress]\nallow = ["pypi.org:443"]\n')
    with pytest.raises(ConfigurationError, match=r"egress\.allow = .* loosens what .*org\.toml:2:1 says"):
        await look_up_policy(wide, None, root=tmp_path / "state", around=around)
    text = '[sandboxes.net.egress]\nallow = ["a.example.org:443"]\nnetworks = ["10.0.0.0/8"]\n'
    private = repository(tmp_path / "private", text)
    with pytest.raises(ConfigurationError, match="cannot grant itself a way out"):
        await look_up_policy(private, None, root=tmp_path / "state", around=around)


async def test_an_inferred_runner_gives_way(tmp_path: Path) -> None:
    """What is told from a repository's files is no attempt to loosen what the organisation says."""
    repo = repository(tmp_path / "repo", "")
    (repo / "package.json").write_text('{"scripts": {"test": "node --test"}}')
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (["rm", "-q", "assay.toml"], ["add", "."], [*author, "commit", "-qm", "two"]):
        subprocess.run(["git", *command], cwd=repo, check=True)
    org = tmp_path / "org.toml"
    org.write_text('[paths]\ntests = ["spec/"]\n')
    found = await look_up_policy(repo, None, root=tmp_path / "state", around=Around(organisation=org))
    assert (found.settings.project.runner, found.settings.paths.tests) == ("node", ("spec/",))
    assert found.settings.sandbox("default").image == "node"
    assert found.policy.origin(("project", "runner")) == "built-in defaults for node"


async def test_a_policy_that_cannot_be_read_is_no_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done without the organisation's file where one is named."""
    repo = repository(tmp_path / "repo", "")
    monkeypatch.setenv("ASSAY_POLICY", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigurationError, match=r"gone\.toml cannot be read"):
        await look_up_policy(repo, None, root=tmp_path / "state")
