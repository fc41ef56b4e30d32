"""Planners that hand in what cannot be carried out: told so, and if they never mend it the run ends honestly."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.program import PLAN, UNIT, Project, call

pytestmark = pytest.mark.docker


def plan_of(*units: dict[str, Any]) -> dict[str, Any]:
    """Return the call that hands in a plan."""
    return {"submit_plan": {"summary": "s", "units": list(units)}}


def unit(name: str, *after: str, **more: Any) -> dict[str, Any]:
    """Return a unit of a plan, as a model writes it."""
    return {**UNIT, "id": name, "depends_on": list(after), "acceptance": [{"id": name, "text": name}], **more}


IMPOSSIBLE = [
    (plan_of(unit("a", "b"), unit("b", "a")), "circle"),
    (plan_of(unit("a", "a")), "circle"),
    (plan_of(unit("a", "nobody")), "unknown units: nobody"),
    (plan_of(unit("a", acceptance=[])), "acceptance"),
    (plan_of(), "at least 1 item"),
]


@pytest.mark.parametrize(("plan", "told"), IMPOSSIBLE)
def test_the_planner_is_told_and_may_mend_it(project: Project, plan: dict[str, Any], told: str) -> None:
    """The error goes back to the planner, and a plan that can be carried out is then asked about."""
    said = call(*project.arguments(project.script(plan, {"expect": told, "call": PLAN})), "--json")
    assert (said.code, said.result["status"]) == (75, "parked"), said
    assert [question["checkpoint"] for question in said.result["open"]] == ["plan"]
    outcomes = [
        line["entry"]["body"]["outcome"] for line in said.lines if line.get("entry", {}).get("kind") == "tool.called"
    ]
    assert outcomes == ["error", "submitted"]


def test_a_planner_that_never_mends_it_ends_the_run(project: Project) -> None:
    """The same mistake again and again is stopped and asked about; a no ends the run as out of budget, exit 124."""
    cyclic = IMPOSSIBLE[0][0]
    no = project.decisions({"checkpoint": "budget", "decision": "reject"})
    model = project.script(*[cyclic] * 12)
    said = call(*project.arguments(model), "--decisions", no, "--json")
    assert (said.code, said.result["status"]) == (124, "exhausted"), said
    assert "planner stopped" in said.result["reason"]
    assert said.result["branch"] is None
    assert said.result["claims"] == []
    parked = call(*project.arguments(model), "--headless", "--json")  # where nobody says no, it waits
    assert (parked.code, parked.result["open"][0]["checkpoint"]) == (75, "budget"), parked


def test_a_script_that_runs_out_names_its_place(project: Project) -> None:
    """A scripted model that is asked for more than it holds fails, and the run can go on once it is mended."""
    said = call(*project.arguments(project.script({"say": "I think."})), "--json")
    assert said.code == 3
    assert said.result["error"] == "ScriptError"
    assert str(project.folder / "script.yaml") in said.result["message"]
    (run,) = (line["id"] for line in call("runs", "--json").lines)
    assert f"assay resume {run}" in said.result["next"]
    project.script({"say": "I think."}, PLAN)
    assert call("resume", run).code == 75
