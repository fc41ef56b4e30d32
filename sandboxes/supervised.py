"""A sandbox behind a channel to its supervisor, whatever engine it runs on."""

from __future__ import annotations

import asyncio
import errno
import posixpath
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from assay.errors import DiskFull, SandboxLost, SandboxRefused
from assay.records.sandboxes import CommandResult, Image, OutOfMemory, Process, SandboxOwner, SandboxProfile, TimedOut
from assay.records.trees import Contents, TakenTree, Tree
from assay.sandboxes.channel import Channel
from assay.sandboxes.egress.tunnel import Tunnel
from assay.sandboxes.egress.ways import WayOut, WaysOut
from assay.sandboxes.files import RETRY_SECONDS, ask_for_files, lose
from assay.sandboxes.frames import (
    HelperDied,
    NotStarted,
    Refusal,
    decode_content,
    decode_processes,
    decode_result,
    encode_run,
    split_chunks,
)
from assay.sandboxes.packing import Packed
from assay.sandboxes.protocol import WORKSPACE, Attend
from assay.sandboxes.transfer import TreeTransfer

_EXECUTABLE: Final = 1


class SupervisedSandbox:
    """Implements `Sandbox` by requests to a supervisor."""

    def __init__(
        self,
        name: str,
        image: Image,
        profile: SandboxProfile,
        channel: Channel,
        environment: Mapping[str, str],
        remove: Callable[[], Awaitable[None]],
        hold: Callable[[], Awaitable[None]],
        *,
        used: bool = False,
        transfer: TreeTransfer | None = None,
        ran_out_of_memory: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._name = name
        self._image = image
        self._profile = profile
        self._channel = channel
        self._environment = environment
        self._remove = remove
        self._hold = hold
        self._ran_out_of_memory = ran_out_of_memory
        self._closing: asyncio.Task[None] | None = None
        self._way_out: WayOut | Tunnel | None = None
        self._transfer = transfer if transfer is not None else TreeTransfer(channel, profile)
        if used:  # its workspace is not the empty one of a new sandbox
            with self._transfer.disturbed():
                pass

    @property
    def id(self) -> str:
        """Identity of the sandbox in its provider."""
        return self._name

    @property
    def image(self) -> Image:
        """The image that it was made from."""
        return self._image

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
        """Run a command to its end; see `Sandbox.run`.

        A command that cannot be executed exits with 127 or 126 and says why on stderr, as in a shell.
        """
        limits = self._profile.limits
        seconds = limits.seconds if timeout is None else timeout
        arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        limit = limits.output_bytes if output_limit is None else output_limit

        def encode(left: float) -> bytes:
            return encode_run(
                arguments,
                {**self._environment, **(env or {})},
                directory=posixpath.join(WORKSPACE, cwd),
                seconds=left,
                output_limit=limit,
                stdin=bool(stdin),
                report=report,
            )

        return await self._run(encode, stdin, seconds, limit)

    async def _run(self, encode: Callable[[float], bytes], stdin: bytes, seconds: float, limit: int) -> CommandResult:
        """Where other commands use up the processes, there is none for this one: then it waits, in its own time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        was_lost = self._channel.lost
        payload = encode(seconds)
        while True:
            body = _chunks(stdin) if stdin else None
            disturbed = self._transfer.disturbed()
            try:
                answer = await self._channel.ask(payload, body, command=True, during=disturbed)
                return decode_result(answer, seconds=seconds, output_limit=limit)
            except HelperDied as error:
                if error.out_of_memory:
                    return CommandResult(ending=OutOfMemory())
                raise lose(self._channel, "the helper of a command was killed") from error
            except SandboxLost:
                # A kernel of the sandbox's own ends as a whole for want of memory: what ran in it ended so, too.
                if was_lost or self._ran_out_of_memory is None or not await self._ran_out_of_memory():
                    raise
                return CommandResult(ending=OutOfMemory())
            except NotStarted:
                await asyncio.sleep(RETRY_SECONDS)
                left = deadline - loop.time()
                if left <= 0:
                    return CommandResult(ending=TimedOut(seconds=seconds), seconds=seconds)
                payload = encode(left)

    async def read(self, path: str, *, limit: int = 50_000_000) -> bytes:
        """Return the content of a file; see `Sandbox.read`. SandboxRefused for what is no regular file."""
        place = posixpath.join(WORKSPACE, path)
        payload = b"r" + struct.pack("<Q", limit) + _encode_path(place)
        try:
            content = decode_content(await ask_for_files(self._channel, payload))
        except Refusal as refusal:
            raise _translate(refusal) from None
        if len(content) > limit:
            raise ValueError(f"{place!r} is longer than {limit} bytes.")
        return content

    async def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file whole; see `Sandbox.write`. A file that is there keeps its mode, and may gain execution."""
        place = posixpath.join(WORKSPACE, path)
        payload = b"w" + struct.pack("<I", _EXECUTABLE if executable else 0) + _encode_path(place)
        try:
            body = partial(_chunks, data)
            decode_content(await ask_for_files(self._channel, payload, body, during=self._transfer.disturbed))
        except Refusal as refusal:
            raise _translate(refusal) from None

    async def put_tree(
        self, tree: Tree, contents: Contents, *, root: str = WORKSPACE, packed: Packed | None = None
    ) -> None:
        """Make `root` hold exactly `tree`; see `Sandbox.put_tree`. A `.git` at the root stays."""
        try:
            await self._transfer.put(tree, contents, posixpath.join(WORKSPACE, root), packed)
        except Refusal as refusal:
            raise _translate(refusal) from None

    async def take_tree(self, *, root: str = WORKSPACE) -> TakenTree:
        """Return the tree that `root` holds now; see `Sandbox.take_tree`."""
        try:
            return await self._transfer.take(posixpath.join(WORKSPACE, root))
        except Refusal as refusal:
            if refusal.number == errno.EACCES:
                raise SandboxRefused(f"{refusal.path!r} cannot be read.", next_step="make it readable") from None
            if refusal.number in (errno.ENAMETOOLONG, errno.EMFILE):
                raise SandboxRefused(f"{refusal.path[:80]!r}… lies too deep.", next_step="remove it") from None
            raise _translate(refusal) from None

    async def processes(self) -> tuple[Process, ...]:
        """Return the processes alive in the sandbox, the supervisor left out."""
        return decode_processes(await ask_for_files(self._channel, b"s"))

    async def hold(self) -> None:
        """Say that from now on it holds work that is nowhere else; see `Sandbox.hold`."""
        await self._hold()

    async def let_out(self, ways: WaysOut, owner: SandboxOwner) -> None:
        """Open the way out that the profile grants, before the first command; raises SandboxLost, SandboxRefused."""
        self._way_out = await ways.open(self._channel, self._profile, owner, self._name)

    async def attend(self, serve: Attend, *, connections: int) -> None:
        """Let commands connect to this side; see `Sandbox.attend`."""
        if self._way_out is not None:
            raise SandboxRefused("The sandbox has a way out already.", next_step="take `egress` out of its profile")
        tunnel = self._way_out = Tunnel(self._channel, serve, connections=connections)
        await tunnel.start()

    async def close(self) -> None:
        """Kill everything in it and remove it; a close that is cancelled goes on in the background."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._channel.lose("it was closed")
        try:
            await self._remove()
        finally:
            if self._way_out is not None:
                await self._way_out.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for chunk in split_chunks((data,)):
        yield chunk


def _encode_path(path: str) -> bytes:
    encoded = path.encode(errors="surrogateescape")
    if b"\0" in encoded:
        raise ValueError(f"The path {path!r} contains a NUL byte.")
    return encoded + b"\0"


def _translate(refusal: Refusal) -> Exception:
    """The built-in error for an errno, as `open` raises it; assay's own where there is none."""
    match refusal.number:
        case errno.ENOSPC | errno.EDQUOT:
            return DiskFull(f"The sandbox has no room left for {refusal.path!r}.", next_step="raise its limits")
        case errno.ENXIO | errno.ESTALE:
            return SandboxRefused(f"{refusal.path!r} is not a regular file.")
        case errno.ENOTDIR:
            return FileNotFoundError(errno.ENOENT, "No such file or directory", refusal.path)
        case errno.EROFS:
            return PermissionError(errno.EROFS, "Read-only file system", refusal.path)
        case _:
            return OSError(*refusal.args)
