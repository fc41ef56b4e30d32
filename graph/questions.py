"""The words of each question: what a person needs to judge what execution cannot."""

from __future__ import annotations

from collections.abc import Sequence

from assay.policies.gates import GateResult
from assay.records.base import digest_of
from assay.records.changes import FileChange
from assay.records.claims import ChangedExpectation, Claim
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.records.plans import Plan, Unit
from assay.records.results import Finding, Review
from assay.records.tickets import Ticket
from assay.records.unproven import span_lines
from assay.records.verdicts import Verdict

_PLACES = 20
"""Places of unproven lines that a person is shown in a question; the report has all of them."""

APPROVE, EDIT, REJECT, RESPOND = DecisionType.APPROVE, DecisionType.EDIT, DecisionType.REJECT, DecisionType.RESPOND


def about_plan(run: str, attempt: int, ticket: Ticket, plan: Plan) -> Question:
    """Ask whether the plan says what the ticket means."""
    lines = [f"**{ticket.title}**", "", plan.summary, ""]
    for unit in plan.in_order():
        after = f" (after {', '.join(unit.depends_on)})" if unit.depends_on else ""
        lines += [f"### {unit.id}: {unit.title}{after}", "", unit.specification, ""]
        lines += [f"- {r.id}: {r.text}" for r in unit.acceptance]
        lines += ["", f"May touch: {', '.join(f'`{p}`' for p in unit.paths)}", ""]
    return Question(
        id=f"plan:{attempt}:{digest_of(plan)[7:19]}",
        run=run,
        kind=CheckpointKind.PLAN,
        title="Is this the plan?",
        args={"plan": plan.model_dump(mode="json")},
        description="\n".join(lines),
        allowed=(APPROVE, EDIT, REJECT, RESPOND),
    )


def about_budget(run: str, unit: str | None, place: str, reason: str) -> Question:
    """Ask whether to go on although a budget is used up."""
    return Question(
        id=f"budget:{place}",
        run=run,
        unit=unit,
        kind=CheckpointKind.BUDGET,
        title="A limit was reached. Go on?",
        args={"place": place},
        description=f"{reason}\n\nApprove: one more try with a fresh budget. "
        "Respond: the same, with a message to the agent. Reject: stop here.",
        allowed=(APPROVE, RESPOND, REJECT),
    )


def inconclusive_id(claim: Claim) -> str:
    """Return the id of the question about a claim that the proof could not decide."""
    return f"inconclusive:{claim.id}"


def about_inconclusive(
    run: str, unit: str | None, claim: Claim, verdict: Verdict, *, accepted: Sequence[str] = ()
) -> Question:
    """Ask what execution could not decide.

    Args:
        run: the run.
        unit: the unit; None where the claim is about the whole, which has no coder to go back to.
        claim: the claim.
        verdict: what the proof could say of it.
        accepted: tests whose changed expectation a person has accepted already.
    """
    changed = unit is not None and bool(claim.draft.changed_expectations) and not accepted
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
    expectations = "\n".join(f"- `{c.test}`: {c.why}" for c in claim.draft.changed_expectations)
    parts = [
        f"Claim **{claim.id}** by {claim.author} on `{claim.head[:12]}`: {claim.draft.statement}",
        f"The proof could not decide:\n\n{reasons}",
        f"Expectations that the change alters on purpose:\n\n{expectations}" if changed else "",
        f"**{verdict.question}**" if verdict.question else "",
        "Approve: these expectations may change; everything else is proven again. "
        if changed
        else "Approve: you take it as true, under your name. ",
        "Reject: the run ends here."
        if unit is None
        else "Respond: back to the coder with your message. Reject: the unit ends here.",
    ]
    return Question(
        id=inconclusive_id(claim),
        run=run,
        unit=unit,
        kind=CheckpointKind.EXPECTATION if changed else CheckpointKind.INCONCLUSIVE,
        title="May these expectations change?" if changed else "The proof could not decide. What do you say?",
        args={"claim": claim.id, "head": claim.head, "tree": verdict.tree},
        description="\n\n".join(part for part in parts if part),
        allowed=(APPROVE, REJECT) if unit is None else (APPROVE, RESPOND, REJECT),
    )


def about_unproven(run: str, unit: Unit, claim: Claim, verdict: Verdict) -> Question:
    """Ask whether lines of a proven unit may stay without a check that holds on to them."""
    lines = _unproven(verdict)
    return Question(
        id=f"unproven:{claim.id}",
        run=run,
        unit=unit.id,
        kind=CheckpointKind.UNPROVEN,
        title="Lines of a proven change could be otherwise. May they stay so?",
        args={"claim": claim.id, "head": claim.head, "tree": verdict.tree},
        description="\n".join(
            [
                f"Claim **{claim.id}** on `{claim.head[:12]}` is {verdict.status.value}: {claim.draft.statement}",
                *lines,
                "",
                "Approve: they may. Respond: back to the tester with these lines and your message; the work is kept, "
                "and the coder has another turn. Reject: the unit ends here.",
            ]
        ),
        allowed=(APPROVE, RESPOND, REJECT),
    )


