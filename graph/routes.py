"""Which node is next. Pure functions of the state, so that the map in `build` is all there is."""

from __future__ import annotations

from langgraph.types import Send

from assay.graph.state import RunState, UnitRun
from assay.records.runs import RunStatus, UnitStatus

_GOING_ON = (UnitStatus.WAITING, UnitStatus.RUNNING)


def after_plan(state: RunState) -> str:
    """A plan goes to a person; a question or a voided try goes back to the planner."""
    if state.status is not RunStatus.RUNNING:
        return "finish"
    if state.question:
        return "ask_role"
    return "ask_plan" if state.plan else "plan"


def after_ask_plan(state: RunState) -> str:
    """An approved plan sends its units out; a rejected one goes back, or ends the run."""
    if state.status is not RunStatus.RUNNING:
        return "finish"
    return "schedule" if state.plan else "plan"


def after_schedule(state: RunState) -> str | list[Send]:
    """Send out what can go on; put the whole together when every unit is done."""
    assert state.plan and state.base
    ended = {u.id for u in state.units.values() if u.status not in (*_GOING_ON, UnitStatus.DONE)}
    if ended:
        return "finish"
    waiting = [u for u in state.units.values() if u.status in _GOING_ON]
    if not waiting:
        return "integrate"
    # All at once: a unit that depends on others waits for them inside its own task, so that an
    # open question in one unit holds up only what is built on that unit.
    return [
        Send("unit", UnitRun(run=state.run, run_base=state.base, plan=state.plan, unit=unit, siblings=state.units))
        for unit in waiting
    ]


def after_integrate(state: RunState) -> str:
    """An integrated head is examined; a unit that did not merge is done again."""
    return "assay" if state.head else "schedule"


def after_assay(state: RunState) -> str:
    """A whole that holds goes to a person; one that does not goes back to a unit."""
    if state.question:
        return "ask_whole"
    return "ask_delivery" if state.head else "schedule"


def after_ask_whole(state: RunState) -> str:
    """What a person took as true goes on to delivery."""
    return "ask_delivery" if state.status is RunStatus.RUNNING else "finish"


def after_ask_delivery(state: RunState) -> str:
    """What a person signed is delivered."""
    return "deliver" if state.status is RunStatus.RUNNING else "finish"


def after_deliver(state: RunState) -> str:
    """A base that moved on sends the whole through integration again."""
    return "finish" if state.status is not RunStatus.RUNNING else "integrate"


def after_begin(state: UnitRun) -> str:
    """A unit whose dependencies are done starts; one that goes on after integration has its tests already."""
    if state.unit.status is not UnitStatus.RUNNING:
        return "hand_back"
    return "implement" if state.unit.specification else "specify"


def after_specify(state: UnitRun) -> str:
    """Tests are tried at the base; a voided try goes back to the tester."""
    return _ended(state) or ("blank" if state.unit.specification else "specify")


def after_blank(state: UnitRun) -> str:
    """Tests that can fail go to the coder; others go back to the tester."""
    return _ended(state) or ("implement" if state.unit.specification else "specify")


def after_implement(state: UnitRun) -> str:
    """A claim is examined; a dispute goes to the tester; a voided try goes back to the coder."""
    if ended := _ended(state):
        return ended
    if state.unit.specification is None:
        return "specify"
    return "assay" if state.unit.head and state.unit.verdict is None else "implement"


def after_assay_unit(state: UnitRun) -> str:
    """A proven claim is reviewed; a refuted one goes back to the coder with the evidence."""
    return _ended(state) or ("implement" if state.unit.feedback else "review")


def after_review(state: UnitRun) -> str:
    """The reviewer's doubts are executed."""
    return _ended(state) or ("assay_doubts" if state.unit.review else "review")


def after_doubts(state: UnitRun) -> str:
    """A doubt that holds goes back to the coder."""
    return "implement" if state.unit.feedback else "gates"


def after_gates(state: UnitRun) -> str:
    """A gate that blocks goes back to the coder."""
    return _ended(state) or "implement"


def after_ask(state: UnitRun) -> str:
    """The answer says where the unit goes on."""
    if state.unit.status is not UnitStatus.RUNNING:
        return "hand_back"
    assert state.unit.then
    return state.unit.then


def _ended(state: UnitRun) -> str | None:
    if state.unit.question:
        return "ask"
    return None if state.unit.status is UnitStatus.RUNNING else "hand_back"
