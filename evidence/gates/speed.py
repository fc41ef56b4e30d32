"""Performance: the same benchmark on base and head, in turn, and a bound on the ratio of what they take.

Where the noise is larger than what the bound allows to tell, the answer is `inconclusive`, and a person is asked.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from assay.errors import SandboxLost
from assay.evidence.gates.looks import Look, Side
from assay.evidence.meters import FEWEST, MOST, Ratio, interval
from assay.policies.gates import GateFinding, GateResult, unclear
from assay.records.sandboxes import CommandResult
from assay.records.trees import TreeFile
from assay.sandboxes.protocol import Sandbox

_SIDES: Final[tuple[Side, ...]] = ("base", "head")


async def look_at_speed(look: Look) -> GateResult:
    """Return whether the head takes longer than the bound allows, as a part of what the base takes."""
    assert look.gate.at_most is not None
    for _ in range(2):
        try:
            return await _measure(look, look.gate.at_most)
        except SandboxLost:
            continue
    return unclear(look.name, look.gate, "its sandboxes were lost twice")


async def _measure(look: Look, bound: float) -> GateResult:
    over = await _own_files(look)
    if isinstance(over, str):
        return unclear(look.name, look.gate, over)
    async with AsyncExitStack() as stack:
        boxes = {side: await stack.enter_async_context(look.sandbox(side, over)) for side in _SIDES}
        for side in _SIDES:  # what is compiled and cached once is not measured
            first = await _run(look, boxes[side])
            if not first.ok and side == "base":
                return unclear(look.name, look.gate, f"the benchmark does not run on the base: {_said(first)}")
            if not first.ok:
                reasons = (f"the benchmark runs on the base, and not on the change: {_said(first)}",)
                return GateResult(gate=look.name, outcome=look.gate.on_failure, reasons=reasons)
        ratios: list[float] = []
        for number in range(MOST):
            taken: dict[Side, float] = {}
            for side in _SIDES if number % 2 == 0 else _SIDES[::-1]:
                result = await _run(look, boxes[side])
                if not result.ok:
                    return unclear(
                        look.name, look.gate, f"the benchmark ended otherwise the next time: {_said(result)}"
                    )
                taken[side] = result.cpu_seconds or result.seconds
            if min(taken.values()) <= 0:
                return unclear(look.name, look.gate, "the benchmark takes no time that can be measured")
            look.evidence[f"pair {number + 1}"] = {"base": taken["base"], "head": taken["head"]}
            ratios.append(taken["head"] / taken["base"])
            found = interval(ratios)
            if len(ratios) >= FEWEST and (found.high <= bound or found.low > bound):
                break
        return judge_ratio(look, interval(ratios), bound)


def judge_ratio(look: Look, found: Ratio, bound: float) -> GateResult:
    """Return what a measured ratio says: within the bound, beyond it, or not to be told."""
    told = f"the head takes {found} of the base's processor time; allowed is {bound:g}"
    if found.high <= bound:
        return GateResult(gate=look.name, outcome="pass", reasons=(told,))
    if found.low > bound:
        finding = GateFinding(rule="speed", message=told, mark="speed")
        return GateResult(gate=look.name, outcome=look.gate.on_failure, reasons=(told,), findings=(finding,))
    return unclear(look.name, look.gate, f"inconclusive, the noise is larger than what would tell: {told}")


async def _own_files(look: Look) -> dict[str, TreeFile] | str:
    """Return the benchmark's own files as the base has them, where the change touches them; or why there are none."""
    base = await look.git.tree(look.base)
    touched = [c.path for c in look.changes if any(c.path in word for word in look.gate.command)]
    if new := [path for path in touched if path not in base]:
        return f"the benchmark is the change's own: {', '.join(new)}"
    return {path: base[path] for path in touched}


async def _run(look: Look, sandbox: Sandbox) -> CommandResult:
    return await sandbox.run(look.gate.command, cwd=look.settings.project.root)


def _said(result: CommandResult) -> str:
    return (result.stderr.text.strip() or result.stdout.text.strip())[-300:] or result.ending.type
