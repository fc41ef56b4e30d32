"""Gates: rules over a whole change. What failed before the change is not blamed on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol

from assay.policies.settings import GateSettings
from assay.records.base import Record
from assay.records.sandboxes import CommandResult, Exited, OutOfMemory, Signalled, TimedOut

GateOutcome = Literal["pass", "block", "ask", "warn"]
_SEVERITY: tuple[GateOutcome, ...] = ("block", "ask", "warn", "pass")
NOT_RUN: Final = (126, 127)
"""Exit codes of a shell, and of whoever starts a program, where there is no such program or it may not be run."""
_SHOWN = 600
_TOLD = 10
_MOST_FINDINGS = 200


class GateFinding(Record):
    """One thing that a gate found in a change."""

    rule: str
    """What it is, as who found it calls it: `AWS Access Key`, `B602`."""
    message: str
    """A sentence for people. It never quotes a secret."""
    path: str = ""
    line: int | None = None
    """In the file as the change leaves it, from 1."""
    mark: str = ""
    """What is the same for the same thing in another place or at the base, so that it can be told from a new one.
    It holds within one judgement: in another one the same thing may have another mark."""


class GateResult(Record):
    """What a gate says of a change."""

    gate: str
    outcome: GateOutcome
    reasons: tuple[str, ...] = ()
    """A sentence each; for `pass` what was looked at."""
    findings: tuple[GateFinding, ...] = ()
    """What is new in the change, up to 200."""


class Sized(Protocol):
    """What the size of a change needs of a `FileChange`."""

    @property
    def path(self) -> str: ...
    @property
    def added(self) -> int: ...
    @property
    def removed(self) -> int: ...


def judge_size(gate: str, settings: GateSettings, changes: Sequence[Sized]) -> GateResult:
    """Return whether a change keeps to the gate's bounds on files and lines (added and removed together)."""
    files, lines = len(changes), sum(change.added + change.removed for change in changes)
    reasons = []
    if settings.max_files is not None and files > settings.max_files:
        reasons.append(f"{files} files are changed, and the gate allows {settings.max_files}")
    if settings.max_lines is not None and lines > settings.max_lines:
        largest = max(changes, key=lambda change: change.added + change.removed)
        reasons.append(
            f"{lines} lines are changed, and the gate allows {settings.max_lines}; "
            f"most of them in {largest.path} ({largest.added + largest.removed})"
        )
    if reasons:
        return GateResult(gate=gate, outcome=settings.on_failure, reasons=tuple(reasons))
    return GateResult(gate=gate, outcome="pass", reasons=(f"{files} files and {lines} lines are changed",))


def judge_command(
    gate: str, settings: GateSettings, base: CommandResult | None, head: CommandResult | None
) -> GateResult:
    """Return what a gate's command says, run on the base and on the head of a change.

    Args:
        gate: its name.
        settings: its settings.
        base: how it ended on the base; None where it could not be run.
        head: how it ended on the head; None where it could not be run.

    Only an exit code other than 0 is a failure. What could not be run, or was killed, is neither
    passed nor failed: a person is asked, or warned where the gate only warns.
    """
    unclear: GateOutcome = "warn" if settings.on_failure == "warn" else "ask"
    if head is None or not isinstance(head.ending, Exited):
        return GateResult(gate=gate, outcome=unclear, reasons=(f"on the change it {_ended(head)}",))
    if head.ok:
        return GateResult(gate=gate, outcome="pass", reasons=("the command succeeds on the change",))
    failed = f"the command {_ended(head)} on the change"
    if base is None or not isinstance(base.ending, Exited):
        reason = f"{failed}; whether it did before is not known: on the base it {_ended(base)}"
        return GateResult(gate=gate, outcome=unclear, reasons=(reason, *_said(head)))
    if base.ending.code in NOT_RUN:
        reason = f"{failed}, and on the base it {_ended(base)}: its program is not there, so it tells nothing"
        return GateResult(gate=gate, outcome=unclear, reasons=(reason, *_said(head)))
    if base.ok:
        reasons = (f"{failed}, and succeeds on the base", *_said(head))
        return GateResult(gate=gate, outcome=settings.on_failure, reasons=reasons)
    same = "fails in the same way" if base.ending == head.ending else f"{_ended(base)}"
    return GateResult(
        gate=gate, outcome="pass", reasons=(f"{failed}; it {same} on the base, so the change is not blamed",)
    )


def judge_findings(
    gate: str, settings: GateSettings, base: Iterable[GateFinding], head: Iterable[GateFinding], looked: str
) -> GateResult:
    """Return what findings at base and head say: what is there more often than before is the change's.

    Args:
        gate: its name.
        settings: its settings.
        base: what was found before the change.
        head: what was found after it.
        looked: what was looked at, in words.

    The same thing in another file or line is not new.
    """
    known = Counter((finding.rule, finding.mark) for finding in base)
    new = []
    for finding in head:
        if known[finding.rule, finding.mark] > 0:
            known[finding.rule, finding.mark] -= 1
        else:
            new.append(finding)
    if not new:
        return GateResult(gate=gate, outcome="pass", reasons=(f"nothing new in {looked}",))
    told = [f"{_place(finding)}{finding.message} ({finding.rule})" for finding in new[:_TOLD]]
    more = [f"and {len(new) - _TOLD} more"] if len(new) > _TOLD else []
    return GateResult(
        gate=gate, outcome=settings.on_failure, reasons=(*told, *more), findings=tuple(new[:_MOST_FINDINGS])
    )


def unclear(gate: str, settings: GateSettings, reason: str) -> GateResult:
    """Return that a gate could not look: neither passed nor failed, so a person is asked, or warned."""
    return GateResult(gate=gate, outcome="warn" if settings.on_failure == "warn" else "ask", reasons=(reason,))


def _place(finding: GateFinding) -> str:
    line = f":{finding.line}" if finding.line is not None else ""
    return f"{finding.path}{line}: " if finding.path else ""


def judge_parts(gate: str, parts: Sequence[GateResult]) -> GateResult:
    """Return what a gate says of a change: the strictest of its parts, with all their reasons."""
    if not parts:  # loading refuses such a gate; one that was built otherwise must not pass unseen
        return GateResult(gate=gate, outcome="ask", reasons=("the gate has nothing to look at",))
    worst = min((part.outcome for part in parts), key=_SEVERITY.index)
    reasons = tuple(reason for part in parts if part.outcome == worst or worst == "pass" for reason in part.reasons)
    findings = tuple(finding for part in parts for finding in part.findings)
    return GateResult(gate=gate, outcome=worst, reasons=reasons, findings=findings[:_MOST_FINDINGS])


def _ended(result: CommandResult | None) -> str:
    if result is None:
        return "could not be run"
    match result.ending:
        case Exited(code=code):
            return f"ends with exit code {code}"
        case Signalled(signal=signal):
            return f"was killed by signal {signal}"
        case TimedOut(seconds=seconds):
            return f"ran out of its {seconds:g} seconds"
        case OutOfMemory():
            return "ran out of memory"


def _said(result: CommandResult) -> tuple[str, ...]:
    """Return the end of what the command printed, where it printed anything."""
    text = (result.stderr.text.strip() or result.stdout.text.strip())[-_SHOWN:]
    return (f"it printed: {text}",) if text else ()
