"""What goes into a sandbox for a run of pytest, and what of its report counts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evidence.runner_pytest import (
    LAUNCHER,
    PLACE,
    Report,
    Run,
    environment,
    find_configuration,
    prepare,
    read_report,
)
from assay.policies.settings import ProjectSettings
from assay.records.sandboxes import CommandResult, Exited, Output, Signalled
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.sandboxes.protocol import WORKSPACE

from .conftest import plain

KEY = b"k" * 32
CONTROL = "test_control"
RUN = Run(argv=(), cwd="", stdin=b"", files={}, key=KEY, control=CONTROL)


class Held(dict[str, bytes]):
    """Contents in memory."""

    def read(self, oid: str) -> bytes:
        return self[oid]


def keep(files: Mapping[str, str]) -> tuple[dict[str, TreeFile], Held]:
    """Return files as a tree with its contents."""
    data = {p: plain(t).encode() for p, t in files.items()}
    tree = {p: TreeFile(REGULAR, blob_id(d)) for p, d in data.items()}
    return tree, Held({blob_id(d): d for d in data.values()})


def line(number: int, key: bytes = KEY, **fields: Any) -> bytes:
    """Return one authentic line of a report."""
    body = json.dumps(fields).encode()
    mac = hashlib.blake2b(b"%d %s" % (number, body), key=key, digest_size=20).hexdigest().encode()
    return b"%d %s %s\n" % (number, mac, body)


def phase(test: str, when: str, outcome: str = "passed", **more: Any) -> dict[str, Any]:
    """Return the fields of a phase's line."""
    fields: dict[str, Any] = {
        "kind": "phase",
        "id": test,
        "when": when,
        "outcome": outcome,
        "xfail": False,
        "sub": False,
        "seconds": 0.1,
        "seen": outcome,
        "failure": "assertion" if outcome == "failed" else "none",
        "message": "",
        "raised_in": "",
    }
    return fields | more


def session(*tests: list[dict[str, Any]], status: int = 1, control: str = "failed") -> list[dict[str, Any]]:
    """Return the lines of a whole session in which the judge's own test did what it says."""
    name = f"a.py::{CONTROL}"
    own = [phase(name, "setup"), phase(name, "call", control), phase(name, "teardown")]
    phases = [p for t in (*tests, own) for p in t]
    ids = list(dict.fromkeys(p["id"] for p in phases))
    return [{"kind": "start"}, {"kind": "collected", "ids": ids}, *phases, {"kind": "end", "status": status}]


GREEN = [phase("a.py::test_a", w) for w in ("setup", "call", "teardown")]


def read(lines: list[bytes], code: int = 1) -> Report:
    """Read a report of these lines from a process that ended with a code."""
    data = b"".join(lines)
    result = CommandResult(ending=Exited(code=code), report=Output(head=data, length=len(data)))
    return read_report(result, RUN)


def write(fields: list[dict[str, Any]]) -> list[bytes]:
    """Return authentic lines."""
    return [line(n, **f) for n, f in enumerate(fields)]


