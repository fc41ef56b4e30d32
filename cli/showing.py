"""`assay show`, `assay runs`, `assay cancel`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.app.facts import gather_run
from assay.app.reporting import write_report
from assay.app.service import Assay
from assay.cli.sessions import configure_logs, run_session
from assay.records.runs import RunStatus, RunSummary
from assay.reports.terminal import print_terminal
from assay.reports.untrusted import make_visible


def show_run(run: str, *, as_json: bool, state: Path | None) -> None:
    """Print a run as far as it has come, and write its report anew."""
    configure_logs(as_json=as_json)

    async def work() -> None:
        async with Assay.open(root=state) as assay:
            summary = await assay.summary(run)
            facts = await gather_run(assay.house, run)
            report = write_report(assay.house.state, facts)
            if as_json:
                print(json.dumps({**summary.model_dump(mode="json"), "report": str(report)}))
                return
            console = Console(highlight=False)
            print_terminal(facts, console)
            for question in await assay.questions(run):
                if facts.status is RunStatus.PARKED:
                    console.print(f"Open: {question.kind.value}: {make_visible(question.title)}")
            console.print(f"Report: {report}", soft_wrap=True)

    run_session(work())


def list_runs(*, as_json: bool, state: Path | None) -> None:
    """Print a line for each run."""
    configure_logs(as_json=as_json)

    async def work() -> tuple[RunSummary, ...]:
        async with Assay.open(root=state) as assay:
            return await assay.runs()

    summaries = run_session(work())
    if as_json:
        for summary in summaries:
            print(summary.model_dump_json())
        return
    console = Console(highlight=False)
    if not summaries:
        console.print("No runs yet. Start one: assay run TICKET.md --repo PATH --model provider:name")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "changed", "ticket"):
        table.add_column(heading, no_wrap=heading != "ticket")
    for summary in summaries:
        changed = f"{summary.changed.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(summary.id, summary.status.value, changed, make_visible(summary.title))
    console.print(table)


def cancel_run(run: str, reason: str, *, as_json: bool, state: Path | None) -> None:
    """End a run."""
    configure_logs(as_json=as_json)

    async def work() -> RunSummary:
        async with Assay.open(root=state) as assay:
            return await assay.cancel(run, reason)

    summary = run_session(work())
    print(summary.model_dump_json() if as_json else f"run {run} is {summary.status.value}: {summary.reason}")
