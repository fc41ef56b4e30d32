"""Sandboxes without an engine: files in a dictionary, commands from a function. For tests, ours and the host's."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import inspect
import itertools
import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Final, Self

from assay.errors import ImageMissing, SandboxLost, SandboxRefused
from assay.records.base import digest_of_bytes
from assay.records.sandboxes import (
    CommandResult,
    Ending,
    Exited,
    Image,
    Output,
    Process,
    Reaped,
    SandboxOwner,
    SandboxProfile,
    TimedOut,
)
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK, Contents, TakenTree, Tree, TreeFile, blob_id
from assay.sandboxes.fake_commands import run_built_in
from assay.sandboxes.profiles import HOME, base_environment, check_profile
from assay.sandboxes.protocol import HELD_OUT, WORKSPACE, Attend, Filling, WorkKeeper
from assay.sandboxes.trees import Change, TreeView, check_links, is_link

_SUCCESS: Final = Exited(code=0)


@dataclass(frozen=True, slots=True)
class FakeFile:
    """A file in a fake sandbox: a git mode, and its content (the target, for a link)."""

    mode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FakeCommand:
    """What a fake sandbox is asked to run."""

    command: tuple[str, ...] | str
    """An argument vector, or a string for a shell."""
    files: Mapping[str, FakeFile]
    """Absolute path to file, of everything in the sandbox."""
    stdin: bytes
    env: Mapping[str, str]
    """The whole environment: the sandbox's own, the profile's and the command's."""
    cwd: str
    timeout: float
    """Seconds; the fake ends an awaitable that takes longer, a thread it only waits for no more."""
    report: bool

    @property
    def tree(self) -> dict[str, FakeFile]:
        """The files below the workspace, by relative path."""
        start = WORKSPACE + "/"
        return {path.removeprefix(start): file for path, file in self.files.items() if path.startswith(start)}


@dataclass(frozen=True, slots=True)
class FakeOutcome:
    """How a command in a fake sandbox went."""

    ending: Ending = _SUCCESS
    stdout: bytes = b""
    stderr: bytes = b""
    report: bytes = b""
    files: Mapping[str, FakeFile] | None = None
    """Everything that is in the sandbox afterwards, by absolute path; None where nothing changed."""
    disk_full: bool = False


Commands = Callable[[FakeCommand], FakeOutcome | Awaitable[FakeOutcome | None] | None]
"""What executes commands: a coroutine function, or a function that is called in a thread. None means that
it does not know the command, and the built-in ones are looked through."""


class FakeSandboxProvider:
    """Implements `SandboxProvider` in memory. It isolates nothing, and runs nothing but `commands`.

    Args:
        commands: executes commands; where None, only the built-in ones (`true`, `cat`, `sh -c 'exit 3'`, …) run.
        images: names that exist; None means that every name does.
    """

    def __init__(self, commands: Commands | None = None, *, images: Mapping[str, Image] | None = None) -> None:
        self._commands = commands
        self._images = images
        self._numbers = itertools.count(1)
        self.open_sandboxes: dict[str, FakeSandbox] = {}
        """The sandboxes that nobody has closed, by id."""

    async def image(self, profile: SandboxProfile) -> Image:
        """Return the image that a profile means; raises ImageMissing."""
        if self._images is None:
            return Image(name=profile.image, id=digest_of_bytes(b"fake image " + profile.image.encode()))
        try:
            return self._images[profile.image]
        except KeyError:
            raise ImageMissing(
                f"There is no image {profile.image!r}.", next_step=f"assay sandbox build {profile.image}"
            ) from None

    async def open(self, profile: SandboxProfile, owner: SandboxOwner, filling: Filling | None = None) -> FakeSandbox:
        """Return a fresh sandbox."""
        check_profile(profile)
        image = await self.image(profile)
        name = f"fake-{next(self._numbers)}"
        sandbox = FakeSandbox(name, image, profile, owner, self._commands, self.open_sandboxes)
        if filling is not None:
            await sandbox.put_tree(filling.tree, filling.contents, root=filling.root)
        self.open_sandboxes[name] = sandbox
        return sandbox

    def prepare(self, profile: SandboxProfile, count: int, filling: Filling | None = None) -> None:
        """Do nothing: a fake costs nothing to open."""

    async def reap(self, keeper: WorkKeeper | None = None) -> Reaped:
        """Find nothing: what is in memory dies with its owner."""
        return Reaped()

    async def close(self) -> None:
        """Close every sandbox that is still open."""
        for sandbox in list(self.open_sandboxes.values()):
            await sandbox.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@dataclass(slots=True)
