"""The supervisor in a real container, against commands that mean it ill."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource

import pytest

from assay.errors import DiskFull, SandboxRefused
from assay.records.sandboxes import (
    CommandResult,
    Exited,
    Limits,
    OutOfMemory,
    SandboxOwner,
    SandboxProfile,
    Signalled,
    TimedOut,
)
from assay.sandboxes.conformance.trees import Blobs
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox

pytestmark = pytest.mark.docker

ATTACK = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def found():
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if "Uid:\\t0" in open(f"/proc/{process}/status").read(): yield int(process)
        except OSError: pass  # it has ended
end = time.monotonic() + 10
while len(helpers := list(found())) < 4 and time.monotonic() < end:
    time.sleep(0.01)  # those that wait are made while a command takes longer
done = []
for pid in helpers:
    if libc.ptrace(16, pid, 0, 0) == 0: done.append(f"attached {pid}")
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    if libc.process_vm_readv(pid, vector, 1, vector, 1, 0) > 0: done.append(f"read {pid}")
    for name in ("fd", "fdinfo", "map_files"):
        try: os.listdir(f"/proc/{pid}/{name}"); done.append(f"{name} {pid}")
        except OSError: pass
    for name in ("mem", "environ", "maps", "stack", "syscall", "auxv"):
        try: open(f"/proc/{pid}/{name}", "rb").read(1); done.append(f"{name} {pid}")
        except OSError: pass
    for signal in (9, 19, 15):
        try: os.kill(pid, signal); done.append(f"kill {signal} {pid}")
        except OSError: pass
    try: os.setpriority(os.PRIO_PROCESS, pid, 19); done.append(f"nice {pid}")
    except OSError: pass
    try: os.sched_setaffinity(pid, {0}); done.append(f"affinity {pid}")
    except OSError: pass
    pidfd = libc.syscall(434, pid, 0)
    if pidfd >= 0 and libc.syscall(438, pidfd, 0, 0) >= 0: done.append(f"descriptor of {pid}")
print(len(helpers), done)
"""


