"""What a person is told of each thing that happens in a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay.records.entries import Entry, EntryKind

_STYLES = {"proven": "green", "refuted": "red", "inconclusive": "yellow", "confirmed": "red", "dispelled": "green"}


def describe(entry: Entry) -> tuple[str, str] | None:
    """Return an entry in words and the style that fits, or None for what only the ledger needs."""
    words = _WORDS.get(entry.kind)
    return words(entry) if words else None


def describe_next(entry: Entry) -> str | None:
    """Return what goes on after an entry, for as long as nothing else is recorded; None where that is not known."""
    words = _NEXT.get(entry.kind)
    return words.format(role=entry.role or "assay") if words else None


def _verdict(entry: Entry) -> tuple[str, str]:
    status = str(entry.body["status"])
    return f"verdict: {status}. {entry.body.get('reason', '')}", _STYLES.get(status, "")


def _evidence(entry: Entry) -> tuple[str, str]:
    body = entry.body
    passed, others = body.get("passed"), body.get("not_passed")
    if not isinstance(passed, int) or not isinstance(others, int):
        count = "?"
    elif not passed + others or str(body.get("purpose")).endswith("with mutants of changed lines"):
        count = "done"
    elif body.get("purpose") == "canary":
        count = f"{passed} passed, {others} did not; one of each is right"
    elif str(body.get("purpose")).endswith("with perturbed expectations"):
        count = f"{others} of {passed + others} failed, as they should"
    else:
        count = f"{passed} of {passed + others} passed"
    return f"executed {body.get('purpose')} ({body.get('cell')}): {count}", "dim"


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
    reason = entry.body.get("reason")
    return f"unit is {entry.body['status']}{f': {reason}' if reason else ''}", ""


def _delivered(entry: Entry) -> tuple[str, str]:
    return f"delivered branch {entry.body['branch']} at {_short(entry)}", "bold green"


def _egress(entry: Entry) -> tuple[str, str]:
    body = entry.body
    asked = f"{body.get('method', 'something')} {body.get('host', '?')}:{body.get('port', '?')}"
    stage, reason = body["stage"], body.get("reason")
    return f"network: {asked} {stage}{f': {reason}' if reason else ''}", "yellow" if stage == "refused" else "dim"


def _tokens(entry: Entry) -> int:
    given, made = entry.body.get("input_tokens"), entry.body.get("output_tokens")
    return sum(count for count in (given, made) if isinstance(count, int))


def _short(entry: Entry) -> str:
    return str(entry.body["commit"])[:12]


_WORDS: Mapping[EntryKind, Callable[[Entry], tuple[str, str]]] = {
    EntryKind.RUN_STARTED: lambda e: (f"run {e.run}: {e.body.get('title')}", "bold"),
    EntryKind.RUN_RESUMED: lambda e: (f"run {e.run} goes on", "bold"),
    EntryKind.BASE_ADOPTED: lambda e: (f"base {_short(e)}", ""),
    EntryKind.MODEL_CALLED: lambda e: (f"model answered ({_tokens(e)} tokens)", "dim"),
    EntryKind.TOOL_CALLED: lambda e: (f"{e.body.get('tool')}: {e.body.get('outcome')}", "dim"),
    EntryKind.EGRESS_ASKED: _egress,
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

_NEXT: Mapping[EntryKind, str] = {
    EntryKind.RUN_STARTED: "preparing",
    EntryKind.RUN_RESUMED: "preparing",
    EntryKind.BASE_ADOPTED: "preparing",
    EntryKind.MODEL_CALLED: "{role} uses its tools",
    EntryKind.TOOL_CALLED: "{role} thinks",
    EntryKind.ROLE_ENDED: "taking in the {role}'s work",
    EntryKind.PLAN_MADE: "preparing",
    EntryKind.COMMIT_MADE: "proof",
    EntryKind.CLAIM_MADE: "proof",
    EntryKind.EVIDENCE_RECORDED: "proof",
    EntryKind.VERDICT_GIVEN: "preparing the next step",
    EntryKind.DECISION_MADE: "preparing the next step",
    EntryKind.DOUBT_EXAMINED: "proof",
}
