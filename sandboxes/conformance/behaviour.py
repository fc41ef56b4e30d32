"""Cases that every sandbox passes, a fake one, too: they use only what `fake_commands` knows."""

# ruff: noqa: S108 - the paths are in the sandbox
from __future__ import annotations

import asyncio
import hashlib

from assay.errors import ImageMissing, SandboxLost, SandboxRefused
from assay.records.sandboxes import Exited, Signalled, TimedOut
from assay.records.trees import EXECUTABLE, REGULAR
from assay.sandboxes.conformance.cases import OWNER, Subject, case, expect, expect_equal, expect_raises
from assay.sandboxes.conformance.trees import BINARY, Blobs
from assay.sandboxes.protocol import Filling


@case()
async def exits(subject: Subject) -> None:
    """A command's exit code is told, for a vector and for a shell string."""
    expect_equal((await subject.sandbox.run(["true"])).ending, Exited(code=0), "true")
    expect_equal((await subject.sandbox.run(["false"])).ending, Exited(code=1), "false")
    expect_equal((await subject.sandbox.run("exit 75")).ending, Exited(code=75), "exit 75")
    expect((await subject.sandbox.run(["true"])).ok, "true must be ok")


@case()
async def is_signalled(subject: Subject) -> None:
    """Dying by a signal is not exiting with a code."""
    expect_equal((await subject.sandbox.run("kill -9 $$")).ending, Signalled(signal=9), "kill -9 $$")


@case()
async def runs_out_of_time(subject: Subject) -> None:
    """A command that takes longer than its limit ends as timed out, and soon."""
    began = asyncio.get_running_loop().time()
    result = await subject.sandbox.run(["sleep", "60"], timeout=0.3)
    expect_equal(result.ending, TimedOut(seconds=0.3), "sleep 60 with 0.3 s")
    expect(asyncio.get_running_loop().time() - began < 20, "a command must end when its time is over")


@case()
async def is_not_found(subject: Subject) -> None:
    """A program that is not there answers as in a shell, and the sandbox goes on."""
    result = await subject.sandbox.run(["no-such-program"])
    expect_equal(result.ending, Exited(code=127), "no-such-program")
    expect(b"no-such-program" in result.stderr.data, "stderr must name the program")
    expect_equal((await subject.sandbox.run(["true"])).ending, Exited(code=0), "true after it")


@case()
async def keeps_streams_apart(subject: Subject) -> None:
    """stdout, stderr and the report are different streams, of bytes."""
    out = await subject.sandbox.run(["cat"], stdin=BINARY, report=True)
    expect_equal((out.stdout.data, out.stderr.data, out.report.data), (BINARY, b"", b""), "cat")
    err = await subject.sandbox.run("cat >&2", stdin=BINARY, report=True)
    expect_equal((err.stdout.data, err.stderr.data, err.report.data), (b"", BINARY, b""), "cat >&2")
    report = await subject.sandbox.run("cat >&3", stdin=BINARY, report=True)
    expect_equal((report.stdout.data, report.stderr.data, report.report.data), (b"", b"", BINARY), "cat >&3")


@case()
async def takes_much_stdin(subject: Subject) -> None:
    """Input that is larger than every buffer on the way arrives whole, also where nobody reads it."""
    data = BINARY * 2000
    result = await subject.sandbox.run(["cat"], stdin=data)
    expect_equal(result.stdout.length, len(data), "bytes of cat")
    expect_equal(result.stdout.digest, "sha256:" + hashlib.sha256(data).hexdigest(), "digest of cat")
    expect_equal((await subject.sandbox.run(["true"], stdin=data)).ending, Exited(code=0), "true with unread stdin")


