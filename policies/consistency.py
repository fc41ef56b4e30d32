"""What makes no sense in settings although every value is of its type."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Final

from pathspec import GitIgnoreSpec

from assay.errors import ConfigurationError
from assay.policies.budgets import price_of
from assay.policies.egress import parse_destination, parse_network
from assay.policies.file_rules import FILE_TOOLS
from assay.policies.positions import KeyPath
from assay.policies.rules import COMMAND_TOOL, check_examples
from assay.policies.rulings import EFFECTS, parse_rule
from assay.policies.settings import GateSettings, RoleSettings, Settings, ToolRule

TOOLS: Final = frozenset({*FILE_TOOLS, COMMAND_TOOL})

Problem = tuple[KeyPath, str]


def inconsistencies(settings: Settings, *, roles: Collection[str], tools: Collection[str]) -> Iterator[Problem]:
    """Yield where a file's settings contradict each other or can have no effect, and why.

    Args:
        settings: as the file gives them, without the built-in defaults.
        roles: the names of all roles that there are.
        tools: names of tools that a platform adds.
    """
    for name, role in settings.agents.items():
        if name not in roles:
            yield ("agents", name), f"unknown role {name!r}; {_hint(name, roles)}"
        yield from _role(settings, name, role, {*TOOLS, *tools})
    yield from _sandbox(settings, ("proof", "sandbox"), settings.proof.sandbox)
    yield from _ways_out(settings)
    for name, gate in settings.gates.items():
        yield from _gate(name, gate)
    yield from _patterns(("paths", "tests"), settings.paths.tests)
    yield from _patterns(("paths", "protected"), settings.paths.protected)
    if not settings.paths.tests:
        yield ("paths", "tests"), "without test paths nothing is a test, and nothing can be proven"
    yield from _folder(("project", "root"), settings.project.root)
    for number, root in enumerate(settings.project.source_roots):
        yield from _folder(("project", "source_roots", number), root)
    yield from _runner(settings)
    yield from _money(settings)


def _hint(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"


def _role(settings: Settings, name: str, role: RoleSettings, tools: Collection[str]) -> Iterator[Problem]:
    place: KeyPath = ("agents", name)
    yield from _sandbox(settings, (*place, "sandbox"), role.sandbox)
    yield from _patterns((*place, "paths"), role.paths)
    if role.model and not all(role.model.partition(":")):
        yield (*place, "model"), f'{role.model!r} is no model; write provider:model, for instance "openai:gpt-5"'
    for number, tool in enumerate(role.tools):
        if tool not in tools:
            yield (*place, "tools", number), f"unknown tool {tool!r}; {_hint(tool, tools)}"
    wrong = set()
    for effect in EFFECTS:
        for number, rule in enumerate(getattr(role.rules, effect)):
            for problem in _rule(rule.rule if isinstance(rule, ToolRule) else rule, tools):
                wrong.add((effect, number))
                yield (*place, "rules", effect, number), problem
    if not wrong:
        for effect, number, problem in check_examples(role.rules):
            yield (*place, "rules", effect, number), problem


def _rule(text: str, tools: Collection[str]) -> Iterator[str]:
    try:
        rule = parse_rule(text, "deny", 0)
    except ConfigurationError as error:
        yield f"{error.message}; {error.next_step}"
        return
    if rule.tool != "*" and rule.tool not in tools:
        yield f"unknown tool {rule.tool!r} in {text!r}; {_hint(rule.tool, tools)}"
    elif rule.tool in FILE_TOOLS or rule.tool == "*":
        yield from _pattern(rule.pattern)
        if rule.pattern.startswith("!"):
            yield f"{text!r}: a rule takes nothing back; put what is excepted under `deny`"


def _sandbox(settings: Settings, place: KeyPath, name: str) -> Iterator[Problem]:
    known = {"default", *settings.sandboxes}
    if name not in known:
        yield place, f"there is no sandbox profile {name!r}; {_hint(name, known)}"


def _ways_out(settings: Settings) -> Iterator[Problem]:
    for name, profile in settings.sandboxes.items():
        place: KeyPath = ("sandboxes", name, "egress")
        for key, parse in (("allow", parse_destination), ("networks", parse_network)):
            for number, text in enumerate(getattr(profile.egress, key)):
                try:
                    parse(text)
                except ValueError as error:
                    yield (*place, key, number), str(error)
        if profile.egress.networks and not profile.egress.granted:
            yield (*place, "networks"), "ranges without hosts in `allow` lead nowhere"
        if name == settings.proof.sandbox and profile.egress.granted:
            yield ("proof", "sandbox"), f"a proof has no way out, and the profile {name!r} grants one; name another"


_GATE_KEYS: Final = {
    "at_most": "speed", "paths": "data", "patterns": "data", "rules": "security", "allowed": "licences",
}  # fmt: skip
"""Setting of a gate to the one kind that reads it."""


def _gate(name: str, gate: GateSettings) -> Iterator[Problem]:
    place: KeyPath = ("gates", name)
    if gate.kind is None and not gate.command and gate.max_files is None and gate.max_lines is None:
        yield place, f"the gate {name!r} has nothing to look at; give kind, command, max_files or max_lines"
    if gate.command and not gate.command[0].strip():
        yield (*place, "command"), f"the command of the gate {name!r} has no program"
    for bound in ("max_files", "max_lines"):
        if (value := getattr(gate, bound)) is not None and value < 0:
            yield (*place, bound), f"{bound} must be 0 or more, not {value}"
    for key, kind in _GATE_KEYS.items():
        if getattr(gate, key) not in (None, ()) and gate.kind != kind:
            yield (*place, key), f'{key} is for a gate with kind = "{kind}"'
    if gate.kind == "speed" and (not gate.command or gate.at_most is None):
        yield (*place, "kind"), "a gate of the kind 'speed' needs command, the benchmark, and at_most, the bound"
    if gate.command and gate.kind not in (None, "speed"):
        yield (*place, "command"), f"a gate of the kind {gate.kind!r} runs no command; give that a gate of its own"
    if gate.sarif and (not gate.command or gate.kind is not None):
        yield (*place, "sarif"), "sarif names what a command writes: it needs command, and no kind"
    yield from _patterns((*place, "paths"), gate.paths)
    for number, pattern in enumerate(gate.patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            yield (*place, "patterns", number), f"{pattern!r} is no regular expression: {error}"


def _patterns(place: KeyPath, patterns: tuple[str, ...]) -> Iterator[Problem]:
    for number, pattern in enumerate(patterns):
        for problem in _pattern(pattern):
            yield (*place, number), problem


def _pattern(pattern: str) -> Iterator[str]:
    """Yield why a gitignore-style pattern is none, or can never match."""
    try:
        compiled = GitIgnoreSpec.from_lines([pattern]).patterns
    except ValueError:
        compiled = []
    if not compiled or compiled[0].include is None:
        yield f"{pattern!r} is no pattern that could match a path"
    elif ".." in pattern.split("/"):
        yield f"{pattern!r} matches nothing: paths in a tree hold no `..`"


def _folder(place: KeyPath, folder: str) -> Iterator[Problem]:
    plain = posixpath.normpath(folder)
    if folder.startswith("/") or plain == ".." or plain.startswith("../"):
        yield place, f"{folder!r} must be a folder inside the repository, relative to its root"


def _runner(settings: Settings) -> Iterator[Problem]:
    """What the runner `junit` needs and the others have no use for; and no other reaches a level above C."""
    project = settings.project
    if project.runner == "junit":
        if not project.test_command or not project.test_command[0].strip():
            yield ("project", "runner"), "the runner 'junit' needs test_command, the command that runs the tests"
        if not project.report:
            yield ("project", "runner"), "the runner 'junit' needs report, the XML that the command writes"
        elif project.report.startswith("/"):
            if not posixpath.normpath(project.report).startswith("/tmp/"):  # noqa: S108 - in the sandbox
                yield ("project", "report"), f"{project.report!r} must lie in the project or below /tmp"
        else:
            yield from _folder(("project", "report"), project.report)
    elif project.report:
        yield ("project", "report"), f"report is for the runner 'junit', and the runner is {project.runner!r}"
    if project.runner != "pytest" and settings.proof.level in ("A", "B"):
        yield (
            ("proof", "level"),
            f"level {settings.proof.level} cannot be reached with the runner {project.runner!r}: what is judged "
            "writes its own report",
        )


def _money(settings: Settings) -> Iterator[Problem]:
    """A bound on money needs a price for each model that the file names."""
    for name, role in settings.agents.items():
        budgets = (settings.budget, settings.units.budget, role.budget)
        bounded = any(budget.money is not None for budget in budgets)
        if bounded and role.model and price_of(role.model, settings.prices) is None:
            yield ("agents", name, "model"), f"money is limited, and [prices] has no price for {role.model!r}"
