"""Try what a sandbox must not let a command do; print a JSON object of what each try came to.

    python3 - [NAME...]   all tries, or those that are named

A value is `allowed`, or the name of the error.
"""

import ctypes
import errno
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
PARENT = os.getppid()


def call(number: int, *values: Any) -> None:
    """Make a system call of x86-64; raise OSError with its errno."""
    ctypes.set_errno(0)
    if libc.syscall(number, *values) == -1:
        raise OSError(ctypes.get_errno(), "")


def connect(address: str, port: int, family: int = socket.AF_INET) -> None:
    """Open a connection, and close it."""
    with socket.socket(family) as made:
        made.settimeout(2)
        made.connect((address, port))


def write(path: str, text: str) -> None:
    """Write to a file of the kernel's."""
    Path(path).write_text(text)


def read(path: str) -> None:
    """Read a byte of a file; raise OSError where there is none."""
    with Path(path).open("rb") as file:
        if not file.read(1):
            raise OSError(errno.ENODATA, "")


def set_clock(number: int, *first: int) -> None:
    """Set a clock to the year 2000."""
    call(number, *first, ctypes.byref((ctypes.c_long * 2)(946684800, 0)))


def load_bpf(command: int) -> None:
    """Make a map or load a program."""
    attributes = (ctypes.c_uint32 * 32)(1, 4, 4, 1)
    call(321, command, ctypes.byref(attributes), 128)


def keep_setuid() -> None:
    """Make a program that belongs to root and has its set-user-id bit."""
    copy = Path("/tmp/suid")
    copy.write_bytes(Path("/bin/sh").read_bytes())
    copy.chmod(0o6755)
    os.chown(copy, 0, 0)


TRIES: dict[str, Callable[[], object]] = {
    "mount": lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None),
    "remount-root": lambda: call(165, b"", b"/", b"", 32, None),
    "bind": lambda: call(165, b"/proc", b"/tmp", b"", 4096, None),
    "umount": lambda: call(166, b"/workspace", 2),
    "open-tree": lambda: call(428, -100, b"/", 1),
    "fsopen": lambda: call(430, b"tmpfs", 0),
    "pivot-root": lambda: call(155, b"/tmp", b"/tmp"),
    "chroot": lambda: os.chroot("/tmp"),
    "unshare-user": lambda: call(272, 0x10000000),
    "unshare-mount": lambda: call(272, 0x00020000),
    "unshare-net": lambda: call(272, 0x40000000),
    "unshare-pid": lambda: call(272, 0x20000000),
    "clone-user": lambda: call(435, ctypes.byref((ctypes.c_uint64 * 11)(0x10000000)), 88),
    "join-namespace": lambda: call(308, os.open("/proc/1/ns/mnt", os.O_RDONLY), 0),
    "trace-first": lambda: call(101, 16, 1, 0, 0),
    "trace-helper": lambda: call(101, 16, PARENT, 0, 0),
    "seize-helper": lambda: call(101, 0x4206, PARENT, 0, 0),
    "read-memory-of-first": lambda: read("/proc/1/mem"),
    "kill-first": lambda: os.kill(1, 9),
    "kill-helper": lambda: os.kill(PARENT, 9),
    "signal-by-descriptor": lambda: call(424, os.pidfd_open(1), 9, None, 0),
    "steal-descriptor": lambda: call(438, os.pidfd_open(1), 1, 0),
    "bpf-map": lambda: load_bpf(0),
    "bpf-program": lambda: load_bpf(5),
    "perf": lambda: call(298, ctypes.byref((ctypes.c_uint64 * 16)(0x7000000001)), 0, -1, -1, 0),
    "userfaultfd": lambda: call(323, 0),
    "key-session": lambda: call(250, 1, b"attack"),
    "key-add": lambda: call(248, b"user", b"attack", b"x", 1, -3),
    "raw-ip": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3).close(),
    "metadata-service": lambda: connect("169.254.169.254", 80),
    "bridge": lambda: connect("172.17.0.1", 22),
    "neighbour": lambda: connect("172.17.0.2", 80),
    "name-server": lambda: socket.getaddrinfo("example.org", 443),
    "ipv6": lambda: connect("2001:db8::1", 80, socket.AF_INET6),
    "engine": lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"),
    "containerd": lambda: socket.socket(socket.AF_UNIX).connect("/run/containerd/containerd.sock"),
    "clock-settime": lambda: set_clock(227, 0),
    "settimeofday": lambda: set_clock(164),
    "adjust-clock": lambda: call(305, 0, ctypes.byref((ctypes.c_long * 30)(0x8001, 0))),
    "host-name": lambda: socket.sethostname("attacker"),
    "reboot": lambda: call(169, 0xFEE1DEAD, 672274793, 0, 0),
    "swap": lambda: call(167, b"/tmp/swap", 0),
    "module": lambda: call(175, b"", 0, b""),
    "kexec": lambda: call(246, 0, 0, None, 0),
    "ports": lambda: call(172, 3),
    "accounting": lambda: call(163, b"/tmp/acct"),
    "quota": lambda: call(179, 0x800007 << 8, None, 0, None),
    "kernel-log": lambda: call(103, 3, ctypes.create_string_buffer(64), 64),
    "file-by-handle": lambda: call(304, -100, ctypes.byref((ctypes.c_uint32 * 34)(8, 1, 2)), 0),
    "device": lambda: os.mknod("/tmp/device", 0o020600, os.makedev(1, 1)),
    "become-root": lambda: os.setuid(0),
    "set-groups": lambda: os.setgroups([0]),
    "give-away": keep_setuid,
    "supervisors-priority": lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
    "real-time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)),
    "raise-limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)),
    "core-pattern": lambda: write("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    "sysrq": lambda: write("/proc/sysrq-trigger", "h"),
    "oom-of-first": lambda: write("/proc/1/oom_score_adj", "1000"),
    "own-oom": lambda: write("/proc/self/oom_score_adj", "-1000"),
    "cgroup-limit": lambda: write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"),
    "cgroup-leave": lambda: write("/sys/fs/cgroup/memory/cgroup.procs", "0"),
    "release-agent": lambda: write("/sys/fs/cgroup/memory/release_agent", "/tmp/x"),
    "sys": lambda: write("/sys/kernel/uevent_helper", "/tmp/x"),
    "memory-device": lambda: read("/dev/mem"),
    "kernel-core": lambda: read("/proc/kcore"),
    "kernel-messages": lambda: read("/dev/kmsg"),
    "shadow": lambda: read("/etc/shadow"),
}


def outcome(attempt: Callable[[], object]) -> str:
    """Return what a try came to."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except ValueError as error:
        return type(error).__name__
    return "allowed"


if __name__ == "__main__":
    json.dump({name: outcome(TRIES[name]) for name in sys.argv[1:] or TRIES}, sys.stdout)
