"""Adopting from every kind of repository that a user may have, and clear words for those that cannot be used."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.store.repositories import UserRepository, plain_git

from assay.errors import RepositoryError
from assay.store.git import GitStore

REF = "refs/assay/runs/r/base"


async def test_revisions_of_every_form_are_resolved(store: GitStore, repo: UserRepository) -> None:
    """Branch, tag, annotated tag, abbreviated id, HEAD~1, reflog and remote branch all name their commit."""
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit({"a": "1"}, "second")
    repo.git("tag", "light", first)
    repo.git("tag", "-a", "heavy", "-m", "tagged", first)
    repo.git("update-ref", "refs/remotes/origin/main", first)
    repo.git("pack-refs", "--all")
    for revision, commit in {
        "main": second,
        "HEAD": second,
        "HEAD~1": first,
        "HEAD^": first,
        second[:10]: second,
        "light": first,
        "heavy": first,
        "origin/main": first,
        "main@{1}": first,
        "refs/heads/main": second,
        ":/second": second,
    }.items():
        assert await store.adopt(repo.path, revision, REF) == commit, revision


async def test_a_path_inside_of_the_repository_will_do(store: GitStore, repo: UserRepository) -> None:
    """As with git, a subfolder, and the git directory itself, lead to the repository."""
    head = repo.git("rev-parse", "HEAD")
    assert await store.adopt(repo.path / "src", "HEAD", REF) == head
    assert await store.adopt(repo.path / ".git", "HEAD", REF) == head
    assert (await store.inspect(repo.path / "src")).path == str(repo.path)


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("mian", "no revision 'mian'\n  next: did you mean main?"),
        ("feature/login", "did you mean feature/log-in"),
        ("zzz", "it has feature/log-in, main"),
        ("0" * 40, "no revision"),
        ("", "'' is no revision"),
        ("--all", "'--all' is no revision"),
        ("main..HEAD", "no revision"),
        ("HEAD^{tree}", "is a tree, not a commit"),
        ("HEAD:README.md", "is a blob, not a commit"),
    ],
)
async def test_revisions_that_are_none_are_named(
    store: GitStore, repo: UserRepository, revision: str, message: str
) -> None:
    """The error quotes the revision and says what could have been meant."""
    repo.git("branch", "feature/log-in")
    with pytest.raises(RepositoryError) as caught:
        await store.adopt(repo.path, revision, REF)
    assert message in str(caught.value)
    assert caught.value.next_step
    assert await store.ref(REF) is None


async def test_places_that_are_no_repository(store: GitStore, tmp_path: Path) -> None:
    """A missing path, a plain directory, an empty repository and a broken work tree each say so."""
    with pytest.raises(RepositoryError, match="does not exist"):
        await store.adopt(tmp_path / "nowhere", "HEAD", REF)
    (tmp_path / "plain").mkdir()
    with pytest.raises(RepositoryError, match="is not in a git repository"):
        await store.adopt(tmp_path / "plain", "HEAD", REF)
    empty = UserRepository(tmp_path / "empty")
    with pytest.raises(RepositoryError, match="has no commits"):
        await store.adopt(empty.path, "HEAD", REF)
    facts = await store.inspect(empty.path)
    assert (facts.head, facts.branch, facts.dirty) == (None, "main", ())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(RepositoryError, match="does not lead to a git directory"):
        await store.adopt(tmp_path / "broken", "HEAD", REF)


async def test_sha256_and_reftable_are_named(store: GitStore, tmp_path: Path) -> None:
    """Formats that cannot be read are refused by name."""
    modern = UserRepository(tmp_path / "modern", "--object-format=sha256")
    modern.commit({"a": "1"})
    with pytest.raises(RepositoryError, match="SHA256"):
        await store.adopt(modern.path, "HEAD", REF)
    tables = UserRepository(tmp_path / "tables")
    tables.commit({"a": "1"})
    tables.git("config", "extensions.refStorage", "reftable", check=False)
    with pytest.raises(RepositoryError, match="reftable"):
        await store.inspect(tables.path)


async def test_configuration_that_does_not_parse(store: GitStore, repo: UserRepository) -> None:
    """A broken configuration file is an error with its place."""
    (repo.path / ".git" / "config").write_text("[core\n")
    with pytest.raises(RepositoryError, match="config cannot be read"):
        await store.adopt(repo.path, "HEAD", REF)


async def test_bare_shallow_and_linked_repositories(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """A bare clone, a shallow clone, a linked work tree and a clone with alternates give the same commit and files."""
    for number in range(3):
        repo.commit({"n": str(number)})
    head = repo.git("rev-parse", "HEAD")
    repo.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", str(tmp_path / "shallow"))
    repo.git("clone", "--quiet", "--shared", ".", str(tmp_path / "shared"))
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), head)
    for name in ("bare", "shallow", "shared", "linked"):
        async with await GitStore.open(tmp_path / "stores" / name) as fresh:
            assert await fresh.adopt(tmp_path / name, "HEAD", REF) == head
            assert sorted(await fresh.tree(head)) == ["README.md", "n", "src/app.py"]
            assert not (fresh.path / "objects" / "info" / "alternates").exists()
        facts = await store.inspect(tmp_path / name)
        assert (facts.bare, facts.shallow) == (name == "bare", name == "shallow")
        assert facts.head == head
        assert facts.dirty == (None if name == "bare" else ())
    (tmp_path / "linked" / "n").write_text("changed")
    assert (await store.inspect(tmp_path / "linked")).dirty == ("n",)


async def test_partial_clone_with_missing_files_is_named(store: GitStore, repo: UserRepository, tmp_path: Path) -> None:
    """Where blobs are missing the error says how to fetch them; nothing is fetched by itself."""
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git(
        "clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{repo.path}", str(tmp_path / "partial")
    )
    with pytest.raises(RepositoryError, match="partial clone") as caught:
        await store.adopt(tmp_path / "partial", "HEAD", REF)
    assert "--refetch --no-filter" in str(caught.value)
    facts = await store.inspect(tmp_path / "partial")
    assert facts.partial
    assert await store.ref(REF) is None


async def test_damaged_objects_are_named(store: GitStore, repo: UserRepository) -> None:
    """An object whose content is not what its name says does not come in."""
    oid = repo.git("rev-parse", "HEAD:README.md")
    loose = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    other = repo.git("hash-object", "-w", "--stdin", stdin=b"something else\n")
    loose.chmod(0o644)
    shutil.copyfile(repo.path / ".git" / "objects" / other[:2] / other[2:], loose)
    with pytest.raises(RepositoryError) as caught:
        await store.adopt(repo.path, "HEAD", REF)
    assert "missing" in str(caught.value) or "damaged" in str(caught.value)
    assert await store.ref(REF) is None


async def test_a_tree_with_one_name_twice_is_refused(store: GitStore, repo: UserRepository) -> None:
    """A tree object that git's own tools would not write does not come in, whatever it would look like."""
    one = bytes.fromhex(repo.git("hash-object", "-w", "--stdin", stdin=b"one"))
    two = bytes.fromhex(repo.git("hash-object", "-w", "--stdin", stdin=b"two"))
    raw = b"100644 a\0" + one + b"100644 a\0" + two
    tree = repo.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    commit = repo.git("commit-tree", tree, "-m", "twice")
    with pytest.raises(RepositoryError, match="duplicateEntries"):
        await store.adopt(repo.path, commit, REF)


