"""A run in which everything is real but the people, the roles and the proof, which each test sets."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from assay.agents.protocol import Advance, Exhausted, Finished, NeedsDecision, RoleTask
from assay.app.people import LocalPeople
from assay.app.wiring import record_serializer
from assay.evidence.protocol import BlankResult, Case, DoubtResult, TrustedTests
from assay.graph.build import build_graph
from assay.graph.services import Services
from assay.graph.state import RunState
from assay.policies.gates import GateResult
from assay.policies.settings import Budget, RoleSettings, Settings
from assay.records.base import Record, canonical_json
from assay.records.claims import ClaimDraft, ClaimKind
from assay.records.decisions import CheckpointKind, Decision, DecisionType, Question
from assay.records.entries import EntryKind
from assay.records.plans import Plan, Requirement, Unit
from assay.records.results import Doubt, Review, Specification, StatedTest
from assay.records.runs import RunStatus
from assay.records.tickets import Ticket
from assay.records.trees import REGULAR, TreeFile, blob_id
from assay.records.unproven import UnprovenLine
from assay.records.verdicts import Verdict, VerdictStatus, Witness
from assay.store.blobs import FileBlobs
from assay.store.clocks import SystemClock
from assay.store.git import GitStore
from assay.store.ledger import SqliteLedger

RUN = "r20261122-test"
AT = datetime(2026, 11, 22, tzinfo=UTC)


def unit(name: str, *, after: tuple[str, ...] = (), paths: tuple[str, ...] | None = None) -> Unit:
    """Return a unit with one requirement, which may touch a source file of its own name."""
    return Unit(
        id=name,
        title=f"Do {name}",
        specification=f"{name} must be done",
        acceptance=(Requirement(id=f"{name}-r", text=f"{name} is done"),),
        paths=paths or (f"{name}.py",),
        depends_on=after,
    )


@dataclass
class Work:
    """What a role does at one task: the files that it writes, and the result that it hands in."""

    files: dict[str, str] = field(default_factory=dict)
    result: Record | None = None
    stopped: str | None = None
    """A reason for which it hands in nothing."""
    asks: bool = False
    """Whether it needs a person's permission for a tool call first."""


Act = Callable[[RoleTask], Work]


def by_the_book(task: RoleTask) -> Work:
    """Do what each role should do, at the first attempt."""
    name = task.unit.id if task.unit else ""
    match task.role:
        case "planner":
            return Work(result=Plan(summary="as asked", units=(unit("one"),)))
        case "tester":
            stated = (
                StatedTest(id=f"tests/test_{name}.py::test", requirement=f"{name}-r", fails_because="not done"),
                StatedTest(
                    id=f"tests/test_{name}_held.py::test", requirement=f"{name}-r", fails_because="", held_out=True
                ),
            )
            return Work(
                {
                    f"tests/test_{name}.py": f"def test(): assert {name!r}\n",
                    f"held_out:tests/test_{name}_held.py": "held\n",
                },
                Specification(statement="stated", tests=stated),
            )
        case "coder":
            return Work(
                {f"{name}.py": f"done = {task.attempt}\n"}, ClaimDraft(kind=ClaimKind.FIX, statement=f"{name} done")
            )
        case _:
            return Work(result=Review(summary="fine"))


@dataclass
class Cast:
    """Plays every role by a table of acts; a task that the table does not name is done by the book."""

    world: World
    acts: Mapping[tuple[str, str, int], Act] = field(default_factory=dict)
    seen: list[RoleTask] = field(default_factory=list)

    def agent(self, task: RoleTask) -> Player:
        """Return the player of a task."""
        self.seen.append(task)
        return Player(self, task)


