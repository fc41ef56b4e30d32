"""What tools leave lying about, and no change is meant to hold: caches, byte code, and what the repository ignores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pathspec import GitIgnoreSpec

from assay.records.trees import Tree, TreeFile

LITTER: Final = (
    "__pycache__/",
    "*.py[co]",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".hypothesis/",
    ".tox/",
    ".coverage",
    ".coverage.*",
    "*.egg-info/",
    "node_modules/",
)
"""gitignore-style. A file that is in the base is never litter, whatever it is called."""


def without_litter(tree: Tree, *, base: Tree, ignored: str = "") -> Mapping[str, TreeFile]:
    """Return a tree without what running tools leaves behind, as `git add` would leave it out.

    Args:
        tree: the files as a role left them.
        base: the files that it was given; these stay.
        ignored: text of the base's `.gitignore`.
    """
    spec = GitIgnoreSpec.from_lines([*LITTER, *ignored.splitlines()])
    return {path: file for path, file in tree.items() if path in base or not spec.match_file(path)}
