"""S11: calls that tests make are done again on both sides, and what differs is told, or refutes a refactoring."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Step, Verdict, VerdictStatus

from .conftest import BASE, FIXED, NEW_TEST, Files, World, case, plain
from .test_witness import see_again

pytestmark = pytest.mark.docker

PROBING = Settings(proof=ProofSettings(seconds=120, baseline_runs=1, jittered=0, ablations=0, level="C"))


@pytest.fixture
def world(world: World) -> World:
    """A world that probes, as it does by default."""
    return replace(world, settings=PROBING)


SHOP = plain("""
    def total(prices):
        result = 0
        for price in prices:
            result = result + price
        return result


    class Till:
        def __init__(self, start):
            self.start = start

        def add(self, amount):
            if amount < 0:
                raise ValueError("no refunds")
            return self.start + amount
""")
SHOP_TESTS = plain("""
    from shop import Till, total


    def test_total():
        assert total([1, 2]) == 3


    def test_till():
        assert Till(10).add(5) == 15
""")
SHOP_BASE: Files = {"shop.py": SHOP, "tests/test_shop.py": SHOP_TESTS}


def probe(verdict: Verdict) -> Step:
    """Return the step of the probe."""
    return next(s for s in verdict.steps if s.id == "S11")


async def test_a_refactoring_that_changes_untested_edges_is_refuted_by_calls(world: World) -> None:
    """No test asks for the total of nothing, or whether refunds are refused; the witness's command line shows it.

    The method is called on an object that is made as the tests made theirs.
    """
    base = await world.commit(SHOP_BASE)
    other = SHOP.replace("result = 0", "result = prices[0]").replace("in prices", "in prices[1:]")
    other = other.replace('        if amount < 0:\n            raise ValueError("no refunds")\n', "")
    verdict = await world.prove(base, await world.commit({"shop.py": other}, base), ClaimKind.REFACTOR)
    assert verdict.status is VerdictStatus.REFUTED
    assert "total([]) gives 0 at the base, and raises IndexError with the change" in verdict.reasons[0]
    assert "Till(10).add(-1) raises ValueError at the base, and gives 9 with the change" in verdict.reasons[1]
    assert probe(verdict).outcome == "failed"
    assert verdict.witness is not None
    assert verdict.witness.reproduced == 2
    assert verdict.witness.expected == "total([]) gives 0, as at the base"
    shown = see_again(world, verdict)
    assert "IndexError" in shown.stderr, shown
    assert shown.returncode == 1


async def test_what_differs_now_and_then_refutes_nothing(world: World) -> None:
    """The head's answer to an edge is chance: that is no witness, and a person sees it."""
    base = await world.commit(SHOP_BASE)
    other = "import random\n\n\n" + SHOP.replace(
        "    return result", "    return result if prices else random.random()", 1
    )
    verdict = await world.prove(base, await world.commit({"shop.py": other}, base), ClaimKind.REFACTOR)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    (told,) = (f.text for f in verdict.flags)
    assert "total([]) gives 0 at the base, and does something else each time with the change" in told


AWKWARD = plain("""
    import os
    import random
    import time
    from statistics import mean


    class Refused(ValueError):
        pass


    def _helper(values):
        return [v * 2 for v in values]


    def doubled(values):
        for value in _helper(values):
            yield value


    def names(values):
        return list(set(values))


    def distinct(values):
        return list(set(values))


    def average(values):
        return sum(values) / len(values)


    def scaled(values):
        return sum(v * 0.1 for v in values)


    def shout(word):
        if not word:
            raise Refused(word)
        return word.upper() + "!"


    def stamp(value):
        return [value, time.time()]


    def dice(sides):
        return random.random() * sides


    def shown(value):
        return f"{value} in {object()!r}"


    def depth(n):
        return 0 if n <= 0 else 1 + depth(n - 1)


    def renamed(old):
        return {"a": old, "b": 1}


    def boxed(value):
        return Refused(value)


    def counts(values):
        result = values.pop() if values else None
        return result


    def leaves(now):
        if not now:
            os._exit(0)
        return 1
""")
RUDE = plain("""
    import json
    import os
    import signal
    import sys

    if "pytest" not in sys.modules:
        os.write = json.dumps = os.fork = lambda *_: 0
    def kills(pid):
        if pid <= 0:
            os.kill(os.getppid(), signal.SIGKILL)
        return pid
""")
AWKWARD_TESTS = plain("""
    import sys

    import awkward


    def test_everything():
        assert list(awkward.doubled([1, 2])) == [2, 4]
        assert sorted(awkward.names(["b", "a"])) == ["a", "b"]
        assert sorted(awkward.distinct([3, 1, 2])) == [1, 2, 3]
        assert awkward.average([1, 3]) == 2
        assert awkward.scaled([1, 2, 3]) > 0
        assert awkward.shout("a") == "A!"
        assert awkward.stamp(1)[0] == 1
        assert awkward.dice(6) < 6
        assert awkward.shown(1)
        assert awkward.depth(3) == 3
        assert awkward.renamed(1)["b"] == 1
        assert awkward.boxed("a")
        assert awkward.counts([1, 2]) == 2
        assert awkward.leaves(5)


    def test_a_profiler():
        sys.setprofile(None)


    def test_rude():
        import rude
        assert rude.kills(7) == 7
""")
HONEST = (
    AWKWARD.replace("_helper", "_twice")
    .replace("    for value in _twice(values):\n        yield value", "    return iter(_twice(values))")
    .replace(
        "def distinct(values):\n    return list(set(values))",
        "def distinct(values):\n    return list(dict.fromkeys(values))",
    )
    .replace("return sum(values) / len(values)", "return mean(values)")
    .replace("sum(v * 0.1 for v in values)", "sum(v * 0.1 for v in reversed(values))")
    .replace("class Refused", "class Rejected")
    .replace("Refused(", "Rejected(")
    .replace("0 if n <= 0 else 1 + depth(n - 1)", "max(n, 0)")
    .replace("renamed(old)", "renamed(new)")
    .replace('{"a": old, "b": 1}', '{"b": 1, "a": new}')
    .replace("values.pop() if values", "values[-1] if values")
)


