"""S9: the judge outside of the judged process, in another sandbox.

Defeats what a program can do to a judge that shares its process: values that compare as they like, patches of the
runner and of built-ins, a search of the memory for the reporter, a look at the tests' text. The tests and pytest lie in
one sandbox, with nothing of the program; the program lies in another, with no test, and serves calls there. Values
cross as data, by their exact types; everything else is a handle that is equal to nothing.

Not every test can be asked so: what holds objects of the program against each other, gives it functions or files, or
patches it, shares more with it than data. Such an id stays at level B, and is counted here with its reason. A test says
something here only if it stands at the base as it does inside.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.layout import Layout
from assay.evidence.refutation import TESTS
from assay.evidence.runner_pytest import INI_FILES
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.evidence.twin_runs import ARGUMENTS, perturbed_ids
from assay.records.evidence import Cell
from assay.records.trees import Tree
from assay.records.verdicts import Step

_SIDES: Final[tuple[Variant, ...]] = ("outside", "outside-base")
_UNCROSSABLE: Final = "Uncrossable: "
"""How the judge's end in the sandbox begins to say why a test cannot be asked from outside (`proxies.py`)."""
_UNCLEAR: Final = "Unclear: "
"""How it begins to say that a test failed with a handle about: at the base it failed all the same."""


class Outside(StrEnum):
    """How one test stands with the judge outside."""

    HOLDS = "passes with the judge outside, too"
    UNASKED = "cannot be asked from outside"
    DIFFERS = "passes inside the program's process, and fails with the judge outside"
    UNKNOWN = "was not run with the judge outside"


def outside_of(book: Book, subject: Subject, test: str) -> Outside:
    """Return how a test that passes inside stands outside."""
    head, base = book.first(subject, "outside"), book.first(subject, "outside-base")
    inside = book.first(subject, "base")
    if head is None or base is None or inside is None or test not in head.evidence.expected:
        return Outside.UNKNOWN
    if not head.whole or not base.whole:
        return Outside.UNKNOWN
    if base.stand(test) is not inside.stand(test) or _is_barred(book, subject, test):
        return Outside.UNASKED
    if head.stand(test) is Standing.PASSED:
        return Outside.HOLDS
    differs = base.stand(test) is Standing.PASSED and _by_data_alone(head, test)
    return Outside.DIFFERS if differs else Outside.UNASKED


def reason_of(book: Book, subject: Subject, test: str) -> str:
    """Return why a test cannot be asked from outside, as its run at the head or at the base says; empty without."""
    told = (_told(book, subject, side, test, _UNCROSSABLE, _UNCLEAR) for side in _SIDES)
    return next((reason for reason in told if reason), "")


def _is_barred(book: Book, subject: Subject, test: str) -> bool:
    """Return whether what a test did outside says nothing. At the base it may well fail with a handle about."""
    kinds: dict[Variant, tuple[str, ...]] = {"outside": (_UNCROSSABLE, _UNCLEAR), "outside-base": (_UNCROSSABLE,)}
    return any(_told(book, subject, side, test, *kinds[side]) for side in _SIDES)


def _told(book: Book, subject: Subject, side: Variant, test: str, *kinds: str) -> str:
    reading = book.first(subject, side)
    outcome = reading.outcome(test) if reading is not None else None
    message = "" if outcome is None else outcome.message
    return next((message.removeprefix(k).partition("\n")[0] for k in kinds if message.startswith(k)), "")


def _by_data_alone(reading: Reading, test: str) -> bool:
    """Return whether a test failed by comparing data; with a handle in it, its failure would say that."""
    outcome = reading.outcome(test)
    return outcome is not None and outcome.call == "failed" and outcome.failure == "assertion"


async def run_outside(trials: Trials, most: int) -> None:
    """Execute what passes at the head with the judge outside, at head and base; nothing unless level A is asked for.

    Args:
        trials: where it is executed.
        most: how many of the base's own tests are taken, the same ones as for their twins.
    """
    if trials.facts.level != "A":
        return
    wanted = {s: perturbed_ids(trials.book, s, most) for s in TESTS}
    await together(*(_run(trials, s, v, ids) for s, ids in wanted.items() if ids for v in _SIDES))


async def _run(trials: Trials, subject: Subject, variant: Variant, ids: tuple[str, ...]) -> None:
    whole = subject is Subject.REGRESSION and variant == "outside-base"  # the same for every change, and so kept
    tests, program = await asyncio.to_thread(split, trials.layout, trials.cell(subject, variant), subject)
    await trials.suite(
        subject,
        variant,
        tree=await trials.git.write_tree(tests, {}),
        worker=await trials.git.write_tree(program, {}),
        modules=() if whole else trials.layout.modules(subject, ids),
        select=None if whole else ids,
        expected=() if whole else ids,
        arguments=ARGUMENTS,
    )


def split(layout: Layout, cell: Cell, subject: Subject) -> tuple[Tree, Tree]:
    """Return the files of a cell in two trees: what judges, and what is judged. Only configuration is in both."""
    tree = layout.tree(cell, subject)
    own = {path for path in tree if layout.is_test(path)}
    settings = {posixpath.normpath(posixpath.join(layout.project.root, name)) for name in INI_FILES}
    return {p: f for p, f in tree.items() if p in own | settings}, {p: f for p, f in tree.items() if p not in own}


def outside_step(book: Book) -> Step | None:
    """Return S9 as it went; None where nothing was executed with the judge outside."""
    runs = [r for s in TESTS for v in _SIDES for r in book.all(s, v)]
    if not runs:
        return None
    evidence = tuple(dict.fromkeys(r.evidence.id for r in runs))
    differing = any(Outside.DIFFERS in _stands(book, s).values() for s in TESTS)
    return Step(
        id="S9",
        title="Judge outside",
        outcome="flagged" if differing else "passed",
        reasons=tuple(_counts(book)),
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _stands(book: Book, subject: Subject) -> dict[str, Outside]:
    head = book.first(subject, "outside")
    return {i: outside_of(book, subject, i) for i in head.evidence.expected} if head is not None else {}


def _counts(book: Book) -> Iterator[str]:
    why: Counter[str] = Counter()
    for subject in TESTS:
        stands = _stands(book, subject)
        if not stands:
            continue
        counts = Counter(stands.values())
        yield f"{subject.value}: {counts[Outside.HOLDS]} of {len(stands)} ids pass with the judge outside, too"
        for reading in (book.first(subject, side) for side in _SIDES):
            if reading is not None and not reading.whole:
                yield f"{subject.value}, {reading.evidence.cell.source}: {reading.got('')}"
        asked = [i for i, stand in stands.items() if stand is Outside.UNASKED]
        why.update(_kind_of(reason_of(book, subject, i)) or _difference(book, subject, i) for i in asked)
        differing = [i for i, stand in stands.items() if stand is Outside.DIFFERS]
        if differing:
            names = "held-out tests" if subject is Subject.HELD_OUT else ", ".join(differing[:5])
            yield f"{len(differing)} pass inside the program's process alone: {names}"
    for reason, count in why.most_common():
        yield f"{count} fell to level B: {reason}"


def _kind_of(reason: str) -> str:
    return reason.partition(" (")[0]


def _difference(book: Book, subject: Subject, test: str) -> str:
    base, inside = book.first(subject, "outside-base"), book.first(subject, "base")
    alike = base is not None and inside is not None and base.stand(test) is inside.stand(test)
    return "it fails at the head as it does at the base" if alike else "it does not stand at the base as it does inside"
