"""What a run's verdicts are attested by: each signature opened again, and held against the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from assay.app.wiring import House
from assay.errors import RunError, StoreCorrupt
from assay.records.entries import EntryKind
from assay.store.files import write_whole
from assay.store.signing import SigningKey, open_envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """One verdict, and who signed it."""

    claim: str
    status: str
    level: str | None
    commit: str
    tree: str
    key: str
    """Id of the key."""


async def verify_run(house: House, run: str, export: Path | None = None) -> tuple[Attested, ...]:
    """Recompute a run's ledger, open the attestation of each of its verdicts, and return them.

    Args:
        house: whose key signed them.
        run: id of a run or a check.
        export: folder into which envelopes and the public key are written; made where it is missing.

    Raises RunError for a run without verdicts, StoreCorrupt where something does not fit.
    """
    entries = [e for e in await house.ledger.entries(run) if e.kind is EntryKind.VERDICT_GIVEN]
    if not entries:
        raise RunError(f"{run} has no verdicts", next_step="`assay runs` lists runs")
    await house.ledger.verify(run)
    key = SigningKey(house.state.signing_key)
    found: list[Attested] = []
    for entry in entries:
        claim, digest = str(entry.body["claim"]), entry.body.get("attestation")
        if not isinstance(digest, str):
            raise StoreCorrupt(f"the verdict on {claim} was not signed")
        envelope = await house.blobs.get(digest)
        statement = json.loads(open_envelope(envelope, key.public.read_bytes()))
        said = statement["predicate"]
        if (said["verdict"], said["claim"], said["run"]) != (entry.body["verdict"], claim, run):
            raise StoreCorrupt(f"the attestation of {claim} is about another verdict")
        commit, tree = (subject["digest"] for subject in statement["subject"])
        found.append(
            Attested(
                claim=claim,
                status=said["status"],
                level=said["level"],
                commit=commit["gitCommit"],
                tree=tree["gitTree"],
                key=key.id,
            )
        )
        if export is not None:
            export.mkdir(parents=True, exist_ok=True)
            write_whole(export / f"{claim}.dsse.json", envelope)
            write_whole(export / "signer.pub.json", key.public.read_bytes())
    return tuple(found)
