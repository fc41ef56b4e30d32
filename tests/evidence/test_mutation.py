"""S13: mutants of changed lines are killed by some check, or listed; what no check executes is listed as that."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Mapping
from itertools import product
from types import ModuleType
from typing import Any

import pytest

from assay.evidence.changed_lines import changed_statements, drawn
from assay.evidence.facts import ChangedPart, ChangedStatement, Mutant, Subject
from assay.evidence.judge import judge
from assay.evidence.mutants import Mutation, mutations_of
from assay.evidence.schemata import switch_name, switch_source, weave
from assay.evidence.strength import mutant_ends
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .books import SECRET, Records, check_case, passed
from .conftest import BASE, Files, World, case, plain

# -- what can be executed


def spans(before: str, after: str) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return first, last and changed lines of each statement that a change touches."""
    found = changed_statements({"a.py": plain(before).encode()}, {"a.py": plain(after).encode()})
    return [(e.first, e.last, e.changed) for e in found]


def test_a_head_is_executed_apart_from_its_body() -> None:
    """Of a compound statement the head is one thing, and each statement below it another."""
    after = "def f(\n    a,\n    b=1,\n):\n    if (\n        a\n    ):\n        return b\n    try:\n"
    after += "        g(a,\n          b)\n    except ValueError:\n        pass\n"
    after += "    match a:\n        case 1 if b:\n            a = 2\n"
    lines = [(1, 3, (1, 2, 3)), (5, 6, (5, 6)), (8, 8, (8,)), (10, 11, (10, 11)), (14, 14, (14,)), (15, 15, (15,))]
    assert spans("", after) == [*lines, (16, 16, (16,))]


def test_comments_docstrings_imports_and_formatting_are_not_executed() -> None:
    """They are no lines that a check could need; a statement of which one line changed has that line."""
    before = "x = f(1,\n      2)\n"
    after = 'import os\n# why\nx = f(1,\n      3)\n\n\ndef g(a: int):\n    """Say."""\n    a: str\n    ...\n'
    assert spans(before, after) == [(3, 4, (4,)), (7, 7, (7,))]
    assert spans("x = [1, 2]\n", "x = [\n    1,\n    2,\n]\n") == []
    assert spans("x = 1\n", "x = (\n") == []


def test_of_many_statements_a_sample_is_drawn_that_no_author_can_choose() -> None:
    """The same secret draws the same ones, and another secret others."""
    found = changed_statements({}, {"a.py": b"".join(b"x = %d\n" % n for n in range(50))})
    assert list(drawn(found, 50, "s")) == [f"s{n}" for n in range(50)]
    assert drawn(found, 9, "s").keys() == drawn(found, 9, "s").keys() != drawn(found, 9, "t").keys()
    assert len(drawn(found, 9, "s")) == 9


# -- what could be otherwise


def mutations(text: str) -> list[Mutation]:
    """Return the mutations of a new file."""
    return [m for e in changed_statements({}, {"a.py": plain(text).encode()}) for m in mutations_of(e)]


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("x = a < b", ["ROR a <= b", "ROR a >= b"]),
        ("x = 0 <= a < b", ["ROR 0 < a < b", "ROR 0 <= a <= b", "CRP 1"]),
        ("x = a is b in c", ["ROR a is not b in c", "ROR a is b not in c"]),
        ("x = a and b", ["LCR a or b"]),
        ("x = not a", ["COD a"]),
        ("if a: f()", ["COI not a"]),
        ("x = f() if a.b else c", ["COI not a.b"]),
        ("x = a + b", ["AOR a - b"]),
        ("x = -1", ["AOR 1"]),
        ("a //= b", ["AOR a /= b"]),
        ("x = 'a%s' % b", ["CRP 'XXa%sXX'"]),
        ("x = a + 'b c'", []),
        ("x = ['a', 2.5, True]", ["CRP 'XXaXX'", "CRP 3.5", "CRP False"]),
        ("def f(a=3, *, b=''): pass", ["CRP 4", "CRP 'XXXX'"]),
        ("def f(): return g()", ["RVR return None"]),
        ("def f(): return None", []),
        ("def f(): raise E('no', 1)", ["SDL "]),
        ("for a in b: break", ["BCR continue"]),
        ("x = lambda a: a == b", ["ROR a != b"]),
        ("x = [a for a in b if a > c]", ["ROR a >= c", "ROR a <= c"]),
        ("@f(1)\ndef g(a: 'int' = None): pass", []),
        ("__all__ = ['a']", []),
        ("assert a == 1", []),
        ("x = f'{a + 1}'", []),
        ("if __name__ == '__main__': f()", []),
        ("x = f('text for people')", []),
    ],
)
def test_each_operator_makes_what_its_name_says(text: str, made: list[str]) -> None:
    """And leaves alone what says nothing about behaviour: annotations, assertions, text for people."""
    assert [f"{m.operator} {m.after}" for m in mutations(text)] == made


