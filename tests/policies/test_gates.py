"""Gates: what is new in a change is blamed on it, and nothing else."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest

from assay.policies.gates import GateFinding, judge_command, judge_findings, judge_parts, judge_size, unclear
from assay.policies.settings import GateSettings
from assay.records.changes import FileChange
from assay.records.sandboxes import CommandResult, Ending, Exited, OutOfMemory, Output, Signalled, TimedOut

ENDINGS: tuple[Ending | None, ...] = (
    None, Exited(code=0), Exited(code=1), Exited(code=2), Signalled(signal=9), TimedOut(seconds=5.0), OutOfMemory(),
)  # fmt: skip


def change(path: str, added: int, removed: int) -> FileChange:
    return FileChange(
        path=path, old_path=path, status="M", old_mode=0o100644, new_mode=0o100644, old_oid="1", new_oid="2",
        binary=False, added=added, removed=removed,
    )  # fmt: skip


def result(ending: Ending | None) -> CommandResult | None:
    if ending is None:
        return None
    return CommandResult(ending=ending, stderr=Output(head=b"E501 too long\n", length=14))


@pytest.mark.parametrize("on_failure", ["block", "ask", "warn"])
def test_every_pair_of_endings(on_failure: Literal["block", "ask", "warn"]) -> None:
    """Only a failure that is new is blamed; what could not be run is never passed and never blamed."""
    gate = GateSettings(command=("ruff", "check"), on_failure=on_failure)
    for base, head in itertools.product(ENDINGS, ENDINGS):
        outcome = judge_command("lint", gate, result(base), result(head)).outcome
        if head == Exited(code=0):
            assert outcome == "pass"
        elif not isinstance(head, Exited) or not isinstance(base, Exited):
            assert outcome == ("warn" if on_failure == "warn" else "ask"), (base, head)
        else:
            assert outcome == (on_failure if base.code == 0 else "pass"), (base, head)


def test_reasons_say_what_happened() -> None:
    """A person reads how it ended on both sides, and the end of what was printed."""
    gate = GateSettings(command=("ruff",))
    new = judge_command("lint", gate, result(Exited(code=0)), result(Exited(code=1)))
    assert new.reasons == (
        "the command ends with exit code 1 on the change, and succeeds on the base",
        "it printed: E501 too long",
    )
    old = judge_command("lint", gate, result(Exited(code=1)), result(Exited(code=1)))
    assert "so the change is not blamed" in old.reasons[0]
    missing = judge_command("lint", gate, result(Exited(code=127)), result(Exited(code=127)))
    assert (missing.outcome, "its program is not there" in missing.reasons[0]) == ("ask", True)
    lost = judge_command("lint", gate, result(Exited(code=0)), result(TimedOut(seconds=60)))
    assert lost.reasons == ("on the change it ran out of its 60 seconds",)


def test_size_counts_files_and_lines() -> None:
    """At the bound is within it."""
    changes = [change("a.py", 10, 5), change("b.py", 1, 0)]
    assert judge_size("size", GateSettings(max_files=2, max_lines=16), changes).outcome == "pass"
    result = judge_size("size", GateSettings(max_files=1, max_lines=15, on_failure="block"), changes)
    assert result.outcome == "block"
    assert result.reasons[0] == "2 files are changed, and the gate allows 1"
    assert "most of them in a.py (15)" in result.reasons[1]
    assert judge_size("size", GateSettings(max_files=0), []).outcome == "pass"


def test_a_gate_of_two_parts_is_as_strict_as_the_stricter() -> None:
    """Size passes, the command does not: the gate does not."""
    gate = GateSettings(command=("x",), max_files=5, on_failure="block")
    changes = [change("a.py", 1, 0)]
    size = judge_size("g", gate, changes)
    failed = judge_parts("g", [size, judge_command("g", gate, result(Exited(code=0)), result(Exited(code=1)))])
    assert failed.outcome == "block"
    assert all("files are changed" not in reason for reason in failed.reasons)
    passed = judge_parts("g", [size, judge_command("g", gate, result(Exited(code=0)), result(Exited(code=0)))])
    assert (passed.outcome, len(passed.reasons)) == ("pass", 2)
    assert judge_parts("g", [size, judge_command("g", gate, None, None)]).outcome == "ask"


def test_a_gate_without_anything_to_do_does_not_pass() -> None:
    """Loading refuses it; made otherwise, it asks."""
    assert judge_parts("g", []).outcome == "ask"


def test_only_new_findings_are_blamed() -> None:
    """One that the base has in another place is old; twice where it was once is new once."""
    gate = GateSettings(kind="secrets", on_failure="block")
    old = GateFinding(rule="key", message="a key", path="a.py", line=1, mark="x")
    moved = GateFinding(rule="key", message="a key", path="b.py", line=9, mark="x")
    other = GateFinding(rule="key", message="a key", path="b.py", line=2, mark="y")
    assert judge_findings("g", gate, [old], [moved], "1 file").reasons == ("nothing new in 1 file",)
    twice = judge_findings("g", gate, [old], [old, moved], "2 files")
    assert (twice.outcome, twice.findings) == ("block", (moved,))
    assert judge_findings("g", gate, [old], [other], "1 file").reasons == ("b.py:2: a key (key)",)
    many = judge_findings("g", gate, [], [other] * 300, "1 file")
    assert (many.reasons[-1], len(many.findings)) == ("and 290 more", 200)


def test_what_could_not_be_looked_at_never_passes() -> None:
    """It asks, and only warns where the gate only warns."""
    assert unclear("g", GateSettings(on_failure="block"), "x").outcome == "ask"
    assert unclear("g", GateSettings(on_failure="warn"), "x").outcome == "warn"
