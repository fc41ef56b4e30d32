"""The ways that a ticket can take through the graph, each with what it leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from run_world import RUN, Work, World, by_the_book, finished, unit

from assay.agents.protocol import RoleTask
from assay.evidence.protocol import BlankResult, DoubtResult
from assay.policies.gates import GateResult
from assay.records.checks import Check
from assay.records.claims import ChangedExpectation, ClaimDraft, ClaimKind
from assay.records.decisions import CheckpointKind, DecisionType
from assay.records.entries import EntryKind
from assay.records.plans import Plan
from assay.records.results import Doubt, Review
from assay.records.runs import RunStatus
from assay.records.verdicts import Verdict, VerdictStatus

TWO = Plan(summary="two", units=(unit("one"), unit("two")))
CHAIN = Plan(summary="a chain beside a loner", units=(unit("one"), unit("two", after=("one",)), unit("three")))


async def test_a_ticket_becomes_a_branch(world: World) -> None:
    """The straight way: plan, one unit, delivery; the branch holds the assayed tree, one commit a unit."""
    state = await world.go()
    assert finished(state, RunStatus.DELIVERED)
    assert [q.kind for q in world.asked] == [CheckpointKind.PLAN, CheckpointKind.DELIVERY]
    assert world.in_repo("rev-list", "--count", "main..assay/do-it") == "1"
    assert world.in_repo("show", "assay/do-it:one.py") == "done = 1"
    assert world.in_repo("rev-parse", "assay/do-it^{tree}") == await world.services.git.tree_id(
        world.bench.cases[-1].claim.head
    )
    message = world.in_repo("log", "-1", "--format=%B", "assay/do-it")
    verdict = await world.services.ledger.find(RUN, "verdict:one.1")
    assert verdict is not None
    assert f"Assay-Run: {RUN}" in message
    assert verdict.digest in message


async def test_the_user_is_not_touched(world: World) -> None:
    """A dirty work tree, the index, the stash and the checked-out branch are as they were."""
    (world.repo / "one.py").write_text("mine = True\n")
    world.in_repo("-c", "user.name=o", "-c", "user.email=o@example.org", "stash")
    (world.repo / "one.py").write_text("again = True\n")
    world.in_repo("add", "one.py")
    (world.repo / "new.txt").write_text("untracked\n")
    before = [world.in_repo(*c) for c in (("status", "--porcelain"), ("stash", "list"), ("branch", "--show-current"))]
    assert finished(await world.go(), RunStatus.DELIVERED)
    after = [world.in_repo(*c) for c in (("status", "--porcelain"), ("stash", "list"), ("branch", "--show-current"))]
    assert before == after


async def test_the_coder_never_gets_the_held_out_tests(world: World) -> None:
    """No task of the coder or reviewer starts from a commit that holds them, nor is told of them."""
    world.bench.verdicts = {"one.1": VerdictStatus.REFUTED}
    await world.go()
    for task in world.cast.seen:
        if task.role in ("coder", "reviewer"):
            assert not any("held" in path for path in await world.services.git.tree(task.commit))
            assert "test_one_held" not in task.brief


async def test_a_refuted_claim_goes_back_to_the_coder(world: World) -> None:
    """The second attempt starts from the first, is told what was wrong, and is examined anew."""
    world.bench.verdicts = {"one.1": VerdictStatus.REFUTED}
    state = await world.go()
    assert finished(state, RunStatus.DELIVERED)
    coders = [t for t in world.cast.seen if t.role == "coder"]
    assert [t.attempt for t in coders] == [1, 2]
    assert coders[1].commit == world.bench.cases[0].claim.head
    assert "as set: refuted" in coders[1].brief
    assert world.in_repo("show", "assay/do-it:one.py") == "done = 2"


async def test_a_coder_that_insists_ends_the_run_as_refuted(world: World) -> None:
    """Three refuted attempts are all that the budget gives; nothing is delivered."""
    world.bench.verdicts = {f"one.{n}": VerdictStatus.REFUTED for n in (1, 2, 3)}
    state = await world.go()
    assert finished(state, RunStatus.REFUTED)
    assert "as set: refuted" in state.reason
    assert "assay/do-it" not in world.in_repo("branch", "--list")


async def test_tests_that_cannot_fail_go_back_to_the_tester(world: World) -> None:
    """A blank that did not fail is told to the tester, who writes others."""
    world.bench.blanks = {
        ("one", 1): BlankResult(status="failed", reasons=("tests/test_one.py::test passes at the base",))
    }
    assert finished(await world.go(), RunStatus.DELIVERED)
    testers = [t for t in world.cast.seen if t.role == "tester"]
    assert [t.attempt for t in testers] == [1, 2]
    assert "passes at the base" in testers[1].brief


async def test_a_doubt_that_holds_goes_back_to_the_coder(world: World) -> None:
    """The doubt is executed, confirmed, told to the coder; the new claim is assayed and reviewed again."""
    doubt = Doubt(statement="negative numbers", check=Check(id="d", command=("false",)))
    acts = {("reviewer", "one", 1): lambda _: Work(result=Review(summary="hm", doubts=(doubt,)))}
    world.bench.doubts = {"one.1.1": DoubtResult(outcome="confirmed", reason="exit 1 where 0 was expected", got="boom")}
    state = await world.go(acts=acts)
    assert finished(state, RunStatus.DELIVERED)
    second = [t for t in world.cast.seen if t.role == "coder"][1]
    assert "negative numbers" in second.brief
    assert [t.attempt for t in world.cast.seen if t.role == "reviewer"] == [1, 2]


async def test_a_change_outside_the_paths_voids_the_step(world: World) -> None:
    """A coder that edits a test is told so, and its work is thrown away."""
    acts = {
        ("coder", "one", 1): lambda _: Work(
            {"tests/test_one.py": "def test(): pass\n"}, ClaimDraft(kind=ClaimKind.FIX, statement="sly")
        )
    }
    state = await world.go(acts=acts)
    assert finished(state, RunStatus.DELIVERED)
    assert await world.services.ledger.entries(RUN, kinds=(EntryKind.STEP_VOIDED,))
    assert "tests/test_one.py" in [t for t in world.cast.seen if t.role == "coder"][1].brief
    assert [c.claim.id for c in world.bench.cases] == ["one.2"]


async def test_a_dispute_goes_to_the_tester_and_the_second_to_a_person(world: World) -> None:
    """The tester derives a disputed test again without the coder's reasons; then a person is asked."""
    dispute = ChangedExpectation(test="tests/test_one.py::test", why="MY SECRET REASON")

    def disputes(_: RoleTask) -> Work:
        return Work(result=ClaimDraft(kind=ClaimKind.FIX, statement="no", disputes=(dispute,)))

    acts = {("coder", "one", 1): disputes, ("coder", "one", 2): disputes}
    state = await world.go(acts=acts, answers={"dispute:": (DecisionType.REJECT, "the test is right")})
    assert finished(state, RunStatus.DELIVERED)
    testers = [t for t in world.cast.seen if t.role == "tester"]
    assert [t.attempt for t in testers] == [1, 2]
    assert "MY SECRET REASON" not in testers[1].brief
    assert [q.kind for q in world.asked if q.kind is CheckpointKind.DISPUTE] == [CheckpointKind.DISPUTE]
    assert "the test is right" in [t for t in world.cast.seen if t.role == "coder"][2].brief


