"""What the nodes work with. The wiring makes one of these; the graph keeps none of it in its state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from assay.agents.protocol import Roles
from assay.evidence.protocol import Prover
from assay.graph.gates import GateKeeper
from assay.policies.settings import Settings
from assay.records.base import Record, canonical_json
from assay.records.decisions import Decision, Question
from assay.records.entries import EntryKind
from assay.records.tickets import Ticket
from assay.records.trees import EXECUTABLE, REGULAR
from assay.store.git import GitStore
from assay.store.protocol import Blobs, Ledger

R = TypeVar("R", bound=Record)


class People(Protocol):
    """Who may answer, and how an answer shows that it is theirs."""

    def accept(self, answer: object, question: Question) -> Decision:
        """Return the decision in an answer to this question; raises DecisionError when it cannot count."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything that a node may use."""

    ticket: Ticket
    repo: Path
    revision: str
    """What the base was asked to be, as written; read again before delivery."""
    branch: str
    """Branch that is delivered."""
    settings: Settings
    git: GitStore
    ledger: Ledger
    blobs: Blobs
    roles: Roles
    prover: Prover
    gates: GateKeeper
    people: People
    started: datetime
    """When the run was started; every commit of the run carries this date, so that the same work
    makes the same commits."""
    author: str
    """`Name <mail>` of the commits."""
    settled: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Told whenever a unit comes to rest, for the units that wait for it."""

    async def keep(self, record: Record) -> str:
        """Keep a record and return its digest."""
        return await self.blobs.put(canonical_json(record))

    async def keep_text(self, text: str) -> str:
        """Keep a text and return its digest."""
        return await self.blobs.put(text.encode())

    async def load(self, digest: str, kind: type[R]) -> R:
        """Return the record with this digest, validated again."""
        return kind.model_validate_json(await self.blobs.get(digest))

    async def load_text(self, digest: str | None) -> str:
        """Return the text with this digest; empty for None."""
        return (await self.blobs.get(digest)).decode() if digest else ""

    async def decisions(self, run: str) -> Mapping[str, Decision]:
        """Return what people have decided in this run, by question id."""
        entries = await self.ledger.entries(run, kinds=(EntryKind.DECISION_MADE,))
        made = (Decision.model_validate(entry.body["decision"]) for entry in entries)
        return {decision.question: decision for decision in made}

    async def guidance(self, commit: str) -> str:
        """Return the repository's own `AGENTS.md` at a commit, bounded; empty where it has none."""
        file = (await self.git.tree(commit)).get("AGENTS.md")
        if file is None or file.mode not in (REGULAR, EXECUTABLE):
            return ""
        return (await asyncio.to_thread(self.git.contents.read, file.oid))[:20_000].decode(errors="replace")

    async def changed_files(self, base: str, tree: str) -> str:
        """Return the git tree of only those files that are new or different in `tree`."""
        before, after = await self.git.tree(base), await self.git.tree(tree)
        return await self.git.write_tree({p: f for p, f in after.items() if before.get(p) != f}, {})

    async def record_commit(self, run: str, unit: str | None, role: str, attempt: int, commit: str) -> None:
        """Record that a role's work became a commit."""
        key = f"commit:{unit or 'run'}.{role}.{attempt}"
        await self.ledger.append(run, EntryKind.COMMIT_MADE, key, {"commit": commit}, unit=unit, role=role)
