"""What a tool rule is, and what holding a call against rules gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from assay.errors import ConfigurationError
from assay.policies.positions import KeyPath
from assay.policies.settings import ToolRule, ToolRules
from assay.records.base import Record

Outcome = Literal["allow", "ask", "deny"]
EFFECTS: Final[tuple[Outcome, ...]] = ("deny", "ask", "allow")
"""In the order in which the lists are judged."""

_RULE: Final = re.compile(r"([A-Za-z_][\w-]*|\*)(?:\((.*)\))?", re.DOTALL)


class RuleDecision(Record):
    """Whether a tool call may be made, and which rule says so."""

    outcome: Outcome
    rule: str | None = None
    """The rule as written; None where no rule fits, or where none is needed to refuse."""
    place: str = ""
    """Where the rule stands: `agents.coder.rules.deny[0]`."""
    reason: str
    """One sentence, for the agent and for people."""
    part: str = ""
    """The part of a command line, or the path, that decided; `…` is what is known only when it runs."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one list, taken apart."""

    effect: Outcome
    number: int
    tool: str
    pattern: str
    text: str
    """As written."""

    def place(self, origin: str) -> str:
        """Return where the rule stands, below `origin`."""
        return f"{origin}.{self.effect}[{self.number}]"


def place_path(role: str, place: str) -> KeyPath:
    """Return the path in the settings of a rule's place, `agents.coder.rules.deny[0]`."""
    effect, _, number = place.rpartition(".")[2].partition("[")
    return ("agents", role, "rules", effect, int(number.removesuffix("]")))


def parse_rule(text: str, effect: Outcome, number: int) -> Rule:
    """Return the rule in `tool(pattern)`; `tool` alone is `tool(*)`. Raises ConfigurationError."""
    found = _RULE.fullmatch(text.strip())
    if found is None or found[2] == "":
        raise ConfigurationError(
            f"{text!r} is not a tool rule",
            next_step='write the tool and what it may do, for instance "execute(git push *)" or "write_file(src/**)"',
        )
    return Rule(effect, number, found[1], "*" if found[2] is None else found[2].strip() or "*", text)


def parse_rules(rules: ToolRules) -> tuple[Rule, ...]:
    """Return all rules of the three lists. Raises ConfigurationError for one that is none."""
    return tuple(
        parse_rule(rule.rule if isinstance(rule, ToolRule) else rule, effect, number)
        for effect in EFFECTS
        for number, rule in enumerate(getattr(rules, effect))
    )


def strictest(decisions: Iterable[RuleDecision]) -> RuleDecision:
    """Return the first of the strictest decisions; there is at least one."""
    return min(decisions, key=lambda decision: EFFECTS.index(decision.outcome))
