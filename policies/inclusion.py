"""Whether everything that one tool rule names is named by another one, too: certain where it says yes."""

from __future__ import annotations

import re
from typing import Final

from assay.errors import ConfigurationError
from assay.policies.file_rules import FILE_TOOLS
from assay.policies.patterns import DYNAMIC, CommandPattern
from assay.policies.rulings import parse_rule

_EVERYTHING: Final = ("*", "**")
_WILD: Final = re.compile(r"[*?\[\\!]")


def rule_within(inner: str, outer: str) -> bool:
    """Whether a rule names nothing that the outer one does not. No, where that cannot be told, or one is no rule."""
    try:
        small, large = parse_rule(inner, "allow", 0), parse_rule(outer, "allow", 0)
    except ConfigurationError:
        return False
    if large.tool not in (small.tool, "*") or (large.tool == "*" and small.tool not in FILE_TOOLS | {"*"}):
        return False
    if small.pattern == large.pattern:
        return True
    if small.tool in FILE_TOOLS or small.tool == "*":
        return _path_within(small.pattern, large.pattern)
    return _command_within(small.pattern, large.pattern)


def _command_within(inner: str, outer: str) -> bool:
    """Whether a pattern for commands fits whatever the stars of another one stand for."""
    small, large = CommandPattern(inner), CommandPattern(outer)
    return all(large.covers(text) for text in small.samples(DYNAMIC))


def _path_within(inner: str, outer: str) -> bool:
    """Whether a gitignore-style pattern lies below another one that ends in `/**` or is everything."""
    outside = outer.startswith("//")
    if inner.startswith("//") != outside:
        return False
    small, large = inner[outside:].removeprefix("/"), outer[outside:].removeprefix("/")
    if large in _EVERYTHING:
        return True
    folder = large.removesuffix("**")
    if not large.endswith("/**") or _WILD.search(folder):
        return False
    return small.startswith(folder) and ".." not in small.split("/") and "!" not in small
