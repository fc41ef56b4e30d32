"""`assay check`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from assay.app.checks import Change, check, parse_range, read_claim
from assay.app.configuration import settings_for
from assay.app.reporting import write_report
from assay.app.service import Assay
from assay.cli.endings import Ended
from assay.cli.progress import Progress
from assay.cli.sessions import STOPPED, Stopped, configure_logs, run_session
from assay.errors import UsageError
from assay.records.claims import ClaimKind
from assay.records.runs import RunStatus
from assay.records.verdicts import Verdict, VerdictStatus
from assay.reports.facts import CheckFacts
from assay.reports.terminal import print_terminal
from assay.tickets.reading import read_ticket

_EXIT_CODES = {
    VerdictStatus.PROVEN: 0,
    VerdictStatus.REFUTED: RunStatus.REFUTED.exit_code,
    VerdictStatus.INCONCLUSIVE: RunStatus.INCONCLUSIVE.exit_code,
    VerdictStatus.DECLINED: RunStatus.DECLINED.exit_code,
}


def check_change(
    revisions: str,
    repo: Path,
    *,
    ticket: Path | None,
    claim: Path | None,
    tests: Path | None,
    held_out: Path | None,
    kind: str | None,
    config: Path | None,
    as_json: bool,
    state: Path | None,
) -> None:
    """Examine a change, and end with the exit code of its verdict."""
    configure_logs(as_json=as_json)
    console = Console(stderr=True, highlight=False)
    base, head = parse_range(revisions)
    change = Change(
        repo=repo,
        base=base,
        head=head,
        ticket=read_ticket(ticket) if ticket else None,
        claim=read_claim(claim) if claim else None,
        tests=tests,
        held_out=held_out,
        kind=_kind(kind),
    )

    async def work() -> tuple[Verdict, CheckFacts, Path]:
        async with Assay.open(root=state, listener=Progress(console, as_json=as_json)) as assay:
            await assay.house.sandboxes.reap()
            settings, _ = await settings_for(assay.house.git, repo, base, config)
            verdict, facts = await check(assay.house, change, settings)
            return verdict, facts, write_report(assay.house.state, facts)

    try:
        verdict, facts, report = run_session(work())
    except Stopped:
        print("assay: stopped; nothing is left running", file=sys.stderr)
        raise Ended(STOPPED) from None
    print_terminal(facts, console)
    console.print(f"Report: {report}", soft_wrap=True)
    if as_json:
        print(json.dumps(result_of(verdict, report)))
    raise Ended(_EXIT_CODES[verdict.status])


def result_of(verdict: Verdict, report: Path) -> dict[str, Any]:
    """Return the last line of `assay check --json`."""
    return {
        "verdict": verdict.status.value,
        "level": verdict.level,
        "reasons": list(verdict.reasons),
        "question": verdict.question,
        "steps": [
            {"id": s.id, "title": s.title, "outcome": s.outcome, "seconds": s.seconds, "reasons": list(s.reasons)}
            for s in verdict.steps
        ],
        "witness": verdict.witness.model_dump(mode="json") if verdict.witness else None,
        "unproven_lines": list(verdict.unproven_lines),
        "flags": [flag.model_dump(mode="json") for flag in verdict.flags],
        "evidence": str(report),
    }


def _kind(name: str | None) -> ClaimKind | None:
    if name is None:
        return None
    try:
        return ClaimKind(name)
    except ValueError:
        raise UsageError(f"{name!r} is no kind of claim", next_step=f"one of {', '.join(ClaimKind)}") from None
