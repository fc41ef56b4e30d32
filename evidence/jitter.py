"""S12: what was shown must hold in other surroundings: order, hash seed, time zone, locale, home, machine, path, date.

Defeats work that holds only where its author tried it, tests that pass by luck, and code that knows its tests by their
text: what is run are their positive variants (S8), with other names and other bytes. A failure is held against the
change only if it comes again under the same surroundings while the base passes under them; what fails on both sides is
known to depend on them, and is not blamed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, Literal

from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.grounds import Open, Refuted, counting_ids, refuted_elsewhere
from assay.evidence.matrix import WHOLE, brought_ids, in_tree, needed_ids
from assay.evidence.refutation import TESTS
from assay.evidence.together import in_turn, together
from assay.evidence.trials import Trials
from assay.evidence.twin_runs import variant_tree
from assay.records.base import digest_of
from assay.records.claims import ClaimKind
from assay.records.evidence import Surroundings
from assay.records.verdicts import Step

_ZONES: Final = ("<+14>-14", "<-11>11", "<+0545>-5:45", "NST3:30NDT,M3.2.0,M11.1.0")
"""As POSIX writes them, so that they need no time-zone files in the image: the ends of the day, and odd minutes."""
_LOCALES: Final = ("C", "POSIX", "C.UTF-8")
_SHARES: Final = (0.5, 1.0, 0.75)
_PRELOADED: Final = "/usr/$LIB/faketime/libfaketime.so.1"
_FEWEST_BASES: Final = 3
"""Runs of the base before it is said that something is unreliable only with the change."""
_MOST_NAMED: Final = 5


class Fate(StrEnum):
    """What becomes of an id that failed in other surroundings."""

    BROKEN = "fails each time, and passes at the base each time"
    KNOWN = "fails at the base, too"
    FLAKY = "fails now and then, and passes at the base each time"
    UNTOLD = "fails there, and the base cannot tell whether the test or the change depends on them"
    UNKNOWN = "failed there, and was not run again often enough to tell why"


def surroundings_of(claim: str, number: int, count: int, packages: tuple[str, ...]) -> Surroundings:
    """Return the surroundings of one replicate. They follow from the claim and the number, and from no clock.

    Args:
        claim: what tells the claim and its trees from others.
        number: of the replicate.
        count: of replicates. The date is another in the last one alone: libfaketime makes some calls fail.
        packages: what the image has, `name version`.
    """
    seed = digest_of([claim, number]).removeprefix("sha256:")
    drawn = [int(seed[n : n + 8], 16) for n in range(0, 64, 8)]
    start = int(digest_of([claim]).removeprefix("sha256:")[:8], 16)
    locale = _LOCALES[number % len(_LOCALES)]
    variables = {
        "PYTHONHASHSEED": str(drawn[0] % 4_294_967_295 + 1),
        "TZ": _ZONES[(number + start) % len(_ZONES)],
        "LANG": locale,
        "LC_ALL": locale,
        "HOME": f"/tmp/home-{seed[:6]}",  # noqa: S108 - a path inside the sandbox
    }
    if number == count - 1 and any(p.partition(" ")[0] == "libfaketime" for p in packages):
        date = f"+{40 + drawn[1] % 800}d"
        variables |= {"LD_PRELOAD": _PRELOADED, "FAKETIME": date, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return Surroundings(
        order=seed[:16],
        variables=variables,
        host=f"host-{seed[:7]}",
        folder="/".join([f"deeper-{seed[:12]}"] * (number % 3 + 1)),
        processes=20 + drawn[2] % 300,
        share=_SHARES[number % len(_SHARES)],
    )


async def run_jitter(trials: Trials, count: int, deadline: float | None = None) -> None:
    """Execute what passed at the head in other surroundings, and what fails there again, at both sides.

    Args:
        trials: where it is executed.
        count: of surroundings.
        deadline: seconds on the monotonic clock after which nothing more is begun.
    """
    trials.note(jittered=count)
    book = trials.book
    wanted = [{s: ids for s in TESTS if (ids := ids_in(book, s, number))} for number in range(count)]
    rounds = (_round(trials, number, asked, deadline) for number, asked in enumerate(wanted))
    await (together if deadline is None else in_turn)(*rounds)
    replicates = trials.facts.replicates
    for subject, part in [(s, part) for s in TESTS for part in _telling_parts(trials.book, s)]:
        if _is_late(deadline):
            return
        number = int(part)
        ids = wanted[number][subject]
        heads = [_run(trials, subject, "jittered", number, n, ids) for n in range(1, replicates + 1)]
        bases = range(max(_FEWEST_BASES, replicates)) if _any_told(trials.book, subject, part) else ()
        await together(*heads, *(_run(trials, subject, "jittered-base", number, n, ids) for n in bases))


async def _round(
    trials: Trials, number: int, wanted: Mapping[Subject, tuple[str, ...]], deadline: float | None
) -> None:
    if not _is_late(deadline):
        await together(*(_run(trials, s, "jittered", number, 0, ids) for s, ids in wanted.items()))


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


async def _run(
    trials: Trials, subject: Subject, variant: Variant, number: int, replicate: int, ids: tuple[str, ...]
) -> None:
    claim = trials.facts.case.claim
    name = digest_of([claim.base, claim.head, claim.id])
    await trials.suite(
        subject,
        variant,
        tree=await variant_tree(trials, subject, trials.cell(subject, variant), perturbed=False),
        part=str(number),
        replicate=replicate,
        modules=trials.layout.modules(subject, ids),
        select=ids,
        expected=ids,
        surroundings=surroundings_of(name, number, trials.facts.jittered, trials.packages),
    )


def resting_ids(book: Book, subject: Subject) -> tuple[str, ...]:
    """Return the ids of a subject on which a proof rests: those that pass at the head as they must."""
    head = book.first(subject, "head")
    if head is None:
        return ()
    match subject:
        case Subject.REGRESSION:
            ids = needed_ids(book)
        case Subject.BROUGHT:
            ids = brought_ids(book)
        case _:
            ids = head.ids
    return tuple(i for i in ids if head.stand(i) is Standing.PASSED)


def reached_ids(book: Book) -> tuple[str, ...]:
    """Return the ids of the base's suite that the change may reach, and on which a proof rests."""
    untouched = book.facts.untouched
    return tuple(
        i for i in resting_ids(book, Subject.REGRESSION) if in_tree(book.facts, i.split("::", 1)[0]) not in untouched
    )


