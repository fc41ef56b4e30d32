"""S8, executed: which tests were seen to fail when their expectations are perturbed."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.layout import Layout
from assay.evidence.matrix import brought_ids, mended_ids, needed_ids
from assay.evidence.refutation import TESTS
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.evidence.twins import helper_name, helper_source, mark_of, transform
from assay.records.base import digest_of
from assay.records.evidence import Cell
from assay.records.trees import EXECUTABLE, REGULAR, TreeFile, blob_id
from assay.records.verdicts import Step
from assay.store.git import GitStore

ARGUMENTS: Final = ("--tb=no", "--assert=plain")
"""For pytest: nobody reads why a twin failed, and showing it costs more than running it."""
_MOST_SUSPECTS: Final = 20
_PERHAPS_MEANT: Final = (" beside its like", " as a collection")
"""Ends of what a twin says of values that a type may hold to be equal, or its own, for a reason."""


class Twin(StrEnum):
    """How the negative twin of one test went."""

    WORKS = "fails when its expectations are perturbed"
    WORD = "holds only by what a value of the program says of itself: as data, or next to what is near, it does not"
    BLIND = "holds a value equal to whatever it is compared with"
    SILENT = "passes when its expectations are perturbed, or has none that could be"
    UNCLEAR = "fails in another way when its expectations are perturbed"
    UNKNOWN = "was not run with perturbed expectations"


def read_twin(reading: Reading | None, test: str, secret: str) -> Twin:
    """Return how the twin of a test went in one execution."""
    standing = Standing.LOST if reading is None else reading.stand(test)
    outcome = None if reading is None else reading.outcome(test)
    if outcome is None or standing not in (Standing.PASSED, Standing.FAILED):
        return Twin.UNKNOWN
    if standing is Standing.PASSED:
        return Twin.SILENT
    if outcome.failure != "assertion" or outcome.call != "failed" or outcome.teardown != "passed":
        return Twin.UNCLEAR
    said = outcome.message.removeprefix("AssertionError: ")
    for word, twin in (("works", Twin.WORKS), ("word", Twin.WORD), ("blind", Twin.BLIND)):
        if said.startswith(f"{mark_of(secret)} {word}"):
            return twin
    return Twin.UNCLEAR


def loosened_fields(base: Reading | None, head: Reading | None, test: str) -> tuple[str, ...]:
    """Return the fields of objects that their equality told apart at the base in a test, and does not at the head."""
    return tuple(sorted(_fields(base, test, "tells") & _fields(head, test, "loose")))


def _fields(reading: Reading | None, test: str, title: str) -> set[str]:
    outcome = None if reading is None else reading.outcome(test)
    said = outcome.message.split("; ")[1:] if outcome is not None else []
    return {field for part in said if part.startswith(f"{title} ") for field in part.split(" ")[1:]}


def twin_of(book: Book, subject: Subject, test: str) -> Twin:
    """Return how the twin of a test went at the head."""
    return read_twin(book.first(subject, "twin"), test, book.facts.secret)


def blind_value(book: Book, subject: Subject, test: str) -> str:
    """Return the type of the value that did not tell others apart, or did by its own word, where the twin says so."""
    reading = book.first(subject, "twin")
    outcome = reading.outcome(test) if reading is not None else None
    said = re.search(r" (?:blind|word) ([^;]*)", outcome.message) if outcome is not None else None
    return said[1] if said is not None else ""


def perturbed_ids(book: Book, subject: Subject, most: int) -> tuple[str, ...]:
    """Return the ids of a subject whose twins have to fail: those that pass at the head.

    Of the base's own tests that passed before at most `most` are taken, from each file its share; which ones no author
    can choose.
    """
    head = book.first(subject, "head")
    if head is None:
        return ()
    if subject is Subject.REGRESSION:
        mended = mended_ids(book)
        kept = [i for i in needed_ids(book) if head.stand(i) is Standing.PASSED]
        return (*mended, *_sample(kept, most, book.facts.secret))
    ids = brought_ids(book) if subject is Subject.BROUGHT else head.ids
    return tuple(i for i in ids if head.stand(i) is Standing.PASSED)


def _sample(ids: list[str], most: int, secret: str) -> tuple[str, ...]:
    if len(ids) <= most:
        return tuple(ids)
    files: dict[str, list[str]] = {}
    for test in sorted(ids, key=lambda i: digest_of([secret, i])):
        files.setdefault(test.split("::", 1)[0], []).append(test)
    ranked = sorted((place / len(held), file, test) for file, held in files.items() for place, test in enumerate(held))
    return tuple(sorted(test for _, _, test in ranked[:most]))


def forged_ids(book: Book, subject: Subject) -> tuple[str, ...]:
    """Return the ids whose results do not depend on what they expect, and ought to.

    Those are the ids whose expectations told values apart at the base and do not with the change; and tests of the
    trusted side that hold an object of the program equal to a plain value and to whatever else stands in its place.
    """
    base, head, secret = book.first(subject, "twin-base"), book.first(subject, "twin"), book.facts.secret
    ids = head.evidence.expected if head is not None else ()
    return tuple(i for i in ids if _is_forged(book, subject, head, i) and _is_told_apart(subject, base, i, secret))


def _is_forged(book: Book, subject: Subject, reading: Reading | None, test: str) -> bool:
    twin = read_twin(reading, test, book.facts.secret)
    if subject is Subject.REGRESSION:
        return twin in (Twin.SILENT, Twin.BLIND)
    trusted = subject in (Subject.VISIBLE, Subject.HELD_OUT)
    value = blind_value(book, subject, test)
    return trusted and twin is Twin.BLIND and " of " in value and not value.endswith(_PERHAPS_MEANT)


def _is_told_apart(subject: Subject, base: Reading | None, test: str, secret: str) -> bool:
    return subject is not Subject.REGRESSION or read_twin(base, test, secret) is Twin.WORKS


def shown_forged(book: Book, subject: Subject, test: str) -> tuple[Reading, ...]:
    """Return the executions that show it again; empty unless each that tried does, in enough fresh sandboxes."""
    secret, enough = book.facts.secret, book.facts.replicates
    heads = [r for r in book.all(subject, "twin", alone=True) if test in r.evidence.expected]
    bases = [r for r in book.all(subject, "twin-base", alone=True) if test in r.evidence.expected]
    again = len(heads) >= enough and all(_is_forged(book, subject, r, test) for r in heads)
    kept = all(_is_told_apart(subject, r, test, secret) for r in bases)
    compared = subject is not Subject.REGRESSION or len(bases) >= enough
    return tuple(heads) if again and kept and compared else ()


async def run_twins(trials: Trials, most: int) -> None:
    """Execute the twins of what passes at the head, and those of the base's tests at the base; confirm what is odd."""
    book = trials.book
    wanted = {s: perturbed_ids(book, s, most) for s in TESTS}
    await together(
        *(_run(trials, s, "twin", ids) for s, ids in wanted.items() if ids),
        *([_run(trials, Subject.REGRESSION, "twin-base", None)] if wanted[Subject.REGRESSION] else []),
    )
    book = trials.book
    odd = {s: forged_ids(book, s)[:_MOST_SUSPECTS] for s in TESTS}
    numbers = range(1, trials.facts.replicates + 1)
    await together(
        *(_run(trials, s, "twin", ids, n) for s, ids in odd.items() if ids for n in numbers),
        *(
            _run(trials, Subject.REGRESSION, "twin-base", odd[Subject.REGRESSION], n)
            for n in numbers
            if odd[Subject.REGRESSION]
        ),
    )


