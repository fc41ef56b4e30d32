"""`assay check`: the same proof on a change that somebody else made. No run, no model."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from assay.app.asked import Asked
from assay.app.facts import claim_facts, ledger_facts
from assay.app.service import CHECK
from assay.app.trusted import trusted_tree
from assay.app.wiring import House
from assay.errors import ConfigurationError, StoreCorrupt, UsageError
from assay.evidence.overlay import Division
from assay.evidence.protocol import Case, TrustedTests
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.changes import FileChange
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.plans import Requirement
from assay.records.tickets import Ticket
from assay.records.verdicts import Verdict
from assay.reports.facts import CheckFacts, HowTo

_MODULE: Final = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_DATA: Final = (".ini", ".toml", ".cfg", ".json", ".txt", ".yaml", ".yml", ".csv", ".snap", ".out", ".golden")
"""Ends of names of what belongs to tests and holds none."""
_LONGEST_CLAIM: Final = 1_000_000
"""Bytes of a claim."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to be checked."""

    repo: Path
    base: str
    head: str
    ticket: Ticket | None = None
    claim: ClaimDraft | str | None = None
    """The author's structured claim, or the words of a pull request."""
    tests: Path | None = None
    """Trusted tests, laid over base and head: a folder with files at the same relative paths, or a unified diff."""
    held_out: Path | None = None
    """The same, never shown in feedback."""
    kind: ClaimKind | None = None
    asked: Asked = field(default_factory=Asked)
    id: str = field(default_factory=lambda: f"{CHECK}{secrets.token_hex(4)}")


def parse_range(revisions: str) -> tuple[str, str]:
    """Return base and head of `BASE..HEAD`; an empty HEAD means `HEAD`. Raises UsageError."""
    base, dots, head = revisions.partition("..")
    if not base or not dots or head.startswith("."):
        raise UsageError(f"{revisions!r} is no range", next_step="write BASE..HEAD, for instance main..my-branch")
    return base, head or "HEAD"


def read_claim(path: Path) -> ClaimDraft | str:
    """Return an author's claim: structured where the file is JSON, and otherwise what it says, to be shown.

    Raises ConfigurationError with the place.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_CLAIM + 1)
    except OSError as error:
        raise ConfigurationError(f"the claim {path} cannot be read: {error}") from error
    if len(data) > _LONGEST_CLAIM:
        raise ConfigurationError(f"the claim {path} has more than {_LONGEST_CLAIM:,} bytes")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the claim {path} is not UTF-8 text", next_step="save it as UTF-8") from error
    if not text or "\0" in text:
        raise ConfigurationError(f"the claim {path} is {'a binary file' if text else 'empty'}")
    return _structured(path, text) if path.suffix == ".json" or text.startswith("{") else text


def _structured(path: Path, text: str) -> ClaimDraft:
    try:
        return ClaimDraft.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"]) or "the file"
        raise ConfigurationError(f"the claim {path} cannot be used: {place}: {first['msg']}") from error


async def check(house: House, change: Change, settings: Settings) -> tuple[Verdict, CheckFacts]:
    """Examine a change and return the verdict with what a report says of it."""
    began = time.monotonic()
    settings = change.asked.over(settings)
    refs = f"refs/assay/checks/{change.id}"
    base = await house.git.adopt(change.repo, change.base, f"{refs}/base")
    head = await house.git.adopt(change.repo, change.head, f"{refs}/head", since=base)
    bare = settings
    settings = await house.provided(settings, base, {settings.proof.sandbox}, brought_by=head)
    changes = await house.git.diff(base, head)
    division = Division(settings, house.git.contents, await house.git.tree(base), await house.git.tree(head))
    draft = await asyncio.to_thread(_draft, change, division, pinned=_only_pins(changes, settings))
    claim = Claim(id=change.id, author="change", base=base, head=head, draft=draft)
    requirements = tuple(
        Requirement(id=f"R{number}", text=text)
        for number, text in enumerate(change.ticket.acceptance if change.ticket else (), start=1)
    )
    trusted = TrustedTests(
        visible=await trusted_tree(house.git, change.tests, base=base, settings=settings),
        held_out=await trusted_tree(house.git, change.held_out, base=base, settings=settings),
    )
    case = Case(run=change.id, claim=claim, requirements=requirements, trusted=trusted)
    await house.assayer(settings, bare=bare, began=began).prove(case)
    entries = await house.ledger.entries(change.id)
    claimed = await claim_facts(house, entries, claim, requirements, trusted.stated, settings=settings)
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
        how_to=_how_to(change.id, claimed.verdict),
    )
    return claimed.verdict, facts


def _draft(change: Change, division: Division, *, pinned: bool) -> ClaimDraft:
    if isinstance(change.claim, ClaimDraft):
        return change.claim.model_copy(update={"kind": change.kind}) if change.kind is not None else change.claim
    return ClaimDraft(
        kind=change.kind
        or infer_kind(
            division.changed_program(),
            division.changed_tests(),
            stated=change.tests is not None or change.held_out is not None,
            pinned=pinned,
        ),
        statement=change.claim
        or f"{change.base}..{change.head} breaks nothing that worked, and its own tests hold and can fail",
    )


def infer_kind(
    program: Sequence[str], tests: Sequence[str], *, stated: bool = False, pinned: bool = False
) -> ClaimKind:
    """Return what a change most likely claims to be, from the files that it touches and nothing else.

    Args:
        program: files of the program that differ in more than comments, docstrings and formatting.
        tests: files of the tests and what belongs to them.
        stated: whether trusted tests state what it is to do: then it does not only leave things as they were.
        pinned: whether nothing changes but which versions of other people's code are used.
    """
    if pinned:
        return ClaimKind.DEPENDENCY
    if program:
        return ClaimKind.FIX if stated or tests else ClaimKind.REFACTOR
    if any(not path.endswith(".py") or _MODULE.search(path) for path in tests if not path.endswith(_DATA)):
        return ClaimKind.TESTS
    return ClaimKind.REFACTOR if tests else ClaimKind.DOCS


def _only_pins(changes: Sequence[FileChange], settings: Settings) -> bool:
    touched = {classify(change.path, settings) for change in changes}
    return FileClass.LOCK in touched and touched <= {FileClass.LOCK, FileClass.MIXED, FileClass.DOCS}


def _how_to(check: str, verdict: Verdict) -> tuple[HowTo, ...]:
    if verdict.witness is None or not verdict.witness.command:
        return ()
    return (
        HowTo(purpose="See the refutation again, without assay", command=verdict.witness.command),
        HowTo(purpose="Take it elsewhere", command=f"assay witness {check} --export DIR"),
    )