def ids_in(book: Book, subject: Subject, number: int) -> tuple[str, ...]:
    """Return the ids of a subject that are executed in the surroundings of a number.

    In the first ones everything is, whatever the change may reach; in the others, of the base's own suite, what it may
    reach by name: that, and all of the tests that show what the change does, fails by chance if anything does.
    """
    ids = resting_ids(book, subject)
    if number == 0 or subject is not Subject.REGRESSION:
        return ids
    reached = reached_ids(book)
    return reached if reached or any(resting_ids(book, s) for s in TESTS if s is not subject) else ids


def fates(book: Book, subject: Subject) -> dict[str, tuple[Fate, str]]:
    """Return what becomes of each id that failed in other surroundings, with the part that says most of it."""
    found: dict[str, tuple[Fate, str]] = {}
    for part in book.parts(subject, "jittered"):
        for test in _failing(book, subject, part):
            fate = _fate(book, subject, part, test)
            if test not in found or list(Fate).index(fate) < list(Fate).index(found[test][0]):
                found[test] = (fate, part)
    return found


def _failing(book: Book, subject: Subject, part: str) -> tuple[str, ...]:
    runs = book.all(subject, "jittered", part=part)[:1]
    return tuple(t for r in runs for t in (r.evidence.expected if r.whole else (WHOLE,)) if _shows(r, t))


def _shows(reading: Reading, test: str) -> bool:
    if test == WHOLE:
        return not reading.whole and reading.evidence.ending is not None
    return reading.stand(test) not in (Standing.PASSED, Standing.LOST)


def _fate(book: Book, subject: Subject, part: str, test: str) -> Fate:
    heads = book.all(subject, "jittered", part=part)
    everywhere = [r for p in book.parts(subject, "jittered-base") for r in book.all(subject, "jittered-base", part=p)]
    bases = [r for r in book.all(subject, "jittered-base", part=part) if r.evidence.ending is not None]
    enough = book.facts.replicates
    each_time = all(_shows(r, test) for r in heads)
    if len(heads) <= enough or any(r.evidence.ending is None for r in heads):
        return Fate.UNKNOWN
    if not _is_told(book, subject, test):
        return Fate.UNTOLD if each_time else Fate.FLAKY
    if any(_shows(r, test) for r in everywhere):
        return Fate.KNOWN
    if len(bases) < max(_FEWEST_BASES, enough):
        return Fate.UNKNOWN
    return Fate.BROKEN if each_time else Fate.FLAKY


def _is_told(book: Book, subject: Subject, test: str) -> bool:
    """Return whether the base can say how a test stands without the change: it passes there in usual surroundings."""
    base = book.first(subject, "base")
    if test == WHOLE:
        return subject is Subject.REGRESSION
    return subject is Subject.REGRESSION or (base is not None and base.stand(test) is Standing.PASSED)


def _any_told(book: Book, subject: Subject, part: str) -> bool:
    return any(_is_told(book, subject, t) for t in _failing(book, subject, part))


