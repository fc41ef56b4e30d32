"""The user's own command, at base and head in fresh sandboxes: by its exit code, or by the SARIF that it writes."""

from __future__ import annotations

from assay.errors import SandboxLost
from assay.evidence.gates.looks import Look, Side
from assay.evidence.gates.sarif import NotSarif, read_sarif
from assay.policies.gates import GateFinding, GateResult, judge_command, judge_findings, unclear
from assay.records.sandboxes import CommandResult

_MOST_BYTES = 20_000_000


async def look_by_command(look: Look) -> GateResult:
    """Return what the command says of the change, compared with what it says of its base."""
    head, base = await _run(look, "head"), await _run(look, "base")
    if not look.gate.sarif:
        return judge_command(look.name, look.gate, base[0], head[0])
    try:
        after = _read(head, "the change")
        before = _read(base, "the base")
    except NotSarif as error:
        return unclear(look.name, look.gate, str(error))
    return judge_findings(look.name, look.gate, before, after, f"what the command wrote to {look.gate.sarif}")


def _read(ran: tuple[CommandResult | None, bytes | None], where: str) -> tuple[GateFinding, ...]:
    result, written = ran
    if result is None:
        raise NotSarif(f"on {where} it could not be run")
    if written is None:
        raise NotSarif(f"on {where} it wrote no SARIF; it printed: {result.stderr.text.strip()[-300:]}")
    try:
        return read_sarif(written)
    except NotSarif as error:
        raise NotSarif(f"on {where}: {error}") from error


async def _run(look: Look, side: Side) -> tuple[CommandResult | None, bytes | None]:
    """Return how the command ended on one side and what it wrote; None where the sandbox was lost twice."""
    root = look.settings.project.root
    for _ in range(2):
        try:
            async with look.sandbox(side) as sandbox:
                result = await sandbox.run(look.gate.command, cwd=root)
                look.evidence[side] = result.model_dump(mode="json", include={"ending", "seconds"})
                if not look.gate.sarif:
                    return result, None
                place = look.gate.sarif if look.gate.sarif.startswith("/") else f"{root}/{look.gate.sarif}"
                try:
                    return result, await sandbox.read(place, limit=_MOST_BYTES)
                except (OSError, ValueError):
                    return result, None
        except SandboxLost:
            continue
    return None, None
