"""S15: speed that is claimed is measured from outside, base and head in turn."""

from __future__ import annotations

import pytest

from assay.evidence.meters import MOST, interval
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .conftest import World, plain

PROVEN, INCONCLUSIVE, REFUTED = VerdictStatus.PROVEN, VerdictStatus.INCONCLUSIVE, VerdictStatus.REFUTED

SLOW = plain("""
    def total(count):
        found = 0
        for number in range(count):
            for _ in range(400):
                found += number
        return found
""")
QUICK = "def total(count):\n    return 400 * sum(range(count))\n"
SUITE = "from sums import total\n\n\ndef test_total():\n    assert total(3) == 1200\n"
WEAK = SUITE.replace("total(3) == 1200", "total(0) == 0")
BENCH = "import sums\n\nprint(sums.total(9))\n"
WORK = ("python3", "-c", "import sums; print(sums.total(8000))")


def test_the_interval_is_that_of_the_sign_test() -> None:
    """Known values: of 7 it is the extremes (98.4 %), of 9 the second and the eighth (96.1 %), of 5 there is none."""
    assert (interval([5.0, 1, 2, 3, 4, 6, 7]).low, interval([5.0, 1, 2, 3, 4, 6, 7]).high) == (1, 7)
    nine = interval([float(n) for n in range(1, 10)])
    assert (nine.low, nine.middle, nine.high) == (2, 5, 8)
    assert interval([1.0, 2, 3, 4, 5]).high == float("inf")


async def claim(
    world: World, program: str, command: tuple[str, ...], at_most: float, *, suite: str = SUITE, bench: str = BENCH
) -> Verdict:
    """Return the verdict on a claim about speed."""
    base = await world.commit({"sums.py": SLOW, "tests/test_sums.py": suite, "bench.py": BENCH})
    head = await world.commit({"sums.py": program, "bench.py": bench}, base)
    speed = {"command": command, "at_most": at_most}
    return await world.prove(base, head, ClaimKind.PERFORMANCE, speed=speed)


@pytest.mark.docker
async def test_a_true_speed_up_is_proven(world: World) -> None:
    """The interval lies below the bound."""
    verdict = await claim(world, QUICK, WORK, 0.8)
    assert verdict.status is PROVEN, verdict.reasons
    assert next(s for s in verdict.steps if s.id == "S15").outcome == "passed"


@pytest.mark.docker
async def test_a_speed_up_that_is_not_there_is_refuted(world: World) -> None:
    """The interval lies above the bound, and the witness says by how much."""
    verdict = await claim(world, SLOW + "\n\nFASTER = True\n", WORK, 0.5)
    assert verdict.status is REFUTED, verdict.reasons
    assert verdict.witness is not None
    assert 7 <= verdict.witness.reproduced <= MOST
    assert "not as fast as claimed" in verdict.reasons[0]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("program", "command", "why"),
    [
        (QUICK, ("python3", "bench.py"), "the workload is the change's own: bench.py"),
        (QUICK.replace("400", "401"), WORK, "does not print the same"),
        (QUICK, ("python3", "-c", "raise SystemExit(3)"), "does not run at the"),
        (QUICK, ("python3", "-c", "import sums; sums.total(8000)"), "prints nothing"),
    ],
    ids=["bent", "other", "broken", "mute"],
)
async def test_a_workload_that_shows_nothing(world: World, program: str, command: tuple[str, ...], why: str) -> None:
    """What the change bent, what prints something else, and what fails are no measurements."""
    verdict = await claim(world, program, command, 0.8, suite=WEAK, bench="print(14400)\n")
    assert verdict.status is INCONCLUSIVE, verdict.reasons
    assert why in next(s for s in verdict.steps if s.id == "S15").reasons[0]
