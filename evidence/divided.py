"""The suite at the head (S6, S7): the tests nearest to the change first, and a long suite over several sandboxes.

Neither weakens what the whole suite shows. What fails where only some of it ran is confirmed by itself, at head and
base, in fresh sandboxes; where that does not show it (a test may lack what another file's tests leave behind), the
whole suite runs, and decides as if nothing had been divided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from assay.evidence.expectations import Reading
from assay.evidence.facts import Book, Subject
from assay.evidence.matrix import in_tree, needed_ids
from assay.evidence.refutation import EARLY, early_confirmations, suspects
from assay.evidence.together import together
from assay.evidence.trials import Trials

_LEAST: Final = 20
"""Ids of a suite below which nothing of it is run first."""
_SHARE: Final = 1 / 3
"""Of a suite's ids, at most, for what is run first. Counted, not timed: then the same is refuted by the same again."""
_WORTH: Final = 20.0
"""Seconds of tests for which another sandbox pays."""
_MOST_SUSPECTS: Final = 20


async def run_nearest(trials: Trials, nearest: tuple[str, ...]) -> None:
    """Execute the base's tests in the files that name a changed one, and what fails there by itself, at both sides."""
    if ids := nearest_ids(trials.book, nearest):
        modules = trials.layout.modules(Subject.REGRESSION, ids)
        await trials.suite(Subject.REGRESSION, EARLY[0], modules=modules, select=ids, expected=ids)
        await _confirm(trials)


async def run_suite(trials: Trials, subject: Subject) -> None:
    """Execute the base's suite, or the head's own, with the change: in parts where that pays, and whole where a part
    shows anything but success.
    """
    expected = needed_ids(trials.book) if subject is Subject.REGRESSION else ()
    groups = divide(seconds_by_file(trials.book), trials.places) if _is_divisible(trials) else ()
    if len(groups) > 1:
        await together(*(_run_part(trials, subject, groups, n) for n in range(len(groups))))
        book = trials.book
        head = book.first(subject, "head")
        if head is not None and head.whole and not suspects(book, subject):
            return
        if subject is Subject.REGRESSION and await _confirm(trials):
            return
    await trials.suite(subject, "head", expected=expected)


async def _run_part(trials: Trials, subject: Subject, groups: tuple[tuple[str, ...], ...], number: int) -> None:
    """Execute the tests of some files. What the head has beside the base's files runs with the first of them."""
    base, files = trials.book.first(Subject.REGRESSION, "base"), groups[number]
    if subject is Subject.REGRESSION:
        ids = tuple(i for i in (base.ids if base is not None else ()) if _file_of(i) in files)
        modules = trials.layout.modules(subject, ids)
        await trials.suite(subject, "head", modules=modules, select=ids, expected=ids, shard=number)
        return
    there = [tuple(f for f in g if in_tree(trials.facts, f) in trials.layout.head) for g in groups]
    elsewhere = tuple(f"--ignore={f}" for g in there[1:] for f in g)
    if number == 0 or there[number]:
        modules, arguments = (there[number], ()) if number else ((), elsewhere)
        await trials.suite(subject, "head", modules=modules, arguments=arguments, shard=number)


async def _confirm(trials: Trials) -> bool:
    """Execute what failed early by itself, at both sides; return whether that shows it."""
    ids = tuple(suspects(trials.book, Subject.REGRESSION))[:_MOST_SUSPECTS]
    modules = trials.layout.modules(Subject.REGRESSION, ids)
    numbers = range(1, trials.facts.replicates + 1) if ids else ()
    await together(
        *(
            trials.suite(
                *(Subject.REGRESSION, variant), replicate=n, modules=modules, select=ids, expected=ids, alone=True
            )
            for n in numbers
            for variant in EARLY
        )
    )
    return any(early_confirmations(trials.book, i) for i in ids)


def _is_divisible(trials: Trials) -> bool:
    """Return whether each id of the base's suite lies in a file that can be named to the runner by itself, and all of
    them run together later: only that shows what tests of one file do to those of another through the change.
    """
    if not trials.together_later:
        return False
    base = trials.book.first(Subject.REGRESSION, "base")
    if base is None or not base.whole or trials.facts.project.runner != "pytest":
        return False
    files = {_file_of(i) for i in base.ids}
    return all(in_tree(trials.facts, f) in trials.layout.base for f in files)


def nearest_ids(book: Book, nearest: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of the base that are run first: those in these files, the smallest files first, as long as they
    are a small part of the suite.
    """
    ids, chosen = needed_ids(book), set[str]()
    held = Counter(map(_file_of, ids))
    left = int(len(ids) * _SHARE) if len(ids) >= _LEAST else 0
    for file in sorted(held, key=lambda f: (held[f], f)):
        if in_tree(book.facts, file) in nearest and held[file] <= left:
            left -= held[file]
            chosen.add(file)
    return tuple(i for i in ids if _file_of(i) in chosen)


def seconds_by_file(book: Book) -> dict[str, float]:
    """Return how long the tests of each file took at the base."""
    base: Reading | None = book.first(Subject.REGRESSION, "base")
    spent: dict[str, float] = {}
    for outcome in base.evidence.outcomes if base is not None else ():
        file = _file_of(outcome.id)
        spent[file] = spent.get(file, 0.0) + outcome.seconds
    return spent


def divide(seconds: Mapping[str, float], places: int) -> tuple[tuple[str, ...], ...]:
    """Return the files in as many groups as pay, of about the same time; one group where dividing does not pay.

    Args:
        seconds: that the tests of each file take.
        places: sandboxes that there may be at once.
    """
    count = min(places, len(seconds), int(sum(seconds.values()) / _WORTH))
    groups: list[list[str]] = [[] for _ in range(max(1, count))]
    loads = [0.0] * len(groups)
    for file in sorted(seconds, key=lambda f: (-seconds[f], f)):
        least = loads.index(min(loads))
        groups[least].append(file)
        loads[least] += seconds[file]
    return tuple(tuple(sorted(group)) for group in groups)


def _file_of(test: str) -> str:
    return test.split("::", 1)[0]
