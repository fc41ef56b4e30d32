"""From tests to a claim that holds: implement, assay."""

from __future__ import annotations

from typing import Any

from assay.agents import briefs
from assay.agents.protocol import RoleTask
from assay.evidence.feedback import feedback as feedback_on
from assay.evidence.protocol import Case
from assay.graph import questions
from assay.graph.roles import Asks, Stopped, Void, take_turn
from assay.graph.services import Services
from assay.graph.state import UnitRun, UnitState
from assay.graph.units import (
    Update,
    accepted_expectations,
    asked,
    attempts_used,
    moved,
    plan_and_unit,
    trusted_tests,
)
from assay.policies.paths import capability
from assay.records.claims import Claim, ClaimDraft
from assay.records.decisions import CheckpointKind
from assay.records.entries import EntryKind
from assay.records.plans import Unit
from assay.records.runs import UnitStatus
from assay.records.verdicts import Verdict, VerdictStatus


async def implement(services: Services, state: UnitRun) -> Update:
    """The coder makes the visible tests pass, and claims what it did."""
    _, unit = await plan_and_unit(services, state)
    attempt = state.unit.implement_attempts + 1
    if (spent := await attempts_used(services, state.run, unit.id, "coder", attempt)) is not None:
        return moved(state, **await _given_up(services, state.unit, spent))
    assert state.unit.start and state.unit.tests_commit
    tests = await trusted_tests(services, state.unit)
    task = RoleTask(
        run=state.run,
        role="coder",
        unit=unit,
        attempt=attempt,
        brief=briefs.implement_brief(
            unit,
            tests=[t for t in tests.stated if not t.held_out],
            notes=await services.load_text(state.unit.feedback),
            guidance=await services.guidance(state.unit.tests_commit),
        ),
        result="claim",
        commit=state.unit.start,
        may_change=capability("coder", unit, services.settings),
    )
    turn = await take_turn(services, task, ClaimDraft, measured_from=state.unit.tests_commit)
    if isinstance(turn, Asks):
        return await asked(services, state, turn.question, then="implement")
    if isinstance(turn, Stopped):
        return moved(state, status=UnitStatus.EXHAUSTED, reason=turn.reason)
    if isinstance(turn, Void):
        return moved(state, implement_attempts=attempt, head=None, feedback=await services.keep_text(turn.feedback))
    if turn.result.disputes:
        return await _disputed(services, state, unit, turn.result, attempt)
    head = await services.git.commit_tree(
        turn.tree,
        [state.unit.tests_commit],
        f"{unit.title}\n\n{turn.result.statement}\n",
        author=services.author,
        at=services.started,
    )
    await services.git.set_ref(f"refs/assay/runs/{state.run}/units/{unit.id}/head-{attempt}", head)
    await services.record_commit(state.run, unit.id, "coder", attempt, head)
    claim = Claim(
        id=f"{unit.id}.{attempt}",
        author="coder",
        unit=unit.id,
        base=state.unit.base or state.run_base,
        head=head,
        draft=turn.result,
    )
    digest = await _record_claim(services, state, claim)
    return moved(state, implement_attempts=attempt, head=head, start=head, claim=digest, verdict=None, feedback=None)


async def assay(services: Services, state: UnitRun) -> Update:
    """The framework examines the claim itself; a refuted one goes back to the coder with the evidence."""
    _, unit = await plan_and_unit(services, state)
    assert state.unit.claim
    claim = await services.load(state.unit.claim, Claim)
    accepted = await accepted_expectations(services, state.run, claim)
    if accepted:  # another claim on the same work, with a verdict of its own
        claim = claim.model_copy(update={"id": f"{claim.id}.accepted", "accepted": accepted})
        await _record_claim(services, state, claim)
    verdict = await services.prover.prove(
        Case(
            run=state.run,
            claim=claim,
            requirements=unit.acceptance,
            trusted=await trusted_tests(services, state.unit),
            accepted_expectations=accepted,
        )
    )
    digest = await services.keep(verdict)
    match verdict.status:
        case VerdictStatus.PROVEN:
            if verdict.unproven_lines and services.settings.checkpoints.unproven:
                question = questions.about_unproven(state.run, unit, claim, verdict)
                return moved(state, verdict=digest, question=await services.keep(question), then="review")
            return moved(state, verdict=digest)
        case VerdictStatus.REFUTED:
            return moved(state, verdict=digest, feedback=await services.keep_text(feedback_on(verdict)))
        case VerdictStatus.DECLINED:
            reason = f"the coder declined: {claim.draft.declined}"
            return moved(state, verdict=digest, status=UnitStatus.DECLINED, reason=reason)
        case VerdictStatus.INCONCLUSIVE:
            question = questions.about_inconclusive(state.run, unit.id, claim, verdict, accepted=accepted)
            then = "assay" if question.kind is CheckpointKind.EXPECTATION else "review"
            return moved(state, verdict=digest, question=await services.keep(question), then=then)


async def _record_claim(services: Services, state: UnitRun, claim: Claim) -> str:
    """Keep a claim, write into the ledger that it was made, and return its digest."""
    digest = await services.keep(claim)
    await services.ledger.append(
        state.run,
        EntryKind.CLAIM_MADE,
        f"claim:{claim.id}",
        {"claim": digest, "head": claim.head, "statement": claim.draft.statement[:500]},
        unit=state.unit.id,
        role="coder",
    )
    return digest


async def _disputed(services: Services, state: UnitRun, unit: Unit, draft: ClaimDraft, attempt: int) -> Update:
    """Send disputed tests back to the tester once; the second time a person decides."""
    disputes = state.unit.disputes + 1
    if disputes > 1:
        question = questions.about_dispute(state.run, unit, disputes, draft.disputes)
        return moved(
            state,
            implement_attempts=attempt,
            disputes=disputes,
            question=await services.keep(question),
            then="implement",
        )
    told = "A coder holds tests of yours to be wrong. Derive them again from the specification alone:\n\n" + "\n".join(
        f"- `{d.test}`" for d in draft.disputes
    )
    return moved(
        state,
        implement_attempts=attempt,
        disputes=disputes,
        specification=None,
        feedback=await services.keep_text(told),
    )


async def _given_up(services: Services, unit: UnitState, spent: str) -> dict[str, Any]:
    """Say honestly where a unit ends whose coder has no tries left."""
    verdict = await services.load(unit.verdict, Verdict) if unit.verdict else None
    if verdict is not None and verdict.status is VerdictStatus.REFUTED:
        return {"status": UnitStatus.REFUTED, "reason": f"{verdict.reasons[0]} ({spent})"}
    return {"status": UnitStatus.EXHAUSTED, "reason": spent}
