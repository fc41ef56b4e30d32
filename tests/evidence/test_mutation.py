"""S13: mutants of changed lines are killed by some check, or listed; what no check executes is listed as that."""

from __future__ import annotations

import pytest

from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .conftest import BASE, Files, World, case, plain

PROOF = ProofSettings(seconds=60, level="C", jittered=0, ablations=4, probed=0, mutants=60)


async def mutate(world: World, base: Files, change: Files, **fields: object) -> Verdict:
    """Prove a feature with S13 and little else."""
    first = await world.commit(base)
    settings = Settings(proof=PROOF.model_copy(update=fields))
    return await world.assayer(settings).prove(case(first, await world.commit(change, first), ClaimKind.FEATURE))


def unproven(verdict: Verdict) -> dict[str, str]:
    """Return the reason of each unproven line, by place."""
    return {str(line): line.reason for line in verdict.unproven_lines}


CLAMP = plain("""
    LOWEST = 0
    LIMIT = 10


    def clamp(value, step=1):
        if value < LOWEST:
            raise ValueError("too low")
        if value > LIMIT and step:
            return LIMIT
        while value > 100:
            value -= step
        return value
""")


@pytest.mark.docker
async def test_what_survives_is_told_with_its_text(world: World) -> None:
    """A boundary that no test comes near, a default that none uses, and a line that none executes."""
    tests = """
        import pytest

        from clamp import clamp


        def test_inside():
            assert clamp(5) == 5
            assert clamp(11) == 10


        def test_below():
            with pytest.raises(ValueError):
                clamp(-1)
    """
    verdict = await mutate(world, BASE, {"clamp.py": CLAMP, "tests/test_clamp.py": tests})
    for s in verdict.steps:
        print(s.id, s.outcome, s.reasons, s.seconds)
    for line in verdict.unproven_lines:
        print(line, line.reason, "|", line.text)
    for e in await world.evidence():
        if "mutants" in e.purpose:
            print(e.id, e.ending, e.trouble, e.seconds, e.output)
            print(e.observed)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert 0