def zeros(count: int) -> str:
    """Return the digest of so many zero bytes."""
    digest = hashlib.sha256()
    for _ in range(count // 1_000_000):
        digest.update(bytes(1_000_000))
    digest.update(bytes(count % 1_000_000))
    return "sha256:" + digest.hexdigest()


async def test_helpers_cannot_be_touched(sandbox: Sandbox) -> None:
    """A command can neither signal, trace, read nor slow down the supervisor, its own helper and those that wait."""
    result = await sandbox.run(["python3", "-c", ATTACK])
    assert (result.ending, result.stdout.data) == (Exited(code=0), b"4 []\n"), result.stderr.text


async def test_file_helpers_cannot_be_touched(sandbox: Sandbox) -> None:
    """A command that fires at every process cannot stop or kill a file request, which acts as its own user."""
    data = bytes(3_000_000)
    firing = asyncio.ensure_future(
        sandbox.run("while :; do for p in /proc/[1-9]*; do kill -STOP ${p#/proc/}; done; done 2>/dev/null", timeout=3)
    )
    await asyncio.sleep(0.2)
    for number in range(10):
        await sandbox.write(f"file{number}", data)
        assert await sandbox.read(f"file{number}") == data
    taken = await sandbox.take_tree()
    assert len(taken.tree) == 10
    await firing
    assert await sandbox.processes() == ()


async def test_much_output_is_cheap(sandbox: Sandbox) -> None:
    """200 MB of output are digested where they arise: little of them travels, and none is held here."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await sandbox.run("head -c 200000000 /dev/zero; head -c 200000000 /dev/zero >&2")
    for stream in (result.stdout, result.stderr):
        assert (stream.length, stream.digest) == (200_000_000, zeros(200_000_000))
        assert (len(stream.head), len(stream.tail)) == (500_000, 500_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


async def test_head_and_tail_are_the_right_bytes(sandbox: Sandbox) -> None:
    """The first and the last bytes are kept whatever the sizes of the writes and of the limit."""
    text = b"".join(b"%d\n" % number for number in range(30_000))
    for limit in (1, 2, 7, 4096, 4097, 65_536, 100_000, len(text) - 1, len(text), len(text) + 1):
        stream = (await sandbox.run(["seq", "0", "29999"], output_limit=limit)).stdout
        if limit >= len(text):
            assert (stream.head, stream.tail) == (text, b"")
        else:
            half = limit // 2
            assert (stream.head, stream.tail) == (text[:half], text[len(text) - (limit - half) :]), limit
        assert stream.digest == "sha256:" + hashlib.sha256(text).hexdigest()


async def test_cpu_time_of_the_whole_tree(sandbox: Sandbox) -> None:
    """The CPU time counts what a command's daemons used, too."""
    burn = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    result = await sandbox.run(f"(python3 -c '{burn}' &) ; python3 -c '{burn}'; sleep 1.5")
    assert result.cpu_seconds >= 0.95
    assert result.seconds >= 1.5


async def test_zombies_are_reaped(sandbox: Sandbox) -> None:
    """A storm of orphans that nobody waits for leaves no zombie, also while the command still runs."""
    storm = (
        "i=0; while [ $i -lt 300 ]; do (true &) ; i=$((i+1)); done; sleep 0.5; cat /proc/[1-9]*/stat | grep -c ' Z '"
    )
    result = await sandbox.run(storm)
    assert result.stdout.data == b"0\n"


async def test_stopped_and_deaf_processes_die(sandbox: Sandbox) -> None:
    """Neither stopping itself nor ignoring every signal saves a process from its time limit."""
    deaf = (
        "import signal, time\n"
        "for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "time.sleep(60)"
    )
    for command in (["python3", "-c", deaf], "kill -STOP $$", "sleep 60 & kill -STOP $!; wait"):
        result = await sandbox.run(command, timeout=0.5)
        assert result.ending == TimedOut(seconds=0.5)
    assert await sandbox.processes() == ()


async def test_process_that_makes_itself_a_subreaper(sandbox: Sandbox) -> None:
    """A daemon that adopts its own orphans is still below its command, and dies with it."""
    program = (
        "import ctypes, os, time\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(600)\n"
        "    os._exit(0)\n"
        "time.sleep(600)\n"
    )
    result = await sandbox.run(["python3", "-c", program], timeout=1)
    assert result.ending == TimedOut(seconds=1)
    assert await sandbox.processes() == ()


async def test_processes_are_listed(sandbox: Sandbox) -> None:
    """The list names what runs, with its parent, user and arguments, and nothing of the supervisor's."""
    running = asyncio.ensure_future(sandbox.run(["sleep", "2"]))
    listed = await sandbox.processes()
    while [one.command for one in listed] != ["sleep 2"]:  # before it executes, it has no arguments of its own
        listed = await sandbox.processes()
    user = int((await sandbox.run(["id", "-u"])).stdout.text)
    assert [(one.command, one.user) for one in listed] == [("sleep 2", user)]
    assert user > 0
    await running


async def test_a_crashed_helper_is_survived(sandbox: Sandbox) -> None:
    """Where the memory kills several at once, the answer is still "out of memory", and the sandbox goes on."""
    hogs = [sandbox.run("head -c 2000000000 /dev/zero | tail") for _ in range(3)]
    endings = [result.ending for result in await asyncio.gather(*hogs)]
    assert OutOfMemory() in endings
    assert (await sandbox.run(["echo", "on"])).stdout.data == b"on\n"
    assert await sandbox.processes() == ()


async def test_shared_memory_does_not_outlive_its_command(sandbox: Sandbox) -> None:
    """System V memory, which belongs to no process, is gone with the command that made it."""
    program = "import ctypes\nprint(ctypes.CDLL(None).shmget(0, 50_000_000, 0o1600) >= 0)"
    assert (await sandbox.run(["python3", "-c", program])).stdout.data == b"True\n"
    assert (await sandbox.run("tail -n +2 /proc/sysvipc/shm | wc -l")).stdout.data == b"0\n"


async def test_commands_may_use_all_processes(provider: DockerProvider, owner: SandboxOwner) -> None:
    """A command that holds every process keeps others waiting, not failing, and files can still be read."""
    profile = SandboxProfile(limits=Limits(processes=16))
    async with await provider.open(profile, owner) as sandbox:
        await sandbox.write("file", b"data")
        script = "i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done 2>/dev/null; wait; sleep 2"
        greedy = asyncio.ensure_future(sandbox.run(script, timeout=10))
        await asyncio.sleep(0.7)
        waiting = await sandbox.run(["true"], timeout=20)
        assert waiting.ok
        assert await sandbox.read("file") == b"data"
        await greedy


async def test_a_command_waits_no_longer_than_its_time(provider: DockerProvider, owner: SandboxOwner) -> None:
    """A command for which there is no process in its time has run out of time."""
    profile = SandboxProfile(limits=Limits(processes=8))
    async with await provider.open(profile, owner) as sandbox:
        forks = "import os, time\nwhile True:\n  try: os.fork() or time.sleep(99)\n  except OSError: time.sleep(0.01)"
        greedy = asyncio.ensure_future(sandbox.run(["python3", "-c", forks], timeout=4))
        await asyncio.sleep(1.5)
        last = asyncio.ensure_future(sandbox.run(["sleep", "1.5"]))  # there is always a process kept for one more
        await asyncio.sleep(0.3)
        assert (await sandbox.run(["true"], timeout=0.5)).ending == TimedOut(seconds=0.5)
        assert (await last).ok
        assert (await greedy).ending == TimedOut(seconds=4)
        assert (await sandbox.run(["true"])).ok


SWAP = """
import ctypes, random, time
libc = ctypes.CDLL(None)
while True:
    libc.renameat2(-100, b"tree/d", -100, b"spare", 2)
    time.sleep(random.random() / 1000)
"""
"""Makes a directory of the tree and a link out of it change places, all the time."""


async def start_swapping(sandbox: Sandbox) -> asyncio.Future[CommandResult]:
    """Make the places, and start the exchange."""
    await sandbox.write("tree/d/f", b"inside")
    await sandbox.write("outside/f", b"SECRET")
    await sandbox.run(["ln", "-s", "/workspace/outside", "spare"])
    return asyncio.ensure_future(sandbox.run(["python3", "-c", SWAP], timeout=4))


async def test_races_let_nothing_in(sandbox: Sandbox) -> None:
    """While a directory and a link to elsewhere change places, nothing of elsewhere is taken."""
    racing = await start_swapping(sandbox)
    taken, refused = 0, 0
    while not racing.done():
        try:
            tree = await sandbox.take_tree(root="/workspace/tree")
        except SandboxRefused:
            refused += 1
        else:
            taken += 1
            assert not any(b"SECRET" in data for data in tree.fresh.values())
            assert set(tree.tree) == {"d/f"}
    await racing
    assert taken
    assert refused


async def test_races_lead_no_write_astray(sandbox: Sandbox) -> None:
    """While a directory and a link to elsewhere change places, putting a tree writes nothing elsewhere."""
    blobs = Blobs()
    racing = await start_swapping(sandbox)
    number = 0
    while not racing.done():
        number += 1
        with contextlib.suppress(OSError, SandboxRefused):
            await sandbox.put_tree({"d/f": blobs.file(b"%d" % number)}, blobs, root="/workspace/tree")
    await racing
    assert number > 10
    assert await sandbox.read("outside/f") == b"SECRET"
    assert (await sandbox.run(["ls", "outside"])).stdout.data == b"f\n"


async def test_full_disk_while_putting(provider: DockerProvider, owner: SandboxOwner) -> None:
    """A tree that does not fit is DiskFull; a smaller one can be put afterwards."""
    profile = SandboxProfile(limits=Limits(memory_mb=192, workspace_mb=16, scratch_mb=16, inodes=1000))
    blobs = Blobs()
    big = {"big": blobs.file(bytes(20_000_000))}
    many = {f"{number}": blobs.file(b"") for number in range(1200)}
    small = {"small": blobs.file(b"small")}
    async with await provider.open(profile, owner) as sandbox:
        for tree in (big, many):
            with pytest.raises(DiskFull):
                await sandbox.put_tree(tree, blobs)
        with pytest.raises(DiskFull):
            await sandbox.write("big", bytes(20_000_000))
        await sandbox.put_tree(small, blobs)
        assert dict((await sandbox.take_tree()).tree) == small


async def test_missing_blob_while_putting(sandbox: Sandbox) -> None:
    """A tree whose content is not held raises what the contents raise, and the next put is right."""
    blobs, empty = Blobs(), Blobs()
    tree = {"a": blobs.file(b"a"), "b": blobs.file(b"b")}
    with pytest.raises(KeyError):
        await sandbox.put_tree(tree, empty)
    await sandbox.put_tree(tree, blobs)
    assert dict((await sandbox.take_tree()).tree) == tree


async def test_deep_trees(sandbox: Sandbox) -> None:
    """A tree deeper than any path is refused when taken, and removed when another is put."""
    dig = "import os\nfor _ in range(2500):\n    os.mkdir('d'); os.chdir('d')"
    await sandbox.run(["python3", "-c", dig])
    with pytest.raises(SandboxRefused, match="too deep"):
        await sandbox.take_tree()
    blobs = Blobs()
    tree = {"a": blobs.file(b"a")}
    await sandbox.put_tree(tree, blobs)
    assert dict((await sandbox.take_tree()).tree) == tree


async def test_replaced_programs_harm_only_their_command(sandbox: Sandbox) -> None:
    """Programs cannot be replaced, and a PATH that leads astray is the command's own affair."""
    result = await sandbox.run(
        "cp /bin/true /bin/sh; cp /bin/true /usr/bin/git; rm /bin/cat; mkdir bin; cp /bin/false bin/ls"
    )
    assert result.ending == Exited(code=0) or result.stderr.length > 0
    assert (await sandbox.run(["ls"], env={"PATH": "/workspace/bin"})).ending == Exited(code=1)
    assert (await sandbox.run(["ls"])).stdout.data == b"bin\n"


async def test_signals_and_codes_are_not_confused(sandbox: Sandbox) -> None:
    """Exit code 137 is an exit code, a kill is a kill, and only the clock makes a time-out."""
    assert (await sandbox.run("exit 137")).ending == Exited(code=137)
    assert (await sandbox.run("kill -9 $$")).ending == Signalled(signal=9)
    assert (await sandbox.run("exit 124", timeout=100)).ending == Exited(code=124)


async def test_long_arguments(sandbox: Sandbox) -> None:
    """Many long arguments reach a command; more than the kernel takes is told as a failed start."""
    words = ["x" * 100_000] * 15
    assert (await sandbox.run(["sh", "-c", "echo $#", "sh", *words])).stdout.data == b"15\n"
    result = await sandbox.run(["true", "y" * 200_000])
    assert result.ending == Exited(code=126)
    assert b"Argument list too long" in result.stderr.data
    with pytest.raises(ValueError, match="more than a command can be given"):
        await sandbox.run(["true", "z" * 9_000_000])


@pytest.mark.parametrize("command", [[], ["a\0b"], "a\0b"])
async def test_impossible_commands(sandbox: Sandbox, command: list[str] | str) -> None:
    """What no process can be given is the caller's mistake."""
    with pytest.raises(ValueError, match="command"):
        await sandbox.run(command)


async def test_input_that_nobody_reads_loses_no_answer(sandbox: Sandbox) -> None:
    """A command may end at any moment of its input's way; its result arrives, and so does that of one which reads."""
    data = bytes(2_000_000)
    for _ in range(40):
        deaf, reader = await asyncio.gather(sandbox.run(["true"], stdin=data), sandbox.run(["cat"], stdin=data))
        assert (deaf.ending, reader.stdout.length) == (Exited(code=0), len(data))


async def test_a_storm_of_requests(sandbox: Sandbox) -> None:
    """Far more requests at a time than the supervisor has places for are all answered."""
    commands = [sandbox.run(["true"]) for _ in range(600)]
    files = [sandbox.processes() for _ in range(300)]
    results = await asyncio.gather(*commands, *files)
    assert all(result.ok for result in results if isinstance(result, CommandResult))


async def test_a_thousand_commands(sandbox: Sandbox) -> None:
    """They leave nothing in the supervisor; whether they grow slower is measured by `benchmarks/sandboxes.py`."""

    async def memory() -> int:
        status = (await sandbox.run(["cat", "/proc/1/status"])).stdout.text
        return int(status.split("VmRSS:")[1].split()[0])

    await sandbox.run(["true"])
    before = await memory()
    for _ in range(1000):
        await sandbox.run(["true"])
    assert await memory() - before < 200
