"""Cases about trees: what is put comes out again, and what was done to it in between, and nothing else."""

# ruff: noqa: S108 - the paths are in the sandbox
from __future__ import annotations

from collections.abc import Mapping

from assay.errors import SandboxRefused
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK, Tree, TreeFile, blob_id
from assay.sandboxes.conformance.cases import Subject, case, expect, expect_equal, expect_raises

BINARY = bytes(range(256)) * 8


class Blobs:
    """Contents held in a dictionary."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def read(self, oid: str) -> bytes:
        """Return what was added under this id; raises KeyError."""
        return self._held[oid]

    def file(self, data: bytes, mode: int = REGULAR) -> TreeFile:
        """Add content, and return the entry of a tree for it."""
        oid = blob_id(data)
        self._held[oid] = data
        return TreeFile(mode, oid)

    def add(self, fresh: Mapping[str, bytes]) -> None:
        """Add what a taken tree brought."""
        self._held.update(fresh)


def example_tree(blobs: Blobs) -> Tree:
    """Return a tree with all that git can hold: modes, links, odd names, odd contents."""
    return {
        "README": blobs.file(b"read me\n"),
        "bin/tool": blobs.file(b"#!/bin/sh\necho tool\n", EXECUTABLE),
        "data/binary": blobs.file(BINARY),
        "data/empty": blobs.file(b""),
        "data/large": blobs.file(BINARY * 100),
        "deep/er/and/deeper/file": blobs.file(b"deep\n"),
        "link": blobs.file(b"bin/tool", SYMLINK),
        "data/up": blobs.file(b"../README", SYMLINK),
        "data/dangling": blobs.file(b"nowhere", SYMLINK),
        "names/with space\nand newline": blobs.file(b"1"),
        "names/\udcff\udcfe not utf-8": blobs.file(b"2"),
        "names/Ünïcode": blobs.file(b"3"),
        "names/-rf": blobs.file(b"4"),
    }


@case()
async def keeps_trees(subject: Subject) -> None:
    """A tree comes out as it was put: modes, links, names and contents."""
    blobs = Blobs()
    tree = example_tree(blobs)
    await subject.sandbox.put_tree(tree, blobs)
    expect_equal((await subject.sandbox.run(["cat", "link"])).stdout.data, b"#!/bin/sh\necho tool\n", "cat link")
    taken = await subject.sandbox.take_tree()
    expect_equal(taken.tree, tree, "the tree")
    expect_equal(taken.fresh, {}, "what the sandbox had been given")


@case()
async def takes_what_is_new(subject: Subject) -> None:
    """Only contents that the sandbox was not given come with the tree, and come once."""
    blobs = Blobs()
    tree = {"old": blobs.file(b"old")}
    await subject.sandbox.put_tree(tree, blobs)
    await subject.sandbox.write("new", b"new")
    await subject.sandbox.write("copy", b"old")
    taken = await subject.sandbox.take_tree()
    expect_equal(dict(taken.tree), tree | {"new": blobs.file(b"new"), "copy": tree["old"]}, "the tree")
    expect_equal(dict(taken.fresh), {blob_id(b"new"): b"new"}, "fresh contents")
    expect_equal(dict((await subject.sandbox.take_tree()).fresh), {}, "fresh contents of a second take")


@case()
async def gives_again_what_was_gone(subject: Subject) -> None:
    """A content that was in no tree when one was taken comes again when it comes back: nobody has to keep it."""
    blobs = Blobs()
    tree = {"old": blobs.file(b"old")}
    await subject.sandbox.put_tree(tree, blobs)
    for _ in range(2):
        await subject.sandbox.write("new", b"new")
        taken = await subject.sandbox.take_tree()
        expect_equal(dict(taken.fresh), {blob_id(b"new"): b"new"}, "fresh contents")
        await subject.sandbox.put_tree(tree, blobs)
        expect_equal(dict((await subject.sandbox.take_tree()).fresh), {}, "fresh contents without it")


@case()
async def changes_trees(subject: Subject) -> None:
    """Putting another tree leaves exactly that: files go, and become directories and the other way round."""
    blobs = Blobs()
    box = subject.sandbox
    await box.put_tree(example_tree(blobs), blobs)
    await box.write("bin/left over", b"by a command")
    await box.write("deep/other", b"by a command")
    tree = {
        "README/now/a directory": blobs.file(b"x"),
        "bin": blobs.file(b"now a file", EXECUTABLE),
        "link": blobs.file(b"no longer a link"),
        "data/empty": blobs.file(b"data/up", SYMLINK),
    }
    await box.put_tree(tree, blobs)
    expect_equal(dict((await box.take_tree()).tree), tree, "the second tree")
    await box.put_tree({}, blobs)
    expect_equal(dict((await box.take_tree()).tree), {}, "the empty tree")
    await expect_raises(FileNotFoundError, box.read("README/now/a directory"), "a removed file")


@case()
async def restores_what_was_changed(subject: Subject) -> None:
    """Putting the same tree again undoes what happened in between."""
    blobs = Blobs()
    tree = example_tree(blobs)
    box = subject.sandbox
    await box.put_tree(tree, blobs)
    await box.write("README", b"read no\n")
    await box.put_tree(tree, blobs)
    expect_equal(await box.read("README"), b"read me\n", "the restored file")
    expect_equal(dict((await box.take_tree()).fresh), {}, "fresh contents")


@case()
async def leaves_git_alone(subject: Subject) -> None:
    """The workspace's `.git` is neither taken nor removed."""
    blobs = Blobs()
    box = subject.sandbox
    await box.put_tree({"a": blobs.file(b"a")}, blobs)
    await box.write(".git/config", b"[core]")
    await box.put_tree({"b": blobs.file(b"b")}, blobs)
    expect_equal(set((await box.take_tree()).tree), {"b"}, "paths")
    expect_equal(await box.read(".git/config"), b"[core]", ".git/config")
    inside = {".git/hooks/pre-commit": blobs.file(b"evil", EXECUTABLE)}
    await expect_raises(SandboxRefused, box.put_tree(inside, blobs), "a tree with .git in it")


