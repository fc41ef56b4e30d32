"""What a coder is told about a verdict: all that it may see, and of held-out tests only the requirement."""

from __future__ import annotations

from assay.evidence.probe_witness import ALIKE
from assay.records.verdicts import Verdict, VerdictStatus, Witness


def feedback(verdict: Verdict) -> str:
    """Return Markdown for the author of a change.

    Nothing of a held-out test is in it: neither id, path, message nor command.
    """
    parts = [_HEADLINES[verdict.status]]
    if verdict.witness is not None:
        parts.append(_told_of(verdict.witness))
    refuted = [r.requirement for r in verdict.requirements if r.status is VerdictStatus.REFUTED]
    told = verdict.witness.requirement if verdict.witness is not None else None
    parts += [f"- Requirement {name} does not hold." for name in refuted if name != told]
    if verdict.witness is None or not verdict.witness.held_out:
        parts += [f"- {reason}" for reason in verdict.reasons]
    return "\n\n".join(parts) + "\n"


_HEADLINES = {
    VerdictStatus.PROVEN: "The claim was examined and is proven.",
    VerdictStatus.REFUTED: "The claim was examined and does not hold.",
    VerdictStatus.INCONCLUSIVE: "The claim was examined and could not be decided.",
    VerdictStatus.DECLINED: "The claim says that the work could not be done.",
}


def _told_of(witness: Witness) -> str:
    if witness.held_out:
        if witness.expected.endswith(ALIKE):
            return f"Expected: {witness.expected}. What shows that it is not so is held out."
        if witness.requirement is None:
            return "Something that worked at the base does not work with the change."
        return f"Requirement {witness.requirement} does not hold. The test that shows it is held out."
    what = f"`{witness.test}`" if witness.test else f"`{' '.join(witness.argv[:8])}`"
    about = f" (requirement {witness.requirement})" if witness.requirement else ""
    fence = "`" * max(3, _longest_run(witness.got) + 1)
    times = f"Seen in {witness.reproduced} fresh sandboxes." if witness.reproduced else "Seen by comparing the trees."
    return f"{what}{about}\n\nExpected: {witness.expected}.\n\nGot:\n\n{fence}\n{witness.got}\n{fence}\n\n{times}"


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
