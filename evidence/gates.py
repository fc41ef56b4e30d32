"""The policy's gates, executed at base and head in fresh sandboxes: what was there before is not blamed on a change."""

from __future__ import annotations

from pydantic import JsonValue

from assay.errors import SandboxLost
from assay.policies.gates import GateResult, judge_gate
from assay.policies.settings import GateSettings, Settings
from assay.records.base import digest_of
from assay.records.entries import EntryKind
from assay.records.sandboxes import CommandResult, SandboxOwner
from assay.sandboxes.protocol import SandboxProvider
from assay.store.git import GitStore
from assay.store.protocol import Ledger


class CommandGates:
    """Runs every gate of the settings. Asked again about the same commits, it returns what it recorded."""

    def __init__(self, *, git: GitStore, ledger: Ledger, sandboxes: SandboxProvider, settings: Settings) -> None:
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
        results: dict[str, CommandResult | None] = {"base": None, "head": None}
        if gate.command:
            for side, commit in (("head", head), ("base", base)):
                results[side] = await self._run(run, unit, name, commit, gate)
        result = judge_gate(name, gate, await self._git.diff(base, head), base=results["base"], head=results["head"])
        ran: JsonValue = {
            side: r.model_dump(mode="json", include={"ending", "seconds"}) for side, r in results.items() if r
        }
        await self._ledger.append(
            run,
            EntryKind.GATE_JUDGED,
            key,
            {
                "gate": name,
                "outcome": result.outcome,
                "result": result.model_dump(mode="json"),
                "base": base,
                "head": head,
                "ran": ran,
            },
            unit=unit,
        )
        return result

    async def _run(self, run: str, unit: str, name: str, commit: str, gate: GateSettings) -> CommandResult | None:
        """Return how the gate's command ended on a commit, or None where its sandbox was lost twice."""
        profile = self._settings.sandbox(self._settings.proof.sandbox)
        owner = SandboxOwner(run=run, role="gate", step=f"{unit} {name}")
        for _ in range(2):
            try:
                async with await self._sandboxes.open(profile, owner) as sandbox:
                    await sandbox.put_tree(await self._git.tree(commit), self._git.contents)
                    return await sandbox.run(gate.command, cwd=self._settings.project.root)
            except SandboxLost:
                continue
        return None
