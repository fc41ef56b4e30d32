"""What the judge decides from: the claim, what the trees say, what was executed and what each execution showed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Literal

from assay.evidence.dependency_changes import Dependencies
from assay.evidence.expectations import Reading, as_one
from assay.evidence.protocol import Case
from assay.policies.settings import ProjectSettings
from assay.records.base import Record
from assay.records.evidence import Evidence
from assay.records.verdicts import Flag, Level, Step


class Subject(StrEnum):
    """Which tests, or what else, an execution is about."""

    CANARY = "canary"
    REGRESSION = "regression"
    """The base's own suite."""
    VISIBLE = "visible tests"
    HELD_OUT = "held-out tests"
    BROUGHT = "tests that the change brings"
    """The head's own suite."""
    CHECK = "author's check"
    SPEED = "speed"
    """The workload of a claim about speed."""
    PROBE = "probe"
    """Recorded calls, done again without tests (S11)."""


Variant = Literal[
    "base",
    "head",
    "near",
    "near-base",
    "null-raise",
    "null-return",
    "twin",
    "twin-base",
    "jittered",
    "jittered-base",
    "ablated",
    "covered",
    "mutated",
    "recorded",
    "recorded-head",
    "outside",
    "outside-base",
    "old-lock",
    "new-lock",
]
"""Which source, and what was altered: the base's, the head's; both once more, for the tests nearest to the change and
for what failed in a part of the suite; the head's with the changed functions taken out;
perturbed expectations over one of the two (S8); other surroundings for one of the two (S12); the head without a part
of the change, while its lines are counted, and with its mutants (S13); base and head while their calls are noted (S11);
one of the two with the judge outside (S9); the head with the base's dependencies, and the base with the head's (S14).
"""

BASE_VARIANTS: Final = frozenset(
    {"base", "near-base", "twin-base", "jittered-base", "recorded", "outside-base", "new-lock"}
)
"""The variants with the base's source."""


APART: Final = frozenset({"jittered", "jittered-base", "ablated", "covered", "mutated", "old-lock", "new-lock"})
"""The variants of S12, S13 and S14."""

NEEDED: Final = frozenset({"base", "head", "null-raise", "null-return", "twin", "twin-base"})
"""The variants without which nothing is proven; the others add to what is known."""


class LeftOut(Record):
    """An execution that there was no time for."""

    what: str
    """For a person: purpose and cell."""
    needed: bool
    """Whether nothing is proven without it."""


class Trial(Record):
    """One execution and its place in the proof."""

    subject: Subject
    variant: Variant
    part: str = ""
    """Of what it is a trial, where the variant has several: one set of surroundings, one part of the change."""
    replicate: int = 0
    alone: bool = False
    """Whether only suspects ran, to see whether a failure reproduces; else everything of the subject."""
    check: str | None = None
    """Id of the author's check, where it is about one."""
    shard: int | None = None
    """Number of a part of the suite, where it was divided over sandboxes; None: what ran is everything."""
    evidence: str
    """Id of the evidence."""


class ChangedPart(Record):
    """A part of the change that can be taken out by itself."""

    id: str
    path: str
    first: int = 1
    """Its first line at the head."""
    last: int = 0
    """Its last line at the head; less than the first where the part only takes something away."""
    text: tuple[str, ...] = ()
    """Its lines, for a person."""


class ChangedStatement(Record):
    """A statement, or the head of one that holds others, of which some line changed."""

    id: str
    path: str
    lines: tuple[int, ...]
    """Its lines that changed."""
    text: tuple[str, ...] = ()
    """The same lines, for a person."""


class Mutant(Record):
    """A changed statement in which one small thing is otherwise."""

    id: int
    statement: str
    """Id of the statement."""
    path: str
    line: int
    operator: str
    """What was done, under the field's name for it."""
    before: str
    after: str
    """Empty where it would not be there at all."""
    tests: tuple[str, ...] = ()
    """Tests that are asked."""
    everybody: bool = True
    """Whether all that could notice are asked."""


