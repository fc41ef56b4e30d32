"""S12: what was shown holds in other surroundings, or is seen not to; what the base cannot do is not blamed."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime

import pytest

from assay.evidence.facts import Book, Subject, Variant
from assay.evidence.jitter import Fate, fates, ids_in, surroundings_of
from assay.evidence.judge import judge
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.evidence import Evidence
from assay.records.sandboxes import SandboxProfile
from assay.records.verdicts import Step, Verdict, VerdictStatus
from assay.sandboxes.protocol import WORKSPACE

from .books import check_case, failed, passed
from .conftest import BASE, CALC, FIXED, NEW_TEST, Files, World, case

PROVEN, INCONCLUSIVE, REFUTED = VerdictStatus.PROVEN, VerdictStatus.INCONCLUSIVE, VerdictStatus.REFUTED


def policy(jittered: int) -> Settings:
    """Return settings with S12 and without S13."""
    return Settings(proof=ProofSettings(seconds=60, level="C", jittered=jittered, ablations=0, probed=0))


async def jitter(
    world: World, base: Files, change: Files, kind: ClaimKind = ClaimKind.REFACTOR, *, count: int = 1
) -> Verdict:
    """Prove a change in other surroundings."""
    first = await world.commit(base)
    return await world.assayer(policy(count)).prove(case(first, await world.commit(change, first), kind))


def s12(verdict: Verdict) -> Step:
    """Return S12."""
    return next(s for s in verdict.steps if s.id == "S12")


async def jittered(world: World) -> list[Evidence]:
    """Return the evidence of S12."""
    return [e for e in await world.evidence() if e.surroundings is not None]


def test_surroundings_follow_from_the_claim_and_the_number() -> None:
    """The same again for the same, so that evidence is found; all others for others; the date where it can be."""
    packages = ("libfaketime 0.9.10",)
    made = [surroundings_of("claim", n, 3, packages) for n in range(3)]
    assert made == [surroundings_of("claim", n, 3, packages) for n in range(3)]
    assert len({s.order for s in made}) == len({s.variables["TZ"] for s in made}) == len({s.folder for s in made}) == 3
    assert surroundings_of("other", 0, 3, ()).variables["PYTHONHASHSEED"] != made[0].variables["PYTHONHASHSEED"]
    assert ["FAKETIME" in s.variables for s in made] == [False, False, True]
    assert "FAKETIME" not in surroundings_of("claim", 2, 3, ("python3 3.11",)).variables


def again(count: int, bad: int) -> list[str]:
    """Return how a test went in so many runs, the first ones of which fail."""
    return ["failed"] * bad + ["passed"] * (count - bad)


@pytest.mark.parametrize(
    ("heads", "bases", "fate", "status"),
    [
        (again(3, 3), again(3, 0), Fate.BROKEN, REFUTED),
        (again(3, 3), again(3, 1), Fate.KNOWN, PROVEN),
        (again(3, 1), again(3, 0), Fate.FLAKY, INCONCLUSIVE),
        (again(3, 1), again(3, 3), Fate.KNOWN, PROVEN),
        (again(1, 1), [], Fate.UNKNOWN, INCONCLUSIVE),
        (again(3, 3), again(2, 0), Fate.UNKNOWN, INCONCLUSIVE),
    ],
)
def test_what_becomes_of_a_failure(heads: list[str], bases: list[str], fate: Fate, status: VerdictStatus) -> None:
    """Refuted only by what comes each time and never at the base; open where it comes now and then with the change."""
    records = check_case()
    records.facts = records.facts.model_copy(update={"jittered": 1, "level": "C"})
    test = "tests/test_a.py::test_0"
    variants: tuple[tuple[Variant, list[str]], ...] = (("jittered", heads), ("jittered-base", bases))
    for variant, ends in variants:
        for n, end in enumerate(ends):
            outcome = passed(test) if end == "passed" else failed(test)
            records.add(Subject.REGRESSION, variant, [outcome], replicate=n, expected=(test,), part="0")
    book = Book(records.facts, records.evidence.values())
    assert fates(book, Subject.REGRESSION) == {test: (fate, "0")}
    assert judge(records.facts, records.evidence.values()).status is status


def test_what_was_left_out_is_named() -> None:
    """Three surroundings were asked for, and none was executed in time: the step says so, and nothing is refuted."""
    records = check_case()
    records.facts = records.facts.model_copy(update={"jittered": 3, "level": "C"})
    verdict = judge(records.facts, records.evidence.values())
    assert verdict.status is PROVEN
    assert s12(verdict).outcome == "flagged"
    assert "left out for want of time: 3 surroundings" in s12(verdict).reasons


def test_what_the_change_cannot_reach_is_repeated_once() -> None:
    """In the first surroundings is everything; in others what shows the change, and everything where nothing does."""
    records = check_case()
    records.facts = records.facts.model_copy(update={"jittered": 3, "level": "C"})
    suite = ("tests/test_a.py::test_0", "tests/test_a.py::test_1")
    assert ids_in(records.book(), Subject.REGRESSION, 1) == suite, "nothing is known: everything may be reached"
    far = records.with_facts(untouched=frozenset({"tests/test_a.py"}))
    assert [ids_in(far.book(), Subject.REGRESSION, n) for n in range(3)] == [suite, (), ()]
    assert ids_in(far.book(), Subject.BROUGHT, 2) == ("tests/test_n.py::test_new",)
    alone = far.with_facts(trials=tuple(t for t in far.facts.trials if t.subject is not Subject.BROUGHT))
    assert ids_in(alone.book(), Subject.REGRESSION, 2) == suite, "nothing else shows anything"
    for part in ("0", "1", "2"):
        asked = ids_in(far.book(), Subject.REGRESSION, int(part))
        if asked:
            far.add(Subject.REGRESSION, "jittered", map(passed, asked), expected=asked, part=part)
        new = ids_in(far.book(), Subject.BROUGHT, int(part))
        far.add(Subject.BROUGHT, "jittered", map(passed, new), expected=new, part=part)
    step = s12(verdict := judge(far.facts, far.evidence.values()))
    assert (verdict.status, step.outcome) == (PROVEN, "passed")
    assert "3 ids in 3 of 3 other surroundings" in step.reasons[0]
    assert "in all of them 1 that show" in step.reasons[1]


LOOK = """
    import datetime, json, os, socket, sys, time

    def test_look():
        print(json.dumps({"seed": hash("a"), "zone": time.strftime("%z"), "home": os.path.isdir(os.environ["HOME"]),
            "where": os.getcwd(), "host": socket.gethostname(), "locale": os.environ["LC_ALL"], "pid": os.getpid(),
            "path": "PYTHONPATH" in os.environ, "year": datetime.date.today().toordinal()}))
        assert WANTED
