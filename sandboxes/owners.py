"""Labels of containers: whose they are, and whether their owner still lives."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from assay.records.sandboxes import SandboxOwner

LABEL: Final = "dev.assay.sandbox"
"""Every container of assay's has it; its value is the version of these labels."""
_RUN: Final = "dev.assay.run"
_ROLE: Final = "dev.assay.role"
_STEP: Final = "dev.assay.step"
_HOST: Final = "dev.assay.owner.host"
_BOOT: Final = "dev.assay.owner.boot"
_PID: Final = "dev.assay.owner.pid"
_STARTED: Final = "dev.assay.owner.started"
_EXPIRES: Final = "dev.assay.expires"

_STAT_STARTED: Final = 19
"""Field 22 of /proc/PID/stat (proc(5)), counted after the name."""


@dataclass(frozen=True, slots=True)
class OwnerProcess:
    """A process, so that it can be told from another one that has its number later."""

    host: str
    """Digest of the machine's identity and of the space of process numbers."""
    boot: str
    pid: int
    started: int
    """Clock ticks from boot to its start."""

    @classmethod
    def current(cls) -> Self:
        """Return this process."""
        pid = os.getpid()
        return cls(_host_id(), _read("/proc/sys/kernel/random/boot_id"), pid, _started(pid) or 0)

    def is_dead(self, seen_from: OwnerProcess) -> bool:
        """Whether the process is certainly dead; of another host's process nothing is known."""
        if self.host != seen_from.host:
            return False
        return self.boot != seen_from.boot or _started(self.pid) != self.started


def make_labels(owner: SandboxOwner, process: OwnerProcess, *, lifetime: float) -> dict[str, str]:
    """Return the labels of a container that may live for `lifetime` seconds."""
    return {
        LABEL: "1",
        _RUN: owner.run,
        _ROLE: owner.role,
        _STEP: owner.step,
        _HOST: process.host,
        _BOOT: process.boot,
        _PID: str(process.pid),
        _STARTED: str(process.started),
        _EXPIRES: str(int(time.time() + lifetime)),
    }


def is_left_over(labels: Mapping[str, str], seen_from: OwnerProcess) -> bool:
    """Whether the container with these labels belongs to nobody any more, or is past its time."""
    if LABEL not in labels:
        return False
    try:
        owner = OwnerProcess(labels[_HOST], labels[_BOOT], int(labels[_PID]), int(labels[_STARTED]))
        expires = int(labels[_EXPIRES])
    except (KeyError, ValueError):
        return False  # not written by this program: not ours to remove
    return expires < time.time() or owner.is_dead(seen_from)


def _started(pid: int) -> int | None:
    text = _read(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split()
    if len(fields) <= _STAT_STARTED or fields[0] in "ZX":
        return None
    return int(fields[_STAT_STARTED])


def _host_id() -> str:
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    machine = _read("/etc/machine-id") or socket.gethostname()
    return hashlib.sha256(f"{machine}\n{space}".encode()).hexdigest()[:16]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
