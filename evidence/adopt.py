"""S1: the change is the comparison of two trees in our own store, and its head descends from the agreed base.

Defeats the wrong commit: what is judged is the tree of exactly the head that is claimed, read from objects that were
copied into a store which no agent can reach, with no replace refs, alternates or configuration of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.records.claims import Claim
from assay.records.trees import Tree
from assay.records.verdicts import Step
from assay.store.git import GitStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """The two trees of a change."""

    base: Tree
    head: Tree
    base_tree: str
    """Git tree of the base."""
    head_tree: str
    """Git tree of the head."""
    step: Step


async def adopt(git: GitStore, claim: Claim) -> Adopted:
    """Return the trees of a claim's two commits with S1; raises StoreCorrupt where a commit is not in the store.

    Commits that people or runs name are brought into the store before a claim is made about them.
    """
    base_tree, head_tree = await git.tree_id(claim.base), await git.tree_id(claim.head)
    base, head = await git.tree(base_tree), await git.tree(head_tree)
    reasons: list[str] = []
    if claim.base == claim.head:
        reasons.append("head and base are the same commit")
    elif not await git.is_ancestor(claim.base, claim.head):
        met = await git.merge_base(claim.base, claim.head)
        where = f"they part at {met[:12]}" if met else "they share no history that is held"
        reasons.append(f"the head {claim.head[:12]} does not descend from the base {claim.base[:12]}; {where}")
    changed = sum(1 for p in base.keys() | head.keys() if base.get(p) != head.get(p))
    outcome = "failed" if reasons else "passed"
    return Adopted(
        base=base,
        head=head,
        base_tree=base_tree,
        head_tree=head_tree,
        step=Step(id="S1", title="Adoption", outcome=outcome, reasons=(*reasons, f"{changed} files differ")),
    )
