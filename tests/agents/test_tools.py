"""The tools on a real sandbox: what they find, what they change, and what they say when they cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from assay.agents.files import FileTools, ToolFailed
from assay.agents.tools import TOOLS
from assay.errors import SandboxLost
from assay.records.sandboxes import Limits, SandboxOwner, SandboxProfile
from assay.records.trees import EXECUTABLE, REGULAR, TreeFile, blob_id
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import HELD_OUT, Sandbox

pytestmark = pytest.mark.docker

FILES = {
    "calc.py": b"def add(a, b):\n    return a - b\n",
    "src/app/main.py": b"import calc\nprint(calc.add(1, 2))\n",
    "src/app/data.bin": b"\0\1\2add",
    "src/.hidden/secret.py": b"add = 1\n",
    "latin.txt": b"caf\xe9\n",
    "empty.txt": b"",
    "long.txt": b"".join(b"line %d\n" % n for n in range(250)),
    "run.sh": b"#!/bin/sh\necho ran\n",
}


class Contents:
    """The files' contents by id."""

    def read(self, oid: str) -> bytes:
        """Return a content."""
        return {blob_id(data): data for data in FILES.values()}[oid]


@pytest.fixture
async def provider() -> AsyncIterator[DockerProvider]:
    """Docker."""
    async with DockerProvider() as docker:
        yield docker


async def opened(provider: DockerProvider, **profile: Any) -> Sandbox:
    """Return a sandbox that holds the files."""
    sandbox = await provider.open(SandboxProfile(**profile), SandboxOwner(run="check-tools", role="tools"))
    tree = {p: TreeFile(EXECUTABLE if p == "run.sh" else REGULAR, blob_id(data)) for p, data in FILES.items()}
    await sandbox.put_tree(tree, Contents())
    return sandbox


def tools_of(sandbox: Sandbox, *, may_change: tuple[str, ...] = ("*",), held_out: bool = False) -> FileTools:
    """Return the tools on a sandbox."""
    return FileTools(sandbox, may_change, held_out, executable=lambda path: path.endswith(".sh"))


async def call(tools: FileTools, name: str, **args: Any) -> str:
    """Make a call as the loop does; a failure is its text."""
    try:
        return await tools.run(TOOLS[name].model_validate(args))
    except ToolFailed as error:
        return f"Error: {error}"


async def expect(tools: FileTools, expected: str, name: str, **args: Any) -> None:
    """Make a call and compare what it says; behind `…` stands what it must hold."""
    said = await call(tools, name, **args)
    assert (expected[1:] in said) if expected.startswith("…") else (said == expected), (name, args, said)


async def test_reading_and_searching(provider: DockerProvider) -> None:
    """Folders, files, names and texts are found; what is not there, or no text, is said."""
    tools = tools_of(await opened(provider))
    await expect(tools, ".hidden/\napp/", "ls", path="/workspace/src")
    await expect(tools, "…No such file or directory", "ls", path="/nowhere")
    await expect(tools, "     1  def add(a, b):\n     2      return a - b", "read_file", file_path="/workspace/calc.py")
    await expect(tools, "     2      return a - b", "read_file", file_path="calc.py", offset=1, limit=1)
    await expect(tools, "…   100  line 99\n[150 more lines; read on with", "read_file", file_path="/workspace/long.txt")
    await expect(tools, "…line 250 is past the end", "read_file", file_path="/workspace/long.txt", offset=250)
    await expect(tools, "/workspace/empty.txt is empty", "read_file", file_path="/workspace/empty.txt")
    await expect(tools, "…this is a folder", "read_file", file_path="/workspace/src")
    await expect(tools, "…not found: /workspace/none.py", "read_file", file_path="/workspace/none.py")
    await expect(tools, "…is not text; it has 6 bytes", "read_file", file_path="/workspace/src/app/data.bin")
    await expect(tools, "…is not UTF-8 text", "read_file", file_path="/workspace/latin.txt")
    await expect(
        tools,
        "/workspace/calc.py\n/workspace/src/.hidden/secret.py\n/workspace/src/app/main.py",
        "glob",
        pattern="*.py",
    )
    await expect(tools, "/workspace/src/app/main.py", "glob", pattern="src/**/*.py")
    await expect(tools, "no file matches", "glob", pattern="*.rs")
    await expect(tools, "…No such file", "glob", pattern="*", path="/nowhere")
    await expect(tools, "…the pattern is empty", "glob", pattern="")
    await expect(tools, "…/workspace/calc.py\n", "grep", pattern="add")
    await expect(tools, "/workspace/calc.py:\n  1: def add(a, b):", "grep", pattern="add(a", output_mode="content")
    await expect(tools, "/workspace/src/app/main.py: 2", "grep", pattern="calc", output_mode="count")
    await expect(tools, "no matches", "grep", pattern="calc", glob="*.txt")
    await expect(
        tools,
        "/workspace/long.txt: 2\n[there are more matches; narrow the pattern or the path]",
        "grep",
        pattern="line",
        path="/workspace/long.txt",
        max_count=2,
        output_mode="count",
    )
    await expect(tools, "no matches", "grep", pattern="-e", path="/workspace/calc.py")
    await expect(tools, "…the pattern is empty", "grep", pattern="")
    assert "data.bin" not in await call(tools, "grep", pattern="add")


