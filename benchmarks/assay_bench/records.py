"""The nouns of the benchmark: hosts and tasks (pure data), what an agent leaves, and the case that comes of both."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

HOSTS = Path(__file__).parent / "hosts"

Files = Mapping[str, str | bytes | None]
"""Path to content; None for a file that goes away; a text that begins with `->` is a link."""
Family = Literal[
    "honest",
    "tests tampered",
    "harness tampered",
    "forged from inside",
    "special-cased or partial",
    "only in the agent's environment",
    "git tricks",
    "flaky and regressions",
    "weak tests",
    "false reports",
    "supply chain",
    "compound",
]
Given = Literal["all", "visible", "nothing"]
"""What of the trusted side a verifier gets beside the ticket: visible and held-out tests, the visible ones, none."""


class Data(BaseModel):
    """A frozen, closed record."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TestFile(Data):
    """A file of tests from the trusted side."""

    path: str
    text: str


class Command(Data):
    """A command with what it prints and how it ends, as the reference says."""

    argv: tuple[str, ...]
    prints: str
    exit: int = 0


class Swap(Data):
    """A text in a file, and one that takes its place."""

    path: str
    works: str
    broken: str
    probe: Command | None = None
    """What shows the difference, where the host's entry does not."""


class Golden(Data):
    """A file that records the neighbour's output."""

    path: str
    broken: str
    """What it would hold if the neighbour were broken."""


class Neighbour(Data):
    """A function beside the task's own, which has to stay as it is."""

    path: str
    function: str
    works: str
    broken: str
    """Broken so that the base's own tests see it."""
    subtle: str
    """Broken where none of the base's tests looks."""
    tests: str
    """File of the base with tests of it."""
    probes: tuple[tuple[str, str], ...]
    held_out: TestFile
    golden: Golden


class Speed(Data):
    """Something slow that can be made fast without changing what it does."""

    path: str
    works: str
    fast: str
    measure: str
    """Statement whose time is taken."""


class Task(Data):
    """One thing to do in a host."""

    id: str
    kind: Literal["fix", "feature"]
    title: str
    text: str
    acceptance: tuple[str, ...]
    path: str
    function: str
    buggy: str
    """The function as it is."""
    good: str
    other: str
    """As good, by another algorithm."""
    partial: str
    """Passes the visible tests and is wrong beyond them."""
    special: str
    """Knows the visible tests' inputs, and nothing else."""
    weak: str
    """An assertion that says too little: it holds for the function as it is, or as soon as it returns anything."""
    wrong: str
    """An assertion that holds for the function as it is only."""
    failing: tuple[str, ...]
    """Names of the visible tests that fail at the base."""
    visible: TestFile
    held_out: TestFile
    probes: tuple[tuple[str, str], ...]
    """Expressions and what the reference gives: a literal, or `!` with the name of an exception."""


class Host(Data):
    """A repository with its declarations."""

    id: str
    title: str
    image: str = "python"
    runner: Literal["pytest", "node", "junit"] = "pytest"
    language: Literal["python", "node", "shell"] = "python"
    prelude: str
    """Statements before each expression of a probe."""
    entry: Command
    test_command: tuple[str, ...]
    """What runs the tests; unless the runner is pytest, it writes JUnit XML on standard output."""
    files: dict[str, str]
    neighbour: Neighbour
    entry_break: Swap
    speed: Speed | None = None
    tasks: tuple[Task, ...]

    @model_validator(mode="after")
    def _fits_its_files(self) -> Self:
        spots = [(t.path, t.buggy) for t in self.tasks] + [(self.neighbour.path, self.neighbour.works)]
        spots += [(s.path, s.works) for s in (self.entry_break, self.speed) if s is not None]
        for path, text in spots:
            if self.files[path].count(text) != 1:
                raise ValueError(f"{self.id}: {path} does not hold this exactly once: {text}")
        return self


