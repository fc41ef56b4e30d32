"""Sending the judge's probe along with a run of tests, or in its place."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Final

from assay.evidence.probe_calls import Probe
from assay.evidence.runner_pytest import PLACE, Run

_NOTING: Final = "probe_recorder"
_DOING: Final = "probe_replayer"
_DRESS: Final = "probe_dress"
_VALUES: Final = "probe_values"
_TRYING: Final = "mutant_runner"


def with_probe(run: Run, probe: Probe, seconds: float) -> Run:
    """Return a run that notes calls, that does calls again and runs no tests, or that tries mutants before the tests.

    Args:
        run: as it would be without.
        probe: what is to be noted or done.
        seconds: limit of the whole run; what is done beside the tests gets half of it, so that its answers arrive.
    """
    part = _TRYING if probe.mutants else _DOING if probe.calls else _NOTING
    task = json.loads(run.stdin)
    asked = {**probe.model_dump(mode="json"), "name": part, "seconds": seconds / 2, "control": task["control"]}
    task["part"] = asked
    sent = {**run.files, **{f"{PLACE}/{name}.py": _source(name) for name in (part, _DRESS, _VALUES)}}
    return replace(run, stdin=json.dumps(task).encode(), files=sent)


def probe_source() -> str:
    """Return the text of all parts that go into a sandbox."""
    return "".join(_source(name).decode() for name in (_NOTING, _DOING, _DRESS, _VALUES, _TRYING))


def _source(name: str) -> bytes:
    return (files("assay.evidence.judge_side") / f"{name}.py").read_bytes()