async def test_awkward_names_and_contents_come_through(store: GitStore, repo: UserRepository) -> None:
    """Names that are not UTF-8, with line breaks and escapes, binary files and LFS pointers are kept byte for byte."""
    strange = os.fsdecode(b"caf\xe9.txt")
    files: dict[str, str | bytes] = {
        strange: b"latin \xe9",
        "line\nbreak": "1",
        'quote".txt': "2",
        "\x1b[31mred": "3",
        "tab\there": "4",
        "binary.bin": bytes(range(256)) * 10,
        "big.psd": "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n",
        ".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n",
    }
    head = repo.commit(files)
    assert await store.adopt(repo.path, "HEAD", REF) == head
    tree = await store.tree(head)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        assert store.contents.read(tree[name].oid) == data, name
    facts = await store.inspect(repo.path)
    assert facts.lfs
    assert facts.dirty == ()


async def test_twenty_thousand_files_come_in_within_seconds(store: GitStore, tmp_path: Path) -> None:
    """A large tree is adopted, read, changed and written in times that a person does not notice."""
    large = UserRepository(tmp_path / "large")
    stream = [b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 1\nx\n"]
    for number in range(20_000):
        content = b"def f_%d():\n    return %d\n" % (number, number)
        stream.append(b"M 100644 inline pkg%d/mod%d.py\ndata %d\n%s\n" % (number % 300, number, len(content), content))
    large.git("fast-import", "--quiet", stdin=b"".join(stream))
    started = time.perf_counter()
    commit = await store.adopt(large.path, "main", REF)
    tree = await store.tree(commit)
    assert len(tree) == 20_000
    assert await store.write_tree(tree) == await store.tree_id(commit)
    assert time.perf_counter() - started < 60


async def test_history_since_a_held_commit_comes_too(store: GitStore, repo: UserRepository) -> None:
    """With `since`, descent and the meeting point of two lines are known; the rest of history stays out."""
    repo.commit({"old": "1"})
    base = repo.commit({"base": "1"})
    await store.adopt(repo.path, base, "refs/assay/x/base")
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit({"side": "1"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"more": "1"})
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    tip = repo.git("rev-parse", "HEAD")
    other = repo.git("commit-tree", repo.git("rev-parse", "HEAD^{tree}"), "-m", "unrelated")
    assert await store.adopt(repo.path, "main", "refs/assay/x/tip", since=base) == tip
    assert await store.is_ancestor(base, tip)
    assert await store.is_ancestor(side, tip)
    assert not await store.is_ancestor(tip, base)
    assert await store.merge_base(side, tip) == side
    await store.adopt(repo.path, other, "refs/assay/x/other", since=base)
    assert not await store.is_ancestor(base, other)
    assert await store.merge_base(base, other) is None
    assert "first" not in plain_git(store.path, "log", "--format=%s", tip)


async def test_a_tip_that_was_adopted_alone_is_joined_to_history_later(store: GitStore, repo: UserRepository) -> None:
    """What was cut off for want of parents is whole again once the parents are there."""
    base = repo.git("rev-parse", "HEAD")
    middle = repo.commit({"a": "1"})
    tip = repo.commit({"a": "2"})
    for number, commit in enumerate((base, middle, tip)):
        await store.adopt(repo.path, commit, f"refs/assay/x/{number}")
    assert await store.is_ancestor(base, tip), "all three are held, so their relation is known"
    assert not (store.path / "shallow").exists()


async def test_adopting_at_the_same_time_from_several_processes(repo: UserRepository, tmp_path: Path) -> None:
    """Many adoptions into one store at once all succeed, and the store is sound."""
    commits = [repo.commit({"n": str(number)}) for number in range(6)]
    program = (
        "import asyncio, sys; from pathlib import Path; from assay.store.git import GitStore\n"
        "async def main():\n"
        "    async with await GitStore.open(Path(sys.argv[1])) as store:\n"
        "        await store.adopt(Path(sys.argv[2]), sys.argv[3], 'refs/assay/x/' + sys.argv[3])\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "git"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(path), str(repo.path), commit)
        for commit in commits
    ]
    assert [await process.wait() for process in processes] == [0] * len(commits)
    async with await GitStore.open(path) as store:
        assert set((await store.refs("refs/assay/x")).values()) == set(commits)
        for commit in commits:
            assert "n" in await store.tree(commit)
    plain_git(path, "fsck", "--strict")


async def test_dirty_work_tree_is_reported_and_left_alone(store: GitStore, repo: UserRepository) -> None:
    """Changed, staged, deleted and untracked files are told; index and files stay as they were, byte for byte."""
    repo.write({".gitignore": "ignored\n"})
    repo.commit({"gone": "x", "staged": "x"})
    (repo.path / "gone").unlink()
    repo.write({"README.md": "changed\n", "staged": "y", "new/file": "n", "ignored": "i", "sp ace": "s"})
    repo.git("add", "staged")
    index = (repo.path / ".git" / "index").read_bytes()
    facts = await store.inspect(repo.path)
    assert facts.dirty is not None
    assert sorted(facts.dirty) == ["README.md", "gone", "staged"]
    assert facts.untracked is not None
    assert sorted(facts.untracked) == ["new/", "sp ace"]
    assert facts.unknown == ""
    assert (repo.path / ".git" / "index").read_bytes() == index
    assert (repo.path / "README.md").read_text() == "changed\n"
    head = await store.adopt(repo.path, "HEAD", REF)
    assert store.contents.read((await store.tree(head))["README.md"].oid) == b"hello\n"


async def test_a_change_within_the_second_of_the_index_is_seen(store: GitStore, repo: UserRepository) -> None:
    """A file of the same size and time as in the index is compared by content, as git does when both are as young."""
    repo.git("config", "core.trustctime", "false")
    file, index = repo.path / "README.md", repo.path / ".git" / "index"
    os.utime(file, (1_000_000_000, 1_000_000_000))
    repo.git("add", "README.md")
    os.utime(index, (1_000_000_000, 1_000_000_000))
    file.write_text("HELLO\n")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert (await store.inspect(repo.path)).dirty == ("README.md",)


async def test_files_of_another_user_are_read(store: GitStore, repo: UserRepository) -> None:
    """Who owns the repository does not matter for reading it, since nothing in it is obeyed: git's guard for
    directories of other users protects from their configuration, which is not read here.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    for path in [repo.path, *repo.path.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    with pytest.raises(AssertionError, match="dubious ownership"):
        repo.git("status")
    assert (await store.inspect(repo.path)).dirty == ()
    await store.adopt(repo.path, "HEAD", REF)


async def test_unreadable_repository_is_named(tmp_path: Path, repo: UserRepository) -> None:
    """Without permission there is an error with the next step, from another user's process."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    program = (
        "import asyncio, concurrent.futures.thread, git, os, sys; from pathlib import Path\n"
        "from assay.errors import RepositoryError; from assay.store.git import GitStore\n"
        "os.setgroups([]); os.setgid(12345); os.setuid(12345)\n"
        "async def main():\n"
        "    async with await GitStore.open(Path(sys.argv[1])) as store:\n"
        "        try:\n"
        "            await store.adopt(Path(sys.argv[2]), 'HEAD', 'refs/x')\n"
        "        except RepositoryError as error:\n"
        "            print(error)\n"
        "asyncio.run(main())\n"
    )
    state = tmp_path / "other"
    state.mkdir()
    os.chown(state, 12345, 12345)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    (repo.path / ".git" / "objects").chmod(0o700)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(state / "git"), str(repo.path)],
        capture_output=True,
        check=False,
        cwd="/",
    )
    assert b"readable for the user that runs assay" in done.stdout, done.stderr.decode()
