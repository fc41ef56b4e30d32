"""Repositories that try to have their programs run, or to have something else judged than what is there.

Each trick has a negative control: plain git, in the same repository, falls for it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.store.repositories import UserRepository, plain_git

from assay.store.git import GitStore

AT = datetime(2026, 2, 3, tzinfo=UTC)
REF = "refs/assay/runs/r/base"
HOOKS = (
    "applypatch-msg commit-msg fsmonitor-watchman post-applypatch post-checkout post-commit post-merge post-receive "
    "post-rewrite post-update pre-applypatch pre-auto-gc pre-commit pre-merge-commit pre-push pre-rebase pre-receive "
    "prepare-commit-msg proc-receive push-to-checkout reference-transaction sendemail-validate update "
    "post-index-change"
)


class Trap:
    """A repository full of programs, each of which leaves a file when it runs."""

    def __init__(self, root: Path) -> None:
        self.canaries = root / "canaries"
        self.canaries.mkdir(parents=True)
        self.repo = UserRepository(root / "home" / "repo")

    def program(self, name: str, then: str = "cat") -> str:
        """Return the path of a program that leaves a canary."""
        path = self.canaries.parent / f"run-{name}"
        path.write_text(f"#!/bin/sh\ntouch {self.canaries}/{name}\n{then}\n")
        path.chmod(0o755)
        return str(path)

    def sprung(self) -> set[str]:
        """Return the programs that ran."""
        return {path.name for path in self.canaries.iterdir()}


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    """Every trick that a repository's own files and configuration allow, in one."""
    made = Trap(tmp_path / "trap")
    repo = made.repo
    repo.commit({"README.md": "one\n", "src/a.txt": "a\nb\nc\n", "sub/file": "x"})
    repo.write({".gitattributes": "* filter=evil diff=evil merge=evil\n"})
    repo.write({".gitmodules": f'[submodule "sub"]\n path = sub\n url = x\n update = !{made.program("submodule")}\n'})
    repo.commit({"README.md": "two\n"}, "second")
    git_dir = repo.path / ".git"
    for hook in HOOKS.split():
        (git_dir / "hooks" / hook).unlink(missing_ok=True)
        (git_dir / "hooks" / hook).symlink_to(made.program(f"hook-{hook}", "exit 0"))
    for key, name in {
        "core.fsmonitor": "fsmonitor",
        "diff.external": "external",
        "diff.evil.command": "diff-command",
        "diff.evil.textconv": "textconv",
        "filter.evil.clean": "clean",
        "filter.evil.smudge": "smudge",
        "merge.evil.driver": "merge",
        "core.alternateRefsCommand": "alternates",
        "uploadpack.packObjectsHook": "upload-pack",
        "core.sshCommand": "ssh",
        "core.pager": "pager",
        "credential.helper": "credential",
        "gpg.program": "gpg",
    }.items():
        repo.git("config", key, made.program(name))
    (git_dir / "more").write_text(f'[core]\n\tfsmonitor = "{made.program("included")}"\n')
    repo.git("config", "include.path", "more")
    repo.git("config", "remote.lazy.url", f"ext::{made.program('promisor')}")
    repo.git("config", "remote.lazy.promisor", "true")
    repo.git("config", "core.logAllRefUpdates", "always")
    for path in made.canaries.iterdir():  # the set-up itself springs some
        path.unlink()
    return made


