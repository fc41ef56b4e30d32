"""What the proof is to the rest of assay: claims and trusted tests go in, verdicts come out."""

from __future__ import annotations

from typing import Literal, Protocol

from assay.records.base import Record
from assay.records.claims import Claim
from assay.records.plans import Requirement
from assay.records.results import Doubt, StatedTest
from assay.records.verdicts import Verdict


class TrustedTests(Record):
    """Tests from the trusted side, and what they state. Only these can prove a requirement."""

    visible: str | None = None
    """Git tree of files that are laid over base and head; the author of the change may know them."""
    held_out: str | None = None
    """Git tree of files that are laid over as well, and whose names and text no author is ever told."""
    stated: tuple[StatedTest, ...] = ()
    """Which test states which requirement. A test that none names cannot prove one."""


class Case(Record):
    """Everything that the proof of one claim needs."""

    run: str
    """Run id, or the id of the check."""
    claim: Claim
    requirements: tuple[Requirement, ...] = ()
    """What must hold. Empty: nothing that passed is broken, and the change's own tests hold and can fail."""
    trusted: TrustedTests = TrustedTests()
    accepted_expectations: tuple[str, ...] = ()
    """Tests of the base whose changed expectation a person has accepted; a later claim on the same work names them."""


class BlankResult(Record):
    """Whether tests can fail: each trusted test, run where the work is not done yet."""

    status: Literal["passed", "failed", "inconclusive"]
    """Passed: every stated test fails by assertion at the base. Inconclusive: it could not be run."""
    reasons: tuple[str, ...] = ()
    """For the tester, one sentence a test: `passes at the base`, `is vacuous: import error …`, `is not collected`."""
    evidence: tuple[str, ...] = ()
    seconds: float = 0.0


class DoubtResult(Record):
    """What executing a reviewer's doubt showed."""

    outcome: Literal["confirmed", "dispelled", "inconclusive"]
    """Confirmed: the check failed at the head, reproducibly, so the claim does not hold."""
    reason: str
    got: str = ""
    evidence: tuple[str, ...] = ()
    seconds: float = 0.0


class Prover(Protocol):
    """The proof. Each method may be called again with the same case, and then returns what it recorded."""

    async def blank(self, run: str, unit: str, attempt: int, base: str, trusted: TrustedTests) -> BlankResult:
        """Run the trusted tests at the base and say whether each one fails for a reason that counts."""
        ...

    async def prove(self, case: Case) -> Verdict:
        """Examine a claim and return the verdict, recorded in the ledger with all evidence."""
        ...

    async def examine(self, case: Case, doubt: Doubt, *, key: str) -> DoubtResult:
        """Execute a doubt's check at the head (and at the base) in fresh sandboxes."""
        ...
