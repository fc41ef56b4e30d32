"""Where decisions come from when the graph stops: a file, a person at a terminal, or nobody."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import yaml
from pydantic import Field, JsonValue, ValidationError

from assay.app.people import LocalPeople
from assay.errors import DecisionError
from assay.records.base import Record
from assay.records.decisions import CheckpointKind, DecisionType, Question
from assay.store.protocol import Clock


class Decider(Protocol):
    """Something that can answer a question, or leave it open."""

    async def decide(self, question: Question, *, refused: str | None) -> dict[str, Any] | None:
        """Return an answer with its credential, or None to park the run.

        Args:
            question: what is asked.
            refused: why the answer before did not count, where there was one.
        """
        ...


class FiledDecision(Record):
    """One entry of a decisions file."""

    checkpoint: CheckpointKind
    decision: DecisionType
    unit: str | None = None
    """Only for the question of this unit; for any where None."""
    message: str = ""
    args: dict[str, JsonValue] | None = None
    times: Annotated[int, Field(ge=1)] = 1
    """How many questions it answers."""


class FileDecider:
    """Answers from a file that a person wrote beforehand. Each entry is used as often as it says, in order.

    Decisions from a file are recorded as such (`via: file:NAME`), under the name of who runs assay.
    """

    def __init__(
        self, path: Path, people: LocalPeople, clock: Clock, *, used: Sequence[tuple[CheckpointKind, str | None]] = ()
    ) -> None:
        """Read the file.

        Args:
            path: YAML list of entries `{checkpoint, decision, unit?, message?, args?, times?}`.
            people: who seals the answers.
            clock: where their dates come from.
            used: kind and unit of the questions that this file answered already in an earlier session of the run.

        Raises DecisionError for a file that cannot be read.
        """
        self._people, self._clock = people, clock
        self.via = f"file:{path.name}"
        """How its decisions are recorded."""
        self._open = _read(path)
        for kind, unit in used:
            self.pass_over(kind, unit)

    def pass_over(self, kind: CheckpointKind, unit: str | None) -> None:
        """Use up the entry that answered such a question in an earlier session of the run."""
        self._take(kind, unit)

    async def decide(self, question: Question, *, refused: str | None) -> dict[str, Any] | None:
        """Return the answer of the next entry that fits, or None where the file has none left."""
        filed = self._take(question.kind, question.unit)
        if filed is None:
            return None
        return self._people.answer(
            question,
            filed.decision,
            by=getpass.getuser(),
            via=self.via,
            at=self._clock.now(),
            message=filed.message,
            args=filed.args,
        )

    def _take(self, kind: CheckpointKind, unit: str | None) -> FiledDecision | None:
        for index, filed in enumerate(self._open):
            if filed.checkpoint is kind and (unit is None or filed.unit in (None, unit)):
                rest = [filed.model_copy(update={"times": filed.times - 1})] if filed.times > 1 else []
                self._open[index : index + 1] = rest
                return filed
        return None


def _read(path: Path) -> list[FiledDecision]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DecisionError(f"the decisions file {path} cannot be read: {error}") from error
    if not isinstance(raw, list):
        raise DecisionError(
            f"the decisions file {path} must be a list",
            next_step="write entries such as `- {checkpoint: plan, decision: approve}`",
        )
    filed = []
    for number, item in enumerate(raw, start=1):
        try:
            filed.append(FiledDecision.model_validate(item))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(p) for p in first["loc"])
            raise DecisionError(f"{path}, entry {number}, {place}: {first['msg']}") from error
    return filed
