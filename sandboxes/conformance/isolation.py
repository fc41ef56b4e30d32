"""Cases about what a sandbox keeps in: they need a kernel between it and the world, and programs that try."""

# ruff: noqa: S108 - the paths are in the sandbox
from __future__ import annotations

import asyncio

from assay.errors import SandboxLost, SandboxRefused
from assay.records.sandboxes import Exited, Limits, OutOfMemory, TimedOut
from assay.records.trees import REGULAR, blob_id
from assay.sandboxes.conformance.cases import Subject, case, expect, expect_equal, expect_raises
from assay.sandboxes.conformance.trees import Blobs, example_tree
from assay.sandboxes.profiles import has_own_kernel
from assay.sandboxes.protocol import Peer

SMALL = Limits(memory_mb=192, workspace_mb=24, scratch_mb=16, inodes=2000, processes=64)


async def _text(subject: Subject, command: str) -> str:
    return (await subject.sandbox.run(command)).stdout.text


async def expect_real(subject: Subject) -> None:
    """Raise Violation unless programs run: where everything fails, it says nothing that the forbidden does, too."""
    expect_equal(await _text(subject, "kill -0 $$ && test -d /proc/1 && echo real"), "real\n", "a shell that works")


async def _expect_usable(subject: Subject) -> None:
    result = await subject.sandbox.run(["echo", "still here"])
    expect_equal((result.ending, result.stdout.data), (Exited(code=0), b"still here\n"), "the next command")
    expect_equal(await subject.sandbox.processes(), (), "processes that are left")


@case(isolation=True)
async def is_attended(subject: Subject) -> None:
    """What commands send to the one port is attended on this side, and other ports lead nowhere."""

    async def double(peer: Peer) -> None:
        while data := await peer.read():
            await peer.write(data * 2)

    await subject.sandbox.attend(double, connections=2)
    shell = "exec 5<>/dev/tcp/127.0.0.1/{}; echo -n twice >&5; head -c 10 <&5"
    said = await subject.sandbox.run(["bash", "-c", shell.format(3128)], timeout=20)
    expect_equal(said.stdout.data, b"twicetwice", "what came back")
    expect(not (await subject.sandbox.run(["bash", "-c", shell.format(3129)])).ok, "another port must be closed")


@case(isolation=True)
async def is_unprivileged(subject: Subject) -> None:
    """Commands have no privilege in any set, cannot gain one, and are filtered."""
    lines = (await _text(subject, "cat /proc/self/status")).splitlines()
    status = {name: text.split() for name, _, text in (line.partition(":") for line in lines)}
    for name in ("Uid", "Gid"):
        expect("0" not in status.get(name, ["0"]), f"{name} must not be root's: {status.get(name)}")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
        expect_equal(status.get(name), ["0" * 16], name)
    expect_equal(status.get("CapAmb", ["0" * 16]), ["0" * 16], "CapAmb")
    if has_own_kernel(subject.profile):
        return  # its filter stands between that kernel and the host's; inside nothing tells of it
    expect_equal(status.get("NoNewPrivs"), ["1"], "NoNewPrivs")
    expect_equal(status.get("Seccomp"), ["2"], "Seccomp")


