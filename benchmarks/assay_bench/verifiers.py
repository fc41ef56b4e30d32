"""What is measured: a verifier takes a repository, a claim and trusted tests, and accepts, rejects or leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from benchmarks.assay_bench.records import Case
from benchmarks.assay_bench.repositories import Made

Status = Literal["accepted", "rejected", "inconclusive", "declined"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a verifier says of a claim."""

    status: Status
    reason: str
    """All of its words, the deciding ones first."""
    seconds: float
    level: str | None = None


class Verifier(Protocol):
    """A way of judging claims."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """What a result depends on beside the case; another version is measured anew."""
        ...

    def can_judge(self, case: Case) -> bool:
        """Return whether it knows how the case's tests are run."""
        ...

    async def judge(self, case: Case, made: Made) -> Told: ...
