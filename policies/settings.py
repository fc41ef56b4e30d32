"""`assay.toml` as one frozen object: what is allowed, who works with what, and how much of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from assay.records.base import Record
from assay.records.sandboxes import SandboxProfile

Preset = Literal["supervised", "guarded", "headless"]
GateKind = Literal["secrets", "security", "dependencies", "imports", "licences", "data", "speed"]


class Budget(Record):
    """Upper bounds; none is no bound. Counted from the ledger, so that a restart does not reset them."""

    model_calls: Annotated[int, Field(ge=1)] | None = None
    """Answers asked of models."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Input and output together."""
    money: Annotated[float, Field(gt=0)] | None = None
    """In the currency of the price table."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Wall time of work; waiting for a person does not count."""
    commands: Annotated[int, Field(ge=1)] | None = None
    """Calls of `execute`."""
    attempts: Annotated[int, Field(ge=1)] | None = None
    """How often a role may try the same unit."""


class ToolRule(Record):
    """A tool rule with examples, which are tried when the file is loaded."""

    rule: str
    """`tool(pattern)`."""
    matches: tuple[str, ...] = ()
    """Calls that the rule decides: a command for `execute`, a path for a file tool, else the arguments as JSON."""
    not_matches: tuple[str, ...] = ()
    """Calls that it does not decide."""


class ToolRules(Record):
    """Lists of `tool(pattern)`, judged in this order; what no rule names is denied."""

    deny: tuple[str | ToolRule, ...] = ()
    """Never. In the four roles these come on top of the built-in ones."""
    ask: tuple[str | ToolRule, ...] = ()
    """A person is asked."""
    allow: tuple[str | ToolRule, ...] = ()
    """May be done. A list here takes the place of the built-in one."""


class RoleSettings(Record):
    """`[agents.NAME]`: how one role works."""

    model: str = ""
    """`provider:model`, or `scripted:FILE`; empty means the model given on the command line."""
    parameters: dict[str, JsonValue] = {}
    """Passed to the model's constructor."""
    prompt: str | None = None
    """Path of a Markdown file in the place of the built-in prompt, relative to `assay.toml`."""
    tools: tuple[str, ...] = ("ls", "read_file", "write_file", "edit_file", "glob", "grep", "execute")
    """What the role may call; each call is then judged by the rules."""
    sandbox: str = "default"
    """Name of a profile under `[sandboxes]`."""
    paths: tuple[str, ...] = ()
    """gitignore-style patterns that narrow further what the role may change; empty narrows nothing."""
    budget: Budget = Budget()
    rules: ToolRules = ToolRules()


class ProjectSettings(Record):
    """`[project]`: what kind of repository this is."""

    root: str = "."
    """Folder of a monorepo in which commands run."""
    runner: Literal["pytest", "node", "junit"] = "pytest"
    """What runs the tests and names them: pytest; `node --test`; or `test_command`, whatever it is, which writes what
    its tests did into JUnit XML."""
    test_command: tuple[str, ...] = ()
    """Arguments added to the runner's own, for instance `["-m", "not slow"]`; with the runner `junit` the whole
    command."""
    report: str = ""
    """For the runner `junit`: the XML that the command writes, relative to `root`; `*` and `**` stand for names."""
    source_roots: tuple[str, ...] = (".", "src")
    """Folders put on the import path, relative to `root`."""


class PathSettings(Record):
    """`[paths]`: which files are what, gitignore-style."""

    tests: tuple[str, ...] = (
        *("tests/", "test/", "test_*.py", "*_test.py", "conftest.py"),
        *("*[._-]test.[jt]s", "*[._-]test.[cm][jt]s", "test-*.js", "test-*.[cm]js", "test.js", "test.[cm]js"),
    )
    """Where the tester may write, and the coder may not; what helps the tests belongs to it."""
    protected: tuple[str, ...] = ()
    """What no role may change, beside the built-in harness and CI files."""


class UnitSettings(Record):
    """`[units]`: what holds for each unit of a plan."""

    budget: Budget = Budget()
    """Of one unit: all roles and all their tries at it together."""


class CheckpointSettings(Record):
    """`[checkpoints]`: where a person is asked although nothing is wrong."""

    plan: bool = True
    """Whether a person sees the plan before work begins."""
    delivery: bool = True
    """Whether a person sees everything before it is delivered."""
    unproven: bool = False
    """Whether a person is asked about a proven unit of which lines could be otherwise without any check's noticing. A
    message sends them to the tester, who states more; the coder's work is kept."""


