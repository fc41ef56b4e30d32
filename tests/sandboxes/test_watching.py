"""Changes that are found by watching: none is missed, however a command makes it, and nothing else is looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import docker
import pytest

from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK, TreeFile
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox

pytestmark = pytest.mark.docker

MAKE = """
import os
for n in range(1600):
    os.makedirs(f"d{n // 100}", exist_ok=True)
    open(f"d{n // 100}/f{n}", "w").write(str(n))
"""

TRUTH = """
import hashlib, json, os
tree = {}
for folder, names, files in os.walk("."):
    names[:] = [name for name in names if name != ".git"]
    for name in files + [name for name in names if os.path.islink(f"{folder}/{name}")]:
        path = os.path.relpath(f"{folder}/{name}")
        link = os.path.islink(path)
        data = os.readlink(path).encode() if link else open(path, "rb").read()
        mode = 0 if link else os.stat(path).st_mode & 0o100
        tree[path] = [link, mode, hashlib.sha1(b"blob %d\\0" % len(data) + data).hexdigest()]
print(json.dumps(tree))
"""

BEGIN = """
import ctypes, mmap, os, shutil
libc = ctypes.CDLL(None, use_errno=True)
def exchange(one, other):
    assert libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0
def write(path, text="changed"):
    with open(path, "w") as file: file.write(text)
def same_length(path):
    was = os.stat(path)
    write(path, "x" * was.st_size)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
