"""S13: what is taken out is noticed by some check, or listed."""

from __future__ import annotations

import pytest

from assay.evidence.facts import ChangedPart, Subject
from assay.evidence.judge import judge
from assay.evidence.parts import apply, pair_renamed, split_change, split_file
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.records.verdicts import Verdict, VerdictStatus

from .books import check_case, failed, passed
from .conftest import BASE, CALC, FIXED, NEW_TEST, Files, World, case, plain

SETTINGS = Settings(proof=ProofSettings(seconds=60, level="C", jittered=0, ablations=24, probed=0, mutants=0))


async def ablate(world: World, base: Files, change: Files, kind: ClaimKind = ClaimKind.FIX) -> Verdict:
    """Prove a change with S13 and without S12."""
    first = await world.commit(base)
    return await world.assayer(SETTINGS).prove(case(first, await world.commit(change, first), kind))


def places(verdict: Verdict) -> list[str]:
    """Return the unproven lines."""
    return [str(line) for line in verdict.unproven_lines]


def s13(verdict: Verdict) -> tuple[str, ...]:
    """Return the reasons of S13."""
    return next(s.reasons for s in verdict.steps if s.id == "S13")


# -- parts


def lines_of(before: str, after: str) -> list[tuple[int, int]]:
    """Return first and last line of each part."""
    return [(e.first, e.last) for e in split_file("a.py", plain(before).encode(), plain(after).encode())]


def test_comments_docstrings_formatting_and_imports_are_no_parts() -> None:
    """They change nothing by themselves; a changed value beside them is one."""
    before = "import os\n\ndef f(a):\n    return a + 1\n"
    after = 'import os\nimport sys\n# why\n\ndef f(a):\n    """Add."""\n    return (a + 1)\n'
    assert lines_of(before, after) == []
    assert lines_of(before, after.replace("+ 1", "+ 2")) == [(7, 7)]


def test_a_hunk_that_does_not_apply_alone_is_joined_with_the_next() -> None:
    """A bracket that opens in one hunk and closes in another cannot be taken out by halves."""
    before = "x = f(1)\ny = 2\nz = 3\n"
    after = "x = f([\n1])\ny = 2\nz = 4\n"
    assert lines_of("x = 1\ny = 2\n", "if True:\n    x = 1\nelse:\n    x = 3\ny = 2\n") == [(1, 4)]
    found = split_file("a.py", before.encode(), after.encode())
    for edit in found:
        compile(apply(after.encode().splitlines(keepends=True), [edit]), "a.py", "exec")
    opened = "x = (\n    1,\n    2,\n    3,\n)\n"
    assert lines_of("x = 1,\n2\n3\n", opened) == [(1, 5)]


def test_what_is_new_is_taken_out_statement_by_statement() -> None:
    """Headers and definitions stay; statements that share a line with others are left to them."""
    after = "import os\n\n\ndef f(a):\n    if a:\n        return 1\n    b = 2; c = 3\n    return b\n"
    assert lines_of("", after) == [(6, 6), (8, 8)]
    lines = plain(after).encode().splitlines(keepends=True)
    without = apply(lines, split_file("a.py", b"", plain(after).encode()))
    assert b"        pass\n" in without
    compile(without, "a.py", "exec")


def test_renamed_deleted_and_other_files_are_parts_of_their_own() -> None:
    """A new name is no part; what was changed beside it is. Data and files that are gone are taken back as a whole."""
    old, new = CALC.encode(), CALC.replace("a + b", "b + a").encode()
    file = TreeFile(REGULAR, blob_id(b"x"))
    base, head = {"calc.py": file, "gone.py": file, "data.txt": file}, {"sums.py": file, "data.txt": file}
    before, after = {"calc.py": old, "gone.py": b"import this\n"}, {"sums.py": new}
    assert pair_renamed(before, after) == {"calc.py": "sums.py"}
    parts = split_change(("calc.py", "data.txt", "gone.py", "sums.py"), base, head, before, after)
    assert [(p.path, p.first, p.last, p.whole) for p in parts] == [
        ("data.txt", 1, 1, True),
        ("gone.py", 1, 0, True),
        ("sums.py", 2, 2, False),
    ]


# -- judged


