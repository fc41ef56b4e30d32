"""`assay verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from assay.app.attesting import verify_run
from assay.app.service import Assay
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.reports.untrusted import make_visible


def verify(run: str, export: Path | None, *, as_json: bool, state: Path | None) -> None:
    """Verify, and say what is signed."""

    async def work(streams: Streams) -> None:
        async with Assay.open(root=state) as assay:
            found = await verify_run(assay.house, run, export)
        if as_json:
            streams.line({"run": run, "verdicts": [asdict(one) for one in found]})
            return
        for one in found:
            level = f" (level {one.level})" if one.level else ""
            said = (
                f"{one.claim}: {one.status}{level}, commit {one.commit[:12]}, tree {one.tree[:12]}, key {one.key[:12]}"
            )
            streams.page.print(make_visible(said), soft_wrap=True)
        count = f"{len(found)} verdict{'' if len(found) == 1 else 's'}"
        streams.page.print(f"{count} signed, and the ledger is whole", soft_wrap=True)

    run_session(work)
