"""`assay prune`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from assay.app.pruning import prune as prune_state
from assay.app.service import Assay
from assay.cli.sessions import run_session
from assay.cli.streams import Streams


def prune(older_than: int, run: str | None, *, dry: bool, as_json: bool, state: Path | None) -> None:
    """Delete, and say what went."""

    async def work(streams: Streams) -> None:
        async with Assay.open(root=state) as assay:
            pruned = await prune_state(assay, older_than=timedelta(days=older_than), run=run, dry=dry)
        if as_json:
            streams.line({"runs": pruned.runs, "bytes": pruned.bytes, "sandboxes": pruned.sandboxes, "dry_run": dry})
            return
        count = f"{len(pruned.runs)} run{'' if len(pruned.runs) == 1 else 's'}"
        verb = "would go" if dry else "deleted"
        streams.page.print(f"{count} {verb}, {pruned.bytes / 1e6:.1f} MB", soft_wrap=True)
        for name in pruned.runs:
            streams.page.print(f"  {name}", soft_wrap=True)
        if pruned.sandboxes:
            streams.page.print(f"{len(pruned.sandboxes)} sandboxes of dead processes removed", soft_wrap=True)

    run_session(work)
