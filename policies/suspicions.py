"""What a program that assay does not know may run: its arguments read as commands, for denials only.

Nothing here allows anything. Where a text in an argument, read as a shell would read it, is a denied command, a person
is asked; so neither quotes, nor options in between, nor patterns and variables in that text hide it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from assay.policies.patterns import BREAK, DYNAMIC
from assay.policies.words import Word
from assay.policies.wrappers import SHELLS, WRAPPERS

MOST: Final = 48
"""Texts and tails that are looked at for one command line; what has more is asked."""
_LEADS: Final = re.compile(r"[\s!:@+|&;-]*")
_SHORT: Final = re.compile(r"-[A-Za-z0-9]")
_LETTERS: Final = 4
_TEXT: Final = re.compile(r"\s|[$`{}*?\\]")
_EXPANDED: Final = re.compile(r"\$?\{[^{}\s]*\}|\$\w+|[*?]+")
_MARKS: Final = re.compile(r"[$'\"]")
_CODED: Final = re.compile(r"\\+x([0-9a-fA-F]{1,2})|\\+([0-3]?[0-7]{1,2})")
_QUOTE: Final = re.compile("['\"]")
_UP_TO: Final = {q: re.compile(rf"([^{q}\\]*(?:\\.[^{q}\\]*)*){q}", re.DOTALL) for q in "'\""}
_REACH: Final = 64
"""How many words a name is seen with; that there are more is noted, and may be anything."""


def texts_in(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the texts in arguments that may be command lines: whole, and after each `=` before the first blank.

    Behind the letters of short options, too, as in `-qc'git push'`.
    """
    for argument in arguments:
        bare = _LEADS.sub("", argument, count=1)
        first = re.split(r"\s", bare, maxsplit=1)[0]
        ends = [0, *(found.end() for found in islice(re.finditer("=", first), MOST))]  # each is a text, or none is left
        if _SHORT.match(argument):
            ends += range(1, min(len(first), _LETTERS) + 1)
        for text in dict.fromkeys(_LEADS.sub("", bare[end:], count=1) for end in ends):
            if _TEXT.search(text.strip()):
                yield text


def texts_in_code(code: Sequence[str]) -> Iterator[str]:
    """Yield the quoted texts in code of another language that may be command lines."""
    for text in code:
        for quoted in _quoted(text):
            yield from texts_in([_unescaped(quoted)])


def _quoted(text: str) -> Iterator[str]:
    """Yield what stands in quotes, in time that grows as the text does."""
    at, open_ones = 0, set[str]()
    while (opening := _QUOTE.search(text, at)) is not None:
        quote, at = opening.group(), opening.end()
        if quote in open_ones:  # where one is never closed, none behind it is: it would have closed that one
            continue
        found = _UP_TO[quote].match(text, at)
        if found is None:
            open_ones.add(quote)
        else:
            at = found.end()
            yield found[1]


def tails_of(words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    """Yield what stands behind a program's name, from each word that could be the name of another one."""
    for start in range(1, len(words)):
        if words[start].literal and not words[start].text.startswith("-"):
            more = (Word(DYNAMIC),) if start + _REACH < len(words) else ()
            yield (*words[start : start + _REACH], *more)


def spans_of(tokens: Sequence[str]) -> Iterator[str]:
    """Yield what tokens spell as a command, from each of them that is known."""
    for start, token in enumerate(tokens):
        if token and token[0] != DYNAMIC:
            more = (DYNAMIC,) if start + _REACH < len(tokens) else ()
            yield BREAK.join((*tokens[start : start + _REACH], *more))


def readings(text: str) -> str:
    """Return what a text spells, one reading a line: as it stands, without quotes and codes, and with holes.

    For a text that no shell grammar fits, or that says only when it runs what it does.
    """
    bare = _CODED.sub(lambda found: chr(int(found[1], 16) if found[1] else int(found[2], 8)), _MARKS.sub("", text))
    return f"{text}\n{bare}\n{_EXPANDED.sub(DYNAMIC, text)}"


def are_spelled(words: frozenset[str], tokens: Iterable[str]) -> bool:
    """Whether each of some words may be among tokens, of which parts may be known only when they run."""
    known = frozenset(tokens)
    holed = (token for token in known if DYNAMIC in token and token.strip(DYNAMIC))
    open_ones = [re.compile(".*".join(map(re.escape, token.split(DYNAMIC)))) for token in holed]
    return bool(words) and all(w in known or any(pattern.fullmatch(w) for pattern in open_ones) for w in words)


def is_starter(word: Word) -> bool:
    """Whether a word names a shell or a wrapper, so that what follows can be looked through."""
    name = word.text.rsplit("/", 1)[-1]
    return name in SHELLS or name in WRAPPERS or name in ("eval", "find", "git")


def _unescaped(text: str) -> str:
    """Return a quoted text as most languages read it, as far as blanks and quotes go."""
    names = {"t": "\t", "n": "\n"}
    return re.sub(r"\\([\\'\"tn])", lambda found: names.get(found[1], found[1]), text)