@case()
async def gets_environment_and_directory(subject: Subject) -> None:
    """A command sees the profile's environment, its own, and starts in the workspace."""
    run = subject.sandbox.run
    expect_equal((await run(["printenv", "FROM_CALL"], env={"FROM_CALL": "a=b"})).stdout.data, b"a=b\n", "FROM_CALL")
    expect_equal((await run(["printenv", "FROM_CALL"])).ending, Exited(code=1), "FROM_CALL of another command")
    expect_equal((await run(["printenv", "HOME"])).ending, Exited(code=0), "HOME")
    expect_equal((await run(["pwd"])).stdout.data, b"/workspace\n", "pwd")
    expect_equal((await run(["pwd"], cwd="/tmp")).stdout.data, b"/tmp\n", "pwd in /tmp")


@case(environment={"FROM_PROFILE": "yes"})
async def gets_the_profiles_environment(subject: Subject) -> None:
    """A profile's environment reaches every command, which may override it."""
    run = subject.sandbox.run
    expect_equal((await run(["printenv", "FROM_PROFILE"])).stdout.data, b"yes\n", "FROM_PROFILE")
    overridden = await run(["printenv", "FROM_PROFILE"], env={"FROM_PROFILE": "no"})
    expect_equal(overridden.stdout.data, b"no\n", "FROM_PROFILE of the call")


@case()
async def bounds_output(subject: Subject) -> None:
    """Of long output the beginning and the end are kept, and length and digest of the whole."""
    result = await subject.sandbox.run(["head", "-c", "100000", "/dev/zero"], output_limit=1001)
    out = result.stdout
    expect_equal((len(out.head), len(out.tail), out.length), (500, 501, 100_000), "head, tail and length")
    expect_equal(out.digest, "sha256:" + hashlib.sha256(bytes(100_000)).hexdigest(), "digest")
    expect(out.cut, "what is longer than the limit is cut")
    exact = (await subject.sandbox.run(["head", "-c", "1001", "/dev/zero"], output_limit=1001)).stdout
    expect_equal((exact.data, exact.cut), (bytes(1001), False), "output that just fits")


@case()
async def serves_several_at_once(subject: Subject) -> None:
    """Commands run side by side, and each gets its own output."""
    run = subject.sandbox.run
    slow = asyncio.ensure_future(run(["sleep", "60"]))
    results = await asyncio.gather(*(run(["cat"], stdin=str(number).encode() * 1000) for number in range(60)))
    expect(not slow.done(), "quick commands must not wait for a slow one")
    for number, result in enumerate(results):
        expect_equal(result.stdout.data, str(number).encode() * 1000, f"output of command {number}")
    slow.cancel()
    await expect_raises(asyncio.CancelledError, slow, "the slow one")


@case()
async def survives_cancellation(subject: Subject) -> None:
    """A caller that is cancelled leaves the sandbox as usable as before."""
    running = asyncio.ensure_future(subject.sandbox.run(["sleep", "60"]))
    await asyncio.sleep(0.2)
    running.cancel()
    await expect_raises(asyncio.CancelledError, running, "a cancelled command")
    expect_equal((await subject.sandbox.run(["echo", "on"])).stdout.data, b"on\n", "the next command")
    expect_equal(await subject.sandbox.processes(), (), "processes after it")


@case()
async def reads_and_writes_files(subject: Subject) -> None:
    """Files are written whole, with their directories, and read back."""
    box = subject.sandbox
    await box.write("a/b/c", BINARY)
    expect_equal(await box.read("a/b/c"), BINARY, "relative path")
    expect_equal(await box.read("/workspace/a/b/c"), BINARY, "absolute path")
    expect_equal((await box.run(["cat", "a/b/c"])).stdout.data, BINARY, "cat")
    await box.write("a/b/c", b"shorter")
    expect_equal(await box.read("a/b/c", limit=7), b"shorter", "overwritten")
    await expect_raises(ValueError, box.read("a/b/c", limit=6), "a file over the limit")
    await expect_raises(FileNotFoundError, box.read("nowhere"), "a missing file")
    await expect_raises(IsADirectoryError, box.read("a/b"), "reading a directory")
    await expect_raises(IsADirectoryError, box.write("a/b", b""), "writing a directory")
    await expect_raises(PermissionError, box.write("/etc/assay", b""), "writing outside")


