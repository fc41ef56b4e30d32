"""A run as it would come out of the ledger: the demonstration's, with a refuted try, a mend and a doubt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hostile_text import poisoned

from assay.records.changes import FileChange, Hunk
from assay.records.checks import Check
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.decisions import CheckpointKind, Decision, DecisionType, Question
from assay.records.evidence import Cell, Evidence, FailureKind, Side, TestOutcome
from assay.records.plans import Plan, Requirement, Unit
from assay.records.results import Doubt, Finding, Review, StatedTest
from assay.records.runs import RunStatus, UnitStatus
from assay.records.sandboxes import Exited
from assay.records.tickets import Ticket
from assay.records.unproven import UnprovenLine
from assay.records.verdicts import Flag, RequirementVerdict, Step, Verdict, VerdictStatus, Witness
from assay.reports import (
    AskedFacts,
    CheckFacts,
    ClaimFacts,
    CommandFacts,
    DoubtFacts,
    EventFacts,
    GateFacts,
    HowTo,
    LedgerFacts,
    ReviewFacts,
    RunFacts,
    UnitFacts,
    WorkFacts,
)

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
BASE, WRONG, RIGHT, WHOLE = "0061058f" * 5, "b4d0b4d0" * 5, "900d900d" * 5, "facade00" * 5
IMAGE = "sha256:" + "1a" * 32
SHARES = (
    Requirement(id="shares-sum", text="The shares add up to the bill, to the cent."),
    Requirement(id="shares-fair", text="No two shares differ by more than a cent, and the larger ones come first."),
)
STATED = (
    StatedTest(
        id="tests/test_left_over.py::test_a_bill_is_paid_in_full",
        requirement="shares-sum",
        fails_because="a cent is lost",
    ),
    StatedTest(
        id="tests/test_held_out.py::test_several_cents_are_spread",
        requirement="shares-fair",
        fails_because="two cents are lost",
        held_out=True,
    ),
)
OLD_TESTS = tuple(f"tests/test_{name}.py::test_{n}" for name in ("amounts", "shares", "trips") for n in range(1, 9))
WRONG_MESSAGE = "assert [35, 33, 33] == [34, 34, 33]\n  At index 0 diff: 35 != 34"


def outcome(test: str, failure: FailureKind = "none", message: str = "") -> TestOutcome:
    return TestOutcome(
        id=test,
        setup="passed",
        call="passed" if failure == "none" else "failed",
        teardown="passed",
        failure=failure,
        message=message,
        seconds=0.012,
    )


def execution(claim: str, source: Side, tests: Side, outcomes: tuple[TestOutcome, ...], replicate: int = 0) -> Evidence:
    failed = any(not o.passed for o in outcomes)
    return Evidence(
        id=f"{claim}.{source}-{tests}.{replicate}",
        purpose="requirements" if tests == "head" else "regression",
        cell=Cell(source=source, tests=tests),
        replicate=replicate,
        commit=BASE if source == "base" else RIGHT,
        tree="7ee" * 13 + "7",
        overlay="0e1" * 13 + "0",
        image=IMAGE,
        policy="sha256:" + "90" * 32,
        argv=("python", "-m", "pytest", "-q", "--junitxml=/report.xml"),
        environment={"PYTHONHASHSEED": "0", "TZ": "UTC"},
        ending=Exited(code=1 if failed else 0),
        outcomes=outcomes,
        expected=tuple(o.id for o in outcomes),
        output=f"{len(outcomes)} tests ran",
        output_bytes=1234,
        output_digest="sha256:" + "ab" * 32,
        started=AT,
        seconds=1.4,
    )


UNPROVEN = (
    UnprovenLine(path="splitbill/shares.py", line=11, why="removable", text="each, left = divmod(total, people)"),
    UnprovenLine(path="splitbill/shares.py", line=12, why="changeable", changes=(("left", "left + 1"), ("[each]", ""))),
    UnprovenLine(path="splitbill/trips.py", line=4, why="unexecuted", text="raise ValueError(<b>trip</b>)"),
    UnprovenLine(path="splitbill/trips.py", line=5, why="unexecuted", text="log(trip)"),
)


def examined(attempt: int, *, unit: str | None, proven: bool) -> ClaimFacts:
    """Return a claim on the shares with a verdict and the four cells."""
    claim_id = f"{unit or 'whole'}.{attempt}"
    spread = STATED[1].id
    old = tuple(outcome(test) for test in OLD_TESTS)
    new = (outcome(STATED[0].id), outcome(spread) if proven else outcome(spread, "assertion", WRONG_MESSAGE))
    evidence = (
        execution(claim_id, "base", "base", old),
        execution(claim_id, "base", "base", old, replicate=1),
        execution(claim_id, "head", "base", old),
        execution(claim_id, "base", "head", tuple(outcome(t.id, "assertion", "assert 99 == 100") for t in STATED)),
        execution(claim_id, "head", "head", (*old, *new)),
        *(() if proven else (execution(claim_id, "head", "head", (new[1],), replicate=1),)),
    )
    reason = (
        "Every requirement has passing tests that fail at the base."
        if proven
        else "Requirement shares-fair does not hold: a held-out test fails by assertion, twice in fresh sandboxes."
    )
    witness = Witness(
        argv=("python", "-m", "pytest", spread),
        image=IMAGE,
        tree="7ee" * 13 + "7",
        test=spread,
        requirement="shares-fair",
        held_out=True,
        expected="[34, 34, 33]",
        got=WRONG_MESSAGE,
        reproduced=2,
        command=f"git archive {WRONG} | docker run --rm -i --network none {IMAGE} sh -c 'tar x && pytest {spread}'",
    )
    return ClaimFacts(
        claim=Claim(
            id=claim_id,
            author="coder" if unit else "integration",
            unit=unit,
            base=BASE,
            head=RIGHT if proven else WRONG,
            draft=ClaimDraft(
                kind=ClaimKind.FIX,
                statement="The cents that do not divide are no longer lost. Everything passes.",
                behaviour_changed=("splitbill.share",),
            ),
        ),
        attempt=attempt,
        verdict=Verdict(
            claim=claim_id,
            base=BASE,
            head=RIGHT if proven else WRONG,
            tree="7ee" * 13 + "7",
            status=VerdictStatus.PROVEN if proven else VerdictStatus.REFUTED,
            level="C" if proven else None,
            reasons=(reason, "All 24 tests that passed at the base pass at the head."),
            requirements=(
                RequirementVerdict(
                    requirement="shares-sum", status=VerdictStatus.PROVEN, level="C", tests=(STATED[0].id,)
                ),
                RequirementVerdict(
                    requirement="shares-fair",
                    status=VerdictStatus.PROVEN if proven else VerdictStatus.REFUTED,
                    level="C" if proven else None,
                    tests=(spread,),
                    reasons=() if proven else ("fails at the head by assertion",),
                ),
            ),
            steps=(
                Step(id="S0", title="claim", outcome="passed", reasons=("The claim is complete.",), seconds=0.001),
                Step(
                    id="S1",
                    title="adopt",
                    outcome="passed",
                    reasons=("The head descends from the base.",),
                    seconds=0.02,
                ),
                Step(id="S3", title="flags", outcome="flagged", reasons=("One flag.",), seconds=0.01),
                Step(
                    id="S7",
                    title="matrix",
                    outcome="passed" if proven else "failed",
                    reasons=(reason,),
                    evidence=tuple(e.id for e in evidence),
                    seconds=5.3,
                ),
                Step(id="S10", title="held out", outcome="passed" if proven else "failed", seconds=1.2),
                Step(id="S12", title="replicates", outcome="not_run", reasons=("The policy does not ask for it.",)),
            ),
            witness=None if proven else witness,
            unproven_lines=UNPROVEN if proven else (),
            flags=(Flag(kind="protected-file", path="tests/test_left_over.py", line=1, text="a new test file"),),
            seconds=6.8,
        ),
        requirements=SHARES,
        stated=STATED,
        evidence=evidence,
        changes=() if proven else (CHANGE,),
    )


CHANGE = FileChange(
    path="splitbill/shares.py",
    old_path="splitbill/shares.py",
    status="M",
    old_mode=0o100644,
    new_mode=0o100644,
    old_oid="a" * 40,
    new_oid="b" * 40,
    binary=False,
    added=2,
    removed=1,
    hunks=(
        Hunk(
            old_start=8,
            old_lines=4,
            new_start=8,
            new_lines=5,
            text='     """\n     if people < 1:\n         raise ValueError("a bill needs somebody to pay it")\n'
            "-    return [total // people] * people\n"
            "+    each, left = divmod(total, people)\n+    return [each + 1] * left + [each] * (people - left)\n",
        ),
    ),
)


