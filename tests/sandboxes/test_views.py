"""What the host knows of a tree, kept up to date by what changed."""

from __future__ import annotations

import random
from collections import Counter

from assay.records.trees import REGULAR, TreeFile
from assay.sandboxes.trees import TreeView


def line(path: str, number: int) -> bytes:
    """Return a line of a listing."""
    return f"f 644 {number} {number} {number} {number} {path}".encode()


def test_a_view_that_changes_is_as_one_that_was_made_anew() -> None:
    """However files come, change and go, the tree is the files in order, and the counted contents are theirs."""
    chance, view, files = random.Random(7), TreeView(), dict[str, TreeFile]()
    lost: set[str] = set()
    for number in range(400):
        for _ in range(chance.randrange(4)):
            path = f"d{chance.randrange(5)}/f{chance.randrange(40)}"
            before = files.pop(path, None)
            if chance.random() < 0.4:
                view.forget(path)
            else:
                files[path] = TreeFile(REGULAR, f"{chance.randrange(30):040}")
                view.learn(line(path, number), files[path], None)
            if before is not None and before.oid not in {file.oid for file in files.values()}:
                lost.add(before.oid)
        tree = view.tree()
        assert list(tree.items()) == sorted(files.items())
        assert view.oids == Counter(file.oid for file in files.values())
        assert lost <= view.gone
        assert isinstance(tree, dict)
        tree.clear()  # the caller's own