class FakeSandbox:
    """Implements `Sandbox` on a dictionary of files."""

    id: str
    image: Image
    profile: SandboxProfile
    owner: SandboxOwner
    commands: Commands | None
    siblings: dict[str, FakeSandbox] = field(repr=False)
    files: dict[str, FakeFile] = field(default_factory=dict)
    _given: set[str] = field(default_factory=set)
    _running: set[asyncio.Future[FakeOutcome]] = field(default_factory=set)
    _lost: str | None = None

    def lose(self, reason: str = "it was lost on purpose") -> None:
        """End the sandbox as if its engine had died: everything raises SandboxLost from now on."""
        self._lost = self._lost or reason
        for running in self._running:
            running.cancel()

    def _check(self) -> None:
        if self._lost is not None:
            raise SandboxLost(f"The sandbox was lost, because {self._lost}.")

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
        """Hand the command to `commands`, or run it as a built-in one."""
        self._check()
        seconds = self.profile.limits.seconds if timeout is None else timeout
        limit = self.profile.limits.output_bytes if output_limit is None else output_limit
        asked = FakeCommand(
            command=command if isinstance(command, str) else tuple(command),
            files=MappingProxyType(dict(self.files)),
            stdin=stdin,
            env={**base_environment({}, self.profile), **(env or {})},
            cwd=posixpath.join(WORKSPACE, cwd),
            timeout=seconds,
            report=report,
        )
        outcome = await self._limited(asked)
        self._check()
        if outcome.files is not None:
            self._adopt(outcome.files)
        return CommandResult(
            ending=outcome.ending,
            stdout=bound_output(outcome.stdout, limit),
            stderr=bound_output(outcome.stderr, limit),
            report=bound_output(outcome.report if report else b"", limit),
            disk_full=outcome.disk_full,
        )

    async def _limited(self, asked: FakeCommand) -> FakeOutcome:
        running = asyncio.ensure_future(self._execute(asked))
        self._running.add(running)
        try:
            return await asyncio.wait_for(running, asked.timeout)
        except TimeoutError:
            return FakeOutcome(ending=TimedOut(seconds=asked.timeout))
        except asyncio.CancelledError:
            self._check()
            raise
        finally:
            self._running.discard(running)

    async def _execute(self, asked: FakeCommand) -> FakeOutcome:
        outcome: FakeOutcome | None = None
        if self.commands is not None:
            answer = self.commands(asked) if _is_async(self.commands) else asyncio.to_thread(self.commands, asked)
            outcome = await answer  # type: ignore[misc]  # what is not awaitable was put into a thread
        if outcome is None:
            ending, stdout, stderr, reported = await run_built_in(
                asked.command, asked.stdin, asked.env, asked.cwd, lambda path: _content(asked.files, path)
            )
            outcome = FakeOutcome(ending, stdout, stderr, reported)
        return outcome

    def _adopt(self, files: Mapping[str, FakeFile]) -> None:
        if self.profile.workspace == "read-only":
            inside = WORKSPACE + "/"
            kept = {path: file for path, file in self.files.items() if path.startswith(inside)}
            files = {path: file for path, file in files.items() if not path.startswith(inside)} | kept
        self.files = dict(files)

    async def read(self, path: str, *, limit: int = 50_000_000) -> bytes:
        """Return the content of a file."""
        self._check()
        place = posixpath.normpath(posixpath.join(WORKSPACE, path))
        if place not in self.files and self._is_directory(place):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", place)
        data = _content(self.files, place)
        if len(data) > limit:
            raise ValueError(f"{place!r} is longer than {limit} bytes.")
        return data

    async def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file whole; below the workspace, `/tmp` and, where there is one, the held-out tree only."""
        self._check()
        place = posixpath.normpath(posixpath.join(WORKSPACE, path))
        roots = ["/tmp"] + [HELD_OUT] * self.profile.held_out  # noqa: S108
        roots += [WORKSPACE] * (self.profile.workspace == "read-write")
        if not place.startswith(tuple(root + "/" for root in roots)):
            raise PermissionError(errno.EACCES, "Permission denied", place)
        if self._is_directory(place):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", place)
        before = self.files.get(place)
        keeps = before is not None and before.mode == EXECUTABLE
        self.files[place] = FakeFile(EXECUTABLE if executable or keeps else REGULAR, data)

    def _is_directory(self, place: str) -> bool:
        return place in ("/", "/tmp", HOME, WORKSPACE) or any(path.startswith(place + "/") for path in self.files)  # noqa: S108

    async def put_tree(self, tree: Tree, contents: Contents, *, root: str = WORKSPACE) -> None:
        """Make `root` hold exactly `tree`; a `.git` at the root stays."""
        self._check()
        Change.between(TreeView(), tree)
        data = {path: contents.read(file.oid) for path, file in tree.items()}
        check_links({path: data[path].decode(errors="surrogateescape") for path in tree if is_link(tree[path])})
        start = posixpath.join(WORKSPACE, root).rstrip("/") + "/"
        stays = {
            path: file
            for path, file in self.files.items()
            if not path.startswith(start) or path.startswith(start + ".git/")
        }
        self.files = stays | {start + path: FakeFile(file.mode, data[path]) for path, file in tree.items()}
        self._given.update(file.oid for file in tree.values())

    async def take_tree(self, *, root: str = WORKSPACE) -> TakenTree:
        """Return the tree that `root` holds now."""
        self._check()
        start = posixpath.join(WORKSPACE, root).rstrip("/") + "/"
        tree: dict[str, TreeFile] = {}
        fresh: dict[str, bytes] = {}
        links: dict[str, str] = {}
        for path in sorted(path for path in self.files if path.startswith(start)):
            name, file = path.removeprefix(start), self.files[path]
            if ".git" in name.split("/"):
                continue
            if file.mode not in (REGULAR, EXECUTABLE, SYMLINK):
                raise SandboxRefused(f"{name!r} is a special file, which cannot be part of a tree.")
            oid = blob_id(file.data)
            tree[name] = TreeFile(file.mode, oid)
            if file.mode == SYMLINK:
                links[name] = file.data.decode(errors="surrogateescape")
            if oid not in self._given:
                fresh[oid] = file.data
        check_links(links)
        there = {blob_id(file.data) for file in self.files.values()}
        self._given = (self._given & there) | fresh.keys()
        return TakenTree(tree, fresh)

    async def attend(self, serve: Attend, *, connections: int) -> None:
        """Refuse: nothing in a dictionary can connect."""
        self._check()
        raise SandboxRefused("A fake sandbox runs nothing that could connect.", next_step="use a real one")

    async def processes(self) -> tuple[Process, ...]:
        """Return nothing: no process runs."""
        self._check()
        return ()

    async def hold(self) -> None:
        """Do nothing: what is in memory dies with its owner."""
        self._check()

    async def close(self) -> None:
        """Forget everything in it."""
        self.lose("it was closed")
        self.siblings.pop(self.id, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


_LINKS: Final = 40


def _content(files: Mapping[str, FakeFile], path: str) -> bytes:
    for _ in range(_LINKS):
        file = files.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if file.mode != SYMLINK:
            return file.data
        target = file.data.decode(errors="surrogateescape")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    raise OSError(errno.ELOOP, "Too many levels of symbolic links", path)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def bound_output(data: bytes, limit: int) -> Output:
    """Return what a sandbox keeps of a stream: everything, or the first and the last half of the limit."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if len(data) <= limit:
        return Output(head=data, length=len(data), digest=digest)
    first = limit // 2
    return Output(head=data[:first], tail=data[len(data) - (limit - first) :], length=len(data), digest=digest)
