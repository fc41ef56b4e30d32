"""What tools leave behind is no part of a change; what the base holds always is."""

from __future__ import annotations

from assay.policies.litter import without_litter
from assay.records.trees import REGULAR, TreeFile

FILE = TreeFile(REGULAR, "0" * 40)


def test_caches_and_byte_code_are_left_out() -> None:
    """As `git add` would leave them out with a usual `.gitignore`."""
    litter = [
        "a/__pycache__/x.cpython-311.pyc",
        ".pytest_cache/v/lastfailed",
        "x.pyc",
        ".coverage",
        "node_modules/m/i.js",
    ]
    work = ["a/x.py", "tests/test_x.py", "coverage.py", "docs/pycache.md"]
    assert set(without_litter(dict.fromkeys([*litter, *work], FILE), base={})) == set(work)


def test_what_the_repository_ignores_is_left_out() -> None:
    """The base's own `.gitignore` counts, with its negations."""
    tree = dict.fromkeys(["build/a.o", "build/keep.txt", "src/a.c"], FILE)
    kept = without_litter(tree, base={}, ignored="build/*\n!build/keep.txt\n")
    assert set(kept) == {"build/keep.txt", "src/a.c"}


def test_what_the_base_holds_stays() -> None:
    """A repository that tracks such a file means it."""
    tree = {"vendor/x.pyc": FILE}
    assert without_litter(tree, base=tree) == tree
