"""What the tests of the proof share: a git store, a ledger and sandboxes, and small repositories written as text."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gate_bench import GateBench

from assay.evidence import twins
from assay.evidence.adopt import adopt
from assay.evidence.environment import seal
from assay.evidence.execution import Bench, Order
from assay.evidence.expectations import Reading
from assay.evidence.facts import Subject
from assay.evidence.layout import lay_out
from assay.evidence.protocol import BlankResult, Case, TrustedTests
from assay.evidence.prove import Assayer
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.evidence import Cell, Evidence, Side
from assay.records.plans import Requirement
from assay.records.results import StatedTest
from assay.records.trees import EXECUTABLE, REGULAR, SYMLINK, TreeFile, blob_id
from assay.records.verdicts import Verdict
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import SandboxProvider
from assay.store.blobs import FileBlobs
from assay.store.clocks import SystemClock
from assay.store.git import GitStore
from assay.store.ledger import SqliteLedger

Files = Mapping[str, str | bytes | None]
"""Path to text (dedented), bytes, or None for a file that goes away; `->target` is a link."""

AT = datetime(2026, 11, 22, tzinfo=UTC)
SETTINGS = Settings(proof=ProofSettings(seconds=60, jittered=0, ablations=0, probed=0))
"""Without the steps that come last, which have tests of their own."""


@dataclass(kw_only=True)
class World:
    """Everything that a proof works with."""

    git: GitStore
    ledger: SqliteLedger
    blobs: FileBlobs
    sandboxes: SandboxProvider
    settings: Settings = SETTINGS
    cache: Path | None = None
    steps: list[str] = field(default_factory=list)

    def assayer(self, settings: Settings | None = None) -> Assayer:
        """Return a proof under settings."""
        return Assayer(
            git=self.git,
            ledger=self.ledger,
            blobs=self.blobs,
            sandboxes=self.sandboxes,
            settings=settings or self.settings,
            clock=SystemClock(),
            progress=self.steps.append,
            cache=self.cache,
        )

    async def tree(self, files: Files, onto: str | None = None) -> str:
        """Keep files, over those of a commit or tree where one is given, and return the tree."""
        tree = dict(await self.git.tree(onto)) if onto else {}
        fresh: dict[str, bytes] = {}
        for path, content in files.items():
            if content is None:
                tree.pop(path)
                continue
            link = isinstance(content, str) and content.startswith("->")
            data = content if isinstance(content, bytes) else (content[2:] if link else plain(content)).encode()
            mode = SYMLINK if link else EXECUTABLE if path.endswith(".sh") else REGULAR
            tree[path] = TreeFile(mode, blob_id(data))
            fresh[blob_id(data)] = data
        return await self.git.write_tree(tree, fresh)

    async def commit(self, files: Files, onto: str | None = None) -> str:
        """Commit files, on top of a commit where one is given."""
        tree = await self.tree(files, onto)
        return await self.git.commit_tree(tree, [onto] if onto else [], "a change\n", author="A <a@b>", at=AT)

    async def run_cell(self, base: str, head: str, *, source: Side, tests: Side) -> Reading:
        """Execute one cell of the matrix, once, and return what it showed."""
        profile = seal(self.settings)
        image = await self.sandboxes.image(profile)
        bench = Bench(
            "run",
            git=self.git,
            ledger=self.ledger,
            blobs=self.blobs,
            sandboxes=self.sandboxes,
            settings=self.settings,
            clock=SystemClock(),
            image=image,
            profile=profile,
            progress=None,
        )
        about = case(base, head)
        layout = await lay_out(self.git, self.settings, about, await adopt(self.git, about.claim))
        cell = Cell(source=source, tests=tests)
        tree = await self.git.write_tree(layout.tree(cell, Subject.REGRESSION))
        return Reading(await bench.execute(Order(purpose="cell", cell=cell, commit=head, tree=tree)))

    async def prove(self, base: str, head: str, kind: ClaimKind = ClaimKind.FIX, **extra: object) -> Verdict:
        """Prove a claim that states nothing but its kind; `extra` goes into the draft."""
        return await self.assayer().prove(case(base, head, kind, **extra))

    async def evidence(self, run: str = "run") -> tuple[Evidence, ...]:
        """Return all evidence of a run, in the order in which it was recorded."""
        entries = await self.ledger.entries(run)
        bodies = [e.body for e in entries if e.key.startswith("evidence:")]
        return tuple([Evidence.model_validate_json(await self.blobs.get(str(b["evidence"]))) for b in bodies])

    async def blank(self, base: str, trusted: TrustedTests) -> BlankResult:
        """Run the blank of a unit."""
        return await self.assayer().blank("run", "unit", 1, base, trusted)


async def ask_outside(world: World, program: Files, tests: Files) -> Reading:
    """Execute tests with the judge in one sandbox and the program in another."""
    profile = seal(world.settings)
    image = await world.sandboxes.image(profile)
    bench = Bench(
        "run",
        git=world.git,
        ledger=world.ledger,
        blobs=world.blobs,
        sandboxes=world.sandboxes,
        settings=world.settings,
        clock=SystemClock(),
        image=image,
        profile=profile,
        progress=None,
    )
    order = Order(
        purpose="outside",
        cell=Cell(source="head", tests="base"),
        commit="0" * 40,
        tree=await world.tree(tests),
        worker=await world.tree(program),
    )
    reading = Reading(await bench.execute(order))
    await bench.close()
    assert reading.whole, reading.evidence.trouble + reading.evidence.output
    return reading


async def wrong_outside(world: World, program: Files, tests: Files) -> dict[str, str]:
    """Return the tests that do not end as their names say, and how they end."""
    world.settings = Settings(proof=ProofSettings(seconds=180))
    found = await ask_outside(world, program, tests)
    odd: dict[str, str] = {}
    for test in found.ids:
        outcome = found.outcome(test)
        assert outcome is not None
        uncrossable, false = "uncrossable" in test, "that_is_false" in test
        said = outcome.message.startswith("Uncrossable: ")
        if outcome.passed != (not uncrossable and not false) or said != uncrossable:
            odd[test] = outcome.message or "passed"
    return odd


def plain(text: str) -> str:
    """Return a text without the indentation that it has in a test."""
    return textwrap.dedent(text).lstrip("\n")


def case(base: str, head: str, kind: ClaimKind = ClaimKind.FIX, **extra: object) -> Case:
    """Return a case without trusted tests."""
    draft = ClaimDraft.model_validate({"kind": kind, "statement": "It works.", **extra})
    return Case(run="run", claim=Claim(id="c1", author="coder", base=base, head=head, draft=draft))


def trusted_case(base: str, head: str, trusted: TrustedTests, kind: ClaimKind = ClaimKind.FEATURE) -> Case:
    """Return a case whose requirements are those that the trusted tests state."""
    ids = dict.fromkeys(s.requirement for s in trusted.stated)
    requirements = tuple(Requirement(id=i, text=f"{i} holds.") for i in ids)
    return case(base, head, kind).model_copy(update={"requirements": requirements, "trusted": trusted})


def states(test: str, requirement: str = "R1", *, held_out: bool = False, because: str = "not done") -> StatedTest:
    """Return a stated test."""
    return StatedTest(id=test, requirement=requirement, fails_because=because, held_out=held_out)


@pytest.fixture(scope="session")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests keep baselines, as one machine's runs do."""
    return tmp_path_factory.mktemp("baselines")


