"""`assay check`."""

from __future__ import annotations

from pathlib import Path

import structlog

from assay.app.asked import Asked
from assay.app.checks import Change, check, parse_range, read_claim
from assay.app.configuration import Around, policy_for
from assay.app.reporting import write_report
from assay.app.service import Assay
from assay.cli.endings import Ended
from assay.cli.progress import Progress
from assay.cli.results import outline_check
from assay.cli.running import warn_of_dirt
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.errors import UsageError
from assay.policies.loading import combine_layers
from assay.records.claims import ClaimKind
from assay.records.runs import RunStatus
from assay.records.verdicts import VerdictStatus
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
    asked: Asked,
    config: Path | None,
    around: Around,
    as_json: bool,
    state: Path | None,
) -> None:
    """Examine a change, and end with the exit code of its verdict."""
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
        asked=asked,
    )

    async def work(streams: Streams) -> VerdictStatus:
        progress = Progress(streams, as_json=as_json)
        async with Assay.open(root=state, listener=progress, progress=progress.prepare) as assay, progress.shown():
            await assay.house.reap()
            found = await policy_for(assay.house.git, repo, base, config, around)
            combine_layers([*found.policy.layers, asked.layer(found.settings)])
            settings = found.settings
            if head == "HEAD":
                warn_of_dirt((await assay.house.git.inspect(repo)).dirty, streams)
            with structlog.contextvars.bound_contextvars(run=change.id):
                verdict, facts = await check(assay.house, change, settings)
            report = write_report(assay.house.state, facts)
            streams.status.clear()
            streams.progress.print()
            print_terminal(facts, streams.progress)
            streams.say(f"Report: {report}")
            if as_json:
                streams.line(outline_check(facts.claim, verdict, report))
            return verdict.status

    raise Ended(_EXIT_CODES[run_session(work)])


def _kind(name: str | None) -> ClaimKind | None:
    if name is None:
        return None
    try:
        return ClaimKind(name)
    except ValueError:
        raise UsageError(f"{name!r} is no kind of claim", next_step=f"one of {', '.join(ClaimKind)}") from None
