"""Where each key of a TOML text stands. tomllib says what a file means, but not where it says it."""

from __future__ import annotations

import re
from typing import Final

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\n#]+")
_FILLING: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANKS: Final = re.compile(r"[ \t]*")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_LETTERS: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def key_places(text: str) -> dict[KeyPath, Place]:
    """Return line and column, from 1, of every key and of every item of a list.

    Args:
        text: TOML that tomllib accepts; for other text the result means nothing.
    """
    return _Scanner(text).scan()


def nearest_place(places: dict[KeyPath, Place], path: KeyPath) -> Place:
    """Return where a path stands, or the part of it that is written; line 1 where none is.

    Steps that the text does not know are passed over, for a validator puts names of types in between.
    """
    known: KeyPath = ()
    for step in path:
        if (*known, step) in places:
            known = (*known, step)
    return places.get(known, (1, 1))


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._places: dict[KeyPath, Place] = {}
        self._lists: dict[KeyPath, int] = {}
        """Lists of tables, `[[gates]]`, and the index of the newest item."""

    def scan(self) -> dict[KeyPath, Place]:
        table: KeyPath = ()
        self._skip(_FILLING)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_FILLING)
        return self._places

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self._text, self._at):
            self._at = found.end()

    def _note(self, path: KeyPath, start: int) -> None:
        if path not in self._places:
            line = self._text.count("\n", 0, start) + 1
            self._places[path] = (line, start - self._text.rfind("\n", 0, start))

    def _header(self) -> KeyPath:
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        table: KeyPath = ()
        keys = self._key()
        for number, (name, start) in enumerate(keys, 1):
            table = (*table, name)
            self._note(table, start)
            if many and number == len(keys):
                self._lists[table] = self._lists.get(table, -1) + 1
            if table in self._lists:
                table = (*table, self._lists[table])
                self._note(table, start)
        self._at += 2 if many else 1
        return table

    def _pair(self, table: KeyPath) -> None:
        path = table
        for name, start in self._key():
            path = (*path, name)
            self._note(path, start)
        self._at += 1  # the equals sign
        self._skip(_BLANKS)
        self._value(path)

    def _key(self) -> list[tuple[str, int]]:
        """Read a dotted key up to what follows it."""
        keys: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANKS)
            start = self._at
            if self._text[start] in "\"'":
                keys.append((self._string(), start))
            else:
                self._skip(_BARE)
                keys.append((self._text[start : self._at], start))
            self._skip(_BLANKS)
            if self._text[self._at : self._at + 1] != ".":
                return keys
            self._at += 1

    def _string(self) -> str:
        quote = self._text[self._at]
        fence = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        start = self._at = self._at + len(fence)
        while not self._text.startswith(fence, self._at):
            self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
        end = self._at
        self._at += len(fence)
        while len(fence) == 3 and self._text[self._at : self._at + 1] == quote:  # up to two quotes may end the content
            self._at += 1
        content = self._text[start:end]
        return _ESCAPE.sub(_unescaped, content) if quote == '"' else content

    def _value(self, path: KeyPath) -> None:
        char = self._text[self._at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._list(path)
        elif char == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self._at += 1
        number = 0
        self._skip(_FILLING)
        while self._text[self._at] != "]":
            item = (*path, number)
            self._note(item, self._at)
            self._value(item)
            number += 1
            self._skip(_FILLING)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_FILLING)
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_FILLING)
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip(_FILLING)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_FILLING)
        self._at += 1


def _unescaped(found: re.Match[str]) -> str:
    short, long, letter = found.groups()
    if letter:
        return _LETTERS.get(letter, letter)
    return chr(int(short or long, 16))
