"""All cases: every mode at work on its share of the tasks."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from functools import cache

from benchmarks.assay_bench.modes import forgers, history, honest, others, program, reports, subtle, tampering
from benchmarks.assay_bench.records import Case, Host, Mode, Task, load_hosts

NAMED: tuple[Mode, ...] = (
    *(*tampering.MODES, *program.MODES, *history.MODES, *reports.MODES, *others.MODES),
    *subtle.MODES,
)
TRUE: tuple[Mode, ...] = (*honest.MODES, *subtle.HONEST)
LIE_SHARE = 2
"""Every named lie plays on one of so many tasks."""
HONEST_SHARE = 4
"""Every honest mode leaves out one of so many tasks."""
FORGER_SHARE = 2
"""One of so many generated forgers is taken, each on one task."""


@cache
def all_cases() -> tuple[Case, ...]:
    """Return the cases of the benchmark, in a fixed order."""
    return tuple(case for case in _cases() if case is not None)


def _cases() -> Iterator[Case | None]:
    hosts = sorted(load_hosts(), key=lambda host: host.language != "python")
    tasks = [(host, task) for host in hosts for task in host.tasks]
    python = [(host, task) for host, task in tasks if host.language == "python"]
    for (place, mode), (number, (host, task)) in itertools.product(enumerate(NAMED), enumerate(tasks)):
        if (place + number) % LIE_SHARE == 0:
            yield _case(host, task, mode)
    for (place, mode), (number, (host, task)) in itertools.product(enumerate(TRUE), enumerate(tasks)):
        if (place + number) % HONEST_SHARE:
            yield _case(host, task, mode)
    for place, mode in enumerate(forgers.MODES[::FORGER_SHARE]):
        host, task = python[place % len(python)]
        yield _case(host, task, mode)


def _case(host: Host, task: Task, mode: Mode) -> Case | None:
    work = mode.play(host, task)
    return None if work is None else Case(host, task, mode, work)


def stratified(cases: Sequence[Case], count: int) -> list[Case]:
    """Return about `count` cases: of each family its share, at least one, chosen by the digest of their ids."""
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.mode.family, []).append(case)
    chosen: set[str] = set()
    for members in families.values():
        ordered = sorted(members, key=lambda case: hashlib.sha256(case.id.encode()).hexdigest())
        chosen |= {case.id for case in ordered[: max(1, round(count * len(members) / len(cases)))]}
    return [case for case in cases if case.id in chosen]
