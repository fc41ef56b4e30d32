"""One unit's way: specify, blank, implement, assay, review, gates.

Each node goes from a commit to a commit and may run again from its start: roles go on from their
journals, and what the proof recorded is found again by its key.
"""

from __future__ import annotations

from typing import Any

from assay.agents import briefs
from assay.agents.protocol import RoleTask
from assay.evidence.feedback import feedback as feedback_on
from assay.evidence.protocol import Case, TrustedTests
from assay.graph import questions
from assay.graph.checkpoints import ask as ask_person
from assay.graph.roles import Asks, Stopped, Void, take_turn
from assay.graph.services import Services
from assay.graph.state import UnitRun, UnitState
from assay.policies.paths import capability
from assay.records.claims import Claim, ClaimDraft
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.entries import EntryKind
from assay.records.plans import Plan, Unit
from assay.records.results import Review, Specification
from assay.records.runs import UnitStatus
from assay.records.verdicts import Verdict, VerdictStatus

Update = dict[str, Any]


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


async def specify(services: Services, state: UnitRun) -> Update:
    """The tester states the unit's requirements as tests, some for the coder to see and some held out."""
    _, unit = await plan_and_unit(services, state)
    attempt = state.unit.specify_attempts + 1
    base = state.unit.base or state.run_base
    if (spent := _attempts_used(services, "tester", attempt)) is not None:
        return moved(state, status=UnitStatus.EXHAUSTED, reason=spent)
    task = RoleTask(
        run=state.run,
        role="tester",
        unit=unit,
        attempt=attempt,
        brief=briefs.specify_brief(
            unit,
            notes=await services.load_text(state.unit.feedback),
            guidance=await services.guidance(base),
        ),
        result="specification",
        commit=base,
        may_change=capability("tester", unit, services.settings),
        held_out=True,
    )
    turn = await take_turn(services, task, Specification)
    if isinstance(turn, Asks):
        return await _asked(services, state, turn.question, then="specify")
    if isinstance(turn, Stopped):
        return moved(state, status=UnitStatus.EXHAUSTED, reason=turn.reason)
    if isinstance(turn, Void):
        return moved(state, specify_attempts=attempt, feedback=await services.keep_text(turn.feedback))
    if turn.result.declined:
        return moved(state, status=UnitStatus.DECLINED, reason=f"the tester declined: {turn.result.declined}")
    if missing := _unstated(unit, turn.result):
        return moved(state, specify_attempts=attempt, feedback=await services.keep_text(missing))
    visible = await services.changed_files(base, turn.tree)
    commit = await services.git.commit_tree(
        turn.tree,
        [base],
        f"Tests for {unit.id}: {unit.title}\n",
        author=services.author,
        at=services.started,
    )
    await services.git.set_ref(f"refs/assay/runs/{state.run}/units/{unit.id}/tests", commit)
    await services.record_commit(state.run, unit.id, "tester", attempt, commit)
    return moved(
        state,
        status=UnitStatus.RUNNING,
        specify_attempts=attempt,
        specification=turn.digest,
        visible=visible,
        held_out=turn.held_out,
        tests_commit=commit,
        start=commit,
        feedback=None,
    )


async def blank(services: Services, state: UnitRun) -> Update:
    """Run the new tests where the work is not done: each must fail, for a reason that counts."""
    _, unit = await plan_and_unit(services, state)
    tests = await trusted_tests(services, state.unit)
    attempt = state.unit.specify_attempts
    result = await services.prover.blank(state.run, unit.id, attempt, state.unit.base or state.run_base, tests)
    if result.status == "passed":
        return moved(state, feedback=None)
    if result.status == "inconclusive":
        return await _asked(
            services, state, questions.about_blank(state.run, unit, attempt, result.reasons), then="specify"
        )
    told = "Your tests were run where the work is not done yet, and they do not count:\n\n" + "\n".join(
        f"- {reason}" for reason in result.reasons
    )
    return moved(state, specification=None, feedback=await services.keep_text(told))


