"""Levels: how far each green can be believed, and so the verdict that rests on it.

A: the judge stands outside of the process that is judged (S9). B: inside of it, with controls that worked (S8).
C: inside of it, without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from assay.evidence.expectations import Standing
from assay.evidence.facts import Book, Subject
from assay.evidence.grounds import Open, counting_ids
from assay.evidence.held_out import ids_of, subject_of
from assay.evidence.matrix import brought_ids, needed_ids
from assay.evidence.outside import Outside, outside_of, reason_of
from assay.evidence.twin_runs import Twin, blind_value, loosened_fields, read_twin, twin_of
from assay.records.claims import ClaimKind
from assay.records.verdicts import Level

_ORDER: Final[tuple[Level, ...]] = ("C", "B", "A")
_RANKS: Final = {Twin.WORKS: 2, Twin.WORD: 1}
"""What a twin shows; the others show nothing."""


def weakest(*levels: Level) -> Level:
    """Return the least of these levels."""
    return min(levels, key=_ORDER.index)


def level_of_requirement(book: Book, requirement: str) -> Level:
    """Return the level of a requirement that holds: that of the weakest test that states it."""
    return _requirement(book, requirement)[0]


def level_of_claim(book: Book) -> Level:
    """Return the level of a claim that is proven."""
    return weakest("A" if book.facts.level == "A" else "B", *(level for level, _ in _parts(book)))


def shortfalls(book: Book) -> Iterator[Open]:
    """Yield why a claim does not reach the level that is asked for."""
    asked = book.facts.level
    for level, why in _parts(book):
        if weakest(level, asked) != asked:
            yield Open(f"level {asked} was asked for and not reached: {why}", f"Is level {level} enough here? {why}.")


def _parts(book: Book) -> Iterator[tuple[Level, str]]:
    """Yield the level of each part of a proof, with what it lacks for the next one."""
    facts = book.facts
    if facts.project.runner != "pytest":
        yield "C", f"the results of the runner {facts.project.runner} are written by the processes that are judged"
    for requirement in facts.case.requirements:
        level, why = _requirement(book, requirement.id)
        yield level, f"requirement {requirement.id}: {why}"
    if facts.program_changed:  # else it is the base's own program that runs its tests
        yield _regression(book)
    match facts.case.claim.draft.kind:
        case ClaimKind.FIX | ClaimKind.FEATURE if not facts.case.requirements:
            counting = counting_ids(book)
            twins = [twin_of(book, s, i) for i in counting for s in (Subject.BROUGHT, Subject.REGRESSION)]
            if counting and not {Twin.WORKS, Twin.WORD} & set(twins):
                yield "C", "no test that fails without the change fails when its expectations are perturbed"
            else:
                own = set(brought_ids(book))
                yield _outside(book, [(Subject.BROUGHT if i in own else Subject.REGRESSION, i) for i in counting])
        case ClaimKind.TESTS:
            head = book.first(Subject.BROUGHT, "head")
            for test in brought_ids(book):
                if head is not None and head.stand(test) is Standing.PASSED:
                    twin = twin_of(book, Subject.BROUGHT, test)
                    works = twin in (Twin.WORKS, Twin.WORD)
                    yield _outside(book, [(Subject.BROUGHT, test)]) if works else ("C", f"{test} {twin.value}")
        case _:
            return


def _requirement(book: Book, requirement: str) -> tuple[Level, str]:
    stated = [s for s in book.facts.case.trusted.stated if s.requirement == requirement]
    ids = [(subject_of(s), i) for s in stated for i in ids_of(book, s)]
    if not ids:
        return "C", "no trusted test states it"
    for subject, test in ids:
        twin = twin_of(book, subject, test)
        if twin is not Twin.WORKS:
            value = f" ({blind_value(book, subject, test)})" if twin in (Twin.BLIND, Twin.WORD) else ""
            return "C", f"{_name(subject, test)} {twin.value}{value}"
    if not any(s.held_out for s in stated):
        return "B", "no held-out test states it"
    return _outside(book, ids)


def _outside(book: Book, ids: Iterable[tuple[Subject, str]]) -> tuple[Level, str]:
    """Return the level of tests whose twins work: A where each also holds with the judge outside (S9)."""
    for subject, test in ids:
        stand, reason = outside_of(book, subject, test), reason_of(book, subject, test)
        if stand is not Outside.HOLDS:
            told = f": {reason}" if reason and subject is not Subject.HELD_OUT else ""
            return "B", f"{_name(subject, test)} {stand.value}{told}"
    return "A", ""


def _name(subject: Subject, test: str) -> str:
    return "a held-out test" if subject is Subject.HELD_OUT else test


def _regression(book: Book) -> tuple[Level, str]:
    """Return the level at which nothing was broken: each id whose expectations tell values apart at the base does it
    with the change, too; ids without such expectations are named in S8 and carry nothing.
    """
    if not needed_ids(book):
        return "A", ""
    base, head = book.first(Subject.REGRESSION, "twin-base"), book.first(Subject.REGRESSION, "twin")
    if head is None or base is None or not (head.whole and base.whole):
        return "C", "the base's tests were not run with perturbed expectations"
    secret = book.facts.secret
    kept = set(needed_ids(book))
    ranks = {i: _RANKS.get(read_twin(base, i, secret), 0) for i in head.evidence.expected if i in kept}
    able = [i for i, rank in ranks.items() if rank]
    for test in able:
        twin = read_twin(head, test, secret)
        if _RANKS.get(twin, 0) < ranks[test]:
            value = blind_value(book, Subject.REGRESSION, test)
            return "C", f"{test} {twin.value}{f' ({value})' if value else ''}, and did not at the base"
        if fields := loosened_fields(base, head, test):
            return "C", f"{test} no longer sees {', '.join(fields)}: equality told other values apart at the base"
    if not able and _rests_on_regression(book):
        return "C", "no test of the base fails when its expectations are perturbed"
    return _outside(book, [(Subject.REGRESSION, i) for i in able])


def _rests_on_regression(book: Book) -> bool:
    """Return whether nothing but the base's own tests shows what is claimed."""
    kind = book.facts.case.claim.draft.kind
    return not book.facts.case.requirements and kind not in (ClaimKind.FIX, ClaimKind.FEATURE)
