"""Secrets: keys and passwords that a change brings, found by detect-secrets in the files that it touches.

Comments in a file that allow a secret in it are not heeded, and nothing is asked of the network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from assay.evidence.gates.looks import ChangedFile, Look, in_words, too_long
from assay.evidence.gates.tools import Naming, ScannerFailed, neutral, python_tool, scan
from assay.policies.gates import GateFinding, GateResult, judge_findings, unclear

_OPTIONS = (
    *("-C", "{}", "scan", "--all-files", "--no-verify"),
    *("--disable-filter", "detect_secrets.filters.allowlist.is_line_allowlisted"),
    *("--disable-filter", "detect_secrets.filters.heuristic.is_lock_file"),
    *("--disable-filter", "detect_secrets.filters.heuristic.is_non_text_file"),
    *("--disable-filter", "detect_secrets.filters.heuristic.is_swagger_file"),
)
"""Neither a comment nor a name keeps a file from being looked at."""
_PARSED = (".yaml", ".yml", ".eyaml", ".ini", ".cfg", ".conf", ".cnf", ".cf", ".properties", ".toml")
"""Of such a file the scanner may see the values alone: it gets it as plain text, too, for the comments in it."""


async def look_for_secrets(look: Look) -> GateResult:
    """Return whether the change brings a secret that its base does not hold."""
    head = await look.files("head")
    if long := too_long(head):
        return unclear(look.name, look.gate, f"too long to be scanned: {', '.join(long[:5])}")
    try:
        before, after = await _found(look, await look.files("base")), await _found(look, head)
    except ScannerFailed as error:
        return unclear(look.name, look.gate, str(error))
    return judge_findings(look.name, look.gate, before, after, in_words(head))


async def _found(look: Look, files: tuple[ChangedFile, ...]) -> list[GateFinding]:
    found = await _scanned(look, files, neutral)
    parsed = [file for file in files if file.path.lower().endswith(_PARSED)]
    known = {(f.rule, f.path, f.mark) for f in found}
    also = await _scanned(look, parsed, lambda file: ("file.txt", neutral(file)[1]))
    return [*found, *(f for f in also if (f.rule, f.path, f.mark) not in known)]


async def _scanned(look: Look, files: Sequence[ChangedFile], naming: Naming) -> list[GateFinding]:
    out, names = await scan([*python_tool("detect_secrets"), *_OPTIONS], files, naming)
    if not names:
        return []
    try:
        results = json.loads(out)["results"]
        return [
            GateFinding(
                rule=str(found["type"]),
                message="what looks like a secret",
                path=names[name],
                line=int(found["line_number"]),
                mark=look.mark(str(found["hashed_secret"])),
            )
            for name, listed in sorted(results.items())
            for found in listed
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ScannerFailed(f"detect-secrets printed what cannot be read: {error}") from error
