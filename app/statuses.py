"""Where a run stands, read from its ledger alone."""

from __future__ import annotations

from collections.abc import Sequence

from assay.records.decisions import Decision, Question
from assay.records.entries import Entry, EntryKind
from assay.records.runs import RunStatus, RunSummary

LIFE = (
    EntryKind.RUN_STARTED,
    EntryKind.RUN_RESUMED,
    EntryKind.RUN_PARKED,
    EntryKind.RUN_FAILED,
    EntryKind.RUN_ENDED,
)
"""The kinds of entry that say where a run stands."""


def status_of(entries: Sequence[Entry]) -> tuple[RunStatus, str]:
    """Return where a run stands and why; an end is an end, whatever came after it."""
    life = [entry for entry in entries if entry.kind in LIFE]
    for entry in life:
        if entry.kind is EntryKind.RUN_ENDED:
            return RunStatus(str(entry.body["status"])), str(entry.body.get("reason", ""))
    if not life:
        return RunStatus.FAILED, "the ledger does not say that it was started"
    last = life[-1]
    match last.kind:
        case EntryKind.RUN_PARKED:
            return RunStatus.PARKED, str(last.body.get("reason", ""))
        case EntryKind.RUN_FAILED:
            return RunStatus.FAILED, str(last.body.get("reason", ""))
        case _:
            return RunStatus.RUNNING, ""


def status_with(run: str, status: RunStatus, reason: str, holder: int | None) -> tuple[RunStatus, str]:
    """Return where a run stands, seeing that one that was running stands still where no process holds it."""
    if status is RunStatus.RUNNING and holder is None:
        return RunStatus.FAILED, f"its process is gone; `assay resume {run}` goes on"
    return status, reason


def summary_of(run: str, entries: Sequence[Entry]) -> RunSummary:
    """Return the line of a run in a list of runs. `entries` are those of the kinds in `LIFE`."""
    status, reason = status_of(entries)
    manifest = entries[0].body["manifest"]
    assert isinstance(manifest, dict)
    return RunSummary(
        id=run,
        title=str(manifest["title"]),
        repo=str(manifest["repo"]),
        status=status,
        reason=reason,
        started=entries[0].at,
        changed=entries[-1].at,
    )


def open_questions(entries: Sequence[Entry]) -> tuple[Question, ...]:
    """Return the questions that were asked and not answered, oldest first."""
    answered = {
        Decision.model_validate(e.body["decision"]).digest for e in entries if e.kind is EntryKind.DECISION_MADE
    }
    asked = (
        Question.model_validate(e.body["question"])
        for e in entries
        if e.kind is EntryKind.QUESTION_ASKED and e.body["digest"] not in answered
    )
    newest = {question.id: question for question in asked}
    return tuple(newest.values())
