"""assay-bench: how often verifiers of agents' claims accept what is false and turn away what is true.

`python -m benchmarks.assay_bench` runs every case with every verifier (hours on two cores; it goes on where it was
stopped) and prints a table; `--sample N` takes a stratified sample. Ends with 1 where a label is not confirmed or
assay was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
from benchmarks.assay_bench.baselines import baselines
from benchmarks.assay_bench.campaign import Campaign, Journal, Outcome
from benchmarks.assay_bench.cases import all_cases, stratified
from benchmarks.assay_bench.containers import image_of
from benchmarks.assay_bench.proofs import Proof, known_runners, knows_levels
from benchmarks.assay_bench.records import Case, load_hosts
from benchmarks.assay_bench.tables import render_page, render_text
from benchmarks.assay_bench.verifiers import Verifier
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import assay

LEVELS = ("C", "B")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked and return the exit code."""
    given = _parser().parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    cases = [case for case in all_cases() if all(word in f"{case.mode.family} {case.id}" for word in given.only)]
    if given.sample:
        cases = stratified(cases, given.sample)
    if given.list:
        print("\n".join(f"{'true ' if case.true else 'false'} {case.mode.family}: {case.id}" for case in cases))
        return 0
    unknown = [host.id for host in load_hosts() if host.runner not in known_runners()]
    if unknown:
        print(f"not judged by assay, which does not know their runner yet: {unknown}", file=sys.stderr)
    missing = [name for name in dict.fromkeys(case.host.image for case in cases) if image_of(name) is None]
    if missing:
        print(f"not judged, since the image is not there: {missing}; assay sandbox build NAME", file=sys.stderr)
        cases = [case for case in cases if case.host.image not in missing]
    outcome = asyncio.run(_run(cases, given))
    about = (
        f"{len(cases)} cases, {sum(not c.true for c in cases)} of them false; assay {_levels(given.levels)}; "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {given.jobs} cases at a time"
    )
    page = given.out / "report.html"
    page.write_text(render_page(outcome.results, outcome.errors, about))
    print(render_text(outcome.results, outcome.errors, about))
    print(f"Report: {page}")
    wrong = [
        r
        for r in outcome.results
        if r.verifier.startswith("assay") and r.status == ("rejected" if r.true else "accepted")
    ]
    return 1 if outcome.errors or wrong else 0


async def _run(cases: Sequence[Case], given: argparse.Namespace) -> Outcome:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    journal = Journal(given.out / "results.jsonl")
    with Progress(*columns, console=Console(stderr=True)) as shown:
        bar = shown.add_task("cases", total=len(cases))
        async with assay.open_house(root=given.out / "state") as house:
            chosen: list[Verifier] = [] if given.no_baselines else list(baselines())
            chosen += [Proof(house, level) for level in _known(given.levels)]
            campaign = Campaign(
                verifiers=chosen,
                journal=journal,
                repetitions=given.repeat,
                jobs=given.jobs,
                progress=lambda line: shown.advance(bar),
            )
            return await campaign.run(cases)


def _known(levels: str) -> str:
    return levels if knows_levels() else "".join(level for level in levels if level == "C")


def _levels(levels: str) -> str:
    left_out = [level for level in levels if level not in _known(levels)]
    said = f"at {', '.join(_known(levels)) or 'no level'}"
    return f"{said} ({', '.join(left_out)} is not there yet)" if left_out else said


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.assay_bench")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--sample", type=int, default=0, help="about so many cases, of each family its share")
    parser.add_argument("--only", nargs="*", default=[], help="words that a case's family and id have to hold")
    parser.add_argument("--levels", default="".join(LEVELS), help="levels of assay, for instance CB; empty for none")
    parser.add_argument("--no-baselines", action="store_true", help="assay alone")
    parser.add_argument("--repeat", type=int, default=1, help="how often each verifier judges each case")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--out", type=Path, default=cache / "assay" / "bench-claims", help="where results are kept")
    parser.add_argument("--list", action="store_true", help="name the cases, and run none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
