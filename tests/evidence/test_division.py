"""S5: which files are tests and which are program, where their names leave it open."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from assay.evidence.overlay import Division
from assay.policies.settings import Settings
from assay.records.trees import REGULAR, Tree, TreeFile, blob_id


class Contents(dict[str, bytes]):
    """Bytes of files, by blob id."""

    def read(self, oid: str) -> bytes:
        """Return the bytes of a blob."""
        return self[oid]

    def tree(self, files: Mapping[str, str]) -> Tree:
        """Return a tree that holds these texts."""
        self.update((blob_id(text.encode()), text.encode()) for text in files.values())
        return {path: TreeFile(REGULAR, blob_id(text.encode())) for path, text in files.items()}


BASE = {
    "stats/__init__.py": "",
    "stats/ab_test.py": "def better(a, b):\n    return b > a\n",
    "stats/trial_test.py": "def test_trial():\n    pass\n",
    "stats/report.py": (
        '"""Reads notes.md."""\nfrom pathlib import Path\nfrom stats.ab_test import better\n'
        "from .trial_test import test_trial\nimport helpers\nTEXT = Path(__file__).with_name('report.md')\n"
        "print('see README.md')\n"
    ),
    "stats/report.md": "{name}\n",
    "notes.md": "notes\n",
    "README.md": "read\n",
    "setup.py": "print(open('README.md').read())\n",
    "helpers.py": "X = 1\n",
    "tests/helpers.py": "X = 1\n",
    "cal/table.dat": "1\n",
    "seen/table.dat": "2\n",
    "tests/test_report.py": (
        "import calendar\nfrom stats.ab_test import better\n\n\n"
        "def test_it():\n    assert better(1, 2), open('seen/all')\n"
    ),
}


@pytest.mark.parametrize(
    ("path", "is_program"),
    [
        ("stats/ab_test.py", True),
        ("stats/trial_test.py", False),
        ("stats/report.md", True),
        ("notes.md", False),
        ("README.md", False),
        ("helpers.py", True),
        ("cal/table.dat", True),  # `calendar` does not name it
        ("seen/table.dat", False),
        ("tests/helpers.py", False),
        ("tests/test_report.py", False),
    ],
)
def test_who_uses_a_file_says_what_it_is(path: str, is_program: bool) -> None:
    """A module with a test's name that the program imports, and text that it reads, are program.

    Not so what holds tests, what a sentence or a docstring mentions, what only `setup.py` reads, and what merely ends
    like the name of another module.
    """
    contents = Contents()
    head = {**BASE, path: BASE[path] + "\nX = 2\n"}
    division = Division(Settings(), contents, contents.tree(BASE), contents.tree(head))
    assert division.changed_program() == ((path,) if is_program else ())


def test_the_head_does_not_say_what_a_file_of_the_base_is() -> None:
    """Else it would take tests to the program's side, and bend them there."""
    contents = Contents()
    head = {**BASE, "tests/helpers.py": "X = 2\n", "stats/report.py": "from tests.helpers import X\nY = 'notes.md'\n"}
    division = Division(Settings(), contents, contents.tree(BASE), contents.tree({**head, "notes.md": "other\n"}))
    assert division.changed_program() == ("stats/report.py",)
    assert division.changed_tests() == ("tests/helpers.py",)
