"""Trees in and out: whole ones, and what changed."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Mapping

from benchmarks.sandbox_measures.commands import OWNER, time_of
from benchmarks.sandbox_measures.tables import Table, milliseconds

from assay.records.sandboxes import Limits, SandboxProfile
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox

CHANGED = 5
SIZES = {
    "2,000 files, 20 MB": (2_000, 10_000),
    "20,000 files, 20 MB": (20_000, 1_000),
    "20,000 files, 500 MB": (20_000, 25_000),
}
ROOM = Limits(memory_mb=1200, workspace_mb=700)


class Blobs(dict[str, bytes]):
    """Contents by id."""

    def read(self, oid: str) -> bytes:
        return self[oid]

    def add(self, data: bytes) -> TreeFile:
        """Hold content, and return a file of it."""
        self[blob_id(data)] = data
        return TreeFile(REGULAR, blob_id(data))


def make_tree(files: int, size: int) -> tuple[dict[str, TreeFile], Blobs]:
    """Return a tree of files of random bytes, twenty to a directory."""
    blobs, chance = Blobs(), random.Random(1)
    tree = {f"src/p{n // 400:03}/m{n // 20 % 20:02}/f{n}.py": blobs.add(chance.randbytes(size)) for n in range(files)}
    return tree, blobs


async def measure(image: str, *, rounds: int) -> list[Table]:
    """Return the table of trees."""
    table = Table(
        f"Trees; changes of {CHANGED} files, medians of {rounds}",
        [
            "",
            "in, whole",
            "out, whole",
            f"{CHANGED} files out, after a command",
            f"{CHANGED} files in",
            "nothing changed, in",
        ],
    )
    for name, (files, size) in SIZES.items():
        tree, blobs = make_tree(files, size)
        profile = SandboxProfile(image=image, limits=ROOM if files * size > 100_000_000 else Limits())
        async with DockerProvider() as provider:
            async with await provider.open(profile, OWNER) as sandbox:
                put = await time_of(sandbox.put_tree(tree, blobs))
                out, into = await _changes(sandbox, tree, blobs, rounds)
                same = await time_of(sandbox.put_tree((await sandbox.take_tree()).tree, blobs))
            taken = await _take_whole(provider, profile, files, size)
        small = files == 2_000
        table.add(
            name,
            table.goal(put, 0.3, "s") if small else f"{put:.2f} s",
            table.goal(taken, 0.3, "s") if small else f"{taken:.2f} s",
            table.goal(milliseconds(out), 30, "ms"),
            table.goal(milliseconds(into), 30, "ms"),
            f"{same * 1e3:.1f} ms",
        )
    return [table]


async def _changes(sandbox: Sandbox, tree: Tree, blobs: Blobs, rounds: int) -> tuple[list[float], list[float]]:
    """Time taking what a command changed, and putting a tree that differs, by turns."""
    out, into = [], []
    names = sorted(tree)
    current: Mapping[str, TreeFile] = tree
    await sandbox.run(["true"])
    await sandbox.take_tree()
    for number in range(rounds):
        paths = [names[(number * 997 + n * 101) % len(names)] for n in range(CHANGED)]
        await sandbox.run(["sh", "-c", 'n=$1; shift; for f; do echo "$n" > "$f"; done', "sh", str(number), *paths])
        began = time.perf_counter()
        taken = await sandbox.take_tree()
        out.append(time.perf_counter() - began)
        blobs |= taken.fresh
        require_taken(taken.tree, blobs, paths, f"{number}\n".encode())
        fresh = {path: blobs.add(hashlib.sha256(f"{number} {path}".encode()).digest()) for path in paths}
        current = {**taken.tree, **fresh}
        into.append(await time_of(sandbox.put_tree(current, blobs)))
    return out, into


def require_taken(tree: Tree, blobs: Mapping[str, bytes], paths: list[str], content: bytes) -> None:
    """Raise RuntimeError unless files have a content in a tree that was taken, and the content came with it."""
    for path in paths:
        if tree[path].oid != blob_id(content) or blobs.get(blob_id(content)) != content:
            raise RuntimeError(f"the change of {path} was not taken")


async def _take_whole(provider: DockerProvider, profile: SandboxProfile, files: int, size: int) -> float:
    """Time taking a tree that commands made, of which nothing is known."""
    make = (
        "import os, sys\nfiles, size = map(int, sys.argv[1:])\n"
        "for n in range(files):\n"
        "    d = f'src/p{n // 400:03}/m{n // 20 % 20:02}'\n"
        "    os.makedirs(d, exist_ok=True)\n"
        "    open(f'{d}/f{n}.py', 'wb').write(os.urandom(size))"
    )
    async with await provider.open(profile, OWNER) as sandbox:
        made = await sandbox.run(["python3", "-c", make, str(files), str(size)])
        if not made.ok:
            raise RuntimeError(made.stderr.text)
        began = time.perf_counter()
        taken = await sandbox.take_tree()
        took = time.perf_counter() - began
        if len(taken.fresh) != files:
            raise RuntimeError("not everything was taken")
        return took
