"""What there is to see at the end of a run, and whether one that was killed and resumed ended as one that was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from git import Repo

from assay.app.service import Assay
from assay.app.wiring import House
from assay.policies.budgets import spent
from assay.records.base import Record
from assay.records.entries import Entry, EntryKind
from assay.records.runs import RunStatus

_LIFE = (EntryKind.RUN_RESUMED, EntryKind.RUN_PARKED, EntryKind.RUN_FAILED, EntryKind.WORK_RESCUED)
"""What depends on how often a run was interrupted and where, and on nothing else."""


class Facts(Record):
    """What there is to see when a process has come to the end of a run."""

    run: str
    status: RunStatus
    reason: str
    found: tuple[str, ...]
    """Digests of the ledger's entries, in order, when this process came to the run."""
    digests: tuple[str, ...]
    """The same at the end."""
    keys: dict[str, int]
    """What was recorded, by names that depend on no time and no run, and how often."""
    branches: dict[str, str]
    """Of the target repository, with their commits."""
    delivered: str | None
    """Commit that the ledger says was delivered."""
    tree: str | None
    """Tree of the delivered branch, in the target repository."""
    commits: dict[str, str]
    """What the roles' work became, by key."""
    verdicts: dict[str, str]
    """Digests of the entries that hold verdicts, by key. A unit's commit names its own."""
    model_calls: int
    tokens: int
    commands: int
    untouched: bool
    """Whether the target's work tree, index and HEAD are as they were."""
    sandboxes: int
    """Open at the end."""
    points: int
    """Appends or calls that this process made."""


async def look(house: House, run: str, path: Path, found: Sequence[Entry], points: int) -> Facts:
    """Return the facts of a run.

    Args:
        house: where it is recorded.
        run: its id.
        path: the target repository.
        found: what the ledger held when this process came to it.
        points: appends or calls that this process made.
    """
    await house.ledger.verify(run)
    entries = await house.ledger.entries(run)
    assay = Assay(house)
    summary = await assay.summary(run)
    delivered = await house.ledger.find(run, "delivered")
    used = spent(entries, {})
    with Repo(path) as repo:
        branches = {head.name: head.commit.hexsha for head in repo.heads}
        trees = [head.commit.tree.hexsha for head in repo.heads if head.name != "main"]
        untouched = not repo.is_dirty(untracked_files=True) and repo.active_branch.name == "main"
    return Facts(
        run=run,
        status=summary.status,
        reason=summary.reason,
        found=tuple(entry.digest for entry in found),
        digests=tuple(entry.digest for entry in entries),
        keys=dict(Counter(_name(entry) for entry in entries if entry.kind not in _LIFE)),
        branches=branches,
        delivered=str(delivered.body["commit"]) if delivered else None,
        tree=trees[0] if len(trees) == 1 else None,
        commits={e.key: str(e.body["commit"]) for e in entries if e.kind is EntryKind.COMMIT_MADE},
        verdicts={e.key: e.digest for e in entries if e.kind is EntryKind.VERDICT_GIVEN},
        model_calls=used.model_calls,
        tokens=used.tokens,
        commands=used.commands,
        untouched=untouched,
        sandboxes=len(getattr(house.sandboxes, "open_sandboxes", ())),
        points=points,
    )


def _name(entry: Entry) -> str:
    """Return what an entry is about, without digests of what holds a time or a run."""
    match entry.kind:
        case EntryKind.QUESTION_ASKED:
            question = entry.body["question"]
            assert isinstance(question, dict)
            return f"question {question['kind']} {entry.unit} {str(question['id']).partition(':')[0]}"
        case EntryKind.DECISION_MADE:
            decision = entry.body["decision"]
            assert isinstance(decision, dict)
            return f"decision {entry.unit} {str(decision['question']).partition(':')[0]} {decision['type']}"
        case EntryKind.UNIT_CHANGED:
            return f"unit {entry.unit} {entry.body['status']}"
        case EntryKind.GATE_JUDGED:
            return f"gate {entry.unit} {entry.body['gate']}"
        case _:
            return entry.key


def differences(whole: Facts, resumed: Facts) -> tuple[str, ...]:
    """Return what is wrong with a run that was killed and resumed; nothing where all is well.

    Args:
        whole: a run of the same ticket that nobody killed.
        resumed: the run that was killed. Where it is a copy of the first from before its end, ids have to be the same.
    """
    return tuple(_differences(whole, resumed))


def _differences(whole: Facts, resumed: Facts) -> Iterator[str]:
    yield from _different_ends(whole, resumed)
    yield from _different_ledgers(whole, resumed)
    yield from _different_targets(resumed)
    if resumed.run == whole.run:
        yield from _different_ids(whole, resumed)


def _different_ends(whole: Facts, resumed: Facts) -> Iterator[str]:
    if resumed.status is not RunStatus.DELIVERED:
        yield f"it is {resumed.status.value}: {resumed.reason}"
    for name in ("tree", "model_calls", "tokens", "commands"):
        was, now = getattr(whole, name), getattr(resumed, name)
        if was != now:
            yield f"{name} is {now} and not {was}"
    if resumed.sandboxes:
        yield f"{resumed.sandboxes} sandboxes are open"


def _different_ledgers(whole: Facts, resumed: Facts) -> Iterator[str]:
    for key in sorted(whole.keys.keys() | resumed.keys.keys()):
        was, now = whole.keys.get(key, 0), resumed.keys.get(key, 0)
        if was != now:
            yield f"{key!r} is in the ledger {now} times and not {was}"
    if resumed.digests[: len(resumed.found)] != resumed.found:
        yield "what the ledger held at the kill is not what it begins with now"


def _different_targets(resumed: Facts) -> Iterator[str]:
    if set(resumed.branches) - {"main"} != {name for name in resumed.branches if name.startswith("assay/")}:
        yield f"the target has other branches: {sorted(resumed.branches)}"
    if len(resumed.branches) != 2:
        yield f"the target has {len(resumed.branches)} branches and not two: {sorted(resumed.branches)}"
    if resumed.delivered not in resumed.branches.values():
        yield f"what the ledger says was delivered, {resumed.delivered}, is no branch"
    if not resumed.untouched:
        yield "the target's work tree, index or HEAD was touched"


def _different_ids(whole: Facts, resumed: Facts) -> Iterator[str]:
    # (What was killed twice has entries at its end that the whole run has not.)
    if resumed.found and resumed.found[-1] in whole.digests and whole.digests[: len(resumed.found)] != resumed.found:
        yield "the copy's ledger is not what the run recorded up to there"
    # The whole's commits name the entries of the verdicts, and a verdict that was given again has its own time.
    of_units = {key for key in whole.commits if not key.startswith("commit:run.")}
    again = whole.commits.keys() if whole.verdicts == resumed.verdicts else of_units
    for key in sorted(again):
        if whole.commits[key] != resumed.commits.get(key):
            yield f"{key} is {resumed.commits.get(key)} and not {whole.commits[key]}"
