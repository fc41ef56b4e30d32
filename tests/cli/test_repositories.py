"""Target repositories of every kind: what can be worked on is, and what cannot is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli.program import PLAN, PRICES, TESTS, Project, call
from tests.store.repositories import UserRepository

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"

pytestmark = pytest.mark.docker


def test_a_repository_that_is_missing(project: Project, tmp_path: Path) -> None:
    """A path that leads nowhere, or to no repository, is a mistake of usage; nothing is recorded."""
    (tmp_path / "plain").mkdir()
    for path, message in ((tmp_path / "nowhere", "does not exist"), (tmp_path / "plain", "is not in a git repository")):
        for arguments in (["run", project.ticket, "--model", project.script(PLAN)], ["check", "a..b"], ["init"]):
            said = call(*arguments, "--repo", path)
            assert said.code == 2
            assert f"{path} {message}" in said.err
            assert "  next: " in said.err
    assert call("runs", "--json").out == ""


def test_an_empty_repository(project: Project, tmp_path: Path) -> None:
    """Without a commit there is nothing to begin from."""
    empty = UserRepository(tmp_path / "empty")
    said = call("run", project.ticket, "--repo", empty.path, "--model", project.script(PLAN), "--json")
    assert said.code == 2
    assert said.result["error"] == "RepositoryError"
    assert "has no commits" in said.result["message"]
    assert said.result["next"] == "commit something in it first"


def test_a_base_that_does_not_exist(project: Project) -> None:
    """The revision is quoted, and what could have been meant is named; by option and by ticket."""
    project.repository.git("branch", "release-1")
    said = call(*project.arguments(), "--base", "relaese-1")
    assert said.code == 2
    assert "has no revision 'relaese-1'" in said.err
    assert "did you mean release-1?" in said.err
    project.ticket.write_text("---\ntitle: x\nbase: nope\n---\n")
    assert "has no revision 'nope'" in call(*project.arguments()).err
    for revisions in ("nope..main", "main..nope"):
        said = call("check", revisions, "--repo", project.repo)
        assert said.code == 2
        assert "has no revision 'nope'" in said.err
    assert call("runs", "--json").out == ""


@pytest.mark.parametrize("revisions", ["main", "..main", "main...x", ""])
def test_a_range_that_is_none(project: Project, revisions: str) -> None:
    """`assay check` says how a range is written."""
    said = call("check", revisions, "--repo", project.repo)
    assert said.code == 2
    assert f"{revisions!r} is no range" in said.err
    assert "write BASE..HEAD" in said.err


def test_bare_and_shallow_repositories_are_worked_on(project: Project, tmp_path: Path) -> None:
    """A bare clone and one without history get as far as any other."""
    project.repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    project.repository.commit({"more": "1"})
    project.repository.git("clone", "--quiet", "--depth=1", f"file://{project.repo}", str(tmp_path / "shallow"))
    for name in ("bare", "shallow"):
        model = project.script({"ls": {"path": "/workspace"}}, {"say": "", "expect": "prices.py", "call": PLAN})
        said = call("run", project.ticket, "--repo", tmp_path / name, "--model", model, "--json")
        assert (said.code, said.result["status"]) == (75, "parked"), said


def test_what_is_awkward_in_a_repository_does_not_hinder_a_proof(project: Project) -> None:
    """Submodules, LFS pointers, binary files and names that are not UTF-8 come into the sandbox as they are."""
    repository = project.repository
    awkward: dict[str, str | bytes] = {
        os.fsdecode(b"caf\xe9.txt"): b"latin \xe9",
        "line\nbreak": "1",
        "\x1b[31mred": "2",
        "binary.bin": bytes(range(256)) * 40,
        "big.psd": LFS,
        ".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n",
        ".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib\n',
    }
    checks = (
        "from pathlib import Path\n\n\ndef test_all_is_here() -> None:\n"
        "    here = Path(__file__).parents[1]\n"
        f"    assert (here / 'binary.bin').read_bytes() == bytes(range(256)) * 40\n"
        f"    assert (here / 'big.psd').read_text() == {LFS!r}\n"
        "    assert b'caf\\xe9.txt' in [p.name.encode(errors='surrogateescape') for p in here.iterdir()]\n"
        "    assert (here / 'line\\nbreak').read_text() == '1'\n"
    )
    repository.commit({**awkward, "tests/test_all.py": checks})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib")
    repository.git("commit", "--quiet", "-m", "a submodule")
    changed = project.change("words", {"README.md": "words", os.fsdecode(b"docs/na\xefve.md"): b"\xef"})
    before = repository.git("status", "--porcelain", "-z")
    said = call("check", changed, "--repo", project.repo, "--json")
    assert (said.code, said.result["verdict"]) == (0, "proven"), said.err
    assert "\x1b" not in said.err
    assert repository.git("status", "--porcelain", "-z") == before


def test_twenty_thousand_files(project: Project, tmp_path: Path) -> None:
    """A large tree is adopted, travels into a sandbox, and is seen there."""
    large = UserRepository(tmp_path / "large")
    stream = [b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 1\nx\n"]
    files = {f"pkg{n % 300}/mod{n}.py": f"def f_{n}():\n    return {n}\n" for n in range(20_000)}
    for name, content in {**files, "prices.py": PRICES, "tests/test_prices.py": TESTS}.items():
        stream.append(f"M 100644 inline {name}\ndata {len(content)}\n{content}\n".encode())
    large.git("fast-import", "--quiet", stdin=b"".join(stream))
    count = {"execute": {"command": "find . -name 'mod*.py' | wc -l"}}
    model = project.script(count, {"expect": "20000", "call": PLAN})
    said = call("run", project.ticket, "--repo", large.path, "--model", model, "--json")
    assert (said.code, said.result["status"]) == (75, "parked"), said


def test_uncommitted_changes_are_told_of_and_left_alone(project: Project) -> None:
    """A dirty work tree is named, is no part of the run, and is as it was afterwards."""
    names = ["prices.py", "tests/test_prices.py"]
    for name in names:
        (project.repo / name).write_text("half finished [bold]\n")
    (project.repo / "[red]new\x1b[31m").write_text("untracked")
    before = project.repository.git("status", "--porcelain", "-z")
    model = project.script(
        {"read_file": {"file_path": "/workspace/prices.py"}}, {"expect": "Return the price after", "call": PLAN}
    )
    said = call(*project.arguments(model))
    assert said.code == 75, said
    assert "not committed, so left out and left alone: prices.py, tests/test_prices.py" in said.err
    assert project.repository.git("status", "--porcelain", "-z") == before
    assert (project.repo / "prices.py").read_text() == "half finished [bold]\n"


def test_paths_of_the_users_own(project: Project, tmp_path: Path) -> None:
    """Repository, state and ticket may lie under names that are not UTF-8, or that a terminal or rich would obey."""
    folder = tmp_path / os.fsdecode(b"caf\xe9 [red]\x1b[31m\n")
    folder.mkdir()
    repo, state, ticket = folder / "prices", folder / "state", folder / "ticket.md"
    project.repo.rename(repo)
    project.ticket.rename(ticket)
    arguments: list[str | Path] = ["run", ticket, "--repo", repo, "--model", project.script(PLAN), "--state", state]
    said = call(*arguments, "--json")
    assert (said.code, said.result["status"]) == (75, "parked"), said
    run = said.result["run"]
    assert said.out.isascii()
    for plain in (
        call("runs", "--state", state),
        call("show", run, "--state", state),
        call("resume", run, "--state", state),
    ):
        assert plain.code in (0, 75), plain
        assert "\x1b" not in plain.out + plain.err
    shown = call("show", run, "--state", state).out
    assert "Report: " in shown
    assert "caf[0xE9] [red][ESC][31m" in shown


def test_the_state_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde in ASSAY_STATE, which a shell left alone, is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ASSAY_STATE", "~/mine")
    monkeypatch.chdir(tmp_path)
    assert call("runs").code == 0
    assert (tmp_path / "mine" / "version").is_file()
    assert not (tmp_path / "~").exists()
