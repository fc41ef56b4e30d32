"""How long what is altered may take follows from runs that are over, and from nothing that is at work beside it."""

from __future__ import annotations

from typing import cast

import pytest

from assay.evidence.execution import Bench
from assay.evidence.facts import Subject, Variant
from assay.evidence.layout import Layout
from assay.evidence.trials import Trials
from assay.records.claims import ClaimKind
from assay.store.git import GitStore

from .books import Records, passed, start


class NoTests:
    """A layout in which nothing is a test."""

    def is_test(self, path: str) -> bool:
        """Return that it is none."""
        return not path


def made(records: Records, deadline: float | None = None) -> Trials:
    """Return trials of these facts, which can execute nothing."""
    nothing = None  # of what is not asked here
    layout, bench, git = cast("Layout", NoTests()), cast("Bench", nothing), cast("GitStore", nothing)
    return Trials(records.facts, layout, bench, git, None, "", deadline, together_later=True)


def limit(records: Records, subject: Subject, variant: Variant) -> float | None:
    """Return the seconds that an order would have."""
    trials = made(records)
    trials.evidence.update(records.evidence)
    trials._trials.extend(records.facts.trials)
    return trials._limit(subject, variant)


@pytest.mark.parametrize(
    ("subject", "variant", "seconds"),
    [
        (Subject.REGRESSION, "twin", 140.0),
        (Subject.REGRESSION, "ablated", 140.0),
        (Subject.REGRESSION, "twin-base", 50.0),
        (Subject.BROUGHT, "twin-base", 20.0),
        (Subject.BROUGHT, "null-raise", 20.0),
        (Subject.VISIBLE, "null-return", None),
        (Subject.REGRESSION, "head", None),
    ],
)
def test_a_limit_is_measured_at_one_run_of_the_whole(subject: Subject, variant: Variant, seconds: float | None) -> None:
    """Parts count together; a longer run beside it, of the same tests, changes nothing."""
    records = start(ClaimKind.FIX, (), ())
    names = [
        records.add(Subject.REGRESSION, "base", [passed("test_a.py::a")]),
        records.add(Subject.REGRESSION, "head", [passed("test_a.py::a")], shard=0),
        records.add(Subject.REGRESSION, "head", [passed("test_b.py::b")], shard=1),
        records.add(Subject.BROUGHT, "head", [passed("test_c.py::c")]),
    ]
    for name, took in zip(names, (5.0, 6.0, 8.0, 1.0), strict=True):
        records = records.change(name, seconds=took)
    assert limit(records, subject, variant) == seconds
    beside = records.add(subject, "base", [passed("test_a.py::a")], replicate=1)
    assert limit(records.change(beside, seconds=900.0), subject, variant) == seconds


def test_where_the_time_is_bounded_nothing_is_sure_to_run_later() -> None:
    """A deadline may leave out the run of everything together, on which dividing a suite rests."""
    records = start(ClaimKind.FIX, (), ())
    assert made(records).together_later
    assert not made(records, deadline=1e9).together_later
