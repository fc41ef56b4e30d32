"""Work that killed processes left in sandboxes, kept before these are removed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import structlog

from assay.agents.unsaved import keep_unsaved
from assay.records.entries import Entry, EntryKind
from assay.records.sandboxes import Reaped, SandboxOwner
from assay.reports.facts import HowTo
from assay.sandboxes.protocol import Sandbox, SandboxProvider
from assay.store.git import GitStore
from assay.store.protocol import Ledger

_log = structlog.get_logger(__name__)


class RunWork:
    """Implements `WorkKeeper`: keeps the work of the runs in one state directory, as commits that their ledgers name.

    Args:
        git: where commits are kept.
        ledger: knows the runs, and is told.
    """

    def __init__(self, git: GitStore, ledger: Ledger) -> None:
        self._git, self._ledger = git, ledger

    async def knows(self, owner: SandboxOwner) -> bool:
        """Whether the run is in this state directory; of another one's nothing is known, and nothing done to it."""
        return bool(await self._ledger.entries(owner.run, kinds=(EntryKind.RUN_STARTED,)))

    async def keep(self, owner: SandboxOwner, sandbox: Sandbox) -> None:
        """Keep what the last saved tree does not hold."""
        entry = await keep_unsaved(sandbox, owner, git=self._git, ledger=self._ledger)
        if entry is not None:
            _log.warning("work_rescued", run=owner.run, step=owner.step, refs=entry.body["refs"])


async def reap(sandboxes: SandboxProvider, keeper: RunWork) -> Reaped:
    """Remove what dead processes left behind, and say of which sandboxes the work could not be kept."""
    reaped = await sandboxes.reap(keeper)
    for left in reaped.left:
        _log.warning("work_not_rescued", run=left.run, sandbox=left.id, reason=left.reason, next="it stays for a while")
    return reaped


def ways_to_unsaved(entries: Sequence[Entry], store: Path) -> tuple[HowTo, ...]:
    """Return how to see what was kept of steps that were cut off, each in its store of objects."""
    ways = []
    for entry in entries:
        refs = entry.body.get("refs")
        if entry.kind is not EntryKind.WORK_RESCUED or not isinstance(refs, dict):
            continue
        where = f"{entry.role}{f' of {entry.unit}' if entry.unit else ''}"
        for commit in refs.values():
            command = shlex.join(("git", "--git-dir", str(store), "show", str(commit)))
            ways.append(
                HowTo(purpose=f"See what the {where} had not saved when its process was stopped", command=command)
            )
    return tuple(ways)
