"""Gathers what a report says of a run or a check, from the ledger and the blobs that it names, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from assay.app.manifests import Manifest, load_settings, load_ticket, read_manifest
from assay.app.rescuing import ways_to_unsaved
from assay.app.statuses import status_of, status_with
from assay.app.wiring import House
from assay.app.work import commands_of, work_of
from assay.errors import StoreCorrupt
from assay.evidence.protocol import DoubtResult
from assay.evidence.statements import known_of, mark_statement
from assay.evidence.witness import STORE_VARIABLE
from assay.policies.paths import FileClass, classify
from assay.policies.settings import Settings
from assay.records.base import Record
from assay.records.claims import Claim
from assay.records.decisions import Decision, Question
from assay.records.entries import Entry, EntryKind
from assay.records.evidence import Evidence
from assay.records.plans import Plan, Requirement
from assay.records.results import Doubt, Review, Specification, StatedTest
from assay.records.runs import RunStatus, UnitStatus
from assay.records.sandboxes import Image
from assay.records.verdicts import Verdict
from assay.reports.facts import (
    AskedFacts,
    ClaimFacts,
    DoubtFacts,
    EventFacts,
    GateFacts,
    HowTo,
    LedgerFacts,
    ReviewFacts,
    RunFacts,
    UnitFacts,
)

R = TypeVar("R", bound=Record)

_GATE_WORDS: Mapping[str, Any] = {"pass": "passed", "block": "failed", "ask": "inconclusive", "warn": "inconclusive"}
_TOLD: Mapping[EntryKind, str] = {
    EntryKind.RUN_RESUMED: "resumed",
    EntryKind.RUN_PARKED: "parked",
    EntryKind.RUN_FAILED: "failed",
    EntryKind.STEP_VOIDED: "a step was voided",
    EntryKind.BUDGET_REACHED: "a limit was reached",
    EntryKind.NOTE_LEFT: "a note was left",
    EntryKind.WORK_RESCUED: "unsaved work was kept",
}


async def gather_run(house: House, run: str) -> RunFacts:
    """Return the facts of a run as far as it has come; raises RunError for an unknown one."""
    manifest, started = await read_manifest(house.ledger, run)
    entries = await house.ledger.entries(run)
    status, reason = status_with(run, *status_of(entries), house.state.holder(run))
    plan = await _newest(house, entries, EntryKind.PLAN_MADE, "plan", Plan)
    base = next((str(e.body["commit"]) for e in reversed(entries) if e.kind is EntryKind.BASE_ADOPTED), "")
    delivered = next((e for e in entries if e.kind is EntryKind.DELIVERED), None)
    integrated = [e for e in entries if e.kind is EntryKind.COMMIT_MADE and e.role == "integration"]
    head = str((delivered or integrated[-1]).body["commit"]) if delivered or integrated else None
    ended = next((e.at for e in entries if e.kind is EntryKind.RUN_ENDED), None)
    settings = await load_settings(house.blobs, manifest)
    claims = await _claims(house, entries, plan, settings)
    shown = head or (claims[-1].claim.head if claims else None)
    return RunFacts(
        id=run,
        status=status,
        reason=reason,
        repo=manifest.repo,
        base=base,
        head=head,
        branch=str(delivered.body["branch"]) if delivered else None,
        started=started.at,
        ended=ended,
        ticket=await load_ticket(house.blobs, manifest),
        plan=plan,
        units=_units(entries, plan),
        asked=_asked(entries),
        claims=claims,
        reviews=await _reviews(house, entries),
        gates=_gates(entries),
        changes=await house.git.diff(base, shown) if shown else (),
        work=work_of(entries, settings.prices),
        commands=await commands_of(entries, lambda name: house.state.transcript(run, name)),
        events=tuple(
            EventFacts(at=e.at, what=_TOLD[e.kind], text=str(e.body.get("reason") or e.body.get("text") or ""))
            for e in entries
            if e.kind in _TOLD
        ),
        manifest=_manifest(manifest),
        ledger=ledger_facts(entries, house.state.ledger),
        how_to=(*_how_to(run, status, claims), *ways_to_unsaved(entries, house.git.path)),
    )


async def claim_facts(
    house: House,
    entries: Sequence[Entry],
    claim: Claim,
    requirements: tuple[Requirement, ...],
    stated: tuple[StatedTest, ...],
    *,
    settings: Settings,
    attempt: int = 1,
) -> ClaimFacts:
    """Return a claim with its verdict and the evidence that the verdict rests on."""
    by_key = {entry.key: entry for entry in entries}
    entry = by_key.get(f"verdict:{claim.id}")
    verdict = _for_this_machine(house, await _load(house, entry.body["verdict"], Verdict)) if entry else None
    named = dict.fromkeys(name for step in verdict.steps for name in step.evidence) if verdict else {}
    evidence = [
        await _load(house, by_key[f"evidence:{name}"].body["evidence"], Evidence)
        for name in named
        if f"evidence:{name}" in by_key
    ]
    changes = await house.git.diff(claim.base, claim.head)
    paths = tuple(dict.fromkeys(path for c in changes for path in (c.old_path, c.path) if path is not None))
    tests = tuple(path for path in paths if classify(path, settings) in (FileClass.TEST, FileClass.HARNESS))
    added = tuple(f"{f.path}: {f.text}" for f in (verdict.flags if verdict else ()) if f.kind == "dependency-added")
    known = known_of(evidence, commits=(claim.base, claim.head), changed=paths, tests_changed=tests, dependencies=added)
    return ClaimFacts(
        claim=claim,
        attempt=attempt,
        verdict=verdict,
        requirements=requirements,
        stated=stated,
        evidence=tuple(evidence),
        images=await _images(house, evidence),
        changes=changes,
        sentences=mark_statement(claim.draft.statement, known) if verdict else (),
    )


async def _images(house: House, evidence: Sequence[Evidence]) -> tuple[Image, ...]:
    """Return what is known of the images that something was executed in."""
    digests = dict.fromkeys(one.image_record for one in evidence if one.image_record is not None)
    return tuple([await _load(house, digest, Image) for digest in digests])


def _for_this_machine(house: House, verdict: Verdict) -> Verdict:
    """Return a verdict whose witness can be seen with one command as it stands: with the path of this store in it."""
    if verdict.witness is None:
        return verdict
    command = verdict.witness.command.replace(f'"${STORE_VARIABLE}"', shlex.quote(str(house.git.path)), 1)
    return verdict.model_copy(update={"witness": verdict.witness.model_copy(update={"command": command})})


def ledger_facts(entries: Sequence[Entry], path: Path) -> LedgerFacts:
    """Return what a report says of the chain."""
    return LedgerFacts(entries=len(entries), last_digest=entries[-1].digest if entries else "", path=str(path))


async def _claims(
    house: House, entries: Sequence[Entry], plan: Plan | None, settings: Settings
) -> tuple[ClaimFacts, ...]:
    """Return every claim in order, each with the tests as they were stated when it was made."""
    stated: dict[str, tuple[StatedTest, ...]] = {}
    attempts: dict[str | None, int] = {}
    gathered = []
    for entry in entries:
        if entry.kind is EntryKind.ROLE_ENDED and entry.role == "tester" and entry.unit:
            specification = await _result(house, entry, Specification)
            if specification is not None:
                stated[entry.unit] = specification.tests
        if entry.kind is not EntryKind.CLAIM_MADE:
            continue
        claim = await _load(house, entry.body["claim"], Claim)
        if not claim.accepted:  # the same work once more, with an answer of a person's
            attempts[claim.unit] = attempts.get(claim.unit, 0) + 1
        units = [u for u in plan.units if claim.unit in (None, u.id)] if plan else []
        requirements = tuple(r for u in units for r in u.acceptance)
        tests = tuple(t for u in units for t in stated.get(u.id, ()))
        facts = await claim_facts(
            house, entries, claim, requirements, tests, settings=settings, attempt=attempts[claim.unit]
        )
        gathered.append(facts)
    return tuple(gathered)


async def _reviews(house: House, entries: Sequence[Entry]) -> tuple[ReviewFacts, ...]:
    doubted = {entry.key: entry for entry in entries if entry.kind is EntryKind.DOUBT_EXAMINED}
    gathered = []
    attempts: dict[str | None, int] = {}
    for entry in entries:
        if entry.kind is not EntryKind.ROLE_ENDED or entry.role != "reviewer":
            continue
        attempts[entry.unit] = attempts.get(entry.unit, 0) + 1
        review = await _result(house, entry, Review)
        if review is None:
            continue
        attempt = attempts[entry.unit]
        doubts = [
            _doubt(doubt, doubted.get(f"doubt:{entry.unit}.{attempt}.{number}"))
            for number, doubt in enumerate(review.doubts, start=1)
        ]
        gathered.append(ReviewFacts(unit=entry.unit, attempt=attempt, review=review, doubts=tuple(doubts)))
    return tuple(gathered)


def _doubt(doubt: Doubt, entry: Entry | None) -> DoubtFacts:
    if entry is None:
        return DoubtFacts(doubt=doubt)
    result = DoubtResult.model_validate({k: v for k, v in entry.body.items() if k != "doubt"})
    return DoubtFacts(doubt=doubt, outcome=result.outcome, reason=result.reason, got=result.got, seconds=result.seconds)


async def _result(house: House, entry: Entry, kind: type[R]) -> R | None:
    """Return the typed result with which a role ended, or None where it ended without one."""
    advance = entry.body["advance"]
    if not isinstance(advance, dict) or advance.get("type") != "finished":
        return None
    return await _load(house, advance["result"], kind)


def _units(entries: Sequence[Entry], plan: Plan | None) -> tuple[UnitFacts, ...]:
    last = {e.unit: e for e in entries if e.kind is EntryKind.UNIT_CHANGED}
    units = []
    for unit in plan.units if plan else ():
        entry = last.get(unit.id)
        status = UnitStatus(str(entry.body["status"])) if entry else UnitStatus.WAITING
        units.append(UnitFacts(id=unit.id, status=status, reason=str(entry.body["reason"]) if entry else ""))
    return tuple(units)


def _asked(entries: Sequence[Entry]) -> tuple[AskedFacts, ...]:
    decisions = {
        decision.digest: decision
        for decision in (
            Decision.model_validate(e.body["decision"]) for e in entries if e.kind is EntryKind.DECISION_MADE
        )
    }
    refused = [e for e in entries if e.kind is EntryKind.DECISION_REFUSED]
    return tuple(
        AskedFacts(
            question=question,
            decision=decisions.get(question.digest),
            asked=entry.at,
            refused=tuple(str(r.body["reason"]) for r in refused if r.key.startswith(f"refused:{question.digest}:")),
        )
        for entry in entries
        if entry.kind is EntryKind.QUESTION_ASKED
        for question in (Question.model_validate(entry.body["question"]),)
    )


def _gates(entries: Sequence[Entry]) -> tuple[GateFacts, ...]:
    gathered = []
    for entry in entries:
        if entry.kind is EntryKind.GATE_JUDGED:
            result = entry.body["result"]
            assert isinstance(result, dict)
            reasons = result["reasons"]
            assert isinstance(reasons, list)
            outcome = _GATE_WORDS[str(entry.body["outcome"])]
            gathered.append(
                GateFacts(name=str(entry.body["gate"]), outcome=outcome, reason="; ".join(map(str, reasons)))
            )
    return tuple(gathered)


def _manifest(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    return (
        ("assay", manifest.version),
        ("settings", f"{manifest.settings} ({manifest.settings_source})"),
        ("ticket", manifest.ticket),
        *((f"image of {name}", image) for name, image in manifest.images.items()),
        *((f"prompt of {role}", digest) for role, digest in manifest.prompts.items()),
        ("started by", f"{manifest.started_by}, {manifest.mode}"),
        *((("left alone in the work tree", ", ".join(manifest.dirty)),) if manifest.dirty else ()),
    )


def _how_to(run: str, status: RunStatus, claims: Sequence[ClaimFacts]) -> tuple[HowTo, ...]:
    ways = []
    if status in (RunStatus.PARKED, RunStatus.FAILED):
        ways.append(HowTo(purpose="Go on with this run", command=f"assay resume {run}"))
    for claim in claims:
        if claim.verdict and claim.verdict.witness and claim.verdict.witness.command:
            command = claim.verdict.witness.command
            ways.append(HowTo(purpose=f"See the refutation of {claim.claim.id} without assay", command=command))
    return tuple(ways)


async def _newest(house: House, entries: Sequence[Entry], kind: EntryKind, field: str, record: type[R]) -> R | None:
    found = [entry for entry in entries if entry.kind is kind]
    return await _load(house, found[-1].body[field], record) if found else None


async def _load(house: House, digest: object, kind: type[R]) -> R:
    if not isinstance(digest, str):
        raise StoreCorrupt(f"{digest!r} stands in the ledger where a digest should")
    return kind.model_validate_json(await house.blobs.get(digest))
