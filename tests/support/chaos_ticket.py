"""The smallest ticket that leads through every node of the graph, with what a scripted model says and a person decides.

Its two units go in parallel. `up` is refuted once by a held-out test and mended, and a doubt about it is executed.
`down` changes an expectation of the base, so that its proof, and that of the whole, are left to a person; a gate asks
about it. The planner and a coder ask for a permission. Then the whole is delivered. A third unit, `over`, takes their
place where a run has to be short: nothing goes wrong with it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNITS = ("up", "down")

_REPOSITORY: Mapping[str, str] = {
    # Each execution of a proof is recorded in the same way: a few of them are enough to be killed at.
    "assay.toml": """\
[proof]
baseline_runs = 1
seconds = 60
jittered = 0
ablations = 0
probed = 0

[agents.planner.rules]
ask = ["execute(true)"]

[agents.coder.rules]
ask = ["execute(true)"]

[gates.size]
command = ["true"]
max_files = 2
on_failure = "ask"
""",
    "tally/__init__.py": "",
    "tally/up.py": "def up(number):\n    return number\n",
    "tally/down.py": "def down(number):\n    return number\n",
    "tally/over.py": "def over(number):\n    return number\n",
    "tests/test_tally.py": """\
from tally.down import down
from tally.up import up


def test_up_of_nothing_is_a_number():
    assert isinstance(up(0), int)


def test_down_keeps_what_it_is_given():
    assert down(3) == 3
""",
}

_UNITS: tuple[dict[str, Any], ...] = (
    {
        "id": "up",
        "title": "Count up",
        "specification": "up(n) is n + 1.",
        "acceptance": [{"id": "up-one", "text": "up(n) is one more than n."}],
        "paths": ["tally/up.py"],
    },
    {
        "id": "down",
        "title": "Count down",
        "specification": "down(n) is n - 1.",
        "acceptance": [{"id": "down-one", "text": "down(n) is one less than n."}],
        "paths": ["tally/down.py", "tally/notes/"],
    },
    {
        "id": "over",
        "title": "Count over",
        "specification": "over(n) is n + 10.",
        "acceptance": [{"id": "over-ten", "text": "over(n) is ten more than n."}],
        "paths": ["tally/over.py"],
    },
)


def _tests_of(unit: str, seen: tuple[int, int], hidden: tuple[int, int], requirement: str) -> list[dict[str, Any]]:
    """Return the tester's calls: one visible test and one that is held out."""

    def text(name: str, pair: tuple[int, int]) -> str:
        return f"from tally.{unit} import {unit}\n\n\ndef test_{name}():\n    assert {unit}({pair[0]}) == {pair[1]}\n"

    seen_file, hidden_file = f"tests/test_{unit}.py", f"tests/test_{unit}_more.py"
    stated = [
        {"id": f"{seen_file}::test_seen", "held_out": False},
        {"id": f"{hidden_file}::test_hidden", "held_out": True},
    ]
    tests = [{**test, "requirement": requirement, "fails_because": "it is not done"} for test in stated]
    return [
        {"write_file": {"file_path": f"/workspace/{seen_file}", "content": text("seen", seen)}},
        {"write_file": {"file_path": f"/held_out/{hidden_file}", "content": text("hidden", hidden)}},
        {"submit_tests": {"statement": f"{unit} moves as it should", "tests": tests}},
    ]


def _source(unit: str, expression: str) -> dict[str, Any]:
    content = f"def {unit}(number):\n    return {expression}\n"
    return {"write_file": {"file_path": f"/workspace/tally/{unit}.py", "content": content}}


def _claim(statement: str, **more: Any) -> dict[str, Any]:
    return {"submit_claim": {"kind": "fix", "statement": statement, **more}}


_CHANGED = {"test": "tests/test_tally.py::test_down_keeps_what_it_is_given", "why": "down did not go down"}
_DOUBT = {
    "statement": "Below zero it may go the other way.",
    "requirement": "up-one",
    "check": {"id": "below", "command": ["python", "-c", "from tally.up import up; assert up(-1) == 0"]},
}

