"""S9: the judge stands outside, in another sandbox. What crosses, what does not, and what a program can do about it."""

from __future__ import annotations

import pytest

from assay.evidence.protocol import TrustedTests
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .conftest import BASE, CALC, FIXED, Files, World, ask_outside, plain, states, trusted_case

LEVEL_A = Settings(proof=ProofSettings(seconds=60, level="A", jittered=0, ablations=0, probed=0))
"""Without the steps that come after S9, which have tests of their own."""

PROGRAM = """
    import dataclasses, enum, os, sys, warnings


    class Oops(ValueError):
        def __init__(self, text, code):
            super().__init__(text, code)
            self.code = code


    class Color(enum.Enum):
        RED = 1
        BLUE = 2


    @dataclasses.dataclass
    class Point:
        x: int
        y: int

        def norm(self):
            return self.x**2 + self.y**2


    class Context:
        def __enter__(self):
            return 3

        def __exit__(self, *error):
            return True


    class Always:
        def __eq__(self, other):
            return True

        __hash__ = None


    LIMIT = 5


    def echo(value, *, twice=False):
        return [value, value] if twice else value

    def red():
        return Color.RED

    def fail():
        raise Oops("bad", 7)

    def count():
        yield from (1, 2)

    def show(text):
        print(text)

    def over():
        return LIMIT + 1

    def always():
        return Always()

    def leave():
        os._exit(0)

    def find(part):
        seen = [name for folder in ("/workspace", "/tmp") for _, _, files in os.walk(folder) for name in files]
        return sorted(name for name in seen if part in name)

    def judge():
        return sorted(name for name in sys.modules if "pytest" in name) + [str(os.getuid())]

    def turn(source, target):
        with open(source) as file, open(target, "w") as other:
            other.write(file.read()[::-1])

    def flood():
        os.write(1, b"x" * 50_000_000)
        return "y" * 20_000_000
"""

TESTS = """
    import datetime, decimal, os, subprocess, sys
    import pytest
    import prog
    from prog import Color, Oops, Point, echo


    def test_values_cross():
        for value in (1, 2**70, -0.5, "text", b"bytes", None, True, [1, (2,)], {"a": {1, 2}}, decimal.Decimal("1.10"),
                      datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), frozenset({1}), 2j):
            assert echo(value) == value and type(echo(value)) is type(value)
        assert echo(1, twice=True) == [1, 1]

    def test_that_is_false():
        assert echo(3) == 4

    def test_exceptions_cross():
        with pytest.raises(Oops, match="bad") as caught:
            prog.fail()
        assert caught.value.code == 7 and isinstance(caught.value, ValueError)

    def test_other_exceptions_are_others():
        with pytest.raises(KeyError):
            prog.fail()

    def test_members_cross():
        assert prog.red() == Color.RED and prog.red() != Color.BLUE and list(Color) == [Color.RED, Color.BLUE]

    def test_handles():
        point = Point(3, 4)
        assert (point.x, point.norm(), repr(point)) == (3, 25, "Point(x=3, y=4)")
        point.x = 0
        assert point.norm() == 16 and list(prog.count()) == [1, 2]

    def test_what_it_prints_is_seen(capsys):
        prog.show("seen")
        assert capsys.readouterr().out == "seen\\n"

    def test_plain_settings_are_patched(monkeypatch):
        monkeypatch.setattr(prog, "LIMIT", 10)
        assert prog.over() == 11

    def test_patches_are_undone():
        assert prog.over() == 6

    def test_command_line():
        done = subprocess.run([sys.executable, "-m", "tool", "a"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (3, "['a']\\n")

    def test_no_test_is_within_reach():
        assert prog.find("test_") == [] and prog.find("pytest") == []

    def test_the_judge_is_elsewhere():
        assert prog.judge() != ["pytest", str(os.getuid())] and len(prog.judge()) == 1
        assert prog.judge() != [str(os.getuid())]

    def test_no_program_is_here():
        assert not [f for _, _, files in os.walk(".") for f in files if f in ("prog.py", "tool.py")]

    def test_uncrossable_objects_are_compared():
        assert Point(1, 2) == Point(1, 2)

    def test_uncrossable_value_that_is_equal_to_everything():
        assert prog.always() == 3

    def test_uncrossable_value_that_is_other_than_everything():
        assert prog.always() != 3

    def test_uncrossable_callback():
        assert echo(lambda: 1)() == 1

    def test_uncrossable_mock(monkeypatch):
        monkeypatch.setattr(prog, "red", lambda: 1)
        assert prog.red() == 1

    def test_paths_cross_with_what_lies_there(tmp_path):
        (tmp_path / "in").write_text("abc")
        prog.turn(tmp_path / "in", str(tmp_path / "out"))
        assert (tmp_path / "out").read_text() == "cba"

    def test_uncrossable_path():
        assert echo(__file__) == __file__

    def test_uncrossable_surroundings(monkeypatch):
        monkeypatch.setenv("A", "b")
        assert echo(1) == 1

    def test_unclear_swallowing():
        with prog.Context() as three:
            assert three == 4

    def test_uncrossable_end():
        prog.leave()

    def test_uncrossable_flood():
        prog.flood()

    def test_after_all_that():
        assert echo(1) == 1
"""
MORE = """
    import prog

    prog.Point  # a name lasts, whatever worker there is
    kept = prog.Point(1, 2)


    def test_in_a_fresh_worker():
        assert prog.over() == 6 and prog.Point(1, 2).norm() == 5

    def test_uncrossable_outlived_object():
        assert kept.norm() == 5
"""


