"""Lies at level C: whatever the change does, a test of the trusted side that its program breaks does not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.evidence import runner_pytest
from assay.evidence.expectations import Standing
from assay.evidence.tree_policy import examine_tree
from assay.policies.settings import ProjectSettings

from .conftest import TESTS, Files, World

pytestmark = pytest.mark.docker

HONEST = "def add(a, b):\n    return a + b\n"
BROKEN = "def add(a, b):\n    return a - b\n"
BASE: Files = {"calc.py": HONEST, "tests/test_calc.py": TESTS}
TEST = "tests/test_calc.py::test_add"

FORGED_REPORT = """
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.outcome, report.longrepr = "passed", None
"""
DESELECTED = "def pytest_collection_modifyitems(items):\n    items.clear()\n"
NOT_CALLED = "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
XFAILED = """
import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail)
"""
AT_IMPORT = "def add(a, b):\n    return a - b\n\n\n"

TREES: dict[str, Files] = {
    "the test is edited to pass": {"tests/test_calc.py": TESTS.replace("== 3", "== -1")},
    "the test is skipped": {
        "tests/test_calc.py": TESTS.replace("def test", "import pytest\n\n\n@pytest.mark.skip\ndef test")
    },
    "the test is deleted": {"tests/test_calc.py": "def test_nothing():\n    pass\n"},
    "the test is gone with its file": {"tests/test_calc.py": None},
    "a conftest deselects": {"conftest.py": DESELECTED},
    "a conftest in the tests deselects": {"tests/conftest.py": DESELECTED},
    "a conftest forges reports": {"conftest.py": FORGED_REPORT},
    "a conftest expects failure": {"conftest.py": XFAILED},
    "a conftest calls no test": {"conftest.py": NOT_CALLED},
    "pytest.ini deselects": {"pytest.ini": "[pytest]\naddopts = -k nothing\n"},
    "pyproject.toml deselects": {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-k nothing'\n"},
    "setup.cfg deselects": {"setup.cfg": "[tool:pytest]\naddopts = -k nothing\n"},
    "tox.ini collects elsewhere": {"tox.ini": "[pytest]\ntestpaths = elsewhere\n"},
    "a hidden pytest.ini": {".pytest.ini": "[pytest]\npython_functions = never\n"},
    "plug-ins by a variable in a file": {"pytest.ini": "[pytest]\naddopts = -p forger\n", "forger.py": FORGED_REPORT},
}
"""What the change does beside breaking `add`."""

PROGRAMS: dict[str, str] = {
    "exit at import": AT_IMPORT + "import sys\nsys.exit(0)\n",
    "exit at once at import": AT_IMPORT + "import os\nos._exit(0)\n",
    "exit at once in the function": "import os\n\n\ndef add(a, b):\n    os._exit(0)\n",
    "exit in the function": "import sys\n\n\ndef add(a, b):\n    sys.exit(0)\n",
    "exit code at the end": AT_IMPORT + "import atexit, os\natexit.register(lambda: os._exit(0))\n",
    "skips from inside": "import pytest\n\n\ndef add(a, b):\n    pytest.skip('not today')\n",
    "xfails from inside": "import pytest\n\n\ndef add(a, b):\n    pytest.xfail('not today')\n",
    "kills its runner": "import os\n\n\ndef add(a, b):\n    os.kill(os.getpid(), 9)\n",
    "forks and lets the child report": "import os\n\n\ndef add(a, b):\n    return a + b if os.fork() == 0 else a - b\n",
    "writes a report of its own": AT_IMPORT
    + "import os, json\n"
    + f"line = json.dumps(dict(kind='phase', id='{TEST}', when='call', outcome='passed'))\n"
    + "os.write(3, b'5 ' + b'0' * 40 + b' ' + line.encode() + b'\\n')\n",
    "closes the report": AT_IMPORT + "import os\nos.close(3)\n",
    "patches how tests are run": AT_IMPORT
    + "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\n",
    "patches how reports are made": AT_IMPORT
    + "import _pytest.runner as runner\n"
    + "real = runner.TestReport.from_item_and_call.__func__\n\n\n"
    + "def forged(cls, item, call):\n    call.excinfo = None\n    return real(cls, item, call)\n\n\n"
    + "runner.TestReport.from_item_and_call = classmethod(forged)\n",
    "swallows what is raised": AT_IMPORT
    + "import _pytest.runner as runner\n"
    + "real = runner.CallInfo.from_call.__func__\n\n\n"
    + "def forged(cls, func, when, reraise=None):\n"
    + "    made = real(cls, func, when, reraise)\n    made.excinfo = None\n    return made\n\n\n"
    + "runner.CallInfo.from_call = classmethod(forged)\n",
}
"""What the program itself does."""


@pytest.mark.parametrize("what", TREES)
async def test_a_bent_tree_does_not_make_a_broken_test_pass(world: World, what: str) -> None:
    """The change's own tests and harness do not enter the cell in which the base's tests judge it."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": BROKEN, **TREES[what]}, base)
    reading = await world.run_cell(base, head, source="head", tests="base")
    assert reading.stand(TEST) is Standing.FAILED
    assert reading.got(TEST).startswith("AssertionError: assert -1 == 3")


