"""The nouns of sandboxes: what may be asked of one, and how a command in it ended."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.records.base import Record
from assay.records.egress import Egress


class Limits(Record):
    """What one sandbox may use."""

    memory_mb: Annotated[int, Field(ge=64)] = 1024
    """Memory and the tmpfs in it together, MiB; there is no swap."""
    workspace_mb: Annotated[int, Field(ge=8)] = 256
    """Size of the writable workspace, MiB; charged to `memory_mb`."""
    scratch_mb: Annotated[int, Field(ge=8)] = 128
    """Size of `/tmp`, MiB; charged to `memory_mb`."""
    inodes: Annotated[int, Field(ge=1000)] = 200_000
    """Files and directories in each tmpfs."""
    processes: Annotated[int, Field(ge=8)] = 256
    """Processes and threads at once."""
    open_files: Annotated[int, Field(ge=64, le=1_048_576)] = 4096
    """Descriptors that one process may ask to have open at once; it begins with 1024 where it may have more."""
    cpus: Annotated[float, Field(gt=0)] = 2.0
    """Processors' worth of time."""
    output_bytes: Annotated[int, Field(ge=1024)] = 1_000_000
    """Kept of each stream of a command; the rest is counted and digested, then dropped."""
    seconds: Annotated[float, Field(gt=0)] = 300.0
    """Time limit of a command that names none."""


class Mount(Record):
    """A volume of the engine that a sandbox can read, never write."""

    volume: str
    """Name of the volume. Whoever runs the engine allows it by its label: `dev.assay.mountable=yes`."""
    target: str
    """Where it appears, below `/opt`, `/srv` or `/mnt`."""


class SandboxProfile(Record):
    """`[sandboxes.NAME]` in `assay.toml`: what a sandbox is made of. The defaults undo nothing."""

    image: str = "python"
    """Name of an image that `assay sandbox build` made, or a reference by digest."""
    user: Annotated[int, Field(ge=1, le=65_533)] | Literal["image"] | None = None
    """Number of the user and group that commands run as, or `"image"` for the one that the image names by its number;
    never root. Empty: another number for each sandbox, for the kernel keeps some limits by user, not by container."""
    workspace: Literal["read-write", "read-only"] = "read-write"
    """Read-only: commands cannot change the tree; `/tmp` stays theirs."""
    held_out: bool = False
    """Whether there is a second writable tree, `/held_out`, of the size of `/tmp`. Set for a task that needs it."""
    environment: dict[str, str] = {}
    """Variables of every command in it."""
    hostname: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "sandbox"
    """Name of the machine, as commands in it see it."""
    dependencies: str | None = None
    """Lock file in the repository whose distributions are installed upon the image, as it stands at the base commit:
    `uv.lock`, `poetry.lock`, `pylock.toml`, requirements with exact versions, or `package-lock.json`. No script of
    theirs is run."""
    mounts: tuple[Mount, ...] = ()
    """Volumes with large things to read: data sets, models, mirrors of packages. Evidence does not tell what is in
    them."""
    limits: Limits = Limits()
    egress: Egress = Egress()
    warm: Annotated[int, Field(ge=0, le=16)] = 0
    """Sandboxes that a process which uses this profile keeps ready, so that opening one costs milliseconds. It pays
    for a server that works all day; what a proof needs is prepared without it."""
    runtime: str | None = None
    """OCI runtime, for instance `runsc`; empty means the engine's default."""


class SandboxOwner(Record):
    """On whose behalf a sandbox exists; becomes its labels, by which leftovers are found."""

    run: str
    """Run id, or `check-…`."""
    role: str
    """Role or purpose: `coder`, `check`, `shell`."""
    step: str = ""
    """Where in the run, for a person who looks at `docker ps`."""
    commit: str | None = None
    """Commit that the work in it starts from, where it will hold work that is nowhere else. Such a sandbox outlives
    an owner that is killed, for a while, so that its files can be kept."""


class Left(Record):
    """A sandbox of a dead process that was not removed."""

    id: str
    run: str
    reason: str


class Reaped(Record):
    """What looking for the sandboxes of dead processes came to."""

    removed: tuple[str, ...] = ()
    """Ids of those that are gone."""
    rescued: tuple[str, ...] = ()
    """Ids of those among them whose work was looked through first, and kept where it was nowhere else."""
    left: tuple[Left, ...] = ()
    """Those that hold work which could not be kept: they stay until the next time, or until their own end."""


class Image(Record):
    """A sandbox image, by what it is and not by what it is called."""

    name: str
    id: str
    """`sha256:…` of the image in the engine."""
    digest: str | None = None
    """Registry digest of the base image, where it came from a registry."""
    packages: tuple[str, ...] = ()
    """`name version` of what is installed, as recorded when it was built; a project's dependencies as `pypi/name` and
    `npm/name`."""
    lock: str | None = None
    """`sha256:…` of the lock file whose dependencies it has, where it has a project's."""
    loaded: tuple[str, ...] = ()
    """Those of a project's dependencies that are loaded by themselves, before any program asks for them: when Python
    starts, or pytest."""


class Exited(Record):
    """The command ended by itself."""

    type: Literal["exited"] = "exited"
    code: int


class Signalled(Record):
    """The command was killed by a signal that assay did not send."""

    type: Literal["signalled"] = "signalled"
    signal: int


class TimedOut(Record):
    """The command ran out of time; its whole process tree was killed."""

    type: Literal["timed_out"] = "timed_out"
    seconds: float


class OutOfMemory(Record):
    """The kernel killed a process of the command because the sandbox's memory was used up."""

    type: Literal["out_of_memory"] = "out_of_memory"


Ending = Annotated[Exited | Signalled | TimedOut | OutOfMemory, Field(discriminator="type")]
"""How a command ended. That the sandbox itself was lost is not an ending but an error, `SandboxLost`."""


class Output(Record):
    """One stream of a command: its beginning and its end, and the digest of the whole."""

    head: bytes = b""
    """The first bytes, up to half of the limit, or everything where it fits."""
    tail: bytes = b""
    """The last bytes, where the middle was dropped."""
    length: int = 0
    """Bytes that were written in all."""
    digest: str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    """`sha256:…` of all of them."""

    @property
    def cut(self) -> bool:
        """Whether bytes in the middle were dropped."""
        return self.length > len(self.head) + len(self.tail)

    @property
    def data(self) -> bytes:
        """What was kept, with a line in the place of what was dropped."""
        if not self.cut:
            return self.head + self.tail
        dropped = self.length - len(self.head) - len(self.tail)
        return self.head + b"\n[... %d bytes dropped ...]\n" % dropped + self.tail

    @property
    def text(self) -> str:
        """`data` as text; bytes that are not UTF-8 are shown as escapes."""
        return self.data.decode(errors="backslashreplace")


class CommandResult(Record):
    """What executing one command in a sandbox showed."""

    ending: Ending
    stdout: Output = Output()
    stderr: Output = Output()
    report: Output = Output()
    """What was written to the report descriptor, where the command was given one."""
    disk_full: bool = False
    """Whether a writable place of the sandbox had no room left when the command ended."""
    seconds: float = 0.0
    """Wall time inside the sandbox."""
    cpu_seconds: float = 0.0
    """User and system time of the command's process tree."""

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself with exit code 0."""
        return self.ending == Exited(code=0)


class Process(Record):
    """A process alive in a sandbox."""

    pid: int
    parent: int
    user: int
    state: str
    command: str
