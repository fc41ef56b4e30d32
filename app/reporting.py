"""Writes what people read at the end."""

from __future__ import annotations

from pathlib import Path

from assay.reports.facts import CheckFacts, RunFacts
from assay.reports.pages import render_check_report, render_report
from assay.store.files import write_whole
from assay.store.state import StateDirectory


def write_report(state: StateDirectory, facts: RunFacts | CheckFacts) -> Path:
    """Write the report of a run or a check, whole, and return its path."""
    path = state.report(facts.id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    page = render_report(facts) if isinstance(facts, RunFacts) else render_check_report(facts)
    write_whole(path, page.encode(errors="backslashreplace"))
    return path