async def test_an_inconclusive_claim_goes_to_a_person(world: World) -> None:
    """Approved, it goes on under the person's name; rejected, the run ends rejected."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE}
    state = await world.go()
    assert finished(state, RunStatus.DELIVERED)
    assert CheckpointKind.INCONCLUSIVE in [q.kind for q in world.asked]


async def test_an_inconclusive_claim_can_be_rejected(world: World) -> None:
    """Nothing is delivered that a person did not take as true."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE}
    state = await world.go(answers={"inconclusive:": (DecisionType.REJECT, "no")})
    assert finished(state, RunStatus.REJECTED)


def claims_a_change(task: RoleTask) -> Work:
    """The coder's work, with the claim that a test's expectation changes."""
    assert task.unit
    changed = ChangedExpectation(test="tests/test_old.py::test_rounding", why="the ticket says so")
    draft = ClaimDraft(kind=ClaimKind.FIX, statement="rounds up", changed_expectations=(changed,))
    return Work({f"{task.unit.id}.py": "done = 1\n"}, draft)


async def test_an_accepted_expectation_is_proven_again(world: World) -> None:
    """A person says that it may change; the claim is proven with that, and ends as proven and not under a name."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE}
    state = await world.go(acts={("coder", "one", 1): claims_a_change})
    assert finished(state, RunStatus.DELIVERED)
    assert [q.title for q in world.asked if q.kind is CheckpointKind.EXPECTATION] == ["May these expectations change?"]
    assert [(c.claim.id, c.accepted_expectations) for c in world.bench.cases] == [
        ("one.1", ()),
        ("one.1.accepted", ("tests/test_old.py::test_rounding",)),
    ]
    verdict = state.units["one"].verdict
    assert verdict and (await world.services.load(verdict, Verdict)).status is VerdictStatus.PROVEN
    made = [entry.key for entry in await world.services.ledger.entries(RUN, kinds=(EntryKind.CLAIM_MADE,))]
    assert made == ["claim:one.1", "claim:one.1.accepted"]
    proven = await world.services.ledger.find(RUN, "verdict:one.1.accepted")
    assert proven and proven.digest in world.in_repo("log", "-1", "--format=%B", "assay/do-it")


async def test_what_is_open_besides_an_accepted_expectation_is_asked_apart(world: World) -> None:
    """Accepting an expectation takes nothing else as true."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE, "one.1.accepted": VerdictStatus.INCONCLUSIVE}
    state = await world.go(acts={("coder", "one", 1): claims_a_change})
    assert finished(state, RunStatus.DELIVERED)
    kinds = [q.kind for q in world.asked]
    assert kinds.index(CheckpointKind.EXPECTATION) < kinds.index(CheckpointKind.INCONCLUSIVE)


