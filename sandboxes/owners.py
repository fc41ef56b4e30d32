"""Labels and names of containers: whose they are, and whether their owner still lives.

A label cannot change, a name can. So a container that was made before anybody needed it says in its name who has it
(`assay_RUN_ROLE_…`), and one that may hold work which is nowhere else, from when on it does (`…-work`).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from assay.records.sandboxes import SandboxOwner, SandboxProfile

LABEL: Final = "dev.assay.sandbox"
"""Every container of assay's has it; its value is the version of these labels."""
_RUN: Final = "dev.assay.run"
_ROLE: Final = "dev.assay.role"
_STEP: Final = "dev.assay.step"
_COMMIT: Final = "dev.assay.commit"
_PROFILE: Final = "dev.assay.profile"
_HOST: Final = "dev.assay.owner.host"
_BOOT: Final = "dev.assay.owner.boot"
_PID: Final = "dev.assay.owner.pid"
_STARTED: Final = "dev.assay.owner.started"
_EXPIRES: Final = "dev.assay.expires"

REMOVING: Final = "removing"
"""State of a container that the engine is removing. Docker 20.10 may list one so for ever that is gone."""

WARM: Final = SandboxOwner(run="", role="warm")
"""Whose a sandbox is that was made before anybody needed it."""
_WORK: Final = "-work"
_HANDED_OUT: Final = "assay_"

OWNER_LABELS: Final = (LABEL, _RUN, _ROLE, _STEP, _HOST, _BOOT, _PID, _STARTED, _EXPIRES)
"""All of them. An image that is made from a container would pass them on to every container of its own."""

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


def make_labels(
    owner: SandboxOwner, process: OwnerProcess, *, lifetime: float, profile: SandboxProfile | None = None
) -> dict[str, str]:
    """Return the labels of a container that may live for `lifetime` seconds.

    Where its work may have to be kept, they say what it was made of, too, but for variables: these may be secrets.
    """
    labels = {
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
    if owner.commit is not None and profile is not None:
        labels[_COMMIT] = owner.commit
        labels[_PROFILE] = profile.model_dump_json(exclude={"environment"}, exclude_defaults=True)
    return labels


def make_name(owner: SandboxOwner) -> str:
    """Return a name for a new container."""
    return f"assay-{_plain(owner.role)}-{secrets.token_hex(6)}"


def name_in_use(owner: SandboxOwner) -> str:
    """Return a name for a container that had no owner, and has one now."""
    return f"{_HANDED_OUT}{_plain(owner.run)}_{_plain(owner.role)}_{secrets.token_hex(6)}"


def name_with_work(name: str) -> str:
    """Return the name of a container from when on it holds work."""
    return name + _WORK


def read_owner(labels: Mapping[str, str], name: str) -> SandboxOwner:
    """Return on whose behalf a container exists, by its labels and its name as the engine lists it."""
    plain = name.removeprefix("/")
    if plain.startswith(_HANDED_OUT) and plain.count("_") == 3:
        _, run, role, _ = plain.split("_")
        return SandboxOwner(run=run, role=role)
    return SandboxOwner(
        run=labels.get(_RUN, ""), role=labels.get(_ROLE, ""), step=labels.get(_STEP, ""), commit=labels.get(_COMMIT)
    )


def held_profile(labels: Mapping[str, str], name: str) -> SandboxProfile | None:
    """Return the profile of a container that holds work; None for one that holds none. Raises ValueError."""
    if _COMMIT not in labels or not name.endswith(_WORK):
        return None
    return SandboxProfile.model_validate_json(labels.get(_PROFILE, ""))


def read_process(labels: Mapping[str, str]) -> tuple[OwnerProcess, int] | None:
    """Return the process that made a container, and when its time is over, seconds since 1970.

    None for labels that this program has not written.
    """
    try:
        owner = OwnerProcess(labels[_HOST], labels[_BOOT], int(labels[_PID]), int(labels[_STARTED]))
        return owner, int(labels[_EXPIRES])
    except (KeyError, ValueError):
        return None


def is_left_over(labels: Mapping[str, str], seen_from: OwnerProcess) -> bool:
    """Whether the container with these labels belongs to nobody any more, or is past its time."""
    made = read_process(labels) if LABEL in labels else None
    if made is None:
        return False  # not written by this program: not ours to remove
    owner, expires = made
    return expires < time.time() or owner.is_dead(seen_from)


def _plain(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)[:40] or "sandbox"


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
