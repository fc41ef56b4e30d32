"""One unit's state: what every node of its way needs to read it, to move it, and to ask a person about it.

Each node goes from a commit to a commit and may run again from its start: roles go on from their
journals, and what the proof recorded is found again by its key.
"""

from __future__ import annotations

from typing import Any

from assay.agents import briefs
from assay.evidence.protocol import TrustedTests
from assay.graph import questions
from assay.graph.checkpoints import ask as ask_person
from assay.graph.services import Services
from assay.graph.state import UnitRun, UnitState
from assay.records.claims import Claim
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.plans import Plan, Unit
from assay.records.results import Specification
from assay.records.runs import UnitStatus
from assay.records.verdicts import Verdict

Update = dict[str, Any]

_MORE_TESTS = (
    "Your tests hold, and lines of the change could be otherwise without any of them failing. Where the specification "
    "says what must be there, state that, too, beside what you stated before. Where it does not, leave the line alone."
)


def moved(state: UnitRun, **changes: Any) -> Update:
    """Return the update that changes this unit's state."""
    return {"unit": state.unit.model_copy(update=changes)}


async def plan_and_unit(services: Services, state: UnitRun) -> tuple[Plan, Unit]:
    """Return the plan and the unit that this task is about."""
    plan = await services.load(state.plan, Plan)
    return plan, plan.unit(state.unit.id)


async def trusted_tests(services: Services, unit: UnitState) -> TrustedTests:
    """Return the tests that the tester stated for a unit."""
    if unit.specification is None:
        return TrustedTests()
    specification = await services.load(unit.specification, Specification)
    return TrustedTests(visible=unit.visible, held_out=unit.held_out, stated=specification.tests)


async def asked(services: Services, state: UnitRun, question: Question, *, then: str) -> Update:
    """Open a question; `then` is the node that goes on when the answer leaves it to the asker."""
    return moved(state, question=await services.keep(question), then=then)


async def attempts_used(services: Services, run: str, unit: str, role: str, attempt: int) -> str | None:
    """Say that a role has no tries left, or return None. Each try that a person granted is one more.

    Args:
        services: what the nodes work with.
        run: the run.
        unit: id of the unit; `run` for a role that works on the whole.
        role: the role.
        attempt: number of the try that is about to start.
    """
    allowed = services.settings.role(role).budget.attempts
    if allowed is None:
        return None
    granted = sum(
        1
        for question, decision in (await services.decisions(run)).items()
        if question.startswith(f"budget:{unit}.{role}.") and decision.type is not DecisionType.REJECT
    )
    if attempt <= allowed + granted:
        return None
    return f"the {role} had its {allowed + granted} tries"


async def accepted_expectations(services: Services, run: str, claim: Claim) -> tuple[str, ...]:
    """Return the tests of which a person accepted, about this claim, that their expectation changes."""
    decision = (await services.decisions(run)).get(questions.inconclusive_id(claim))
    if decision is None or decision.type is not DecisionType.APPROVE:
        return ()
    return tuple(changed.test for changed in claim.draft.changed_expectations)


async def ask(services: Services, state: UnitRun) -> Update:
    """Ask a person the open question, and turn the answer into where the unit goes on."""
    assert state.unit.question
    question = await services.load(state.unit.question, Question)
    decision = await ask_person(services, question)
    if question.kind in (CheckpointKind.TOOL, CheckpointKind.BUDGET, CheckpointKind.QUESTION):
        return moved(state, question=None)  # the role's own turn reads the decision
    if decision.type is DecisionType.RESPOND:
        answer = f"A person answered: {decision.message}"
        if question.kind is CheckpointKind.UNPROVEN and state.unit.verdict:
            lines = briefs.unproven_lines(await services.load(state.unit.verdict, Verdict))
            answer = f"{_MORE_TESTS}\n\n{answer}\n\n{lines}"
        told = await services.keep_text(answer)
        asks_tester = question.kind in (CheckpointKind.DISPUTE, CheckpointKind.UNPROVEN)
        derived_again = asks_tester or state.unit.then == "specify"
        if derived_again:
            return moved(state, question=None, feedback=told, specification=None, then="specify")
        return moved(state, question=None, feedback=told, then="implement")
    if decision.type is DecisionType.REJECT:
        if question.kind is CheckpointKind.DISPUTE:
            told = await services.keep_text(f"A person decided that the tests stand. {decision.message}".strip())
            return moved(state, question=None, feedback=told)
        reason = f"{decision.by} rejected: {decision.message or question.title}"
        return moved(state, question=None, status=UnitStatus.REJECTED, reason=reason)
    if question.kind is CheckpointKind.WAIVER:
        return moved(state, question=None, status=UnitStatus.DONE, reason=f"gates waived by {decision.by}")
    if state.unit.then == "specify":
        return moved(state, question=None, specification=None)
    return moved(state, question=None)
