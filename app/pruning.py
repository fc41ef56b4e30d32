"""What is deleted, and when: runs that are over, and what dead processes left behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from assay.app.service import Assay
from assay.app.statuses import LIFE
from assay.errors import RunError
from assay.records.entries import EntryKind


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go."""

    runs: tuple[str, ...]
    bytes: int
    sandboxes: tuple[str, ...]


async def prune(assay: Assay, *, older_than: timedelta, run: str | None = None, dry: bool = False) -> Pruned:
    """Delete runs that ended longer ago than `older_than`, or the one that is named.

    A run that is not over is never deleted by age; `assay cancel` ends it first. Raises RunError for
    a named run that is unknown or not over.
    """
    house = assay.house
    now = house.clock.now()
    gone: list[str] = []
    size = 0
    for name in [run] if run else await house.ledger.runs():
        entries = await house.ledger.entries(name)
        over = [e for e in entries if e.kind is EntryKind.RUN_ENDED]
        checked = bool(entries) and not any(e.kind in LIFE for e in entries)
        if run and not over and not checked:
            why = "there is no run" if not entries else "is not over:"
            raise RunError(f"{why} {name}", next_step=f"`assay cancel {name}` ends it" if entries else "`assay runs`")
        ended = over[-1].at if over else entries[-1].at
        if not (over or checked) or (run is None and now - ended < older_than):
            continue
        gone.append(name)
        size += house.state.size_of_run(name)
        if not dry:
            with house.state.lock_run(name):
                await (await house.checkpointer()).adelete_thread(name)
                kind = "checks" if checked else "runs"
                await house.git.delete_refs(f"refs/assay/{kind}/{name}/")
                await house.ledger.forget(name)
                house.state.prune_run(name)
    sandboxes = () if dry else await house.sandboxes.reap()
    return Pruned(tuple(gone), size, sandboxes)