def test_what_is_compiled_to_the_same_is_no_mutant() -> None:
    """Nothing could tell it from what was written; the compiler sees some of these."""
    assert [m.after for m in mutations("x = 6.0 / 1")] == ["7.0", "2"], "6.0 * 1 is 6.0, too"
    assert [m.after for m in mutations("x = 6.0 / 2")] == ["6.0 * 2", "7.0", "3"]


def test_only_changed_lines_have_mutants() -> None:
    """A statement of several lines has them where it changed."""
    before, after = "x = f(a < b,\n      c < d)\n", "x = f(a < b,\n      c > d)\n"
    found = changed_statements({"a.py": before.encode()}, {"a.py": after.encode()})
    assert [(m.line, m.after) for e in found for m in mutations_of(e)] == [(2, "c >= d"), (2, "c <= d")]


# -- one tree for all of them

WOVEN = plain('''
    """Doc."""
    from __future__ import annotations

    LIMIT = 2


    def f(a, b=1):
        for n in range(3):
            if a < LIMIT and not b:
                continue
            a += n
        if a > 5:
            raise ValueError(a)
        return [x for x in (a, -b) if x >= 0]
''')


class _Replaced(ast.NodeTransformer):
    """Puts a mutant in the place of what it was made of: what weaving is held against."""

    def __init__(self, mutation: Mutation) -> None:
        self._mutation = mutation

    def visit(self, node: ast.AST) -> ast.AST:
        """Return the mutant for its node, and every other node as it is."""
        return self._mutation.mutated if node is self._mutation.node else super().visit(node)


def answers(text: str | bytes) -> list[str]:
    """Return the constant of a module, and what calls of its `f` give."""
    names: dict[str, Any] = {}
    exec(compile(text, "woven.py", "exec"), names)
    given = [repr(names["LIMIT"])]
    for a, b in product((-4, 0, 1, 2, 3, 9), (0, 1, 2, None)):
        try:
            given.append(repr(names["f"](a) if b is None else names["f"](a, b)))
        except ValueError as error:
            given.append(repr(error))
    return given


