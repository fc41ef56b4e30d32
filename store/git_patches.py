"""Unified diffs, applied to a tree by git itself, in an index of its own: no file of any work tree is touched."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from assay.errors import UsageError
from assay.store.git_commands import GitCommands

_APPLY: Final = ("apply", "--cached", "--whitespace=nowarn")
_ABSENT: Final = re.compile(r"^error: (.*): does not exist in index$", re.MULTILINE)
_NAMES: Final = re.compile(rb"^--- ([^\t\r\n]+)[^\n]*\n\+\+\+ ([^\t\r\n]+)", re.MULTILINE)
_PREFIXED: Final = re.compile(rb'"?[abciow12]/|/dev/null$')
"""Git's prefixes of the two sides, the ones that say what was compared among them."""
_MOST_SHOWN: Final = 10


def apply_patch(commands: GitCommands, tree: str, patch: bytes) -> str:
    """Return the tree that a patch makes of another one.

    Args:
        commands: the store that holds the tree.
        tree: its id.
        patch: a unified diff, as `git diff` or `diff -u` writes it; text around it is passed over. Paths may begin
            with `a/` and `b/`, or not.

    Raises UsageError, naming each file that does not fit and where, for a patch that cannot be applied as a whole.
    """
    said = ""
    for strip in _strips(patch):
        with tempfile.TemporaryDirectory(prefix="assay-patch-") as folder:
            index = Path(folder) / "index"
            commands.run("read-tree", tree, index=index)
            done = commands.run(*_APPLY, strip, "-", stdin=patch, index=index, accept=(0, 1, 128))
            if done.code == 0:
                return commands.run("write-tree", index=index).out.decode().strip()
            said = said or done.err
            if not _ABSENT.search(done.err) and "filename information" not in done.err:
                break  # its paths were found, and so its contents do not fit
    raise UsageError(f"the patch does not fit: {_rejects(said)}", next_step="make it against the base of the change")


def _strips(patch: bytes) -> tuple[str, str]:
    """Return how much of each path is no part of it, the likelier first: a new file tells it by its name alone."""
    names = [name for pair in _NAMES.findall(patch) for name in pair]
    return ("-p1", "-p0") if all(map(_PREFIXED.match, names)) else ("-p0", "-p1")


def _rejects(said: str) -> str:
    lines = [line.removeprefix("error: ").strip() for line in said.splitlines() if line.startswith("error: ")]
    plain = [line for line in lines if not line.endswith(": patch does not apply")] or [said.strip()]
    more = f" and {len(plain) - _MOST_SHOWN} more" if len(plain) > _MOST_SHOWN else ""
    return "; ".join(plain[:_MOST_SHOWN]) + more