@case()
async def keeps_executables(subject: Subject) -> None:
    """A file that is written as executable is one in the tree, and stays one when it is written again."""
    box = subject.sandbox
    await box.write("tool", b"1", executable=True)
    await box.write("tool", b"2")
    await box.write("text", b"3")
    taken = await box.take_tree()
    expect_equal({path: file.mode for path, file in taken.tree.items()}, {"text": REGULAR, "tool": EXECUTABLE}, "modes")


@case()
async def is_lost_once_closed(subject: Subject) -> None:
    """After closing, which may happen twice, every method raises SandboxLost, also for who is waiting."""
    box = subject.sandbox
    waiting = asyncio.ensure_future(box.run(["sleep", "60"]))
    await asyncio.sleep(0.1)
    await box.close()
    await box.close()
    await expect_raises(SandboxLost, waiting, "a command that was running")
    await expect_raises(SandboxLost, box.run(["true"]), "run")
    await expect_raises(SandboxLost, box.read("a"), "read")
    await expect_raises(SandboxLost, box.write("a", b""), "write")
    await expect_raises(SandboxLost, box.put_tree({"a": Blobs().file(b"")}, Blobs()), "put_tree")
    await expect_raises(SandboxLost, box.take_tree(), "take_tree")
    await expect_raises(SandboxLost, box.processes(), "processes")


@case()
async def opens_fresh_ones(subject: Subject) -> None:
    """Two sandboxes of one profile share nothing, and have different ids and one image."""
    await subject.sandbox.write("a", b"a")
    async with await subject.provider.open(subject.profile, OWNER) as other:
        expect(other.id != subject.sandbox.id, "ids must differ")
        expect_equal(other.image, await subject.provider.image(subject.profile), "the image")
        await expect_raises(FileNotFoundError, other.read("a"), "the other's file")


@case()
async def opens_what_was_prepared(subject: Subject) -> None:
    """What is announced changes nothing but the time that opening takes; one that holds work is as fresh."""
    subject.provider.prepare(subject.profile, 2)
    worker = OWNER.model_copy(update={"commit": "0" * 40})
    for owner in (OWNER, worker):
        async with await subject.provider.open(subject.profile, owner) as other:
            expect_equal((await other.take_tree()).tree, {}, "the workspace of a fresh sandbox")
            await other.write("a", b"a")
            if owner.commit is not None:
                await other.hold()
            expect_equal(await other.read("a"), b"a", "a file")
    subject.provider.prepare(subject.profile, -2)


@case()
async def opens_filled_ones(subject: Subject) -> None:
    """One that is opened with a tree holds it and nothing else, was it prepared or not; the others stay empty."""
    blobs = Blobs()
    filling = Filling({"a/b": blobs.file(b"a")}, blobs)
    other = Filling({"a/b": blobs.file(b"b"), "c": blobs.file(b"c")}, blobs)
    subject.provider.prepare(subject.profile, 1, filling)
    for wanted in (other, None, filling, filling):
        async with await subject.provider.open(subject.profile, OWNER, wanted) as opened:
            tree = {} if wanted is None else wanted.tree
            expect_equal((await opened.take_tree()).tree, tree, "the tree")
            for path in tree:
                expect_equal(await opened.read(path), blobs.read(tree[path].oid), path)
    subject.provider.prepare(subject.profile, -1, filling)


@case()
async def names_a_missing_image(subject: Subject) -> None:
    """An image that does not exist is an error that says what to do."""
    profile = subject.profile.model_copy(update={"image": "no-such-image"})
    for action in (subject.provider.image(profile), subject.provider.open(profile, OWNER)):
        error = await expect_raises(ImageMissing, action, "a missing image")
        expect("no-such-image" in str(error), "the error must name the image")


@case()
async def refuses_what_does_not_fit(subject: Subject) -> None:
    """A profile whose files may fill its memory is refused before anything is made."""
    limits = subject.profile.limits.model_copy(update={"memory_mb": 128, "workspace_mb": 128})
    profile = subject.profile.model_copy(update={"limits": limits})
    await expect_raises(SandboxRefused, subject.provider.open(profile, OWNER), "more files than memory")