def test_the_switch_chooses_one_mutant_and_none_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Woven together, each mutant behaves as it does alone, and without one the module is what it was."""
    made = changed_statements({}, {"a.py": WOVEN.encode()})
    chosen = dict(enumerate((m for e in made for m in mutations_of(e)), start=1))
    text = weave(made[0].tree, chosen, SECRET)
    assert text is not None
    assert ast.get_docstring(ast.parse(text)) == "Doc."
    switch = ModuleType(switch_name(SECRET))
    exec(switch_source(SECRET), switch.__dict__)
    monkeypatch.setitem(sys.modules, switch.__name__, switch)
    assert answers(text) == answers(WOVEN), "the switch is off where nobody sets it"
    told_apart = 0
    for number, mutation in chosen.items():
        whole = changed_statements({}, {"a.py": WOVEN.encode()})
        again = [m for e in whole for m in mutations_of(e)][number - 1]
        alone = ast.unparse(ast.fix_missing_locations(_Replaced(again).visit(whole[0].tree)))
        switch.now = str(number)  # type: ignore[attr-defined]
        assert answers(text) == answers(alone), mutation
        told_apart += answers(text) != answers(WOVEN)
    assert len(chosen) == 18
    assert told_apart > 12


def test_a_module_that_cannot_be_written_down_has_no_mutants() -> None:
    """Its mutants are left out; nothing else is."""
    made = changed_statements({}, {"a.py": b"x = 1\n"})
    broken = ast.Module([ast.Expr(ast.Constant("\ud800")), *made[0].tree.body], [])
    assert weave(broken, {}, SECRET) is not None
    assert weave(ast.Module([ast.Expr(ast.Name("a b"))], []), {}, SECRET) is None


# -- judged

TESTS = ("tests/test_a.py::test_0", "tests/test_a.py::test_1", "tests/test_n.py::test_new")
CONTROLS: tuple[Mapping[str, object], ...] = (
    {"control": "fails", "seen": True},
    {"control": "passes", "unfit": []},
)


Touched = dict[str, tuple[str, ...]]


def mutated(*said: Mapping[str, object], everybody: bool = True, touched: Touched | None = None) -> Records:
    """Return the evidence on a fix of one statement with one mutant, of which some processes said something."""
    statements = (
        ChangedStatement(id="s0", path="calc.py", lines=(2,), text=("return a < b",)),
        ChangedStatement(id="s1", path="calc.py", lines=(5, 6), text=("f(", "1)")),
    )
    mutant = Mutant(
        id=1,
        statement="s0",
        path="calc.py",
        line=2,
        operator="ROR",
        before="a < b",
        after="a <= b",
        tests=TESTS[1:],
        everybody=everybody,
    )
    records = check_case().with_facts(
        parts=(ChangedPart(id="0", path="calc.py", first=2, last=2, text=("return a < b",)),),
        statements=statements,
        mutants=(mutant,),
        level="C",
    )
    name = records.add(Subject.BROUGHT, "covered", map(passed, TESTS))
    seen = {"": ("s1",), TESTS[2]: ("0", "s0")} if touched is None else touched
    records = records.change(name, touched=seen)
    name = records.add(Subject.BROUGHT, "mutated", [passed(TESTS[0])], part="1-1")
    return records.change(name, observed="\n".join(json.dumps({"kind": "observed", **line}) for line in said))


def verdict_on(records: Records) -> Verdict:
    """Judge records."""
    return judge(records.facts, records.evidence.values())


SURVIVED = {"mutant": 1, "ended": "survived"}


def test_a_survivor_informs_and_decides_nothing() -> None:
    """The line is unproven, with what it could be; the claim is proven as before."""
    found = verdict_on(mutated(*CONTROLS, SURVIVED))
    assert found.status is VerdictStatus.PROVEN
    assert [(str(u), u.reason, u.text) for u in found.unproven_lines] == [
        ("calc.py:2", "every check passes with `a <= b` for `a < b`", "return a < b")
    ]
    killed = verdict_on(mutated(*CONTROLS, {"mutant": 1, "ended": "killed"}))
    assert killed.unproven_lines == ()
    assert killed.model_copy(update={"steps": (), "unproven_lines": found.unproven_lines}) == found.model_copy(
        update={"steps": ()}
    ), "nothing else of the verdict depends on it"


@pytest.mark.parametrize(
    "records",
    [
        mutated(CONTROLS[1], SURVIVED),
        mutated({"control": "fails", "seen": False}, CONTROLS[1], SURVIVED),
        mutated(CONTROLS[0], {"control": "passes", "unfit": [TESTS[1]]}, SURVIVED),
        mutated(*CONTROLS, SURVIVED, everybody=False),
        mutated(*CONTROLS, {"mutant": 1, "ended": "no such end"}),
        mutated(*CONTROLS, {"mutant": 2, "ended": "survived"}),
        mutated(*CONTROLS),
        mutated(*CONTROLS, SURVIVED).change("tests-that-the-change-brings.mutated.0.False.None1-1", trouble="forged"),
    ],
)
def test_a_survivor_counts_only_beside_its_controls(records: Records) -> None:
    """One test was seen failing in such a process, the others pass in one without a mutant, and all were asked."""
    assert mutant_ends(records.book()) == {1: "undecided"}
    assert verdict_on(records).unproven_lines == ()


def test_what_no_test_executes_is_listed_unless_a_process_that_is_not_watched_may() -> None:
    """Part 0 is executed by nothing that is watched: whoever needs it may execute the rest of the file as well."""
    unseen: dict[str, tuple[str, ...]] = {TESTS[2]: ("0", "s0")}
    found = verdict_on(mutated(*CONTROLS, touched=unseen))
    assert [(str(u), u.reason) for u in found.unproven_lines] == [
        ("calc.py:5", "no check executes it"),
        ("calc.py:6", "no check executes it"),
    ]
    assert "2 lines are executed by no check" in next(s for s in found.steps if s.id == "S13").reasons[-3]
    assert verdict_on(mutated(*CONTROLS, touched={TESTS[2]: ("s0",)})).unproven_lines == ()


# -- executed


async def mutate(world: World, base: Files, change: Files, **fields: object) -> Verdict:
    """Prove a feature with S13 and little else."""
    proof = ProofSettings(seconds=600, level="C", baseline_runs=1, jittered=0, ablations=1, probed=0, mutants=60)
    first = await world.commit(base)
    settings = Settings(proof=proof.model_copy(update=fields))
    return await world.assayer(settings).prove(case(first, await world.commit(change, first), ClaimKind.FEATURE))


def unproven(verdict: Verdict) -> dict[str, str]:
    """Return the reason of each unproven line, by place."""
    return {str(line): line.reason for line in verdict.unproven_lines}


WEAK = plain("""
    LIMIT = 10


    def clamp(value, step=1):
        if value > LIMIT and step:
            return LIMIT
        while value > 7:
            value -= 1
        if value == 5000:
            value = None
        return value
