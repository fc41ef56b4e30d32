"""From a unit to tests that state it: specify, blank."""

from __future__ import annotations

from assay.agents import briefs
from assay.agents.protocol import RoleTask
from assay.graph import questions
from assay.graph.roles import Asks, Stopped, Void, take_turn
from assay.graph.services import Services
from assay.graph.state import UnitRun
from assay.graph.units import Update, asked, attempts_used, moved, plan_and_unit, trusted_tests
from assay.policies.paths import capability
from assay.records.plans import Unit
from assay.records.results import Specification
from assay.records.runs import UnitStatus
from assay.records.verdicts import Verdict, VerdictStatus


async def specify(services: Services, state: UnitRun) -> Update:
    """The tester states the unit's requirements as tests, some for the coder to see and some held out."""
    _, unit = await plan_and_unit(services, state)
    attempt = state.unit.specify_attempts + 1
    base = state.unit.base or state.run_base
    if (spent := await attempts_used(services, state.run, unit.id, "tester", attempt)) is not None:
        return moved(state, status=UnitStatus.EXHAUSTED, reason=spent)
    task = RoleTask(
        run=state.run,
        role="tester",
        unit=unit,
        attempt=attempt,
        brief=briefs.specify_brief(
            unit,
            notes=await services.load_text(state.unit.feedback),
            guidance=await services.guidance(base),
        ),
        result="specification",
        commit=base,
        may_change=capability("tester", unit, services.settings),
        held_out=True,
    )
    turn = await take_turn(services, task, Specification)
    if isinstance(turn, Asks):
        return await asked(services, state, turn.question, then="specify")
    if isinstance(turn, Stopped):
        return moved(state, status=UnitStatus.EXHAUSTED, reason=turn.reason)
    if isinstance(turn, Void):
        return moved(state, specify_attempts=attempt, feedback=await services.keep_text(turn.feedback))
    if turn.result.declined:
        return moved(state, status=UnitStatus.DECLINED, reason=f"the tester declined: {turn.result.declined}")
    if missing := _unstated(unit, turn.result):
        return moved(state, specify_attempts=attempt, feedback=await services.keep_text(missing))
    visible = await services.changed_files(base, turn.tree)
    commit = await services.git.commit_tree(
        turn.tree,
        [base],
        f"Tests for {unit.id}: {unit.title}\n",
        author=services.author,
        at=services.started,
    )
    await services.git.set_ref(f"refs/assay/runs/{state.run}/units/{unit.id}/tests", commit)
    start = await _with_proven_work(services, state, commit)
    await services.record_commit(state.run, unit.id, "tester", attempt, commit)
    return moved(
        state,
        status=UnitStatus.RUNNING,
        specify_attempts=attempt,
        specification=turn.digest,
        visible=visible,
        held_out=turn.held_out,
        tests_commit=commit,
        start=start,
        feedback=None,
    )


async def _with_proven_work(services: Services, state: UnitRun, commit: str) -> str:
    """Return the commit of new tests; with the work upon it that was proven, where there is any.

    More tests were asked for then, and not other work. What cannot be put together is done again.
    """
    unit = state.unit
    if unit.verdict is None or unit.start is None or unit.tests_commit in (None, unit.start):
        return commit
    assert unit.tests_commit
    verdict = await services.load(unit.verdict, Verdict)
    merged = await services.git.merge(unit.tests_commit, commit, unit.start)
    if verdict.status is not VerdictStatus.PROVEN or merged.conflicts:
        return commit
    kept = await services.git.commit_tree(
        merged.tree, [commit], f"Work on {unit.id}, with more tests\n", author=services.author, at=services.started
    )
    await services.git.set_ref(f"refs/assay/runs/{state.run}/units/{unit.id}/kept-{unit.specify_attempts + 1}", kept)
    return kept


async def blank(services: Services, state: UnitRun) -> Update:
    """Run the new tests where the work is not done: each must fail, for a reason that counts."""
    _, unit = await plan_and_unit(services, state)
    tests = await trusted_tests(services, state.unit)
    attempt = state.unit.specify_attempts
    result = await services.prover.blank(state.run, unit.id, attempt, state.unit.base or state.run_base, tests)
    if result.status == "passed":
        return moved(state, feedback=None)
    if result.status == "inconclusive":
        return await asked(
            services, state, questions.about_blank(state.run, unit, attempt, result.reasons), then="specify"
        )
    told = "Your tests were run where the work is not done yet, and they do not count:\n\n" + "\n".join(
        f"- {reason}" for reason in result.reasons
    )
    return moved(state, specification=None, feedback=await services.keep_text(told))


def _unstated(unit: Unit, specification: Specification) -> str:
    """Say which requirements no test states; empty when all is well."""
    stated = {test.requirement for test in specification.tests}
    problems = [f"- {r.id} has no test: {r.text}" for r in unit.acceptance if r.id not in stated]
    unknown = sorted(stated - {r.id for r in unit.acceptance})
    problems += [f"- {u} is not a requirement of this unit" for u in unknown]
    if not any(test.held_out for test in specification.tests):
        problems.append("- no test is held out: at least one has to lie in /held_out, where no coder sees it")
    return "Your tests were not accepted:\n\n" + "\n".join(problems) if problems else ""