@pytest.fixture
def run_facts() -> RunFacts:
    """The demonstration's run, delivered."""
    plan = Plan(
        summary="Two independent defects.",
        units=(
            Unit(
                id="shares",
                title="Spread the cents that do not divide",
                specification="The list adds up to the bill.",
                acceptance=SHARES,
                paths=("splitbill/shares.py",),
            ),
            Unit(
                id="amounts",
                title="Read decimals as people mean them",
                specification="One decimal is tens of cents.",
                acceptance=(Requirement(id="amounts-one-decimal", text="12.5 is 1250 cents."),),
                paths=("splitbill/amounts.py",),
                depends_on=("shares",),
            ),
        ),
    )
    question = Question(
        id="plan:1",
        run="r-0123456789",
        kind=CheckpointKind.PLAN,
        title="Is this the plan?",
        description="### shares\n\nThe list adds up to the bill.",
        allowed=(DecisionType.APPROVE, DecisionType.REJECT),
    )
    doubt = Doubt(
        statement="A refund may come out wrong: Python rounds such a division down.",
        requirement="shares-sum",
        check=Check(
            id="refund", command=("python", "-c", "from splitbill import share; assert sum(share(-100, 3)) == -100")
        ),
    )
    return RunFacts(
        id="r-0123456789",
        status=RunStatus.DELIVERED,
        repo="/home/ana/splitbill",
        base=BASE,
        head=WHOLE,
        branch="assay/splitting-a-bill-loses-cents",
        started=AT,
        ended=AT + timedelta(seconds=94),
        ticket=Ticket(
            title="Splitting a bill loses cents, and 12.5 is read as 12.05",
            text="Three of us had dinner for 100.00. splitbill says that each owes 33.33.\n\nIt should be spread.",
            acceptance=("What everybody pays adds up to the bill.", "12.5 means 12.50."),
            constraints=("No floats.",),
            labels=("bug", "money"),
        ),
        plan=plan,
        units=(
            UnitFacts(id="shares", status=UnitStatus.DONE),
            UnitFacts(id="amounts", status=UnitStatus.DONE, reason="proven at the first try"),
        ),
        asked=(
            AskedFacts(
                question=question,
                decision=Decision(
                    question="plan:1",
                    digest=question.digest,
                    type=DecisionType.APPROVE,
                    message="Two small units. Go.",
                    by="ana",
                    via="terminal",
                    at=AT + timedelta(seconds=12),
                ),
                asked=AT + timedelta(seconds=3),
                refused=("the answer carried no digest",),
            ),
        ),
        claims=(
            examined(1, unit="shares", proven=False),
            examined(2, unit="shares", proven=True),
            examined(1, unit=None, proven=True),
        ),
        reviews=(
            ReviewFacts(
                unit="shares",
                review=Review(
                    summary="Small and to the point.",
                    findings=(
                        Finding(path="splitbill/shares.py", line=7, severity="concern", text="Say who pays it."),
                    ),
                    doubts=(doubt,),
                ),
                doubts=(
                    DoubtFacts(
                        doubt=doubt,
                        outcome="dispelled",
                        reason="It fails at the base and holds at the head.",
                        got="[-33, -33, -34]",
                        seconds=0.8,
                    ),
                ),
            ),
        ),
        gates=(GateFacts(name="size", outcome="passed", reason="3 files, 40 lines", seconds=0.01),),
        changes=(CHANGE,),
        work=(
            WorkFacts(
                role="planner",
                model="scripted:script.yaml",
                ended="finished",
                model_calls=2,
                input_tokens=4500,
                output_tokens=760,
                commands=0,
                seconds=3.2,
            ),
            WorkFacts(
                role="coder",
                unit="shares",
                attempt=2,
                model="openai:gpt",
                ended="finished",
                model_calls=2,
                input_tokens=5200,
                output_tokens=290,
                money=0.0123,
                commands=1,
                seconds=4.4,
            ),
        ),
        commands=(
            CommandFacts(role="coder", unit="shares", command="python -m pytest -q", ending="exit 0", seconds=1.9),
        ),
        events=(EventFacts(at=AT + timedelta(seconds=40), what="resumed", text="after the process was killed"),),
        manifest=(("image", IMAGE), ("settings", "sha256:" + "90" * 32)),
        ledger=LedgerFacts(
            entries=73, last_digest="sha256:" + "cd" * 32, path="/home/ana/.local/state/assay", intact=True
        ),
        how_to=(HowTo(purpose="Look at it again", command="assay show r-0123456789"),),
    )


@pytest.fixture
def check_facts() -> CheckFacts:
    """A check of somebody else's change, refuted."""
    return CheckFacts(
        id="check-42",
        repo="/home/ana/splitbill",
        made=AT,
        claim=examined(1, unit=None, proven=False),
        changes=(CHANGE,),
        how_to=(HowTo(purpose="Run it again", command="assay check --repo . main..fix"),),
    )


@pytest.fixture
def poison() -> Callable[[Any], Any]:
    """The function that puts hostile text everywhere."""
    return poisoned
