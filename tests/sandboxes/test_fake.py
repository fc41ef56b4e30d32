"""The fake does what its commands say."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from assay.errors import ImageMissing, SandboxLost
from assay.records.sandboxes import Exited, Image, OutOfMemory, SandboxOwner, SandboxProfile, TimedOut
from assay.records.trees import EXECUTABLE, REGULAR
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.fake import FakeCommand, FakeFile, FakeOutcome, FakeSandboxProvider

OWNER = SandboxOwner(run="check-fake", role="check")


async def test_commands_see_and_change_the_tree() -> None:
    """A function gets the command and the files, and gives back streams and files."""

    def commands(asked: FakeCommand) -> FakeOutcome:
        assert asked.command == ("make",)
        assert asked.tree == {"a": FakeFile(REGULAR, b"a")}
        assert (asked.stdin, asked.cwd, asked.env["X"], asked.report) == (b"in", "/workspace/sub", "1", True)
        made = {"/workspace/b": FakeFile(EXECUTABLE, b"b")}
        return FakeOutcome(Exited(code=2), b"out", b"err", b"report", files={**asked.files, **made})

    blobs = Blobs()
    async with await FakeSandboxProvider(commands).open(SandboxProfile(), OWNER) as box:
        await box.put_tree({"a": blobs.file(b"a")}, blobs)
        result = await box.run(["make"], stdin=b"in", env={"X": "1"}, cwd="sub", report=True)
        assert result.ending == Exited(code=2)
        assert (result.stdout.data, result.stderr.data, result.report.data) == (b"out", b"err", b"report")
        taken = await box.take_tree()
        assert taken.tree["b"].mode == EXECUTABLE
        assert list(taken.fresh.values()) == [b"b"]


async def test_a_function_runs_in_a_thread() -> None:
    """A function that blocks does not hold up the loop, and its time limit holds."""
    here = threading.get_ident()
    threads = []

    def slow(_asked: FakeCommand) -> FakeOutcome:
        threads.append(threading.get_ident())
        time.sleep(0.3)
        return FakeOutcome()

    async with await FakeSandboxProvider(slow).open(SandboxProfile(), OWNER) as box:
        assert (await box.run(["x"], timeout=0.05)).ending == TimedOut(seconds=0.05)
        assert (await box.run(["x"])).ok
    assert here not in threads


async def test_a_coroutine_function_is_awaited() -> None:
    """A coroutine function runs on the loop, and is cancelled when its time is over."""
    ended = []

    async def commands(asked: FakeCommand) -> FakeOutcome | None:
        if asked.command == "wait":
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("cancelled")
        return FakeOutcome(OutOfMemory()) if asked.command == "hog" else None

    async with await FakeSandboxProvider(commands).open(SandboxProfile(), OWNER) as box:
        assert (await box.run("wait", timeout=0.05)).ending == TimedOut(seconds=0.05)
        assert ended == ["cancelled"]
        assert (await box.run("hog")).ending == OutOfMemory()
        assert (await box.run(["echo", "built in"])).stdout.data == b"built in\n"


async def test_a_read_only_workspace_does_not_change() -> None:
    """What a command makes of a read-only workspace is dropped; what it makes elsewhere stays."""

    def commands(asked: FakeCommand) -> FakeOutcome:
        both = {"/workspace/x": FakeFile(REGULAR, b"x"), "/tmp/x": FakeFile(REGULAR, b"x")}
        return FakeOutcome(files={**asked.files, **both})

    async with await FakeSandboxProvider(commands).open(SandboxProfile(workspace="read-only"), OWNER) as box:
        await box.run(["x"])
        assert await box.read("/tmp/x") == b"x"
        with pytest.raises(FileNotFoundError):
            await box.read("x")


async def test_losses_on_purpose() -> None:
    """A fake can be lost while a command runs, as a real one can."""
    async with await FakeSandboxProvider().open(SandboxProfile(), OWNER) as box:
        running = asyncio.ensure_future(box.run(["sleep", "60"]))
        await asyncio.sleep(0.01)
        box.lose("the test says so")
        with pytest.raises(SandboxLost, match="the test says so"):
            await running


async def test_open_sandboxes_are_counted() -> None:
    """A test sees what nobody has closed."""
    provider = FakeSandboxProvider()
    box = await provider.open(SandboxProfile(), OWNER)
    assert list(provider.open_sandboxes) == [box.id]
    await provider.close()
    assert not provider.open_sandboxes


async def test_images_can_be_named() -> None:
    """Where images are given, others are missing."""
    image = Image(name="python", id="sha256:1", packages=("pytest 9",))
    provider = FakeSandboxProvider(images={"python": image})
    assert await provider.image(SandboxProfile(image="python")) == image
    with pytest.raises(ImageMissing):
        await provider.open(SandboxProfile(image="node"), OWNER)