@pytest.fixture
async def gates(tmp_path: Path) -> AsyncIterator[GateBench]:
    """A bench for gates, with sandboxes that are none where a test brings no others."""
    ledger = SqliteLedger(tmp_path / "gates.db", SystemClock())
    async with await GitStore.open(tmp_path / "gates") as git, ledger:
        yield GateBench(git, ledger)


@pytest.fixture
async def world(tmp_path: Path, baselines: Path) -> AsyncIterator[World]:
    """A world with Docker."""
    provider = DockerProvider()
    ledger = SqliteLedger(tmp_path / "ledger.db", SystemClock())
    async with await GitStore.open(tmp_path / "git") as git, ledger:
        yield World(git=git, ledger=ledger, blobs=FileBlobs(tmp_path / "blobs"), sandboxes=provider, cache=baselines)
    await provider.close()


CALC = plain("""
    def add(a, b):
        return a + b


    def mean(values):
        return sum(values) / (len(values) + 1)
""")
FIXED = CALC.replace("(len(values) + 1)", "len(values)")
TESTS = plain("""
    from calc import add


    def test_add():
        assert add(1, 2) == 3
""")
NEW_TEST = TESTS + plain("""


    def test_mean():
        from calc import mean
        assert mean([2, 4]) == 3
""")
BASE: Files = {"calc.py": CALC, "tests/test_calc.py": TESTS}
"""A small library with a bug in `mean`, which no test sees."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands for a tree; what is loaded from it is forgotten again."""
    monkeypatch.setattr(twins, "WORKSPACE", str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
            sys.modules.pop(name)
