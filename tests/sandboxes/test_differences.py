"""A tree that is asked for by its differences is the tree that is there."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from assay.records.sandboxes import Limits, SandboxOwner, SandboxProfile
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK, Tree, TreeFile, blob_id
from assay.sandboxes import frames, transfer
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox
from assay.sandboxes.supervised import SupervisedSandbox

pytestmark = pytest.mark.docker

NAMES = ["a", "b", "c", "dir", "dir/a", "dir/b", "dir/deep/a", "caf\udce9"]
ACTS = {
    "write": "open_parents(p); open(p, 'w').write(t)",
    "same size and time": "s = os.stat(p); open(p, 'r+').write(t[:1]); os.utime(p, ns=(s.st_atime_ns, s.st_mtime_ns))",
    "remove": "os.path.isdir(p) and not os.path.islink(p) and shutil.rmtree(p) or os.unlink(p)",
    "mode": "os.path.isdir(p) or os.chmod(p, os.stat(p).st_mode ^ 0o111)",
    "rename": "open_parents(q); os.rename(p, q)",
    "link": "open_parents(p); os.symlink('a', p)",
    "directory": "os.makedirs(p)",
}
ACT = """
import os, shutil, sys
what, p, q, t = sys.argv[1:]
def open_parents(path): os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
try: exec(what)
except OSError: pass
"""
LOOK = """
import hashlib, json, os
found = {}
for folder, folders, names in os.walk(b"."):
    for name in names + folders:
        path = os.path.join(folder, name)
        if os.path.islink(path): mode, data = 0o120000, os.readlink(path)
        elif os.path.isdir(path): continue
        else: mode, data = (0o100755 if os.stat(path).st_mode & 0o100 else 0o100644), open(path, "rb").read()
        oid = hashlib.sha1(b"blob %d\\0" % len(data) + data).hexdigest()
        found[os.fsdecode(path[2:])] = (mode, oid)
print(json.dumps(found))
"""


class Blobs(dict[str, bytes]):
    """Contents by id."""

    def read(self, oid: str) -> bytes:
        return self[oid]

    def add(self, data: bytes, mode: int = REGULAR) -> TreeFile:
        self[blob_id(data)] = data
        return TreeFile(mode, blob_id(data))


async def look(sandbox: Sandbox) -> Tree:
    """Return the tree as a program in the sandbox sees it."""
    result = await sandbox.run(["python3", "-c", LOOK])
    assert result.ok, result.stderr.text
    return {path: TreeFile(*pair) for path, pair in json.loads(result.stdout.data).items()}


async def change(sandbox: Sandbox, chance: random.Random) -> None:
    """Do one thing to the tree, from inside."""
    what, one, other = chance.choice(list(ACTS.values())), chance.choice(NAMES), chance.choice(NAMES)
    result = await sandbox.run(["python3", "-c", ACT, what, one, other, chance.choice(["x\n", "y\n", "longer\n"])])
    assert result.ok, result.stderr.text


async def put_another(sandbox: Sandbox, chance: random.Random, tree: Tree, blobs: Blobs) -> None:
    """Put a tree that differs from the last one in some paths."""
    other = {path: file for path, file in tree.items() if chance.random() < 0.7}
    path, file = (
        "put/" + chance.choice("abc"),
        blobs.add(b"put %d" % chance.randrange(9), chance.choice([REGULAR, EXECUTABLE])),
    )
    await sandbox.put_tree({**other, path: file}, blobs)


@pytest.mark.parametrize("seed", range(3))
async def test_differences_add_up(sandbox: Sandbox, seed: int) -> None:
    """After any series of changes from inside and from outside, what is taken is what a program in there sees."""
    chance = random.Random(seed)
    blobs = Blobs()
    await sandbox.put_tree({"a": blobs.add(b"a"), "dir/b": blobs.add(b"b"), "link": blobs.add(b"a", SYMLINK)}, blobs)
    for _ in range(25):
        for _ in range(chance.randrange(3)):
            await change(sandbox, chance)
        taken = await sandbox.take_tree()
        blobs |= taken.fresh
        assert taken.tree == await look(sandbox)
        if chance.random() < 0.4:
            await put_another(sandbox, chance, taken.tree, blobs)


async def test_only_differences_are_answered(sandbox: SupervisedSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five hundred files, two that changed are answered, and one that went: nothing of the others.

    One that was written is answered twice: what was known of its content is void, and it is there.
    """
    blobs = Blobs()
    await sandbox.put_tree({f"d/{number}": blobs.add(b"%d" % number) for number in range(500)}, blobs)
    await sandbox.run("true")
    await sandbox.take_tree()
    answers: list[list[bytes]] = []
    decode = frames.decode_lines

    def decode_and_keep(answer: bytes) -> list[bytes]:
        answers.append(decode(answer))
        return answers[-1]

    monkeypatch.setattr(transfer, "decode_lines", decode_and_keep)
    await sandbox.run("echo changed > d/7; rm d/9; echo new > e")
    first = await sandbox.take_tree()
    await sandbox.run("echo again > d/7; rm d/8")
    second = await sandbox.take_tree()
    assert (len(first.tree), len(second.tree)) == (500, 499)
    assert [answer[0] for answer in answers] == [b"~", b"~"]
    paths = [sorted(line.split(b" ")[-1] for line in answer[1:]) for answer in answers]
    assert paths == [[b"-d/7", b"-d/9", b"d/7", b"e"], [b"-d/7", b"-d/8", b"d/7"]]
    assert second.tree["d/7"].oid == blob_id(b"again\n")


async def test_what_was_put_is_not_taken_for_known(sandbox: SupervisedSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a host that does not say what it put would believe in files that are gone."""
    blobs = Blobs()
    tree = {"a": blobs.add(b"a")}
    root = "/tmp/other"  # the workspace is looked at after each put

    async def lose_what_was_put() -> bool:
        await sandbox.put_tree({**tree, "b": blobs.add(b"b")}, blobs, root=root)
        await sandbox.run(f"rm {root}/b")
        seen = "b" in (await sandbox.take_tree(root=root)).tree  # the listing before that it was put never had it
        await sandbox.put_tree(tree, blobs, root=root)
        await sandbox.run("true")
        await sandbox.take_tree(root=root)
        return seen

    await sandbox.put_tree(tree, blobs, root=root)
    await sandbox.run("true")
    await sandbox.take_tree(root=root)
    assert not await lose_what_was_put()
    monkeypatch.setattr(transfer, "_encode_list", _without_what_was_put(transfer._encode_list))
    assert await lose_what_was_put()


def _without_what_was_put(encode: Callable[..., bytes]) -> Callable[..., bytes]:
    def encode_less(root: str, view: Any, number: int) -> bytes:
        view.touched.clear()
        return encode(root, view, number)

    return encode_less


async def test_a_listing_that_cannot_be_kept_is_answered_whole(provider: DockerProvider, owner: SandboxOwner) -> None:
    """Two trees take turns in the place where listings are kept, and both stay right."""
    profile = SandboxProfile(held_out=True, limits=Limits(memory_mb=1024))
    async with await provider.open(profile, owner) as sandbox:
        blobs = Blobs()
        tree = {"x": blobs.add(b"x")}
        for root in ("/held_out", "/tmp/other", "/held_out"):
            await sandbox.put_tree(tree, blobs, root=root)
            await sandbox.run(f"echo y > {root}/y")
            assert set((await sandbox.take_tree(root=root)).tree) == {"x", "y"}
            await sandbox.run(f"rm {root}/y")
            assert set((await sandbox.take_tree(root=root)).tree) == {"x"}
