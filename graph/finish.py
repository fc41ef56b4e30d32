"""The end of a run: say where it stands and why, whichever way it came."""

from __future__ import annotations

from typing import Any

from assay.graph.services import Services
from assay.graph.state import RunState
from assay.records.entries import EntryKind
from assay.records.runs import RunStatus, UnitStatus
from assay.records.verdicts import Verdict

_WORST_FIRST = (
    (UnitStatus.REFUTED, RunStatus.REFUTED),
    (UnitStatus.REJECTED, RunStatus.REJECTED),
    (UnitStatus.INCONCLUSIVE, RunStatus.INCONCLUSIVE),
    (UnitStatus.EXHAUSTED, RunStatus.EXHAUSTED),
    (UnitStatus.DECLINED, RunStatus.DECLINED),
)


async def finish(services: Services, state: RunState) -> dict[str, Any]:
    """Close the run: the worst unit speaks for all of them."""
    status, reason = state.status, state.reason
    if status is RunStatus.RUNNING:
        status, reason = _worst(state)
    verdict = await services.load(state.verdict, Verdict) if state.verdict else None
    await services.ledger.append(
        state.run,
        EntryKind.RUN_ENDED,
        "ended",
        {
            "status": status.value,
            "reason": reason,
            "head": state.head,
            "verdict": verdict.status.value if verdict else None,
        },
    )
    return {"status": status, "reason": reason}


def _worst(state: RunState) -> tuple[RunStatus, str]:
    for unit_status, run_status in _WORST_FIRST:
        for unit in state.units.values():
            if unit.status is unit_status:
                return run_status, f"{unit.id}: {unit.reason}"
    return RunStatus.FAILED, "no unit says why it stopped"