@pytest.mark.parametrize("what", PROGRAMS)
async def test_a_program_that_acts_on_its_runner_does_not_make_a_broken_test_pass(world: World, what: str) -> None:
    """Nothing but a whole, authentic and controlled report counts."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": PROGRAMS[what]}, base)
    reading = await world.run_cell(base, head, source="head", tests="base")
    assert reading.stand(TEST) is not Standing.PASSED, reading.evidence.output


async def test_the_honest_program_passes_the_same_way(world: World) -> None:
    """The control of everything above."""
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": HONEST + "\n# mended\n", **TREES["a conftest deselects"]}, base)
    reading = await world.run_cell(base, head, source="head", tests="base")
    assert reading.stand(TEST) is Standing.PASSED, reading.evidence.trouble


FORGERS = ("patches how tests are run", "patches how reports are made", "swallows what is raised")


@pytest.mark.parametrize("what", FORGERS)
async def test_without_the_test_that_must_fail_forgers_pass(
    world: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the control: it is what catches programs that make every test pass."""
    monkeypatch.setattr(runner_pytest, "_uncontrolled", lambda outcomes, control: "")
    base = await world.commit(BASE)
    head = await world.commit({"calc.py": PROGRAMS[what]}, base)
    reading = await world.run_cell(base, head, source="head", tests="base")
    assert reading.stand(TEST) is Standing.PASSED, reading.evidence.trouble


async def test_what_level_c_does_not_see_is_written_down(world: World) -> None:
    """A value that equals everything still passes in the judge's own process; the day it does not, the page changes."""
    base = await world.commit(BASE)
    liar = "class Same:\n    def __eq__(self, other):\n        return True\n\n\ndef add(a, b):\n    return Same()\n"
    head = await world.commit({"calc.py": liar}, base)
    reading = await world.run_cell(base, head, source="head", tests="base")
    assert reading.stand(TEST) is Standing.PASSED
    page = (Path(__file__).parents[2] / "docs" / "proof.md").read_text()
    assert "An object that equals everything" in page


SHADOWS: dict[str, Files] = {
    "pytest": {"pytest.py": "raise SystemExit(0)\n"},
    "the judge's inside": {"_pytest/__init__.py": ""},
    "the standard library": {"src/json/__init__.py": ""},
    "every start": {"sitecustomize.py": ""},
    "a plug-in's metadata": {"forger.dist-info/entry_points.txt": "[pytest11]\nforger = forger\n"},
    "compiled code": {"calc.cpython-311.pyc": b"\x00"},
    "an extension": {"fast.so": b"\x7fELF"},
    "a program under another name": {"data.bin": b"\x7fELF\x02"},
    "a link out of the tree": {"data": "->/etc/passwd"},
    "a link out of the tree, step by step": {"tests/data": "->../../etc/passwd"},
    "git's own folder": {"sub/.Git/config": "[core]\n"},
    "one name twice": {"CALC.py": ""},
    "an unseen character": {"calc\u200b.py": ""},
    "paths for imports": {"more.pth": "/tmp\n"},
}


@pytest.mark.parametrize("what", SHADOWS)
async def test_the_tree_policy_names_what_a_tree_must_not_hold(world: World, what: str) -> None:
    """S2 fires on each; on a tree that held it before the change, it does not."""
    base = await world.commit(BASE)
    head = await world.commit(SHADOWS[what], base)
    before, after, contents = await world.git.tree(base), await world.git.tree(head), world.git.contents
    step = examine_tree(before, after, contents, ProjectSettings())
    assert step.outcome == "failed"
    assert len(step.reasons) >= 1
    assert examine_tree(after, after, contents, ProjectSettings()).outcome == "passed"
    assert examine_tree(before, before, contents, ProjectSettings()).outcome == "passed"
