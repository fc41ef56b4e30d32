"""Where a command is executed that a test starts: where the program is, or on the judge's side (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.

What executes a file of the program's runs where the program is. What does nothing with one runs here. A tool of the
system that reads the program's files fits nowhere: here they are not, and there its answer would be the program's. A
test that needs that says nothing outside, and neither does one that would execute here what the program wrote.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .ground import Ground

_PYTHON = re.compile(r"python[\d.]*$")
_INTERPRETERS = re.compile(
    r"(?:(?:ba|da|a|k|z|fi|c|tc)?sh|node|nodejs|deno|bun|perl|ruby|php|lua|Rscript|tclsh)[\d.]*$"
)
_SHELLS = re.compile(r"(?:ba|da|a|k|z)?sh$")
_CODE = frozenset({"-e", "-E", "--eval", "-p", "--print", "-r"})
_WITH_VALUE = frozenset({"-W", "-X", "-o", "-O"})
_HARMLESS = frozenset({"cd", "export", "set", "true", ":", "umask"})
_PUNCTUATION = frozenset(";&|<>()\n")
_OPERATORS = frozenset({"", ";", "&", "&&", "||", "|"})
"""Between commands; empty is the end of a line."""
_HIDING = ("`", "$(", "$'", "<(", ">(")
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", re.DOTALL)
_EXECUTING = frozenset({".", "at", "batch", "eval", "parallel", "source", "xargs"})
"""Commands that execute what they read, or what words come to be."""
_READING = frozenset({"-s", "-i"})
"""Options by which a shell takes commands from its standard input, whatever follows."""
_REDIRECTION = re.compile(r"[<>]+&?|&>+")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


class Route(Enum):
    """Where a command is executed."""

    HERE = "on the judge's side"
    THERE = "where the program is"


class Undecided(Exception):
    """A command that fits neither side; the message says why."""


@dataclass(frozen=True)
class At:
    """Where a command starts."""

    ground: Ground
    cwd: str
    search: str
    """Folders in which commands are looked for, as in `PATH`."""

    def owns(self, word: str) -> bool:
        """Return whether a word names a file of the program's, or a folder that holds one."""
        return self.ground.owns(word, self.cwd)

    def executes(self, word: str) -> bool:
        """Return whether a word names a file of the program's."""
        return self.ground.is_file(word, self.cwd)

    def begins(self, word: str) -> bool:
        """Return whether a word, as the first one of a command, names a file of the program's, or its entry point."""
        if "/" in word:
            return self.executes(word) or (Path(word).name in self.ground.scripts and Path(word).is_file())
        folders = [folder for folder in self.search.split(":") if folder]
        return word in self.ground.scripts or any(self.executes(f"{folder}/{word}") for folder in folders)


def route(
    command: Sequence[str] | str, at: At, *, heard: bool, came: Iterable[str], values: Iterable[str] = ()
) -> Route:
    """Return where a command is executed; raises Undecided.

    Args:
        command: words, or a text for the shell.
        at: where it starts.
        heard: whether the program was asked anything since the test began, so that files here may be of its making.
        came: files that the program wrote.
        values: of variables that are not the ordinary ones; a command finds there what it executes, as in its words.
    """
    found = _of_text(command, at) if isinstance(command, str) else _of_words(command, at)
    if found is Route.HERE:
        told = [part for value in values for part in {value, *value.split(":")}]
        words = [at.cwd, *told, *(words_of(command) if isinstance(command, str) else command)]
        named = {*words, *(os.path.normpath(f"{at.cwd}/{word}") for word in words if "/" in word)}
        if any((heard and at.ground.is_temporary(word)) or at.ground.is_near(word, came) for word in named):
            raise Undecided("a command of the system may execute or judge what the program wrote")
        if heard and _executes_what_it_reads(command):
            raise Undecided("a command of the system may execute what it reads")
        if any(at.owns(word) for word in told):
            raise Undecided("a command of the system is given files of the program by its environment")
    return found


def _executes_what_it_reads(command: Sequence[str] | str) -> bool:
    """Return whether a command may take from its standard input, or from what it reads, what it executes."""
    if isinstance(command, str):
        parts = itertools.groupby(words_of(command), key=lambda word: bool(word) and set(word) <= _PUNCTUATION)
        simple = [list(words) for apart, words in parts if not apart]
        return any(_executes_what_it_reads(words) or words[0].startswith("$") for words in simple)
    for place, word in enumerate(command):
        name = Path(word).name
        if word in _EXECUTING and (place == 0 or word != "."):
            return True
        shell = _SHELLS.match(name)
        if not (_PYTHON.match(name) or _INTERPRETERS.match(name)) or command[place + 1 :] == ["--version"]:
            continue
        told = frozenset({"-m"}) if _PYTHON.match(name) else frozenset() if shell else _CODE
        _, option, value = next(iter(_options(command[place:], told)), (0, "", "-"))
        if option and shell:
            return _executes_what_it_reads(value)
        if not option and (value == "-" or value.startswith(("/dev/", "/proc/")) or _READING & {*command}):
            return True
    return False


