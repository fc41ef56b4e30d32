"""What a run's verdicts are attested by is opened again, and held against the ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import JsonValue
from tests.cli.program import call

from assay.app.attesting import verify_run
from assay.app.wiring import House, open_house
from assay.errors import RunError, StoreCorrupt
from assay.evidence.attestation import PAYLOAD_TYPE, attest
from assay.records.base import canonical_json
from assay.records.entries import EntryKind
from assay.records.verdicts import Step, Verdict, VerdictStatus
from assay.sandboxes.fake import FakeSandboxProvider
from assay.store.signing import SigningKey, open_envelope

RUN = "check-1"
VERDICT = Verdict(
    claim="c1",
    base="a" * 40,
    head="b" * 40,
    tree="c" * 40,
    status=VerdictStatus.PROVEN,
    level="B",
    reasons=("It holds.",),
    steps=(Step(id="S0", title="Claim", outcome="passed"),),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house without an engine."""
    async with open_house(root=tmp_path / "state", sandboxes=FakeSandboxProvider()) as opened:
        yield opened


async def record(house: House, *, about: Verdict = VERDICT, run: str = RUN, signed: bool = True) -> None:
    """Record a verdict as the proof does, with a signed statement about a verdict."""
    digest = await house.blobs.put(canonical_json(VERDICT))
    told = await house.blobs.put(canonical_json(about))
    envelope = SigningKey(house.state.signing_key).sign(attest(run, about, told, "sha256:0"), PAYLOAD_TYPE)
    body: dict[str, JsonValue] = {
        "verdict": digest,
        "claim": "c1",
        "status": "proven",
        "level": "B",
        "attestation": await house.blobs.put(envelope) if signed else None,
    }
    await house.ledger.append(RUN, EntryKind.VERDICT_GIVEN, "verdict:c1", body)


async def test_a_signed_verdict_is_opened_and_exported(house: House, tmp_path: Path) -> None:
    """What is exported can be opened by anybody who has the public key, and names commit and tree."""
    await record(house)
    (found,) = await verify_run(house, RUN, tmp_path / "out")
    assert (found.claim, found.status, found.level, found.commit, found.tree) == (
        "c1",
        "proven",
        "B",
        "b" * 40,
        "c" * 40,
    )
    envelope, public = (tmp_path / "out" / name for name in ("c1.dsse.json", "signer.pub.json"))
    statement = json.loads(open_envelope(envelope.read_bytes(), public.read_bytes()))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["steps"] == [{"id": "S0", "outcome": "passed", "evidence": []}]


def test_the_command_says_what_is_signed(tmp_path: Path) -> None:
    """Verdict, level, commit, tree and key, a line each."""

    async def prepare() -> None:
        async with open_house(root=tmp_path, sandboxes=FakeSandboxProvider()) as made:
            await record(made)

    asyncio.run(prepare())
    said = call("verify", RUN, "--state", tmp_path)
    assert said.code == 0, said.err
    assert said.out.startswith("c1: proven (level B), commit bbbbbbbbbbbb, tree cccccccccccc, key ")
    assert "1 verdict signed, and the ledger is whole" in said.out
    assert call("verify", RUN, "--state", tmp_path, "--json").result["verdicts"][0]["claim"] == "c1"


async def test_a_statement_about_something_else_is_not_taken(house: House) -> None:
    """Another verdict, another run, or no signature: the ledger and the statement have to say the same."""
    await record(house, about=VERDICT.model_copy(update={"level": "A"}))
    with pytest.raises(StoreCorrupt, match="about another verdict"):
        await verify_run(house, RUN)


async def test_a_verdict_of_another_run_is_not_taken(house: House) -> None:
    """A statement cannot be carried over."""
    await record(house, run="check-2")
    with pytest.raises(StoreCorrupt, match="about another verdict"):
        await verify_run(house, RUN)


async def test_a_verdict_that_nobody_signed_is_named(house: House) -> None:
    """It is not passed over."""
    await record(house, signed=False)
    with pytest.raises(StoreCorrupt, match="was not signed"):
        await verify_run(house, RUN)


async def test_a_run_without_verdicts_is_named(house: House) -> None:
    """There is nothing to verify."""
    with pytest.raises(RunError, match="has no verdicts"):
        await verify_run(house, RUN)
