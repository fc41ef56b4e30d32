"""Which of two values of a setting is the tighter one: said for every setting, so that a lower layer can only tighten.

The table is total: `tests/policies/test_layers.py` holds it against every field of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from assay.policies.egress import parse_destination, parse_network
from assay.policies.inclusion import Bounds, may_share, rule_within
from assay.policies.settings import ToolRule

Kind = Literal["less", "more", "true", "ranked", "fewer", "added", "narrower", "rules", "kept", "free"]
WORDS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "less": "less",
        "more": "more",
        "true": "`true`",
        "fewer": "fewer",
        "added": "more: lists add up",
        "narrower": "fewer patterns, more `!` ones",
        "rules": "within the upper layer's rules",
        "kept": "none: what an upper layer says stays",
        "free": "none: free, or `fixed`",
    }
)
"""For the reference; what is ranked has its own words."""


@dataclass(frozen=True, slots=True)
class Tightness:
    """How the values of one setting compare."""

    kind: Kind
    ranks: tuple[str, ...] = ()
    """For what is ranked, from loose to tight."""
    nothing: str = ""
    """For a list that means a built-in one where it is empty: the entry that stands for none at all."""

    @property
    def words(self) -> str:
        """What is tighter, for people."""
        words = " < ".join(f"`{rank}`" for rank in self.ranks) if self.ranks else WORDS[self.kind]
        return f"{words}, but not none" if self.nothing else words

    def loosens(self, upper: Any, lower: Any) -> bool:
        """Whether `lower` allows anything that `upper` does not; None is what no layer said, and binds nobody."""
        match self.kind:
            case "less":
                return upper is not None and (lower is None or lower > upper)
            case "more":
                return lower is not None and (upper is None or lower < upper)
            case "true":
                return bool(upper) and not lower
            case "ranked":
                return upper is not None and (lower is None or self._rank(lower) < self._rank(upper))
            case "fewer":
                if self.nothing and not lower:
                    return bool(upper)
                return any(not any(_within(item, bound) for bound in upper) for item in lower)
            case "narrower":
                return not _narrower(tuple(upper), tuple(lower))
            case "kept":
                return bool(upper != lower)
            case "added":  # a pattern with `!` takes back what is listed
                return bool(upper) and any(str(item).startswith("!") and item not in upper for item in lower)
            case "rules" | "free":
                return False

    def _rank(self, value: str) -> int:
        return self.ranks.index(value)

    def meet(self, one: Any, other: Any) -> Any:
        """Return the tighter of two values, or what is as tight as both; for what has no order, the first."""
        match self.kind:
            case "added":
                joined = list(one)
                for item in other:
                    if item not in joined:
                        joined.append(item)
                return joined
            case "fewer":
                if self.nothing and not (one and other):
                    return one
                inside = [item for item in one if any(_within(item, bound) for bound in other)]
                inside += [o for o in other if o not in inside and any(_within(o, bound) for bound in one)]
                return inside or ([self.nothing] if self.nothing else [])
            case "kept" | "free" | "rules":
                return one
            case "narrower":
                return other if one == [] or self.loosens(other, one) else one
            case _:
                return other if self.loosens(other, one) else one


def _within(item: Any, bound: Any) -> bool:
    """Whether one entry of a list allows nothing beyond another: of a list of hosts, ranges, tools or mounts."""
    if item == bound:
        return True
    if not isinstance(item, str) or not isinstance(bound, str):
        return False
    with suppress(ValueError):
        return parse_destination(bound).covers(parse_destination(item))
    with suppress(ValueError, TypeError):  # of two versions of IP
        return parse_network(item).subnet_of(parse_network(bound))  # type: ignore[arg-type]
    return False


def _narrower(upper: tuple[str, ...], lower: tuple[str, ...]) -> bool:
    """Whether gitignore-style patterns match nothing that the upper ones do not; an empty list narrows nothing.

    That is certain where the lower list is the upper one, in its order, with patterns left out that add, and with
    patterns put in that take away. (Other lists may be narrower, too: these are not looked for.)
    """
    if not upper or not lower:
        return not upper
    at = 0
    for pattern in lower:
        places = range(at, len(upper))
        found = next((n for n in places if upper[n] == pattern), None)
        if found is None:
            if not pattern.startswith("!"):
                return False
            continue
        if any(upper[n].startswith("!") for n in range(at, found)):
            return False
        at = found + 1
    return not any(pattern.startswith("!") for pattern in upper[at:])


def loosening_rules(
    upper: Mapping[str, Sequence[Any]], lower: Mapping[str, Sequence[Any]]
) -> tuple[tuple[str, int, str], ...]:
    """Return list and number of each rule by which a lower layer loosens the rules of an upper one, and its text.

    Args:
        upper: the lists that are said above; without `allow` there, nothing bounds what may be allowed or asked.
        lower: the lists of the lower layer.

    A rule for `deny` only tightens. One for `allow` must lie within what may be done above, one for `ask` within
    what may be done or asked, for what no rule names is denied.
    """
    if "allow" not in upper:
        return ()
    allowed = [rule_text(rule) for rule in upper["allow"]]
    bounds = {"allow": Bounds(allowed), "ask": Bounds([*allowed, *map(rule_text, upper.get("ask", ()))])}
    return tuple(
        (effect, number, rule_text(rule))
        for effect, within in bounds.items()
        for number, rule in enumerate(lower.get(effect, ()))
        if not within.admit(rule_text(rule))
    )


def asked_within(asked: Any, allowed: Sequence[Any]) -> list[Any]:
    """Return what of a rule that asks is allowed otherwise: the rule, rules that are allowed within it, or nothing.

    Where that cannot be told the rule stays whole.
    """
    text, texts = rule_text(asked), [rule_text(rule) for rule in allowed]
    if Bounds(texts).admit(text):
        return [asked]
    met = [rule for rule in texts if may_share(text, rule)]
    return met if all(rule_within(rule, text) for rule in met) else [asked]


def common_rules(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Return the rules of either list that lie within one of the other: what both lists allow, as far as that shows."""
    within_one, within_other = Bounds(map(rule_text, one)), Bounds(map(rule_text, other))
    found = [rule for rule in one if within_other.admit(rule_text(rule))]
    more = [rule for rule in other if within_one.admit(rule_text(rule))]
    return [*found, *(rule for rule in more if rule not in found)]