class Facts(Record):
    """Everything about a case that the judge may use beside evidence. Computed from git trees and settings alone."""

    case: Case
    tree: str
    """Git tree of the head."""
    project: ProjectSettings
    baseline_runs: int
    replicates: int
    level: Level = "B"
    """Least level at which the claim counts as proven."""
    secret: str = ""
    """From which the names in transformed tests are made; nobody who writes a change knows it."""
    steps: tuple[Step, ...] = ()
    """S0 to S3, as they went."""
    flags: tuple[Flag, ...] = ()
    dependencies: Dependencies = Dependencies()
    """What the change does to manifests, lock files and images, and what became of the head's (S14)."""
    program_changed: tuple[str, ...] = ()
    """Files of the program that differ in more than comments, docstrings and formatting."""
    judge_side_changed: tuple[str, ...] = ()
    """Tests, golden files and test configuration that the change itself adds, alters or removes."""
    replaced: tuple[str, ...] = ()
    """Test files of the base in whose place the trusted side put others."""
    test_files: frozenset[str] = frozenset()
    """Files that raised a failure and belong to the judge's side."""
    watching: frozenset[str] = frozenset()
    """Files of the head's program that import what looked at its runner at the base already (S11)."""
    untouched: frozenset[str] = frozenset()
    """Files whose tests the change cannot reach, as far as texts tell."""
    jittered: int = 0
    """Other surroundings that the policy asks for (S12)."""
    parts: tuple[ChangedPart, ...] = ()
    """Parts of the change that were to be taken out one by one (S13)."""
    statements: tuple[ChangedStatement, ...] = ()
    """What of the change can be executed, as far as it is looked at which test does (S13)."""
    statements_left_out: int = 0
    """How many more there are."""
    mutants: tuple[Mutant, ...] = ()
    """Mutants that were to be tried (S13)."""
    mutants_left_out: int = 0
    """How many more there are."""
    trials: tuple[Trial, ...] = ()
    """Everything that was executed; evidence of each must be there."""
    left_out: tuple[LeftOut, ...] = ()
    """What was not executed, or not to its end, because the time for the proof was over."""


_Place = tuple[Subject, Variant, str, bool, str | None]


class Book:
    """The evidence of a case, found by its place in the proof."""

    def __init__(self, facts: Facts, evidence: Iterable[Evidence | Reading]) -> None:
        self.facts = facts
        readings = (e if isinstance(e, Reading) else Reading(e) for e in evidence)
        held = {r.evidence.id: r for r in readings}
        self.missing = tuple(t.evidence for t in facts.trials if t.evidence not in held)
        """Ids of evidence that was made and is not here."""
        lost = (t for t in facts.trials if t.evidence in held and held[t.evidence].evidence.ending is None)
        self.lost = tuple(t for t in lost if t.variant not in ("ablated", "covered", "mutated"))
        """Trials whose sandbox was lost; those aside that only inform."""
        self._seconds = {i: r.evidence.seconds for i, r in held.items()}
        self._places: dict[_Place, list[Reading]] = {}
        runs: dict[tuple[int, _Place], list[Trial]] = {}
        for trial in sorted(facts.trials, key=lambda t: t.replicate):
            if trial.evidence in held:
                place = (trial.subject, trial.variant, trial.part, trial.alone, trial.check)
                runs.setdefault((trial.replicate, place), []).append(trial)
        for (_, place), trials in runs.items():
            whole = [held[t.evidence] for t in trials if t.shard is None]
            shards = [held[t.evidence] for t in sorted(trials, key=lambda t: t.shard or 0)]
            self._places.setdefault(place, []).extend(whole or [as_one(shards)])

    def all(
        self, subject: Subject, variant: Variant, *, part: str = "", alone: bool = False, check: str | None = None
    ) -> tuple[Reading, ...]:
        """Return the executions at this place, by replicate."""
        return tuple(self._places.get((subject, variant, part, alone, check), ()))

    def parts(self, subject: Subject, variant: Variant) -> tuple[str, ...]:
        """Return of which parts there are executions, in the order in which they were made."""
        found = (t.part for t in self.facts.trials if (t.subject, t.variant) == (subject, variant))
        return tuple(dict.fromkeys(found))

    def first(self, subject: Subject, variant: Variant) -> Reading | None:
        """Return the first full execution at this place, or None where there was none."""
        found = self.all(subject, variant)
        return found[0] if found else None

    def evidence_of(self, *subjects: Subject) -> tuple[str, ...]:
        """Return the ids of all evidence about these subjects, but for what steps of their own tell."""
        trials = (t for t in self.facts.trials if t.variant not in APART)
        return tuple(dict.fromkeys(t.evidence for t in trials if t.subject in subjects))

    def evidence_at(self, *variants: Variant) -> tuple[str, ...]:
        """Return the ids of all evidence of these variants."""
        return tuple(dict.fromkeys(t.evidence for t in self.facts.trials if t.variant in variants))

    def seconds_of(self, evidence: Iterable[str]) -> float:
        """Return how long these executions took together."""
        return round(sum(self._seconds.get(i, 0.0) for i in evidence), 3)