class ProofSettings(Record):
    """`[proof]`: how hard a claim is examined."""

    level: Literal["A", "B", "C"] | None = None
    """Least level at which a claim counts as proven. C: by its tests. B: by tests that were seen to fail when their
    expectations are perturbed, too. A: by such tests, some of them held out, with the judge in one sandbox and the
    program in another; what needs more than plain values to cross stays at B. Left out, it is B for pytest, and C for
    other runners, which reach no more."""
    budget_seconds: Annotated[float, Field(gt=0)] | None = None
    """Time for the proof of one claim. What is left when it is over is not begun, and the verdict names it: steps
    that only add to a proof are left out, and without one that it needs the claim is inconclusive."""
    twins: Annotated[int, Field(ge=1)] = 400
    """How many of the base's tests are run with perturbed expectations; of more, a sample that no author can choose."""
    baseline_runs: Annotated[int, Field(ge=1, le=20)] = 2
    """Runs of the unchanged tests at the base; only ids that pass all of them count for regression."""
    probed: Annotated[int, Field(ge=0, le=200)] = 40
    """Public functions whose calls in the base's tests are done again, and varied, on base and head; 0 does without."""
    replicates: Annotated[int, Field(ge=1, le=50)] = 2
    """Fresh sandboxes in which a refutation must reproduce."""
    jittered: Annotated[int, Field(ge=0, le=20)] = 3
    """Fresh sandboxes with other surroundings (order, hash seed, time zone, …) in which what was shown must hold."""
    ablations: Annotated[int, Field(ge=0, le=500)] = 24
    """Most executions in which parts of the change are taken out, to see whether some check needs them."""
    mutants: Annotated[int, Field(ge=0, le=1000)] = 60
    """Most mutants of changed lines that are tried, to see whether some check tells them from what was written; of
    more, a sample. They go by the first execution of `ablations`; 0 does without."""
    sandbox: str = "default"
    """Name of the profile in which checks run."""
    sandboxes: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many of them one proof uses at once. Left out, one for each processor of this machine, at least two and at
    most eight. A suite that is long enough is divided over them."""
    seconds: Annotated[float, Field(gt=0)] = 600.0
    """Time limit of one execution of the suite."""


class GateSettings(Record):
    """`[gates.NAME]`: a rule over the whole change."""

    kind: GateKind | None = None
    """What it looks for in the change: see docs/gates.md. `speed` runs `command`, the others need none."""
    command: tuple[str, ...] = ()
    """Run at base and head; what fails only at head is the change's."""
    sarif: str = ""
    """The SARIF file that the command writes, in the project or below `/tmp`: then its findings count and not its exit
    code, and a finding that the base has, too, is not blamed on the change."""
    max_files: int | None = None
    """How many files a change may touch."""
    max_lines: int | None = None
    """How many lines a change may add and remove together."""
    at_most: Annotated[float, Field(gt=0)] | None = None
    """For `speed`: how long the head may take, as a part of what the base takes; 1.1 is a tenth more."""
    paths: tuple[str, ...] = ()
    """For `data`: gitignore-style patterns of what must not leave, so that no change may hold it."""
    patterns: tuple[str, ...] = ()
    """For `data`: regular expressions of what must not leave; held against the lines that a change adds."""
    rules: tuple[str, ...] = ()
    """For `security`: files or folders with semgrep's rules, on this machine, absolute or relative to what names
    them, the organisation's file or the repository; then semgrep runs beside bandit."""
    allowed: tuple[str, ...] = ()
    """For `licences`: identifiers of SPDX that a dependency may have; empty takes the usual permissive ones, and
    `NONE` alone allows none."""
    on_failure: Literal["block", "ask", "warn"] = "ask"
    """What a failure means: the unit ends, a person may waive it, or it is only shown."""


class Settings(Record):
    """Everything that `assay.toml` says, with the built-in defaults for what it leaves out."""

    preset: Preset | None = None
    """A built-in policy that this file builds on, and only tightens. `assay policy show --preset NAME` prints it."""
    fixed: tuple[str, ...] = ()
    """Settings which no lower layer may change, dotted, `*` for any name: `agents.*.model`, `project`."""
    project: ProjectSettings = ProjectSettings()
    agents: dict[str, RoleSettings] = {}
    sandboxes: dict[str, SandboxProfile] = {}
    paths: PathSettings = PathSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    proof: ProofSettings = ProofSettings()
    gates: dict[str, GateSettings] = {}
    units: UnitSettings = UnitSettings()
    budget: Budget = Budget()
    """Of the whole run."""
    prices: dict[str, tuple[float, float]] = {}
    """Model name to price per million input and output tokens."""

    def role(self, name: str) -> RoleSettings:
        """Return the settings of a role, the defaults where it has none."""
        return self.agents.get(name, RoleSettings())

    def sandbox(self, name: str) -> SandboxProfile:
        """Return a sandbox profile; `default` always exists. Raises KeyError for an unknown name."""
        return SandboxProfile() if name == "default" and name not in self.sandboxes else self.sandboxes[name]
