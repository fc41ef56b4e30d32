"""The typed results: each role hands in one by calling its `submit_…` tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from assay.agents.protocol import RoleTask
from assay.records.base import Record
from assay.records.claims import ClaimDraft
from assay.records.plans import Plan
from assay.records.results import Review, Specification

RESULTS: Final[Mapping[str, tuple[str, type[Record], str]]] = {
    "plan": ("submit_plan", Plan, "Hand in the plan. This ends your work; the workspace is not looked at."),
    "specification": (
        "submit_tests",
        Specification,
        "Hand in the tests that you wrote, one entry for each test id. This ends your work.",
    ),
    "claim": (
        "submit_claim",
        ClaimDraft,
        "Hand in what you claim about the workspace as it is now. This ends your work. "
        "Where it could not be done, say why in `declined`: that is an honest outcome.",
    ),
    "review": ("submit_review", Review, "Hand in your review. This ends your work; you do not give a verdict."),
}
"""By kind of result: the tool's name, the record, and what the tool says of itself."""


class InvalidSubmission(Exception):
    """What was submitted is not the result that is asked for; the text says what is wrong, a line each."""


def submit_tool(task: RoleTask) -> str:
    """Return the name of the tool by which this task's result is handed in."""
    return RESULTS[task.result][0]


def submit_schema(task: RoleTask) -> dict[str, Any]:
    """Return the tool in the function form that every provider takes."""
    name, kind, description = RESULTS[task.result]
    schema = kind.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def read_submission(task: RoleTask, args: Mapping[str, JsonValue]) -> Record:
    """Return the result in these arguments; raises InvalidSubmission."""
    try:
        result = RESULTS[task.result][1].model_validate(dict(args))
    except ValidationError as error:
        raise InvalidSubmission("\n".join(_problems(error))) from error
    if problems := list(_misfits(task, result)):
        raise InvalidSubmission("\n".join(f"- {problem}" for problem in problems))
    return result


def _problems(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_context=False)[:30]:
        place = ".".join(str(part) for part in problem["loc"]) or "the whole"
        yield f"- {place}: {problem['msg']}"


def _misfits(task: RoleTask, result: Record) -> Iterable[str]:
    """Yield what a schema cannot say: where the result does not fit the unit."""
    if task.unit is None:
        return
    known = {requirement.id for requirement in task.unit.acceptance}
    match result:
        case Specification():
            yield from _specification_misfits(result, known, held_out=task.held_out)
        case ClaimDraft():
            yield from _unknown("requirements", result.requirements, known)
        case Review():
            yield from _unknown("doubts", [d.requirement for d in result.doubts if d.requirement], known)
        case _:
            return


def _specification_misfits(result: Specification, known: set[str], *, held_out: bool) -> Iterable[str]:
    if result.declined is not None:
        return
    stated = [test.requirement for test in result.tests]
    yield from _unknown("tests", stated, known)
    if missing := known - set(stated):
        yield f"tests: no test states {', '.join(sorted(missing))}"
    ids = [test.id for test in result.tests]
    for twice in sorted({i for i in ids if ids.count(i) > 1}):
        yield f"tests: {twice} is listed more than once"
    if held_out and not any(test.held_out for test in result.tests):
        yield "tests: none is held out; at least one has to lie in /held_out, where no coder sees it"
    if not held_out and any(test.held_out for test in result.tests):
        yield "tests: one is said to be held out, and this task has no held-out tree"


def _unknown(place: str, named: Iterable[str], known: set[str]) -> Iterable[str]:
    for name in sorted(set(named) - known):
        yield f"{place}: {name!r} is not a requirement of this unit; they are {', '.join(sorted(known))}"