def about_blank(run: str, unit: Unit, attempt: int, reasons: Sequence[str]) -> Question:
    """Ask what to do with tests that could not be tried at the base."""
    return Question(
        id=f"blank:{unit.id}:{attempt}",
        run=run,
        unit=unit.id,
        kind=CheckpointKind.INCONCLUSIVE,
        title="The tests could not be shown to fail before the work. What now?",
        args={"unit": unit.id, "attempt": attempt},
        description="\n".join(f"- {reason}" for reason in reasons)
        + "\n\nRespond: back to the tester with your message. Approve: try once more. Reject: the unit ends here.",
        allowed=(APPROVE, RESPOND, REJECT),
    )


def about_dispute(run: str, unit: Unit, count: int, disputes: Sequence[ChangedExpectation]) -> Question:
    """Ask who is right, after the tester derived a disputed test again and the coder disputes it still."""
    listed = "\n".join(f"- `{d.test}`: {d.why}" for d in disputes)
    return Question(
        id=f"dispute:{unit.id}:{count}",
        run=run,
        unit=unit.id,
        kind=CheckpointKind.DISPUTE,
        title="Tester and coder do not agree about a test. Who is right?",
        args={"unit": unit.id, "tests": [d.test for d in disputes]},
        description=f"Specification:\n\n{unit.specification}\n\nThe coder says that these tests are wrong:\n\n{listed}"
        "\n\nRespond: to the tester, what the specification means. Reject: the tests stand, back to the coder.",
        allowed=(RESPOND, REJECT),
    )


def about_waiver(run: str, unit: Unit, head: str, results: Sequence[GateResult]) -> Question:
    """Ask whether a gate that did not pass may be waived for this change."""
    listed = "\n".join(f"- **{r.gate}**: {'; '.join(r.reasons)}" for r in results)
    return Question(
        id=f"waiver:{unit.id}:{head[:12]}",
        run=run,
        unit=unit.id,
        kind=CheckpointKind.WAIVER,
        title="A gate did not pass. Waive it for this change?",
        args={"unit": unit.id, "head": head, "gates": [r.gate for r in results]},
        description=f"{listed}\n\nApprove: waived for this commit. Respond: back to the coder. Reject: the unit ends.",
        allowed=(APPROVE, RESPOND, REJECT),
    )


def about_delivery(
    run: str,
    *,
    head: str,
    branch: str,
    verdict: Verdict,
    units: Sequence[tuple[Unit, Verdict, Review]],
    changes: Sequence[FileChange],
    waived: Sequence[str],
) -> Question:
    """Ask whether the whole may go out."""
    lines = [
        f"Branch `{branch}` at `{head[:12]}`, {len(changes)} files, "
        f"+{sum(c.added for c in changes)} -{sum(c.removed for c in changes)}.",
        f"The whole: **{verdict.status.value}**{f', level {verdict.level}' if verdict.level else ''}. "
        + " ".join(verdict.reasons[:2]),
        "",
    ]
    for unit, unit_verdict, review in units:
        lines += [f"- {unit.id} {unit.title}: **{unit_verdict.status.value}**; {review.summary}"]
        lines += [f"  - {_where(f)}{f.text}" for f in review.findings]
    lines += [""] + [f"- `{c.path}` +{c.added} -{c.removed}" for c in changes]
    lines += _unproven(verdict)
    if flags := [f"`{f.path}` {f.text}" for f in verdict.flags]:
        lines += ["", "To look at:"] + [f"- {flag}" for flag in flags[:20]]
    if waived:
        lines += ["", "Decided by people on the way:"] + [f"- {w}" for w in waived]
    return Question(
        id=f"delivery:{head[:12]}",
        run=run,
        kind=CheckpointKind.DELIVERY,
        title="Deliver this branch?",
        args={"branch": branch, "head": head, "tree": verdict.tree, "verdict": digest_of(verdict)},
        description="\n".join(lines),
        allowed=(APPROVE, REJECT),
    )


def _unproven(verdict: Verdict) -> list[str]:
    """Return what no check holds on to, place by place, the most telling first."""
    spans = span_lines(verdict.unproven_lines)
    if not spans:
        return []
    listed = [f"- `{span.place}` {span.reason}" for span in spans[:_PLACES]]
    more = [f"- and {len(spans) - _PLACES} more places"] if len(spans) > _PLACES else []
    return ["", "Unproven lines of the change:", *listed, *more]


def _where(finding: Finding) -> str:
    return f"`{finding.path}{f':{finding.line}' if finding.line else ''}` "
