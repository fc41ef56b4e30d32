"""Whether everything that one tool rule names is named by another one, too: certain where it says yes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from assay.errors import ConfigurationError
from assay.policies.file_rules import FILE_TOOLS
from assay.policies.parts import Part
from assay.policies.patterns import BREAK, DYNAMIC, CommandPattern, PatternIndex
from assay.policies.rulings import Rule, parse_rule
from assay.policies.words import Word

_EVERYTHING: Final = ("*", "**")
_WILD: Final = re.compile(r"[*?\[\\!]")


class Bounds:
    """Rules within which others must lie, ready to be asked about a thousand."""

    def __init__(self, rules: Iterable[str]) -> None:
        """Read the rules; one that is none bounds nothing."""
        known = [rule for text in rules if (rule := _parsed(text)) is not None]
        self._exact = frozenset((rule.tool, rule.pattern) for rule in known)
        self._folders = frozenset((rule.tool, rule.pattern) for rule in known if _is_file(rule))
        """Tool and pattern; a pattern that is everything below a folder is found by the folders of another one."""
        commands: dict[str, list[CommandPattern]] = {}
        for rule in known:
            if not _is_file(rule):
                commands.setdefault(rule.tool, []).append(CommandPattern(rule.pattern))
        self._commands = {tool: PatternIndex(patterns) for tool, patterns in commands.items()}

    def admit(self, text: str) -> bool:
        """Whether a rule names nothing that one of the bounds does not. No, where that cannot be told."""
        rule = _parsed(text)
        if rule is None:
            return False
        if (rule.tool, rule.pattern) in self._exact:
            return True
        return self._admit_path(rule) if _is_file(rule) else self._admit_command(rule)

    def _admit_command(self, rule: Rule) -> bool:
        """Whether one pattern for commands fits, whatever the stars of this one stand for."""
        index = self._commands.get(rule.tool)
        if index is None:
            return False
        samples = CommandPattern(rule.pattern).samples(DYNAMIC)
        return any(all(bound.covers(text) for text in samples) for _, bound in index.candidates(samples[0]))

    def _admit_path(self, rule: Rule) -> bool:
        """Whether a bound is everything, or everything below a folder in which this gitignore-style pattern lies."""
        tools = (rule.tool, "*") if rule.tool != "*" else ("*",)
        outside = rule.pattern.startswith("//")
        plain = rule.pattern[outside:].removeprefix("/")
        wider = [f"{'//' if outside else ''}{everything}" for everything in _EVERYTHING]
        anchored = "/" in rule.pattern.rstrip("/")  # `src/` alone means every folder of that name, at any depth
        if anchored and "!" not in plain and ".." not in plain.split("/"):
            ends = [found.end() for found in re.finditer("/", plain)]
            folders = [plain[:end] for end in ends if not _WILD.search(plain[:end])]
            wider += [f"{lead}{folder}**" for folder in folders for lead in (("//",) if outside else ("", "/"))]
        return any((tool, pattern) in self._folders for tool in tools for pattern in (*wider, rule.pattern))


def rule_within(inner: str, outer: str) -> bool:
    """Whether a rule names nothing that the outer one does not. No, where that cannot be told, or one is no rule."""
    return Bounds([outer]).admit(inner)


def may_share(asked: str, allowed: str) -> bool:
    """Whether some call may be named by both rules. No, only where that is certain.

    Args:
        asked: a rule that looks at a command in every form: without assignments, options and the program's folder.
        allowed: a rule that looks at it as it is written.
    """
    one, other = _parsed(asked), _parsed(allowed)
    if one is None or other is None:
        return True
    if _is_file(one) or _is_file(other):
        return _is_file(one) and _is_file(other) and (one.tool == other.tool or "*" in (one.tool, other.tool))
    if one.tool != other.tool:
        return False
    pattern = CommandPattern(one.pattern)
    return any(
        pattern.may_meet(form) for text in CommandPattern(other.pattern).samples(DYNAMIC) for form in _forms(text)
    )


def _forms(text: str) -> Iterator[str]:
    """Yield the forms of a command of which parts are open, so that each form it may have fits one of them."""
    words = text.split(BREAK)
    first = words[0]
    if "=" in first or DYNAMIC in first or re.search(r"\s", first):  # what the program is cannot be told
        yield DYNAMIC
        return
    yield text
    yield from Part(tuple(Word(word) for word in words)).forms()
    kept = [DYNAMIC if DYNAMIC in word else word for word in words[1:] if DYNAMIC in word or not word.startswith("-")]
    yield BREAK.join([first.rsplit("/", 1)[-1], *kept])


def _parsed(text: str) -> Rule | None:
    try:
        return parse_rule(text, "allow", 0)
    except ConfigurationError:
        return None


def _is_file(rule: Rule) -> bool:
    return rule.tool in FILE_TOOLS or rule.tool == "*"
