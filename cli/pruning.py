"""`assay prune`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from assay.app.pruning import Pruned
from assay.app.pruning import prune as prune_state
from assay.app.service import Assay
from assay.cli.sessions import configure_logs, run_session


def prune(older_than: int, run: str | None, *, dry: bool, as_json: bool, state: Path | None) -> None:
    """Delete, and say what went."""
    configure_logs(as_json=as_json)

    async def work() -> Pruned:
        async with Assay.open(root=state) as assay:
            return await prune_state(assay, older_than=timedelta(days=older_than), run=run, dry=dry)

    pruned = run_session(work())
    if as_json:
        print(json.dumps({"runs": pruned.runs, "bytes": pruned.bytes, "sandboxes": pruned.sandboxes}))
        return
    verb = "would go" if dry else "gone"
    print(f"{len(pruned.runs)} runs {verb} ({pruned.bytes / 1e6:.1f} MB), {len(pruned.sandboxes)} sandboxes removed")
    for name in pruned.runs:
        print(f"  {name}")
