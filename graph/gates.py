"""What a gate keeper is to the graph: somebody who holds the policy's gates against a change."""

from __future__ import annotations

from typing import Protocol

from assay.policies.gates import GateResult


class GateKeeper(Protocol):
    """Holds every gate of the policy against a change. Asked again, it returns what it recorded."""

    async def judge(self, run: str, unit: str, base: str, head: str) -> tuple[GateResult, ...]:
        """Return what each gate says of the change from `base` to `head`."""
        ...
