"""The grounds of a verdict: what refutes a claim, and what stands in the way of its proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from assay.evidence.expectations import Reading, Standing, describe_ending
from assay.evidence.facts import Book, Subject
from assay.evidence.held_out import Weight, controlled, requirement_of, weigh
from assay.evidence.matrix import (
    WHOLE,
    AtBase,
    baseline_trouble,
    broken_ids,
    brought_ids,
    declared_ids,
    fail_at_base,
    is_named,
    mended_ids,
    needed_ids,
)
from assay.evidence.meters import meter_step, ratio
from assay.evidence.probe_dressed import calls_that_look
from assay.evidence.probe_findings import contradicting_calls
from assay.evidence.refutation import (
    TESTS,
    altered_ids,
    confirmations,
    failing_checks,
    suspects,
    waiting_for_dependency,
)
from assay.evidence.twin_runs import blind_value, forged_ids, shown_forged
from assay.evidence.witness import bear_difference, bear_witness
from assay.records.claims import ClaimKind
from assay.records.plans import Requirement
from assay.records.verdicts import Witness


@dataclass(frozen=True, slots=True)
class Refuted:
    """A failure that reproduced, or a contradiction between the claim and its trees."""

    reason: str
    witness: Witness


@dataclass(frozen=True, slots=True)
class Open:
    """Something without which the claim is not proven."""

    reason: str
    question: str


def contradictions(book: Book) -> Iterator[Refuted]:
    """Yield where the trees alone show that the change is not what it is said to be."""
    facts = book.facts
    kind = facts.case.claim.draft.kind
    if kind not in (ClaimKind.DOCS, ClaimKind.TESTS) or not facts.program_changed:
        return
    path = facts.program_changed[0]
    witness = bear_difference(
        facts.case.claim,
        facts.tree,
        path,
        expected=f"a change of kind {kind.value} leaves the program as it is",
        got=f"{path} holds other code",
    )
    yield Refuted(f"the claim is of kind {kind.value}, and the change alters the program: {path}", witness)


def refutations(book: Book) -> Iterator[Refuted]:
    """Yield each failure that reproduced in fresh sandboxes, the base behaving as it should."""
    for subject in TESTS:
        for test in suspects(book, subject):
            if shown := confirmations(book, subject, test):
                yield _refuted_by_test(book, subject, test, shown)
    for test in altered_ids(book):
        if shown := confirmations(book, Subject.BROUGHT, test, "base"):
            yield Refuted(
                f"a refactoring keeps behaviour, and {test}, which it brings, fails without it",
                bear_witness(
                    shown[0].evidence,
                    book.facts.project,
                    test=test,
                    expected="the test passes at the base as it does at the head",
                    got=shown[0].got(test),
                    reproduced=len(shown),
                ),
            )
    for subject in TESTS:
        for test in forged_ids(book, subject):
            if shown := shown_forged(book, subject, test):
                yield _refuted_by_twin(book, subject, test, shown)
    yield from _refuted_by_clock(book)
    for check, runs in failing_checks(book).items():
        got = _check_got(runs[0])
        base = book.all(Subject.CHECK, "base", check=check)
        beside = f" (at the base: {_check_got(base[0])})" if base else ""
        failing = (i for i in runs[0].evidence.expected if "::" in i and runs[0].stand(i) is not Standing.PASSED)
        witness = bear_witness(
            runs[0].evidence,
            book.facts.project,
            test=next(failing, None),
            expected=f"the author's check {check!r} holds",
            got=got + beside,
            reproduced=len(runs),
        )
        yield Refuted(f"the author's own check {check!r} does not hold at the head: {got}", witness)
    for reason, shown_by in (*contradicting_calls(book), *calls_that_look(book)):
        yield Refuted(reason, shown_by)


def _refuted_by_test(book: Book, subject: Subject, test: str, shown: tuple[Reading, ...]) -> Refuted:
    reading, got = shown[0], shown[0].got(test)
    requirement = requirement_of(book, subject, test)
    hidden = subject is Subject.HELD_OUT
    match subject:
        case Subject.REGRESSION:
            reason = f"{test} passes at the base and does not pass with the change"
        case Subject.VISIBLE if requirement is None:
            reason = f"{test}, of the trusted side, passes at the base and does not pass with the change"
        case Subject.VISIBLE:
            reason = f"requirement {requirement} does not hold: {test} does not pass"
        case Subject.HELD_OUT if requirement is None:
            reason = "a held-out test passes at the base and does not pass with the change"
        case Subject.HELD_OUT:
            reason = f"requirement {requirement} does not hold: a held-out test does not pass"
        case Subject.BROUGHT if test == WHOLE:
            reason = "the change's own test suite cannot be run to its end"
        case Subject.BROUGHT:
            reason = f"{test} is part of the change's own suite and does not pass there"
        case Subject.CANARY | Subject.CHECK | Subject.SPEED | Subject.PROBE:
            reason = f"{test} does not pass"
        case never:
            assert_never(never)
    witness = bear_witness(
        reading.evidence,
        book.facts.project,
        test=test if reading.evidence.expected == () or test in reading.evidence.expected else None,
        requirement=requirement,
        held_out=hidden,
        expected="set-up, call and tear-down pass",
        got=got,
        reproduced=len(shown),
    )
    return Refuted(reason, witness)


def refuted_elsewhere(book: Book, subject: Subject, test: str, shown: tuple[Reading, ...], where: str) -> Refuted:
    """Return the refutation by a test that fails in other surroundings each time, while the base passes in them."""
    hidden = subject is Subject.HELD_OUT
    name = "a held-out test" if hidden else test or "the suite"
    witness = bear_witness(
        shown[0].evidence,
        book.facts.project,
        test=test or None,
        requirement=requirement_of(book, subject, test),
        held_out=hidden,
        expected=f"set-up, call and tear-down pass in these surroundings as they do at the base: {where}",
        got=shown[0].got(test),
        reproduced=len(shown),
    )
    return Refuted(
        f"{name} does not pass with the change in other surroundings, and does at the base: {where}", witness
    )


def _refuted_by_twin(book: Book, subject: Subject, test: str, shown: tuple[Reading, ...]) -> Refuted:
    value = blind_value(book, subject, test)
    got = f"{value} is equal to whatever it is compared with" if value else "it passes"
    hidden = subject is Subject.HELD_OUT
    name = "a held-out test" if hidden else test
    return Refuted(
        f"with the change {name} no longer depends on what it expects: with perturbed expectations {got}",
        bear_witness(
            shown[0].evidence,
            book.facts.project,
            test=test,
            requirement=requirement_of(book, subject, test),
            held_out=hidden,
            expected="the test fails when its expectations are perturbed, as it does at the base",
            got=got,
            reproduced=len(shown),
        ),
    )


def _refuted_by_clock(book: Book) -> Iterator[Refuted]:
    speed, found = book.facts.case.claim.draft.speed, ratio(book)
    if speed is None or found is None or not found.low > speed.at_most:
        return
    witness = bear_witness(
        book.all(Subject.SPEED, "head")[0].evidence,
        book.facts.project,
        test=None,
        expected=f"at most {speed.at_most:g} of the base's processor time",
        got=str(found),
        reproduced=found.pairs,
    )
    yield Refuted(f"it is not as fast as claimed: the head takes {found} of the base's processor time", witness)


def _check_got(reading: Reading) -> str:
    told = [o.message for o in reading.evidence.outcomes if not o.passed and o.message]
    return told[0] if told else describe_ending(reading.evidence)


def out_of_time(book: Book) -> Iterator[Open]:
    """Yield what the proof needs and had no time for."""
    if missing := [left.what for left in book.facts.left_out if left.needed]:
        yield Open(
            f"the time for the proof was over before this was executed to its end: {'; '.join(missing)}",
            "May the proof take longer? Give more seconds (--seconds, or budget_seconds under [proof]).",
        )


def open_points(book: Book) -> Iterator[Open]:
    """Yield everything that is needed for the proof and is not there."""
    yield from out_of_time(book)
    yield from _execution(book)
    yield from _regression(book)
    yield from _requirements(book)
    yield from _brought(book)
    yield from _kind(book)


def _execution(book: Book) -> Iterator[Open]:
    for missing in book.missing:
        yield Open(f"the evidence {missing} is not there", "Where has that evidence gone? Run the proof again.")
    for trial in book.lost:
        yield Open(
            f"a sandbox was lost while it ran the {trial.subject.value} ({trial.variant})",
            "Is the Docker engine healthy? Run the proof again when it is.",
        )


def _regression(book: Book) -> Iterator[Open]:
    if trouble := baseline_trouble(book):
        yield Open(trouble, "How are the tests of this repository run, and what does its image need for that?")
        return
    head = book.first(Subject.REGRESSION, "head")
    if head is None:
        yield Open("the base's tests were not run with the change", "Run the proof again.")
        return
    if not head.whole and not suspects(book, Subject.REGRESSION):
        yield Open(
            f"the base's tests could not be run with the change: {head.got(WHOLE)}",
            "The base's suite runs without the change, and no test passes in it. What shows that nothing broke?",
        )
    declared = declared_ids(book.facts)
    changed = [i for i in broken_ids(book) if is_named(i, declared)]
    why = {c.test: c.why for c in book.facts.case.claim.draft.changed_expectations}
    for test in changed:
        said = why.get(test) or why.get(test.split("[", 1)[0], "")
        yield Open(
            f"the change alters what {test} expects, as it says",
            f"May the expectation of {test} change? The author says: {said!r}.",
        )
    for subject in TESTS:
        for test in suspects(book, subject):
            if not confirmations(book, subject, test):
                yield _unconfirmed(subject, test)
    if waiting := waiting_for_dependency(book):
        names = ", ".join(book.facts.case.claim.draft.new_dependencies or ())
        yield Open(
            f"{len(waiting)} tests need a module that the sandbox image does not have; new dependencies: {names}",
            f"May {names} be added to the sandbox image?",
        )


def _unconfirmed(subject: Subject, test: str) -> Open:
    name = "a held-out test" if subject is Subject.HELD_OUT else test or "the change's own test suite"
    return Open(
        f"{name} did not pass with the change, and not each time when it was run again",
        f"Is {name} unreliable, or is the change? It passed at the base whenever it was asked to.",
    )


def _requirements(book: Book) -> Iterator[Open]:
    for requirement in book.facts.case.requirements:
        yield from _one_requirement(book, requirement)


def _one_requirement(book: Book, requirement: Requirement) -> Iterator[Open]:
    stated = [s for s in book.facts.case.trusted.stated if s.requirement == requirement.id]
    if not stated:
        yield Open(
            f"no trusted test states requirement {requirement.id}",
            f"What would show that {requirement.id} holds: {requirement.text!r}?",
        )
    for test in stated:
        weight = weigh(book, test)
        if weight is not Weight.PROVES:
            name = "a held-out test" if test.held_out else test.id
            yield Open(
                f"requirement {requirement.id} is not shown: {name} {weight.value}",
                f"Does {name} state {requirement.id}, {requirement.text!r}, so that it fails where that does not hold?",
            )


def _brought(book: Book) -> Iterator[Open]:
    if not book.facts.judge_side_changed:
        return
    head = book.first(Subject.BROUGHT, "head")
    if head is None:
        yield Open("the change's own tests were not run", "Run the proof again.")
    elif not head.whole:
        yield Open(
            f"the change's own test suite could not be run: {head.got(WHOLE)}",
            "What does the sandbox image need for the tests as they are now?",
        )
    for test in altered_ids(book):
        if not confirmations(book, Subject.BROUGHT, test, "base"):
            yield Open(
                f"{test} is brought by a refactoring and did not pass at the base",
                f"Does the change alter what {test} shows?",
            )


def _kind(book: Book) -> Iterator[Open]:
    """What the kind of the claim asks for beyond requirements; matched in full."""
    facts = book.facts
    match facts.case.claim.draft.kind:
        case ClaimKind.FIX | ClaimKind.FEATURE:
            if not facts.case.requirements and not counting_ids(book):
                yield Open(
                    "no test passes with the change and fails without it for a reason that counts",
                    "Which test shows what the change does? Give one with --tests, or add it to the change.",
                )
        case ClaimKind.REFACTOR:
            if facts.program_changed and not needed_ids(book):
                yield Open(
                    "the base has no tests that pass, so nothing shows that behaviour stayed as it was",
                    "Which tests show what this code does today?",
                )
        case ClaimKind.TESTS:
            yield from _only_tests(book)
        case ClaimKind.DOCS | ClaimKind.DEPENDENCY:  # what S14 asks for, `dependency_points` says
            return
        case ClaimKind.PERFORMANCE:
            yield from _speed(book)
        case never:
            assert_never(never)


def _speed(book: Book) -> Iterator[Open]:
    speed, found = book.facts.case.claim.draft.speed, ratio(book)
    step = meter_step(book)
    if speed is None or found is None:
        why = step.reasons[0] if step is not None else ""
        yield Open(
            f"speed was not measured: {why}", "Which workload of the base shows the speed, and how much is claimed?"
        )
    elif not found.high <= speed.at_most:
        yield Open(
            f"the head takes {found} of the base's processor time, and at most {speed.at_most:g} was claimed",
            "Is that fast enough? The interval does not clear the bound.",
        )


def _only_tests(book: Book) -> Iterator[Open]:
    head = book.first(Subject.BROUGHT, "head")
    passing = [i for i in brought_ids(book) if head is not None and head.stand(i) is Standing.PASSED]
    if not passing:
        yield Open("the change brings no test that passes", "Which tests does it bring?")
    for test in passing:
        if not controlled(book, Subject.BROUGHT, test):
            yield Open(
                f"{test} passes, or cannot be run, where the program does nothing",
                f"What would make {test} fail?",
            )


def counting_ids(book: Book) -> tuple[str, ...]:
    """Return the tests that pass with the change and fail without it for a reason that counts."""
    head, base = book.first(Subject.BROUGHT, "head"), book.first(Subject.BROUGHT, "base")
    found = list(mended_ids(book))
    if head is not None:
        for test in brought_ids(book):
            at_base = fail_at_base(base, test, book.facts.test_files)
            shown = at_base is AtBase.COUNTS or (at_base is AtBase.ABSENT and controlled(book, Subject.BROUGHT, test))
            if head.stand(test) is Standing.PASSED and shown:
                found.append(test)
    return tuple(found)
