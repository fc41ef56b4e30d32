"""One role's turn inside a node: run it, hold its result against the floor, and say what comes next."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from assay.agents.protocol import Exhausted, Finished, NeedsDecision, RoleTask
from assay.graph.questions import about_budget
from assay.graph.services import Services
from assay.policies.budgets import exceeded, extended, spent
from assay.policies.paths import Violation, judge_changes, mixed_blobs
from assay.policies.settings import Budget
from assay.records.base import Record
from assay.records.decisions import DecisionType, Question
from assay.records.entries import EntryKind

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """The role handed in a result, and its change keeps to the role's paths."""

    result: R
    digest: str
    tree: str
    held_out: str | None


@dataclass(frozen=True, slots=True)
class Asks:
    """A person is needed before the role can go on."""

    question: Question


@dataclass(frozen=True, slots=True)
class Void:
    """The step does not count; the role may try again, told why."""

    feedback: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """A person declined to give the role more budget."""

    reason: str


async def take_turn(
    services: Services, task: RoleTask, kind: type[R], *, measured_from: str | None = None
) -> Done[R] | Asks | Void | Stopped:
    """Let a role work on a task, to its end or to the next question.

    Args:
        services: what the nodes work with.
        task: the task; its name makes the turn repeatable.
        kind: the type of its result.
        measured_from: commit that the role's whole change is measured from; the task's own commit where None.
    """
    decisions = await services.decisions(task.run)
    unit = task.unit.id if task.unit else None
    if (limit := await _budget_reached(services, task.run, unit)) is not None:
        question = about_budget(task.run, unit, *limit)
        decision = decisions.get(question.id)
        if decision is None:
            return Asks(question)
        return Stopped(limit[1])
    advance = await services.roles.agent(task).advance(decisions)
    if isinstance(advance, NeedsDecision):
        return Asks(advance.question)
    if isinstance(advance, Exhausted):
        question = about_budget(task.run, unit, task.name, f"{task.role}: {advance.reason}")
        decision = decisions.get(question.id)
        if decision is None:
            await services.ledger.append(
                task.run,
                EntryKind.BUDGET_REACHED,
                f"budget:{task.name}",
                {"reason": advance.reason, "cause": advance.cause, "tree": advance.tree},
                unit=unit,
                role=task.role,
            )
            return Asks(question)
        if decision.type is DecisionType.REJECT:
            return Stopped(f"{task.role} stopped: {advance.reason}")
        return Void(f"You were stopped before you handed anything in: {advance.reason}\n\n{decision.message}".strip())
    violations = await _violations(services, task, advance, measured_from)
    if violations:
        listed = "\n".join(f"- `{v.path}`: {v.reason}" for v in violations)
        await services.ledger.append(
            task.run,
            EntryKind.STEP_VOIDED,
            f"voided:{task.name}",
            {"violations": [v.model_dump(mode="json") for v in violations]},
            unit=unit,
            role=task.role,
        )
        return Void(f"Your change was thrown away, because it touches what you may not change:\n\n{listed}")
    result = await services.load(advance.result, kind)
    return Done(result, advance.result, advance.tree, advance.held_out)


async def _violations(
    services: Services, task: RoleTask, advance: Finished, measured_from: str | None
) -> tuple[Violation, ...]:
    start = await services.git.tree_id(measured_from or task.commit)
    changes = await services.git.diff(start, advance.tree)
    # A file such as pyproject.toml is half source, half test configuration: its texts tell which half changed.
    texts = {
        oid: (await asyncio.to_thread(services.git.contents.read, oid)).decode(errors="replace")
        for oid in mixed_blobs(changes)
    }
    return judge_changes(changes, may_change=task.may_change, role=task.role, settings=services.settings, texts=texts)


async def _budget_reached(services: Services, run: str, unit: str | None) -> tuple[str, str] | None:
    """Return the place of the question about a budget that is reached, of the run or of the unit, and why."""
    entries, settings = await services.ledger.entries(run), services.settings
    decisions = (await services.decisions(run)).values()
    wholes: list[tuple[str, str, Budget, str | None]] = [("run", "The run's budget", settings.budget, None)]
    if unit is not None:
        wholes.append((f"unit:{unit}", f"The budget of the unit {unit}", settings.units.budget, unit))
    for place, words, budget, of in wholes:
        given = [d for d in decisions if d.question.startswith(f"budget:{place}:")]
        extensions = sum(1 for decision in given if decision.type is not DecisionType.REJECT)
        if (reason := exceeded(extended(budget, extensions), spent(entries, settings.prices, unit=of))) is not None:
            return f"{place}:{extensions}", f"{words} is used up: {reason}"
    return None