def snapshot(root: Path) -> dict[str, tuple[int, str]]:
    """Return mode and digest of every file below a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink() or path.is_file():
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found[name] = (path.lstat().st_mode, hashlib.sha256(data).hexdigest())
    return found


async def use_everything(store: GitStore, repo: Path) -> str:
    """Do all that assay does with a repository, from looking at it to delivering a branch; return the commit."""
    await store.inspect(repo)
    old = await store.adopt(repo, "HEAD~1", "refs/assay/runs/r/old")
    base = await store.adopt(repo, "HEAD", REF, since=old)
    await store.diff(old, base)
    await store.patch_text(old, base)
    await store.merge(old, base, old)
    await store.is_ancestor(old, base)
    tree = dict(await store.tree(base))
    tree["new"] = tree["README.md"]
    commit = await store.commit_tree(await store.write_tree(tree), (base,), "work", author="a <b@c>", at=AT)
    assert not await store.branch_exists(repo, "assay/work")
    await store.deliver(commit, repo, "assay/work")
    await store.deliver(commit, repo, "assay/work")
    await store.collect_garbage()
    return commit


async def test_nothing_of_the_repository_runs_and_nothing_of_it_changes(store: GitStore, trap: Trap) -> None:
    """Looking, adopting, comparing, merging and delivering spring no trap; only objects and one ref are new."""
    repo = trap.repo
    repo.write({"README.md": "dirty\n", "untracked": "u"})
    before = snapshot(repo.path)
    commit = await use_everything(store, repo.path)
    assert trap.sprung() == set()
    after = snapshot(repo.path)
    new = {name for name in after if name not in before}
    assert {name: after[name] for name in before} == before
    assert all(name.startswith((".git/objects/pack/", ".git/refs/heads/assay/work")) for name in new), new
    assert (repo.path / ".git" / "refs" / "heads" / "assay" / "work").read_text().strip() == commit
    assert plain_git(repo.path, "-c", "core.fsmonitor=false", "rev-parse", "assay/work^{tree}")


def test_plain_git_falls_for_it(trap: Trap) -> None:
    """Negative control: the usual commands in the same repository run its programs."""
    repo = trap.repo
    repo.write({"README.md": "dirty\n"})
    repo.git("status", check=False)
    assert trap.sprung() & {"fsmonitor", "included"}
    repo.git("diff", check=False)
    repo.git("-c", "core.fsmonitor=false", "log", "-p", "--ext-diff", check=False)
    repo.git("-c", "core.fsmonitor=false", "commit", "--all", "--message", "x", check=False)
    repo.git("-c", "core.fsmonitor=false", "checkout", "--force", "HEAD~1", check=False)
    repo.git("branch", "other", check=False)
    expected = {
        "diff-command",
        "clean",
        "smudge",
        "hook-pre-commit",
        "hook-post-checkout",
        "hook-reference-transaction",
    }
    assert expected <= trap.sprung()


async def test_receiving_hooks_do_not_run_and_a_push_runs_them(store: GitStore, trap: Trap, tmp_path: Path) -> None:
    """Delivery is no push: pre-receive, update and post-receive stay silent. A push is the negative control."""
    await use_everything(store, trap.repo.path)
    assert trap.sprung() == set()
    trap.repo.git("clone", "--quiet", "--bare", "--config", "core.fsmonitor=false", ".", str(tmp_path / "clone"))
    plain_git(tmp_path / "clone", "push", "--quiet", str(trap.repo.path), "HEAD~1:refs/heads/pushed")
    assert {"hook-pre-receive", "hook-update", "hook-post-receive"} <= trap.sprung()


async def test_a_submodule_with_a_trap_is_not_entered(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """`git status` goes into submodules and obeys their configuration; looking at the repository here does not."""
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {canary}\n")
    program.chmod(0o755)
    inner = UserRepository(repo.path / "vendored")
    commit = inner.commit({"a": "1"})
    inner.git("config", "core.fsmonitor", str(program))
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendored")
    repo.git("commit", "--quiet", "--message", "submodule")
    canary.unlink(missing_ok=True)
    assert (await store.inspect(repo.path)).submodules == ("vendored",)
    assert not canary.exists()
    repo.git("status")
    assert canary.exists(), "negative control: plain git goes in"


async def test_the_users_own_configuration_does_not_count(
    store: GitStore, trap: Trap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither `~/.gitconfig` nor any GIT_ variable changes what happens here."""
    home = tmp_path / "evilhome"
    (home / ".config" / "git").mkdir(parents=True)
    text = f"[core]\n\thooksPath = {trap.repo.path}/.git/hooks\n\tfsmonitor = {trap.program('global')}\n"
    text += f"[diff]\n\texternal = {trap.program('global-diff')}\n\tnoprefix = true\n[user]\n\tname = Mallory\n"
    (home / ".gitconfig").write_text(text)
    (home / ".config" / "git" / "attributes").write_text("* -diff\n")
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_EXTERNAL_DIFF": trap.program("variable-diff"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.external",
        "GIT_CONFIG_VALUE_0": trap.program("counted"),
        "GIT_CONFIG_PARAMETERS": f"'diff.external={trap.program('parameters')}'",
        "GIT_DIR": str(trap.repo.path / ".git"),
        "GIT_WORK_TREE": str(trap.repo.path),
        "GIT_INDEX_FILE": "/nowhere",
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(tmp_path / "others"),
        "GIT_NAMESPACE": "elsewhere",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_TEMPLATE_DIR": str(tmp_path),
        "GIT_ATTR_SOURCE": "HEAD",
        "GIT_SHALLOW_FILE": "/nowhere",
        "GIT_GRAFT_FILE": "/nowhere",
        "GIT_REPLACE_REF_BASE": "refs/heads/",
    }.items():
        monkeypatch.setenv(name, value)
    commit = await use_everything(store, trap.repo.path)
    assert trap.sprung() == set()
    assert not (tmp_path / "trace").exists()
    assert not (tmp_path / "objects").exists()
    change = (await store.diff((await store.parents(commit))[0], commit))[0]
    assert change.hunks, "attributes of the user that call everything binary are not read"


