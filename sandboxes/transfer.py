"""Trees on their way into a sandbox and out of it: only what changed travels."""

from __future__ import annotations

import asyncio
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from assay.errors import SandboxRefused
from assay.records.sandboxes import SandboxProfile
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK, Contents, TakenTree, Tree, TreeFile, blob_id
from assay.sandboxes.channel import Channel
from assay.sandboxes.files import Body, ask_for_files
from assay.sandboxes.frames import (
    Refusal,
    decode_entry,
    decode_files,
    decode_lines,
)
from assay.sandboxes.packing import BATCH, Packed, pack
from assay.sandboxes.protocol import WORKSPACE
from assay.sandboxes.trees import Change, TreeView, batch_paths, check_entries, check_links, is_link

_LIST: Final = struct.Struct("<IQQ")
_WATCHED: Final = 0x100
"""What was watched since the last listing may be believed (LIST_WATCHED in supervisor/wire.h)."""
_MOST_TOUCHED: Final = 1000
"""Paths that were put since the last listing, above which a whole one is asked for."""
_MOVING: Final = (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR, errno.EINVAL)
"""What a file that became something else between two looks at it answers."""
_ATTEMPTS: Final = 4
"""How often a tree is read again when it changes while it is read."""


class _Moved(Exception):
    """A file changed between two looks at it."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


class TreeTransfer:
    """Puts and takes the trees of one sandbox, and remembers what is where."""

    def __init__(self, channel: Channel, profile: SandboxProfile) -> None:
        self._channel = channel
        self._most = max(profile.limits.workspace_mb, profile.limits.scratch_mb) << 20
        self._fixed = profile.workspace == "read-only"
        self._views = {WORKSPACE: TreeView()}
        self._stale: set[str] = set()
        self._given: set[str] = set()
        """Blobs that the caller has: it gave them, or a tree was taken with them."""
        self._fetched: dict[str, bytes] = {}
        """Contents of files that are known since, and that no tree has been taken with: one that was refused."""
        self._doubted: list[TreeView] = []
        """What was held for known and is not any more."""
        self._disturbing = 0
        self._disturbances = 0
        """How many there have been."""
        self._listings = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Surround what may change files: what is known about them is looked at again afterwards."""
        self._disturbing += 1
        self._disturbances += 1
        self._mark_stale()
        try:
            yield
        finally:
            self._disturbing -= 1
            self._mark_stale()

    def _count_disturbances(self) -> int:
        """Return a number that is the same later if nobody was at work from here on; -1 where somebody is now."""
        return self._disturbances if not self._disturbing else -1

    def _mark_stale(self) -> None:
        self._stale.update(root for root in self._views if not (self._fixed and root == WORKSPACE))

    async def put(self, tree: Tree, contents: Contents, root: str, packed: Packed | None = None) -> None:
        """Make `root` hold exactly `tree`, of which some may be packed already; raises Refusal and SandboxRefused."""
        async with self._turn:
            view, cleared = await self._look_before_put(root)
            if packed is not None and (view.lines or cleared):  # which it was not packed for
                packed = None
            change = packed.change if packed is not None else Change.between(view, tree)
            links = {path: target for path, target in view.links.items() if tree.get(path) == view.files.get(path)}
            for path in change.write:
                if is_link(tree[path]):
                    links[path] = os.fsdecode(await asyncio.to_thread(contents.read, tree[path].oid))
            check_links(links)
            if not change.remove and not change.write and not cleared:
                return
            self._doubt(root)  # until it is done, nobody knows what is there
            payload = b"p" + os.fsencode(root) + b"\0"
            body: Body = partial(pack, change, tree, contents, clear=cleared)
            if packed is not None:
                body = packed.first_body(body)
            before = self._count_disturbances()
            attempts = 0

            def put_again() -> AbstractContextManager[None]:
                nonlocal attempts
                attempts += 1
                return self.disturbed()

            answer = await ask_for_files(self._channel, payload, body, during=put_again)
            lines = decode_lines(answer)
            self._note_put(view, change, tree, links, lines)
            self._views[root] = view
            self._doubted = [one for one in self._doubted if one is not view]
            view.quiet = view.quiet and before + attempts == self._disturbances
            if before + attempts == self._disturbances:
                self._stale.discard(root)
                await self._watch_put(root)

    async def _watch_put(self, root: str) -> None:
        """Have what was put watched before a command may write it so that its line does not show it."""
        if root != WORKSPACE or self._fixed:
            return
        self._stale.add(root)
        try:
            await self._look(root, believed=True)
        except Refusal:  # what is odd there is told to who asks for the tree
            self._doubt(root)

    def _doubt(self, root: str) -> None:
        self._doubted.append(self._views[root])
        self._views[root] = TreeView()
        self._stale.add(root)

    async def _look_before_put(self, root: str) -> tuple[TreeView, bool]:
        """Return what is known of the root, and whether it is so odd that it has to be emptied first."""
        try:
            await self._look(root)
        except Refusal as refusal:
            self._doubt(root)
            return TreeView(), refusal.number != errno.ENOENT
        return self._views[root], False

    async def _look(self, root: str, *, believed: bool = False) -> list[bytes]:
        """Bring what is known of a root up to date, and return the lines of files whose content is not known.

        `believed`: nobody but this side was at work since, so that what has the same line is the same.
        """
        view = self._views.setdefault(root, TreeView())
        if root in self._stale or not (view.lines or root == WORKSPACE):
            self._listings += 1
            before = self._count_disturbances()
            listed = await ask_for_files(self._channel, _encode_list(root, view, self._listings))
            view.update(decode_lines(listed), self._listings, believed=believed or root != WORKSPACE)
            view.quiet = before == self._disturbances
            if view.quiet:  # else what changed since the listing would pass for looked at
                self._stale.discard(root)
        return list(view.unknown.values())

    def _note_put(self, view: TreeView, change: Change, tree: Tree, links: dict[str, str], lines: list[bytes]) -> None:
        for path in (*change.remove, *change.write):
            view.remove(path)
        for line in lines:
            path = decode_entry(line).path
            view.place(line, tree[path], links.get(path))
        view.place_directories(change.directories - view.directories)
        self._given.update(tree[path].oid for path in change.write)

    async def take(self, root: str) -> TakenTree:
        """Return the tree that `root` holds now; raises Refusal and SandboxRefused."""
        async with self._turn:
            before = self._count_disturbances()
            view = self._views.setdefault(root, TreeView())
            if self._disturbing or (root in self._stale and not view.quiet):
                self._doubt(root)  # what is mapped into a command's memory may hold anything, and its line not show it
            self._fetched = {oid: data for oid, data in self._fetched.items() if self._is_there(oid)}
            for attempt in range(_ATTEMPTS):
                try:
                    await self._take_changes(root)
                    break
                except _Moved as moved:
                    self._stale.add(root)
                    if attempt == _ATTEMPTS - 1:
                        raise SandboxRefused(
                            f"{moved.path!r} keeps changing while it is read.",
                            next_step="take the tree when no command runs",
                        ) from None
            view = self._views[root]
            if before != self._disturbances:  # a change in the same tick of the clock would not show next time
                self._doubt(root)
            check_links(view.links)
            return self._hand_over(view)

    def _hand_over(self, view: TreeView) -> TakenTree:
        """Return a tree with the contents that the caller does not have.

        What is in no tree any more would come again if it came back: so nobody has to keep it until then.
        """
        fresh = {oid: data for oid, data in self._fetched.items() if oid in view.oids and oid not in self._given}
        self._given -= {oid for oid in self._lost_since(view) if oid not in view.oids and not self._is_there(oid)}
        self._given |= fresh.keys()
        self._fetched = {
            oid: data for oid, data in self._fetched.items() if oid not in view.oids and self._is_there(oid)
        }
        return TakenTree(view.tree(), fresh)

    def _lost_since(self, view: TreeView) -> set[str]:
        """Return the blobs that trees have lost since a tree was handed over; what goes now is lost next time."""
        gone: set[str] = set()
        for one in (*self._views.values(), view):
            gone |= one.gone
            one.gone.clear()
        doubted = [one for one in self._doubted if all(one is not held for held in self._views.values())]
        self._doubted = [one for one in doubted if one is view]
        return gone.union(*(one.oids for one in doubted if one is not view))

    def _is_there(self, oid: str) -> bool:
        return any(oid in view.oids for view in self._views.values())

    async def _take_changes(self, root: str) -> None:
        try:
            unknown = await self._look(root)
        except Refusal as refusal:
            if refusal.number == errno.ESTALE:
                raise _Moved(refusal.path) from None
            raise
        view = self._views[root]
        check_entries(unknown, self._most)
        for paths in batch_paths(unknown, BATCH):
            payload = b"g" + os.fsencode(root) + b"\0" + b"".join(path + b"\0" for path in paths)
            try:
                answer = await ask_for_files(self._channel, payload)
                for before, content, after in decode_files(answer):
                    self._learn(view, before, content, after)
            except Refusal as refusal:
                if refusal.number in _MOVING:
                    raise _Moved(refusal.path) from None
                raise

    def _learn(self, view: TreeView, before: bytes, content: bytes, after: bytes) -> None:
        entry = decode_entry(before)
        if before != after or view.lines.get(entry.path) != before:
            raise _Moved(entry.path)
        link = entry.kind == "l"
        mode = SYMLINK if link else EXECUTABLE if entry.mode & 0o100 else REGULAR
        file = TreeFile(mode, blob_id(content))
        view.learn(before, file, os.fsdecode(content) if link else None)
        self._fetched[file.oid] = content


def _encode_list(root: str, view: TreeView, number: int) -> bytes:
    """Return the request for a listing: of what differs from the last one, or whole where too much was put since."""
    known, doubted = (view.number, view.touched) if len(view.touched) <= _MOST_TOUCHED else (0, ())
    slot = (_WATCHED if view.quiet else 0) if root == WORKSPACE else 1
    head = _LIST.pack(slot, known, number)
    return b"l" + head + b"".join(os.fsencode(path) + b"\0" for path in (root, *doubted))
