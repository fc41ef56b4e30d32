"""The git store: trees, commits, diffs, merges and refs on a real repository."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.repositories import UserRepository, plain_git

from assay.errors import InfrastructureError, RepositoryError, StoreCorrupt
from assay.records.trees import EXECUTABLE, GITLINK, REGULAR, SYMLINK, TreeFile, blob_id
from assay.store.git import GitStore, lay_over

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
AUTHOR = "assay coder <coder@assay.invalid>"


async def write_files(store: GitStore, files: Mapping[str, bytes]) -> str:
    """Write files as a tree and return its id."""
    tree = {path: TreeFile(REGULAR, blob_id(data)) for path, data in files.items()}
    return await store.write_tree(tree, {blob_id(data): data for data in files.values()})


async def test_adopted_commit_is_the_same_object_with_the_same_files(store: GitStore, repo: UserRepository) -> None:
    """Adopting keeps the commit's id, its tree and its bytes, and sets our ref."""
    commit = await store.adopt(repo.path, "main", "refs/runs/r1/base")
    assert commit == repo.git("rev-parse", "HEAD")
    assert await store.ref("refs/runs/r1/base") == commit
    tree = await store.tree(commit)
    assert sorted(tree) == ["README.md", "src/app.py"]
    assert store.contents.read(tree["README.md"].oid) == b"hello\n"
    assert await store.tree_id(commit) == repo.git("rev-parse", "HEAD^{tree}")
    plain_git(store.path, "fsck", "--strict")


async def test_trees_and_commits_are_those_that_git_makes(store: GitStore, repo: UserRepository) -> None:
    """A tree written here, with directories that sort oddly, a link and a program, has the id that git gives it."""
    (repo.path / "run").write_text("#!/bin/sh\n")
    (repo.path / "run").chmod(0o755)
    (repo.path / "link").symlink_to("README.md")
    commit = repo.commit({"a/x": "1", "a.b": "2", "a0": "3", "é/ü": "4", "new\nline": "5"})
    await store.adopt(repo.path, commit, "refs/runs/r/base")
    tree = await store.tree(commit)
    assert tree["run"].mode == EXECUTABLE
    assert tree["link"].mode == SYMLINK
    assert await store.write_tree(tree) == repo.git("rev-parse", "HEAD^{tree}")


async def test_same_commit_arguments_give_the_same_id_and_git_reads_it(store: GitStore) -> None:
    """A commit is a function of its arguments, and its header is as given."""
    tree = await write_files(store, {"a": b"1"})
    ids = {await store.commit_tree(tree, (), "Say é\n\nBody", author=AUTHOR, at=AT) for _ in range(2)}
    assert len(ids) == 1
    commit = ids.pop()
    assert plain_git(store.path, "log", "-1", "--format=%an|%ae|%ct|%s|%b", commit) == (
        f"assay coder|coder@assay.invalid|{int(AT.timestamp())}|Say é|Body"
    )
    other = await store.commit_tree(tree, (commit,), "again", author="X\n<y> <z@z>", at=AT)
    assert await store.parents(other) == (commit,)
    assert await store.message(other) == "again\n"
    plain_git(store.path, "fsck", "--strict")


