"""What a task has used up, counted from the ledger, and the notes that people left for it there.

What the task itself does is counted when it goes to the ledger; what others do is read from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from pydantic import JsonValue

from assay.agents.journal import Fact
from assay.agents.protocol import RoleTask
from assay.agents.turns import Call, Told
from assay.policies.budgets import Spent, exceeded, extended, spent
from assay.policies.settings import Budget, Settings
from assay.records.decisions import Decision, DecisionType
from assay.records.entries import Entry, EntryKind
from assay.store.protocol import Ledger

_KINDS: Final = (EntryKind.MODEL_CALLED, EntryKind.TOOL_CALLED, EntryKind.NOTE_LEFT)
_RUN_QUESTIONS: Final = "budget:run:"
"""How the ids of questions begin that extend the budget of the whole run; those of a unit name that."""


_Step = Literal["answer", "command", "call"]
"""What comes next: an answer of the model, a command in the sandbox, another tool call."""
_NO_TIME: Final = datetime.fromtimestamp(0, UTC)
READ_SECONDS: Final = 0.05
"""The ledger is asked no more often for notes and for what others of the run have used up."""


class Meter:
    """Reads only what is new in the ledger each time, so that a step costs the same however long the run is."""

    def __init__(self, task: RoleTask, ledger: Ledger, settings: Settings, decisions: Mapping[str, Decision]) -> None:
        """Name the task whose budget, and that of its run, is watched."""
        self._task = task
        self._ledger = ledger
        self._prices = settings.prices
        own_budget = settings.role(task.role).budget
        self._unit_id = task.unit.id if task.unit else None
        run_budget = extended(settings.budget, _granted(decisions, _RUN_QUESTIONS))
        unit_budget = Budget()
        if self._unit_id is not None:
            unit_budget = extended(settings.units.budget, _granted(decisions, f"budget:unit:{self._unit_id}:"))
        self._bounds: dict[_Step, tuple[Budget, Budget, Budget]] = {
            step: (_of_step(own_budget, step), _of_step(unit_budget, step), _of_step(run_budget, step))
            for step in get_args(_Step)
        }
        self.notes: list[Told] = []
        """What people left for this task."""
        self._own = Spent()
        self._unit = Spent()
        self._run = Spent()
        self._seen = 0
        self._read_at = -READ_SECONDS

    def count(self, fact: Fact) -> None:
        """Take into account what the task itself did: kind, key and body of an entry."""
        kind, key, body = fact
        used = spent([_unwritten(self._task.run, kind, key, body)], self._prices)
        self._own = _sum(self._own, used)
        self._unit = _sum(self._unit, used)
        self._run = _sum(self._run, used)

    async def read(self) -> None:
        """Take what others did into account, and the notes that people left."""
        now = time.monotonic()
        if now < self._read_at + READ_SECONDS:
            return
        self._read_at = now
        entries = await self._ledger.entries(self._task.run, kinds=_KINDS, after=self._seen)
        if not entries:
            return
        self._seen = entries[-1].seq
        middle = f":{self._task.name}:"
        others = [entry for entry in entries if entry.kind is not EntryKind.NOTE_LEFT and middle not in entry.key]
        if others:
            self._run = _sum(self._run, spent(others, self._prices))
            if self._unit_id is not None:
                self._unit = _sum(self._unit, spent(others, self._prices, unit=self._unit_id))
        self.notes += [_note(entry) for entry in entries if self._is_for_us(entry)]

    def reached(self, call: Call | None = None) -> str | None:
        """Say which budget does not allow the next step, or return None.

        Args:
            call: the next step, where it is a tool call and not an answer of the model.
        """
        step: _Step = "answer" if call is None else "command" if call.name == "execute" else "call"
        own, unit, run = self._bounds[step]
        if (reason := exceeded(own, self._own)) is not None:
            return f"the budget is used up: {reason}"
        if (reason := exceeded(unit, self._unit)) is not None:
            return f"the budget of the unit is used up: {reason}"
        if (reason := exceeded(run, self._run)) is not None:
            return f"the budget of the run is used up: {reason}"
        return None

    def _is_for_us(self, entry: Entry) -> bool:
        if entry.kind is not EntryKind.NOTE_LEFT:
            return False
        unit = self._task.unit.id if self._task.unit else None
        return entry.unit in {None, unit} and entry.role in {None, self._task.role}


def _granted(decisions: Mapping[str, Decision], questions: str) -> int:
    """Return how often people extended a budget: its questions begin alike."""
    answers = (decision for decision in decisions.values() if decision.question.startswith(questions))
    return sum(1 for decision in answers if decision.type is not DecisionType.REJECT)


def _unwritten(run: str, kind: EntryKind, key: str, body: dict[str, JsonValue]) -> Entry:
    """Return the entry that is on its way to the ledger, as far as it is counted."""
    return Entry.model_construct(run=run, seq=0, kind=kind, key=key, body=body, at=_NO_TIME, previous="")


def _sum(one: Spent, other: Spent) -> Spent:
    return Spent.model_construct(  # of sums that were checked there is nothing to check
        model_calls=one.model_calls + other.model_calls,
        tokens=one.tokens + other.tokens,
        money=one.money + other.money,
        seconds=one.seconds + other.seconds,
        commands=one.commands + other.commands,
        unpriced=tuple(sorted({*one.unpriced, *other.unpriced})),
    )


def _of_step(budget: Budget, step: _Step) -> Budget:
    """Return the part of a budget that a step would use: a call costs no model, and most are no commands."""
    if step == "answer":
        return budget.model_copy(update={"commands": None, "attempts": None})
    return Budget(commands=budget.commands if step == "command" else None)


def _note(entry: Entry) -> Told:
    by = str(entry.body.get("by") or "a person")
    return Told(text=f"A note from {by}:\n\n{entry.body.get('text', '')}", by=by, key=entry.key)
