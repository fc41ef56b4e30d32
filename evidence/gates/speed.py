"""Performance: the same benchmark on base and head, in turn, and a bound on the ratio of what they take.

Where the noise is larger than what the bound allows to tell, the answer is `inconclusive`, and a person is asked.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Final

from assay.errors import SandboxLost
from assay.evidence.gates.looks import Look, Side
from assay.evidence.meters import FEWEST, MOST, Ratio, interval
from assay.policies.gates import GateFinding, GateResult, unclear
from assay.records.sandboxes import CommandResult
from assay.records.trees import TreeFile
from assay.sandboxes.protocol import Sandbox

_BETWEEN: Final = re.compile(r"[\s'\";&|()=<>,`]+|::")
"""What stands between the paths in a word, where it is a shell's line, an option with its value, or a test's id."""
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
    files, folders = set(_named(look)), tuple(f"{folder}/" for folder in _folders(look))
    everything = {path: c for c in look.changes for path in (c.path, c.old_path) if path is not None}
    touched = [path for path in everything if path in files or path.startswith(folders)]
    if new := [path for path in touched if path not in base]:
        return f"the benchmark is the change's own: {', '.join(new)}"
    if len(touched) == len(everything) and any(path not in files for path in touched):
        return "all that it changes belongs to the benchmark, of which the base's is taken: nothing would be measured"
    look.evidence["of the base"] = list(touched)
    return {path: base[path] for path in touched}


def _named(look: Look) -> Iterator[str]:
    """Yield the paths that the words of the command may mean, from the folder it runs in, and files of its modules."""
    project, command = look.settings.project, look.gate.command
    words = [word for said in command for word in _BETWEEN.split(said) if word]
    for word in words:
        yield _from(project.root, word)
    for before, word in pairwise(words):
        if before == "-m" and re.fullmatch(r"\w+(?:\.\w+)*", word):
            place = word.replace(".", "/")
            for part in ("", *project.source_roots):
                for file in (f"{place}.py", f"{place}/__main__.py", f"{place}/__init__.py"):
                    yield _from(project.root, posixpath.join(part, file))


def _folders(look: Look) -> Iterator[str]:
    """Yield those of the paths that may be a folder with the benchmark: none in which the whole program is."""
    project = look.settings.project
    roots = [_from(project.root, part) for part in ("", *project.source_roots)]
    for path in _named(look):
        if path != "." and not any(root == path or root.startswith(f"{path}/") for root in roots):
            yield path


def _from(root: str, word: str) -> str:
    return posixpath.normpath(posixpath.join(root, word)).removeprefix("/workspace/")


async def _run(look: Look, sandbox: Sandbox) -> CommandResult:
    return await sandbox.run(look.gate.command, cwd=look.settings.project.root)


def _said(result: CommandResult) -> str:
    return (result.stderr.text.strip() or result.stdout.text.strip())[-300:] or result.ending.type
