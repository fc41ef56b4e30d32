"""The parts of the probe with and without a test: which calls, in which order, in which dress, and what is held out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from assay.evidence.facts import Subject
from assay.evidence.feedback import feedback
from assay.evidence.judge import judge
from assay.evidence.judge_side.probe_dress import OTHER, PLAIN, TEST, passes_of, place_of, variables_for
from assay.evidence.probe_calls import Call, Function
from assay.evidence.probe_dressed import AGAIN, DRESSED, calls_to_dress, watching_files
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .books import check_case

CALL = ("f", "", "((1,), {})")
OPEN_TEST = "tests/test_open.py::test_f"
HIDDEN_TEST = "tests/test_hidden.py::test_f"


def function(*tests: str) -> Function:
    """Return a function that these tests called in the same way."""
    return Function(
        module="m", file="m.py", name="f", form="function", line=1, defaults=0, calls=(CALL,), tests=(tests,)
    )


@pytest.mark.parametrize(
    ("tests", "known", "hidden", "held_out"),
    [
        ((OPEN_TEST,), (), (), False),
        ((OPEN_TEST,), (), ("tests/test_hidden.py",), False),
        ((HIDDEN_TEST,), (), ("tests/test_hidden.py",), True),
        ((HIDDEN_TEST, OPEN_TEST), (), ("tests/test_hidden.py",), False),
        ((HIDDEN_TEST,), (function(),), ("tests/test_hidden.py",), False),
        ((OPEN_TEST,), (), ("tests/test_hidden.py", "tests/conftest.py"), True),
        ((OPEN_TEST,), (function(),), ("tests/conftest.py",), False),
    ],
)
def test_a_call_is_held_out_unless_it_is_known_from_elsewhere(
    tests: tuple[str, ...], known: tuple[Function, ...], hidden: tuple[str, ...], *, held_out: bool
) -> None:
    """Where helpers are held out, any test may have its values from them; what the base's tests call is open."""
    (call,) = calls_to_dress([function(*tests)], known, frozenset(), hidden)
    assert call.held_out is held_out
    assert call.test == (OPEN_TEST if OPEN_TEST in tests else HIDDEN_TEST)


def test_neither_time_nor_turns_look_like_a_test() -> None:
    """What changes once while the passes go on, or with every other one, differs between two of the same kind."""
    for count in (2, 4):
        dresses = [dress for dress, _ in passes_of(count)]
        assert dresses.count(TEST) == count
        assert {PLAIN, OTHER} <= set(dresses)
        steps = [[place >= first for place in range(len(dresses))] for first in range(1, len(dresses))]
        for answers in (*steps, [bool(place % 2) for place in range(len(dresses))]):
            tested = {a for a, dress in zip(answers, dresses, strict=True) if dress == TEST}
            others = {a for a, dress in zip(answers, dresses, strict=True) if dress != TEST}
            assert len(tested) == 2 or len(others) == 2


def test_pytests_variables_are_those_of_tests_alone() -> None:
    """Also the one that the judge sets itself."""
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "LANG": "C"}
    assert variables_for(TEST, variables) == variables
    assert variables_for(PLAIN, variables) == variables_for(OTHER, variables) == {"LANG": "C"}


@pytest.mark.parametrize(
    ("test", "place"),
    [
        ("tests/test_a.py::test_b", ("tests/test_a.py", "test_b")),
        ("a_test.py::TestC::test_b[x::y-1]", ("a_test.py", "test_b")),
        ("shop.py::shop.total", ("tests/test_it.py", "test_it")),
        ("", ("tests/test_it.py", "test_it")),
    ],
)
def test_a_tests_id_says_where_it_stands(test: str, place: tuple[str, str]) -> None:
    """What is no function of a file has the place of one."""
    assert place_of(test) == place


