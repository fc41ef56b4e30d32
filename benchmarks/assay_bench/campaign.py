"""Runs cases: each is built once, labelled by the oracle three times, and judged by every verifier; resumable."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.assay_bench.containers import ContainerFailed
from benchmarks.assay_bench.oracle import TIMES, look, version
from benchmarks.assay_bench.records import Case
from benchmarks.assay_bench.repositories import Made, build
from benchmarks.assay_bench.scoring import Result
from benchmarks.assay_bench.verifiers import Told, Verifier

Row = dict[str, Any]
Making = Callable[[], Awaitable[Made]]
"""Builds the case where that was not done yet."""


class Journal:
    """Results as JSON lines, one a case, verifier and repetition; what is written is not done again.

    Args:
        path: the file; it is made where it is not there, and a line that was cut off by a kill is not counted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines: dict[str, Row] = {}
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            self._lines[row["key"]] = row["value"]

    def get(self, key: str) -> Row | None:
        """Return what is written under a key."""
        return self._lines.get(key)

    def put(self, key: str, value: Row) -> None:
        """Write a value down."""
        self._lines[key] = value
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")


@dataclass
class Outcome:
    """What a campaign found."""

    results: list[Result] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Cases whose label the oracle does not confirm, or that could not be run: the benchmark's own faults."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Cases, verifiers and how to go about them."""

    verifiers: Sequence[Verifier]
    journal: Journal
    repetitions: int = 1
    jobs: int = 2
    progress: Callable[[str], None] = lambda line: None
    """Told a case when it is done."""

    async def run(self, cases: Sequence[Case]) -> Outcome:
        """Return what all verifiers say of all cases; what the journal holds is taken from there."""
        outcome, gate = Outcome(), asyncio.Semaphore(self.jobs)

        async def one(case: Case) -> None:
            async with gate:
                await self._one(case, outcome)
            self.progress(case.id)

        await asyncio.gather(*(one(case) for case in cases))
        order = {case.id: number for number, case in enumerate(cases)}
        outcome.results.sort(key=lambda result: order[result.case])
        return outcome

    async def _one(self, case: Case, outcome: Outcome) -> None:
        with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
            built: list[Made] = []

            async def made() -> Made:
                if not built:
                    built.append(await asyncio.to_thread(build, case, Path(folder)))
                return built[0]

            try:
                if error := await self._label(case, made):
                    outcome.errors.append(error)
                    return
                for verifier in (v for v in self.verifiers if v.can_judge(case)):
                    for repetition in range(1, self.repetitions + 1):
                        outcome.results.append(await self._judge(case, made, verifier, repetition))
            except (ContainerFailed, subprocess.CalledProcessError, LookupError, ValueError) as error:
                told = getattr(error, "stderr", None) or b""
                outcome.errors.append(f"{case.id}: {type(error).__name__}: {error} {told.decode(errors='replace')}")

    async def _label(self, case: Case, made: Making) -> str:
        """Return what is wrong with the label; empty where the oracle confirmed it each time."""
        key = f"{case.digest}/oracle/{version()}"
        row = self.journal.get(key)
        if row is None:
            at = await made()
            looks = [await asyncio.to_thread(look, case, at) for _ in range(TIMES)]
            row = {"looks": looks}
            self.journal.put(key, row)
        looks = row["looks"]
        if all(all(facts.values()) is case.true for facts in looks):
            return ""
        return f"{case.id}: said to be {'true' if case.true else 'false'}, and the oracle saw {looks}"

    async def _judge(self, case: Case, made: Making, verifier: Verifier, repetition: int) -> Result:
        key = f"{case.digest}/{verifier.name}/{verifier.version}/{repetition}"
        if (row := self.journal.get(key)) is not None:
            return Result.model_validate(row)
        told = await verifier.judge(case, await made())
        result = _result(case, verifier, repetition, told)
        self.journal.put(key, result.model_dump(mode="json"))
        return result


def _result(case: Case, verifier: Verifier, repetition: int, told: Told) -> Result:
    return Result(
        case=case.id,
        digest=case.digest,
        family=case.mode.family,
        true=case.true,
        verifier=verifier.name,
        version=verifier.version,
        repetition=repetition,
        status=told.status,
        level=told.level,
        reason=told.reason,
        right=any(word.lower() in told.reason.lower() for word in case.mode.right),
        seconds=told.seconds,
    )