_Part = tuple[str, str | None, int | None, list[dict[str, Any]]]


def _parts(units: Sequence[str]) -> list[_Part]:
    plan = {"summary": "up goes up, down goes down", "units": [unit for unit in _UNITS if unit["id"] in units]}
    run_tests = {"execute": {"command": "python -m pytest -q -p no:cacheprovider tests/test_up.py"}}
    note = {"write_file": {"file_path": "/workspace/tally/notes/down.md", "content": "It goes down.\n"}}
    return [
        ("planner", None, None, [{"call": [{"execute": {"command": "true"}}]}, {"call": [{"submit_plan": plan}]}]),
        ("tester", "up", None, [{"call": _tests_of("up", (1, 2), (5, 6), "up-one")}]),
        ("tester", "down", None, [{"call": _tests_of("down", (1, 0), (5, 4), "down-one")}]),
        (
            "coder",
            "up",
            1,
            [{"call": [_source("up", "2"), run_tests]}, {"expect": "1 passed", "call": [_claim("up is two")]}],
        ),
        ("coder", "up", 2, [{"call": [_source("up", "number + 1"), _claim("up is one more")]}]),
        (
            "coder",
            "down",
            None,
            [
                {"call": [_source("down", "number - 1"), note, {"execute": {"command": "true"}}]},
                {"call": [_claim("down is one less", changed_expectations=[_CHANGED])]},
            ],
        ),
        ("reviewer", "up", None, [{"call": [{"submit_review": {"summary": "small", "doubts": [_DOUBT]}}]}]),
        ("tester", "over", None, [{"call": _tests_of("over", (1, 11), (5, 15), "over-ten")}]),
        ("coder", "over", None, [{"call": [_source("over", "number + 10"), _claim("over is ten more")]}]),
        ("reviewer", "over", None, [{"call": [{"submit_review": {"summary": "small"}}]}]),
        ("reviewer", "down", None, [{"call": [{"submit_review": {"summary": "small"}}]}]),
    ]


_DECISIONS = [
    {"checkpoint": "tool", "decision": "approve", "times": 2},
    {"checkpoint": "plan", "decision": "approve"},
    {"checkpoint": "expectation", "decision": "approve", "times": 2},
    {"checkpoint": "waiver", "decision": "approve"},
    {"checkpoint": "delivery", "decision": "approve"},
]

_USAGE = [100, 10]


@dataclass(frozen=True, slots=True)
class ChaosTicket:
    """Where the files of the ticket lie."""

    folder: Path

    @property
    def ticket(self) -> Path:
        """The ticket's text."""
        return self.folder / "ticket.md"

    @property
    def decisions(self) -> Path:
        """What a person decides."""
        return self.folder / "decisions.yaml"

    @property
    def model(self) -> str:
        """Name of the scripted model."""
        return f"scripted:{self.folder / 'script.yaml'}"

    @classmethod
    def write(cls, folder: Path, units: Sequence[str] = UNITS) -> ChaosTicket:
        """Write ticket, script and decisions (JSON is YAML, too) into a folder; the plan has only these units."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder)
        made.ticket.write_text("---\ntitle: Up and down\n---\nup must go up, and down must go down.\n")
        made.decisions.write_text(json.dumps(_DECISIONS))
        script = []
        for role, unit, attempt, turns in _parts(units):
            named = {"unit": unit, "attempt": attempt}
            priced = [{**turn, "usage": _USAGE} for turn in turns]
            script.append({"role": role, **{k: v for k, v in named.items() if v}, "turns": priced})
        (folder / "script.yaml").write_text(json.dumps({"script": script}))
        return made


def make_repository(path: Path) -> None:
    """Make the target repository: the same commit each time."""
    for name, text in _REPOSITORY.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    when = "2026-11-22T00:00:00Z"
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(path),
        **who,
        "GIT_AUTHOR_DATE": when,
        "GIT_COMMITTER_DATE": when,
    }
    for command in (["init", "-q", "-b", "main", "."], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run(["git", *command], cwd=path, env=environment, check=True)
