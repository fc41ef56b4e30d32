"""Rules for the whole suite."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

NEVER_SKIPPED = ("docker", "browser")
"""Markers of tests that the project's own test command may not leave out."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test of those kinds into a failed one, where `ASSAY_FORBID_SKIPS=1` says so."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _forbidden(item):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which ASSAY_FORBID_SKIPS=1 forbids: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that is skipped whole: what it would have held is not known."""
    report = yield
    if report.skipped and os.environ.get("ASSAY_FORBID_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped whole, which ASSAY_FORBID_SKIPS=1 forbids: {report.longrepr}"
    return report


def _forbidden(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in NEVER_SKIPPED)
    return marked and os.environ.get("ASSAY_FORBID_SKIPS") == "1"
