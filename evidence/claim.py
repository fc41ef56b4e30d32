"""S0: the claim is structured, complete and fits what it was made about.

Defeats claims that talk their way through: kind, requirements and declared changes are data that later steps hold
against the trees; the author's sentences are shown to people, and nothing reads them.
"""

from __future__ import annotations

from assay.evidence.protocol import Case
from assay.records.claims import ChangedExpectation, ClaimDraft, ClaimKind
from assay.records.verdicts import Step

_UNCHANGED = (ClaimKind.REFACTOR, ClaimKind.DOCS, ClaimKind.TESTS)


def examine_claim(case: Case) -> Step:
    """Return S0: failed where the claim cannot be held against anything, flagged where it contradicts itself."""
    draft = case.claim.draft
    broken = [*_unknown(case), *_twice("check", [c.id for c in draft.checks])]
    broken += _twice("changed expectation", [c.test for c in draft.changed_expectations])
    broken += [f"no reason is given for the changed expectation of {c.test}" for c in _unexplained(draft)]
    if draft.declined is not None and not draft.declined.strip():
        broken.append("it says that the work could not be done, and not why")
    odd = []
    if draft.behaviour_changed and draft.kind in _UNCHANGED:
        odd.append(
            f"it is of kind {draft.kind.value} and names changed behaviour: {', '.join(draft.behaviour_changed)}"
        )
    if draft.new_dependencies and draft.kind is ClaimKind.DOCS:
        odd.append("it is of kind docs and names new dependencies")
    outcome = "failed" if broken else "flagged" if odd else "passed"
    return Step(id="S0", title="Claim", outcome=outcome, reasons=(*broken, *odd))


def _unknown(case: Case) -> list[str]:
    """Return what is wrong with the ids of requirements, on either side."""
    known = [r.id for r in case.requirements]
    wrong = [f"it covers {r}, which is no requirement here" for r in case.claim.draft.requirements if r not in known]
    stated = dict.fromkeys(s.requirement for s in case.trusted.stated)
    wrong += [f"a trusted test states {r}, which is no requirement here" for r in stated if r not in known]
    return wrong + _twice("requirement", known)


def _unexplained(draft: ClaimDraft) -> list[ChangedExpectation]:
    return [c for c in draft.changed_expectations if not c.why.strip()]


def _twice(what: str, names: list[str]) -> list[str]:
    return [f"the {what} {n!r} is there more than once" for n in dict.fromkeys(names) if names.count(n) > 1]
