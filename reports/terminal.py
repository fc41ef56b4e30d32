"""What a run or a check came to, for a terminal: 80 columns, and readable without colour and when piped."""

from __future__ import annotations

import shlex

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from assay.records.runs import RunStatus
from assay.records.unproven import span_lines
from assay.records.verdicts import Witness
from assay.reports.facts import CheckFacts, RunFacts
from assay.reports.outcomes import (
    ClaimLine,
    Outcome,
    Tone,
    conclude_check,
    conclude_run,
    count_unproven,
    line_up_claims,
)
from assay.reports.untrusted import make_visible, shorten

_STYLES: dict[Tone, str] = {"good": "green", "bad": "red", "open": "yellow"}
_PLACES = 8
"""Places of unproven lines that are shown here; the report has all of them."""
_LINES = 2
"""Lines of each such place."""
_SIGNS: dict[Tone, str] = {"good": "ok", "bad": "no", "open": "??"}


def print_terminal(facts: RunFacts | CheckFacts, console: Console) -> None:
    """Print what `render_terminal` returns; commands longer than the line are left whole, to be copied."""
    console.print(render_terminal(facts), crop=False)


def render_terminal(facts: RunFacts | CheckFacts) -> RenderableType:
    """Return the outcome, the table of claims and verdicts, witnesses, and what can be done next."""
    outcome = conclude_run(facts) if isinstance(facts, RunFacts) else conclude_check(facts)
    lines = line_up_claims(facts.claims)
    parts: list[RenderableType] = [_headline(facts, outcome)]
    if lines:
        parts += [Text(), _claims_table(lines)]
    for line in lines:
        if line.last:
            parts += _explanation(line)
            parts += _contradicted(line)
    parts += [part for line in _speaking(lines) for part in _unproven(line)]
    if isinstance(facts, RunFacts):
        parts += _decisions(facts)
    verdicts = [line.facts.verdict for line in lines if line.last]
    shown = {verdict.witness.command for verdict in verdicts if verdict and verdict.witness}
    for how in (how for how in facts.how_to if how.command not in shown):
        parts += [Text(), _text(f"{how.purpose}:"), _unbroken(how.command, "bold")]
    return Group(*parts)


def _headline(facts: RunFacts | CheckFacts, outcome: Outcome) -> RenderableType:
    title = facts.ticket.title if facts.ticket else facts.claim.claim.draft.statement  # type: ignore[union-attr]
    text = _text(shorten(title, 300), "bold")
    text.append("\n")
    if isinstance(facts, CheckFacts):
        text.append(f"{outcome.word}: ", f"bold {_STYLES[outcome.tone]}")
    text.append_text(_text(outcome.sentence, _STYLES[outcome.tone]))
    return text


def _claims_table(lines: tuple[ClaimLine, ...]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("claim", overflow="fold", max_width=22)
    table.add_column("by", overflow="fold", max_width=12)
    table.add_column("verdict", overflow="fold")
    table.add_column("requirements", overflow="fold")
    table.add_column("s", justify="right", no_wrap=True)
    for line in lines:
        verdict = line.facts.verdict
        requirements = Text()
        for requirement in verdict.requirements if verdict else ():
            requirements.append("\n" if requirements else "")
            requirements.append_text(_text(f"{requirement.requirement}: {requirement.status.value}"))
        place = line.place if line.facts.attempt == 1 else f"{line.place}, try {line.facts.attempt}"
        table.add_row(
            Text(_SIGNS[line.tone], _STYLES[line.tone]),
            _text(place),
            _text(line.facts.claim.author),
            _text(line.word, _STYLES[line.tone]),
            requirements,
            f"{verdict.seconds:.1f}" if verdict else "",
        )
    return table


def _explanation(line: ClaimLine) -> list[RenderableType]:
    verdict = line.facts.verdict
    if verdict is None or line.tone == "good":
        return []
    body = Text("\n").join(_text(f"- {shorten(reason, 600)}") for reason in verdict.reasons)
    parts: list[RenderableType] = [Text(), _text(f"{line.place} is {line.word}:", "bold"), body]
    if verdict.question:
        parts.append(_text(verdict.question, "yellow"))
    if verdict.witness:
        parts += _witness(verdict.witness)
    return parts


def _contradicted(line: ClaimLine) -> list[RenderableType]:
    wrong = [s for s in line.facts.sentences if s.mark == "contradicted"]
    if not wrong:
        return []
    body = [_text(f"- {shorten(s.text, 300)} ({shorten(s.why, 300)})") for s in wrong]
    return [Text(), _text("What the author says is contradicted by what was computed:", "bold"), Text("\n").join(body)]


def _speaking(lines: tuple[ClaimLine, ...]) -> list[ClaimLine]:
    """Return the claims whose unproven lines are told: that on the whole, where there is one, else the last of each."""
    last = [line for line in lines if line.last]
    return [line for line in last if line.facts.claim.unit is None] or last


def _unproven(line: ClaimLine) -> list[RenderableType]:
    """Return what no check holds on to, the most telling first."""
    lines = line.facts.verdict.unproven_lines if line.facts.verdict else ()
    if not lines:
        return []
    spans = span_lines(lines)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", max_width=32)
    table.add_column(overflow="fold")
    for span in spans[:_PLACES]:
        told = _text(span.reason)
        for one in () if span.lines[0].changes else [one for one in span.lines if one.text][:_LINES]:
            told.append_text(_text(f"\n{shorten(one.text, 100)}", "dim"))
        if len(span.lines) > _LINES:
            told.append_text(_text("\n…", "dim"))
        table.add_row(_text(f"  {span.place}"), told)
    heading = f"{count_unproven(lines)}, {line.place}:"
    rest = [_text(f"  … and {len(spans) - _PLACES} more places in the report")] if len(spans) > _PLACES else []
    return [Text(), _text(heading, "bold"), table, *rest]


def _witness(witness: Witness) -> list[RenderableType]:
    shown = [
        ("test", witness.test or ""),
        ("expected", shorten(witness.expected, 600)),
        ("got", shorten(witness.got, 600)),
        ("seen", f"in {witness.reproduced} fresh sandboxes"),
        ("again", witness.command or shlex.join(witness.argv)),
    ]
    parts: list[RenderableType] = []
    for name, value in shown:
        first, *rest = value.split("\n") if value else [""]
        parts += [_unbroken(f"{name:9} {first}")] * bool(value) + [_unbroken(f"{'':9} {line}") for line in rest]
    return parts


def _decisions(facts: RunFacts) -> list[RenderableType]:
    if not facts.asked:
        return []
    parts: list[RenderableType] = [Text()]
    for asked in facts.asked:
        decision = asked.decision
        if decision is None:
            style = "yellow" if facts.status is RunStatus.PARKED else ""
            parts.append(_text(f"{asked.question.kind.value}: nobody has answered: {asked.question.title}", style))
            continue
        said = f": {shorten(decision.message, 300)}" if decision.message else ""
        parts.append(
            _text(f"{asked.question.kind.value}: {decision.type.value} by {decision.by} via {decision.via}{said}")
        )
    return parts


def _text(value: str, style: str = "") -> Text:
    return Text(make_visible(value), style)


def _unbroken(value: str, style: str = "") -> Text:
    """Return a line that is left to the terminal to wrap, so that it can be copied whole."""
    text = _text(f"  {value}", style)
    text.no_wrap, text.overflow = True, "ignore"
    return text
