"""The user's own command, at base and head in fresh sandboxes: by its exit code, or by the SARIF that it writes."""

from __future__ import annotations

import posixpath

from assay.errors import SandboxLost
from assay.evidence.gates.looks import Look, Side
from assay.evidence.gates.sarif import NotSarif, read_sarif
from assay.policies.gates import NOT_RUN, GateFinding, GateResult, judge_command, judge_findings, unclear
from assay.records.sandboxes import CommandResult, Exited
from assay.sandboxes.protocol import Sandbox

_MOST_BYTES = 20_000_000


async def look_by_command(look: Look) -> GateResult:
    """Return what the command says of the change, compared with what it says of its base."""
    try:
        head, base = await _run(look, "head"), await _run(look, "base")
        if not look.gate.sarif:
            return judge_command(look.name, look.gate, base[0], head[0])
        after = _read(look, head, "the change")
        before = _read(look, base, "the base")
    except NotSarif as error:
        return unclear(look.name, look.gate, str(error))
    return judge_findings(look.name, look.gate, before, after, f"what the command wrote to {look.gate.sarif}")


def _read(look: Look, ran: tuple[CommandResult | None, bytes | None], where: str) -> tuple[GateFinding, ...]:
    result, written = ran
    if result is None:
        raise NotSarif(f"on {where} it could not be run")
    if not isinstance(result.ending, Exited) or result.ending.code in NOT_RUN:
        how = f"exit code {result.ending.code}" if isinstance(result.ending, Exited) else result.ending.type
        raise NotSarif(f"on {where} it came to no end of its own ({how}): {result.stderr.text.strip()[-300:]}")
    if written is None:
        raise NotSarif(f"on {where} it wrote no SARIF; it printed: {result.stderr.text.strip()[-300:]}")
    try:
        return tuple(f.model_copy(update={"mark": look.mark(f.mark)}) for f in read_sarif(written))
    except NotSarif as error:
        raise NotSarif(f"on {where}: {error}") from error


async def _run(look: Look, side: Side) -> tuple[CommandResult | None, bytes | None]:
    """Return how the command ended on one side and what it wrote; None where the sandbox was lost twice."""
    root = look.settings.project.root
    place = posixpath.normpath(posixpath.join(root, look.gate.sarif)) if look.gate.sarif else ""
    for _ in range(2):
        try:
            async with look.sandbox(side, without=place.removeprefix("/workspace/")) as sandbox:
                if place and await _written(sandbox, place) is not None:  # by a link in the tree, or in the image
                    raise NotSarif(f"on the {side} {look.gate.sarif} is there before the command has run")
                result = await sandbox.run(look.gate.command, cwd=root)
                look.evidence[side] = result.model_dump(mode="json", include={"ending", "seconds"})
                if not look.gate.sarif:
                    return result, None
                return result, await _written(sandbox, place)
        except SandboxLost:
            continue
    return None, None


async def _written(sandbox: Sandbox, place: str) -> bytes | None:
    try:
        return await sandbox.read(place, limit=_MOST_BYTES)
    except (OSError, ValueError):
        return None
