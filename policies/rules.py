"""Tool rules: whether a role may make a tool call. What no rule names is denied."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from assay.errors import ConfigurationError
from assay.policies.command_rules import CommandRules
from assay.policies.file_rules import FILE_TOOLS, FileRules
from assay.policies.patterns import CommandPattern
from assay.policies.rulings import EFFECTS, Outcome, RuleDecision, parse_rules
from assay.policies.settings import ToolRule, ToolRules
from assay.records.base import canonical_json

COMMAND_TOOL = "execute"


class RuleBook:
    """The rules of one role, ready to judge calls. Make one and keep it: reading many rules takes a moment."""

    def __init__(self, rules: ToolRules, *, origin: str = "rules") -> None:
        """Read the rules.

        Args:
            rules: the three lists.
            origin: where they stand, for `RuleDecision.place`: `agents.coder.rules`.

        Raises ConfigurationError for a rule that is none.
        """
        self._origin = origin
        parsed = parse_rules(rules)
        self._commands = CommandRules((r for r in parsed if r.tool == COMMAND_TOOL), origin=origin)
        self._files = FileRules((r for r in parsed if r.tool in FILE_TOOLS or r.tool == "*"), origin=origin)
        self._others = tuple(r for r in parsed if r.tool != COMMAND_TOOL and r.tool not in FILE_TOOLS | {"*"})

    def decide(self, tool: str, args: Mapping[str, JsonValue]) -> RuleDecision:
        """Return whether the call may be made: `allow`, `ask` a person, or `deny`; never raises."""
        if tool == COMMAND_TOOL:
            command = args.get("command")
            if not isinstance(command, str):
                return RuleDecision(outcome="deny", reason="execute names no command")
            return self._commands.decide(command)
        if tool in FILE_TOOLS:
            return self._files.decide(tool, args)
        text = canonical_json(dict(args)).decode()
        for effect in EFFECTS:
            for rule in self._others:
                if rule.effect == effect and rule.tool == tool and CommandPattern(rule.pattern).meets(text):
                    reason = f"{tool} fits {rule.text!r} under `{effect}`"
                    place = rule.place(self._origin)
                    return RuleDecision(outcome=effect, rule=rule.text, place=place, reason=reason)
        return RuleDecision(outcome="deny", reason=f"no rule allows {tool}")


def decide(rules: ToolRules, tool: str, args: Mapping[str, JsonValue]) -> RuleDecision:
    """Return whether a role with these rules may call a tool with these arguments.

    Raises ConfigurationError for a rule that is none; never for a call.
    """
    return RuleBook(rules).decide(tool, args)


def check_examples(rules: ToolRules) -> tuple[tuple[Outcome, int, str], ...]:
    """Hold every rule against its own examples; return list, number and what is wrong for each that fails."""
    problems: list[tuple[Outcome, int, str]] = []
    for effect in EFFECTS:
        for number, rule in enumerate(getattr(rules, effect)):
            if isinstance(rule, ToolRule):
                problems += [(effect, number, problem) for problem in _failed_examples(effect, rule)]
    return tuple(problems)


def _failed_examples(effect: Outcome, rule: ToolRule) -> list[str]:
    """Judge the examples by this rule alone: for `deny` and `ask`, everything else is allowed."""
    tool = parse_rules(ToolRules(allow=(rule,)))[0].tool
    alone = ToolRules(allow=(rule,))
    if effect == "deny":
        alone = ToolRules(deny=(rule,), allow=(tool,))
    elif effect == "ask":
        alone = ToolRules(ask=(rule,), allow=(tool,))
    book = RuleBook(alone)
    problems: list[str] = []
    for examples, wanted in ((rule.matches, True), (rule.not_matches, False)):
        for example in examples:
            try:
                outcome = book.decide("read_file" if tool == "*" else tool, _example_args(tool, example)).outcome
            except ValueError as error:
                problems.append(f"the example {example!r} is not JSON: {error}")
                continue
            if (outcome == effect) is not wanted:
                problems.append(f"{rule.rule!r} {'does not match' if wanted else 'matches'} its example {example!r}")
    return problems


def _example_args(tool: str, example: str) -> dict[str, JsonValue]:
    if tool == COMMAND_TOOL:
        return {"command": example}
    if tool in FILE_TOOLS or tool == "*":
        return {"path": example}
    import json

    read: JsonValue = json.loads(example)
    if not isinstance(read, dict):
        raise ConfigurationError(f"the example {example!r} is not a JSON object")
    return read