@given(
    st.dictionaries(
        st.lists(
            st.text(st.characters(blacklist_characters="/\0", blacklist_categories=()), min_size=1, max_size=6).filter(
                lambda name: name not in {".", ".."}
            ),
            min_size=1,
            max_size=3,
        ).map("/".join),
        st.binary(max_size=20),
        max_size=8,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_tree_comes_back_as_it_went_in(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Any paths and contents survive writing and reading, or are refused for being file and directory at once."""
    encoded = {path for path in files if all(not 0xD800 <= ord(c) <= 0xDC7F and not ord(c) > 0xDCFF for c in path)}
    files = {path: data for path, data in files.items() if path in encoded or path.isascii()}
    files = {path: data for path, data in files.items() if not any("\ud800" <= c <= "\udfff" for c in path)}
    async with await GitStore.open(tmp_path / "git") as store:
        if any(path != other and other.startswith(path + "/") for path in files for other in files):
            with pytest.raises(RepositoryError):
                await write_files(store, files)
            return
        tree = await store.tree(await write_files(store, files))
        assert {path: store.contents.read(file.oid) for path, file in tree.items()} == files


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "../a", "a/./b", "a\0b", "x/" * 300 + "y"])
async def test_paths_that_a_tree_cannot_hold_are_refused(store: GitStore, path: str) -> None:
    """What is no path inside of a tree is refused before anything is written."""
    with pytest.raises(RepositoryError):
        await write_files(store, {path: b""})


async def test_a_tree_with_unknown_or_false_blobs_is_refused(store: GitStore) -> None:
    """A tree never names content that the store does not hold, nor content under another's id."""
    absent = blob_id(b"absent")
    with pytest.raises(StoreCorrupt, match="neither held"):
        await store.write_tree({"a": TreeFile(REGULAR, absent)}, {})
    with pytest.raises(StoreCorrupt, match="another id"):
        await store.write_tree({"a": TreeFile(REGULAR, absent)}, {absent: b"something else"})
    with pytest.raises(KeyError):
        store.contents.read(absent)


async def test_many_fresh_blobs_become_one_pack(store: GitStore) -> None:
    """A thousand new files are read back, and lie in a pack."""
    files = {f"d{n % 10}/f{n}": os.urandom(n % 3000) for n in range(1000)}
    tree = await store.tree(await write_files(store, files))
    assert {path: store.contents.read(file.oid) for path, file in tree.items()} == files
    assert len(list((store.path / "objects" / "pack").glob("*.pack"))) == 1


async def test_submodules_are_entries_without_content(store: GitStore, repo: UserRepository) -> None:
    """A gitlink is in the tree as what it is, survives writing, and cannot be read."""
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")
    repo.git("commit", "--quiet", "--message", "submodule")
    commit = await store.adopt(repo.path, "HEAD", "refs/runs/r/base")
    tree = await store.tree(commit)
    assert tree["vendored"] == TreeFile(GITLINK, "1" * 40)
    assert await store.write_tree(tree) == repo.git("rev-parse", "HEAD^{tree}")
    with pytest.raises(KeyError):
        store.contents.read("1" * 40)
    assert (await store.inspect(repo.path)).submodules == ("vendored",)


async def test_diff_shows_every_kind_of_change(store: GitStore) -> None:
    """Added, modified, deleted, renamed, retyped, made executable, binary and oddly named files are told apart."""
    text = b"".join(b"line %d\n" % n for n in range(20))
    old = {"mod": text, "gone": b"x\n", "old name": text * 2, "bin": b"\0\1", "kind": b"target", "mode": b"m\n"}
    new = {
        "mod": text.replace(b"line 3\n", b"LINE\nmore\n"),
        "new\nname": text * 2,
        "bin": b"\0\2",
        "add": b"no newline",
    }
    before = await write_files(store, old)
    after = await write_files(store, new)
    tree = dict(await store.tree(after))
    tree["kind"] = TreeFile(SYMLINK, blob_id(b"target"))
    tree["mode"] = TreeFile(EXECUTABLE, blob_id(b"m\n"))
    tree["b\udcff"] = TreeFile(REGULAR, await store.write_blob(b"latin \xff\n"))
    after = await store.write_tree(tree)
    changes = {change.path: change for change in await store.diff(before, after, context=0)}
    assert {path: change.status for path, change in changes.items()} == {
        "mod": "M",
        "gone": "D",
        "new\nname": "R",
        "bin": "M",
        "kind": "T",
        "mode": "M",
        "add": "A",
        "b\udcff": "A",
    }
    hunk = changes["mod"].hunks[0]
    assert (hunk.old_start, hunk.old_lines, hunk.new_start, hunk.new_lines) == (4, 1, 4, 2)
    assert hunk.text == "-line 3\n+LINE\n+more\n"
    assert (changes["mod"].added, changes["mod"].removed) == (2, 1)
    assert changes["new\nname"].old_path == "old name"
    assert changes["bin"].binary
    assert not changes["mod"].binary
    assert changes["mode"].new_mode == EXECUTABLE
    assert changes["gone"].new_oid is None
    assert changes["add"].old_path is None
    assert changes["add"].hunks[0].text == "+no newline\n\\ No newline at end of file\n"
    assert [hunk.text for hunk in changes["kind"].hunks] == [
        "-target\n\\ No newline at end of file\n",
        "+target\n\\ No newline at end of file\n",
    ]
    assert changes["b\udcff"].hunks[0].text == "+latin \udcff\n"
    assert "\\xff" in await store.patch_text(before, after)
    assert await store.diff(after, after) == ()


async def test_diff_of_content_that_looks_like_a_diff(store: GitStore) -> None:
    """Lines of a file that read as headers of a patch are lines."""
    trick = b"diff --git a/x b/x\n@@ -1 +1 @@\n--- a/x\n+++ b/x\n"
    before = await write_files(store, {"a": b"", "z": b"1\n"})
    after = await write_files(store, {"a": trick, "z": b"2\n"})
    first, second = await store.diff(before, after)
    assert first.hunks[0].text == "".join(f"+{line}\n" for line in trick.decode().splitlines())
    assert second.hunks[0].text == "-1\n+2\n"


async def test_merge_of_two_sides(store: GitStore) -> None:
    """Changes of different files meet; changes of one line are a conflict that is named."""
    base = await write_files(store, {"a": b"1\n", "b": b"1\n"})
    ours = await write_files(store, {"a": b"2\n", "b": b"1\n"})
    theirs = await write_files(store, {"a": b"1\n", "b": b"2\n", "c": b"new\n"})
    clean = await store.merge(base, ours, theirs)
    assert clean.conflicts == ()
    assert clean.tree == await write_files(store, {"a": b"2\n", "b": b"2\n", "c": b"new\n"})
    other = await write_files(store, {"a": b"3\n", "b": b"1\n"})
    conflict = await store.merge(base, ours, other)
    assert conflict.conflicts == ("a",)
    content = store.contents.read((await store.tree(conflict.tree))["a"].oid)
    assert content.startswith(b"<<<<<<<")


async def test_overlay_lets_the_upper_tree_have_its_way(store: GitStore) -> None:
    """Files of the upper tree replace and add; where one has a file and the other a directory, the upper one counts."""
    base = await write_files(store, {"keep": b"k", "same": b"old", "file": b"f", "dir/x": b"x"})
    over = await write_files(store, {"same": b"new", "file/in": b"i", "dir": b"d"})
    laid = await store.tree(await store.overlay(base, over))
    content = {path: store.contents.read(file.oid) for path, file in laid.items()}
    assert content == {"keep": b"k", "same": b"new", "file/in": b"i", "dir": b"d"}
    assert lay_over({}, laid) == laid


async def test_without_and_subtree(store: GitStore) -> None:
    """Paths are taken out, and a directory has a tree of its own."""
    tree = await write_files(store, {"tests/a": b"a", "src/b": b"b"})
    assert sorted(await store.tree(await store.without(tree, lambda path: path.startswith("tests/")))) == ["src/b"]
    assert sorted(await store.tree(await store.subtree(tree, "tests"))) == ["a"]
    with pytest.raises(RepositoryError, match="no directory"):
        await store.subtree(tree, "nowhere")


async def test_refs_are_set_listed_and_deleted_by_prefix(store: GitStore) -> None:
    """A prefix means whole components: deleting run `a` leaves run `ab`."""
    commit = await store.commit_tree(await write_files(store, {"a": b""}), (), "m", author=AUTHOR, at=AT)
    for name in ("refs/runs/a/base", "refs/runs/a/units/u1", "refs/runs/ab/base"):
        await store.set_ref(name, commit)
    assert await store.refs("refs/runs/a") == {"refs/runs/a/base": commit, "refs/runs/a/units/u1": commit}
    await store.delete_refs("refs/runs/a")
    assert await store.refs("refs/runs") == {"refs/runs/ab/base": commit}
    assert await store.ref("refs/runs/a/base") is None
    await store.delete_refs("refs/nothing")


async def test_units_that_work_at_once_do_not_disturb_each_other(store: GitStore) -> None:
    """Parallel trees, commits and refs, some of them the same, all arrive."""

    async def work(number: int) -> str:
        tree = await write_files(store, {f"d{number % 5}/f": b"%d" % (number % 5), "same": b"same"})
        commit = await store.commit_tree(tree, (), "m", author=AUTHOR, at=AT)
        await store.set_ref(f"refs/runs/r/u{number}", commit)
        await store.set_ref("refs/runs/r/last", commit)
        return commit

    commits = await asyncio.gather(*(work(number) for number in range(30)))
    assert len(set(commits)) == 5
    refs = await store.refs("refs/runs/r")
    assert {refs[f"refs/runs/r/u{number}"] for number in range(30)} == set(commits)
    plain_git(store.path, "fsck", "--strict")


async def test_a_lock_that_a_killed_git_left_is_overcome_and_a_fresh_one_is_not(store: GitStore) -> None:
    """A ref's lock of an hour ago does not stop a run for ever; one that somebody may hold does."""
    commit = await store.commit_tree(await write_files(store, {"a": b""}), (), "m", author=AUTHOR, at=AT)
    await store.set_ref("refs/runs/a", commit)
    lock = store.path / "refs" / "runs" / "a.lock"
    lock.write_text("")
    os.utime(lock, (0, 0))
    await store.set_ref("refs/runs/a", commit)
    assert not lock.exists()
    config = store.path / "config"
    config.write_text(config.read_text().replace("LockTimeout = 5000", "LockTimeout = 10"))
    lock.write_text("")
    with pytest.raises(InfrastructureError, match="File exists"):
        await store.set_ref("refs/runs/a", commit)


@pytest.mark.parametrize("name", ["main", "refs/../x", "refs/a..b", "refs/x.lock", "refs/a b", "-d", "refs/x\n"])
async def test_names_that_are_no_refs_are_refused(store: GitStore, name: str) -> None:
    """A name that git would read otherwise never reaches it."""
    with pytest.raises(RepositoryError):
        await store.ref(name)


async def test_garbage_is_collected_and_what_is_referenced_stays(store: GitStore) -> None:
    """Collecting keeps what refs lead to and what is young."""
    commit = await store.commit_tree(await write_files(store, {"a": b"kept"}), (), "m", author=AUTHOR, at=AT)
    await store.set_ref("refs/runs/a/base", commit)
    young = await store.write_blob(b"young")
    await store.collect_garbage()
    assert store.contents.read(young) == b"young"
    assert sorted(await store.tree(commit)) == ["a"]


async def test_reader_survives_the_death_of_its_process(store: GitStore) -> None:
    """When the process behind `contents` dies, the next read starts another."""
    oid = await store.write_blob(b"x" * 100_000)
    assert store.contents.read(oid) == b"x" * 100_000
    process = store._objects._process
    assert process is not None
    process.kill()
    process.wait()
    assert store.contents.read(oid) == b"x" * 100_000


async def test_closed_store_says_so(store: GitStore) -> None:
    """Reading after close is an error and starts nothing."""
    await store.close()
    with pytest.raises(StoreCorrupt, match="closed"):
        store.contents.read("0" * 40)


async def test_git_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program there is an error with the next step."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match="git"):
        await GitStore.open(tmp_path / "git")


async def test_git_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old program is refused by its version."""
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    with pytest.raises(InfrastructureError, match="too old"):
        await GitStore.open(tmp_path / "git")