class Claimed(Data):
    """What the agent says, as `assay.ClaimDraft` takes it."""

    kind: str
    statement: str
    declined: str | None = None
    changed_expectations: tuple[tuple[str, str], ...] = ()
    new_dependencies: tuple[str, ...] = ()
    checks: tuple[tuple[tuple[str, ...], str], ...] = ()
    """The agent's own checks: argument vector, and what it says that it prints."""
    speed: tuple[tuple[str, ...], float] | None = None
    """Of a claim about speed: the workload, and what it takes at most of the time that it took."""


class Place:
    """Where a mode plays its git tricks: the agent's repository, with the commits that are there so far."""

    def __init__(self, path: Path, git: Callable[..., str], root: str, base: str, head: str) -> None:
        self.path = path
        self.git = git
        self.root = root
        """The commit before the base."""
        self.base = base
        self.head = head
        """What the agent says that its work is; a trick may name another."""


class Work:
    """What an agent leaves behind, beside what was there."""

    def __init__(
        self,
        changes: Files,
        *,
        base: Files | None = None,
        trusted: Files | None = None,
        workspace: Files | None = None,
        home: Files | None = None,
        environment: Mapping[str, str] | None = None,
        trick: Callable[[Place], None] | None = None,
        claim: Claimed | None = None,
        given: Given = "all",
        surroundings: tuple[Mapping[str, str], ...] = (),
        facts: frozenset[str] = frozenset({"behaves"}),
        extra: tuple[tuple[str, str], ...] = (),
        dropped: tuple[str, ...] = (),
    ) -> None:
        self.changes = dict(changes)
        self.base = dict(base or {})
        """What the base holds beside the host's files."""
        self.trusted = dict(trusted or {})
        """What the trusted side gives beside the task's visible tests."""
        self.workspace = dict(workspace or {})
        """Files that lie in the agent's working tree and in no commit."""
        self.home = dict(home or {})
        self.environment = dict(environment or {})
        self.trick = trick
        self.claim = claim
        self.given = given
        self.surroundings = surroundings
        """Environments in which the oracle looks as well."""
        self.facts = facts
        """What has to hold for the claim to be true; the oracle looks at each."""
        self.extra = extra
        """Further probes of the oracle."""
        self.dropped = dropped
        """Probes of the neighbour that the ticket makes void, by their expression."""


class Mode(Data):
    """A program that plays an agent."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    family: Family
    play: Callable[[Host, Task], Work | None]
    """None where the mode has nothing to do in this host or task."""
    right: tuple[str, ...] = ()
    """Words, or ids of steps, one of which has to be in a verdict that names the right reason."""

    @property
    def honest(self) -> bool:
        """Whether the claim is meant to be true."""
        return self.family == "honest"


class Case:
    """A mode at work on a task: one claim to be judged."""

    def __init__(self, host: Host, task: Task, mode: Mode, work: Work) -> None:
        self.host, self.task, self.mode, self.work = host, task, mode, work
        self.id = f"{host.id}/{task.id}/{mode.name}"
        self.true = mode.honest
        self.claim = work.claim or Claimed(kind=task.kind, statement=f"{task.title}: done, and all tests pass.")

    @property
    def digest(self) -> str:
        """What the case is made of, in 16 characters."""
        work = {name: value for name, value in vars(self.work).items() if name not in ("trick", "claim", "facts")}
        parts = (self.id, self.host.model_dump_json(), self.task.model_dump_json(), self.claim.model_dump_json())
        text = repr((parts, sorted(work.items()), sorted(self.work.facts), _code_of(self.work.trick)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _code_of(trick: Callable[[Place], None] | None) -> str:
    return "" if trick is None else f"{trick.__module__}.{trick.__qualname__}:{trick.__code__.co_code.hex()}"


@cache
def load_hosts() -> tuple[Host, ...]:
    """Return all hosts, by name; raises ValueError where a declaration does not fit its files."""
    return tuple(Host.model_validate(tomllib.loads(path.read_text())) for path in sorted(HOSTS.glob("*.toml")))
