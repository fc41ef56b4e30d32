"""Words of a shell command as the shell will see them: quotes taken off, and what is not known yet marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from assay.policies.patterns import DYNAMIC

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:=@%+,-]+")
_UNQUOTED_ENDS: Final = frozenset(" \t\n;|&()<>`")
_EXPANSION_STARTS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@*#?$!({-[")
_ANSI: Final = re.compile(
    r"\\(?:([abeEfnrtv\\'\"?])|([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8}))"
)
_ANSI_LETTERS: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """One word after the shell's quote removal."""

    text: str
    """Literal text, with `DYNAMIC` in the place of everything that an expansion decides."""
    quoted: bool = False
    """Whether any part of it was quoted: then it is no keyword of the shell."""
    splits: bool = False
    """Whether an expansion may make no word or several of it."""

    @property
    def literal(self) -> bool:
        """Whether nothing about it is left open."""
        return DYNAMIC not in self.text


class Unreadable(ValueError):
    """The text is not a single word by the shell's rules, whatever the parser made of it."""


def read_word(raw: str, holes: Sequence[tuple[int, int]] = ()) -> Word:
    """Return the word that bash makes of `raw`.

    Args:
        raw: source of one word.
        holes: start and end of each expansion in it, in order; nothing else in it may expand.

    Raises Unreadable where the source holds a separator, an expansion outside of the holes or an
    open quote: then the parser and the shell do not agree on where the word ends.
    """
    if not holes and _PLAIN.fullmatch(raw):
        return Word(raw)
    return _WordReader(raw, holes).read()


class _WordReader:
    def __init__(self, raw: str, holes: Sequence[tuple[int, int]]) -> None:
        self._raw = raw
        self._holes = dict(holes)
        self._at = 0
        self._out: list[str] = []
        self._quoted = False
        self._splits = False

    def read(self) -> Word:
        raw = self._raw
        if raw.startswith("#"):
            raise Unreadable
        while self._at < len(raw):
            if self._skip_hole(splits=True):
                continue
            char = raw[self._at]
            if char == "\\":
                self._escape()
            elif char == "'":
                self._single(self._at + 1)
            elif char == '"':
                self._double()
            elif char == "$":
                self._dollar()
            elif char in "*?[{~":
                self._special(char)
            elif char in _UNQUOTED_ENDS:
                raise Unreadable
            else:
                self._keep(char)
        return Word("".join(self._out), self._quoted, self._splits)

    def _keep(self, text: str, width: int = 1) -> None:
        self._out.append(text)
        self._at += width

    def _skip_hole(self, *, splits: bool) -> bool:
        end = self._holes.get(self._at)
        if end is None:
            return False
        self._splits |= splits or "@" in self._raw[self._at : end]  # "$@" is several words even in quotes
        self._out.append(DYNAMIC)
        self._at = end
        return True

    def _escape(self) -> None:
        following = self._raw[self._at + 1 : self._at + 2]
        if following in ("", "\n"):  # bash joins lines before it tells words, quotes and comments apart
            raise Unreadable
        self._quoted = True
        self._keep(following, 2)

    def _single(self, start: int) -> None:
        end = self._raw.find("'", start)
        if end < 0:
            raise Unreadable
        self._quoted = True
        self._out.append(self._raw[start:end])
        self._at = end + 1

    def _double(self) -> None:
        raw = self._raw
        self._quoted = True
        self._at += 1
        while self._at < len(raw):
            if self._skip_hole(splits=False):
                continue
            char = raw[self._at]
            following = raw[self._at + 1 : self._at + 2]
            if char == '"':
                self._at += 1
                return
            if char == "`" or (char == "$" and following in _EXPANSION_STARTS and following):
                raise Unreadable
            if char == "\\" and following and following in '$`"\\\n':
                self._keep("" if following == "\n" else following, 2)
            else:
                self._keep(char)
        raise Unreadable

    def _dollar(self) -> None:
        following = self._raw[self._at + 1 : self._at + 2]
        if following == "'":
            self._ansi()
        elif following == '"':
            self._at += 1
            self._double()
        elif following and following in _EXPANSION_STARTS:
            raise Unreadable
        else:
            self._keep("$")

    def _ansi(self) -> None:
        """Decode `$'…'`, whose escapes are those of C."""
        at = self._at + 2
        while at < len(self._raw) and self._raw[at] != "'":
            at += 2 if self._raw[at] == "\\" else 1
        if at >= len(self._raw):
            raise Unreadable
        body = self._raw[self._at + 2 : at]
        decoded = _ANSI.sub(_ansi_character, body)
        if "\0" in decoded or re.search(r"\\c", body):
            raise Unreadable
        self._quoted = True
        self._out.append(decoded)
        self._at = at + 1

    def _special(self, char: str) -> None:
        """Read a character that expands to file names, several words or a home directory."""
        rest = self._raw[self._at + 1 :]
        if char == "~":
            before = self._raw[self._at - 1 : self._at]
            self._keep(DYNAMIC if before in ("", "=", ":") else "~")
        elif char in "*?":
            self._splits = True
            self._keep(DYNAMIC)
        elif char == "[":
            if "]" in rest:
                self._open_end()
            else:
                self._keep("[")
        elif "}" in rest and ("," in rest or ".." in rest):
            self._open_end()
        else:
            self._keep("{")

    def _open_end(self) -> None:
        """Mark everything to the end of the word as not known; it is still read, to find its end."""
        kept = [*self._out, DYNAMIC]
        self._splits = True
        self._keep("")
        while self._at < len(self._raw):
            if self._skip_hole(splits=True):
                continue
            char = self._raw[self._at]
            match char:
                case "\\":
                    self._escape()
                case "'":
                    self._single(self._at + 1)
                case '"':
                    self._double()
                case "$":
                    self._dollar()
                case _ if char in _UNQUOTED_ENDS:
                    raise Unreadable
                case _:
                    self._at += 1
        self._out = kept


def _ansi_character(found: re.Match[str]) -> str:
    letter, octal, hexadecimal, short, long = found.groups()
    if letter:
        return _ANSI_LETTERS[letter]
    if octal:
        return chr(int(octal, 8) & 0xFF)
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    code = int(short or long, 16)
    if code > 0x7F:  # what bash makes of it depends on the locale
        raise Unreadable
    return chr(code)