async def test_writing_and_editing(provider: DockerProvider) -> None:
    """Files are written whole or by exact replacement, modes stay, and nothing is written where it may not be."""
    sandbox = await opened(provider)
    tools = tools_of(sandbox, may_change=("*.py", "*.sh", "latin.txt"))
    calc = "/workspace/calc.py"
    await expect(
        tools, "wrote /workspace/new/a.py, 1 lines", "write_file", file_path="/workspace/new/a.py", content="x\n"
    )
    await expect(
        tools, f"replaced 1 time in {calc}", "edit_file", file_path=calc, old_string="a - b", new_string="a + b"
    )
    await expect(tools, "…old_string is not in", "edit_file", file_path=calc, old_string="a - b", new_string="c")
    await expect(tools, "…is 3 times in", "edit_file", file_path=calc, old_string="a", new_string="c")
    await expect(tools, "…are the same", "edit_file", file_path=calc, old_string="a", new_string="a")
    await expect(tools, "…old_string is empty", "edit_file", file_path=calc, old_string="", new_string="a")
    await expect(tools, "…not found", "edit_file", file_path="/workspace/z.py", old_string="a", new_string="b")
    await expect(tools, "…not UTF-8", "edit_file", file_path="/workspace/latin.txt", old_string="a", new_string="b")
    await expect(
        tools, "…replaced 1", "edit_file", file_path="/workspace/run.sh", old_string="ran", new_string="ran again"
    )
    await expect(tools, "ran again\n[Command succeeded with exit code 0]", "execute", command="./run.sh")
    await expect(tools, "…you may change only *.py", "write_file", file_path="/workspace/long.txt", content="")
    await expect(tools, "…is outside of /workspace", "write_file", file_path="/workspace/../etc/passwd", content="")
    await expect(tools, "…nothing under .git is kept", "write_file", file_path="/workspace/.git/config.py", content="")
    await expect(tools, "…is outside of /workspace", "write_file", file_path="/held_out/test_a.py", content="")
    await expect(tools, "wrote /tmp/anything, 1 lines", "write_file", file_path="/tmp/anything", content="x")
    await expect(tools, "…Error: ", "write_file", file_path="/workspace/src/app/main.py/x.py", content="")
    assert await sandbox.read(calc) == b"def add(a, b):\n    return a + b\n"
    replaced = await call(tools, "edit_file", file_path=calc, old_string="a", new_string="x", replace_all=True)
    assert replaced.startswith("replaced 3 times")


async def test_commands(provider: DockerProvider) -> None:
    """What was printed and how it ended, for every way in which a command ends."""
    limits = Limits(memory_mb=320, workspace_mb=64, scratch_mb=64)
    tools = tools_of(await opened(provider, limits=limits))
    await expect(
        tools, "out\n[stderr]\nerr\n[Command succeeded with exit code 0]", "execute", command="echo out; echo err >&2"
    )
    await expect(tools, "[Command failed with exit code 3]", "execute", command="exit 3")
    await expect(tools, "[Command was killed by signal 9]", "execute", command="kill -9 $$")
    await expect(tools, "[Command was stopped after 1 s]", "execute", command="sleep 60", timeout=1)
    await expect(tools, "…/workspace\n", "execute", command="pwd; git log 2>&1 | head -1")
    await expect(tools, "…the command is empty", "execute", command=" ")
    await expect(tools, "…1800 s is the longest", "execute", command="true", timeout=99999)
    await expect(tools, "…", "execute", command="python3 -c 'x = bytearray(1 << 30)'")
    flood = await call(tools, "execute", command="head -c 3000000 /dev/zero | tr '\\0' x")
    assert len(flood) < 31_000 and "left out" in flood


async def test_a_read_only_workspace(provider: DockerProvider) -> None:
    """Neither a tool nor a command changes the tree; the scratch area is the role's."""
    sandbox = await opened(provider, workspace="read-only")
    tools = tools_of(sandbox, may_change=())
    said = await call(tools, "write_file", file_path="/workspace/calc.py", content="")
    assert "read-only for you" in said
    assert "failed" in await call(tools, "execute", command="echo x > /workspace/calc.py")
    assert "x" in await call(tools, "execute", command="echo x > /tmp/y; cat /tmp/y")
    assert await sandbox.read("/workspace/calc.py") == FILES["calc.py"]


async def test_the_held_out_tree(provider: DockerProvider) -> None:
    """A sandbox that has one takes it apart from the workspace; another has no such place."""
    sandbox = await opened(provider, held_out=True)
    tools = tools_of(sandbox, held_out=True)
    assert "wrote" in await call(tools, "write_file", file_path="/held_out/tests/test_a.py", content="x")
    assert "1" in await call(tools, "execute", command="ls /held_out/tests | wc -l")
    assert list((await sandbox.take_tree(root=HELD_OUT)).tree) == ["tests/test_a.py"]
    other = tools_of(await opened(provider))
    assert "No such file" in await call(other, "ls", path="/held_out")


async def test_a_lost_sandbox_is_no_text(provider: DockerProvider) -> None:
    """The model cannot do anything about it, so it goes up."""
    sandbox = await opened(provider)
    tools = tools_of(sandbox)
    await sandbox.close()
    for name, args in (
        ("ls", {"path": "/"}),
        ("read_file", {"file_path": "calc.py"}),
        ("execute", {"command": "true"}),
    ):
        with pytest.raises(SandboxLost):
            await call(tools, name, **args)
