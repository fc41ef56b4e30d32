"""`assay run` and `assay resume`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from assay.app.configuration import settings_for
from assay.app.deciders import Decider, FileDecider
from assay.app.facts import gather_run
from assay.app.reporting import write_report
from assay.app.service import Assay, Made
from assay.cli.endings import Ended
from assay.cli.progress import Progress
from assay.cli.sessions import STOPPED, Stopped, configure_logs, run_session
from assay.cli.terminal import TerminalDecider
from assay.errors import AssayError, TicketError
from assay.records.runs import RunStatus
from assay.reports.facts import RunFacts
from assay.reports.terminal import print_terminal
from assay.tickets.reading import read_ticket


def run_ticket(
    path: Path,
    repo: Path | None,
    *,
    model: str | None,
    base: str | None,
    config: Path | None,
    decisions: Path | None,
    headless: bool,
    as_json: bool,
    state: Path | None,
) -> None:
    """Start a run and take it to its next stop."""
    ticket = read_ticket(path)
    if repo is None and ticket.repo is None:
        raise TicketError(
            f"{path} names no repository", next_step="give --repo PATH, or write `repo:` into the front matter"
        )
    target = repo or (path.parent / (ticket.repo or "")).resolve()

    async def start(assay: Assay) -> str:
        settings, source = await settings_for(assay.house.git, target, base or ticket.base, config)
        return await assay.start(
            ticket, target, settings=settings, settings_source=source, model=model, base=base, headless=headless
        )

    _session(start, decisions=decisions, headless=headless, as_json=as_json, state=state)


def resume_run(run: str, *, decisions: Path | None, headless: bool, as_json: bool, state: Path | None) -> None:
    """Take a run that stopped to its next stop."""

    async def known(assay: Assay) -> str:
        return (await assay.summary(run)).id

    _session(known, decisions=decisions, headless=headless, as_json=as_json, state=state)


def _session(
    begin: Callable[[Assay], Any], *, decisions: Path | None, headless: bool, as_json: bool, state: Path | None
) -> None:
    configure_logs(as_json=as_json)
    console = Console(stderr=True, highlight=False)
    run: list[str] = []

    async def work() -> tuple[RunFacts, Path]:
        async with Assay.open(root=state, listener=Progress(console, as_json=as_json)) as assay:
            await assay.house.sandboxes.reap()
            run.append(await begin(assay))
            try:
                await assay.advance(run[0], _decider(assay, console, decisions, headless))
            finally:
                facts = await gather_run(assay.house, run[0])
                report = write_report(assay.house.state, facts)
            return facts, report

    try:
        facts, report = run_session(work())
    except Stopped:
        print(f"assay: stopped; go on with `assay resume {run[0]}`" if run else "assay: stopped", file=sys.stderr)
        raise Ended(STOPPED) from None
    except AssayError as error:
        if run and error.next_step is None:
            error.next_step = f"mend that, then `assay resume {run[0]}`"
        elif run:
            error.next_step = f"{error.next_step}; then `assay resume {run[0]}`"
        raise
    _tell(console, facts, report, as_json=as_json)
    raise Ended(exit_code(facts))


def exit_code(facts: RunFacts) -> int:
    """Return the exit code for where a run stands: 0 only for a delivered change whose whole is proven."""
    if facts.status is RunStatus.DELIVERED:
        whole = facts.claims[-1].verdict if facts.claims else None
        return 0 if whole is not None and whole.status == "proven" else RunStatus.INCONCLUSIVE.exit_code
    return facts.status.exit_code


def _decider(
    assay: Assay, console: Console, decisions: Path | None, headless: bool
) -> Callable[[Made], Decider] | None:
    house = assay.house
    if decisions is not None:

        def from_file(made: Made) -> Decider:
            used = [(kind, unit) for via, kind, unit in made if via == f"file:{decisions.name}"]
            return FileDecider(decisions, house.people, house.clock, used=used)

        return from_file
    if headless or not sys.stdin.isatty():
        return None
    return lambda _made: TerminalDecider(console, house.people, house.clock)


def _tell(console: Console, facts: RunFacts, report: Path, *, as_json: bool) -> None:
    print_terminal(facts, console)
    console.print(f"Report: {report}", soft_wrap=True)
    if facts.status is RunStatus.PARKED:
        console.print(f"Go on with: assay resume {facts.id}", soft_wrap=True)
    if as_json:
        whole = facts.claims[-1].verdict if facts.claims else None
        result = {
            "run": facts.id,
            "status": facts.status.value,
            "reason": facts.reason,
            "branch": facts.branch,
            "head": facts.head,
            "verdict": whole.status.value if whole else None,
            "report": str(report),
        }
        print(json.dumps(result))
