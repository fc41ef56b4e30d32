"""Cases as data for the judge: a perfect one, and every way in which it can be spoiled."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import product

from assay.evidence.ablation import subject_of_ablation
from assay.evidence.dependency_changes import Dependencies
from assay.evidence.environment import CANARY_FAILS, CANARY_PASSES
from assay.evidence.facts import (
    BASE_VARIANTS,
    Book,
    ChangedPart,
    ChangedStatement,
    Facts,
    Mutant,
    Subject,
    Trial,
    Variant,
)
from assay.evidence.jitter import resting_ids
from assay.evidence.probe_calls import Call
from assay.evidence.protocol import Case, TrustedTests
from assay.evidence.twins import mark_of
from assay.policies.settings import ProjectSettings
from assay.records.checks import Check
from assay.records.claims import Claim, ClaimDraft, ClaimKind, SpeedClaim
from assay.records.evidence import Cell, Evidence, FailureKind, PhaseOutcome, Side, TestOutcome
from assay.records.plans import Requirement
from assay.records.results import StatedTest
from assay.records.sandboxes import Exited
from assay.records.verdicts import Step

AT = datetime(2026, 11, 22, tzinfo=UTC)
SECRET = "s"
STEPS = tuple(Step(id=i, title=i, outcome="passed") for i in ("S0", "S1", "S2", "S3"))


def perturbed(test: str) -> TestOutcome:
    """Return the outcome of a twin that fails as it should."""
    said = f"AssertionError: {mark_of(SECRET)} works 1"
    return failed(test).model_copy(update={"message": said})


def passed(test: str) -> TestOutcome:
    """Return the outcome of a test that passed."""
    return TestOutcome(id=test, setup="passed", call="passed", teardown="passed")


def failed(test: str, kind: FailureKind = "assertion", phase: PhaseOutcome = "failed") -> TestOutcome:
    """Return the outcome of a test that did not pass."""
    return TestOutcome(
        id=test, setup="passed", call=phase, teardown="passed", failure=kind, message=f"{kind} of {test}"
    )


def uncollected(file: str) -> TestOutcome:
    """Return the outcome of a file that could not be imported."""
    return TestOutcome(id=file, reports=0, setup="error", failure="import", message="ImportError: no f")


@dataclass
class Records:
    """Facts and evidence in the making."""

    facts: Facts
    evidence: dict[str, Evidence] = field(default_factory=dict)

    def add(
        self,
        subject: Subject,
        variant: Variant,
        outcomes: Iterable[TestOutcome],
        *,
        replicate: int = 0,
        alone: bool = False,
        expected: tuple[str, ...] = (),
        check: str | None = None,
        part: str = "",
        shard: int | None = None,
    ) -> str:
        """Add one execution and return the id of its evidence."""
        half = "" if shard is None else f".half-{shard}"
        name = f"{subject.value}.{variant}.{replicate}.{alone}.{check}{part}{half}".replace(" ", "-")
        made = tuple(outcomes)
        bad = any(not o.passed and "failed" in (o.setup, o.call, o.teardown) for o in made)
        self.evidence[name] = Evidence(
            id=name,
            purpose=subject.value,
            cell=Cell(source="base" if variant in BASE_VARIANTS else "head", tests="base"),
            replicate=replicate,
            commit="0" * 40,
            tree="1" * 40,
            image="sha256:2",
            policy="sha256:3",
            argv=("python3",),
            ending=Exited(code=1 if bad else 0),
            outcomes=made,
            expected=expected,
            started=AT,
            seconds=1.0,
        )
        trial = Trial(
            subject=subject,
            variant=variant,
            replicate=replicate,
            alone=alone,
            check=check,
            evidence=name,
            part=part,
            shard=shard,
        )
        self.facts = self.facts.model_copy(update={"trials": (*self.facts.trials, trial)})
        return name

    def book(self) -> Book:
        """Return the book of it."""
        return Book(self.facts, self.evidence.values())

    def change(self, name: str, **fields: object) -> Records:
        """Return a copy in which one piece of evidence has other fields."""
        changed = self.evidence[name].model_copy(update=fields)
        return replace(self, evidence={**self.evidence, name: changed})

    def without(self, name: str) -> Records:
        """Return a copy in which one piece of evidence is lost from the store."""
        return replace(self, evidence={k: v for k, v in self.evidence.items() if k != name})

    def with_facts(self, **fields: object) -> Records:
        """Return a copy with other facts."""
        return replace(self, facts=self.facts.model_copy(update=fields))

    def with_draft(self, **fields: object) -> Records:
        """Return a copy whose claim says something else."""
        case = self.facts.case
        draft = case.claim.draft.model_copy(update=fields)
        claim = case.claim.model_copy(update={"draft": draft})
        return self.with_facts(case=case.model_copy(update={"claim": claim}))


def canary(records: Records) -> None:
    """Add a canary that does what it must."""
    records.add(Subject.CANARY, "base", [passed(CANARY_PASSES), failed(CANARY_FAILS)])


def start(kind: ClaimKind, requirements: tuple[Requirement, ...], stated: tuple[StatedTest, ...]) -> Records:
    """Return the facts of a case in which nothing was executed yet."""
    draft = ClaimDraft(kind=kind, statement="It works.")
    claim = Claim(id="c1", author="coder", base="a" * 40, head="b" * 40, draft=draft)
    trusted = TrustedTests(visible="c" * 40, held_out="d" * 40, stated=stated) if stated else TrustedTests()
    case = Case(run="run", claim=claim, requirements=requirements, trusted=trusted)
    facts = Facts(
        case=case,
        tree="e" * 40,
        project=ProjectSettings(),
        baseline_runs=2,
        replicates=2,
        secret=SECRET,
        steps=STEPS,
        program_changed=("calc.py",),
        test_files=frozenset({"tests/test_a.py", "tests/test_v.py", "tests/test_h.py", "tests/test_n.py"}),
    )
    return Records(facts)


def graph_case(tests: int = 2, requirements: int = 2, *, vacuous: bool = False) -> Records:
    """Return everything that proves a unit: requirements with visible and held-out tests, and a suite that holds.

    Args:
        tests: ids of the base's suite.
        requirements: each has one visible and one held-out test.
        vacuous: the trusted tests cannot be imported at the base, and null implementations fail them.
    """
    ids = [f"R{n}" for n in range(1, requirements + 1)]
    visible = [f"tests/test_v.py::test_{i}" for i in ids]
    hidden = [f"tests/test_h.py::test_{i}" for i in ids]
    stated = tuple(
        StatedTest(id=test, requirement=requirement, fails_because="", held_out=held_out)
        for held_out, names in ((False, visible), (True, hidden))
        for requirement, test in zip(ids, names, strict=True)
    )
    records = start(ClaimKind.FEATURE, tuple(Requirement(id=i, text=f"{i} holds.") for i in ids), stated)
    canary(records)
    suite = [f"tests/test_a.py::test_{n}" for n in range(tests)]
    for replicate in range(2):
        records.add(Subject.REGRESSION, "base", map(passed, suite), replicate=replicate)
    records.add(Subject.REGRESSION, "head", map(passed, suite), expected=tuple(suite))
    for subject, names, file in (
        (Subject.VISIBLE, visible, "tests/test_v.py"),
        (Subject.HELD_OUT, hidden, "tests/test_h.py"),
    ):
        at_base = [uncollected(file)] if vacuous else [failed(n) for n in names]
        records.add(subject, "base", at_base, expected=tuple(names))
        records.add(subject, "head", map(passed, names), expected=tuple(names))
        if vacuous:
            records.add(subject, "null-raise", [failed(n, "error") for n in names], expected=tuple(names))
            records.add(subject, "null-return", map(failed, names), expected=tuple(names))
        records.add(subject, "twin", map(perturbed, names), expected=tuple(names))
    if suite:
        records.add(Subject.REGRESSION, "twin", map(perturbed, suite), expected=tuple(suite))
        records.add(Subject.REGRESSION, "twin-base", map(perturbed, suite))
    return records


def check_case(kind: ClaimKind = ClaimKind.FIX, *, vacuous: bool = False) -> Records:
    """Return everything that proves a change that nobody stated requirements for: its own test shows it."""
    records = start(kind, (), ())
    records.facts = records.facts.model_copy(update={"judge_side_changed": ("tests/test_n.py",)})
    canary(records)
    suite = ["tests/test_a.py::test_0", "tests/test_a.py::test_1"]
    new = "tests/test_n.py::test_new"
    for replicate in range(2):
        records.add(Subject.REGRESSION, "base", map(passed, suite), replicate=replicate)
    records.add(Subject.REGRESSION, "head", map(passed, suite), expected=tuple(suite))
    records.add(Subject.BROUGHT, "head", map(passed, [*suite, new]))
    records.add(Subject.BROUGHT, "base", [uncollected("tests/test_n.py") if vacuous else failed(new)], expected=(new,))
    if vacuous:
        records.add(Subject.BROUGHT, "null-raise", [failed(new, "error")], expected=(new,))
        records.add(Subject.BROUGHT, "null-return", [failed(new)], expected=(new,))
    records.add(Subject.BROUGHT, "twin", [perturbed(new)], expected=(new,))
    records.add(Subject.REGRESSION, "twin", map(perturbed, suite), expected=tuple(suite))
    records.add(Subject.REGRESSION, "twin-base", map(perturbed, suite))
    return records


def kept_case(kind: ClaimKind = ClaimKind.REFACTOR) -> Records:
    """Return everything that proves a change by the tests of the base: docs, tests, dependencies, less time."""
    records = start(kind, (), ())
    canary(records)
    suite = ["tests/test_a.py::test_0", "tests/test_a.py::test_1"]
    for replicate in range(2):
        records.add(Subject.REGRESSION, "base", map(passed, suite), replicate=replicate)
    records.add(Subject.REGRESSION, "head", map(passed, suite), expected=tuple(suite))
    records.add(Subject.REGRESSION, "twin", map(perturbed, suite), expected=tuple(suite))
    records.add(Subject.REGRESSION, "twin-base", map(perturbed, suite))
    if kind in (ClaimKind.DOCS, ClaimKind.TESTS):
        records = records.with_facts(program_changed=())
    if kind is ClaimKind.TESTS:
        new = "tests/test_n.py::test_new"
        records = records.with_facts(judge_side_changed=("tests/test_n.py",))
        records.add(Subject.BROUGHT, "head", map(passed, [*suite, new]))
        records.add(Subject.BROUGHT, "base", [passed(new)], expected=(new,))
        records.add(Subject.BROUGHT, "null-raise", [failed(new, "error")], expected=(new,))
        records.add(Subject.BROUGHT, "null-return", [failed(new)], expected=(new,))
        records.add(Subject.BROUGHT, "twin", [perturbed(new)], expected=(new,))
    if kind is ClaimKind.DEPENDENCY:
        pinned = Dependencies(files=("uv.lock",), lock="uv.lock", image="sha256:2")
        records = records.with_facts(dependencies=pinned, program_changed=("uv.lock",))
        records.add(Subject.CANARY, "head", [passed(CANARY_PASSES), failed(CANARY_FAILS)])
        records.add(Subject.REGRESSION, "old-lock", map(passed, suite), expected=tuple(suite))
    if kind is ClaimKind.PERFORMANCE:
        records = records.with_draft(speed=SpeedClaim(command=("python3", "-m", "tool"), at_most=0.6))
        sides: tuple[Side, ...] = ("base", "head")
        for pair, side in product(range(7), sides):
            name = records.add(Subject.SPEED, side, [], replicate=pair)
            spent = 1.0 if side == "base" else 0.5
            records = records.change(name, output_bytes=3, output_digest="sha256:4", cpu_seconds=spent)
    return records


def in_other_surroundings(records: Records, count: int = 2) -> Records:
    """Add S12: what the proof rests on passes in other surroundings, too."""
    for subject in (Subject.REGRESSION, Subject.VISIBLE, Subject.HELD_OUT, Subject.BROUGHT):
        ids = resting_ids(records.book(), subject)
        for number in range(count) if ids else ():
            records.add(subject, "jittered", map(passed, ids), expected=ids, part=str(number))
    return records.with_facts(jittered=count)


def with_strength(records: Records) -> Records:
    """Add S13 of a fix or a feature: its one part is needed, its one statement executed, and its one mutant killed."""
    if records.facts.case.claim.draft.kind not in (ClaimKind.FIX, ClaimKind.FEATURE):
        return records
    subject = subject_of_ablation(records.book())
    head = records.book().first(subject, "head")
    ids = () if head is None else head.evidence.outcomes
    test = ids[-1].id
    name = records.add(subject, "covered", ids)
    records = records.change(name, touched={test: ("0", "s0")})
    records.add(subject, "ablated", [failed(test)], part="some:0")
    name = records.add(subject, "mutated", [passed(test)], part="1-1")
    said: list[dict[str, object]] = [
        {"kind": "observed", "control": "fails", "seen": True},
        {"kind": "observed", "control": "passes", "unfit": []},
        {"kind": "observed", "mutant": 1, "ended": "killed"},
    ]
    records = records.change(name, observed="\n".join(map(json.dumps, said)))
    place = {"path": "calc.py", "line": 2, "operator": "ROR", "before": "a < b", "after": "a <= b"}
    return records.with_facts(
        parts=(ChangedPart(id="0", path="calc.py", first=2, last=2),),
        statements=(ChangedStatement(id="s0", path="calc.py", lines=(2,)),),
        mutants=(Mutant.model_validate({"id": 1, "statement": "s0", "tests": (test,), **place}),),
    )


def with_probe(records: Records, *, head: str = "3") -> Records:
    """Add S11: a call of a test was done again on both sides, twice where a refutation would need it.

    Args:
        records: the rest.
        head: the result at the head; `3` at the base.
    """
    call = Call(id=0, module="calc", file="calc.py", line=1, name="add", arguments="((1, 2), {})", recorded=True)
    fields = call.model_dump(mode="json", include={"module", "file", "line", "name"})
    function = {**fields, "form": "function", "defaults": 0, "calls": [["add", "", call.arguments]], "tests": [[]]}
    noted: list[dict[str, object]] = [{"paths": ["/workspace"], "left_out": 0}, {**function, "left_out": 0}]
    name = records.add(Subject.PROBE, "recorded", [])
    records = records.change(name, observed="\n".join(json.dumps({"kind": "observed", **line}) for line in noted))
    sides: tuple[Side, ...] = ("base", "head")
    for side, (part, replicate) in product(sides, (("", 0), ("again", 0), ("again", 1))):
        name = records.add(Subject.PROBE, side, [], part=part, replicate=replicate)
        result = "3" if side == "base" else head
        answer = {
            "call": call.model_dump(mode="json"),
            "answer": ["value", f"({result}, ((1, 2), {{}}))"],
            "dressed": False,
        }
        records = records.change(name, observed=json.dumps({"kind": "observed", **answer}), ending=Exited(code=5))
    return records


def halved(records: Records, variant: Variant) -> Records:
    """Return a case in which the base's suite ran in two sandboxes, half of it in each, where it has two tests."""
    name = f"regression.{variant}.0.False.None"
    evidence = records.evidence[name]
    if len(evidence.outcomes) < 2:
        return records
    fewer = records.without(name).with_facts(trials=tuple(t for t in records.facts.trials if t.evidence != name))
    middle = len(evidence.outcomes) // 2
    for shard, part in enumerate((slice(None, middle), slice(middle, None))):
        asked = evidence.expected[part]
        fewer.add(Subject.REGRESSION, variant, evidence.outcomes[part], expected=asked, shard=shard)
    return fewer


