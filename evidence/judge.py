"""The judge: a pure, total function from facts and evidence to a verdict.

It holds nothing back and adds nothing: a verdict is `refuted` where a failure reproduced, `proven` where nothing that
is needed is missing, skipped, vacuous, uncontrolled, repeated or lost, and `inconclusive`, with a question, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from assay.evidence.ablation import ablation_points
from assay.evidence.dependencies import causes_of_breaking, dependency_points, undeclared_dependencies
from assay.evidence.environment import canary_fault
from assay.evidence.facts import Book, Facts
from assay.evidence.grounds import Open, Refuted, contradictions, counting_ids, open_points, out_of_time, refutations
from assay.evidence.held_out import Weight, ids_of, weigh
from assay.evidence.jitter import jitter_points, jitter_refutations
from assay.evidence.levels import level_of_claim, level_of_requirement, shortfalls
from assay.evidence.matrix import needed_ids
from assay.evidence.probe_dressed import looking_functions
from assay.evidence.probe_findings import changed_behaviour
from assay.evidence.steps import executed_steps
from assay.evidence.strength import unproven_lines
from assay.records.evidence import Evidence
from assay.records.verdicts import RequirementVerdict, Verdict, VerdictStatus

_ADMISSION: Final = ("S0", "S1", "S2", "S3")


@dataclass(frozen=True, slots=True)
class _Grounds:
    """What speaks for a status; the deciding ones first."""

    status: VerdictStatus
    refuted: tuple[Refuted, ...] = ()
    open: tuple[Open, ...] = ()
    declined: str = ""


def judge(facts: Facts, evidence: Iterable[Evidence]) -> Verdict:
    """Return the verdict on a case.

    Args:
        facts: what the trees, the settings and the course of the proof say.
        evidence: what was executed; whatever belongs to no trial of the facts is not looked at.
    """
    book = Book(facts, evidence)
    grounds = _weigh_grounds(book)
    claim = facts.case.claim
    proven = grounds.status is VerdictStatus.PROVEN
    return Verdict(
        claim=claim.id,
        base=claim.base,
        head=claim.head,
        tree=facts.tree,
        status=grounds.status,
        level=level_of_claim(book) if proven else None,
        reasons=_reasons(book, grounds),
        question=grounds.open[0].question if grounds.status is VerdictStatus.INCONCLUSIVE else None,
        requirements=tuple(_judge_requirement(book, r.id, grounds) for r in facts.case.requirements),
        steps=(*facts.steps, *executed_steps(book)),
        witness=grounds.refuted[0].witness if grounds.refuted else None,
        unproven_lines=unproven_lines(book),
        flags=(*facts.flags, *changed_behaviour(book), *looking_functions(book)),
    )


def _weigh_grounds(book: Book) -> _Grounds:
    if (declined := book.facts.case.claim.draft.declined) is not None:
        return _Grounds(VerdictStatus.DECLINED, declined=declined)
    if not_admitted := _admission(book.facts):
        return _Grounds(VerdictStatus.INCONCLUSIVE, open=not_admitted)
    if contradicted := (*contradictions(book), *undeclared_dependencies(book)):
        return _Grounds(VerdictStatus.REFUTED, refuted=contradicted)
    if fault := canary_fault(book):
        question = "What is wrong with the sandbox image or the machine? Nothing is said about the change."
        return _Grounds(VerdictStatus.INCONCLUSIVE, open=(*out_of_time(book), Open(fault, question)))
    missing = (*open_points(book), *dependency_points(book), *jitter_points(book), *ablation_points(book))
    if refuted := (*refutations(book), *jitter_refutations(book)):
        return _Grounds(VerdictStatus.REFUTED, refuted=refuted, open=missing)
    missing = missing or tuple(shortfalls(book))
    return _Grounds(VerdictStatus.INCONCLUSIVE if missing else VerdictStatus.PROVEN, open=missing)


def is_admitted(facts: Facts) -> bool:
    """Return whether anything is to be executed: not for what was declined, nor where S0 to S3 stand in the way."""
    return facts.case.claim.draft.declined is None and not _admission(facts)


def _admission(facts: Facts) -> tuple[Open, ...]:
    """Return why nothing was executed: a step before the first sandbox that is missing or did not pass."""
    found: list[Open] = []
    for number in _ADMISSION:
        steps = [s for s in facts.steps if s.id == number]
        if len(steps) != 1:
            found.append(Open(f"{number} was not done", "Run the proof again."))
        elif steps[0].outcome not in ("passed", "flagged"):
            reasons = steps[0].reasons or (f"{number} did not pass",)
            found += [Open(reason, f"Is this meant: {reason}? If not, mend it and claim again.") for reason in reasons]
    return tuple(found)


def _reasons(book: Book, grounds: _Grounds) -> tuple[str, ...]:
    match grounds.status:
        case VerdictStatus.PROVEN:
            return tuple(_proven_reasons(book))
        case VerdictStatus.REFUTED:
            return tuple(dict.fromkeys([*(r.reason for r in grounds.refuted), *causes_of_breaking(book)]))
        case VerdictStatus.INCONCLUSIVE:
            return tuple(dict.fromkeys(o.reason for o in grounds.open))
        case VerdictStatus.DECLINED:
            return (f"the author says that it could not be done: {grounds.declined}",)


def _judge_requirement(book: Book, requirement: str, grounds: _Grounds) -> RequirementVerdict:
    stated = [s for s in book.facts.case.trusted.stated if s.requirement == requirement]
    weights = {s.id: weigh(book, s) for s in stated}
    hidden = sum(1 for s in stated if s.held_out)
    visible = tuple(i for s in stated if not s.held_out for i in ids_of(book, s))
    sound = not book.missing and not canary_fault(book)
    status = VerdictStatus.INCONCLUSIVE
    if grounds.status is VerdictStatus.DECLINED:
        status = VerdictStatus.DECLINED
    elif any(r.witness.requirement == requirement for r in grounds.refuted):
        status = VerdictStatus.REFUTED
    elif sound and weights and all(w is Weight.PROVES for w in weights.values()) and not _admission(book.facts):
        status = VerdictStatus.PROVEN
    reasons = [f"{hidden} of its tests are held out"] if hidden else []
    reasons += [f"{s.id} {weights[s.id].value}" for s in stated if not s.held_out]
    return RequirementVerdict(
        requirement=requirement,
        status=status,
        level=level_of_requirement(book, requirement) if status is VerdictStatus.PROVEN else None,
        tests=visible,
        reasons=tuple(reasons),
    )


def _proven_reasons(book: Book) -> Iterator[str]:
    facts = book.facts
    proven = [r.id for r in facts.case.requirements]
    if proven:
        yield f"{', '.join(proven)}: each trusted test fails without the work and passes with it"
    kept = len(needed_ids(book))
    passing = "1 test that passed at the base passes" if kept == 1 else f"{kept} tests that passed at the base pass"
    yield f"{passing} with the change" if kept else "the base has no tests that pass"
    if not facts.program_changed:
        yield "the program is the same"
    if not proven and (counting := counting_ids(book)):
        one, many = (
            "1 test fails without the change and passes with it",
            "tests fail without the change and pass with it",
        )
        yield one if len(counting) == 1 else f"{len(counting)} {many}"
    if spared := [left.what for left in facts.left_out if not left.needed]:
        yield f"left out, because the time for the proof was over: {'; '.join(spared)}"