""")
STRONG = plain("""
    import sys

    LIMIT = 10


    def over(value, by=1):
        while value > LIMIT:
            value -= by
        return value


    if __name__ == "__main__":
        print(over(int(sys.argv[1])))
""")
ABOUT_THEM = """
    import subprocess, sys

    import pytest

    from strong import over
    from weak import clamp


    def test_clamp():
        assert clamp(5) == 5
        assert clamp(12) == 10
        assert clamp(9) == 7


    @pytest.fixture(scope="session")
    def limit():
        return 10


    def test_over(limit):
        assert [over(limit), over(limit + 1), over(14, by=3)] == [limit, limit, 8]


    def test_as_a_process():
        command = [sys.executable, "strong.py", "12"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env={})
        assert said.stdout == "10\\n"
"""


@pytest.mark.docker
async def test_mutants_are_killed_where_tests_are_exact_and_listed_where_they_are_not(world: World) -> None:
    """A boundary that no test comes near, a default that none uses and a step that is as good as another are listed;
    constants of modules, loops without an end and processes that a test starts are tried like the rest.
    """
    stubs = {"weak.py": "def clamp(value):\n    return 0\n", "strong.py": "def over(value):\n    return 0\n"}
    change = {"weak.py": WEAK, "strong.py": STRONG, "tests/test_them.py": ABOUT_THEM}
    verdict = await mutate(world, {**BASE, **stubs}, change)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    changed = "every check passes with"
    assert unproven(verdict) == {
        "weak.py:4": f"{changed} `2` for `1`",
        "weak.py:5": f"{changed} `value >= LIMIT` for `value > LIMIT`",
        "weak.py:8": f"{changed} `2` for `1`",
        "weak.py:9": f"{changed} `5001` for `5000`",
    }, [s.reasons for s in verdict.steps if s.id == "S13"]
    step = next(s for s in verdict.steps if s.id == "S13")
    assert any("mutants of changed lines: " in reason and "by its time limit" in reason for reason in step.reasons), (
        step
    )
    assert not any("not decided" in reason for reason in step.reasons), step