async def test_replace_refs_and_grafts_change_nothing(store: GitStore, repo: UserRepository) -> None:
    """What is judged is the commit that has the id, and not what the repository puts in its place."""
    real = repo.commit({"src/app.py": "real\n"})
    fake = repo.commit({"src/app.py": "fake\n"})
    repo.git("reset", "--quiet", "--hard", real)
    repo.git("replace", real, fake)
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "grafts").write_text(f"{real}\n")
    assert repo.git("show", f"{real}:src/app.py") == "fake", "negative control: plain git shows the other one"
    assert repo.git("rev-list", "--count", "HEAD") != "2"
    commit = await store.adopt(repo.path, "HEAD", REF)
    assert commit == real
    assert store.contents.read((await store.tree(commit))["src/app.py"].oid) == b"real\n"
    assert len(await store.parents(commit)) == 1
    base = await store.adopt(repo.path, "HEAD~1", "refs/assay/runs/r/before")
    assert await store.is_ancestor(base, commit)


async def test_filters_do_not_hide_what_is_in_the_files(store: GitStore, repo: UserRepository) -> None:
    """A clean filter that makes any file look unchanged is not run: the change is told, with the doubt."""
    (repo.path / ".git" / "original").write_text("hello\n")
    repo.git("config", "filter.lie.clean", f"cat {repo.path}/.git/original")
    repo.commit({".gitattributes": "README.md filter=lie\n"})
    repo.write({"README.md": "evil!\n"})
    facts = await store.inspect(repo.path)
    assert facts.dirty == ("README.md",)
    assert "1 of them are under a filter" in facts.unknown
    assert repo.git("status", "--porcelain") == "", "negative control: plain git believes the filter"


async def test_index_tricks_do_not_matter(store: GitStore, repo: UserRepository) -> None:
    """assume-unchanged and skip-worktree hide a change from the report, and never reach what is judged; a broken index
    makes the report unknown and nothing else.
    """
    repo.git("update-index", "--assume-unchanged", "README.md")
    repo.write({"README.md": "changed\n"})
    await store.inspect(repo.path)
    commit = await store.adopt(repo.path, "HEAD", REF)
    assert store.contents.read((await store.tree(commit))["README.md"].oid) == b"hello\n"
    (repo.path / ".git" / "index").write_bytes(b"DIRC rubbish")
    facts = await store.inspect(repo.path)
    assert facts.dirty is None
    assert "could not be compared" in facts.unknown
    assert facts.head == commit


async def test_alternates_of_the_repository_are_not_kept(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """Objects come from where the repository's alternates lead, are hashed again, and do not depend on them later."""
    repo.git("clone", "--quiet", "--shared", ".", str(tmp_path / "borrower"))
    commit = await store.adopt(tmp_path / "borrower", "HEAD", REF)
    (repo.path / ".git").rename(tmp_path / "gone")
    assert store.contents.read((await store.tree(commit))["README.md"].oid) == b"hello\n"
    assert not (store.path / "objects" / "info" / "alternates").exists()


async def test_an_object_under_a_false_name_is_found_out(store: GitStore, repo: UserRepository) -> None:
    """An object file with the content of another does not get that one judged."""
    good = repo.git("rev-parse", "HEAD:README.md")
    evil = repo.git("hash-object", "-w", "--stdin", stdin=b"evil!\n")
    loose = repo.path / ".git" / "objects"
    content = (loose / evil[:2] / evil[2:]).read_bytes()
    (loose / good[:2] / good[2:]).chmod(0o644)
    (loose / good[:2] / good[2:]).write_bytes(content)
    facts = await store.inspect(repo.path)
    assert facts.head
    with pytest.raises(Exception, match=r"missing|damaged"):
        await store.adopt(repo.path, "HEAD", REF)
    assert await store.ref(REF) is None
