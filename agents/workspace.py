"""A role's files: the last saved tree in the git store, and a sandbox that holds it while one is needed."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import structlog

from assay.agents.files import FileTools
from assay.agents.objects import GitObjects
from assay.agents.protocol import RoleTask
from assay.agents.unsaved import ROOTS, keep_unsaved, read_ignored, ref_of
from assay.errors import AssayError
from assay.policies.litter import without_litter
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.records.trees import EXECUTABLE, Tree
from assay.sandboxes.protocol import HELD_OUT, WORKSPACE, Sandbox, SandboxProvider
from assay.store.protocol import Ledger

_DISPOSABLE_GIT: Final = (
    "command -v git >/dev/null || exit 0; git init -q . && git add -A -f . && "
    "git -c user.name=assay -c user.email=assay@localhost -c commit.gpgsign=false commit -q --allow-empty -m base "
    "|| rm -rf .git"
)
"""For the agent's `git diff`. It is made by the agent's own user inside, and nothing ever reads it back."""
_KEEPING_SECONDS: Final = 20.0
"""For keeping what is not saved when somebody stops the run: they wait for it."""

_log = structlog.get_logger(__name__)


class Workspace:
    """The files of one task. The sandbox is opened when a tool first needs it."""

    def __init__(self, task: RoleTask, git: GitObjects, sandboxes: SandboxProvider, profile: SandboxProfile) -> None:
        """Name what it is made of; nothing is opened."""
        self._task = task
        self._git = git
        self._sandboxes = sandboxes
        read_only: dict[str, str] = {} if task.may_change else {"workspace": "read-only"}
        self._profile = profile.model_copy(update={"held_out": task.held_out, **read_only})
        writes = bool(task.may_change) or task.held_out
        self._owner = SandboxOwner(run=task.run, role=task.role, step=task.name, commit=task.commit if writes else None)
        self._sandbox: Sandbox | None = None
        self._files: dict[str, Tree] = {}
        """By root, what it held when it was last put or taken."""
        self._fresh: dict[str, bytes] = {}
        """Contents in the sandbox that no tree of the store holds: litter now, that may be copied to a file later."""
        self._there: dict[str, frozenset[str]] = {}
        """Root to the contents that its last taken tree had."""
        self._base: Tree = {}
        self._ignored = ""
        """Text of the base's `.gitignore`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def tools(self, tree: str | None, held_out: str | None) -> FileTools:
        """Return the file tools on a sandbox that holds these trees; opens one where none is open.

        Args:
            tree: the workspace as last saved; None for the commit's own.
            held_out: the held-out tree as last saved; None for an empty one.
        """
        if self._sandbox is None:
            self._sandbox = await self._open(tree, held_out)
        return FileTools(
            sandbox=self._sandbox,
            may_change=self._task.may_change,
            held_out=self._task.held_out,
            executable=self._is_executable,
        )

    async def save(self) -> tuple[str | None, str | None]:
        """Write what changed since the last time into the git store, and keep it alive there.

        Returns:
            The tree of the workspace and the held-out tree; None for what is as it was.

        Raises:
            SandboxRefused: the workspace holds what no tree can hold; nothing was saved.
            SandboxLost: the sandbox is gone.
        """
        if self._sandbox is None:
            return None, None
        changed: list[str | None] = []
        for root, kind in ROOTS:
            writable = bool(self._task.may_change) if root == WORKSPACE else self._task.held_out
            changed.append(await self._save_root(self._sandbox, root, kind) if writable else None)
        return changed[0], changed[1]

    async def keep_unsaved(self, ledger: Ledger) -> None:
        """Keep what the step in flight left in the sandbox, since it is being stopped; for some seconds at most."""
        if self._sandbox is None or self._owner.commit is None:
            return
        try:
            async with asyncio.timeout(_KEEPING_SECONDS):
                await keep_unsaved(self._sandbox, self._owner, git=self._git, ledger=ledger, contents=self._fresh)
        except (AssayError, TimeoutError) as error:
            _log.warning("work_not_kept", run=self._owner.run, step=self._owner.step, reason=str(error))

    async def discard(self) -> None:
        """Give the sandbox up; the next tool call gets a fresh one."""
        sandbox, self._sandbox = self._sandbox, None
        self._files.clear()
        self._fresh.clear()
        self._there.clear()
        if sandbox is not None:
            await sandbox.close()

    async def close(self) -> None:
        """Close the sandbox where one is open."""
        await self.discard()

    async def _open(self, tree: str | None, held_out: str | None) -> Sandbox:
        sandbox = await self._sandboxes.open(self._profile, self._owner)
        try:
            self._base = await self._git.tree(self._task.commit)
            self._ignored = await read_ignored(self._git, self._base)
            await self._put(sandbox, WORKSPACE, self._base)
            if self._task.may_change:
                await sandbox.run(_DISPOSABLE_GIT, timeout=120)
            if tree is not None:
                await self._put(sandbox, WORKSPACE, await self._git.tree(tree))
            if self._task.held_out:
                await self._put(sandbox, HELD_OUT, await self._git.tree(held_out) if held_out else {})
            if self._owner.commit is not None:
                await sandbox.hold()
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    async def _put(self, sandbox: Sandbox, root: str, tree: Tree) -> None:
        await sandbox.put_tree(tree, self._git.contents, root=root)
        self._files[root] = tree

    async def _save_root(self, sandbox: Sandbox, root: str, kind: str) -> str | None:
        taken = await sandbox.take_tree(root=root)
        base = self._base if root == WORKSPACE else {}
        kept = without_litter(taken.tree, base=base, ignored=self._ignored)
        self._fresh.update(taken.fresh)
        self._there[root] = frozenset(file.oid for file in taken.tree.values())
        there = frozenset[str]().union(*self._there.values())
        self._fresh = {oid: data for oid, data in self._fresh.items() if oid in there}  # the rest comes again
        if kept == self._files[root]:
            return None
        tree = await self._git.write_tree(kept, self._fresh)
        for file in kept.values():
            self._fresh.pop(file.oid, None)
        await self._git.set_ref(ref_of(self._owner, kind), tree)
        self._files[root] = kept
        return tree

    def _is_executable(self, path: str) -> bool:
        for root, tree in self._files.items():
            if path.startswith(root + "/"):
                file = tree.get(path[len(root) + 1 :])
                return file is not None and file.mode == EXECUTABLE
        return False
