"""Command patterns of tool rules: `*` is any run of characters, `?` one, a space the border between two words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

DYNAMIC: Final = "\x00"
"""Stands in a command for text that is known only when it runs; may be any text, blanks included."""
BREAK: Final = "\x01"
"""Stands between the words of a command. A blank inside a word stays a blank."""

_FIRST_WORD: Final = re.compile(f"[^{BREAK} ]+")
_STAR: Final = "*"
_ONE: Final = "?"


@dataclass(frozen=True)
class CommandPattern:
    """One pattern. Compiled when it is first needed, so that a thousand rules load at once."""

    source: str

    @cached_property
    def _tokens(self) -> tuple[tuple[str, bool], ...]:
        """Characters of the pattern, each with whether it is special."""
        tokens: list[tuple[str, bool]] = []
        escaped = False
        for char in self.source.strip():
            if escaped:
                tokens.append((char, False))
                escaped = False
            elif char == "\\":
                escaped = True
            elif char in "*?":
                tokens.append((char, True))
            elif char.isspace():
                if not tokens or tokens[-1][0] != BREAK:
                    tokens.append((BREAK, True))
            else:
                tokens.append((char, False))
        return tuple(tokens)

    @cached_property
    def prefix(self) -> str:
        """The literal text at the start: what every command that fits begins with."""
        text = ""
        for char, special in self._tokens:
            if special:
                break
            text += char
        return text

    @cached_property
    def first_word(self) -> str | None:
        """The first word, where the pattern fixes it wholly."""
        length = len(self.prefix)
        ended = length == len(self._tokens) or self._tokens[length][0] == BREAK
        return self.prefix if ended and self.prefix else None

    @property
    def words(self) -> frozenset[str]:
        """The words that the pattern fixes wholly."""
        return frozenset(word for word in self.source.split() if not re.search(r"[*?\\]", word))

    def _body(self, blank: str) -> str:
        parts = []
        for char, special in self._tokens:
            if not special:
                parts.append(re.escape(char))
            else:
                parts.append({_STAR: ".*", _ONE: f"[^{DYNAMIC}{BREAK}]", BREAK: blank}[char])
        if self._open_ended:  # `git push *` is `git push` without arguments, too
            parts[-2:] = [f"(?:{blank}.*)?"]
        return "".join(parts)

    @cached_property
    def _open_ended(self) -> bool:
        return len(self._tokens) > 2 and [t[0] for t in self._tokens[-2:]] == [BREAK, _STAR] and self._tokens[-1][1]

    @cached_property
    def _certain(self) -> re.Pattern[str]:
        return re.compile(self._body(BREAK), re.DOTALL)

    @cached_property
    def _lenient(self) -> re.Pattern[str]:
        return re.compile(self._body(rf"[{BREAK}\s]+"), re.DOTALL)

    def samples(self, hole: str) -> tuple[str, ...]:
        """Return commands that stand for all that fit: `hole` in the place of each star, and of each `?`."""
        tokens = self._tokens[:-2] if self._open_ended else self._tokens
        text = "".join(hole if special and char in (_STAR, _ONE) else char for char, special in tokens)
        return (text, f"{text}{BREAK}{hole}") if self._open_ended else (text,)

    def covers(self, text: str) -> bool:
        """Whether the command fits whatever its dynamic places turn out to be: the sense of `allow`."""
        return text.startswith(self.prefix) and self._certain.fullmatch(text) is not None

    def meets(self, text: str) -> bool:
        """Whether the command fits for certain; a blank inside a word counts as a border: the sense of `deny`."""
        return text.startswith(self.prefix) and self._lenient.fullmatch(text) is not None

    def opens(self, text: str) -> bool:
        """Whether the text begins with something that fits, at the border of a word."""
        if not text.startswith(self.prefix):
            return False
        found = self._lenient.match(text)
        return found is not None and (found.end() == len(text) or text[found.end()] in (BREAK, DYNAMIC))

    def may_meet(self, text: str) -> bool:
        """Whether the command could fit, for some text in its dynamic places."""
        if DYNAMIC not in text:
            return self.meets(text)
        known = text[: text.index(DYNAMIC)]
        shared = min(len(known), len(self.prefix))
        return known[:shared] == self.prefix[:shared] and self._intersects(text)

    def _intersects(self, text: str) -> bool:
        """Whether pattern and text, both with wild places, have a string in common (by dynamic programming)."""
        tokens = self._tokens[:-2] if self._open_ended else self._tokens
        tail = bool(self._open_ended)
        reached = _skip_stars({0}, tokens)
        for char in text:
            if char == DYNAMIC:
                reached = set(range(min(reached), len(tokens) + 1)) if reached else reached
                continue
            if tail and len(tokens) in reached and _is_blank(char):
                return True
            moved = set()
            for at in reached:
                if at == len(tokens):
                    continue
                want, special = tokens[at]
                if special and want == _STAR:
                    moved.add(at)
                elif _fits(want, special, char):
                    moved.add(at + 1)
                    if special and want == BREAK:  # which is any number of blanks
                        moved.add(at)
            reached = _skip_stars(moved, tokens)
            if not reached:
                return False
        return len(tokens) in reached


def _fits(want: str, special: bool, char: str) -> bool:
    if special and want == _ONE:
        return char != BREAK
    if special and want == BREAK:
        return _is_blank(char)
    return want == char


def _is_blank(char: str) -> bool:
    return char == BREAK or char.isspace()


def _skip_stars(positions: set[int], tokens: tuple[tuple[str, bool], ...]) -> set[int]:
    """Add the positions that can be reached without reading a character."""
    grown = set(positions)
    for start in positions:
        end = start
        while end < len(tokens) and tokens[end] == (_STAR, True):
            end += 1
            grown.add(end)
    return grown


class PatternIndex:
    """Patterns by their first word, so that a command is compared with few of a thousand."""

    def __init__(self, patterns: Iterable[CommandPattern]) -> None:
        self._by_word: dict[str, list[tuple[int, CommandPattern]]] = {}
        self._others: list[tuple[str, int, CommandPattern]] = []
        for number, pattern in enumerate(patterns):
            word = pattern.first_word
            if word is None:
                self._others.append((pattern.prefix, number, pattern))
            else:
                self._by_word.setdefault(word, []).append((number, pattern))

    def candidates(self, text: str) -> Iterator[tuple[int, CommandPattern]]:
        """Yield number and pattern of those that could fit the text: first those that fix its first word."""
        known, dynamic, _ = text.partition(DYNAMIC)
        word = _FIRST_WORD.match(known)
        if dynamic and (word is None or word.end() == len(known)):  # the first word itself is not known
            for pairs in self._by_word.values():
                yield from pairs
        elif word is not None:
            yield from self._by_word.get(word.group(), ())
        for prefix, number, pattern in self._others:
            if known.startswith(prefix) or (dynamic and prefix.startswith(known)):
                yield number, pattern
