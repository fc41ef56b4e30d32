"""SARIF 2.1.0 (OASIS), as scanners write it: its results as findings. What a gate finds is written by `reports`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from assay.policies.gates import GateFinding
from assay.records.base import digest_of_bytes


class NotSarif(Exception):
    """There are no results to read; the message says why."""


def read_sarif(data: bytes) -> tuple[GateFinding, ...]:
    """Return the results in a file, those left out that whoever runs the scanner suppressed, and those passed or gone.

    A comment in the source suppresses nothing: the change may have brought it.

    A result is the same as another one where its fingerprints are, or else rule, file and text. Raises NotSarif, also
    where the scanner says that it failed or gives no results.
    """
    try:
        document = json.loads(data)
        runs = document["runs"]
        if not runs or not all(isinstance(run.get("results"), list) for run in runs):
            raise NotSarif("what it wrote holds no results: it has not scanned")
        if any(i.get("executionSuccessful") is False for run in runs for i in run.get("invocations") or ()):
            raise NotSarif("what it wrote says that it failed (executionSuccessful is false)")
        results = [result for run in runs for result in run["results"]]
        return tuple(_finding(result) for result in results if _counts(result))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise NotSarif(f"what it wrote is no SARIF ({type(error).__name__}: {error})") from error


def _counts(result: dict[str, Any]) -> bool:
    suppressed = any(
        s.get("kind") == "external" and s.get("status", "accepted") == "accepted"
        for s in result.get("suppressions") or ()
    )
    kind, state = result.get("kind", "fail"), result.get("baselineState", "new")
    return not suppressed and kind in ("fail", "open", "review") and state != "absent"


def _finding(result: dict[str, Any]) -> GateFinding:
    rule = str(result.get("ruleId") or result.get("rule", {}).get("id") or "result")
    message = str(result["message"].get("text") or result["message"].get("markdown") or result["message"].get("id", ""))
    place: dict[str, Any] = (result.get("locations") or [{}])[0].get("physicalLocation", {})
    path = unquote(str(place.get("artifactLocation", {}).get("uri", "")))
    region = place.get("region", {})
    prints = result.get("partialFingerprints") or result.get("fingerprints") or {}
    same = prints or [path, message, region.get("snippet", {}).get("text", "")]
    line = region.get("startLine")
    return GateFinding(
        rule=rule,
        message=message.split("\n")[0][:300],
        path=path.removeprefix("file://").removeprefix("/workspace/"),
        line=line if isinstance(line, int) else None,
        mark=digest_of_bytes(json.dumps(same, sort_keys=True).encode())[7:39],
    )
