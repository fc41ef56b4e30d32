"""S16: what a verdict says, as an in-toto statement about the commit and the tree that it is about.

Defeats verdicts that are told differently later, or of another commit: the statement is signed with a key that lies out
of every sandbox's reach, and the ledger, whose entries are chained, holds its digest beside the verdict's.

Format: in-toto Statement 1.0 (in-toto/attestation), in a DSSE envelope.
"""

from __future__ import annotations

import json
from typing import Final, Protocol

from pydantic import JsonValue

from assay.records.verdicts import Verdict

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE_TYPE: Final = "urn:assay:verdict:v1"
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"


class Signer(Protocol):
    """Whoever signs statements."""

    def sign(self, payload: bytes, kind: str) -> bytes:
        """Return an envelope around a payload of a media type."""
        ...


def attest(run: str, verdict: Verdict, digest: str, policy: str) -> bytes:
    """Return the statement about a verdict.

    Args:
        run: in whose ledger everything stands that it rests on.
        verdict: what was found.
        digest: of the verdict, as the ledger has it.
        policy: digest of the settings that were in force.
    """
    statement: dict[str, JsonValue] = {
        "_type": _STATEMENT_TYPE,
        "subject": [
            {"name": "commit", "digest": {"gitCommit": verdict.head}},
            {"name": "tree", "digest": {"gitTree": verdict.tree}},
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "run": run,
            "claim": verdict.claim,
            "base": verdict.base,
            "status": verdict.status.value,
            "level": verdict.level,
            "verdict": digest,
            "policy": policy,
            "requirements": [
                {"id": r.requirement, "status": r.status.value, "level": r.level} for r in verdict.requirements
            ],
            "steps": [{"id": s.id, "outcome": s.outcome, "evidence": list(s.evidence)} for s in verdict.steps],
        },
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
