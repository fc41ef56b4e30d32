"""Import architecture: what import-linter says in a sandbox, by the contracts that the base has.

It imports the program to learn what imports what, so it never runs on the host. A change of the contracts themselves is
not held against them: the base's file stands in both trees, and it is named, for import-linter would look into others
first. A change of what Python would load in the place of import-linter is not judged by it.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
import sys
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser, Error
from typing import Final

from assay.errors import SandboxLost
from assay.evidence.gates.looks import Look, Side
from assay.policies.gates import GateFinding, GateResult, judge_findings, unclear
from assay.records.sandboxes import CommandResult, Exited
from assay.records.trees import Tree, TreeFile

_COMMAND: Final = ("lint-imports", "--no-cache")
_JUDGE: Final = frozenset(
    {
        *(
            "importlinter",
            "grimp",
            "click",
            "colorama",
            "rich",
            "markdown_it",
            "mdurl",
            "pygments",
            "typing_extensions",
        ),
        *("tomli", "toml", "joblib", "networkx", "sitecustomize", "usercustomize", "exceptiongroup"),
        *(sys.stdlib_module_names - {"test", "idlelib", "lib2to3", "turtledemo", "antigravity", "this"}),
    }
)
"""Modules that import-linter loads, in its versions of several years, and all that Python's own library has."""
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
    if instead := sorted(set(_instead_of_the_judge(look, await look.git.tree(look.head)))):
        told = ", ".join(instead[:5])
        return unclear(look.name, look.gate, f"it changes what import-linter itself would load: {told}")
    found: dict[Side, list[GateFinding]] = {}
    for side in _SIDES:
        result = await _run(look, side, path, file)
        if result is None:
            return unclear(look.name, look.gate, f"import-linter could not be run on the {side}")
        broken = broken_contracts(result)
        if broken is None:
            said = (result.stderr.text.strip() or result.stdout.text.strip())[-300:]
            return unclear(look.name, look.gate, f"import-linter gave no answer on the {side}: {said}")
        found[side] = broken
    return judge_findings(look.name, look.gate, found["base"], found["head"], f"the contracts of {path}")


_SIDES: tuple[Side, ...] = ("base", "head")


def _instead_of_the_judge(look: Look, head: Tree) -> Iterator[str]:
    """Yield what the change touches of modules that Python, which looks in the tree first, takes for the judge's."""
    project = look.settings.project
    folders = {posixpath.normpath(posixpath.join(project.root, part)) for part in ("", *project.source_roots)}
    prefixes = {"" if folder == "." else f"{folder}/" for folder in folders}
    loaded = {p.rpartition("/")[0] for p in head if posixpath.basename(p).startswith("__init__.")}
    for path in (change.path for change in look.changes if change.path in head):
        if path in folders:  # a link to modules elsewhere
            yield path
        for prefix in prefixes:
            if path.startswith(prefix):
                first, _, rest = path.removeprefix(prefix).partition("/")
                name = first.partition(".")[0]
                if name in _JUDGE and (not rest or f"{prefix}{first}" in loaded):
                    yield path


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


async def _run(look: Look, side: Side, path: str, file: TreeFile) -> CommandResult | None:
    roots = look.settings.project.source_roots
    command = (*_COMMAND, "--config", posixpath.basename(path))
    for _ in range(2):
        try:
            async with look.sandbox(side, {path: file}) as sandbox:
                environment = {"PYTHONPATH": ":".join(roots), "NO_COLOR": "1", "COLUMNS": "400"}
                result = await sandbox.run(command, cwd=look.settings.project.root, env=environment)
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
