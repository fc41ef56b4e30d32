"""Glob patterns as deep agents read them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_MAX_ALTERNATIVES: Final = 64


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether a relative path matches `pattern`.

    A pattern without `/` matches the file's name at any depth; one with `/` matches the whole path; a leading
    `/` anchors it. `*`, `?`, `[abc]` stay within a name, `**` crosses names, `{a,b}` are alternatives. A name
    that begins with a dot matches only where the pattern's own name begins with one.

    Raises:
        ValueError: the pattern is empty, or its braces make too many alternatives.
    """
    if not pattern.strip("/"):
        raise ValueError("the pattern is empty")
    anchored = "/" in pattern
    expressions = [_expression(alternative.lstrip("/")) for alternative in _alternatives(pattern)]
    matcher = re.compile("|".join(f"(?:{expression})" for expression in expressions))

    def matches(path: str) -> bool:
        if anchored:
            return matcher.fullmatch(path) is not None
        return matcher.fullmatch(path.rsplit("/", 1)[-1]) is not None

    return matches


def _alternatives(pattern: str) -> list[str]:
    found = [pattern]
    while True:
        split = [_split_first_brace(item) for item in found]
        if all(len(parts) == 1 for parts in split):
            return found
        found = [item for parts in split for item in parts]
        if len(found) > _MAX_ALTERNATIVES:
            raise ValueError(f"the braces of {pattern!r} make more than {_MAX_ALTERNATIVES} alternatives")


def _split_first_brace(pattern: str) -> list[str]:
    match = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    return [pattern[: match.start()] + choice + pattern[match.end() :] for choice in match[1].split(",")]


def _expression(pattern: str) -> str:
    names = pattern.split("/")
    parts: list[str] = []
    for n, name in enumerate(names):
        last = n == len(names) - 1
        if name == "**":
            parts.append(r"(?:(?!\.)[^/]+/)*" + (r"(?!\.)[^/]+" if last else ""))
        else:
            parts.append(_name(name) + ("" if last else "/"))
    return "".join(parts)


def _name(name: str) -> str:
    dots = "" if name.startswith(".") else r"(?!\.)"
    return dots + re.sub(r"\*+|\?|\[!?[^\]]+\]|.", _translate, name, flags=re.DOTALL)


def _translate(match: re.Match[str]) -> str:
    piece = match[0]
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 1:
        inner = piece[1:-1]
        negated = inner.startswith("!")
        chosen = inner[1:] if negated else inner
        escaped = re.sub(r"([\\\]\[^&~|])", r"\\\1", chosen)
        return f"(?!/)[{'^' if negated else ''}{escaped}]"
    return re.escape(piece)
