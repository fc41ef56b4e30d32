"""What a sandbox is to the rest of assay: a place to run commands and to put and take files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from assay.records.sandboxes import CommandResult, Image, Process, Reaped, SandboxOwner, SandboxProfile
from assay.records.trees import Contents, TakenTree, Tree

WORKSPACE: Final = "/workspace"
"""Where the tree that is worked on lies, and where commands start."""

HELD_OUT: Final = "/held_out"
"""Where a second tree lies, in a sandbox whose profile has one."""

REPORT_DESCRIPTOR: Final = 3
"""Descriptor on which a command that is run with `report=True` may write what `CommandResult.report` holds."""


class Peer(Protocol):
    """The sandbox's end of one connection."""

    async def read(self) -> bytes:
        """Return what came next; empty at the end. Raises ConnectionError when it was cut off."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes, and wait while too much is on its way; raises ConnectionError."""
        ...

    async def gone(self) -> None:
        """Return once it is known that the other end is closed, whatever of it is still unread."""
        ...


Attend = Callable[[Peer], Awaitable[None]]
"""Serves one connection; when it returns, what it wrote is delivered and the connection ends."""


class Sandbox(Protocol):
    """One sandbox, from the moment it is opened until it is closed.

    Every method raises `SandboxLost` when the sandbox is gone, within a second of its end.
    """

    @property
    def id(self) -> str:
        """Identity of the sandbox in its provider, for people and logs."""
        ...

    @property
    def image(self) -> Image:
        """The image that it was made from."""
        ...

    async def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = WORKSPACE,
        timeout: float | None = None,
        output_limit: int | None = None,
        report: bool = False,
    ) -> CommandResult:
        """Run a command to its end and return how it ended.

        Args:
            command: an argument vector, or one string for `/bin/sh -c`.
            stdin: given to the command, then closed.
            env: added to the profile's environment.
            cwd: absolute path, or relative to the workspace.
            timeout: seconds; the profile's limit where None.
            output_limit: bytes kept of each stream; the profile's limit where None.
            report: give the command the descriptor `REPORT_DESCRIPTOR` to write results on.

        When it returns, no process of the command is alive any more.
        """
        ...

    async def read(self, path: str, *, limit: int = 50_000_000) -> bytes:
        """Return the content of a file; raises FileNotFoundError, IsADirectoryError, PermissionError,
        and ValueError when it is longer than `limit` bytes.
        """
        ...

    async def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file whole, creating its directories; raises PermissionError, IsADirectoryError, DiskFull."""
        ...

    async def put_tree(self, tree: Tree, contents: Contents, *, root: str = WORKSPACE) -> None:
        """Make `root` hold exactly `tree`. Only what differs from the last tree put or taken there travels.

        Raises DiskFull, and SandboxRefused for a link that leaves the tree or a path that is not relative.
        """
        ...

    async def take_tree(self, *, root: str = WORKSPACE) -> TakenTree:
        """Return the tree that `root` holds now; `.git` directories are left out.

        With it come the contents that were in no tree put, nor in the tree taken last, whatever became of takes
        that were refused.

        Raises SandboxRefused, naming the path, for devices, sockets, FIFOs and links that leave the tree.
        """
        ...

    async def attend(self, serve: Attend, *, connections: int) -> None:
        """Let commands connect to port 3128 of 127.0.0.1, and serve each connection on this side, so many at a time.

        Raises SandboxRefused where the sandbox has a way out already, or can have none.
        """
        ...

    async def processes(self) -> tuple[Process, ...]:
        """Return the processes alive in the sandbox, the supervisor left out."""
        ...

    async def hold(self) -> None:
        """Say that from now on it holds work that is nowhere else, of an owner that named the commit it starts from.

        If the owner process is killed, `SandboxProvider.reap` lets somebody keep that work before it is removed.
        """
        ...

    async def close(self) -> None:
        """Kill everything in it and remove it. Closing twice is fine."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class WorkKeeper(Protocol):
    """Who keeps the work that killed processes left in sandboxes."""

    async def knows(self, owner: SandboxOwner) -> bool:
        """Whether the run is one of theirs; what others work on is left to them."""
        ...

    async def keep(self, owner: SandboxOwner, sandbox: Sandbox) -> None:
        """Keep what a sandbox holds and nothing else does. It is removed when this returns; it stays when it raises."""
        ...


@dataclass(frozen=True, slots=True)
class Filling:
    """A tree that a fresh sandbox is to hold."""

    tree: Tree
    contents: Contents
    root: str = WORKSPACE

    def equals(self, other: Filling) -> bool:
        """Whether another one puts the same files in the same place, wherever their bytes are read."""
        return self.root == other.root and self.tree == other.tree


class SandboxProvider(Protocol):
    """Where sandboxes come from."""

    async def image(self, profile: SandboxProfile) -> Image:
        """Return the image that a profile means now; raises ImageMissing, EngineUnavailable."""
        ...

    async def open(self, profile: SandboxProfile, owner: SandboxOwner, filling: Filling | None = None) -> Sandbox:
        """Return a fresh sandbox that nobody has used, with nothing in it but `filling`. The caller closes it.

        It raises what `Sandbox.put_tree` does, too.
        """
        ...

    def prepare(self, profile: SandboxProfile, count: int, filling: Filling | None = None) -> None:
        """Learn that so many more sandboxes of a profile will soon be opened; negative, that so many will not.

        With `filling`, they will be opened with an equal one, and hold it by then.

        It promises nothing, and raises nothing: `open` says what is wrong.
        """
        ...

    async def reap(self, keeper: WorkKeeper | None = None) -> Reaped:
        """Remove the sandboxes whose owner process is dead; first `keeper` keeps the work that some of them hold.

        Without a keeper those stay until their own end.
        """
        ...

    async def close(self) -> None:
        """Close every sandbox that is still open, and the connection."""
        ...