def test_a_whole_report_counts() -> None:
    """Without this, the rest would show nothing."""
    report = read(write(session(GREEN)))
    assert report.trouble == ""
    assert [(o.id, o.passed) for o in report.outcomes] == [("a.py::test_a", True)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_report_that_was_touched_does_not_count(data: st.DataObject) -> None:
    """A line that is added, left out, repeated, moved, altered or signed with another key makes all of it void."""
    lines = write(session(GREEN))
    place = data.draw(st.integers(0, len(lines) - 1))
    way = data.draw(st.sampled_from(["drop", "repeat", "swap", "alter", "forge", "cut", "insert"]))
    match way:
        case "drop":
            del lines[place]
        case "repeat":
            lines.insert(place, lines[place])
        case "swap":
            other = data.draw(st.integers(0, len(lines) - 1).filter(lambda n: n != place))
            lines[place], lines[other] = lines[other], lines[place]
        case "alter":
            at = data.draw(st.integers(0, len(lines[place]) - 1))
            lines[place] = lines[place][:at] + bytes([lines[place][at] ^ 1]) + lines[place][at + 1 :]
        case "forge":
            lines[place] = line(place, b"x" * 32, **session(GREEN)[place])
        case "cut":
            lines = [*lines[:place], lines[place][: data.draw(st.integers(0, len(lines[place]) - 1))]]
        case "insert":
            lines.insert(place, data.draw(st.binary(max_size=40)) + b"\n")
    assert read(lines).trouble


@pytest.mark.parametrize(
    ("fields", "code", "word"),
    [
        (session(GREEN)[:-1], 1, "no end"),
        (session(GREEN), 0, "its process"),
        (session(GREEN, status=0), 0, "does not fit"),
        (session(GREEN, status=2), 2, "does not fit"),
        (session(GREEN, control="passed", status=0), 0, "must fail passed"),
        (session(GREEN)[:2] + GREEN + session(GREEN)[-1:], 1, "does not fit"),
        ([{"kind": "start"}, {"kind": "collected", "ids": []}, {"kind": "end", "status": 4}], 4, "refused"),
        ([], 0, "nothing"),
    ],
)
def test_a_report_that_does_not_fit_does_not_count(fields: list[dict[str, Any]], code: int, word: str) -> None:
    """Authentic lines have to make up a session that ended as its process did."""
    assert word in read(write(fields), code).trouble


def test_a_killed_process_has_no_say() -> None:
    """Whatever it reported before."""
    data = b"".join(write(session(GREEN)))
    result = CommandResult(ending=Signalled(signal=9), report=Output(head=data, length=len(data)))
    assert read_report(result, RUN).trouble


@pytest.mark.parametrize(
    "phases",
    [
        GREEN[:2],
        GREEN[1:],
        [*GREEN, GREEN[1]],
        [GREEN[0], phase("a.py::test_a", "call", seen="failed"), GREEN[2]],
        [GREEN[0], phase("a.py::test_a", "call", seen="unseen"), GREEN[2]],
        [GREEN[0], phase("a.py::test_a", "call", "skipped"), GREEN[2]],
        [GREEN[0], phase("a.py::test_a", "call", "skipped", xfail=True, seen="failed"), GREEN[2]],
        [GREEN[0], phase("a.py::test_a", "call", xfail=True), GREEN[2]],
        [*GREEN, phase("a.py::test_a", "call", "failed", sub=True)],
        [GREEN[0], phase("a.py::test_a", "call", "rerun"), GREEN[1], GREEN[2]],
    ],
)
def test_an_id_passes_only_by_three_phases_that_were_seen_to_pass(phases: list[dict[str, Any]]) -> None:
    """Missing, repeated, rerun, skipped, expected to fail, or reported otherwise than seen: not passed."""
    (outcome,) = [o for o in read(write(session(phases))).outcomes if o.id == "a.py::test_a"]
    assert not outcome.passed


def test_passed_subtests_do_not_stand_in_the_way() -> None:
    """They are reported under the id of their test."""
    fields = session([*GREEN, phase("a.py::test_a", "call", sub=True, seen="unseen")])
    assert read(write(fields)).outcomes[0].passed


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pyproject.toml": "[tool.pytest.ini_options]\naddopts = ''"}, "pyproject.toml"),
        ({"pyproject.toml": "[tool.pytest]\naddopts = []"}, "pyproject.toml"),
        ({"pyproject.toml": "[project]", "tox.ini": "[pytest]\n"}, "tox.ini"),
        ({"setup.cfg": "[tool:pytest]\n", "tox.ini": "[tox]\n"}, "setup.cfg"),
        ({"pytest.ini": "", "pyproject.toml": "[tool.pytest.ini_options]"}, "pytest.ini"),
        ({".pytest.ini": "", "pyproject.toml": "not toml"}, ".pytest.ini"),
        ({"pyproject.toml": "not toml ["}, None),
        ({}, None),
    ],
)
def test_the_configuration_is_the_one_that_pytest_would_find(files: dict[str, str], found: str | None) -> None:
    """It is looked up here, in the composed tree, and named on the command line."""
    tree, contents = keep(files)
    expected = f"{WORKSPACE}/{found}" if found else None
    assert find_configuration(ProjectSettings(), tree, contents) == expected


def run_here(root: Path, files: Mapping[str, str], **options: Any) -> Report:
    """Run the launcher on this machine, with the pytest that runs this test, on a tree in `root`."""
    tree, contents = keep(files)
    for path in tree:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(contents.read(tree[path].oid))
    run = prepare(ProjectSettings(), tree, contents, **options)
    place = root.parent / "judge"
    place.mkdir()
    for path, data in run.files.items():
        (place / Path(path).name).write_bytes(data)
    moved = [a.replace(PLACE, str(place)).replace(WORKSPACE, str(root)) for a in run.argv]
    taken, given = os.pipe()
    onto = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
    command = [sys.executable, "-c", onto, str(given), sys.executable, *moved[1:]]
    variables = {"PATH": os.environ["PATH"], **environment(ProjectSettings())}
    with os.fdopen(taken, "rb") as report:
        ended = subprocess.run(
            command, input=run.stdin, capture_output=True, cwd=root, env=variables, pass_fds=[given], check=False
        )
        os.close(given)
        data = report.read()
    assert any(a.endswith(Path(LAUNCHER).name) for a in moved)
    result = CommandResult(ending=Exited(code=ended.returncode), report=Output(head=data, length=len(data)))
    return read_report(result, run)


