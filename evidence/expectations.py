"""S6: each expected id is reported exactly once, with set-up, call and tear-down passed.

Defeats green runs that ran less: skipped, xfailed, deselected, renamed, deleted or repeated tests, and a runner that
ended early, are all something else than passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, assert_never

from assay.records.evidence import Evidence, TestOutcome
from assay.records.sandboxes import Exited, OutOfMemory, Signalled, TimedOut

EVERYTHING: Final = "."
"""Id of a stated test that means all tests of its tree together."""


class Standing(StrEnum):
    """How one id stands in one execution. Only the first counts as passed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "was skipped or expected to fail"
    MISSING = "was not reported"
    DUPLICATED = "was reported more than once"
    BROKEN = "belongs to a run whose report does not count"
    LOST = "belongs to a sandbox that was lost"


class Reading:
    """One execution, read id by id."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.whole = isinstance(evidence.ending, Exited) and not evidence.trouble
        """Whether the command ended by itself and its report counts."""
        self._standings: dict[str, Standing] = {}
        self._outcomes: dict[str, TestOutcome] = {}
        self._twice: set[str] = set()
        for outcome in evidence.outcomes:
            if outcome.id in self._outcomes or outcome.reports > 1:
                self._twice.add(outcome.id)
            self._outcomes[outcome.id] = outcome

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids that were collected; files that could not be are left out."""
        return tuple(i for i, o in self._outcomes.items() if "::" in i and o.reports > 0)

    def stand(self, test: str) -> Standing:
        """Return how an expected id stands."""
        if test not in self._standings:
            self._standings[test] = self._stand(test)
        return self._standings[test]

    def _stand(self, test: str) -> Standing:
        if self.evidence.ending is None:
            return Standing.LOST
        if not self.whole:
            return Standing.BROKEN
        outcome = self.outcome(test)
        if outcome is None:
            return Standing.MISSING
        return Standing.DUPLICATED if outcome.id in self._twice else _stand_once(outcome)

    def outcome(self, test: str) -> TestOutcome | None:
        """Return what was reported of an id, or of its file where that could not be collected."""
        if test in self._outcomes:
            return self._outcomes[test]
        file = self._outcomes.get(test.split("::", 1)[0])
        return file if file is not None and file.failure == "import" else None

    def got(self, test: str) -> str:
        """Return what was seen of an id, for a person: the message, or why there is none."""
        standing = self.stand(test)
        if standing is Standing.LOST or standing is Standing.BROKEN:
            trouble = f"; {self.evidence.trouble}" if self.evidence.trouble else ""
            return describe_ending(self.evidence) + trouble
        outcome = self.outcome(test)
        return outcome.message if outcome is not None and outcome.message else f"the test {standing.value}"


def as_one(shards: Sequence[Reading]) -> Reading:
    """Return the reading of a suite that was divided over sandboxes.

    It is whole only if each part is. Each id counts in the part that was asked for it: one that another part reports
    was reported once too often, and one that is reported nowhere is missing.
    """
    if len(shards) == 1:
        return shards[0]
    parts = [shard.evidence for shard in shards]
    worst = next((p for p in parts if not isinstance(p.ending, Exited)), parts[-1])
    bad = max((p.ending.code for p in parts if isinstance(p.ending, Exited)), default=0)
    lost = any(p.ending is None for p in parts)
    made = worst.model_copy(
        update={
            "ending": None if lost else Exited(code=bad) if isinstance(worst.ending, Exited) else worst.ending,
            "trouble": next((p.trouble for p in parts if p.trouble), ""),
            "outcomes": tuple(outcome for part in parts for outcome in _own(part)),
            "expected": tuple(test for part in parts for test in part.expected),
            "seconds": sum(p.seconds for p in parts),
            "cpu_seconds": sum(p.cpu_seconds for p in parts),
        }
    )
    return Reading(made)


def _own(part: Evidence) -> Iterator[TestOutcome]:
    asked = frozenset(part.expected)
    for outcome in part.outcomes:
        stranger = asked and "::" in outcome.id and outcome.id not in asked
        yield outcome.model_copy(update={"reports": max(2, outcome.reports)}) if stranger else outcome


def _stand_once(outcome: TestOutcome) -> Standing:
    phases = (outcome.setup, outcome.call, outcome.teardown)
    if outcome.passed:
        return Standing.PASSED
    if any(p in ("failed", "error") for p in phases):
        return Standing.FAILED
    if any(p in ("skipped", "xfailed", "xpassed") for p in phases):
        return Standing.SKIPPED
    return Standing.MISSING


def members(test: str, readings: Iterable[Reading]) -> tuple[str, ...]:
    """Return the ids that a stated test means: itself, its parameters, what its class or file holds; all for `.`."""
    seen = dict.fromkeys(i for reading in readings for i in reading.ids)
    if test in seen:
        return (test,)
    return tuple(i for i in seen if test == EVERYTHING or i.startswith((test + "[", test + "::"))) or (test,)


def describe_ending(evidence: Evidence) -> str:
    """Return how the process of an execution ended, for a person."""
    match evidence.ending:
        case None:
            return "the sandbox was lost"
        case Exited(code=code):
            return f"the process ended with exit code {code}"
        case Signalled(signal=signal):
            return f"the process was ended by signal {signal}"
        case TimedOut(seconds=seconds):
            return f"the process was stopped after {seconds:g} s"
        case OutOfMemory():
            return "the process used more memory than the sandbox has"
        case never:
            assert_never(never)