"""


@pytest.mark.docker
async def test_the_surroundings_are_there(world: World) -> None:
    """Each of them is what the process sees: seed, zone, home, host, folder, date; usual runs have a fixed seed."""
    today = datetime.now(UTC).date().toordinal()
    usual = "time.strftime('%z') == '+0000' and os.getcwd() == '/workspace'"
    looks = LOOK.replace("WANTED", f"({usual} and hash('a') == {hash_of('a', 0)}) or os.environ['TZ'] != 'UTC'")
    other = (
        "os.environ['TZ'] == 'UTC' or (os.getcwd().startswith('/workspace/deeper-')"
        " and os.path.isdir(os.environ['HOME'])"
        " and socket.gethostname().startswith('host-') and time.strftime('%z') != '+0000' and os.getpid() > 20"
        f" and datetime.date.today().toordinal() > {today} + 30)"
    )
    base: Files = {**BASE, "tests/test_usual.py": looks, "tests/test_other.py": LOOK.replace("WANTED", other)}
    verdict = await jitter(world, base, {"calc.py": CALC.replace("a + b", "b + a")}, count=1)
    made = await jittered(world)
    assert verdict.status is PROVEN, (verdict.reasons, [e.output for e in made])
    assert s12(verdict).outcome == "passed"
    assert "95%" in s12(verdict).reasons[1]
    assert made[0].surroundings is not None
    assert made[0].surroundings.folder in made[0].argv[4]


def hash_of(text: str, seed: int) -> int:
    """Return a text's hash under a seed, as another Python of the same algorithm says it."""
    code = f"print(hash({text!r}))"
    done = subprocess.run(["python3", "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.docker
async def test_a_change_that_holds_in_one_time_zone_alone_is_refuted(world: World) -> None:
    """The base does not look at the zone; the head does. The witness shows it with nothing but Docker."""
    utc = "import time\n\n\ndef hour(moment):\n    return time.gmtime(moment).tm_hour, time.gmtime(moment).tm_min\n"
    test = "from clock import hour\n\n\ndef test_hour():\n    assert hour(0) == (0, 0)\n"
    base: Files = {"clock.py": utc, "tests/test_clock.py": test}
    verdict = await jitter(world, base, {"clock.py": utc.replace("gmtime", "localtime")})
    assert verdict.status is REFUTED, verdict.reasons
    assert "TZ" in verdict.reasons[0]
    assert s12(verdict).outcome == "failed"
    assert verdict.witness is not None
    assert verdict.witness.reproduced == 3
    environment = {**os.environ, "ASSAY_STORE": str(world.git.path)}
    shown = subprocess.run(["sh", "-c", verdict.witness.command], env=environment, capture_output=True, check=False)
    assert shown.returncode == 1, shown
    assert b"1 failed" in shown.stdout


@pytest.mark.docker
async def test_a_change_that_depends_on_the_hash_seed_is_not_proven(world: World) -> None:
    """Under some seed the order of a set is another: in fresh sandboxes with that seed it fails each time."""
    sure = "def unique(words):\n    return sorted(set(words))\n"
    words = [f"w{n:02}" for n in range(8)]
    unsure = (
        f"def unique(words):\n    found = list(set(words))\n    return found if hash('a') != {hash_of('a', 0)} else "
    )
    test = f"from words import unique\n\n\ndef test_unique():\n    assert unique({words}) == {words}\n"
    base: Files = {"words.py": sure, "tests/test_words.py": test}
    verdict = await jitter(world, base, {"words.py": unsure + "sorted(found)\n"})
    assert verdict.status is REFUTED, verdict.reasons
    assert "hash seed" in verdict.reasons[0]


@pytest.mark.docker
async def test_what_depends_on_its_surroundings_at_the_base_is_not_blamed(world: World) -> None:
    """On the zone, on the order of tests, on a machine's name: it fails on both sides, is listed, and nothing more."""
    zone = "import time\n\n\ndef test_zone():\n    assert time.localtime(0).tm_hour == 0\n"
    ordered = "held = []\n\n\n" + "".join(
        f"def test_{n}():\n    held.append({n})\n    assert held == list(range({n + 1}))\n\n\n" for n in range(5)
    )
    base: Files = {**BASE, "tests/test_zone.py": zone, "tests/test_order.py": ordered}
    verdict = await jitter(world, base, {"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, ClaimKind.FIX)
    assert verdict.status is PROVEN, verdict.reasons
    told = " ".join(s12(verdict).reasons)
    assert s12(verdict).outcome == "flagged"
    assert "tests/test_zone.py::test_zone" in told
    assert "tests/test_order.py::test_" in told
    assert "fails at the base, too" in told


@pytest.mark.docker
async def test_a_test_of_the_change_that_holds_in_one_place_alone_stays_open(world: World) -> None:
    """The only test that shows the change fails elsewhere each time, and no base can say why: a person is asked."""
    placed = NEW_TEST.replace("assert mean([2, 4]) == 3", "import time\n    assert mean([2, 4]) == 3 + time.timezone")
    verdict = await jitter(world, BASE, {"calc.py": FIXED, "tests/test_calc.py": placed}, ClaimKind.FIX)
    assert verdict.status is INCONCLUSIVE
    assert "test_mean" in verdict.reasons[0]
    assert s12(verdict).outcome == "inconclusive"


@pytest.mark.docker
async def test_what_the_policy_names_stays_and_late_replicates_are_left_out(world: World) -> None:
    """A zone that the profile sets is part of the environment; it is the rest that changes."""
    zone = "import time\n\n\ndef test_zone():\n    assert time.localtime(0).tm_hour == 3\n"
    profile = SandboxProfile(environment={"TZ": "AAA-3"})
    settings = policy(1).model_copy(update={"sandboxes": {"default": profile}})
    base = await world.commit({**BASE, "tests/test_zone.py": zone})
    head = await world.commit({"calc.py": FIXED, "tests/test_calc.py": NEW_TEST}, base)
    verdict = await world.assayer(settings).prove(case(base, head))
    assert verdict.status is PROVEN
    assert s12(verdict).outcome == "passed"
    assert all(e.argv[4].startswith(f"{WORKSPACE}/deeper-") for e in await jittered(world))
