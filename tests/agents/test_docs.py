"""The examples of docs/agents.md are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.agents.bench import Bench

from assay.agents.protocol import Finished
from assay.records.claims import ClaimDraft

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agents.md"


def example(language: str) -> str:
    """Return the page's only example in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


async def test_the_script_plays(bench: Bench) -> None:
    """Both parts lead to a claim, and the first one mends the file."""
    first = await bench.agent(example("yaml")).advance({})
    assert isinstance(first, Finished)
    assert b"a + b" in (await bench.files(first.tree))["calc.py"]
    second = await bench.agent(example("yaml"), bench.task(attempt=2, brief="R1 does not hold.")).advance({})
    assert isinstance(second, Finished)


async def test_an_agent_of_ones_own_fills_a_role(bench: Bench) -> None:
    """The class of the page is asked in the place of the built-in coder."""
    names: dict[str, Any] = {}
    exec(compile(example("python"), str(PAGE), "exec"), names)
    own = {"coder": lambda task: names["Declining"](task, bench.git, bench.blobs)}
    done = await bench.agent("script: [{role: x, turns: [{say: x}]}]", extra_roles=own).advance({})
    assert isinstance(done, Finished)
    assert ClaimDraft.model_validate_json(await bench.blobs.get(done.result)).declined