def _telling_parts(book: Book, subject: Subject) -> tuple[str, ...]:
    """Return the surroundings that are looked at again: as many as it takes to have each failing id in one."""
    seen: set[str] = set()
    chosen: list[str] = []
    for part in book.parts(subject, "jittered"):
        failing = set(_failing(book, subject, part))
        if failing - seen:
            chosen.append(part)
            seen |= failing
    return tuple(chosen)


def jitter_refutations(book: Book) -> Iterator[Refuted]:
    """Yield what fails under some surroundings each time, while the base passes under the same each time."""
    for subject in TESTS:
        for test, (fate, part) in fates(book, subject).items():
            if fate is Fate.BROKEN:
                heads = book.all(subject, "jittered", part=part)
                where = describe(heads[0].evidence.surroundings)
                yield refuted_elsewhere(book, subject, test, heads, where)


def jitter_points(book: Book) -> Iterator[Open]:
    """Yield what holds only now and then, or only in some surroundings."""
    for subject in TESTS:
        found = fates(book, subject)
        for test, (fate, part) in found.items():
            if fate in (Fate.FLAKY, Fate.UNTOLD, Fate.UNKNOWN) and _matters(book, subject, test, frozenset(found)):
                reading = book.all(subject, "jittered", part=part)[0]
                name = "a held-out test" if subject is Subject.HELD_OUT else test or "the suite as a whole"
                yield Open(
                    f"{name} {fate.value} ({describe(reading.evidence.surroundings)})",
                    f"Is {name} unreliable, or is the change? It was run under the same surroundings at both sides.",
                )


def _matters(book: Book, subject: Subject, test: str, failing: frozenset[str]) -> bool:
    """Return whether the proof rests on a test. One that the change brings may depend on its surroundings as long as
    another shows what the change does.
    """
    if subject is not Subject.BROUGHT or _is_told(book, subject, test):
        return True
    if book.facts.case.claim.draft.kind is ClaimKind.TESTS:
        return True
    counting = set(counting_ids(book))
    return not book.facts.case.requirements and test in counting and counting <= failing


def _done(book: Book) -> int:
    return len({part for s in TESTS for part in book.parts(s, "jittered")})


def jitter_step(book: Book) -> Step | None:
    """Return S12 as it went; None where it was not asked for."""
    asked, done = book.facts.jittered, _done(book)
    if not asked or not any(resting_ids(book, s) for s in TESTS):
        return None
    found = [(s, t, f) for s in TESTS for t, (f, _) in fates(book, s).items()]
    ids, further = (sum(len(ids_in(book, s, number)) for s in TESTS) for number in (0, 1))
    reasons = [f"{ids} ids in {done} of {asked} other surroundings; {len({t for _, t, _ in found})} of them failed"]
    if done > 1 and further < ids:
        reasons.append(f"in all of them {further} that show the change or that it may reach; the others in the first")
    if done and not found:
        bound = 100 * (1 - 0.05 ** (1 / done))
        reasons.append(
            f"green {done} of {done}: what fails by chance in more than {bound:.0f}% of such runs would have shown "
            "(95% confidence)"
        )
    if done < asked:
        reasons.append(f"left out for want of time: {asked - done} surroundings")
    for fate in Fate:
        names = [
            "a held-out test" if s is Subject.HELD_OUT else t or "the whole suite" for s, t, f in found if f is fate
        ]
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            reasons.append(f"{', '.join(dict.fromkeys(names[:_MOST_NAMED]))}{more}: {fate.value}")
    reasons.append(_uncovered(book))
    evidence = book.evidence_at("jittered", "jittered-base")
    return Step(
        id="S12",
        title="Jittered replicates",
        outcome=_outcome(book, {f for _, _, f in found}, done),
        reasons=tuple(reasons),
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _outcome(book: Book, found: set[Fate], done: int) -> Literal["passed", "failed", "flagged", "inconclusive"]:
    if Fate.BROKEN in found:
        return "failed"
    if any(True for _ in jitter_points(book)):
        return "inconclusive"
    return "flagged" if found or done < book.facts.jittered else "passed"


def _uncovered(book: Book) -> str:
    runs = (r for s in TESTS for p in book.parts(s, "jittered") for r in book.all(s, "jittered", part=p))
    dated = any(r.evidence.surroundings and "FAKETIME" in r.evidence.surroundings.variables for r in runs)
    if dated:
        return "the date was another in one of them; programs that are linked statically do not see it"
    return "not jittered: the date, for the image has no libfaketime, or none of the surroundings came to it"


def describe(surroundings: Surroundings | None) -> str:
    """Return surroundings in a few words, for a person."""
    if surroundings is None:
        return "the usual surroundings"
    told = surroundings.variables
    date = f", date {told['FAKETIME']}" if "FAKETIME" in told else ""
    return (
        f"order {surroundings.order}, hash seed {told['PYTHONHASHSEED']}, TZ {told['TZ']}, locale {told['LC_ALL']}, "
        f"home {told['HOME']}, host {surroundings.host}{date}"
    )