def ablated(part: str, *, failing: bool, watched: bool = True) -> Verdict:
    """Return the verdict on a fix of two parts of which some were taken out."""
    records = check_case()
    parts = (ChangedPart(id="0", path="calc.py", first=2, last=3), ChangedPart(id="1", path="calc.py", first=6, last=6))
    records = records.with_facts(parts=parts, level="C")
    ids = ["tests/test_a.py::test_0", "tests/test_a.py::test_1", "tests/test_n.py::test_new"]
    seen = [passed(i) if watched else failed(i) for i in ids[-1:]]
    records.add(Subject.BROUGHT, "covered", [*map(passed, ids[:-1]), *seen])
    last = failed(ids[-1]) if failing else passed(ids[-1])
    records.add(Subject.BROUGHT, "ablated", [*map(passed, ids[:-1]), last], part=part)
    return judge(records.facts, records.evidence.values())


def test_what_nobody_needs_is_unproven_and_nothing_at_all_is_open() -> None:
    """One part may be idle; where all of them are together, no check shows the change."""
    assert ablated("all:1", failing=False).status is VerdictStatus.PROVEN
    assert places(ablated("all:1", failing=False)) == ["calc.py:6"]
    assert ablated("all:0,1", failing=False).status is VerdictStatus.INCONCLUSIVE
    assert ablated("all:0,1", failing=True).status is VerdictStatus.PROVEN
    assert ablated("all:0,1", failing=True).unproven_lines == (), "it is not known which of them"
    assert ablated("some:1", failing=False).unproven_lines == (), "others may need it"


def test_a_test_that_fails_while_it_is_watched_was_not_asked() -> None:
    """So that nobody noticed says nothing of the change."""
    assert ablated("all:0,1", failing=False, watched=False).status is VerdictStatus.PROVEN


# -- executed


@pytest.mark.docker
async def test_an_untested_hunk_is_listed_and_a_tested_one_is_not(world: World) -> None:
    """The mend is needed by its test; the rest that came with it by none, neither what no test executes."""
    change = FIXED.replace("return a + b", "return b + a") + "\n\ndef unused(x):\n    y = x * 2\n    return y\n"
    verdict = await ablate(world, BASE, {"calc.py": change, "tests/test_calc.py": NEW_TEST})
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert places(verdict) == ["calc.py:2", "calc.py:10", "calc.py:11"]
    assert [u.why for u in verdict.unproven_lines] == ["removable", "unexecuted", "unexecuted"]
    assert "4 parts of the change" in s13(verdict)[0]
    assert "1 parts are needed" in s13(verdict)[0]


def many(count: int, more: int = 0) -> str:
    """Return a module of functions, each of which adds another number."""
    return "".join(f"def f{n}(a):\n    return a + {n + more}\n\n\n" for n in range(count))


@pytest.mark.docker
async def test_forty_hunks_do_not_cost_forty_suites(world: World) -> None:
    """Parts that no test has in common go out together, and what nobody seems to need all at once."""
    tests = "import many\n\n\n" + "".join(
        f"def test_{n}():\n    assert many.f{n}(0) in ({n}, {n + 100})\n\n\n" for n in range(40)
    )
    exact = tests.replace(" in (7, 107)", " == 107").replace(" in (8, 108)", " == 108")
    base: Files = {"many.py": many(40), "tests/test_many.py": tests}
    verdict = await ablate(world, base, {"many.py": many(40, 100), "tests/test_many.py": exact})
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert set(places(verdict)) == {f"many.py:{4 * n + 2}" for n in range(40) if n not in (7, 8)}
    assert len([e for e in await world.evidence() if "without a part" in e.purpose]) == 2


@pytest.mark.docker
async def test_what_a_helper_process_needs_is_found_by_halving(world: World) -> None:
    """No test of this process executes it, and taking everything out at once is noticed."""
    code = "import many; assert many.f2(0) == 102 and many.f0(0) in (0, 100)"
    test = f"import subprocess, sys\n\n\ndef test_process():\n    code = {code!r}\n"
    test += "    assert subprocess.run([sys.executable, '-c', code]).returncode == 0\n"
    verdict = await ablate(world, {"many.py": many(3)}, {"many.py": many(3, 100), "tests/test_many.py": test})
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert places(verdict) == ["many.py:2", "many.py:6"]


@pytest.mark.docker
async def test_a_bound_of_executions_is_kept_and_told(world: World) -> None:
    """What was not looked at is neither proven nor unproven, and the step says so."""
    tight = Settings(proof=ProofSettings(seconds=60, level="C", jittered=0, ablations=1, probed=0, mutants=0))
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.assayer(tight).prove(case(base, head))
    assert verdict.status is VerdictStatus.PROVEN
    assert verdict.unproven_lines == ()
    assert "left out: 1 parts" in s13(verdict)[1]
