"""What is executed is recorded once, is executed again only when it was lost, and survives being stopped anywhere."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import docker
import pytest

from assay.errors import SandboxLost
from assay.records.sandboxes import Image, Reaped, SandboxOwner, SandboxProfile
from assay.records.verdicts import VerdictStatus
from assay.sandboxes.owners import LABEL
from assay.sandboxes.protocol import Filling, Sandbox, SandboxProvider, WorkKeeper

from .conftest import BASE, FIXED, NEW_TEST, World, case

pytestmark = pytest.mark.docker


class Counting:
    """A provider that counts what is opened, and can stop or lose what a test names."""

    def __init__(self, inner: SandboxProvider) -> None:
        self._inner = inner
        self.opened: list[str] = []
        self.prepared: list[int] = []
        self.stop_at: int | None = None
        self.lose: Counter[str] = Counter()

    async def image(self, profile: SandboxProfile) -> Image:
        return await self._inner.image(profile)

    async def open(self, profile: SandboxProfile, owner: SandboxOwner, filling: Filling | None = None) -> Sandbox:
        if self.stop_at is not None and len(self.opened) >= self.stop_at:
            raise asyncio.CancelledError
        self.opened.append(owner.step)
        purpose = owner.step.split(".")[0]
        if self.lose[purpose] > 0:
            self.lose[purpose] -= 1
            raise SandboxLost
        return await self._inner.open(profile, owner, filling)

    def prepare(self, profile: SandboxProfile, count: int, filling: Filling | None = None) -> None:
        self.prepared.append(count)
        self._inner.prepare(profile, count, filling)

    async def reap(self, keeper: WorkKeeper | None = None) -> Reaped:
        return await self._inner.reap(keeper)

    async def close(self) -> None:
        await self._inner.close()


@pytest.fixture
def counting(world: World) -> Counting:
    """The world's provider, counted; without baselines of other tests."""
    provider = Counting(world.sandboxes)
    world.sandboxes = provider
    world.cache = None
    return provider


async def test_a_proof_that_was_stopped_goes_on_where_it_was(world: World, counting: Counting) -> None:
    """Stopped after one sandbox, then after two, …: what was recorded is not executed again, and it comes to an end."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    stopped = 0
    for stop in range(1, 10):
        known = {e.id for e in await world.evidence()}
        counting.opened.clear()
        counting.stop_at = stop
        try:
            verdict = await world.prove(base, head)
        except asyncio.CancelledError:
            stopped += 1
            assert not known & set(counting.opened)
            continue
        break
    assert stopped > 1
    assert verdict.status is VerdictStatus.PROVEN
    made = await world.evidence()
    assert len({e.id for e in made}) == len(made) == 9
    counting.stop_at = 0
    assert await world.prove(base, head) == verdict, "what is recorded is returned, and nothing is executed"
    entries = await world.ledger.entries("run")
    assert [e.key for e in entries if e.key.startswith("verdict:")] == ["verdict:c1"]
    await world.ledger.verify("run")


async def test_what_was_promised_is_taken_back(world: World, counting: Counting) -> None:
    """As many sandboxes are announced as are opened or taken back, and at the end of the proof none is there."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    assert (await world.prove(base, head)).status is VerdictStatus.PROVEN
    more = sum(count for count in counting.prepared if count > 0)
    fewer = -sum(count for count in counting.prepared if count < 0)
    assert 0 < more - fewer <= len(counting.opened)
    client = docker.from_env()
    labels = [LABEL, f"dev.assay.owner.pid={os.getpid()}"]
    end = time.monotonic() + 20
    while client.api.containers(all=True, filters={"label": labels}):
        assert time.monotonic() < end, "what was prepared and not opened is still there"
        await asyncio.sleep(0.05)
    client.close()


async def test_a_lost_sandbox_is_tried_once_more(world: World, counting: Counting) -> None:
    """The loss is recorded, and the answer of the second one counts."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    counting.lose["canary"] = 1
    verdict = await world.prove(base, head)
    assert verdict.status is VerdictStatus.PROVEN
    assert [e.id for e in await world.evidence() if e.ending is None] != []


async def test_a_sandbox_that_is_lost_twice_leaves_the_claim_open(world: World, counting: Counting) -> None:
    """What could not run is neither false nor true; a later claim on the same work is free to try again."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    counting.lose["tests-that-the-change-brings"] = 2
    verdict = await world.prove(base, head)
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert "lost" in " ".join(verdict.reasons)
    again = case(base, head)
    again = again.model_copy(update={"claim": again.claim.model_copy(update={"id": "c2"})})
    assert (await world.assayer().prove(again)).status is VerdictStatus.PROVEN


async def test_a_baseline_is_kept_for_other_runs(world: World, counting: Counting) -> None:
    """The same base in the same image: its suite does not run again, and its evidence is in both ledgers."""
    world.cache = world.git.path.parent / "baselines"
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    await world.prove(base, head)
    first = [step for step in counting.opened if step.startswith("regression.base-base")]
    counting.opened.clear()
    other = case(base, head).model_copy(update={"run": "other"})
    assert (await world.assayer().prove(other)).status is VerdictStatus.PROVEN
    assert (len(first), [s for s in counting.opened if s.startswith("regression.base-base")]) == (2, [])
    assert len([e for e in await world.evidence("other") if str(e.cell) == "base/base"]) == 4


async def test_an_environment_at_fault_says_nothing_of_the_change(world: World, counting: Counting) -> None:
    """Where a test that must pass cannot, the verdict is about the machine."""
    profile = SandboxProfile(environment={"PATH": "/nowhere"})
    world.settings = world.settings.model_copy(update={"sandboxes": {"default": profile}})
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED.replace("a + b", "a - b")}, base)
    verdict = await world.prove(base, head)
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert "in this environment" in verdict.reasons[0]