@case(isolation=True)
async def has_no_network(subject: Subject) -> None:
    """There is no network interface but loopback, and no route."""
    expect_equal(await _text(subject, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo\n", "interfaces")
    expect_equal((await _text(subject, "cat /proc/net/route")).count("\n"), 1, "lines of the routing table")


@case(isolation=True)
async def reaches_itself(subject: Subject) -> None:
    """Servers that tests start are reached as `localhost`, as 127.0.0.1 and by its own name, and nothing else is."""
    for name in ("localhost", "127.0.0.1", "sandbox"):
        said = await _text(subject, f"getent hosts {name}")
        expect(said.startswith(("127.", "::1")), f"{name} must mean the sandbox itself, and was {said!r}")
    expect_equal(await _text(subject, "getent hosts example.org"), "", "a name of the world")


@case(isolation=True)
async def has_a_read_only_root(subject: Subject) -> None:
    """Nothing outside the workspace, `/tmp` and shared memory can be written, whatever its permissions say."""
    script = (
        "for d in / /etc /usr/bin /var/tmp /root /run/lock /dev /sys /home; do touch $d/x 2>/dev/null && echo $d; done"
    )
    expect_equal(await _text(subject, script), "", "writable places")
    expect_equal(await _text(subject, "grep -c ' / .* ro,' /proc/mounts"), "1\n", "root mounted read-only")


@case(isolation=True)
async def has_no_way_to_the_host(subject: Subject) -> None:
    """No socket of an engine, no device of the host, no file system of the user's."""
    expect_equal(await _text(subject, "find / -xdev -name 'docker*.sock' 2>/dev/null"), "", "sockets of engines")
    expect_equal(await _text(subject, "find /dev -type b"), "", "block devices")
    mounts = (await _text(subject, "cut -d' ' -f1 /proc/mounts")).split()
    binds = (await _text(subject, "grep '^/dev/' /proc/mounts | cut -d' ' -f2")).split()
    expect(len(mounts) > 3, "mounts must be readable")
    expect_equal(set(binds) - {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}, set(), "bind mounts")


@case(isolation=True)
async def gains_nothing_by_asking(subject: Subject) -> None:
    """Mounting, making devices, new namespaces, setting clocks and host names are refused."""
    for command in (
        "mknod /tmp/disk b 8 0; head -c 1 /tmp/disk",  # a node by itself is nothing
        "mknod /tmp/memory c 1 1; head -c 1 /tmp/memory",
        "mount -t tmpfs none /tmp/home",
        *(() if has_own_kernel(subject.profile) else ("unshare -U true",)),  # what it gives ends in that kernel
        "unshare -m true",
        "chroot / true",
        "date -s 2000-01-01",
        "hostname other",
        "chown 0 /workspace",
        "kill -9 1",
    ):
        result = await subject.sandbox.run(command)
        expect(result.ending != Exited(code=0), f"{command!r} must fail")
    await _expect_usable(subject)


@case(isolation=True, workspace="read-only")
async def cannot_write_a_read_only_workspace(subject: Subject) -> None:
    """Commands cannot change, remove, rename or take over anything in a read-only workspace."""
    blobs = Blobs()
    tree = example_tree(blobs)
    await subject.sandbox.put_tree(tree, blobs)
    script = (
        "touch new; echo x > README; rm -f README; mv README other; chmod 777 README . bin; mkdir d; ln -s a b;"
        " touch bin/new; cp /bin/sh bin/tool; truncate -s 0 data/large; ln README /tmp/hard; : > link"
    )
    await subject.sandbox.run(script)
    expect_equal((await _text(subject, "ls")).split(), ["README", "bin", "data", "deep", "link", "names"], "names")
    expect_equal(await subject.sandbox.read("README"), b"read me\n", "README")
    expect_equal(await subject.sandbox.read("bin/tool"), b"#!/bin/sh\necho tool\n", "bin/tool")
    expect_equal((await subject.sandbox.run(["bin/tool"])).stdout.data, b"tool\n", "running what is there")


@case(isolation=True)
async def kills_what_a_timed_out_command_left(subject: Subject) -> None:
    """Time-outs reach daemons: forked twice, in a session of their own, deaf to signals, stopped."""
    daemons = (
        "(setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000 & sleep 1000' &); "
        "(setsid sh -c 'sleep 1000 & kill -STOP $!; sleep 1000' &); "
    )
    result = await subject.sandbox.run(daemons + "sleep 1000", timeout=0.5)
    expect_equal(result.ending, TimedOut(seconds=0.5), "the ending")
    await _expect_usable(subject)


@case(isolation=True)
async def kills_what_a_finished_command_left(subject: Subject) -> None:
    """A daemon that holds stdout open neither delays the command's end nor outlives it."""
    began = asyncio.get_running_loop().time()
    result = await subject.sandbox.run("(setsid sleep 1000 &); echo done")
    expect_equal((result.ending, result.stdout.data), (Exited(code=0), b"done\n"), "the command")
    expect(asyncio.get_running_loop().time() - began < 20, "a daemon must not delay the end")
    await _expect_usable(subject)


@case(isolation=True)
async def spares_other_commands(subject: Subject) -> None:
    """Killing one command's tree leaves the others' alone."""
    other = asyncio.ensure_future(subject.sandbox.run("(setsid sleep 2 &); sleep 2; echo whole"))
    await subject.sandbox.run("(setsid sleep 1000 &); sleep 1000", timeout=0.3)
    expect_equal((await other).stdout.data, b"whole\n", "the other command")


@case(isolation=True, limits=SMALL)
async def limits_processes(subject: Subject) -> None:
    """No more processes than the limit can be started; the next command is fine."""
    script = "i=0; while [ $i -lt 200 ]; do sleep 100 & i=$((i+1)); done; echo all"
    result = await subject.sandbox.run(script, timeout=20)
    expect(b"all" not in result.stdout.data, "200 processes must not fit under a limit of 64")
    await _expect_usable(subject)


@case(isolation=True, limits=SMALL)
async def contains_a_fork_bomb(subject: Subject) -> None:
    """A fork bomb ends with its command."""
    result = await subject.sandbox.run("b() { b | b & }; b; sleep 100", timeout=2)
    expect(result.ending in (TimedOut(seconds=2), OutOfMemory()) or isinstance(result.ending, Exited), "a fork bomb")
    await _expect_usable(subject)


@case(isolation=True, limits=SMALL)
async def tells_out_of_memory(subject: Subject) -> None:
    """A command that uses up the memory ends as just that, also where a shell survives; the next one is fine."""
    result = await subject.sandbox.run("head -c 1000000000 /dev/zero | tail; exit 0")
    expect_equal(result.ending, OutOfMemory(), "a memory hog")
    if has_own_kernel(subject.profile):
        await expect_raises(SandboxLost, subject.sandbox.run(["true"]), "a sandbox whose kernel is gone")
    else:
        await _expect_usable(subject)


@case(isolation=True, limits=SMALL)
async def tells_disk_full(subject: Subject) -> None:
    """A full file system is told, by bytes and by files, in each writable place; it is usable once freed."""
    for place in ("/workspace", "/tmp"):
        result = await subject.sandbox.run(f"head -c 100000000 /dev/zero > {place}/big")
        expect(result.disk_full, f"{place} filled with bytes must be told")
        expect(not (await subject.sandbox.run(f"rm {place}/big")).disk_full, f"{place} after removing")
    if has_own_kernel(subject.profile):
        return  # it counts no files
    result = await subject.sandbox.run("i=0; while : > /tmp/file$i; do i=$((i+1)); done 2>/dev/null")
    expect(result.disk_full, "files without number must be told")
    await subject.sandbox.run("rm -f /tmp/file*")
    await _expect_usable(subject)


@case(isolation=True)
async def cannot_reach_the_supervisor(subject: Subject) -> None:
    """The first process cannot be signalled, traced, read or written to, nor its descriptors opened."""
    for command in (
        "kill -9 1",
        "kill -STOP 1",
        "head -c 1 /proc/1/fd/0",
        "cat /proc/1/mem",
        "echo x > /proc/1/fd/1",
        "test -n \"$(tr -d '\\0' < /proc/1/environ)\"",
        "echo x > /proc/1/oom_score_adj",
        "ls /proc/1/cwd/",
        "ls /proc/1/root/",
    ):
        result = await subject.sandbox.run(command)
        expect(result.ending != Exited(code=0), f"{command!r} must fail, and said {result.stdout.text!r}")
    await subject.sandbox.run("kill -9 -1")
    await _expect_usable(subject)


@case(isolation=True)
async def is_not_fooled_by_output(subject: Subject) -> None:
    """Bytes that look like the channel's own, and descriptors that are not the command's, change nothing."""
    frame = bytes([1, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0]) + b"fake"
    docker = bytes([1, 0, 0, 0, 0, 0, 0, 4]) + b"fake"
    data = (frame + docker + b"\x1b[2J\r\0") * 500
    result = await subject.sandbox.run(["cat"], stdin=data)
    expect_equal(result.stdout.data, data, "cat of frames")
    result = await subject.sandbox.run("for fd in 3 4 5 6 7 8 9; do cat /dev/null >&$fd && echo $fd; done 2>/dev/null")
    expect_equal(result.stdout.data, b"", "descriptors that a command has beyond the three")
    await _expect_usable(subject)


@case(isolation=True)
async def refuses_special_files(subject: Subject) -> None:
    """FIFOs and links that leave the tree are refused by name when it is taken, and reading a FIFO does not hang."""
    box = subject.sandbox
    await box.run("mkdir a; mkfifo a/fifo")
    error = await expect_raises(SandboxRefused, box.take_tree(), "taking a FIFO")
    expect("'a/fifo'" in str(error), f"the error must name the FIFO: {error}")
    await expect_raises(SandboxRefused, box.read("a/fifo"), "reading a FIFO")
    await box.run("rm a/fifo; ln -s ../../etc/passwd a/out")
    error = await expect_raises(SandboxRefused, box.take_tree(), "taking a link that leaves")
    expect("'a/out'" in str(error), f"the error must name the link: {error}")
    await box.run("rm a/out; truncate -s 100G a/sparse")
    error = await expect_raises(SandboxRefused, box.take_tree(), "taking a sparse file")
    expect("'a/sparse'" in str(error), f"the error must name the file: {error}")
    await box.run("rm a/sparse; echo x > a/locked; chmod 0 a/locked")
    error = await expect_raises(SandboxRefused, box.take_tree(), "taking an unreadable file")
    expect("a/locked" in str(error), f"the error must name the file: {error}")
    blobs = Blobs()
    await box.put_tree({"clean": blobs.file(b"")}, blobs)
    expect_equal(dict((await box.take_tree()).tree), {"clean": blobs.file(b"")}, "after putting a clean tree")


@case(isolation=True)
async def loses_nothing_by_a_refusal(subject: Subject) -> None:
    """What a tree held that was refused comes with the next one that is taken."""
    box = subject.sandbox
    for offence, mend in (("ln -s /etc/passwd out", "rm out"), ("echo x > z; chmod 0 z", "rm -f z")):
        await box.run(f"echo '{offence}' > new; {offence}")
        await expect_raises(SandboxRefused, box.take_tree(), f"taking a tree after {offence!r}")
        await box.run(mend)
        taken = await box.take_tree()
        data = f"{offence}\n".encode()
        expect_equal(dict(taken.fresh), {blob_id(data): data}, "what comes with the tree that is taken")


@case(isolation=True)
async def recovers_from_locked_directories(subject: Subject) -> None:
    """A tree can be put also where commands have taken all permissions away."""
    blobs = Blobs()
    box = subject.sandbox
    tree = {"a/b/c": blobs.file(b"1"), "d": blobs.file(b"2")}
    await box.put_tree(tree, blobs)
    await box.run("touch a/b/x; chmod 0 a/b a d; mkdir -p e/f; touch e/f/g; chmod 0 e/f e")
    await box.put_tree(tree, blobs)
    expect_equal(dict((await box.take_tree()).tree), tree, "the tree")
    expect_equal({file.mode for file in (await box.take_tree()).tree.values()}, {REGULAR}, "modes")


@case(isolation=True)
async def sees_every_change(subject: Subject) -> None:
    """A change that keeps size and time stamp is still seen when the tree is taken."""
    blobs = Blobs()
    box = subject.sandbox
    await box.put_tree({"a": blobs.file(b"one"), "b": blobs.file(b"b")}, blobs)
    await box.take_tree()
    await box.run("touch -r a stamp; echo -n two > a; touch -r stamp a; rm stamp; chmod +x b")
    taken = await box.take_tree()
    expect_equal(await box.read("a"), b"two", "the file")
    expect_equal(taken.tree["a"], blobs.file(b"two"), "the changed file")
    expect(taken.tree["b"].mode != REGULAR, "the changed mode")