def at_level_a(records: Records) -> Records:
    """Return a case of which level A is asked: everything was seen with the judge outside, too."""
    for subject in (Subject.REGRESSION, Subject.VISIBLE, Subject.HELD_OUT, Subject.BROUGHT):
        asked = records.evidence.get(f"{subject.value}.twin.0.False.None".replace(" ", "-"))
        base = records.evidence.get(f"{subject.value}.base.0.False.None".replace(" ", "-"))
        if asked is not None and base is not None:
            records.add(subject, "outside", map(passed, asked.expected), expected=asked.expected)
            records.add(subject, "outside-base", base.outcomes)
    return records.with_facts(level="A")


def with_dependencies(records: Records, **fields: object) -> Records:
    """Return a case whose head has other dependencies, was run with them, and with the base's as well."""
    records.add(Subject.CANARY, "head", [passed(CANARY_PASSES), failed(CANARY_FAILS)])
    for subject in (Subject.REGRESSION, Subject.VISIBLE, Subject.HELD_OUT, Subject.BROUGHT):
        head = records.book().first(subject, "head")
        if head is not None:
            records.add(subject, "old-lock", head.evidence.outcomes, expected=head.evidence.expected)
    known: dict[str, object] = {"files": ("uv.lock",), "lock": "uv.lock", "image": "sha256:2"}
    return records.with_facts(dependencies=Dependencies.model_validate({**known, **fields}))


def author_check(name: str = "own") -> Check:
    """Return a check of the author's own."""
    return Check(id=name, command=("true",))
