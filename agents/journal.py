"""A role's journal: each turn in its transcript, and what counts of it in the ledger.

The transcript is written first and is what a role goes on from; the ledger follows, and what a kill
kept from it is made good when the journal is opened again. A transcript that is shorter than the
ledger says, or other than it says, is corrupt.

Turns are written while the next one is being made, so that nobody waits for a disk; no more than a
step (an answer and a result) is ever unwritten. So a kill costs the step that is being made, and at
most the one whose writing it interrupts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from pydantic import JsonValue, ValidationError

from assay.agents.conversation import Conversation
from assay.agents.protocol import Advance, RoleTask
from assay.agents.turns import TURNS, Answer, Result, Turn
from assay.errors import StoreCorrupt
from assay.records.entries import Entry, EntryKind
from assay.store.protocol import Ledger, NewEntry
from assay.store.redaction import Redact
from assay.store.transcripts import Transcript

_LEDGERED: Final = (EntryKind.MODEL_CALLED, EntryKind.TOOL_CALLED, EntryKind.TREE_SAVED)

UNWRITTEN: Final = 2
"""Turns that may be on their way to the disk while the next one is being made."""
TOGETHER_SECONDS: Final = 0.002
"""How long an answer waits for the result of a quick call, to be written with it in one flush."""

Fact = tuple[EntryKind, str, dict[str, JsonValue]]
"""Kind, key and body of an entry."""
_Unwritten = tuple[dict[str, JsonValue], list[Fact]]
"""A line of the transcript, and what the ledger is to say of it."""


class Journal:
    """The turns of one task, durable one by one."""

    def __init__(
        self,
        task: RoleTask,
        ledger: Ledger,
        transcript: Transcript,
        redact: Redact | None,
        count: Callable[[Fact], None],
    ) -> None:
        """Take over an open transcript; use `Journal.open`."""
        self.conversation = Conversation()
        self._task = task
        self._unit = task.unit.id if task.unit else None
        self._ledger = ledger
        self._transcript = transcript
        self._redact = redact
        self._count = count
        self._unwritten: list[_Unwritten] = []
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        task: RoleTask,
        ledger: Ledger,
        path: Path,
        *,
        count: Callable[[Fact], None],
        redact: Redact | None = None,
    ) -> Self:
        """Read a task's journal, or begin one.

        Args:
            task: the task.
            ledger: the run's ledger.
            path: the transcript's file.
            count: told of everything that is in the ledger about the task, or on its way there.
            redact: takes secrets out of a turn before anything is done with it.

        Raises:
            StoreCorrupt: transcript and ledger do not fit together.
        """
        transcript = await Transcript.open(path)
        try:
            journal = cls(task, ledger, transcript, redact, count)
            await journal._read(path)
        except BaseException:
            await transcript.close()
            raise
        return journal

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.settle()
        finally:
            await self._transcript.close()

    async def add(self, turn: Turn) -> None:
        """Take a turn into account as it is going to be written, and have it written.

        Raises whatever kept an earlier one from being written: DiskFull, InfrastructureError.
        """
        if len(self._unwritten) >= UNWRITTEN or (self._writer is not None and self._writer.done()):
            await self.settle()
        line: JsonValue = turn.model_dump(mode="json", exclude_defaults=True) | {"type": turn.type}
        clean = self._redact(line) if self._redact is not None else line
        written = turn if clean == line else TURNS.validate_python(clean)
        self.conversation.apply(written)
        facts = list(self._facts(written))
        for fact in facts:
            self._count(fact)
        self._unwritten.append((cast("dict[str, JsonValue]", clean), facts))
        if len(self._unwritten) >= UNWRITTEN or not self.conversation.pending:
            self._start()
        elif self._writer is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._start)

    async def settle(self) -> None:
        """Wait until everything is durable."""
        if self._unwritten:
            self._start()
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.shield(writer)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def ended(self) -> Entry | None:
        """Return the entry that says how the task ended, or None."""
        return await self._ledger.find(self._task.run, self._end_key)

    async def end(self, advance: Advance) -> None:
        """Record how the task ended."""
        await self.settle()
        body: dict[str, JsonValue] = {"advance": advance.model_dump(mode="json")}
        kind, role = EntryKind.ROLE_ENDED, self._task.role
        await self._ledger.append(self._task.run, kind, self._end_key, body, unit=self._unit, role=role)

    async def _write(self) -> None:
        """Write what is unwritten, and what is added meanwhile: the slower the disk, the more at once."""
        while turns := list(self._unwritten):
            try:
                await self._ledger.append_all(self._task.run, partial(self._written, turns), recoverable=True)
            except BaseException:
                self._unwritten.clear()  # the next journal reads what there is; writing it again here would double it
                raise
            del self._unwritten[: len(turns)]

    def _written(self, turns: Sequence[_Unwritten]) -> list[NewEntry]:
        """Write turns into the transcript, and return what the ledger is to say of them."""
        first = self._transcript.length + 1
        digests = self._transcript.append([line for line, _ in turns])
        return [
            self._entry(fact, number, digest)
            for number, (digest, (_, facts)) in enumerate(zip(digests, turns, strict=True), first)
            for fact in facts
        ]

    def _entry(self, fact: Fact, line: int, digest: str) -> NewEntry:
        kind, key, body = fact
        placed: dict[str, JsonValue] = {**body, "transcript": self._task.name, "line": line, "digest": digest}
        return NewEntry(kind, key, placed, self._unit, self._task.role)

    @property
    def _end_key(self) -> str:
        return f"ended:{self._task.name}"

    async def _read(self, path: Path) -> None:
        lines = await self._transcript.lines()
        recorded = await self._recorded()
        digests = await asyncio.to_thread(_running_digests, path, len(lines))
        missing: list[NewEntry] = []
        for number, (line, digest) in enumerate(zip(lines, digests, strict=True), 1):
            try:
                turn = TURNS.validate_python(line)
            except ValidationError as error:
                raise StoreCorrupt(f"{path}, line {number}: not a turn: {error}") from error
            self.conversation.apply(turn)
            for fact in self._facts(turn):
                self._count(fact)
                entry = recorded.pop(fact[1], None)
                if entry is None:
                    missing.append(self._entry(fact, number, digest))
                elif entry.body.get("digest") != digest:
                    raise StoreCorrupt(f"{path}, line {number}: the ledger recorded another text ({fact[1]})")
        if recorded:
            raise StoreCorrupt(
                f"{path}: the ledger holds {min(recorded)}, and the transcript ends before it",
                next_step="restore the transcript from a backup, or begin the run again",
            )
        if missing:
            await self._ledger.append_all(self._task.run, lambda: missing)

    async def _recorded(self) -> dict[str, Entry]:
        middle = f":{self._task.name}:"
        entries = await self._ledger.entries(self._task.run, kinds=_LEDGERED)
        return {entry.key: entry for entry in entries if middle in entry.key}

    def _facts(self, turn: Turn) -> Iterator[Fact]:
        """Yield what of a turn belongs into the ledger; called right after the turn was applied."""
        name = self._task.name
        if isinstance(turn, Answer):
            opening = self.conversation.opening
            body: dict[str, JsonValue] = {
                "model": (opening.model if opening else "") or turn.model,
                "served": turn.model,
                "input_tokens": turn.usage.input,
                "output_tokens": turn.usage.output,
                "cached_tokens": turn.usage.cached,
                "seconds": round(turn.seconds, 6),
                "calls": len(turn.calls),
            }
            yield EntryKind.MODEL_CALLED, f"model:{name}:{self.conversation.answers}", body
        elif isinstance(turn, Result):
            number = self.conversation.results
            if turn.tree is not None or turn.held_out is not None:
                trees: dict[str, JsonValue] = {"tree": turn.tree, "held_out": turn.held_out}
                yield EntryKind.TREE_SAVED, f"tree:{name}:{number}", trees
            body = {
                "tool": turn.tool,
                "arguments": turn.arguments,
                "outcome": turn.outcome,
                "seconds": round(turn.seconds, 6),
                "decision": turn.decision,
            }
            yield EntryKind.TOOL_CALLED, f"tool:{name}:{number}", body


def _running_digests(path: Path, count: int) -> list[str]:
    """Return the digest of the file up to the end of each of its first lines, as the transcript gave it then."""
    running = hashlib.sha256()
    digests: list[str] = []
    with path.open("rb") as file:
        for _, line in zip(range(count), file, strict=False):
            running.update(line)
            digests.append("sha256:" + running.hexdigest())
    return digests


def arguments_digest(args: dict[str, JsonValue]) -> str:
    """Return the digest of a call's arguments."""
    text = json.dumps(args, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
