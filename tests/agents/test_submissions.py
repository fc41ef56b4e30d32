"""Typed results: what is handed in fits the record and the unit, or comes back with what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from tests.agents.bench import UNIT

from assay.agents.protocol import RoleTask
from assay.agents.submissions import InvalidSubmission, read_submission, submit_schema
from assay.agents.tools import TOOLS, tool_names, tool_schemas
from assay.records.claims import ClaimDraft
from assay.records.results import Specification


def task(result: str, **more: Any) -> RoleTask:
    """Return a task that asks for a result."""
    fields = {"run": "r", "role": "x", "unit": UNIT, "brief": "", "result": result, "commit": "0" * 40}
    return RoleTask.model_validate(fields | more)


def stated(**changes: Any) -> dict[str, Any]:
    """Return a stated test."""
    return {"id": "t.py::a", "requirement": "R1", "fails_because": "no sum", "held_out": True} | changes


CHECK = {"id": "c", "command": ["x"]}


@pytest.mark.parametrize(
    ("result", "name", "needs"),
    [
        ("plan", "submit_plan", {"summary", "units"}),
        ("specification", "submit_tests", {"statement"}),
        ("claim", "submit_claim", {"kind", "statement"}),
        ("review", "submit_review", {"summary"}),
    ],
)
def test_each_result_has_its_tool(result: str, name: str, needs: set[str]) -> None:
    """The schema is the record's own, with what each field means."""
    function = submit_schema(task(result))["function"]
    assert function["name"] == name
    assert set(function["parameters"]["required"]) == needs
    assert "title" not in function["parameters"]


def test_every_tool_says_what_its_arguments_are() -> None:
    """Names and arguments are those of deep agents."""
    schemas = {
        s["function"]["name"]: s["function"]
        for s in tool_schemas(task("claim"), tool_names(task("claim"), tuple(TOOLS)))
    }
    assert list(schemas) == ["ls", "read_file", "write_file", "edit_file", "glob", "grep", "execute", "submit_claim"]
    arguments = {name: set(schema["parameters"]["properties"]) for name, schema in schemas.items()}
    assert arguments["read_file"] == {"file_path", "offset", "limit"}
    assert arguments["edit_file"] == {"file_path", "old_string", "new_string", "replace_all"}
    assert arguments["grep"] == {"pattern", "path", "glob", "output_mode", "max_count"}
    assert arguments["execute"] == {"command", "timeout"}
    for name in TOOLS:
        assert all(
            field.get("description") or "anyOf" in field for field in schemas[name]["parameters"]["properties"].values()
        )


def test_a_result_that_fits_is_read() -> None:
    """Lists become tuples, and the defaults are there."""
    claim = read_submission(task("claim"), {"kind": "fix", "statement": "s", "requirements": ["R1"]})
    assert claim == ClaimDraft.model_validate({"kind": "fix", "statement": "s", "requirements": ("R1",)})
    made = read_submission(task("specification", held_out=True), {"statement": "s", "tests": [stated()]})
    assert isinstance(made, Specification) and made.tests[0].held_out


@pytest.mark.parametrize(
    ("result", "args", "problem"),
    [
        ("claim", {}, "kind: Field required"),
        ("claim", {"kind": "fix", "statement": "s", "extra": 1}, "extra: Extra inputs are not permitted"),
        ("claim", {"kind": "fix", "statement": "s", "requirements": ["R9"]}, "'R9' is not a requirement of this unit"),
        ("claim", {"kind": "fix", "statement": "s", "checks": [{"id": "c"}]}, "checks.0.command: Field required"),
        ("plan", {"summary": "s", "units": []}, "units: Tuple should have at least 1 item"),
        ("plan", {"summary": "s", "units": [UNIT.model_dump() | {"depends_on": ["x"]}]}, "depends on unknown units: x"),
        ("plan", {"summary": "s", "units": [UNIT.model_dump() | {"acceptance": []}]}, "units.0.acceptance"),
        ("specification", {"statement": "s", "tests": []}, "no test states R1"),
        ("specification", {"statement": "s", "tests": [stated(requirement="R2")]}, "'R2' is not a requirement"),
        ("specification", {"statement": "s", "tests": [stated(), stated()]}, "t.py::a is listed more than once"),
        ("specification", {"statement": "s", "tests": [stated(held_out=False)]}, "none is held out"),
        (
            "review",
            {
                "summary": "s",
                "doubts": [{"statement": "d", "requirement": "R3", "check": {"id": "c", "command": ["x"]}}],
            },
            "'R3' is not a requirement",
        ),
    ],
)
def test_a_result_that_does_not_fit_says_why(result: str, args: dict[str, Any], problem: str) -> None:
    """The place and the problem, a line each, for the model to mend."""
    with pytest.raises(InvalidSubmission) as caught:
        read_submission(task(result, held_out=result == "specification"), args)
    assert problem in str(caught.value)


def test_without_a_held_out_tree_no_test_is_held_out() -> None:
    """A test cannot lie where there is no place."""
    with pytest.raises(InvalidSubmission, match="no held-out tree"):
        read_submission(task("specification"), {"statement": "s", "tests": [stated()]})


def test_a_tester_may_decline() -> None:
    """Saying that it cannot be stated is a result of its own."""
    made = read_submission(task("specification", held_out=True), {"statement": "s", "declined": "no way to tell"})
    assert isinstance(made, Specification) and made.declined == "no way to tell"