async def test_an_expectation_that_is_not_accepted_ends_the_unit(world: World) -> None:
    """Negative control: rejected, nothing is proven again."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE}
    acts = {("coder", "one", 1): claims_a_change}
    state = await world.go(acts=acts, answers={"inconclusive:": (DecisionType.REJECT, "it stays")})
    assert finished(state, RunStatus.REJECTED)
    assert [c.claim.id for c in world.bench.cases] == ["one.1"]


async def test_the_whole_is_proven_with_what_was_accepted(world: World) -> None:
    """What a person accepted about a unit holds for the whole that contains it."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE}
    state = await world.go(plan=CHAIN, acts={("coder", "one", 1): claims_a_change})
    assert finished(state, RunStatus.DELIVERED)
    whole = next(c for c in world.bench.cases if c.claim.id.startswith("whole"))
    assert whole.accepted_expectations == ("tests/test_old.py::test_rounding",)


@pytest.mark.parametrize("answer", [DecisionType.APPROVE, DecisionType.REJECT])
async def test_an_inconclusive_whole_is_asked_about_as_one(world: World, answer: DecisionType) -> None:
    """It has no coder to go back to, so nobody is offered that; approved it goes to delivery, rejected it ends."""
    world.bench.verdicts = {"whole.1": VerdictStatus.INCONCLUSIVE}
    acts = {("coder", "one", 1): claims_a_change}
    state = await world.go(plan=CHAIN, acts=acts, answers={"inconclusive:whole": (answer, "")})
    assert finished(state, RunStatus.DELIVERED if answer is DecisionType.APPROVE else RunStatus.INCONCLUSIVE)
    (question,) = [q for q in world.asked if q.id.startswith("inconclusive:whole")]
    assert (question.kind, question.allowed) == (
        CheckpointKind.INCONCLUSIVE,
        (DecisionType.APPROVE, DecisionType.REJECT),
    )
    assert "proven again" not in question.description


async def test_a_declined_unit_ends_the_run_as_declined(world: World) -> None:
    """An honest "could not do it" is an outcome of its own."""
    world.bench.verdicts = {"one.1": VerdictStatus.DECLINED}
    acts = {("coder", "one", 1): lambda _: Work(result=ClaimDraft(kind=ClaimKind.FIX, statement="", declined="no way"))}
    assert finished(await world.go(acts=acts), RunStatus.DECLINED)


async def test_a_gate_asks_and_can_be_waived(world: World) -> None:
    """A waiver is for this head, and is named at delivery."""
    world.gates.results = [(GateResult(gate="size", outcome="ask", reasons=("900 lines",)),)]
    assert finished(await world.go(), RunStatus.DELIVERED)
    delivery = world.asked[-1]
    assert "waiver" in delivery.description


async def test_a_gate_that_blocks_goes_back_to_the_coder(world: World) -> None:
    """There is no way around a gate that blocks."""
    world.gates.results = [(GateResult(gate="lint", outcome="block", reasons=("3 new warnings",)),)]
    assert finished(await world.go(), RunStatus.DELIVERED)
    assert "3 new warnings" in [t for t in world.cast.seen if t.role == "coder"][1].brief


