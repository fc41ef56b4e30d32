"""Import architecture: what import-linter says in a sandbox, by the contracts that the base has.

It imports the program to learn what imports what, so it never runs on the host. A change of the contracts themselves is
not held against them: the base's file stands in both trees.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from configparser import ConfigParser, Error
from typing import Final

from assay.errors import SandboxLost
from assay.evidence.gates.looks import Look, Side
from assay.policies.gates import GateFinding, GateResult, judge_findings, unclear
from assay.records.sandboxes import CommandResult, Exited
from assay.records.trees import TreeFile

_COMMAND: Final = ("lint-imports", "--no-cache")
_CONTRACT: Final = re.compile(r"^(.+?) (KEPT|BROKEN)(?: \(.*\))?$")
_CHAIN: Final = re.compile(r"^[\s-]*([\w.]+ -> [\w.]+)(?: \(l\..*\))?$")
_SUMMARY: Final = re.compile(r"^Contracts: \d+ kept, \d+ broken\.", re.MULTILINE)


async def look_at_imports(look: Look) -> GateResult:
    """Return whether the change imports what the base's contracts forbid, and the base did not."""
    named = await _configuration(look)
    if named is None:
        return GateResult(
            gate=look.name, outcome="pass", reasons=("the base has no contracts for import-linter, so none is broken",)
        )
    path, file = named
    found: dict[Side, list[GateFinding]] = {}
    for side in _SIDES:
        result = await _run(look, side, {path: file})
        if result is None:
            return unclear(look.name, look.gate, f"import-linter could not be run on the {side}")
        broken = broken_contracts(result)
        if broken is None:
            said = (result.stderr.text.strip() or result.stdout.text.strip())[-300:]
            return unclear(look.name, look.gate, f"import-linter gave no answer on the {side}: {said}")
        found[side] = broken
    return judge_findings(look.name, look.gate, found["base"], found["head"], f"the contracts of {path}")


_SIDES: tuple[Side, ...] = ("base", "head")


async def _configuration(look: Look) -> tuple[str, TreeFile] | None:
    """Return the file at the base that holds contracts, and its path, where there is one."""
    tree = await look.git.tree(look.base)
    root = look.settings.project.root
    for name in (".importlinter", "setup.cfg", "pyproject.toml"):
        path = name if root == "." else f"{root}/{name}"
        file = tree.get(path)
        if file is not None:
            text = (await asyncio.to_thread(look.git.contents.read, file.oid)).decode(errors="replace")
            if _has_contracts(name, text):
                return path, file
    return None


def _has_contracts(name: str, text: str) -> bool:
    try:
        if name == "pyproject.toml":
            return "importlinter" in tomllib.loads(text).get("tool", {})
        parser = ConfigParser(interpolation=None, strict=False)
        parser.read_string(text)
    except (ValueError, Error, AttributeError, RecursionError):
        return "importlinter" in text
    return parser.has_section("importlinter")


async def _run(look: Look, side: Side, over: dict[str, TreeFile]) -> CommandResult | None:
    roots = look.settings.project.source_roots
    for _ in range(2):
        try:
            async with look.sandbox(side, over) as sandbox:
                environment = {"PYTHONPATH": ":".join(roots), "NO_COLOR": "1", "COLUMNS": "400"}
                result = await sandbox.run(_COMMAND, cwd=look.settings.project.root, env=environment)
                look.evidence[side] = result.model_dump(mode="json", include={"ending", "seconds"})
                return result
        except SandboxLost:
            continue
    return None


def broken_contracts(result: CommandResult) -> list[GateFinding] | None:
    """Return what import-linter printed as broken, import by import; None where it did not come to an answer."""
    text = result.stdout.text
    if not isinstance(result.ending, Exited) or result.stdout.cut or not _SUMMARY.search(text):
        return None
    contracts = [m for line in text.splitlines() if (m := _CONTRACT.fullmatch(line.strip()))]
    broken = [m[1].strip() for m in contracts if m[2] == "BROKEN"]
    chains = [m[1] for line in text.splitlines() if (m := _CHAIN.fullmatch(line))]
    findings = [GateFinding(rule="import contract", message=f"“{name}” is broken", mark=name) for name in broken]
    return [*findings, *(GateFinding(rule="import", message=chain, mark=chain) for chain in chains)]
