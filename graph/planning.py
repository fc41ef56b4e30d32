"""From the ticket to a plan that a person has read: intake, plan, ask."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from assay.agents import briefs
from assay.agents.protocol import RoleTask
from assay.graph import questions
from assay.graph.checkpoints import ask
from assay.graph.roles import Asks, Stopped, Void, take_turn
from assay.graph.services import Services
from assay.graph.state import RunState, UnitState
from assay.graph.units import attempts_used
from assay.records.base import canonical_json
from assay.records.decisions import DecisionType, Question
from assay.records.entries import EntryKind
from assay.records.plans import Plan
from assay.records.runs import RunStatus

Update = dict[str, Any]


async def intake(services: Services, state: RunState) -> Update:
    """Bring the base's objects into the run's own store; what was resolved once stays resolved."""
    recorded = await services.ledger.find(state.run, "base")
    if recorded is not None:
        return {"base": str(recorded.body["commit"])}
    commit = await services.git.adopt(services.repo, services.revision, f"refs/assay/runs/{state.run}/base")
    await services.ledger.append(
        state.run,
        EntryKind.BASE_ADOPTED,
        "base",
        {"commit": commit, "tree": await services.git.tree_id(commit), "revision": services.revision},
    )
    return {"base": commit}


async def plan(services: Services, state: RunState) -> Update:
    """The planner reads the ticket and the repository and cuts the work into units."""
    assert state.base
    attempt = state.plan_attempts + 1
    if (spent := await attempts_used(services, state.run, "run", "planner", attempt)) is not None:
        return {"status": RunStatus.EXHAUSTED, "reason": spent}
    task = RoleTask(
        run=state.run,
        role="planner",
        attempt=attempt,
        brief=briefs.plan_brief(
            services.ticket,
            paths=sorted(await services.git.tree(state.base)),
            guidance=await services.guidance(state.base),
            notes=await services.load_text(state.feedback),
        ),
        result="plan",
        commit=state.base,
    )
    turn = await take_turn(services, task, Plan)
    if isinstance(turn, Asks):
        return {"question": await services.keep(turn.question)}
    if isinstance(turn, Stopped):
        return {"status": RunStatus.EXHAUSTED, "reason": turn.reason}
    if isinstance(turn, Void):
        return {"plan": None, "plan_attempts": attempt, "feedback": await services.keep_text(turn.feedback)}
    return {"plan_attempts": attempt, "feedback": None, **await _take_plan(services, state, turn.result, "planner")}


async def ask_plan(services: Services, state: RunState) -> Update:
    """⏸ A person reads the plan: approves, edits, sends it back with a message, or ends the run."""
    assert state.plan
    current = await services.load(state.plan, Plan)
    if not services.settings.checkpoints.plan:
        return _sent_out(current)
    question = questions.about_plan(state.run, state.plan_attempts, services.ticket, current)
    decision = await ask(services, question)
    match decision.type:
        case DecisionType.APPROVE:
            return _sent_out(current)
        case DecisionType.REJECT:
            return {"status": RunStatus.REJECTED, "reason": f"{decision.by} rejected the plan: {decision.message}"}
        case DecisionType.RESPOND:
            return {"plan": None, "feedback": await services.keep_text(f"A person answered: {decision.message}")}
        case DecisionType.EDIT:
            try:
                edited = Plan.model_validate((decision.args or {}).get("plan"))
            except ValidationError as error:
                problems = "; ".join(str(e["msg"]) for e in error.errors()[:5])
                told = f"{decision.by} edited the plan, and it cannot be carried out: {problems}"
                return {"plan": None, "feedback": await services.keep_text(told)}
            return {**await _take_plan(services, state, edited, decision.by), **_sent_out(edited)}


async def schedule(services: Services, state: RunState) -> Update:
    """Come together: the edge behind this node is taken once, and sees what every unit handed back.

    (An edge behind `unit` itself would be taken once for each unit, with only that unit's news.)
    """
    return {}


async def ask_role(services: Services, state: RunState) -> Update:
    """⏸ Ask what the planner's turn needs a person for; the turn itself reads the answer."""
    assert state.question
    await ask(services, await services.load(state.question, Question))
    return {"question": None}


async def _take_plan(services: Services, state: RunState, made: Plan, author: str) -> Update:
    digest = await services.blobs.put(canonical_json(made))
    await services.ledger.append(
        state.run,
        EntryKind.PLAN_MADE,
        f"plan:{author}:{digest}",
        {"plan": digest, "author": author, "units": [unit.id for unit in made.units]},
    )
    return {"plan": digest}


def _sent_out(plan: Plan) -> Update:
    """Return the units of a plan that a person let through; one that was sent back leaves none behind."""
    return {"units": {unit.id: UnitState(id=unit.id) for unit in plan.units}}