def rule_text(rule: Any) -> str:
    """Return a rule as written, with or without examples."""
    if isinstance(rule, ToolRule):
        return rule.rule
    return str(rule["rule"]) if isinstance(rule, dict) else str(rule)


def tightness_of(path: Sequence[str | int]) -> Tightness | None:
    """Return how the values at a path compare; None for a path that is no setting but a table, or is none at all."""
    return TIGHTNESS.get(pattern_of(path))


def pattern_of(path: Sequence[str | int]) -> str:
    """Return the row of the table for a path: `agents.*.model`."""
    steps = [str(step) for step in path]
    if steps and steps[0] in NAMED and len(steps) > 1:
        steps[1] = "*"
    if len(steps) == 4 and steps[0] == "sandboxes" and steps[2] == "environment":
        steps[3] = "*"
    return ".".join(steps)


NAMED: Final = ("agents", "sandboxes", "gates", "prices")
"""Tables whose keys are names."""
EVERY: Final = "*"
"""Name that stands for each role, profile or gate, also those that a lower layer adds."""

_LESS, _MORE, _TRUE = Tightness("less"), Tightness("more"), Tightness("true")
_FEWER, _ADDED, _KEPT, _FREE = Tightness("fewer"), Tightness("added"), Tightness("kept"), Tightness("free")
_RULES = Tightness("rules")

_BUDGET: Final = dict.fromkeys(("model_calls", "tokens", "money", "seconds", "commands", "attempts"), _LESS)
_LIMITS: Final = (
    *("memory_mb", "workspace_mb", "scratch_mb", "inodes", "processes", "open_files", "cpus", "output_bytes"),
    "seconds",
)
_EGRESS: Final = ("connections", "requests", "megabytes", "seconds", "idle_seconds")


def _below(prefix: str, rows: Mapping[str, Tightness]) -> dict[str, Tightness]:
    return {f"{prefix}.{name}": tightness for name, tightness in rows.items()}


TIGHTNESS: Final[Mapping[str, Tightness]] = MappingProxyType(
    {
        "preset": _FREE,
        "fixed": _ADDED,
        **_below("project", dict.fromkeys(("root", "runner", "test_command", "report", "source_roots"), _FREE)),
        **_below("agents.*", dict.fromkeys(("model", "parameters", "prompt", "sandbox"), _FREE)),
        "agents.*.tools": _FEWER,
        "agents.*.paths": Tightness("narrower"),
        **_below("agents.*.budget", _BUDGET),
        "agents.*.rules.deny": _ADDED,
        "agents.*.rules.ask": _RULES,
        "agents.*.rules.allow": _RULES,
        **_below("sandboxes.*", dict.fromkeys(("image", "user", "held_out", "hostname", "dependencies"), _FREE)),
        "sandboxes.*.workspace": Tightness("ranked", ("read-write", "read-only")),
        "sandboxes.*.environment.*": _FREE,
        "sandboxes.*.mounts": _FEWER,
        "sandboxes.*.warm": _LESS,
        "sandboxes.*.runtime": _KEPT,
        **_below("sandboxes.*.limits", dict.fromkeys(_LIMITS, _LESS)),
        "sandboxes.*.egress.allow": _FEWER,
        "sandboxes.*.egress.networks": _FEWER,
        **_below("sandboxes.*.egress", dict.fromkeys(_EGRESS, _LESS)),
        "paths.tests": _KEPT,
        "paths.protected": _ADDED,
        "checkpoints.plan": _TRUE,
        "checkpoints.delivery": _TRUE,
        "checkpoints.unproven": _TRUE,
        "proof.level": Tightness("ranked", ("C", "B", "A")),
        "proof.budget_seconds": _MORE,
        **_below(
            "proof",
            dict.fromkeys(
                ("twins", "baseline_runs", "probed", "replicates", "jittered", "ablations", "mutants"), _MORE
            ),
        ),
        "proof.sandbox": _FREE,
        "proof.sandboxes": _LESS,
        "proof.seconds": _LESS,
        **_below("gates.*", dict.fromkeys(("kind", "command", "sarif"), _KEPT)),
        "gates.*.max_files": _LESS,
        "gates.*.max_lines": _LESS,
        "gates.*.at_most": _LESS,
        "gates.*.paths": _ADDED,
        "gates.*.patterns": _ADDED,
        "gates.*.rules": _ADDED,
        "gates.*.allowed": Tightness("fewer", nothing="NONE"),  # as SPDX calls it
        "gates.*.on_failure": Tightness("ranked", ("warn", "ask", "block")),
        **_below("units.budget", _BUDGET),
        **_below("budget", _BUDGET),
        "prices.*": _KEPT,
    }
)
"""Setting, with `*` for a name, to how its values compare."""
