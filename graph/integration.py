"""From proven units to a delivered branch: integrate, assay the whole, ask, deliver."""

from __future__ import annotations

from typing import Any

from assay.errors import StoreCorrupt
from assay.evidence.feedback import feedback as feedback_on
from assay.evidence.protocol import Case, TrustedTests
from assay.graph import questions
from assay.graph.checkpoints import ask
from assay.graph.dependencies import everything_below
from assay.graph.services import Services
from assay.graph.state import RunState, UnitState
from assay.graph.units import accepted_expectations, trusted_tests
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.entries import EntryKind
from assay.records.plans import Plan
from assay.records.results import Review
from assay.records.runs import RunStatus, UnitStatus
from assay.records.verdicts import Verdict, VerdictStatus
from assay.tickets.delivery import commit_message

Update = dict[str, Any]


async def integrate(services: Services, state: RunState) -> Update:
    """Merge the units in dependency order, one commit each. A conflict is a task for its coder."""
    assert state.plan and state.base
    plan = await services.load(state.plan, Plan)
    head = state.base
    for unit in plan.in_order():
        done = state.units[unit.id]
        assert done.head and done.verdict
        merged = await services.git.merge(done.base or state.base, head, done.head)
        if merged.conflicts:
            return await _send_back(services, plan, done, head, conflict=merged.conflicts)
        proven = await services.load(done.verdict, Verdict)
        verdict = await services.ledger.find(state.run, f"verdict:{proven.claim}")
        if verdict is None:
            raise StoreCorrupt(f"unit {unit.id!r} is done, and the ledger of {state.run} has no verdict on it")
        head = await services.git.commit_tree(
            merged.tree,
            [head],
            commit_message(services.ticket, run=state.run, unit=unit, entry=verdict),
            author=services.author,
            at=services.started,
        )
    number = state.integrations + 1
    await services.git.set_ref(f"refs/assay/runs/{state.run}/whole-{number}", head)
    await services.record_commit(state.run, None, "integration", number, head)
    return {"head": head, "integrations": number, "verdict": None}


async def assay(services: Services, state: RunState) -> Update:
    """Examine the whole. The same tree on the same base was examined already: verdicts bind to trees."""
    assert state.plan and state.base and state.head
    plan = await services.load(state.plan, Plan)
    if (same := await _verdict_of_only_unit(services, state)) is not None:
        return {"verdict": same}
    claims = [await services.load(u.claim, Claim) for u in state.units.values() if u.claim]
    accepted = [test for made in claims for test in await accepted_expectations(services, state.run, made)]
    tests = [await trusted_tests(services, state.units[unit.id]) for unit in plan.in_order()]
    claim = Claim(
        id=f"whole.{state.integrations}",
        author="integration",
        base=state.base,
        head=state.head,
        draft=_joined([unit_claim.draft for unit_claim in claims]),
    )
    trusted = TrustedTests(
        visible=await _laid_over(services, [t.visible for t in tests]),
        held_out=await _laid_over(services, [t.held_out for t in tests]),
        stated=tuple(stated for t in tests for stated in t.stated),
    )
    requirements = tuple(r for unit in plan.units for r in unit.acceptance)
    digest = await services.keep(claim)
    await services.ledger.append(
        state.run,
        EntryKind.CLAIM_MADE,
        f"claim:{claim.id}",
        {"claim": digest, "head": state.head, "statement": claim.draft.statement[:500]},
        role="integration",
    )
    verdict = await services.prover.prove(
        Case(
            run=state.run,
            claim=claim,
            requirements=requirements,
            trusted=trusted,
            accepted_expectations=tuple(accepted),
        )
    )
    update: Update = {"claim": digest, "verdict": await services.keep(verdict)}
    match verdict.status:
        case VerdictStatus.PROVEN:
            return update
        case VerdictStatus.REFUTED:
            at_fault = _unit_at_fault(plan, verdict)
            others = await _without(services, state, plan, at_fault)
            told = f"Your unit alone was fine. Put together with the others it is not:\n\n{feedback_on(verdict)}"
            return {**update, **await _send_back(services, plan, state.units[at_fault], others, told=told)}
        case VerdictStatus.INCONCLUSIVE | VerdictStatus.DECLINED:
            question = questions.about_inconclusive(state.run, None, claim, verdict, accepted=accepted)
            return {**update, "question": await services.keep(question)}


async def ask_whole(services: Services, state: RunState) -> Update:
    """⏸ Ask what the proof of the whole could not decide."""
    assert state.question
    question = await services.load(state.question, Question)
    decision = await ask(services, question)
    if decision.type is DecisionType.APPROVE:
        return {"question": None}
    reason = f"{decision.by} did not take it as true: {decision.message or question.title}"
    return {"question": None, "status": RunStatus.INCONCLUSIVE, "reason": reason}