async def test_a_role_without_result_asks_for_budget(world: World) -> None:
    """Stopped work is never success: a person grants another try, or the run ends as exhausted."""
    acts = {("coder", "one", 1): lambda _: Work(stopped="20 model calls are used up")}
    assert finished(await world.go(acts=acts), RunStatus.DELIVERED)
    assert "20 model calls" in world.asked[1].description


@pytest.mark.parametrize("role", ["planner", "tester", "coder", "reviewer"])
async def test_a_role_that_needs_permission_waits_for_a_person_and_goes_on(world: World, role: str) -> None:
    """The same attempt goes on when the answer is there; nothing is started anew."""

    def asks(task: RoleTask) -> Work:
        return replace(by_the_book(task), asks=True)

    unit_name = "" if role == "planner" else "one"
    assert finished(await world.go(acts={(role, unit_name, 1): asks}), RunStatus.DELIVERED)
    assert [q.kind for q in world.asked].count(CheckpointKind.TOOL) == 1
    assert [t.attempt for t in world.cast.seen if t.role == role] == [1, 1]


async def test_a_granted_try_is_one_more(world: World) -> None:
    """A coder that is stopped at its last try goes on when a person grants another, and not without."""
    stopped = {("coder", "one", n): lambda _: Work(stopped="out of tokens") for n in (1, 2, 3)}
    assert finished(await world.go(acts=stopped), RunStatus.DELIVERED)
    assert [t.attempt for t in world.cast.seen if t.role == "coder"][-1] == 4


async def test_no_more_budget_ends_the_run(world: World) -> None:
    """Declined, the run ends as exhausted with the reason."""
    acts = {("coder", "one", 1): lambda _: Work(stopped="20 model calls are used up")}
    state = await world.go(acts=acts, answers={"budget:": (DecisionType.REJECT, "")})
    assert finished(state, RunStatus.EXHAUSTED)
    assert "20 model calls" in state.reason


async def test_a_rejected_plan_ends_the_run(world: World) -> None:
    """Nothing was worked on."""
    state = await world.go(answers={"plan:": (DecisionType.REJECT, "not this")})
    assert finished(state, RunStatus.REJECTED)
    assert {t.role for t in world.cast.seen} == {"planner"}


async def test_a_message_sends_the_plan_back(world: World) -> None:
    """The planner reads the person's message and plans again; the new plan is asked about anew."""
    other = Plan(summary="other", units=(unit("two"),))
    acts = {("planner", "", 2): lambda _: Work(result=other)}
    state = await world.go(acts=acts, answers={"plan:1": (DecisionType.RESPOND, "smaller please")})
    assert finished(state, RunStatus.DELIVERED)
    assert "smaller please" in [t for t in world.cast.seen if t.role == "planner"][1].brief
    assert set(state.units) == {"two"}


async def test_an_edited_plan_is_what_is_worked_on(world: World) -> None:
    """A person's plan is validated, recorded under the person's name, and carried out."""
    edited = Plan(summary="mine", units=(unit("two"),)).model_dump(mode="json")
    state = await world.go(edits={"plan:1": {"plan": edited}})
    assert finished(state, RunStatus.DELIVERED)
    assert set(state.units) == {"two"}
    plans = await world.services.ledger.entries(RUN, kinds=(EntryKind.PLAN_MADE,))
    assert [p.body["author"] for p in plans] == ["planner", "ana"]


async def test_an_edited_plan_that_cannot_be_carried_out_goes_back(world: World) -> None:
    """Cyclic units are refused, the planner is told, and the person is asked about its next plan."""
    cyclic = {"summary": "x", "units": [unit("a", after=("a",)).model_dump(mode="json")]}
    state = await world.go(edits={"plan:1": {"plan": cyclic}})
    assert finished(state, RunStatus.DELIVERED)
    assert "in a circle" in [t for t in world.cast.seen if t.role == "planner"][1].brief


async def test_an_answer_that_does_not_count_is_recorded_and_asked_again(world: World) -> None:
    """A bare approval, as any client of the thread could send it, moves nothing."""
    world.forge_first = True
    assert finished(await world.go(), RunStatus.DELIVERED)
    refused = await world.services.ledger.entries(RUN, kinds=(EntryKind.DECISION_REFUSED,))
    assert len(refused) == 1
    assert [q.kind for q in world.asked] == [CheckpointKind.PLAN, CheckpointKind.PLAN, CheckpointKind.DELIVERY]


