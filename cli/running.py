"""`assay run` and `assay resume`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.app.configuration import Around, settings_for
from assay.app.deciders import Decider, FileDecider
from assay.app.facts import gather_run
from assay.app.reporting import write_report
from assay.app.service import Assay, Made
from assay.cli.endings import Ended
from assay.cli.progress import Progress
from assay.cli.results import outline_run
from assay.cli.sessions import Stopped, run_session
from assay.cli.streams import Streams
from assay.cli.terminal import TerminalDecider
from assay.errors import AssayError, InfrastructureError, TicketError
from assay.records.decisions import Question
from assay.records.runs import RunStatus
from assay.reports.facts import RunFacts
from assay.reports.terminal import print_terminal
from assay.reports.untrusted import make_visible
from assay.tickets.reading import read_ticket

_SCRIPTED = "scripted:"
_MOST_DIRTY = 5

Begin = Callable[[Assay, Streams], Awaitable[str]]


@dataclass
class _Session:
    """How a session stands, for whoever ends it."""

    run: str | None = None
    facts: RunFacts | None = None


def run_ticket(
    path: Path,
    repo: Path | None,
    *,
    model: str | None,
    base: str | None,
    config: Path | None,
    around: Around,
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
    target = repo or (path.parent / Path(ticket.repo or "").expanduser()).resolve()
    if model is not None and model.startswith(_SCRIPTED):
        # Resumed from elsewhere, it must still be found.
        model = f"{_SCRIPTED}{Path(model.removeprefix(_SCRIPTED)).expanduser().absolute()}"

    async def start(assay: Assay, streams: Streams) -> str:
        settings, source = await settings_for(assay.house.git, target, base or ticket.base, config, around)
        run = await assay.start(
            ticket, target, settings=settings, settings_source=source, model=model, base=base, headless=headless
        )
        warn_of_dirt((await assay.house.git.inspect(target)).dirty, streams)
        return run

    _session(start, decisions=decisions, headless=headless, as_json=as_json, state=state)


def resume_run(run: str, *, decisions: Path | None, headless: bool, as_json: bool, state: Path | None) -> None:
    """Take a run that stopped to its next stop."""

    async def known(assay: Assay, streams: Streams) -> str:
        return (await assay.summary(run)).id

    _session(known, decisions=decisions, headless=headless, as_json=as_json, state=state)


def warn_of_dirt(dirty: tuple[str, ...] | None, streams: Streams) -> None:
    """Say which changes in the target's work tree are not committed, and so not looked at."""
    if not dirty:
        return
    names = ", ".join(dirty[:_MOST_DIRTY])
    more = f" and {len(dirty) - _MOST_DIRTY} more" if len(dirty) > _MOST_DIRTY else ""
    streams.say(f"assay: not committed, so left out and left alone: {names}{more}", "yellow")


def _session(begin: Begin, *, decisions: Path | None, headless: bool, as_json: bool, state: Path | None) -> None:
    session = _Session()

    async def work(streams: Streams) -> None:
        progress = Progress(streams, as_json=as_json)
        async with Assay.open(root=state, listener=progress, progress=progress.prepare) as assay:
            decider = _decider(assay, streams, progress, decisions, headless)
            await assay.house.reap()
            async with progress.shown():
                session.run = run = await begin(assay, streams)
                try:
                    await assay.advance(run, decider)
                except (AssayError, asyncio.CancelledError):
                    with suppress(InfrastructureError):  # what stopped the run must be heard, also on a full disk
                        session.facts = await gather_run(assay.house, run)
                        write_report(assay.house.state, session.facts)
                    raise
                session.facts = facts = await gather_run(assay.house, run)
                report = write_report(assay.house.state, facts)
            if as_json:
                streams.line(outline_run(facts, report))
            _tell(streams, facts, report)

    try:
        run_session(work)
    except Stopped as stopped:
        if session.facts is not None and session.facts.status is RunStatus.CANCELLED:
            print(make_visible(f"assay: run {session.run} was cancelled: {session.facts.reason}"), file=sys.stderr)
            raise Ended(RunStatus.CANCELLED.exit_code) from None
        stopped.next_step = f"`assay resume {session.run}` goes on" if session.run else None
        raise
    except AssayError as error:
        if session.run and "assay resume" not in (error.next_step or ""):
            first = f"{error.next_step}; then" if error.next_step else "mend that, then"
            error.next_step = f"{first} `assay resume {session.run}`"
        raise
    assert session.facts is not None
    raise Ended(exit_code(session.facts))


def exit_code(facts: RunFacts) -> int:
    """Return 0 only for a delivered change whose whole is proven."""
    if facts.status is RunStatus.DELIVERED:
        whole = facts.claims[-1].verdict if facts.claims else None
        return 0 if whole is not None and whole.status == "proven" else RunStatus.INCONCLUSIVE.exit_code
    return facts.status.exit_code


def _decider(
    assay: Assay, streams: Streams, progress: Progress, decisions: Path | None, headless: bool
) -> Callable[[Made], Decider] | None:
    house = assay.house
    if decisions is not None:
        filed = FileDecider(decisions, house.people, house.clock)

        def from_file(made: Made) -> Decider:
            for via, kind, unit in made:
                if via == filed.via:
                    filed.pass_over(kind, unit)
            return filed

        return from_file
    if headless or not (sys.stdin.isatty() and streams.err.isatty()):
        return None

    async def diff(question: Question) -> str:
        base = await house.ledger.find(question.run, "base")
        head: Any = question.args.get("head")
        return await house.git.patch_text(str(base.body["commit"]), head) if base and isinstance(head, str) else ""

    return lambda _made: TerminalDecider(streams, progress, house.people, house.clock, diff)


def _tell(streams: Streams, facts: RunFacts, report: Path) -> None:
    streams.progress.print()
    print_terminal(facts, streams.progress)
    streams.say(f"Report: {report}")