async def implement(services: Services, state: UnitRun) -> Update:
    """The coder makes the visible tests pass, and claims what it did."""
    _, unit = await plan_and_unit(services, state)
    attempt = state.unit.implement_attempts + 1
    if (spent := _attempts_used(services, "coder", attempt)) is not None:
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
        return await _asked(services, state, turn.question, then="implement")
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
    digest = await services.keep(claim)
    await services.ledger.append(
        state.run,
        EntryKind.CLAIM_MADE,
        f"claim:{claim.id}",
        {"claim": digest, "head": head, "statement": claim.draft.statement[:500]},
        unit=unit.id,
        role="coder",
    )
    return moved(state, implement_attempts=attempt, head=head, start=head, claim=digest, verdict=None, feedback=None)


async def assay(services: Services, state: UnitRun) -> Update:
    """The framework examines the claim itself; a refuted one goes back to the coder with the evidence."""
    _, unit = await plan_and_unit(services, state)
    assert state.unit.claim
    claim = await services.load(state.unit.claim, Claim)
    verdict = await services.prover.prove(
        Case(
            run=state.run,
            claim=claim,
            requirements=unit.acceptance,
            trusted=await trusted_tests(services, state.unit),
        )
    )
    digest = await services.keep(verdict)
    match verdict.status:
        case VerdictStatus.PROVEN:
            return moved(state, verdict=digest)
        case VerdictStatus.REFUTED:
            return moved(state, verdict=digest, feedback=await services.keep_text(feedback_on(verdict)))
        case VerdictStatus.DECLINED:
            reason = f"the coder declined: {claim.draft.declined}"
            return moved(state, verdict=digest, status=UnitStatus.DECLINED, reason=reason)
        case VerdictStatus.INCONCLUSIVE:
            question = questions.about_inconclusive(state.run, unit.id, claim, verdict)
            return moved(state, verdict=digest, question=await services.keep(question), then="review")


async def review(services: Services, state: UnitRun) -> Update:
    """The reviewer reads the change and may doubt it; each doubt is executed like any other claim."""
    _, unit = await plan_and_unit(services, state)
    assert state.unit.head and state.unit.claim and state.unit.verdict and state.unit.tests_commit
    attempt = state.unit.review_attempts + 1
    if (spent := _attempts_used(services, "reviewer", attempt)) is not None:
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
        return await _asked(services, state, turn.question, then="review")
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
        return await _asked(
            services, state, questions.about_waiver(state.run, unit, state.unit.head, asking), then="implement"
        )
    return moved(state, status=UnitStatus.DONE, reason="proven and reviewed", feedback=None)


async def ask(services: Services, state: UnitRun) -> Update:
    """Ask a person the open question, and turn the answer into where the unit goes on."""
    assert state.unit.question
    question = await services.load(state.unit.question, Question)
    decision = await ask_person(services, question)
    if question.kind in (CheckpointKind.TOOL, CheckpointKind.BUDGET, CheckpointKind.QUESTION):
        return moved(state, question=None)  # the role's own turn reads the decision
    if decision.type is DecisionType.RESPOND:
        told = await services.keep_text(f"A person answered: {decision.message}")
        derived_again = question.kind is CheckpointKind.DISPUTE or state.unit.then == "specify"
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


async def _asked(services: Services, state: UnitRun, question: Question, *, then: str) -> Update:
    """Open a question; `then` is the node that goes on when the answer leaves it to the asker."""
    return moved(state, question=await services.keep(question), then=then)


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


def _attempts_used(services: Services, role: str, attempt: int) -> str | None:
    allowed = services.settings.role(role).budget.attempts
    if allowed is None or attempt <= allowed:
        return None
    return f"the {role} had its {allowed} tries"


def _unstated(unit: Unit, specification: Specification) -> str:
    """Say which requirements no test states; empty when all is well."""
    stated = {test.requirement for test in specification.tests}
    problems = [f"- {r.id} has no test: {r.text}" for r in unit.acceptance if r.id not in stated]
    unknown = sorted(stated - {r.id for r in unit.acceptance})
    problems += [f"- {u} is not a requirement of this unit" for u in unknown]
    if not any(test.held_out for test in specification.tests):
        problems.append("- no test is held out: at least one has to lie in /held_out, where no coder sees it")
    return "Your tests were not accepted:\n\n" + "\n".join(problems) if problems else ""
