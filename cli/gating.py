"""`assay gates`."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from assay.app.checks import parse_range
from assay.app.configuration import Around, policy_for
from assay.app.gating import judge_change
from assay.app.service import Assay
from assay.cli.endings import Ended
from assay.cli.progress import Progress
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.policies.gates import GateResult
from assay.records.runs import RunStatus
from assay.reports.sarif import write_sarif
from assay.reports.untrusted import make_visible
from assay.store.files import write_whole

_STYLES = {"pass": "green", "block": "bold red", "ask": "yellow", "warn": "yellow"}


def judge_gates(
    revisions: str,
    repo: Path,
    *,
    sarif: Path | None,
    config: Path | None,
    around: Around,
    as_json: bool,
    state: Path | None,
) -> None:
    """Hold the policy's gates against a change; exit code 1 where one blocks, 3 where one asks."""
    base, head = parse_range(revisions)

    async def work(streams: Streams) -> tuple[GateResult, ...]:
        progress = Progress(streams, as_json=as_json)
        async with Assay.open(root=state, listener=progress, progress=progress.prepare) as assay, progress.shown():
            found = await policy_for(assay.house.git, repo, base, config, around)
            run, results = await judge_change(assay.house, repo, base, head, found.settings)
            streams.status.clear()
            if sarif is not None:
                write_whole(sarif, write_sarif(results).encode(), mode=0o644)
            for result in results:
                if as_json:
                    streams.line({"run": run, **result.model_dump(mode="json")})
                else:
                    _show(streams, result)
            if as_json:
                counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in _STYLES}
                streams.line({"run": run, "source": found.source, "gates": len(results), "outcomes": counts})
            elif not results:
                streams.page.print(
                    f"The policy ({found.source}) has no gates; docs/gates.md says which there are", soft_wrap=True
                )
            return results

    outcomes = {result.outcome for result in run_session(work)}
    if "block" in outcomes:
        raise Ended(RunStatus.REFUTED.exit_code)
    raise Ended(RunStatus.INCONCLUSIVE.exit_code if "ask" in outcomes else 0)


def _show(streams: Streams, result: GateResult) -> None:
    line = Text(f"{result.outcome:<6}", _STYLES[result.outcome]).append(make_visible(result.gate), "default")
    streams.page.print(line, soft_wrap=True)
    for reason in result.reasons:
        streams.page.print(make_visible(f"       {reason}"), soft_wrap=True)
