"""Work that is in a sandbox and nowhere else: kept as a commit when its owner was stopped or killed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from assay.agents.objects import GitObjects
from assay.policies.litter import without_litter
from assay.records.entries import Entry, EntryKind
from assay.records.sandboxes import SandboxOwner
from assay.records.trees import EXECUTABLE, REGULAR, Tree
from assay.sandboxes.protocol import HELD_OUT, WORKSPACE, Sandbox
from assay.store.protocol import Ledger

ROOTS: Final = ((WORKSPACE, "wip"), (HELD_OUT, "wip-held-out"))
"""Where work lies in a sandbox, and the folder of refs below the run's that leads to what was saved of it last."""
_AUTHOR: Final = "assay <assay@localhost>"


def ref_of(owner: SandboxOwner, kind: str) -> str:
    """Return the ref that leads to what was saved last of a task's work."""
    return f"refs/assay/runs/{owner.run}/{kind}/{owner.step}"


async def keep_unsaved(
    sandbox: Sandbox,
    owner: SandboxOwner,
    *,
    git: GitObjects,
    ledger: Ledger,
    contents: Mapping[str, bytes] | None = None,
) -> Entry | None:
    """Make a commit of what differs from what was saved last, under a ref of its own, and record it.

    Args:
        sandbox: holds the work.
        owner: whose it is; names the commit from which the work started.
        git: where it is kept.
        ledger: where it is recorded, in the run of the owner. Its last entry dates the commit, so that two processes
            that keep the same work make the same commit.
        contents: what this sandbox object has given before, by blob id, and no tree holds yet.

    Returns:
        The entry that names ref and commit; None where nothing differs. Doing it again returns the same.

    Raises SandboxLost, SandboxRefused for files that no tree can hold, DiskFull.
    """
    assert owner.commit is not None, "only a sandbox that names its commit holds work"
    key = f"rescued:{sandbox.id}"
    if (known := await ledger.find(owner.run, key)) is not None:
        return known
    recorded = await ledger.entries(owner.run)
    at = max(entry.at for entry in recorded if entry.kind is not EntryKind.WORK_RESCUED)
    refs: dict[str, JsonValue] = {}
    for root, kind in ROOTS:
        base = await git.tree(owner.commit) if root == WORKSPACE else {}
        try:
            taken = await sandbox.take_tree(root=root)
        except FileNotFoundError:
            continue  # this task had no second tree
        kept = without_litter(taken.tree, base=base, ignored=await read_ignored(git, base))
        saved = _saved(recorded, owner, kind)
        tree = await git.write_tree(kept, {**(contents or {}), **taken.fresh})
        if tree == (saved or await git.write_tree(base, {})):
            continue
        parents = (owner.commit,) if root == WORKSPACE else ()
        message = f"Unsaved work of the {owner.role} at {owner.step}\n\nIts process was stopped before it was done.\n"
        commit = await git.commit_tree(tree, parents, message, author=_AUTHOR, at=at)
        name = f"refs/assay/rescued/{owner.run}/{owner.step}/{sandbox.id}-{kind}"
        await git.set_ref(name, commit)
        refs[name] = commit
    if not refs:
        return None
    said = ", ".join(f"{commit} ({name})" for name, commit in refs.items())
    reason = f"what the {owner.role} had not saved at {owner.step} is {said}"
    body: dict[str, JsonValue] = {"reason": reason, "refs": refs, "base": owner.commit, "sandbox": sandbox.id}
    place = owner.step.rsplit(".", 2)[0]
    unit = None if place == "run" else place
    return await ledger.append(owner.run, EntryKind.WORK_RESCUED, key, body, unit=unit, role=owner.role)


def _saved(recorded: Sequence[Entry], owner: SandboxOwner, kind: str) -> str | None:
    """Return the tree that a task goes on from. Its ref may lead further: it is set before the step is written down,
    and a kill in between would have the step done again from the tree before.
    """
    field = "tree" if kind == "wip" else "held_out"
    mine = (e for e in reversed(recorded) if e.kind is EntryKind.TREE_SAVED and e.key.startswith(f"tree:{owner.step}:"))
    return next((str(entry.body[field]) for entry in mine if entry.body.get(field) is not None), None)


async def read_ignored(git: GitObjects, base: Tree) -> str:
    """Return the text of a tree's `.gitignore`; empty where there is none."""
    file = base.get(".gitignore")
    if file is None or file.mode not in (REGULAR, EXECUTABLE):
        return ""
    return (await asyncio.to_thread(git.contents.read, file.oid)).decode(errors="replace")