async def ask_delivery(services: Services, state: RunState) -> Update:
    """⏸ A person sees the whole with its verdicts, and signs it or not."""
    assert state.plan and state.base and state.head and state.verdict
    plan = await services.load(state.plan, Plan)
    if not services.settings.checkpoints.delivery:
        return {}
    units = []
    for unit in plan.in_order():
        done = state.units[unit.id]
        assert done.verdict and done.review
        verdict, review = await services.load(done.verdict, Verdict), await services.load(done.review, Review)
        units.append((unit, verdict, review))
    decided = [
        f"{decision.by} at a checkpoint about {decision.question.split(':')[0]}: {decision.type.value}"
        for decision in (await services.decisions(state.run)).values()
        if decision.question.split(":")[0] in (CheckpointKind.WAIVER, CheckpointKind.INCONCLUSIVE)
    ]
    question = questions.about_delivery(
        state.run,
        head=state.head,
        branch=services.branch,
        verdict=await services.load(state.verdict, Verdict),
        units=units,
        changes=await services.git.diff(state.base, state.head),
        waived=decided,
    )
    decision = await ask(services, question)
    if decision.type is DecisionType.APPROVE:
        return {}
    return {"status": RunStatus.REJECTED, "reason": f"{decision.by} rejected the delivery: {decision.message}"}


async def deliver(services: Services, state: RunState) -> Update:
    """Bring the branch into the target repository, unless its base moved on in the meantime."""
    assert state.base and state.head and state.verdict
    if await services.ledger.find(state.run, "delivered") is None:
        newest = await services.git.adopt(services.repo, services.revision, f"refs/assay/runs/{state.run}/newest")
        if newest != state.base:
            return await _catch_up(services, state, newest)
        await services.git.deliver(state.head, services.repo, services.branch)
        await services.ledger.append(
            state.run,
            EntryKind.DELIVERED,
            "delivered",
            {"branch": services.branch, "commit": state.head, "tree": await services.git.tree_id(state.head)},
        )
    return {"status": RunStatus.DELIVERED, "reason": f"branch {services.branch} at {state.head[:12]}"}


async def _catch_up(services: Services, state: RunState, newest: str) -> Update:
    """Move the run to the base as it is now: the units are merged there, and the whole is examined again."""
    moved = {uid: unit.model_copy(update={"base": unit.base or state.base}) for uid, unit in state.units.items()}
    await services.ledger.append(
        state.run, EntryKind.BASE_ADOPTED, f"base:{newest}", {"commit": newest, "before": state.base}
    )
    return {"base": newest, "head": None, "units": moved}


async def _send_back(
    services: Services,
    plan: Plan,
    unit: UnitState,
    onto: str,
    *,
    conflict: tuple[str, ...] = (),
    told: str = "",
) -> Update:
    """Give a unit back to its coder, to be done again on top of the others."""
    if conflict:
        specs = "\n\n".join(f"### {u.id}: {u.title}\n\n{u.specification}" for u in plan.units)
        told = (
            f"Your change does not merge with the other units in {', '.join(f'`{p}`' for p in conflict)}. "
            f"The workspace holds the others' work; make yours on top of it. All units of the plan:\n\n{specs}"
        )
    redone = unit.model_copy(
        update={
            "status": UnitStatus.WAITING,
            "redo": True,
            "base": onto,
            "head": None,
            "verdict": None,
            "feedback": await services.keep_text(told),
        }
    )
    return {"head": None, "units": {unit.id: redone}}


async def _without(services: Services, state: RunState, plan: Plan, left_out: str) -> str:
    """Return a commit that holds every unit but one; raises StoreCorrupt when those do not merge."""
    assert state.base
    head = state.base
    for unit in plan.in_order():
        done = state.units[unit.id]
        if unit.id == left_out or left_out in everything_below(plan, unit) or done.head is None:
            continue
        merged = await services.git.merge(done.base or state.base, head, done.head)
        if merged.conflicts:
            raise StoreCorrupt(f"unit {unit.id!r} merged before and does not merge now")
        head = await services.git.commit_tree(
            merged.tree, [head], f"Without {left_out}: {unit.id}\n", author=services.author, at=services.started
        )
    return head


async def _verdict_of_only_unit(services: Services, state: RunState) -> str | None:
    """Return the verdict of the only unit where the whole is its tree on its base."""
    if len(state.units) != 1 or state.head is None:
        return None
    (unit,) = state.units.values()
    if unit.head is None or (unit.base or state.base) != state.base:
        return None
    same = await services.git.tree_id(unit.head) == await services.git.tree_id(state.head)
    return unit.verdict if same else None


async def _laid_over(services: Services, trees: list[str | None]) -> str | None:
    """Return one tree with all of these, later ones over earlier ones; None where there is none."""
    joined: str | None = None
    for tree in trees:
        if tree is not None:
            joined = tree if joined is None else await services.git.overlay(joined, tree)
    return joined


def _unit_at_fault(plan: Plan, verdict: Verdict) -> str:
    """Return the unit whose requirement the witness breaks; the last in order where none is named."""
    broken = verdict.witness.requirement if verdict.witness else None
    for unit in plan.units:
        if any(r.id == broken for r in unit.acceptance):
            return unit.id
    return plan.in_order()[-1].id


def _joined(drafts: list[ClaimDraft]) -> ClaimDraft:
    """Return the claim of the whole: everything that the units claimed."""
    kinds = {draft.kind for draft in drafts}
    kind = next((k for k in (ClaimKind.FEATURE, ClaimKind.FIX) if k in kinds), drafts[0].kind)
    named = tuple(n for d in drafts for n in d.new_dependencies or ())
    return ClaimDraft(
        kind=kind,
        statement=" ".join(draft.statement for draft in drafts),
        behaviour_changed=tuple(b for d in drafts for b in d.behaviour_changed),
        changed_expectations=tuple(c for d in drafts for c in d.changed_expectations),
        new_dependencies=None if all(d.new_dependencies is None for d in drafts) else named,
    )