def _of_words(words: Sequence[str], at: At) -> Route:
    if not words:
        return Route.HERE
    name = Path(words[0]).name
    if at.begins(words[0]):
        return Route.THERE
    if _PYTHON.match(name):
        return _of_python(words, at)
    if _INTERPRETERS.match(name):
        return _of_interpreter(words, at)
    return _of_system(words if "/" in words[0] else words[1:], at)


def _of_python(words: Sequence[str], at: At) -> Route:
    for place, option, value in _options(words, frozenset({"-m"})):
        if option == "-m":
            there = value in at.ground.modules or value.partition(".")[0] in at.ground.modules
            return Route.THERE if there else _of_system(words[place:], at)
        if option == "-c":
            names = {name.partition(".")[0] for name in at.ground.modules}
            if names & set(re.findall(r"\w+", value)):
                raise Undecided("code of the tests would run in the program's process (python -c)")
            return _of_system(words[place:], at)
        if at.executes(value):
            return Route.THERE
    return _of_system(words, at)


def _of_interpreter(words: Sequence[str], at: At) -> Route:
    shell = _SHELLS.match(Path(words[0]).name)
    for place, option, value in _options(words, _CODE if shell is None else frozenset()):
        if option and shell:
            return _of_text(value, at)
        if option:
            if any(at.owns(word) for word in words_of(value)):
                raise Undecided(f"code of the tests would run in the program's process ({words[0]} {option})")
            return _of_system(words[place:], at)
        if at.executes(value):
            return Route.THERE
    return _of_system(words, at)


def _options(words: Sequence[str], telling: frozenset[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the first option that says what is executed, with its value, or else the script, with an empty option.

    In front is the place of the word after that. `-c`, also behind other letters, is such an option everywhere.
    """
    place = 1
    while place < len(words):
        word = words[place]
        following = words[place + 1] if place + 1 < len(words) else ""
        if word in telling or (word.startswith("-") and not word.startswith("--") and word.endswith("c")):
            yield place + 2, word if word in telling else "-c", following
            return
        if not word.startswith("-") or word == "-":
            yield place, "", word
            return
        place += 2 if word in _WITH_VALUE else 1


def _of_system(words: Sequence[str], at: At) -> Route:
    if any(at.owns(word) for word in words):
        raise Undecided("a command of the system would read files of the program")
    return Route.HERE


def _of_text(text: str, at: At) -> Route:
    """Return where a text for the shell is executed: each of its commands has to be at home there."""
    if not _touches(words_of(text), at):
        return Route.HERE
    if any(hidden in text for hidden in _HIDING) or any(_PUNCTUATION & set(found) for found in _QUOTED.findall(text)):
        raise Undecided("a shell command holds others in it")
    commands = [(words, after) for words, after in _simple_commands(text) if words and words[0] not in _HARMLESS]
    for words, after in commands:
        # What feeds the program is as good as data; what comes last says how all of it ended.
        if _of_words(words, at) is Route.HERE and after != "|":
            raise Undecided(f"a shell command has the program and the system work together ({words[0]})")
    if not commands or _of_words(commands[-1][0], at) is Route.HERE:
        raise Undecided("a command of the system would read files of the program")
    return Route.THERE


def _touches(words: Sequence[str], at: At) -> bool:
    modules = [b.partition(".")[0] for a, b in itertools.pairwise(words) if a == "-m"]
    return any(at.owns(word) or at.begins(word) for word in words) or any(m in at.ground.modules for m in modules)


def words_of(text: str) -> list[str]:
    """Return the words and operators of a text for the shell, as far as it has any."""
    try:
        return list(_lexer(text.replace("`", " ` ")))
    except ValueError:
        return re.split(r"[\s'\";|&<>()]+", text)


def _lexer(text: str) -> shlex.shlex:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="".join(sorted(_PUNCTUATION)))
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    return lexer


def _simple_commands(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the words of each command, redirections and assignments left out, and the operator that follows it."""
    words: list[str] = []
    skip = False
    try:
        tokens = list(_lexer(text))
    except ValueError:
        raise Undecided("a shell command cannot be read") from None
    for token in tokens:
        if set(token) <= _PUNCTUATION:
            operator = token.strip("\n")
            skip = _REDIRECTION.fullmatch(token) is not None
            if not skip and operator not in _OPERATORS:
                raise Undecided("a shell command cannot be read")
            if not skip:
                yield words, operator
                words = []
        elif skip:
            skip = False
        elif words or not _ASSIGNMENT.match(token):
            words.append(token)
    yield words, ""