async def _run(
    trials: Trials, subject: Subject, variant: Variant, ids: tuple[str, ...] | None, replicate: int = 0
) -> None:
    await trials.suite(
        subject,
        variant,
        tree=await variant_tree(trials, subject, trials.cell(subject, variant), perturbed=True),
        replicate=replicate,
        modules=() if ids is None else trials.layout.modules(subject, ids),
        select=ids,
        expected=ids or (),
        arguments=ARGUMENTS,
        alone=replicate > 0,
    )


async def variant_tree(trials: Trials, subject: Subject, cell: Cell, *, perturbed: bool) -> str:
    """Write the tree of a cell with positive variants of its tests, or with their negative twins, and return it."""
    secret = trials.facts.secret
    tree, fresh = await asyncio.to_thread(_lay_out, trials.layout, trials.git, subject, cell, secret, perturbed)
    return await trials.git.write_tree(tree, fresh)


def _lay_out(
    layout: Layout, git: GitStore, subject: Subject, cell: Cell, secret: str, perturbed: bool
) -> tuple[dict[str, TreeFile], dict[str, bytes]]:
    tree = dict(layout.tree(cell, subject))
    paths = [p for p, f in tree.items() if p.endswith(".py") and f.mode in (REGULAR, EXECUTABLE) and layout.is_test(p)]
    made = transform({p: git.contents.read(tree[p].oid) for p in paths}, secret)
    root = layout.project.source_roots[0] if layout.project.source_roots else "."
    helper = posixpath.normpath(posixpath.join(layout.project.root, root, f"{helper_name(secret)}.py"))
    laid = {**made.files, helper: helper_source(secret, made, perturbed=perturbed)}
    fresh = {blob_id(data): data for data in laid.values()}
    tree |= {path: TreeFile(REGULAR, blob_id(data)) for path, data in laid.items()}
    return tree, fresh


def twin_step(book: Book) -> Step | None:
    """Return S8 as it went; None where no twin was executed."""
    runs = [r for s in TESTS for v in ("twin", "twin-base") for r in book.all(s, v)]
    if not runs:
        return None
    reasons = list(_counts(book))
    odd = [i for s in TESTS for i in forged_ids(book, s)]
    if odd:
        reasons.append(f"{len(odd)} do not depend on what they expect, and ought to")
    evidence = tuple(dict.fromkeys(r.evidence.id for r in runs))
    return Step(
        id="S8",
        title="Controls (negative twins)",
        outcome="failed" if odd else "passed",
        reasons=tuple(reasons),
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _counts(book: Book) -> Iterator[str]:
    for subject in TESTS:
        head = book.first(subject, "twin")
        if head is None:
            continue
        ids = head.evidence.expected
        working = sum(1 for i in ids if twin_of(book, subject, i) in (Twin.WORKS, Twin.WORD))
        whole = len(needed_ids(book)) + len(mended_ids(book)) if subject is Subject.REGRESSION else len(ids)
        sampled = f", a sample of {whole}" if whole > len(ids) else ""
        yield f"{subject.value}: {working} of {len(ids)} ids{sampled} fail when their expectations are perturbed"
        if working < len(ids) and subject is not Subject.HELD_OUT:
            loose = [i for i in ids if twin_of(book, subject, i) not in (Twin.WORKS, Twin.WORD)]
            yield f"uncontrolled: {', '.join(loose[:5])}{' …' if len(loose) > 5 else ''}"
        said = [i for i in ids if twin_of(book, subject, i) is Twin.WORD]
        if said and subject is not Subject.HELD_OUT:
            yield f"{said[0]} {Twin.WORD.value} ({blind_value(book, subject, said[0])}); {len(said)} such"
