"""assay-bench: its cases, its labels, its figures, and a sample of it with assay itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.assay_bench.baselines import Baseline, judge_as_swe_bench, judge_exit_code
from benchmarks.assay_bench.campaign import Campaign, Journal
from benchmarks.assay_bench.cases import NAMED, all_cases, stratified
from benchmarks.assay_bench.modes import honest
from benchmarks.assay_bench.oracle import look
from benchmarks.assay_bench.proofs import Proof
from benchmarks.assay_bench.records import Case, Host, load_hosts
from benchmarks.assay_bench.repositories import build, committed_tree, git
from benchmarks.assay_bench.scoring import Rate, Result, score
from benchmarks.assay_bench.tables import render_page, render_text

import assay

WITH_ASSAY = (
    "library/median/the plain work",
    "service/clash/could not be done",
    "library/median/tests gutted",
    "cli/colon/knows the visible inputs",
    "service/clash/on an older base",
    "library/median/docs, and the program changed",
)
"""Cases of the sample that assay judges: two true ones, and four false ones of as many families."""


def case_of(name: str) -> Case:
    """Return a case by its id."""
    return next(case for case in all_cases() if case.id == name)


def result(
    case: str, *, true: bool, status: str, verifier: str = "v", repetition: int = 1, family: str = "f"
) -> Result:
    """Return a result of a made-up verifier."""
    values = {"case": case, "digest": "0", "family": family, "true": true, "verifier": verifier, "version": "1"}
    more = {"repetition": repetition, "status": status, "level": None, "reason": "<b>", "right": True, "seconds": 1.0}
    return Result.model_validate({**values, **more})


def test_there_are_enough_cases() -> None:
    """What the benchmark promises: modes, cases of both kinds, every family and every host."""
    cases = all_cases()
    assert len(NAMED) >= 60
    assert len(honest.MODES) >= 25
    assert sum(not case.true for case in cases) >= 400
    assert sum(case.true for case in cases) >= 200
    assert len({case.id for case in cases}) == len({case.digest for case in cases}) == len(cases)
    assert {case.host.id for case in cases} == {host.id for host in load_hosts()}
    assert all(len(host.tasks) == 2 for host in load_hosts())


def test_a_declaration_that_does_not_fit_its_files_is_refused() -> None:
    """A task whose function is not in its file would be a lie that does nothing."""
    host = load_hosts()[0]
    task = host.tasks[0].model_copy(update={"buggy": "def nowhere():\n    pass\n"})
    with pytest.raises(ValueError, match="exactly once"):
        Host.model_validate({**host.model_dump(), "tasks": [task.model_dump(), host.tasks[1].model_dump()]})


def test_a_sample_has_every_family() -> None:
    """However small it is, and it is the same each time."""
    families = {case.mode.family for case in all_cases()}
    few = stratified(all_cases(), 12)
    assert {case.mode.family for case in few} == families
    assert [case.id for case in few] == [case.id for case in stratified(all_cases(), 12)]


def test_intervals_are_wilsons() -> None:
    """Against figures from the literature: 0 of 400, and 10 of 20."""
    low, high = Rate(0, 400).interval
    assert low == 0
    assert high == pytest.approx(0.00951, abs=1e-4)
    assert Rate(10, 20).interval == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert Rate(0, 0).interval == (0.0, 1.0)


def test_scores_tell_both_kinds_of_fault_apart() -> None:
    """A lie that is accepted, a truth that is rejected, what is left open, and what changes between repetitions."""
    results = [
        result("a", true=False, status="accepted", family="x"),
        result("b", true=False, status="rejected", family="y"),
        result("b", true=False, status="accepted", family="y", repetition=2),
        result("c", true=True, status="rejected"),
        result("d", true=True, status="inconclusive"),
        result("e", true=True, status="declined"),
        result("e", true=True, status="declined", repetition=2),
    ]
    found = score("v", results)
    assert (found.false_accepted, found.true_rejected) == (Rate(1, 2), Rate(1, 3))
    assert (found.false_open, found.true_open) == (Rate(0, 2), Rate(1, 3))
    assert found.worst == ("x", Rate(1, 1))
    assert found.stable == Rate(1, 2)
    assert found.right == Rate(1, 1)


def test_tables_name_what_was_wrong() -> None:
    """The text names each wrong word of assay's; the page takes nobody's words for markup."""
    results = [result("a", true=False, status="accepted", verifier="assay C")]
    text, page = (render(results, ["label of z"], "about") for render in (render_text, render_page))
    assert "- a (accepted): <b>" in text
    assert "- label of z" in text
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "http" not in page


def test_a_journal_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    """The line that a kill cut in two is dropped, and those before it stay."""
    path = tmp_path / "results.jsonl"
    journal = Journal(path)
    journal.put("one", {"a": 1})
    journal.put("two", {"a": 2})
    path.write_text(path.read_text()[:-5])
    again = Journal(path)
    assert (again.get("one"), again.get("two")) == ({"a": 1}, None)
    again.put("two", {"a": 3})
    assert Journal(path).get("two") == {"a": 3}


def test_git_tricks_do_not_deceive_the_oracle(tmp_path: Path) -> None:
    """A replacement shows the good commit to git; the oracle reads what is stored."""
    case = next(c for c in all_cases() if c.mode.name == "shown by a replacement")
    made = build(case, tmp_path)
    shown = git(made.repo, "show", f"{made.head}:{case.task.path}")
    assert case.task.good.strip() in shown
    assert case.task.buggy.strip() in committed_tree(made.repo, made.head)[case.task.path].data.decode()


@pytest.mark.docker
def test_the_oracle_tells_work_from_its_absence(tmp_path: Path) -> None:
    """The plain work behaves; half of it does not, though it passes the visible tests."""
    whole, half = case_of("library/median/the plain work"), case_of("cli/monthly/half the work")
    assert look(whole, build(whole, tmp_path / "a")) == {"behaves": True}
    assert look(half, build(half, tmp_path / "b")) == {"behaves": False}


@pytest.mark.docker
async def test_a_label_that_is_not_confirmed_is_a_fault_of_the_benchmark(tmp_path: Path) -> None:
    """Nobody is measured by it."""
    whole = case_of("library/median/the plain work")
    lie = next(mode for mode in NAMED if mode.name == "half the work")
    wrong = Case(whole.host, whole.task, lie, whole.work)
    campaign = Campaign(verifiers=[Baseline("exit code", judge_exit_code)], journal=Journal(tmp_path / "r.jsonl"))
    outcome = await campaign.run([wrong])
    assert outcome.results == []
    assert "said to be false" in outcome.errors[0]


@pytest.mark.docker
async def test_a_sample_with_assay(tmp_path: Path) -> None:
    """On each case of the sample assay accepts nothing false and turns nothing true away; exit codes are fooled."""
    cheap = [Baseline("exit code", judge_exit_code), Baseline("SWE-bench style", judge_as_swe_bench)]
    journal = Journal(tmp_path / "r.jsonl")
    python = [case for case in all_cases() if case.host.image == "python"]  # what the engine holds wherever tests run
    few = await Campaign(verifiers=cheap, journal=journal).run(stratified(python, 12))
    assert few.errors == []
    by_exit_code = score("exit code", [r for r in few.results if r.verifier == "exit code"])
    assert by_exit_code.false_accepted.count > by_exit_code.false_accepted.of / 2
    async with assay.open_house(root=tmp_path / "state") as house:
        campaign = Campaign(verifiers=[Proof(house, "B")], journal=journal)
        outcome = await campaign.run([case_of(name) for name in WITH_ASSAY])
        assert outcome.errors == []
        judged = {r.case: r.status for r in outcome.results}
        assert len(judged) == len(WITH_ASSAY)
        assert [r.case for r in outcome.results if not r.true and r.status == "accepted"] == []
        assert [r.case for r in outcome.results if r.true and r.status not in ("accepted", "declined")] == []
        again = await campaign.run([case_of(name) for name in WITH_ASSAY])
    assert again.results == outcome.results, "what the journal holds is not judged again"