@pytest.mark.docker
async def test_data_crosses_and_nothing_else(world: World) -> None:
    """Values, exceptions, members, handles and command lines cross; what shares more than data says so."""
    tool = "import sys\nprint(sys.argv[1:])\nsys.exit(3)\n"
    program: Files = {"prog.py": PROGRAM, "tool.py": tool}
    found = await ask_outside(world, program, {"tests/test_a.py": TESTS, "tests/test_b.py": MORE})
    names = {i.partition("::")[2]: o for i in found.ids if (o := found.outcome(i)) is not None}
    false = {"test_that_is_false", "test_other_exceptions_are_others"}
    uncrossable = {name for name in names if "uncrossable" in name}
    unclear = {"test_unclear_swallowing"}
    assert len(uncrossable) == 10
    for name, outcome in names.items():
        assert outcome.passed == (name not in false | uncrossable | unclear), f"{name}: {outcome.message}"
        assert outcome.message.startswith("Uncrossable: ") == (name in uncrossable), f"{name}: {outcome.message}"
    assert names["test_that_is_false"].failure == "assertion"
    assert names["test_unclear_swallowing"].message == "Unclear: a value of type Context cannot cross"


FORGERS = """
    import builtins, gc, os, socket, sys, threading


    def mean(values):
        forge()
        return 7

    def forge():
        for thing in gc.get_objects():
            if type(thing).__name__ in ("Reporter", "Session", "TestReport", "Outsider", "Link"):
                os._exit(0)
        try:
            import _pytest.runner
            _pytest.runner.CallInfo.from_call = None
        except ImportError:
            pass
        builtins.len = lambda value: 3
        builtins.sum = lambda value: 3
        frame = sys._getframe()
        while frame:
            for name, value in list(frame.f_locals.items()):
                if name in ("answer", "request"):
                    value["value"] = 3
            frame = frame.f_back
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b'\\x02\\x00\\x00\\x00{}')
            except OSError:
                pass
"""


@pytest.mark.docker
async def test_a_program_has_nothing_to_forge(world: World) -> None:
    """Patches of the runner and of built-ins, and a search for the judge, change nothing where the judge is not."""
    test = "from calc import mean\n\n\ndef test_mean():\n    assert mean([2, 4]) == 3\n"
    found = await ask_outside(world, {"calc.py": FORGERS}, {"tests/test_calc.py": test})
    assert not any(found.outcome(i).passed for i in found.ids), found.evidence.outcomes  # type: ignore[union-attr]


async def trusted(world: World, *, held_out: bool = True) -> TrustedTests:
    """Return tests of `mean`, one of them held out."""
    text = "from calc import mean\n\n\ndef test_{0}():\n    assert mean({1}) == {2}\n"
    hidden = {"tests/test_more.py": text.format("five", [1, 2, 3, 4, 90], 20)}
    return TrustedTests(
        visible=await world.tree({"tests/test_mean.py": text.format("two", [2, 4], 3)}),
        held_out=await world.tree(hidden) if held_out else None,
        stated=(
            states("tests/test_mean.py::test_two"),
            *([states("tests/test_more.py::test_five", held_out=True)] if held_out else []),
        ),
    )


async def prove_at_a(world: World, base: str, head: str, tests: TrustedTests) -> Verdict:
    """Prove a fix at level A."""
    return await world.assayer(LEVEL_A).prove(trusted_case(base, head, tests, ClaimKind.FIX))


@pytest.mark.docker
async def test_a_fix_of_plain_functions_is_proven_at_level_a(world: World) -> None:
    """Trusted tests, held-out ones among them, and the base's own hold with the judge outside."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": FIXED}, base)
    verdict = await prove_at_a(world, base, head, await trusted(world))
    assert (verdict.status, verdict.level) == (VerdictStatus.PROVEN, "A"), verdict.reasons
    assert [r.level for r in verdict.requirements] == ["A"]
    (step,) = [s for s in verdict.steps if s.id == "S9"]
    assert (step.outcome, len(step.evidence)) == ("passed", 6)


@pytest.mark.docker
async def test_what_cannot_be_asked_outside_falls_to_b_and_says_so(world: World) -> None:
    """A mock into the package is no lie: the verdict lacks level A, with the reason, and nothing is refuted."""
    mocking = plain("""
        import calc


        def test_add():
            assert calc.add(1, 2) == 3

        def test_patched(monkeypatch):
            monkeypatch.setattr(calc, "add", lambda a, b: 7)
            assert calc.add(1, 2) == 7
    """)
    base = await world.commit({**BASE, "tests/test_calc.py": mocking})
    head = await world.commit({"calc.py": FIXED}, base)
    verdict = await prove_at_a(world, base, head, await trusted(world, held_out=False))
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert verdict.reasons == (
        "level A was asked for and not reached: requirement R1: no held-out test states it",
        "level A was asked for and not reached: tests/test_calc.py::test_patched cannot be asked from outside: "
        "an object of the tests is given to the program (function)",
    )
    (step,) = [s for s in verdict.steps if s.id == "S9"]
    assert "1 fell to level B: an object of the tests is given to the program" in step.reasons


KNOWING = CALC.replace("def add(a, b):\n", "import sys\n\n\ndef add(a, b):\n").replace(
    "return a + b", 'return a + b if "pytest" in sys.modules else 7'
)


@pytest.mark.docker
async def test_a_program_that_knows_its_runner_is_seen(world: World) -> None:
    """What holds only beside pytest does not hold with the judge outside."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": KNOWING.replace("(len(values) + 1)", "len(values)")}, base)
    verdict = await prove_at_a(world, base, head, await trusted(world))
    assert verdict.status is not VerdictStatus.PROVEN
    assert any("tests/test_calc.py::test_add" in reason for reason in verdict.reasons), verdict.reasons
