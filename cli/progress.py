"""What a person sees of a run while it goes on: one line for each thing that happened, from the ledger alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from assay.records.entries import Entry, EntryKind
from assay.reports.untrusted import make_visible, shorten

_STYLES = {"proven": "green", "refuted": "red", "inconclusive": "yellow", "confirmed": "red", "dispelled": "green"}


class Progress:
    """Prints entries as they are recorded: words on stderr, and with `as_json` the entries on stdout."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console, self._as_json = console, as_json
        self._started = time.monotonic()

    def __call__(self, entry: Entry) -> None:
        """Show one entry."""
        if self._as_json:
            line = {"entry": entry.model_dump(mode="json"), "digest": entry.digest}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        told = describe(entry)
        if told is None:
            return
        text, style = told
        place = " ".join(part for part in (entry.unit, entry.role) if part)
        line_text = Text(no_wrap=True, overflow="ellipsis")
        line_text.append(f"{time.monotonic() - self._started:6.1f}s ", style="dim")
        line_text.append(f"{place:<14} ", style="cyan")
        line_text.append(make_visible(shorten(text, 400)).replace("\n", " "), style=style)
        self._console.print(line_text)


def describe(entry: Entry) -> tuple[str, str] | None:
    """Return an entry in words and the style that fits, or None for what only the ledger needs."""
    words = _WORDS.get(entry.kind)
    return words(entry) if words else None


def _verdict(entry: Entry) -> tuple[str, str]:
    status = str(entry.body["status"])
    return f"verdict: {status}. {entry.body.get('reason', '')}", _STYLES.get(status, "")


def _evidence(entry: Entry) -> tuple[str, str]:
    body = entry.body
    counts = f"{body.get('passed')} passed, {body.get('not_passed')} not"
    return f"executed {body.get('purpose')} ({body.get('cell')}): {counts}", "dim"


def _doubt(entry: Entry) -> tuple[str, str]:
    outcome = str(entry.body["outcome"])
    return f"the doubt was executed: {outcome}. {entry.body.get('reason', '')}", _STYLES.get(outcome, "")


def _plan(entry: Entry) -> tuple[str, str]:
    units = entry.body["units"]
    assert isinstance(units, list)
    return f"plan with {len(units)} unit{'s' if len(units) != 1 else ''}: {', '.join(map(str, units))}", ""


def _question(entry: Entry) -> tuple[str, str]:
    question = entry.body["question"]
    assert isinstance(question, dict)
    return f"⏸ {question['kind']}: {question['title']}", "bold yellow"


def _decision(entry: Entry) -> tuple[str, str]:
    decision = entry.body["decision"]
    assert isinstance(decision, dict)
    said = f": {decision['message']}" if decision["message"] else ""
    return f"{decision['type']} by {decision['by']} ({decision['via']}){said}", "bold"


def _unit(entry: Entry) -> tuple[str, str]:
    return f"unit is {entry.body['status']} {entry.body.get('reason') or ''}".rstrip(), ""


def _delivered(entry: Entry) -> tuple[str, str]:
    return f"delivered branch {entry.body['branch']} at {_short(entry)}", "bold green"


def _tokens(entry: Entry) -> int:
    given, made = entry.body.get("input_tokens"), entry.body.get("output_tokens")
    return sum(count for count in (given, made) if isinstance(count, int))


def _short(entry: Entry) -> str:
    return str(entry.body["commit"])[:12]


_WORDS: dict[EntryKind, Callable[[Entry], tuple[str, str]]] = {
    EntryKind.RUN_STARTED: lambda e: (f"run {e.run}: {e.body.get('title')}", "bold"),
    EntryKind.RUN_RESUMED: lambda e: (f"run {e.run} goes on", "bold"),
    EntryKind.BASE_ADOPTED: lambda e: (f"base {_short(e)}", ""),
    EntryKind.MODEL_CALLED: lambda e: (f"model answered ({_tokens(e)} tokens)", "dim"),
    EntryKind.TOOL_CALLED: lambda e: (f"{e.body.get('tool')}: {e.body.get('outcome')}", "dim"),
    EntryKind.PLAN_MADE: _plan,
    EntryKind.COMMIT_MADE: lambda e: (f"commit {_short(e)}", ""),
    EntryKind.CLAIM_MADE: lambda e: (f"claims: {e.body['statement']}", "bold"),
    EntryKind.EVIDENCE_RECORDED: _evidence,
    EntryKind.VERDICT_GIVEN: _verdict,
    EntryKind.DOUBT_EXAMINED: _doubt,
    EntryKind.STEP_VOIDED: lambda _: ("thrown away: the change touches what the role may not change", "yellow"),
    EntryKind.GATE_JUDGED: lambda e: (f"gate {e.body.get('gate')}: {e.body.get('outcome')}", ""),
    EntryKind.QUESTION_ASKED: _question,
    EntryKind.DECISION_MADE: _decision,
    EntryKind.DECISION_REFUSED: lambda e: (f"an answer did not count: {e.body['reason']}", "yellow"),
    EntryKind.BUDGET_REACHED: lambda e: (f"limit reached: {e.body['reason']}", "yellow"),
    EntryKind.UNIT_CHANGED: _unit,
    EntryKind.DELIVERED: _delivered,
    EntryKind.RUN_PARKED: lambda e: (f"parked: {e.body['reason']}", "yellow"),
    EntryKind.RUN_FAILED: lambda e: (f"failed: {e.body['reason']}", "red"),
    EntryKind.RUN_ENDED: lambda e: (f"ended: {e.body['status']}, {e.body['reason']}", "bold"),
}
"""What a person is told of each kind of entry; a kind that is missing here is for the ledger alone."""
