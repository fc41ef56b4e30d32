"""The last line of `--json`: what it came to, in one object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.records.verdicts import Verdict
from assay.reports.facts import ClaimFacts, RunFacts


def outline_run(facts: RunFacts, report: Path) -> dict[str, Any]:
    """Return how a run stands."""
    whole = facts.claims[-1].verdict if facts.claims else None
    return {
        "run": facts.id,
        "title": facts.ticket.title,
        "repo": facts.repo,
        "status": facts.status.value,
        "reason": facts.reason,
        "branch": facts.branch,
        "head": facts.head,
        "verdict": whole.status.value if whole else None,
        "claims": [_claim(claim) for claim in facts.claims],
        "open": [
            {
                "checkpoint": asked.question.kind.value,
                "unit": asked.question.unit,
                "title": asked.question.title,
                "digest": asked.question.digest,
            }
            for asked in facts.asked
            if asked.decision is None
        ],
        "report": str(report),
    }


def outline_check(facts: ClaimFacts, verdict: Verdict, report: Path) -> dict[str, Any]:
    """Return what a check came to."""
    return {
        "run": facts.claim.id,
        "verdict": verdict.status.value,
        "level": verdict.level,
        "reasons": list(verdict.reasons),
        "question": verdict.question,
        "steps": [
            {"id": s.id, "title": s.title, "outcome": s.outcome, "seconds": s.seconds, "reasons": list(s.reasons)}
            for s in verdict.steps
        ],
        "witness": verdict.witness.model_dump(mode="json") if verdict.witness else None,
        "unproven_lines": [
            {"path": one.path, "line": one.line, "why": one.why, "reason": one.reason} for one in verdict.unproven_lines
        ],
        "flags": [flag.model_dump(mode="json") for flag in verdict.flags],
        "statement": [sentence.model_dump(mode="json") for sentence in facts.sentences],
        "seconds": verdict.seconds,
        "evidence": str(report),
    }


def _claim(facts: ClaimFacts) -> dict[str, Any]:
    claim, verdict = facts.claim, facts.verdict
    return {
        "id": claim.id,
        "unit": claim.unit,
        "by": claim.author,
        "head": claim.head,
        "statement": claim.draft.statement,
        "verdict": verdict.status.value if verdict else None,
        "level": verdict.level if verdict else None,
        "reasons": list(verdict.reasons) if verdict else [],
    }
