"""What the roles did and what it cost, for reports: from ledger entries and transcripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from assay.policies.budgets import spent
from assay.records.entries import Entry, EntryKind
from assay.reports.facts import CommandFacts, WorkFacts
from assay.store.transcripts import Transcript

_COUNTED = (EntryKind.MODEL_CALLED, EntryKind.TOOL_CALLED, EntryKind.ROLE_ENDED)


def work_of(entries: Sequence[Entry], prices: Mapping[str, tuple[float, float]]) -> tuple[WorkFacts, ...]:
    """Return what each role did at each task, in the order in which they began."""
    tasks: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind in _COUNTED and entry.role:
            tasks.setdefault(_task(entry), []).append(entry)
    gathered = []
    for name, mine in tasks.items():
        used = spent(mine, prices)
        calls = [e for e in mine if e.kind is EntryKind.MODEL_CALLED]
        gathered.append(
            WorkFacts(
                role=mine[0].role or "",
                unit=mine[0].unit,
                attempt=int(name.rpartition(".")[2]),
                model=str(calls[-1].body.get("model", "")) if calls else "",
                ended=_ended(mine),
                model_calls=used.model_calls,
                input_tokens=sum(_count(e, "input_tokens") for e in calls),
                output_tokens=sum(_count(e, "output_tokens") for e in calls),
                money=None if used.unpriced else used.money,
                commands=used.commands,
                seconds=used.seconds,
            )
        )
    return tuple(gathered)


async def commands_of(entries: Sequence[Entry], path: Callable[[str], Path]) -> tuple[CommandFacts, ...]:
    """Return every command that an agent ran, in order, with the text from its transcript."""
    executed = [e for e in entries if e.kind is EntryKind.TOOL_CALLED and e.body.get("tool") == "execute"]
    texts = {
        name: await _commands_in(path(name)) for name in dict.fromkeys(str(e.body["transcript"]) for e in executed)
    }
    return tuple(
        CommandFacts(
            role=e.role or "",
            unit=e.unit,
            command=texts[str(e.body["transcript"])].get(_count(e, "line"), "(no longer in the transcript)"),
            ending=str(e.body["outcome"]),
            seconds=float(str(e.body.get("seconds", 0.0))),
        )
        for e in executed
    )


async def _commands_in(path: Path) -> dict[int, str]:
    """Return line of the result to text of the command, of one transcript."""
    from assay.agents.turns import TURNS, Answer, Result  # here, because it loads LangChain's messages

    if not path.exists():
        return {}
    calls: dict[str, str] = {}
    found: dict[int, str] = {}
    async with await Transcript.open(path) as transcript:
        for number, line in enumerate(await transcript.lines(), start=1):
            turn = TURNS.validate_python(line)
            if isinstance(turn, Answer):
                calls.update({call.id: str(call.args.get("command", "")) for call in turn.calls})
            elif isinstance(turn, Result) and turn.tool == "execute":
                found[number] = calls.get(turn.call, "")
    return found


def _task(entry: Entry) -> str:
    """Return the name of the task that an entry belongs to; keys are `model:TASK:N`, `tool:TASK:N`, `ended:TASK`."""
    return entry.key.split(":")[1]


def _ended(entries: Sequence[Entry]) -> str:
    for entry in entries:
        if entry.kind is EntryKind.ROLE_ENDED:
            advance = entry.body["advance"]
            assert isinstance(advance, dict)
            return "finished" if advance["type"] == "finished" else f"{advance.get('cause')}: {advance.get('reason')}"
    return "not yet"


def _count(entry: Entry, field: str) -> int:
    value = entry.body.get(field)
    return value if isinstance(value, int) else 0
