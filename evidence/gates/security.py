"""Static security: what bandit, and semgrep with rules from this machine, find in the files that a change touches.

Comments in a file that silence them are not heeded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from assay.evidence.gates.looks import ChangedFile, Look, Side, in_words, too_long
from assay.evidence.gates.tools import ScannerFailed, python_tool, scan
from assay.policies.gates import GateFinding, GateResult, judge_findings, unclear

_BANDIT = ("-r", "{}", "-f", "json", "-q", "--exit-zero", "--ignore-nosec", "-x", "/nothing/is/left/out")
"""Left out by default is whatever has `CVS` and the like anywhere in its path."""
_NOT_MEANT = frozenset({"wrong_language", "irrelevant_rule"})
"""Why semgrep says that it left out what none of the rules is for."""
_QUOTING = frozenset({"B105", "B106", "B107"})
"""Rules that quote the password which they find."""
_SEMGREP = (
    *("semgrep", "scan", "--json", "--quiet", "--metrics", "off", "--disable-version-check", "--no-git-ignore"),
    *("--disable-nosem", "--max-target-bytes", "0"),
)


async def look_for_weaknesses(look: Look) -> GateResult:
    """Return whether the change brings weak code that its base does not hold."""
    head = await look.files("head")
    if long := too_long(head):
        return unclear(look.name, look.gate, f"too long to be scanned: {', '.join(long[:5])}")
    try:
        found = {side: await _found(look, await look.files(side)) for side in _SIDES}
    except ScannerFailed as error:
        return unclear(look.name, look.gate, str(error))
    python = tuple(file for file in head if _is_python(file))
    return judge_findings(
        look.name, look.gate, found["base"], found["head"], in_words(head if look.gate.rules else python)
    )


_SIDES: tuple[Side, ...] = ("base", "head")


async def _found(look: Look, files: Sequence[ChangedFile]) -> list[GateFinding]:
    found = await _bandit(look, [file for file in files if _is_python(file)])
    return [*found, *(await _semgrep(look, files))] if look.gate.rules else found


def _is_python(file: ChangedFile) -> bool:
    return file.path.lower().endswith((".py", ".pyi", ".pyw")) or file.data.startswith(
        (b"#!/usr/bin/env python", b"#!/usr/bin/python")
    )


async def _bandit(look: Look, files: Sequence[ChangedFile]) -> list[GateFinding]:
    out, names = await scan(
        [*python_tool("bandit"), *_BANDIT], files, lambda file: ("file.py", file.data)
    )  # as it is: what it is written in, a comment in it may say
    report = _read(out, "bandit") if names else {"results": [], "errors": []}
    if report.get("errors"):
        first = report["errors"][0]
        place = _path(names, str(first["filename"]))
        raise ScannerFailed(f"bandit cannot read {place}: {first['reason']}")
    texts = {file.path: file.text.splitlines() for file in files}
    found = []
    for result in report["results"]:
        path, line = _path(names, result["filename"]), result["line_number"]
        code = "\n".join(texts[path][n - 1] for n in result.get("line_range") or [line] if n <= len(texts[path]))
        rule, said = str(result["test_id"]), str(result["issue_text"])
        said = said.partition(":")[0] if rule in _QUOTING else said
        found.append(_finding(look, rule, said, path, line, code))
    return found


async def _semgrep(look: Look, files: Sequence[ChangedFile]) -> list[GateFinding]:
    configs = [word for rule in look.gate.rules for word in ("--config", rule)]
    out, names = await scan([*_SEMGREP, *configs, "{}"], files)
    report = _read(out, "semgrep") if names else {"results": [], "errors": []}
    if wrong := report.get("errors"):
        raise ScannerFailed(f"semgrep: {str(wrong[0].get('message', wrong[0]))[:300]}")
    if left_out := [s for s in report.get("paths", {}).get("skipped") or () if s.get("reason") not in _NOT_MEANT]:
        place = _path(names, str(left_out[0].get("path")))
        raise ScannerFailed(f"semgrep left out {place}: {left_out[0].get('reason')}")
    texts = {file.path: file.text.splitlines() for file in files}
    found = []
    for result in report["results"]:
        path, start, end = _path(names, result["path"]), result["start"]["line"], result["end"]["line"]
        code = "\n".join(texts[path][start - 1 : end])  # semgrep itself shows it only to who has an account
        found.append(_finding(look, str(result["check_id"]), str(result["extra"]["message"]), path, start, code))
    return found


def _path(names: dict[str, str], written: str) -> str:
    """Return the path in the change of a file that was laid out, from a path that ends in its name there."""
    return next(path for name, path in names.items() if written == name or written.endswith(f"/{name}"))


def _finding(look: Look, rule: str, message: str, path: str, line: Any, code: str) -> GateFinding:
    """Return a finding whose mark is its code without blanks: the lines around it may come and go."""
    mark = look.mark("".join(code.split()))
    return GateFinding(rule=rule, message=message.split("\n")[0][:300], path=path, line=int(line), mark=mark)


def _read(out: bytes, tool: str) -> dict[str, Any]:
    try:
        read = json.loads(out)
    except ValueError as error:
        raise ScannerFailed(f"{tool} printed what cannot be read: {error}") from error
    if not isinstance(read, dict) or "results" not in read:
        raise ScannerFailed(f"{tool} printed no results")
    return read
