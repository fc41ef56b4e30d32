"""Evidence: what executing a check showed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from assay.records.base import Record
from assay.records.sandboxes import Ending

Side = Literal["base", "head"]


class Cell(Record):
    """Which source was run with which tests (S7)."""

    source: Side
    tests: Side

    def __str__(self) -> str:
        return f"{self.source}/{self.tests}"


PhaseOutcome = Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
FailureKind = Literal["assertion", "error", "import", "none"]


class TestOutcome(Record):
    """What became of one test id."""

    __test__ = False  # pytest collects classes by their name otherwise

    id: str
    reports: int = 1
    """How often the runner reported it; anything but 1 does not count as passed."""
    setup: PhaseOutcome | None = None
    call: PhaseOutcome | None = None
    teardown: PhaseOutcome | None = None
    failure: FailureKind = "none"
    """By what it failed: a false assertion, another error, or an import that did not work."""
    message: str = ""
    """The end of the failure's text, bounded."""
    raised_in: str = ""
    """Path, from the tree's root, of the innermost file of the tree whose code raised the failure."""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Reported once, with set-up, call and tear-down passed (S6)."""
        return self.reports == 1 and self.setup == self.call == self.teardown == "passed"


class Surroundings(Record):
    """Where something is executed, in what no result should depend on (S12)."""

    order: str = ""
    """From which the order of files and tests is made; empty leaves them as they are."""
    variables: dict[str, str] = {}
    """Environment variables: hash seed, time zone, locale, home, date. Those that the policy names stay as it says."""
    host: str = "sandbox"
    """Name of the machine."""
    folder: str = ""
    """Path below the workspace at which the tree lies."""
    processes: int = 0
    """Processes that came and went before, so that the numbers of later ones are others."""
    share: float = 1.0
    """Of the profile's processors."""


class Evidence(Record):
    """One execution in a fresh sandbox, and everything needed to do it again."""

    id: str
    """Unique in the run; names the purpose, the cell and the replicate."""
    purpose: str
    """For a person: `regression`, `blank`, `held out`, `doubt`, …"""
    cell: Cell
    replicate: int = 0
    commit: str
    """Commit whose source was laid down."""
    tree: str
    """Git tree that was executed: source with the trusted overlay."""
    overlay: str | None = None
    """Git tree of the trusted overlay."""
    image: str
    """`sha256:…` of the sandbox image."""
    image_record: str | None = None
    """Digest of the blob that holds its `Image`: its base's registry digest, its lock file, every package in it."""
    policy: str
    """Digest of the settings in force."""
    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    surroundings: Surroundings | None = None
    """Where they were others than usual."""
    ending: Ending | None
    """None: the sandbox was lost before the command ended."""
    outcomes: tuple[TestOutcome, ...] = ()
    expected: tuple[str, ...] = ()
    """Test ids that had to be reported."""
    touched: dict[str, tuple[str, ...]] = {}
    """Test id to the parts of the change of which it executed something, where that was looked at; what no test but
    collecting them executed is under the empty id."""
    altered: bool = False
    """Whether program or tests were altered on purpose, so that a test which fails says nothing of the change."""
    trouble: str = ""
    """Why the runner's report does not count, although the command ended; empty where it does."""
    observed: str = ""
    """What the judge saw beside the outcomes, a JSON object a line: calls that were made, or what calls answered."""
    output: str = ""
    """Standard output and error, bounded."""
    output_bytes: int = 0
    output_digest: str = ""
    """`sha256:…` of the whole of standard output."""
    started: datetime
    seconds: float
    cpu_seconds: float = 0.0
    """Processor time of the whole process tree, as the sandbox's supervisor counted it."""
