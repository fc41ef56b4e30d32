"""The plan: small units, what each must fulfil, and in which order they can go."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from assay.records.base import Record

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
"""A short name that is safe in a path, a git ref and a thread id."""


class Requirement(Record):
    """One sentence that must hold, with the id by which tests and verdicts refer to it."""

    id: Identifier
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Unit(Record):
    """A small functional change that one coder can make and one set of tests can state."""

    id: Identifier
    title: str
    specification: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    """What the unit does, precise enough to write tests from without seeing the code."""
    acceptance: Annotated[tuple[Requirement, ...], Field(min_length=1)]
    """At least one; the ids are unique over the whole plan."""
    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    """gitignore-style patterns of the source files that the coder may touch."""
    test_paths: tuple[str, ...] = ()
    """gitignore-style patterns where the tester may write; empty means the policy's test paths."""
    depends_on: tuple[Identifier, ...] = ()
    """Units that must be done before this one starts."""


class Plan(Record):
    """The planner's result. A plan that exists can be carried out: ids are unique, dependencies
    are known and free of cycles.
    """

    summary: str
    units: Annotated[tuple[Unit, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_carried_out(self) -> Self:
        ids = [unit.id for unit in self.units]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"unit ids must be unique; used more than once: {', '.join(twice)}")
        requirements = [r.id for unit in self.units for r in unit.acceptance]
        if twice := sorted({i for i in requirements if requirements.count(i) > 1}):
            raise ValueError(f"requirement ids must be unique over the plan; used more than once: {', '.join(twice)}")
        for unit in self.units:
            if unknown := sorted(set(unit.depends_on) - set(ids)):
                raise ValueError(f"unit {unit.id!r} depends on unknown units: {', '.join(unknown)}")
        try:
            TopologicalSorter({u.id: u.depends_on for u in self.units}).prepare()
        except CycleError as error:
            raise ValueError(f"units depend on each other in a circle: {' -> '.join(error.args[1])}") from error
        return self

    def in_order(self) -> tuple[Unit, ...]:
        """Return the units so that each comes after those that it depends on; ties keep the plan's order."""
        position = {unit.id: n for n, unit in enumerate(self.units)}
        by_id = {unit.id: unit for unit in self.units}
        sorter = TopologicalSorter({u.id: u.depends_on for u in self.units})
        sorter.prepare()
        order: list[Unit] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready(), key=position.__getitem__)
            order.extend(by_id[i] for i in ready)
            sorter.done(*ready)
        return tuple(order)

    def unit(self, unit_id: str) -> Unit:
        """Return the unit with this id; raises KeyError."""
        return {unit.id: unit for unit in self.units}[unit_id]
