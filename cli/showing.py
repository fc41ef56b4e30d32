"""`assay show`, `assay runs`, `assay cancel`."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from assay.app.facts import gather_run
from assay.app.reporting import write_report
from assay.app.service import Assay
from assay.cli.results import outline_run
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.records.runs import RunStatus
from assay.reports.terminal import print_terminal
from assay.reports.untrusted import make_visible

_STYLES = {
    RunStatus.DELIVERED: "green",
    RunStatus.REFUTED: "red",
    RunStatus.FAILED: "red",
    RunStatus.PARKED: "yellow",
    RunStatus.RUNNING: "cyan",
}


def show_run(run: str, *, as_json: bool, state: Path | None) -> None:
    """Print a run as far as it has come, and write its report anew."""

    async def work(streams: Streams) -> None:
        async with Assay.open(root=state) as assay:
            facts = await gather_run(assay.house, run)
            report = write_report(assay.house.state, facts)
            if as_json:
                streams.line(outline_run(facts, report))
                return
            print_terminal(facts, streams.page)
            for asked in facts.asked:
                if asked.decision is None and facts.status is RunStatus.PARKED:
                    question = asked.question
                    streams.page.print(f"Open: {question.kind.value}: {make_visible(question.title)}", soft_wrap=True)
            streams.page.print(f"Report: {make_visible(str(report))}", soft_wrap=True)

    run_session(work)


def list_runs(*, as_json: bool, state: Path | None) -> None:
    """Print a line for each run."""

    async def work(streams: Streams) -> None:
        async with Assay.open(root=state) as assay:
            summaries = await assay.runs()
        if as_json:
            for summary in summaries:
                streams.line(summary.model_dump(mode="json"))
            return
        if not summaries:
            hint = "No runs yet. Start one: assay run TICKET.md --repo PATH --model provider:name"
            streams.page.print(hint, soft_wrap=True)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("run", "status", "changed"):
            table.add_column(heading, no_wrap=True)
        table.add_column("ticket", overflow="fold")
        for summary in summaries:
            changed = f"{summary.changed.astimezone():%Y-%m-%d %H:%M}"
            status = Text(summary.status.value, _STYLES.get(summary.status, ""))
            table.add_row(summary.id, status, changed, Text(make_visible(summary.title)))
        streams.page.print(table)

    run_session(work)


def cancel_run(run: str, reason: str, *, as_json: bool, state: Path | None) -> None:
    """End a run."""

    async def work(streams: Streams) -> None:
        async with Assay.open(root=state) as assay:
            summary = await assay.cancel(run, reason)
        if as_json:
            streams.line(summary.model_dump(mode="json"))
        else:
            said = f"run {run} is {summary.status.value}: {make_visible(summary.reason)}"
            streams.page.print(said, soft_wrap=True)

    run_session(work)
