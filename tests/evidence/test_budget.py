"""The time for a proof: what it cuts short is no evidence, and what is left out is named."""

from __future__ import annotations

import time

import pytest
from tests.evidence.books import check_case
from tests.evidence.conftest import BASE, FIXED, NEW_TEST, World

from assay.evidence.facts import LeftOut
from assay.evidence.judge import judge
from assay.policies.settings import ProofSettings, Settings
from assay.records.verdicts import VerdictStatus

SLOW = "import time\n\n\ndef test_slow():\n    time.sleep(120)\n"


@pytest.mark.docker
async def test_an_execution_that_the_deadline_meets_is_cut_and_shows_nothing(world: World) -> None:
    """The proof ends soon after its time is over: inconclusive, with what was not done."""
    base = await world.commit(BASE)
    slow = await world.commit({"calc.py": FIXED, "tests/test_slow.py": SLOW, "tests/test_new.py": NEW_TEST}, base)
    world.settings = Settings(proof=ProofSettings(seconds=100, budget_seconds=5))
    began = time.monotonic()
    verdict = await world.prove(base, slow)
    assert time.monotonic() - began < 40
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert verdict.witness is None
    assert "tests that the change brings (program of head)" in verdict.reasons[0]
    assert verdict.question is not None
    assert "--seconds" in verdict.question
    purposes = [(e.purpose, str(e.cell)) for e in await world.evidence()]
    assert ("tests that the change brings", "head/head") not in purposes


def test_what_was_left_out_is_named() -> None:
    """What a proof needs leaves it open; what only adds to it does not, and is named all the same."""
    records = check_case()
    needed = records.with_facts(left_out=(LeftOut(what="regression (program of head)", needed=True),))
    verdict = judge(needed.facts, needed.evidence.values())
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert "regression (program of head)" in verdict.reasons[0]
    spared = records.with_facts(left_out=(LeftOut(what="regression in other surroundings", needed=False),))
    verdict = judge(spared.facts, spared.evidence.values())
    assert verdict.status is VerdictStatus.PROVEN
    assert any("left out" in r and "other surroundings" in r for r in verdict.reasons)
    without = judge(records.facts, records.evidence.values())
    assert not any("left out" in r for r in without.reasons)


def test_no_time_outweighs_no_canary() -> None:
    """Where there was no time for the canary, time is what a person is asked for, and not a better machine."""
    records = check_case()
    trials = tuple(t for t in records.facts.trials if t.subject.value != "canary")
    left = (LeftOut(what="canary (program of base)", needed=True),)
    late = records.with_facts(trials=trials, left_out=left)
    verdict = judge(late.facts, late.evidence.values())
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert verdict.reasons[0].startswith("the time for the proof was over")
