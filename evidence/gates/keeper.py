"""Holds every gate of the policy against a change, and records what each says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from pydantic import JsonValue

from assay.evidence.gates.commands import look_by_command
from assay.evidence.gates.data import look_for_data
from assay.evidence.gates.dependencies import look_at_dependencies
from assay.evidence.gates.imports import look_at_imports
from assay.evidence.gates.licences import look_for_licences
from assay.evidence.gates.looks import Look
from assay.evidence.gates.secrets import look_for_secrets
from assay.evidence.gates.security import look_for_weaknesses
from assay.evidence.gates.speed import look_at_speed
from assay.evidence.gates.tools import check_tools
from assay.policies.gates import GateResult, judge_parts, judge_size
from assay.policies.settings import GateKind, GateSettings, Settings
from assay.records.base import digest_of
from assay.records.entries import EntryKind
from assay.sandboxes.protocol import SandboxProvider
from assay.store.git import GitStore
from assay.store.protocol import Ledger

KINDS: Final[Mapping[GateKind, Callable[[Look], Awaitable[GateResult]]]] = MappingProxyType(
    {
        "secrets": look_for_secrets,
        "security": look_for_weaknesses,
        "dependencies": look_at_dependencies,
        "imports": look_at_imports,
        "licences": look_for_licences,
        "data": look_for_data,
        "speed": look_at_speed,
    }
)
"""What looks, for each kind of gate."""


class PolicyGates:
    """Runs every gate of the settings. Asked again about the same commits, it returns what it recorded."""

    def __init__(self, *, git: GitStore, ledger: Ledger, sandboxes: SandboxProvider, settings: Settings) -> None:
        """Make a keeper; raises ConfigurationError where a gate needs a scanner that is not installed."""
        check_tools(settings)
        self._git, self._ledger, self._sandboxes, self._settings = git, ledger, sandboxes, settings

    async def judge(self, run: str, unit: str, base: str, head: str) -> tuple[GateResult, ...]:
        """Return what each gate says of the change from `base` to `head`."""
        return tuple(
            [
                await self._judge_one(run, unit, base, head, name, gate)
                for name, gate in sorted(self._settings.gates.items())
            ]
        )

    async def _judge_one(self, run: str, unit: str, base: str, head: str, name: str, gate: GateSettings) -> GateResult:
        key = f"gate:{name}:{digest_of([base, head])[7:23]}"
        recorded = await self._ledger.find(run, key)
        if recorded is not None:
            return GateResult.model_validate(recorded.body["result"])
        changes = await self._git.diff(base, head)
        look = Look(
            name=name,
            gate=gate,
            settings=self._settings,
            run=run,
            unit=unit,
            base=base,
            head=head,
            changes=changes,
            git=self._git,
            sandboxes=self._sandboxes,
        )
        parts = []
        if gate.max_files is not None or gate.max_lines is not None:
            parts.append(judge_size(name, gate, changes))
        if gate.kind is not None:
            parts.append(await KINDS[gate.kind](look))
        elif gate.command:
            parts.append(await look_by_command(look))
        result = judge_parts(name, parts)
        body: dict[str, JsonValue] = {
            "gate": name,
            "kind": gate.kind,
            "outcome": result.outcome,
            "result": result.model_dump(mode="json"),
            "base": base,
            "head": head,
            "ran": look.evidence,
        }
        await self._ledger.append(
            run,
            EntryKind.GATE_JUDGED,
            key,
            {**body, "base": base, "head": head, "kind": gate.kind, "ran": look.evidence},
            unit=unit,
        )
        return result
