"""What the shell offers after Tab."""

from __future__ import annotations


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """Return the runs whose id begins so, each with its title; none where they cannot be read."""
    import asyncio
    import os

    from assay.errors import AssayError
    from assay.records.entries import EntryKind
    from assay.store.clocks import SystemClock
    from assay.store.ledger import SqliteLedger
    from assay.store.state import StateDirectory, state_root

    async def look() -> list[tuple[str, str]]:
        path = StateDirectory(state_root(os.environ)).ledger
        if not path.exists():
            return []
        async with SqliteLedger(path, SystemClock()) as ledger:
            found = []
            for run in await ledger.runs():
                if run.startswith(incomplete):
                    started = await ledger.entries(run, kinds=(EntryKind.RUN_STARTED,))
                    found += [(run, str(entry.body.get("title", ""))) for entry in started]
            return found

    try:
        return asyncio.run(look())
    except AssayError:
        return []