MIXED = """
    import unittest

    import pytest
    from pkg import add


    def test_passes():
        assert add(1, 2) == 3


    def test_fails():
        assert add(1, 2) == 4


    def test_errs():
        add(None, 1)


    def test_lacks():
        import pkg

        pkg.nothing()


    def test_does_not_raise():
        with pytest.raises(ValueError):
            add(1, 2)


    @pytest.mark.skip
    def test_skipped():
        pass


    @pytest.mark.xfail
    def test_xfails():
        assert 0


    @pytest.mark.parametrize("value", [1, "a b"])
    def test_values(value):
        assert value


    @pytest.fixture
    def falls():
        yield
        raise RuntimeError("late")


    def test_tears_down(falls):
        pass


    class TestOld(unittest.TestCase):
        def test_old(self):
            self.assertEqual(add(1, 1), 2)
"""
EXPECTED = {
    "test_passes": (True, "none", ""),
    "test_fails": (False, "assertion", "tests/test_mixed.py"),
    "test_errs": (False, "error", "src/pkg.py"),
    "test_lacks": (False, "import", "tests/test_mixed.py"),
    "test_does_not_raise": (False, "assertion", "tests/test_mixed.py"),
    "test_skipped": (False, "none", ""),
    "test_xfails": (False, "assertion", "tests/test_mixed.py"),
    "test_values[1]": (True, "none", ""),
    "test_values[a b]": (True, "none", ""),
    "test_tears_down": (False, "error", "tests/test_mixed.py"),
    "TestOld::test_old": (True, "none", ""),
}
FILES = {
    "src/pkg.py": "def add(a, b):\n    return a + b\n",
    "tests/test_mixed.py": MIXED,
    "tests/test_broken.py": "from pkg import nothing\n",
}


def test_todays_pytest_reports_what_happened(tmp_path: Path) -> None:
    """The launcher with the newest pytest; the sandbox image has an old one, and the other tests run that."""
    report = run_here(tmp_path / "tree", FILES)
    assert report.trouble == ""
    found = {o.id.removeprefix("tests/test_mixed.py::"): (o.passed, o.failure, o.raised_in) for o in report.outcomes}
    broken = found.pop("tests/test_broken.py")
    assert broken == (False, "import", "tests/test_broken.py")
    assert found == EXPECTED


def test_only_what_is_selected_runs(tmp_path: Path) -> None:
    """Ids are chosen after collection, so that one that is not there does not stop the others."""
    wanted = ("tests/test_mixed.py::test_passes", "tests/test_mixed.py::test_gone")
    report = run_here(tmp_path / "tree", FILES, modules=("tests/test_mixed.py",), select=wanted)
    assert (report.trouble, [o.id for o in report.outcomes]) == ("", [wanted[0]])


OTHER_SHAPES: dict[str, dict[str, str]] = {
    "packages": {"tests/__init__.py": "", "tests/deep/__init__.py": "", "tests/deep/test_a.py": "def test_a(): pass\n"},
    "doctests": {
        "pytest.ini": "[pytest]\naddopts = --doctest-modules\n",
        "code.txt": "",
        "words.py": 'def one():\n    """\n    >>> one()\n    1\n    """\n    return 1\n',
    },
    "names of its own": {
        "pytest.ini": "[pytest]\npython_files = check_*.py\npython_functions = check_*\npython_classes = Never\n",
        "check_a.py": "def check_a(): pass\n",
    },
    "imports by importlib": {
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib --strict-config --strict-markers -x --ff\n",
        "test_a.py": "def test_a(): pass\n",
    },
    "a fixture for all that skips": {
        "conftest.py": "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef never():\n    pytest.skip('no')\n",
        "test_a.py": "def test_a(): pass\n",
    },
}


@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_suites_of_other_shapes_can_be_read(tmp_path: Path, shape: str) -> None:
    """The judge's own test fits in everywhere, and no suite is turned away for its form."""
    report = run_here(tmp_path / "tree", OTHER_SHAPES[shape])
    assert report.trouble == ""
    assert len([o for o in report.outcomes if o.reports == 1]) == 1
