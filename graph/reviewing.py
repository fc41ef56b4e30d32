"""From a claim that holds to a unit that is done: review, the doubts executed, the gates."""

from __future__ import annotations

from assay.agents import briefs
from assay.agents.protocol import RoleTask
from assay.evidence.protocol import Case
from assay.graph import questions
from assay.graph.roles import Asks, Stopped, Void, take_turn
from assay.graph.services import Services
from assay.graph.state import UnitRun
from assay.graph.units import Update, asked, attempts_used, moved, plan_and_unit, trusted_tests
from assay.records.claims import Claim
from assay.records.entries import EntryKind
from assay.records.results import Review
from assay.records.runs import UnitStatus
from assay.records.verdicts import Verdict


async def review(services: Services, state: UnitRun) -> Update:
    """The reviewer reads the change and may doubt it; each doubt is executed like any other claim."""
    _, unit = await plan_and_unit(services, state)
    assert state.unit.head and state.unit.claim and state.unit.verdict and state.unit.tests_commit
    attempt = state.unit.review_attempts + 1
    if (spent := await attempts_used(services, state.run, unit.id, "reviewer", attempt)) is not None:
        return moved(state, status=UnitStatus.EXHAUSTED, reason=spent)
    verdict = await services.load(state.unit.verdict, Verdict)
    task = RoleTask(
        run=state.run,
        role="reviewer",
        unit=unit,
        attempt=attempt,
        brief=briefs.review_brief(
            unit,
            diff=await services.git.patch_text(state.unit.tests_commit, state.unit.head),
            verdict=verdict,
            notes=await services.load_text(state.unit.feedback),
        ),
        result="review",
        commit=state.unit.head,
    )
    turn = await take_turn(services, task, Review)
    if isinstance(turn, Asks):
        return await asked(services, state, turn.question, then="review")
    if isinstance(turn, Stopped):
        return moved(state, status=UnitStatus.EXHAUSTED, reason=turn.reason)
    if isinstance(turn, Void):
        return moved(state, review_attempts=attempt, review=None, feedback=await services.keep_text(turn.feedback))
    return moved(state, review_attempts=attempt, review=turn.digest, feedback=None)


async def assay_doubts(services: Services, state: UnitRun) -> Update:
    """Execute what the reviewer doubts. A doubt that is confirmed goes back to the coder with what was seen."""
    _, unit = await plan_and_unit(services, state)
    assert state.unit.review and state.unit.claim
    found = await services.load(state.unit.review, Review)
    claim = await services.load(state.unit.claim, Claim)
    tests = await trusted_tests(services, state.unit)
    case = Case(run=state.run, claim=claim, requirements=unit.acceptance, trusted=tests)
    confirmed: list[str] = []
    for number, doubt in enumerate(found.doubts, start=1):
        key = f"{unit.id}.{state.unit.review_attempts}.{number}"
        result = await services.prover.examine(case, doubt, key=key)
        await services.ledger.append(
            state.run,
            EntryKind.DOUBT_EXAMINED,
            f"doubt:{key}",
            {"doubt": doubt.model_dump(mode="json"), **result.model_dump(mode="json")},
            unit=unit.id,
            role="reviewer",
        )
        if result.outcome == "confirmed":
            command = " ".join(doubt.check.command)
            confirmed.append(f"- {doubt.statement}\n\n  `{command}` showed: {result.reason}\n\n```\n{result.got}\n```")
    if not confirmed:
        return moved(state, feedback=None)
    told = "A reviewer doubted your change, the doubt was executed, and it holds:\n\n" + "\n".join(confirmed)
    return moved(state, feedback=await services.keep_text(told))


async def gates(services: Services, state: UnitRun) -> Update:
    """Hold the policy's gates against the unit's change."""
    _, unit = await plan_and_unit(services, state)
    assert state.unit.head
    base = state.unit.base or state.run_base
    results = await services.gates.judge(state.run, unit.id, base, state.unit.head)
    blocking = [r for r in results if r.outcome == "block"]
    asking = [r for r in results if r.outcome == "ask"]
    if blocking:
        told = "Gates of this repository's policy do not let your change through:\n\n" + "\n".join(
            f"- {r.gate}: {'; '.join(r.reasons)}" for r in blocking
        )
        return moved(state, feedback=await services.keep_text(told))
    if asking:
        return await asked(
            services, state, questions.about_waiver(state.run, unit, state.unit.head, asking), then="implement"
        )
    return moved(state, status=UnitStatus.DONE, reason="proven and reviewed", feedback=None)
