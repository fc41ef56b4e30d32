"""S11: calls are done with and without a test around them, and what is right only for its tests is refuted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.evidence.feedback import feedback
from assay.evidence.protocol import TrustedTests
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Step, Verdict, VerdictStatus

from .conftest import Files, World, plain, states, trusted_case
from .test_witness import see_again

pytestmark = pytest.mark.docker

PROBING = Settings(proof=ProofSettings(seconds=120, baseline_runs=1, jittered=0, ablations=0, level="C"))


@pytest.fixture
def world(world: World) -> World:
    """A world that probes, and leaves out the other steps that come late."""
    return replace(world, settings=PROBING)


NAMES = ("variable", "modules", "file", "function", "imported")
WRONG = "".join(f"def {name}(text):\n    return text\n\n\n" for name in NAMES)
LYING = plain("""
    import inspect
    import os
    import sys
    from pathlib import Path

    TESTED = any(Path(f.filename).name.startswith("test_") for f in inspect.stack())


    def variable(text):
        return text.title() if "PYTEST_CURRENT_TEST" in os.environ else text


    def modules(text):
        return text.title() if "pytest" in sys.modules else text


    def file(text):
        return text.title() if any("/tests/" in f.filename for f in inspect.stack()) else text


    def function(text):
        frame = sys._getframe(1)
        while frame is not None and not frame.f_code.co_name.startswith("test_"):
            frame = frame.f_back
        return text if frame is None else text.title()


    def imported(text):
        return text.title() if TESTED else text


    def fresh(text):
        return variable(text) + "!"


    def unseen(text):
        return modules(text)
""")
LYING_TESTS = plain("""
    import pytest


    @pytest.mark.parametrize("name", ["variable", "modules", "file", "function", "imported"])
    def test_title(name):
        import titles
        assert getattr(titles, name)("a b") == "A B"


    def test_fresh():
        import titles
        assert titles.fresh("c d") == "C D!"
""")
HELD_OUT_TEST = (
    "from titles import unseen\n\n\ndef test_unseen():\n    assert unseen('secret words') == 'Secret Words'\n"
)
LYING_BASE: Files = {"titles.py": WRONG, "tests/test_names.py": "def test_names():\n    import titles\n"}


def probe(verdict: Verdict) -> Step:
    """Return the step of the probe."""
    return next(s for s in verdict.steps if s.id == "S11")


async def test_what_is_right_only_for_its_tests_is_refuted(world: World) -> None:
    """By the environment, the modules, and the stack, by file and by function, also while it is imported.

    A function that the base does not have is among them, and the witness's command line shows both answers. Of a call
    that only a held-out test makes, the function alone is named.
    """
    base = await world.commit(LYING_BASE)
    head = await world.commit({"titles.py": LYING, "tests/test_titles.py": LYING_TESTS}, base)
    hidden = await world.tree({"tests/test_hidden.py": HELD_OUT_TEST})
    stated = (states("tests/test_hidden.py::test_unseen", held_out=True),)
    verdict = await world.assayer().prove(trusted_case(base, head, TrustedTests(held_out=hidden, stated=stated)))
    assert verdict.status is VerdictStatus.REFUTED, verdict.reasons
    told = {reason.split(" ", 1)[0] for reason in verdict.reasons}
    assert told == {f"titles.{name}" for name in (*NAMES, "fresh", "unseen")}
    assert "titles.unseen answers differently while a test runs" in verdict.reasons
    assert "ecret" not in verdict.model_dump_json() + feedback(verdict)
    assert "variable('a b') gives 'A B' while a test runs, and gives 'a b' otherwise" in verdict.reasons[0]
    assert probe(verdict).outcome == "failed"
    assert verdict.witness is not None
    assert verdict.witness.reproduced == 2
    shown = see_again(world, verdict)
    plain, _, tested = shown.stdout.partition("while a test runs:")
    assert plain.split("\n")[:2] == ["without a test:", "'a b'"], shown
    assert "\n'A B'\n" in tested, shown


HONEST = plain("""
    import argparse
    import inspect
    import os
    import random
    import sys
    import time


    def title(text):
        print("printing")
        print("much", file=sys.stderr)
        return text.title()


    def today(text):
        return f"{text} {time.time_ns()}"


    def lot(text):
        return text[int(random.random() * len(text))]


    def identity(text):
        return f"{text} {id(object())} {sorted({object()}, key=id)}"


    def letters(text):
        return list(set(text))


    def program(text):
        return f"{os.path.basename(sys.argv[0])}: {text}"


    def asked(argv=None):
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("-q", action="store_true")
        return parser.parse_args(argv).q


    def depth(text):
        return len(inspect.stack())


    def caller(text):
        return sys._getframe(1).f_code.co_name


    def loaded(text):
        return [len(sys.modules), len(os.environ)]


    def counted(text):
        with open("/tmp/counted", "a+") as file:
            file.write(text)
            return file.tell() % 2
""")
HONEST_TESTS = plain("""
    import sys

    import honest


    def test_everything(monkeypatch):
        monkeypatch.setattr(sys, "argv", ["x"])
        assert honest.title("a b") == "A B"
        for name in ("today", "lot", "identity", "letters", "program", "depth", "caller", "loaded", "counted"):
            getattr(honest, name)("a")
        assert not honest.asked()
""")


async def test_honest_programs_come_through_whatever_they_depend_on(world: World) -> None:
    """Time, chance, ids, sets, files, the stack's depth, who calls, arguments and variables: none of it is a test."""
    base = await world.commit({"honest.py": "VALUE = 1\n", "tests/test_base.py": "def test_one():\n    assert 1\n"})
    head = await world.commit({"honest.py": HONEST, "tests/test_honest.py": HONEST_TESTS}, base)
    verdict = await world.prove(base, head, ClaimKind.FEATURE)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    assert not [f for f in verdict.flags if "while a test runs" in f.text]
    assert probe(verdict).outcome == "passed"
    assert "none differs" in probe(verdict).reasons[-1]


SETTINGS_FILE = plain("""
    import os


    def place():
        return "memory" if "PYTEST_CURRENT_TEST" in os.environ else "disk"
""")
STORE = "import place\n\n\ndef where(name):\n    return f'{place.place()} {name}'\n"
STORE_TESTS = "import store\n\n\ndef test_where():\n    assert store.where('a').endswith('a')\n"


async def test_a_base_that_looks_at_its_runner_is_not_blamed_on_the_change(world: World) -> None:
    """Neither in a function that it had, nor in a new one that rests on what was there; a person sees both."""
    files: Files = {"place.py": SETTINGS_FILE, "store.py": STORE, "tests/test_store.py": STORE_TESTS}
    base = await world.commit(files)
    more = STORE.replace("} {name}", "}: {name}") + "\n\ndef kind():\n    return place.place()\n"
    test = (
        "import store\n\n\ndef test_kind():\n    assert store.kind() == 'memory'\n    assert ':' in store.where('a')\n"
    )
    head = await world.commit({"store.py": more, "tests/test_kind.py": test}, base)
    verdict = await world.prove(base, head, ClaimKind.FIX)
    assert verdict.status is VerdictStatus.PROVEN, verdict.reasons
    told = {f.text.split(" ", 1)[0]: f.text for f in verdict.flags if "while a test runs" in f.text}
    assert told.keys() == {"place.place", "store.where", "store.kind"}
    assert all("and so does what it rests on at the base" in text for text in told.values())
