"""What a person reads at the end: one HTML file per run, and the same in short for a terminal."""

from assay.reports.facts import (
    AskedFacts,
    CheckFacts,
    ClaimFacts,
    CommandFacts,
    DoubtFacts,
    EventFacts,
    GateFacts,
    HowTo,
    LedgerFacts,
    ReviewFacts,
    RunFacts,
    UnitFacts,
    WorkFacts,
)
from assay.reports.pages import render_check_report, render_report
from assay.reports.terminal import print_terminal, render_terminal

__all__ = [
    "AskedFacts",
    "CheckFacts",
    "ClaimFacts",
    "CommandFacts",
    "DoubtFacts",
    "EventFacts",
    "GateFacts",
    "HowTo",
    "LedgerFacts",
    "ReviewFacts",
    "RunFacts",
    "UnitFacts",
    "WorkFacts",
    "print_terminal",
    "render_check_report",
    "render_report",
    "render_terminal",
]
