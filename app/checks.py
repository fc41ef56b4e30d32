"""`assay check`: the same proof on a change that somebody else made. No run, no model."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from assay.app.facts import claim_facts, ledger_facts
from assay.app.service import CHECK
from assay.app.wiring import House
from assay.errors import ConfigurationError, StoreCorrupt, UsageError
from assay.evidence.protocol import Case, TrustedTests
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.changes import FileChange
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.plans import Requirement
from assay.records.tickets import Ticket
from assay.records.trees import EXECUTABLE, REGULAR, TreeFile, blob_id
from assay.records.verdicts import Verdict
from assay.reports.facts import CheckFacts, HowTo


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to be checked."""

    repo: Path
    base: str
    head: str
    ticket: Ticket | None = None
    claim: ClaimDraft | None = None
    tests: Path | None = None
    """Folder with trusted tests, laid over base and head at the same relative paths."""
    held_out: Path | None = None
    kind: ClaimKind | None = None
    id: str = field(default_factory=lambda: f"{CHECK}{secrets.token_hex(4)}")


def parse_range(revisions: str) -> tuple[str, str]:
    """Return base and head of `BASE..HEAD`; an empty HEAD means `HEAD`. Raises UsageError."""
    base, dots, head = revisions.partition("..")
    if not base or not dots or head.startswith("."):
        raise UsageError(f"{revisions!r} is no range", next_step="write BASE..HEAD, for instance main..my-branch")
    return base, head or "HEAD"


def read_claim(path: Path) -> ClaimDraft:
    """Read an author's structured claim (JSON); raises ConfigurationError with the place."""
    try:
        return ClaimDraft.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the claim {path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"]) or "the file"
        raise ConfigurationError(f"the claim {path} cannot be used: {place}: {first['msg']}") from error


async def check(house: House, change: Change, settings: Settings) -> tuple[Verdict, CheckFacts]:
    """Examine a change and return the verdict with what a report says of it."""
    refs = f"refs/assay/checks/{change.id}"
    base = await house.git.adopt(change.repo, change.base, f"{refs}/base")
    head = await house.git.adopt(change.repo, change.head, f"{refs}/head", since=base)
    settings = await house.provided(settings, base, {settings.proof.sandbox})
    changes = await house.git.diff(base, head)
    draft = change.claim or ClaimDraft(
        kind=change.kind or infer_kind(changes, settings),
        statement=f"{change.base}..{change.head} breaks nothing that worked, and its own tests hold and can fail",
    )
    if change.kind is not None:
        draft = draft.model_copy(update={"kind": change.kind})
    claim = Claim(id=change.id, author="change", base=base, head=head, draft=draft)
    requirements = tuple(
        Requirement(id=f"R{number}", text=text)
        for number, text in enumerate(change.ticket.acceptance if change.ticket else (), start=1)
    )
    trusted = TrustedTests(
        visible=await _folder(house, change.tests),
        held_out=await _folder(house, change.held_out),
    )
    case = Case(run=change.id, claim=claim, requirements=requirements, trusted=trusted)
    await house.assayer(settings).prove(case)
    entries = await house.ledger.entries(change.id)
    claimed = await claim_facts(house, entries, claim, requirements, trusted.stated)
    if claimed.verdict is None:
        raise StoreCorrupt(f"the ledger of {change.id} has no verdict, although the proof gave one")
    facts = CheckFacts(
        id=change.id,
        repo=str(change.repo),
        made=house.clock.now(),
        ticket=change.ticket,
        claim=claimed,
        changes=changes,
        ledger=ledger_facts(entries, house.state.ledger),
        how_to=_how_to(claimed.verdict),
    )
    return claimed.verdict, facts


def infer_kind(changes: Sequence[FileChange], settings: Settings) -> ClaimKind:
    """Return what a change most likely claims to be, from the files that it touches and nothing else."""
    touched = {classify(change.path, settings) for change in changes}
    if touched <= {FileClass.DOCS}:
        return ClaimKind.DOCS
    if FileClass.SOURCE not in touched and FileClass.TEST in touched:
        return ClaimKind.TESTS
    return ClaimKind.FIX if FileClass.TEST in touched else ClaimKind.REFACTOR


async def _folder(house: House, folder: Path | None) -> str | None:
    """Return a folder's files as a git tree; None where there is no folder."""
    if folder is None:
        return None
    tree, contents = await asyncio.to_thread(_read_folder, folder)
    return await house.git.write_tree(tree, contents)


def _read_folder(folder: Path) -> tuple[dict[str, TreeFile], dict[str, bytes]]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder of tests")
    tree: dict[str, TreeFile] = {}
    contents: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
            continue
        data = path.read_bytes()
        mode = EXECUTABLE if os.access(path, os.X_OK) else REGULAR
        oid = blob_id(data)
        tree[str(path.relative_to(folder))] = TreeFile(mode, oid)
        contents[oid] = data
    if not tree:
        raise UsageError(f"{folder} holds no files")
    return tree, contents


def _how_to(verdict: Verdict) -> tuple[HowTo, ...]:
    if verdict.witness is None or not verdict.witness.command:
        return ()
    return (HowTo(purpose="See the refutation again, without assay", command=verdict.witness.command),)