@dataclass
class Player:
    """One role at one task."""

    cast: Cast
    task: RoleTask

    async def advance(self, decisions: Mapping[str, Decision]) -> Advance:
        """Do the work at once."""
        world, task = self.cast.world, self.task
        name = task.unit.id if task.unit else ""
        work = self.cast.acts.get((task.role, name, task.attempt), by_the_book)(task)
        permission = Question(
            id=f"{task.name}:tool:1",
            run=task.run,
            unit=name or None,
            kind=CheckpointKind.TOOL,
            title="May it?",
            args={"command": "git push"},
            description="git push",
            allowed=(DecisionType.APPROVE, DecisionType.REJECT),
        )
        if work.asks and permission.id not in decisions:
            return NeedsDecision(question=permission)
        here = {p: t for p, t in work.files.items() if not p.startswith("held_out:")}
        apart = {p.removeprefix("held_out:"): t for p, t in work.files.items() if p.startswith("held_out:")}
        tree = await world.tree_with(task.commit, here)
        held_out = await world.tree_with(None, apart) if apart else None
        if work.stopped is not None:
            return Exhausted(cause="budget", reason=work.stopped, tree=tree, transcript=task.name)
        assert work.result is not None
        digest = await world.services.blobs.put(canonical_json(work.result))
        return Finished(result=digest, tree=tree, held_out=held_out, transcript=task.name)


@dataclass
class Bench:
    """Gives the verdicts that a test sets; whatever it does not name is proven. Records like the real proof."""

    world: World
    verdicts: Mapping[str, VerdictStatus] = field(default_factory=dict)
    blanks: Mapping[tuple[str, int], BlankResult] = field(default_factory=dict)
    doubts: Mapping[str, DoubtResult] = field(default_factory=dict)
    unproven: Mapping[str, tuple[UnprovenLine, ...]] = field(default_factory=dict)
    """Of claims, lines that no check holds on to."""
    cases: list[Case] = field(default_factory=list)
    broken: str | None = None
    """Requirement that the witness of a refutation names."""

    async def blank(self, run: str, unit: str, attempt: int, base: str, trusted: TrustedTests) -> BlankResult:
        """Return what the test set, or that the blank passed."""
        return self.blanks.get((unit, attempt), BlankResult(status="passed"))

    async def prove(self, case: Case) -> Verdict:
        """Return a verdict and record it."""
        self.cases.append(case)
        status = self.verdicts.get(case.claim.id, VerdictStatus.PROVEN)
        git = self.world.services.git
        witness = Witness(
            argv=("pytest",), image="sha256:0", tree="", requirement=self.broken, expected="1", got="2", reproduced=2
        )
        verdict = Verdict(
            claim=case.claim.id,
            base=case.claim.base,
            head=case.claim.head,
            tree=await git.tree_id(case.claim.head),
            status=status,
            level="C" if status is VerdictStatus.PROVEN else None,
            reasons=(f"as set: {status.value}",),
            witness=witness if status is VerdictStatus.REFUTED else None,
            unproven_lines=self.unproven.get(case.claim.id, ()),
        )
        digest = await self.world.services.keep(verdict)
        await self.world.services.ledger.append(
            case.run,
            EntryKind.VERDICT_GIVEN,
            f"verdict:{case.claim.id}",
            {"verdict": digest, "status": status.value, "reason": verdict.reasons[0]},
            unit=case.claim.unit,
        )
        return verdict

    async def examine(self, case: Case, doubt: Doubt, *, key: str) -> DoubtResult:
        """Return what the test set, or that the doubt is dispelled."""
        return self.doubts.get(key, DoubtResult(outcome="dispelled", reason="it passed"))


@dataclass
class Gates:
    """Gives the results that a test sets, by the number of the coder's attempt."""

    results: list[tuple[GateResult, ...]] = field(default_factory=list)

    async def judge(self, run: str, unit: str, base: str, head: str) -> tuple[GateResult, ...]:
        """Return the next results, or none."""
        return self.results.pop(0) if self.results else ()