async def test_an_honest_refactoring_comes_through_whatever_its_functions_are_like(world: World) -> None:
    """Chance, clocks, addresses, orders of sets, last digits, private names and other classes refute nothing.

    A function that ends its process costs one call, and one that ends the process that asks costs its module.
    """
    base = await world.commit({"awkward.py": AWKWARD, "rude.py": RUDE, "tests/test_awkward.py": AWKWARD_TESTS})
    head = await world.commit({"awkward.py": HONEST, "rude.py": RUDE + "\n\nMORE = 1\n"}, base)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    told = {f.text.split(" ", 1)[0] for f in verdict.flags}
    assert told == {"awkward.average", "awkward.counts", "awkward.distinct"}
    assert probe(verdict).outcome == "flagged"
    assert re.search(r"dropped: [1-9]\d* calls that do not answer the same each time", probe(verdict).reasons[1])
    answers = [line for e in await world.evidence() for line in e.observed.split("\n") if '"answer"' in line]
    assert any("awkward.py" in line and '["died", ""]' in line for line in answers), "leaving costs its own call"
    assert any("rude.py" in line and '["died", ""]' in line for line in answers), "and killing the asker costs a module"
    assert any("rude.py" in line and "(7, " in line for line in answers), "but not what was asked before"


async def test_a_fix_shows_a_person_what_it_changes_and_is_not_judged_by_it(world: World) -> None:
    """Also in a function that no line of the change touches, and it says what the claim itself names."""
    user = "from calc import mean\n\n\ndef report(values):\n    return f'mean: {mean(values):.2f}'\n"
    test = "from user import report\n\n\ndef test_report():\n    assert report([2, 4]).startswith('mean')\n"
    base = await world.commit({**BASE, "user.py": user, "tests/test_user.py": test})
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.prove(base, head, behaviour_changed=("calc.mean()",))
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    told = {f.path: f.text for f in verdict.flags if f.kind == "behaviour-changed"}
    assert "calc.mean answers differently, as the claim says" in told["calc.py"]
    assert "in a file that the change does not touch" in told["user.py"]
    assert "report([2, 4]) gives 'mean: 2.00' at the base, and gives 'mean: 3.00' with the change" in told["user.py"]
    assert probe(verdict).outcome == "flagged"


async def test_a_public_function_that_vanished_is_told_and_refutes_nothing(world: World) -> None:
    """The base's tests reach it only through another one."""
    old = "def area(w, h):\n    return times(w, h)\n\n\ndef times(a, b):\n    return a * b\n"
    test = "from area import area\n\n\ndef test_area():\n    assert area(2, 3) == 6\n"
    base = await world.commit({"area.py": old, "tests/test_area.py": test})
    head = await world.commit({"area.py": "def area(w, h):\n    return w * h\n"}, base)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    (told,) = (f.text for f in verdict.flags)
    assert "area.times answers differently: times(2, 3) gives 6 at the base, and is not there with the change" in told


async def test_nothing_is_done_again_where_nothing_can_be(world: World) -> None:
    """Calls with objects alone are counted; where the settings want none, there is no such step."""
    source = "def first(box):\n    return box.items[0]\n"
    test = "from box import first\n\n\ndef test_first():\n    assert first(type('Box', (), {'items': [1]})) == 1\n"
    base = await world.commit({"box.py": source, "tests/test_box.py": test})
    head = await world.commit({"box.py": source.replace("return", "item =") + "    return item\n"}, base)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert probe(verdict).outcome == "not_run"
    assert "1 calls with objects" in probe(verdict).reasons[0]
    without = Settings(proof=ProofSettings(seconds=60, jittered=0, ablations=0, probed=0))
    silent = await world.assayer(without).prove(
        case(base, head, ClaimKind.REFACTOR).model_copy(update={"run": "other"})
    )
    assert "S11" not in [s.id for s in silent.steps]
