"""What gates found in a change as SARIF 2.1.0 (OASIS), for whoever shows findings beside code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final
from urllib.parse import quote

from assay.policies.gates import GateFinding, GateResult

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {"block": "error", "ask": "warning", "warn": "note", "pass": "none"}


def write_sarif(results: Sequence[GateResult]) -> str:
    """Return the findings of gates as SARIF; a gate that did not pass without a finding becomes one of its own."""
    found = [(result, finding) for result in results for finding in _findings(result)]
    rules = sorted({_rule(result, finding) for result, finding in found})
    driver = {
        "name": "assay",
        "version": metadata.version("assay"),
        "rules": [{"id": rule, "shortDescription": {"text": rule.partition("/")[2]}} for rule in rules],
    }
    seen: Counter[tuple[str, str]] = Counter()
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(result, finding, rules, seen) for result, finding in found],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _findings(result: GateResult) -> tuple[GateFinding, ...]:
    if result.findings or result.outcome == "pass":
        return result.findings
    return (GateFinding(rule="gate", message="; ".join(result.reasons), mark=result.gate),)


def _rule(result: GateResult, finding: GateFinding) -> str:
    return f"{result.gate}/{finding.rule}"


def _result(
    result: GateResult, finding: GateFinding, rules: Sequence[str], seen: Counter[tuple[str, str]]
) -> dict[str, Any]:
    rule = _rule(result, finding)
    seen[rule, finding.path] += 1  # the mark of a finding holds in one judgement only, and may be of a secret
    same = json.dumps([rule, finding.path, seen[rule, finding.path]])
    written: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": _LEVELS[result.outcome],
        "baselineState": "new",
        "message": {"text": finding.message},
        "partialFingerprints": {"assay/v1": hashlib.sha256(same.encode()).hexdigest()[:32]},
    }
    if finding.path:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.path, errors="surrogateescape")}}
        if finding.line is not None:
            place["region"] = {"startLine": finding.line}
        written["locations"] = [{"physicalLocation": place}]
    return written