class World:
    """One run, with everything that a test may want to look at."""

    services: Services
    repo: Path

    def __init__(self, git: GitStore, ledger: SqliteLedger, repo: Path, folder: Path) -> None:
        self.repo = repo
        self.people = LocalPeople(b"k" * 32)
        self.cast = Cast(self)
        self.bench = Bench(self)
        self.gates = Gates()
        self.saver = InMemorySaver(serde=record_serializer())
        self.asked: list[Question] = []
        self.forge_first = False
        """Whether the first question gets an answer without a credential."""
        roles = {name: RoleSettings(budget=Budget(attempts=3)) for name in ("planner", "tester", "coder", "reviewer")}
        self.services = Services(
            ticket=Ticket(title="Do it", text="please"),
            repo=repo,
            revision="main",
            branch="assay/do-it",
            settings=Settings(agents=roles),
            git=git,
            ledger=ledger,
            blobs=FileBlobs(folder / "blobs"),
            roles=self.cast,
            prover=self.bench,
            gates=self.gates,
            people=self.people,
            started=AT,
            author="assay <assay@localhost>",
        )

    async def tree_with(self, commit: str | None, files: Mapping[str, str]) -> str:
        """Return a commit's tree with these files written over it."""
        tree = dict(await self.services.git.tree(commit)) if commit else {}
        fresh = {}
        for path, text in files.items():
            oid = blob_id(text.encode())
            tree[path] = TreeFile(REGULAR, oid)
            fresh[oid] = text.encode()
        return await self.services.git.write_tree(tree, fresh)

    async def go(
        self,
        *,
        acts: Mapping[tuple[str, str, int], Act] | None = None,
        plan: Plan | None = None,
        answers: Mapping[str, tuple[DecisionType, str] | None] | None = None,
        edits: Mapping[str, dict[str, Any]] | None = None,
    ) -> RunState:
        """Run the graph to its next stop, answering questions by their id's beginning; others are approved.

        An answer of None for a question leaves it open.
        """
        if plan is not None:
            self.cast.acts = {("planner", "", 1): lambda _: Work(result=plan), **(acts or {})}
        else:
            self.cast.acts = acts or self.cast.acts
        graph = build_graph(self.services, self.saver)
        config: Any = {"configurable": {"thread_id": RUN}, "recursion_limit": 500}
        given: Any = None if (await graph.aget_state(config)).created_at else RunState(run=RUN)
        while True:
            result = await graph.ainvoke(given, config, durability="sync", version="v2")
            state = RunState.model_validate((await graph.aget_state(config)).values)
            resume = {}
            for stop in result.interrupts:
                question = Question.model_validate(stop.value["question"])
                self.asked.append(question)
                if self.forge_first:
                    self.forge_first = False
                    resume[stop.id] = {"decisions": [{"type": "approve"}], "digest": question.digest}
                    continue
                args = next((args for start, args in (edits or {}).items() if question.id.startswith(start)), None)
                kind, message = (DecisionType.EDIT, "") if args else self._answer(question, answers or {})
                if kind is not None:
                    resume[stop.id] = self.people.answer(
                        question, kind, by="ana", via="test", at=AT, message=message, args=args
                    )
            if not resume:
                return state
            given = Command(resume=resume)

    def _answer(self, question: Question, answers: Mapping[str, Any]) -> tuple[DecisionType | None, str]:
        for beginning, answer in answers.items():
            if question.id.startswith(beginning):
                return (None, "") if answer is None else answer
        return DecisionType.APPROVE, ""

    async def text_at(self, commit: str, path: str) -> str:
        """Return the text of a file in a commit of the store."""
        file = (await self.services.git.tree(commit))[path]
        return (await asyncio.to_thread(self.services.git.contents.read, file.oid)).decode()

    def in_repo(self, *command: str) -> str:
        """Run git in the target repository, as its owner would, and return what it prints."""
        done = subprocess.run(["git", "-C", str(self.repo), *command], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit_to_repo(self, path: str, text: str) -> str:
        """Let the repository's owner commit a file, and return the commit."""
        (self.repo / path).write_text(text)
        self.in_repo("add", path)
        self.in_repo("-c", "user.name=o", "-c", "user.email=o@example.org", "commit", "-qm", f"change {path}")
        return self.in_repo("rev-parse", "HEAD")


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """Open a fresh run on a repository with one source file."""
    repo = folder / "repo"
    repo.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    git = await GitStore.open(folder / "git")
    async with SqliteLedger(folder / "ledger.sqlite3", SystemClock()) as ledger:
        made = World(git, ledger, repo, folder)
        made.commit_to_repo("one.py", "done = 0\n")
        yield made
    await git.close()


def finished(state: RunState, status: RunStatus) -> bool:
    """Whether a run ended as expected; for assertions that print the reason."""
    assert (state.status, state.reason or "no reason") == (status, state.reason or "no reason")
    return True