@case()
async def keeps_trees_elsewhere(subject: Subject) -> None:
    """A tree may lie elsewhere than in the workspace, and each place has its own."""
    blobs = Blobs()
    box = subject.sandbox
    here, there = {"here": blobs.file(b"here")}, {"there/file": blobs.file(b"there")}
    await box.put_tree(here, blobs)
    await box.put_tree(there, blobs, root="/tmp/other")
    expect_equal(dict((await box.take_tree()).tree), here, "the workspace")
    expect_equal(dict((await box.take_tree(root="/tmp/other")).tree), there, "the other place")
    expect_equal(await box.read("/tmp/other/there/file"), b"there", "a file in the other place")


@case()
async def refuses_links_that_leave(subject: Subject) -> None:
    """A link out of the tree is refused, by whatever way it leads out, and named."""
    for links in (
        {"l": b"/etc/passwd"},
        {"l": b".."},
        {"a/l": b"../../x"},
        {"l": b"a/../../x"},
        {"a/b/c": b"../..", "l": b"a/b/c/../x"},
        {"l": b"m", "m": b"n/..", "n": b"."},
    ):
        blobs = Blobs()
        tree = {path: blobs.file(target, SYMLINK) for path, target in links.items()}
        error = await expect_raises(SandboxRefused, subject.sandbox.put_tree(tree, blobs), f"links {links}")
        expect(any(repr(path) in str(error) for path in links), f"the error must name the link: {error}")
    blobs = Blobs()
    loop = {"l": blobs.file(b"m", SYMLINK), "m": blobs.file(b"l", SYMLINK), "a/b/c": blobs.file(b"../x", SYMLINK)}
    await subject.sandbox.put_tree(loop, blobs)
    expect_equal(dict((await subject.sandbox.take_tree()).tree), loop, "links that stay, and lead nowhere")


@case()
async def refuses_impossible_paths(subject: Subject) -> None:
    """A path that is not relative and plain is refused."""
    for path in ("/a", "../a", "a//b", "a/./b", "a/", "", ".", "a/../b", "a\0b", "x" * 300, "a/" * 2100 + "a"):
        blobs = Blobs()
        await expect_raises(SandboxRefused, subject.sandbox.put_tree({path: blobs.file(b"")}, blobs), repr(path[:20]))
    blobs = Blobs()
    both = {"a": blobs.file(b""), "a/b": blobs.file(b"")}
    await expect_raises(SandboxRefused, subject.sandbox.put_tree(both, blobs), "a file that is a directory, too")


@case(workspace="read-only")
async def keeps_a_read_only_workspace(subject: Subject) -> None:
    """A read-only workspace holds the tree that was put, and `/tmp` is still the commands'."""
    blobs = Blobs()
    box = subject.sandbox
    tree = example_tree(blobs)
    await box.put_tree(tree, blobs)
    await expect_raises(PermissionError, box.write("new", b""), "writing into it")
    await expect_raises(PermissionError, box.write("README", b""), "overwriting in it")
    await box.write("/tmp/notes", b"notes")
    expect_equal((await box.run(["cat", "/tmp/notes"])).stdout.data, b"notes", "a file in /tmp")
    expect_equal(dict((await box.take_tree()).tree), tree, "the tree")
    smaller = {"README": tree["README"]}
    await box.put_tree(smaller, blobs)
    expect_equal(dict((await box.take_tree()).tree), smaller, "another tree")