def through_memory(path):
    was = os.stat(path)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0]
        memory[0:1] = bytes([memory[0] ^ 1])
    now = os.stat(path)
    assert (was.st_mtime_ns, was.st_ctime_ns, was.st_ino) == (now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
a, b, c = "d1/f100", "d2/f200", "d3/f300"
"""

WAYS = {
    "written": "write(a)",
    "written, its size and times as before": "same_length(b)",
    "cut by its name": "os.truncate(a, 1)",
    "written through memory": """
with open(c, "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as memory: memory[0:1] = b"m"
""",
    "written through memory that was read before": "through_memory(c)",
    "so, under a second name": "os.link(b, 'd9/mapped'); through_memory('d9/mapped')",
    "so, with the second name there": "through_memory('d9/mapped')",
    "the second name is gone again": "os.unlink('d9/mapped')",
    "so, where one looks at everything": "through_memory(c); os.mkdir('new')",
    "so, where git has been": "os.mkdir('.git'); through_memory(c)",
    "so, where git is": "through_memory(b)",
    "git is gone": "shutil.rmtree('.git')",
    "so, with more events than are kept": """
through_memory(c)
for n in range(20000): os.utime(f"d1{n % 2}/f1{n % 2}50")
""",
    "made executable": "os.chmod(b, 0o755)",
    "made, and removed": "write('d1/new'); os.unlink(c)",
    "moved, and moved over": "os.rename(a, 'd1/moved'); os.rename('d1/new', b)",
    "exchanged": "write(c, 'third'); exchange(b, c)",
    "a link, and another target": """
os.symlink('f101', 'd1/link'); os.symlink('f102', 'd1/l'); os.rename('d1/l', 'd1/link')
""",
    "written under a second name": "os.link(b, 'd9/second'); write('d9/second', 'under a second name')",
    "the second name is gone": "write('d9/second', 'again'); os.unlink('d9/second')",
    "the second name came and went": "os.link(b, 'd4/x'); write('d4/x', 'came and went'); os.unlink('d4/x')",
    "the second name was moved over": """
os.link(b, 'd4/x'); write('d4/x', 'over'); write('d4/y'); os.rename('d4/y', 'd4/x')
""",
    "the second name was moved, and gone": """
os.link(b, 'd4/z'); write('d4/z', 'moved, gone'); os.rename('d4/z', 'd5/z'); os.unlink('d5/z')
""",
    "the second name was exchanged": """
os.link(b, 'd4/t'); exchange('d4/t', c); write(c, 'exchanged, gone'); os.unlink(c)
""",
    "the second name was in a directory that is gone": """
os.mkdir('gone'); os.link(b, 'gone/b'); write('gone/b', 'in a directory'); shutil.rmtree('gone')
""",
    "the second name is where nobody looks": """
os.mkdir('.git'); os.link(b, '.git/b'); write('.git/b', 'not looked at')
""",
    "again there": "write('.git/b', 'not looked at again')",
    "back from there": "shutil.rmtree('.git')",
    "a directory moved": "os.rename('d6', 'd1/d6'); write('d1/d6/f600')",
    "written where it was moved to": "write('d1/d6/f601')",
    "a directory for a file": "os.unlink('d7/f700'); os.mkdir('d7/f700'); write('d7/f700/file')",
    "a file for a directory": "shutil.rmtree('d7/f700'); write('d7/f700')",
    "everything read, one written": """
for n in range(800, 1600): open(f"d{n // 100}/f{n}").read()
write('d8/f800')
""",
    "more events than are kept": """
for n in range(20000): os.utime(f"d1{n % 2}/f1{n % 2}50")
write('d10/f1001')
""",
    "many made": "for n in range(4100): write(f'd11/many{n}', str(n))",
    "and removed": "for n in range(4100): os.unlink(f'd11/many{n}')",
}


@pytest.fixture
async def grown() -> AsyncIterator[Sandbox]:
    """A sandbox with some thousand files."""
    async with DockerProvider() as provider:
        profile, owner = SandboxProfile(image="assay-sandbox/python:latest"), SandboxOwner(run="watching", role="w")
        async with await provider.open(profile, owner) as sandbox:
            assert (await sandbox.run(["python3", "-c", MAKE])).ok
            await sandbox.take_tree()
            yield sandbox


async def truth(sandbox: Sandbox) -> dict[str, TreeFile]:
    """Return the tree as a command sees it."""
    result = await sandbox.run(["python3", "-c", TRUTH])
    assert result.ok, result.stderr.text
    told: dict[str, Any] = json.loads(result.stdout.data)
    return {
        path: TreeFile(SYMLINK if link else EXECUTABLE if mode else REGULAR, oid)
        for path, (link, mode, oid) in told.items()
    }


async def test_no_change_is_missed(grown: Sandbox) -> None:
    """Each way of changing a file shows in the next tree, also one that hides behind a second name of it."""
    for name, way in WAYS.items():
        await grown.take_tree()  # what looking for the truth has touched is looked at here
        ran = await grown.run(["python3", "-c", BEGIN + way], output_limit=100_000)
        assert ran.ok, (name, ran.stderr.text)
        taken = await grown.take_tree()
        assert taken.tree == await truth(grown), name


THROUGH_MEMORY = BEGIN + "through_memory('d/x')"


async def test_what_was_put_is_not_believed(provider: DockerProvider, owner: SandboxOwner) -> None:
    """What a command writes through memory to a file that was just put shows, in the first tree and in later ones."""
    async with await provider.open(SandboxProfile(image="python"), owner) as sandbox:
        blobs = Blobs()
        tree = {"d/x": blobs.file(b"0"), "d/y": blobs.file(b"0")}
        for other in (b"2", b"4"):
            await sandbox.put_tree(tree, blobs)
            assert (await sandbox.run(["python3", "-c", THROUGH_MEMORY])).ok
            assert (await sandbox.take_tree()).tree == {**tree, "d/x": blobs.file(b"1")}
            tree = {**tree, "e" + other.decode(): blobs.file(other)}
        await sandbox.put_tree(tree, blobs)
        assert (await sandbox.run(["python3", "-c", THROUGH_MEMORY])).ok
        await sandbox.put_tree(tree, blobs)
        assert (await sandbox.run("cat d/x")).stdout.data == b"0"


HOLD = """
import mmap, os, sys, time
with open("d1/f150", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    open("d0/ready", "w")
    if "read" in sys.argv: memory[0]
    while not os.path.exists("d0/go"): time.sleep(0.01)
    memory[0:1] = b"w"
    if "stay" in sys.argv:
        open("d0/written", "w")
        while not os.path.exists("d0/end"): time.sleep(0.01)
"""


async def wait_for(sandbox: Sandbox, path: str) -> None:
    """Wait until a command has made a file."""
    while True:
        try:
            await sandbox.read(path)
            return
        except FileNotFoundError:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["", "read", "read stay"])
async def test_a_command_that_goes_on_is_not_missed(grown: Sandbox, how: str) -> None:
    """What a command has opened before a tree is put, and writes through memory afterwards, shows in the next tree."""
    tree, blobs = (await grown.take_tree()).tree, Blobs()
    running = asyncio.ensure_future(grown.run(["python3", "-c", HOLD, *how.split()]))
    await wait_for(grown, "d0/ready")
    await grown.put_tree({**tree, "d0/go": blobs.file(b"")}, blobs)
    if "stay" in how:
        await wait_for(grown, "d0/written")
        assert (await grown.take_tree()).tree["d1/f150"] != tree["d1/f150"]
        await grown.write("d0/end", b"")
    assert (await running).ok
    taken = (await grown.take_tree()).tree
    assert taken["d1/f150"] != tree["d1/f150"]
    assert taken == await truth(grown)


def cpu_of(client: docker.DockerClient, sandbox: Sandbox) -> int:
    """Return the nanoseconds of CPU that a sandbox has used."""
    stats: dict[str, Any] = client.api.stats(sandbox.id, stream=False, one_shot=True)
    return int(stats["cpu_stats"]["cpu_usage"]["total_usage"])


async def test_what_did_not_change_is_not_looked_at(grown: Sandbox) -> None:
    """A small change costs a fraction of what a look at everything does, which a new directory makes necessary."""
    client = docker.from_env()
    many = "import os\nos.mkdir('many')\nfor n in range(8000): open(f'many/{n}', 'w').close()"
    assert (await grown.run(["python3", "-c", many])).ok
    used: dict[str, list[int]] = {"echo $n > d1/f100": [], "mkdir e$n": []}
    try:
        for number in range(5):
            for command, times in used.items():
                await grown.run(f"n={number}; {command}")
                before = cpu_of(client, grown)
                await grown.take_tree()
                times.append(cpu_of(client, grown) - before)
    finally:
        client.close()
    small, whole = (min(times) for times in used.values())
    assert small < whole / 2, used
