"""The HTML report: one file that needs nothing else, and nothing of which can run or load anything.

Every value goes through `finalize`, which makes hidden characters visible and escapes the rest; the
content security policy allows the style sheet and the script of this page by their digests and nothing
more, so that even a mistake in a template would not execute what a ticket or a test prints.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from assay.records.runs import UnitStatus
from assay.records.unproven import span_lines
from assay.records.verdicts import VerdictStatus
from assay.reports.diffs import view_changes
from assay.reports.facts import CheckFacts, ClaimFacts, RunFacts, WorkFacts
from assay.reports.matrix import CELLS, tabulate_tests
from assay.reports.outcomes import Tone, conclude_check, conclude_run, count_unproven, line_up_claims
from assay.reports.untrusted import describe_ending, make_visible, shorten

_TONES: dict[str, Tone | Literal["none"]] = {
    VerdictStatus.PROVEN: "good",
    VerdictStatus.REFUTED: "bad",
    UnitStatus.WAITING: "none",
    UnitStatus.DONE: "good",
    UnitStatus.REJECTED: "bad",
    "passed": "good",
    "failed": "bad",
    "not_run": "none",
    "approve": "good",
    "reject": "bad",
    "dispelled": "good",
    "confirmed": "bad",
}
"""What else there is, is open."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What all roles cost together."""

    model_calls: int
    input_tokens: int
    output_tokens: int
    money: float | None
    """Of what is priced; None where nothing is."""
    commands: int
    seconds: float
    executions: int
    proof_seconds: float

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


def render_report(facts: RunFacts) -> str:
    """Return the report of a run as one HTML file, to be written as UTF-8."""
    return (
        _environment()
        .get_template("run.html")
        .render(
            facts=facts,
            outcome=conclude_run(facts),
            lines=line_up_claims(facts.claims),
            totals=_add_up(facts.work, facts.claims),
        )
    )


def render_check_report(facts: CheckFacts) -> str:
    """Return the report of a check as one HTML file, to be written as UTF-8."""
    return (
        _environment()
        .get_template("check.html")
        .render(facts=facts, outcome=conclude_check(facts), lines=line_up_claims(facts.claims))
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("assay.reports"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("style.css"), _asset("script.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_source_hash(style)}'",
            f"script-src '{_source_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
        "policy": policy,
        "cells": CELLS,
    }
    environment.filters |= {
        "argv": shlex.join,
        "counted": count_unproven,
        "capital": lambda text: text[:1].upper() + text[1:],
        "cut": shorten,
        "diff": view_changes,
        "ending": describe_ending,
        "is_held_out": _is_held_out,
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        "requirement_text": _requirement_text,
        "short": lambda commit: commit[:12],
        "span": _span,
        "spans": span_lines,
        "tests": tabulate_tests,
        "tone": lambda status: _TONES.get(status, "open"),
        "when": _when,
    }
    return environment


def _asset(name: str) -> str:
    return files("assay.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _finalize(value: Any) -> Any:
    """Return what a template prints for `value`; everything but our own markup is somebody's text."""
    if isinstance(value, Markup | int | float):
        return value
    return escape(make_visible("" if value is None else str(value)))


def _when(moment: datetime) -> Markup:
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _requirement_text(facts: ClaimFacts, requirement: str) -> str:
    return next((r.text for r in facts.requirements if r.id == requirement), "")


def _is_held_out(facts: ClaimFacts, test: str) -> bool:
    return any(stated.held_out for stated in facts.stated if stated.id == test)


def _add_up(work: Sequence[WorkFacts], claims: Sequence[ClaimFacts]) -> Totals:
    priced = [one.money for one in work if one.money is not None]
    return Totals(
        model_calls=sum(one.model_calls for one in work),
        input_tokens=sum(one.input_tokens for one in work),
        output_tokens=sum(one.output_tokens for one in work),
        money=sum(priced) if priced else None,
        commands=sum(one.commands for one in work),
        seconds=sum(one.seconds for one in work),
        executions=sum(len(claim.evidence) for claim in claims),
        proof_seconds=sum(claim.verdict.seconds for claim in claims if claim.verdict),
    )
