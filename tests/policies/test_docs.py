"""The examples of docs/policies.md are what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from assay.policies.loading import parse_settings
from assay.policies.rules import RuleBook
from assay.policies.settings import GateKind

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_decides_as_written() -> None:
    """Each policy loads, and each line below it comes out as it says."""
    book = None
    judged = 0
    for language, role, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "toml":
            settings = parse_settings(text, name="docs/policies.md")
            continue
        book = RuleBook(settings.role(role or "coder").rules)
        for line in text.splitlines():
            outcome, tool, argument = line.split(maxsplit=2)
            args = {"command": argument} if tool == "execute" else {"file_path": argument}
            decision = book.decide(tool, args)
            assert decision.outcome == outcome, (line, decision.reason)
            judged += 1
    assert judged > 50


def test_every_gate_of_the_page_loads() -> None:
    """docs/gates.md shows a gate of each kind, and its example is an `assay.toml`."""
    page = PAGE.with_name("gates.md").read_text(encoding="utf-8")
    (text,) = [text for language, _, text in BLOCK.findall(page) if language == "toml"]
    kinds = {gate.kind for gate in parse_settings(text, name="docs/gates.md").gates.values()}
    assert kinds - {None} == set(get_args(GateKind))
    assert all(f"| `{kind}` |" in page for kind in kinds - {None})