@pytest.mark.parametrize("dress", [PLAIN, TEST, OTHER])
def test_a_dress_is_what_code_sees_that_looks(dress: str) -> None:
    """Variables, modules, arguments and frames; the other tool has as many frames as a test, and nothing of one."""
    program = (
        "import sys; from assay.evidence.judge_side.probe_dress import *\n"
        "dress = sys.argv[1]; put_on(dress); call = calling_for(dress, 'tests/test_a.py::test_b')\n"
        "def look():\n"
        "    frame, seen = sys._getframe(1), []\n"
        "    while frame: seen.append(frame.f_code.co_name); frame = frame.f_back\n"
        "    import os; return 'pytest' in sys.modules, 'PYTEST_CURRENT_TEST' in os.environ, seen, sys.argv[0]\n"
        "print(call(look, (), {}))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, dress],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    ).stdout
    seen = {
        PLAIN: (False, False, ["_call", "<module>"], "program"),
        TEST: (True, True, ["test_b", "pytest_pyfunc_call", "<lambda>", "<module>"], "pytest"),
        OTHER: (False, False, ["show_notes", "run_items", "<lambda>", "<module>"], "listing"),
    }
    assert said == f"{seen[dress]}\n"


def test_files_that_look_through_the_base_are_those_that_import_what_did() -> None:
    """What the change touches is its own, and counts for nothing."""
    base = {"place.py": b"X = 'PYTEST_CURRENT_TEST'\n", "mine.py": b"import pytest\n", "else.py": b"pass\n"}
    head = {**base, "store.py": b"import place\n", "more.py": b"import mine\nimport else_\n"}
    assert watching_files(base, head, ["mine.py"]) == {"store.py"}


ASKED = Call(
    id=0, module="calc", file="calc.py", line=1, name="f", arguments="((1,), {})", recorded=True, test=OPEN_TEST
)
RIGHT, WRONG = ("value", "(2, [(1,), {}])"), ("value", "(1, [(1,), {}])")
ABSENT, OBJECT, GONE = ("missing", ""), ("opaque", "Box"), ("died", "")
UNTOLD = ("unasked", "")
Answers = tuple[tuple[str, str], tuple[str, str]]
"""Without a test, and with one."""


def verdict_on(
    head: Answers, base: Answers, *, call: Call = ASKED, runs: int = 2, kind: ClaimKind = ClaimKind.FIX, **facts: object
) -> Verdict:
    """Return the verdict where a call was answered so, again and again in so many sandboxes."""
    records = check_case(kind)
    records.facts = records.facts.model_copy(update=facts)
    for side, variant, part, replicate in (
        ("", "recorded-head", "", 0),
        (head, "head", DRESSED, 0),
        *((answers, v, AGAIN, n) for n in range(1, runs + 1) for answers, v in ((base, "base"), (head, "head"))),
    ):
        name = records.add(Subject.PROBE, variant, (), part=part, replicate=replicate)  # type: ignore[arg-type]
        said = [
            json.dumps({"call": call.model_dump(), "answer": answer, "dressed": bool(dressed)})
            for _ in range(2)
            for dressed, answer in enumerate(side)
        ]
        records = records.change(name, observed="\n".join(said))
    return judge(records.facts, records.evidence.values())


REFUTED, PROVEN = VerdictStatus.REFUTED, VerdictStatus.PROVEN


@pytest.mark.parametrize(
    ("head", "base", "status", "flags"),
    [
        ((WRONG, RIGHT), (WRONG, WRONG), REFUTED, 1),
        ((WRONG, RIGHT), (ABSENT, ABSENT), REFUTED, 1),
        ((WRONG, RIGHT), (GONE, GONE), REFUTED, 1),
        ((WRONG, RIGHT), (WRONG, RIGHT), PROVEN, 1),
        ((WRONG, RIGHT), (GONE, RIGHT), PROVEN, 1),
        ((WRONG, RIGHT), (OBJECT, OBJECT), PROVEN, 1),
        ((WRONG, RIGHT), (UNTOLD, UNTOLD), PROVEN, 1),
        ((WRONG, UNTOLD), (WRONG, WRONG), PROVEN, 0),
        ((RIGHT, RIGHT), (WRONG, WRONG), PROVEN, 0),
        ((OBJECT, RIGHT), (WRONG, WRONG), PROVEN, 0),
        ((GONE, RIGHT), (WRONG, WRONG), PROVEN, 0),
    ],
)
def test_a_head_that_looks_is_blamed_where_the_base_does_not(
    head: Answers, base: Answers, status: VerdictStatus, flags: int
) -> None:
    """Whatever kind of claim it is; what cannot be compared is no look, and no proof that the base had none."""
    for kind in (ClaimKind.FIX, ClaimKind.FEATURE, ClaimKind.REFACTOR):
        verdict = verdict_on(head, base, kind=kind)
        told = [f for f in verdict.flags if f.kind == "watches-runner"]
        assert len(told) == flags
        assert (verdict.status is REFUTED) == (status is REFUTED), (kind, verdict.reasons)
        blamed = [
            r for r in verdict.reasons if r.startswith("calc.f answers differently while a test runs: f(1) gives 2")
        ]
        assert len(blamed) == (status is REFUTED)


def test_it_has_to_reproduce_and_to_be_the_heads_own() -> None:
    """One sandbox is too few; and a new function may rest on what looked at its runner before."""
    lie: Answers = (WRONG, RIGHT)
    assert verdict_on(lie, (WRONG, WRONG), runs=1).status is PROVEN
    assert verdict_on(lie, (ABSENT, ABSENT), watching=frozenset({"calc.py"})).status is PROVEN
    assert verdict_on(lie, (WRONG, WRONG), watching=frozenset({"calc.py"})).status is REFUTED


def test_a_call_of_a_held_out_test_names_its_function_alone() -> None:
    """A person's command line has its arguments; reasons, steps, flags and feedback have not."""
    call = ASKED.model_copy(update={"held_out": True, "test": HIDDEN_TEST, "arguments": "(('PLANTED',), {})"})
    verdict = verdict_on((WRONG, RIGHT), (WRONG, WRONG), call=call)
    assert verdict.reasons == ("calc.f answers differently while a test runs",)
    assert verdict.witness is not None
    assert verdict.witness.held_out
    assert "PLANTED" in verdict.witness.command
    assert "calc.f answers the same whether a test runs or not" in feedback(verdict)
    shown = verdict.witness.model_copy(update={"command": "", "argv": ()})
    told = verdict.model_copy(update={"witness": shown}).model_dump_json() + feedback(verdict)
    assert "PLANTED" not in told
    assert "hidden" not in told
