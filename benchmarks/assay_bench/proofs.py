"""assay itself as a verifier, through its public interface: one house for all cases, one level each."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from pathlib import Path
from typing import get_args

from benchmarks.assay_bench.containers import image_of
from benchmarks.assay_bench.records import Case
from benchmarks.assay_bench.repositories import Made
from benchmarks.assay_bench.verifiers import Status, Told

import assay
from assay.records.checks import Check, ExpectExit
from assay.records.claims import ChangedExpectation, SpeedClaim

_STATUSES: dict[assay.VerdictStatus, Status] = {
    assay.VerdictStatus.PROVEN: "accepted",
    assay.VerdictStatus.REFUTED: "rejected",
    assay.VerdictStatus.INCONCLUSIVE: "inconclusive",
    assay.VerdictStatus.DECLINED: "declined",
}


_REPORT = "report.xml"


class Proof:
    """assay at a level. `C` is what it does without being asked for more."""

    def __init__(self, house: assay.House, level: str) -> None:
        self.name = f"assay {level}"
        self._house, self._level = house, level

    @property
    def version(self) -> str:
        return _version()

    def can_judge(self, case: Case) -> bool:
        """Return whether this assay knows the runner; none but pytest's reaches more than level C."""
        runner = case.host.runner
        return runner in known_runners() and (runner == "pytest" or self._level == "C")

    async def judge(self, case: Case, made: Made) -> Told:
        begun = time.monotonic()
        try:
            verdict, _ = await assay.check(self._house, change_of(case, made), _settings(case, self._level))
        except assay.AssayError as error:
            seconds = round(time.monotonic() - begun, 3)
            return Told(status="inconclusive", reason=f"{type(error).__name__}: {error}", seconds=seconds)
        words = [*verdict.reasons, verdict.question or ""]
        words += [
            f"{s.id}: {reason}"
            for s in verdict.steps
            if s.outcome in ("failed", "inconclusive")
            for reason in s.reasons
        ]
        words += [f"{f.kind}: {f.text}" for f in verdict.flags]
        return Told(
            status=_STATUSES[verdict.status],
            reason="\n".join(words),
            seconds=round(time.monotonic() - begun, 3),
            level=verdict.level,
        )


def knows_levels() -> bool:
    """Return whether a policy of this assay can ask for a level."""
    return "level" in type(assay.Settings().proof).model_fields


def known_runners() -> tuple[str, ...]:
    """Return the runners that a policy of this assay can name."""
    return get_args(type(assay.Settings().project).model_fields["runner"].annotation)


def _settings(case: Case, level: str) -> assay.Settings:
    host = case.host
    lines = ["[proof]", f'level = "{level}"'] if knows_levels() else []
    if "mutants" in type(assay.Settings().proof).model_fields:
        lines += ["mutants = 0"]  # they decide nothing, whatever they show
    if host.runner == "junit":
        command = ["sh", "-c", f"{shlex.join(host.test_command)} >{_REPORT}"]
        lines += ["[project]", 'runner = "junit"', f"test_command = {json.dumps(command)}", f'report = "{_REPORT}"']
    elif host.runner == "node":
        lines += ["[project]", 'runner = "node"', "[sandboxes.default]", f'image = "{host.image}"']
    return assay.parse_settings("\n".join(lines), name=f"settings for {host.id} at level {level}")


def change_of(case: Case, made: Made) -> assay.Change:
    """Return the case as `assay check` takes it."""
    claimed = case.claim
    trusted = made.tests is not None
    return assay.Change(
        repo=made.repo,
        base=made.base,
        head=made.head,
        ticket=assay.Ticket(
            title=case.task.title, text=case.task.text, acceptance=case.task.acceptance if trusted else ()
        ),
        claim=assay.ClaimDraft(
            kind=assay.ClaimKind(claimed.kind),
            statement=claimed.statement,
            declined=claimed.declined,
            changed_expectations=tuple(ChangedExpectation(test=t, why=w) for t, w in claimed.changed_expectations),
            speed=SpeedClaim(command=claimed.speed[0], at_most=claimed.speed[1]) if claimed.speed else None,
            new_dependencies=claimed.new_dependencies or None,
            checks=tuple(
                Check(id=f"check{n}", command=argv, expect=ExpectExit(prints=prints))
                for n, (argv, prints) in enumerate(claimed.checks)
            ),
        ),
        tests=made.tests,
        held_out=made.held_out,
    )


def _version() -> str:
    """Return the digest of assay's own code and of the image."""
    digest = hashlib.sha256((image_of("python") or "").encode())
    package = Path(assay.__file__).parent
    for path in sorted(package.glob("*/**/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
