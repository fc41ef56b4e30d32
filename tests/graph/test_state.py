"""The state survives the real saver, equal to itself; what was corrupted is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite
import ormsgpack
import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from pydantic import ValidationError

from assay.app.wiring import record_serializer
from assay.graph.state import RunState, UnitOutcome, UnitRun, UnitState
from assay.records.base import Record
from assay.records.runs import RunStatus, UnitStatus

UNIT = UnitState(id="one", status=UnitStatus.RUNNING, base="b" * 40, implement_attempts=2, redo=True)
RUN = RunState(run="r1", base="a" * 40, plan="sha256:1", units={"one": UNIT}, status=RunStatus.PARKED)


@pytest.mark.parametrize(
    "record", [UNIT, RUN, UnitRun(run="r1", run_base="a", plan="p", unit=UNIT, units={"one": UNIT}), UnitOutcome()]
)
def test_every_record_of_the_state_survives_the_serializer(record: Record) -> None:
    """It comes back as its own type and equal, not as a dict."""
    serde = record_serializer()
    back = serde.loads_typed(serde.dumps_typed(record))
    assert type(back) is type(record)
    assert back == record


def test_a_type_that_is_not_registered_does_not_come_back() -> None:
    """The negative control: without registration a record would be a dict, or nothing, in silence."""

    class Stranger(Record):
        at: datetime

    serde = record_serializer()
    back = serde.loads_typed(serde.dumps_typed(Stranger(at=datetime(2026, 1, 1, tzinfo=UTC))))
    assert not isinstance(back, Stranger)


async def test_a_corrupted_record_is_refused_at_the_next_node(tmp_path: Path) -> None:
    """A stored value that no longer validates does not get into a node."""
    ran = []

    async def node(state: RunState) -> dict[str, Any]:
        ran.append(state)
        return {}

    graph = StateGraph(RunState)
    graph.add_node("first", node)
    graph.add_node("second", node)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    async with aiosqlite.connect(tmp_path / "c.sqlite3") as connection:
        saver = AsyncSqliteSaver(connection, serde=record_serializer())
        compiled = graph.compile(checkpointer=saver, interrupt_before=["second"])
        config: Any = {"configurable": {"thread_id": "t"}}
        await compiled.ainvoke(RUN, config, durability="sync")
        cursor = await connection.execute("SELECT rowid, checkpoint FROM checkpoints")
        changed = 0
        for rowid, blob in await cursor.fetchall():
            corrupted = bytes(blob).replace(b"redo\xc3", b"redo\x07")
            changed += corrupted != bytes(blob)
            await connection.execute("UPDATE checkpoints SET checkpoint = ? WHERE rowid = ?", (corrupted, rowid))
        await connection.commit()
        assert changed, "the corruption must hit"
        with pytest.raises((ValidationError, ValueError)):
            await compiled.ainvoke(None, config, durability="sync")
    assert len(ran) == 1
    assert ormsgpack.packb(True) == b"\xc3"