async def test_units_are_delivered_in_dependency_order(world: World) -> None:
    """A dependent unit starts from what it depends on; the branch has a commit for each, and the whole is assayed."""
    state = await world.go(plan=CHAIN)
    assert finished(state, RunStatus.DELIVERED)
    dependent = next(t for t in world.cast.seen if t.role == "tester" and t.unit and t.unit.id == "two")
    assert await world.text_at(dependent.commit, "one.py") == "done = 1\n"
    assert "three.py" not in await world.services.git.tree(dependent.commit)
    assert world.in_repo("log", "--format=%s", "main..assay/do-it").splitlines() == ["Do two", "Do three", "Do one"]
    assert world.bench.cases[-1].claim.id == "whole.1"
    assert {r.id for r in world.bench.cases[-1].requirements} == {"one-r", "two-r", "three-r"}
    names = [task.name for task in world.cast.seen]
    assert len(names) == len(set(names)), "no task is given out twice"


async def test_a_question_holds_up_only_what_is_built_on_it(world: World) -> None:
    """While unit one waits for a person, three is done; two, which needs one, has not started."""
    world.bench.verdicts = {"one.1": VerdictStatus.INCONCLUSIVE}
    await world.go(plan=CHAIN, answers={"inconclusive:one": None})
    done = {c.claim.unit for c in world.bench.cases}
    assert done == {"one", "three"}
    assert not [t for t in world.cast.seen if t.unit and t.unit.id == "two"]
    state = await world.go()
    assert finished(state, RunStatus.DELIVERED)
    assert len([c for c in world.bench.cases if c.claim.unit == "three"]) == 1


async def test_a_conflict_is_a_task_for_the_coder(world: World) -> None:
    """Two units that change the same lines: the second is done again on top of the first, told both specs."""
    both = Plan(summary="same file", units=(unit("one", paths=("one.py",)), unit("two", paths=("one.py", "two.py"))))

    def clash(task: RoleTask) -> Work:
        work = by_the_book(task)
        return Work({"one.py": f"done = 'two {task.attempt}'\n", **work.files}, work.result)

    state = await world.go(plan=both, acts={("coder", "two", 1): clash, ("coder", "two", 2): clash})
    assert finished(state, RunStatus.DELIVERED)
    again = [t for t in world.cast.seen if t.role == "coder" and t.unit and t.unit.id == "two"][1]
    assert await world.text_at(again.commit, "one.py") == "done = 1\n"
    assert "tests/test_two.py" in await world.services.git.tree(again.commit)
    assert "one must be done" in again.brief
    assert world.in_repo("show", "assay/do-it:one.py") == "done = 'two 2'"


async def test_a_refuted_whole_goes_back_to_the_unit_at_fault(world: World) -> None:
    """Each alone was fine; together they are not: the unit whose requirement broke is done again on the others."""
    world.bench.verdicts = {"whole.1": VerdictStatus.REFUTED}
    world.bench.broken = "one-r"
    state = await world.go(plan=TWO)
    assert finished(state, RunStatus.DELIVERED)
    again = [t for t in world.cast.seen if t.role == "coder" and t.unit and t.unit.id == "one"][1]
    assert await world.text_at(again.commit, "two.py") == "done = 1\n"
    assert world.bench.cases[-1].claim.id == "whole.2"


async def test_a_base_that_moved_on_is_merged_and_assayed_again(world: World) -> None:
    """What is delivered is on the newest base, was assayed there, and was signed there."""
    moved: list[str] = []

    def move_on(task: RoleTask) -> Work:
        moved.append(world.commit_to_repo("other.py", "other = 1\n"))
        return by_the_book(task)

    state = await world.go(acts={("reviewer", "one", 1): move_on})
    assert finished(state, RunStatus.DELIVERED)
    assert world.in_repo("rev-parse", "assay/do-it~1") == moved[0]
    assert world.in_repo("show", "assay/do-it:other.py") == "other = 1"
    assert [q.kind for q in world.asked].count(CheckpointKind.DELIVERY) == 2
    assert world.bench.cases[-1].claim.base == moved[0]


async def test_a_rejected_delivery_delivers_nothing(world: World) -> None:
    """The branch is made only for what a person signed."""
    state = await world.go(answers={"delivery:": (DecisionType.REJECT, "not yet")})
    assert finished(state, RunStatus.REJECTED)
    assert "assay/do-it" not in world.in_repo("branch", "--list")
