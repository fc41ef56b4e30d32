"""How a unit begins, waits for the units that it depends on, and hands its outcome back."""

from __future__ import annotations

from typing import Any

from assay.errors import StoreCorrupt
from assay.graph.services import Services
from assay.graph.state import UnitRun, UnitState
from assay.graph.units import moved, plan_and_unit
from assay.records.decisions import Decision
from assay.records.entries import EntryKind
from assay.records.plans import Plan, Unit
from assay.records.runs import UnitStatus

Update = dict[str, Any]


async def begin(services: Services, state: UnitRun) -> Update:
    """Find the commit that the unit starts from: the run's base with everything that it depends on."""
    plan, unit = await plan_and_unit(services, state)
    if state.unit.redo:
        return await _begin_again(services, state)
    needed = await _wait_for(services, state, plan, unit)
    if needed is None:
        return moved(state, reason=f"waits for {', '.join(unit.depends_on)}")
    base = state.run_base
    for dependency in needed:
        assert dependency.head
        merged = await services.git.merge(dependency.base or state.run_base, base, dependency.head)
        if merged.conflicts:
            # Integration meets the same conflict and gives it to a coder; until then there is no base.
            return moved(state, reason=f"waits: {dependency.id} does not merge with its siblings")
        base = await services.git.commit_tree(
            merged.tree,
            [base],
            f"Base of {unit.id} with {dependency.id}\n",
            author=services.author,
            at=services.started,
        )
    await services.git.set_ref(f"refs/assay/runs/{state.run}/units/{unit.id}/base", base)
    return moved(state, status=UnitStatus.RUNNING, base=base, reason="")


async def hand_back(services: Services, state: UnitRun) -> Update:
    """Record where the unit stands and give it back to the run."""
    await record_unit(services, state.run, state.unit)
    async with services.settled:
        services.settled.notify_all()
    return {"units": {state.unit.id: state.unit}}


async def record_unit(services: Services, run: str, unit: UnitState) -> None:
    """Record where a unit stands; the newest of these entries is what other units go by."""
    digest = await services.keep(unit)
    await services.ledger.append(
        run,
        EntryKind.UNIT_CHANGED,
        f"unit:{unit.id}:{digest}",
        {"state": digest, "status": unit.status.value, "reason": unit.reason},
        unit=unit.id,
    )


async def _begin_again(services: Services, state: UnitRun) -> Update:
    """Start a unit anew on the base that integration gave it, with the tests that it has already."""
    assert state.unit.base and state.unit.visible
    tree = await services.git.overlay(await services.git.tree_id(state.unit.base), state.unit.visible)
    commit = await services.git.commit_tree(
        tree,
        [state.unit.base],
        f"Tests for {state.unit.id}, on the others\n",
        author=services.author,
        at=services.started,
    )
    await services.git.set_ref(f"refs/assay/runs/{state.run}/units/{state.unit.id}/again", commit)
    return moved(state, status=UnitStatus.RUNNING, redo=False, tests_commit=commit, start=commit, reason="")


async def _wait_for(services: Services, state: UnitRun, plan: Plan, unit: Unit) -> list[UnitState] | None:
    """Return everything that a unit builds on, in order, once it is done; None when that needs a person first."""
    needed = everything_below(plan, unit)
    async with services.settled:
        while True:
            known = {**state.siblings, **await _newest(services, state.run)}
            if all(n in known and known[n].status is UnitStatus.DONE for n in needed):
                return [known[n] for n in needed]
            if await _stuck(services, state.run, needed, known):
                return None
            await services.settled.wait()


async def _stuck(services: Services, run: str, needed: list[str], known: dict[str, UnitState]) -> bool:
    """Whether one of these units has ended without being done, waits itself, or waits for a person."""
    for name in needed:
        unit = known.get(name)
        if unit is not None and unit.status not in (UnitStatus.DONE, UnitStatus.RUNNING):
            return True
    asked = await services.ledger.entries(run, kinds=(EntryKind.QUESTION_ASKED, EntryKind.DECISION_MADE))
    answered = {Decision.model_validate(e.body["decision"]).digest for e in asked if "decision" in e.body}
    return any(e.unit in needed and e.body["digest"] not in answered for e in asked if "digest" in e.body)


async def _newest(services: Services, run: str) -> dict[str, UnitState]:
    """Return the newest recorded state of each unit that was recorded."""
    newest: dict[str, str] = {}
    for entry in await services.ledger.entries(run, kinds=(EntryKind.UNIT_CHANGED,)):
        if entry.unit is None:
            raise StoreCorrupt(f"entry {entry.seq} of {run} is about no unit")
        newest[entry.unit] = str(entry.body["state"])
    return {unit: await services.load(digest, UnitState) for unit, digest in newest.items()}


def everything_below(plan: Plan, unit: Unit) -> list[str]:
    """Return the ids of all units that this one builds on, directly or not, in the plan's order."""
    below: set[str] = set()
    open_ids = list(unit.depends_on)
    while open_ids:
        name = open_ids.pop()
        if name not in below:
            below.add(name)
            open_ids.extend(plan.unit(name).depends_on)
    return [u.id for u in plan.in_order() if u.id in below]
