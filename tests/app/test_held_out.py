"""Nothing of a held-out test is within a coder's reach, at any attempt: its whole sandbox is searched for a token."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.app.deciders import FileDecider
from assay.app.service import Assay
from assay.policies.loading import default_settings
from assay.policies.settings import ProofSettings
from assay.records.entries import EntryKind
from assay.records.runs import RunStatus
from assay.tickets.reading import read_ticket

DEMO = Path(__file__).parents[2] / "examples" / "demo"
TOKEN = "planted-5c1e-token"
SHORT = default_settings().model_copy(
    update={"proof": ProofSettings(baseline_runs=1, jittered=0, ablations=0, probed=0, level="C")}
)
"""What is proven is not the point here, and each step that is left out saves seconds."""
SEARCH = (
    "find / -xdev -type f -not -path '/proc/*' -not -path '/sys/*' -print0 2>/dev/null"
    " | xargs -0 grep -l 'planted-5c1e-toke[n]' 2>/dev/null;"
    " grep -rl 'planted-5c1e-toke[n]' /workspace /held_out /tmp /dev/shm 2>/dev/null;"
    " cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -ac 'planted-5c1e-toke[n]'; echo SEARCHED"
)


def searching_script(folder: Path) -> Path:
    """Return the demonstration's script, with a token in each held-out file and a search at the start of each coder."""
    script = yaml.safe_load((DEMO / "script.yaml").read_text())
    for part in script["script"]:
        if part["role"] == "tester":
            for turn in part["turns"]:
                calls = turn.get("call", [])
                for call in calls if isinstance(calls, list) else [calls]:
                    written = call.get("write_file", {})
                    if written.get("file_path", "").startswith("/held_out/"):
                        written["content"] += f"\n\nTOKEN = {TOKEN!r}\n"
            part["turns"].insert(-1, {"call": {"execute": {"command": SEARCH}}})
        if part["role"] in ("coder", "reviewer"):
            part["turns"].insert(0, {"call": {"execute": {"command": SEARCH}}})
        for turn in part["turns"]:
            turn.pop("expect", None)  # the search stands in the place of what was expected
    path = folder / "script.yaml"
    path.write_text(yaml.safe_dump(script))
    return path


@pytest.mark.docker
async def test_no_coder_and_no_reviewer_finds_a_planted_token(tmp_path: Path) -> None:
    """Disk, memory file systems, environments and command lines are searched; the tester's search does find it."""
    subprocess.run([DEMO / "repository.sh", tmp_path / "repo"], check=True)
    async with Assay.open(root=tmp_path / "state") as assay:
        run = await assay.start(
            read_ticket(DEMO / "ticket.md"),
            tmp_path / "repo",
            settings=SHORT,
            model=f"scripted:{searching_script(tmp_path)}",
        )
        house = assay.house
        status, reason = await assay.advance(
            run, lambda _made: FileDecider(DEMO / "decisions.yaml", house.people, house.clock)
        )
        assert (status, reason) == (RunStatus.DELIVERED, reason)
        found = {name: searched(house.state.transcript(run, name)) for name in await tasks(assay, run)}
    searches = {name: text for name, text in found.items() if "SEARCHED" in text}
    assert {"shares.coder.1", "shares.coder.2", "amounts.coder.1", "shares.reviewer.1"} <= searches.keys()
    for name, text in searches.items():
        if ".tester." in name:
            assert "/held_out/tests/" in text, "the search must be able to find it"
        else:
            assert text.splitlines()[:2] == ["0", "SEARCHED"], f"{name} found {text}"


async def tasks(assay: Assay, run: str) -> list[str]:
    """Return the names of all tasks of a run."""
    entries = await assay.house.ledger.entries(run, kinds=(EntryKind.ROLE_ENDED,))
    return [entry.key.removeprefix("ended:") for entry in entries]


def searched(transcript: Path) -> str:
    """Return what the search of a task printed."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in transcript.read_text().splitlines()]
    texts = [str(line.get("text", "")) for line in lines if line.get("type") == "result"]
    return next((text for text in texts if "SEARCHED" in text), "")
