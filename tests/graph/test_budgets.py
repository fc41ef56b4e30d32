"""Budgets of the whole run and of a unit: reached, they ask; extended, work goes on; declined, it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import JsonValue
from run_world import RUN, World, finished

from assay.policies.settings import Budget, UnitSettings
from assay.records.decisions import CheckpointKind, DecisionType
from assay.records.entries import EntryKind
from assay.records.runs import RunStatus


async def used_up(world: World, unit: str, calls: int) -> None:
    """Record model calls at a unit, as its roles do."""
    for number in range(calls):
        body: dict[str, JsonValue] = {"model": "m", "input_tokens": 1, "output_tokens": 1, "seconds": 1.0}
        key = f"model:{unit}.tester.0:{number}"
        await world.services.ledger.append(RUN, EntryKind.MODEL_CALLED, key, body, unit=unit, role="tester")


@pytest.mark.parametrize("part", ["run", "unit:one"])
async def test_a_budget_of_the_run_or_a_unit_is_asked_once_and_extended(world: World, part: str) -> None:
    """Reached, a person is asked before the next role starts; approved, as much again is there; else it ends."""
    budget = Budget(model_calls=2)
    changed = {"budget": budget} if part == "run" else {"units": UnitSettings(budget=budget)}
    world.services = replace(world.services, settings=world.services.settings.model_copy(update=changed))
    await used_up(world, "one", 3)
    assert finished(await world.go(), RunStatus.DELIVERED)
    asked = [q for q in world.asked if q.kind is CheckpointKind.BUDGET]
    assert [q.id for q in asked] == [f"budget:{part}:0"]
    assert "3 of 2 model calls are used up" in asked[0].description


@pytest.mark.parametrize("part", ["run", "unit:one"])
async def test_a_budget_that_nobody_extends(world: World, part: str) -> None:
    """Left open, the run waits with the question; declined, it ends as exhausted."""
    budget = Budget(model_calls=2)
    changed = {"budget": budget} if part == "run" else {"units": UnitSettings(budget=budget)}
    world.services = replace(world.services, settings=world.services.settings.model_copy(update=changed))
    await used_up(world, "one", 3)
    waiting = await world.go(answers={f"budget:{part}:0": None})
    assert waiting.status is not RunStatus.DELIVERED
    assert world.asked[-1].id == f"budget:{part}:0"
    state = await world.go(answers={"budget:": (DecisionType.REJECT, "")})
    assert finished(state, RunStatus.EXHAUSTED)
    assert "3 of 2 model calls" in state.reason
