"""Delivering a branch into the user's repository."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from small_disks import remount, small_disk
from tests.store.repositories import UserRepository

from assay.errors import AssayError, DiskFull, InfrastructureError, RepositoryError
from assay.records.trees import REGULAR, TreeFile
from assay.store.git import GitStore

AT = datetime(2026, 2, 3, tzinfo=UTC)


async def work(store: GitStore, repo: UserRepository, units: int = 2) -> str:
    """Adopt HEAD and put a commit for each unit on top of it; return the last."""
    commit = await store.adopt(repo.path, "HEAD", "refs/assay/runs/r/base")
    for number in range(units):
        tree = dict(await store.tree(commit))
        tree[f"unit{number}.txt"] = TreeFile(REGULAR, await store.write_blob(b"%d\n" % number))
        commit = await store.commit_tree(
            await store.write_tree(tree), (commit,), f"unit {number}", author="assay <assay@example.org>", at=AT
        )
    return commit


async def test_branch_arrives_with_one_commit_per_unit(store: GitStore, repo: UserRepository) -> None:
    """The branch is there with history and files, plain git can check it out, and nothing else moved."""
    repo.write({"README.md": "dirty\n"})
    repo.git("stash", "push", "--quiet")
    repo.write({"README.md": "dirty again\n"})
    head, stash = repo.git("rev-parse", "HEAD"), repo.git("rev-parse", "stash@{0}")
    commit = await work(store, repo)
    await store.deliver(commit, repo.path, "assay/work")
    assert await store.branch_exists(repo.path, "assay/work")
    assert repo.git("log", "--format=%s", "assay/work").splitlines() == ["unit 1", "unit 0", "first"]
    assert repo.git("rev-parse", "assay/work^{tree}") == await store.tree_id(commit)
    assert (repo.git("rev-parse", "HEAD"), repo.git("rev-parse", "stash@{0}")) == (head, stash)
    assert repo.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert repo.git("status", "--porcelain") == "M README.md"
    repo.git("fsck", "--strict", "--no-dangling")
    repo.git("checkout", "--quiet", "--force", "assay/work")
    assert (repo.path / "unit1.txt").read_text() == "1\n"


async def test_delivering_again_changes_nothing(store: GitStore, repo: UserRepository) -> None:
    """The same commit at the same branch is done already, even when it is checked out or packed by then."""
    commit = await work(store, repo)
    await store.deliver(commit, repo.path, "assay/work")
    packs = list((repo.path / ".git" / "objects" / "pack").iterdir())
    await store.deliver(commit, repo.path, "assay/work")
    assert list((repo.path / ".git" / "objects" / "pack").iterdir()) == packs
    repo.git("checkout", "--quiet", "assay/work")
    repo.git("pack-refs", "--all")
    repo.git("gc", "--quiet")
    await store.deliver(commit, repo.path, "assay/work")


async def test_half_a_delivery_is_finished(store: GitStore, repo: UserRepository) -> None:
    """Objects without the branch, as a kill leaves them, do not stand in the way."""
    commit = await work(store, repo)
    await store.deliver(commit, repo.path, "assay/work")
    repo.git("update-ref", "-d", "refs/heads/assay/work")
    await store.deliver(commit, repo.path, "assay/work")
    assert repo.git("rev-parse", "assay/work") == commit


async def test_a_branch_at_another_commit_is_not_moved(store: GitStore, repo: UserRepository) -> None:
    """What somebody has put there stays, and the error says where it is."""
    commit = await work(store, repo)
    repo.git("branch", "assay/work")
    with pytest.raises(RepositoryError, match="has a branch assay/work already") as caught:
        await store.deliver(commit, repo.path, "assay/work")
    assert "git branch -m" in str(caught.value)
    assert repo.git("rev-parse", "assay/work") == repo.git("rev-parse", "main")


async def test_a_branch_that_leads_to_another_is_not_followed(store: GitStore, repo: UserRepository) -> None:
    """A symbolic ref of that name is not written through: main stays where it is."""
    commit = await work(store, repo)
    repo.git("symbolic-ref", "refs/heads/assay/work", "refs/heads/elsewhere")
    with pytest.raises(RepositoryError, match="already, at refs/heads/elsewhere"):
        await store.deliver(commit, repo.path, "assay/work")
    assert repo.git("symbolic-ref", "refs/heads/assay/work") == "refs/heads/elsewhere"
    assert repo.git("rev-parse", "--verify", "elsewhere", check=False) == ""


@pytest.mark.parametrize("linked", [False, True])
async def test_a_branch_that_is_checked_out_is_refused(
    store: GitStore, repo: UserRepository, tmp_path: Path, linked: bool
) -> None:
    """Making a branch under the feet of a work tree that waits for its first commit there would change its status."""
    commit = await work(store, repo)
    place = repo.path
    if linked:
        place = tmp_path / "linked"
        repo.git("worktree", "add", "--quiet", "--detach", str(place))
    subprocess.run(["git", "-C", place, "symbolic-ref", "HEAD", "refs/heads/assay/work"], check=True)
    with pytest.raises(RepositoryError, match="is checked out"):
        await store.deliver(commit, repo.path, "assay/work")


async def test_names_in_the_way(store: GitStore, repo: UserRepository) -> None:
    """A branch `assay` leaves no room for `assay/work`; the error says so."""
    commit = await work(store, repo)
    repo.git("branch", "assay")
    with pytest.raises(RepositoryError, match="cannot be made"):
        await store.deliver(commit, repo.path, "assay/work")


@pytest.mark.parametrize(
    "name", ["", "-x", "a..b", "a/.b", "a.lock", "a b", "a\n", "a~1", "HEAD", "../x", "a/", "@{u}"]
)
async def test_names_that_are_no_branch(store: GitStore, repo: UserRepository, name: str) -> None:
    """Names that git would not take are refused before anything is sent."""
    commit = await work(store, repo)
    with pytest.raises(RepositoryError, match="no name for a branch"):
        await store.deliver(commit, repo.path, name)


async def test_links_among_the_refs_are_not_written_through(
    store: GitStore, repo: UserRepository, tmp_path: Path
) -> None:
    """A directory of refs that is a link to somewhere else gets no file written there."""
    commit = await work(store, repo)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (repo.path / ".git" / "refs" / "heads" / "assay").symlink_to(elsewhere)
    with pytest.raises(RepositoryError, match="is a link"):
        await store.deliver(commit, repo.path, "assay/work")
    assert list(elsewhere.iterdir()) == []


async def test_bare_and_linked_repositories_receive(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """A bare clone and a linked work tree take a branch as any other."""
    repo.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    commit = await work(store, repo)
    await store.deliver(commit, tmp_path / "bare", "assay/bare")
    await store.deliver(commit, tmp_path / "linked", "assay/linked")
    assert repo.git("rev-parse", "assay/linked") == commit
    assert repo.git("--git-dir", str(tmp_path / "bare"), "rev-parse", "assay/bare") == commit


async def test_shallow_repository_receives(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """A branch on the one commit of a shallow clone arrives and is sound."""
    repo.commit({"more": "1"})
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", str(tmp_path / "shallow"))
    commit = await work(store, repo)
    await store.deliver(commit, tmp_path / "shallow", "assay/work")
    assert repo.git("-C", str(tmp_path / "shallow"), "rev-parse", "assay/work") == commit
    repo.git("-C", str(tmp_path / "shallow"), "fsck", "--no-dangling")


async def test_a_repository_without_the_base_is_refused(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """A branch whose base is not there would be broken; nothing is written."""
    commit = await work(store, repo)
    other = UserRepository(tmp_path / "other")
    other.commit({"unrelated": "x"})
    with pytest.raises(RepositoryError, match="does not hold the commit"):
        await store.deliver(commit, other.path, "assay/work")
    assert not list((other.path / ".git" / "objects" / "pack").iterdir())


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "a/.GIT/config", "git~1/config", ".git"])
async def test_paths_that_would_become_configuration_are_not_delivered(
    store: GitStore, repo: UserRepository, path: str
) -> None:
    """The last door: a tree that a checkout could turn into hooks or configuration does not get out."""
    base = await store.adopt(repo.path, "HEAD", "refs/assay/runs/r/base")
    tree = {path: TreeFile(REGULAR, await store.write_blob(b"evil"))}
    commit = await store.commit_tree(await store.write_tree(tree), (base,), "m", author="a <b>", at=AT)
    with pytest.raises(InfrastructureError, match="hasDotgit"):
        await store.deliver(commit, repo.path, "assay/work")
    assert not await store.branch_exists(repo.path, "assay/work")


async def test_new_files_belong_to_the_owner_of_the_repository(store: GitStore, repo: UserRepository) -> None:
    """Root, in a container, leaves nothing that the repository's owner could not remove."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    commit = await work(store, repo)
    for path in [repo.path, *repo.path.rglob("*")]:
        os.chown(path, 12345, 12346, follow_symlinks=False)
    await store.deliver(commit, repo.path, "assay/work")
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in repo.path.rglob("*")}
    assert owners == {(12345, 12346)}


async def test_full_disk_is_named(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """A repository on a full disk gives DiskFull, and no branch."""
    commit = await work(store, repo, units=1)
    tree = dict(await store.tree(commit))
    tree["large"] = TreeFile(REGULAR, await store.write_blob(os.urandom(3_000_000)))
    large = await store.commit_tree(await store.write_tree(tree), (commit,), "large", author="a <b>", at=AT)
    with small_disk(tmp_path / "small", "1m") as small:
        repo.git("clone", "--quiet", "--bare", ".", str(small / "bare"))
        with pytest.raises(DiskFull):
            await store.deliver(large, small / "bare", "assay/work")
        assert not await store.branch_exists(small / "bare", "assay/work")
        assert not list((small / "bare" / "objects").glob("tmp_*"))
        await store.deliver(commit, small / "bare", "assay/small")
        remount(small, "ro")
        with pytest.raises(AssayError, match="Read-only file system") as caught:
            await store.deliver(large, small / "bare", "assay/work")
        assert "writable" in str(caught.value.next_step)
