"""Command lines, taken apart into what they would run: each part is judged by the tool rules on its own.

Wrappers are looked through (`env`, `timeout`, `xargs`, `find -exec`, `bash -c`, `eval`, …). A program
that assay does not know may run its arguments, too; what those spell is kept as a *mention*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from assay.policies.parts import CommandLine, Part, tokens_of
from assay.policies.patterns import DYNAMIC
from assay.policies.shell import read_shell
from assay.policies.simple_commands import SimpleCommand
from assay.policies.suspicions import (
    MOST,
    is_starter,
    readings,
    tails_of,
    texts_in,
    texts_in_code,
)
from assay.policies.words import Word
from assay.policies.wrappers import (
    BASH,
    COMPUTING_BUILTINS,
    FOREIGN_SHELLS,
    GIT_OPTIONS,
    INERT,
    INTERPRETERS,
    SETTERS,
    SHELLS,
    TOOLBOXES,
    WRAPPERS,
    is_inert_git,
    runs_by_option,
    skip_options,
    unwrap,
)

MAX_WRAPPERS: Final = 12
_SUSPECTED: Final = MAX_WRAPPERS - 6
"""How deep a text that may be run counts: fewer wrappers are looked through in it."""
_COMPUTING_OPTION: Final = re.compile(r"-(?:v.*|R|eq|ne|lt|le|gt|ge)")
_STEERING: Final = re.compile(
    r"(?:PATH|IFS|ENV|BASH_\w+|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|LD_\w+|DYLD_\w+|PYTHON\w*|PERL5?\w*|RUBY\w*|"
    r"NODE_\w+|GIT_\w+|\w*PAGER|\w*EDITOR|VISUAL|BROWSER|SHELL|HOME)\+?="
)
_CODE: Final = re.compile(
    r"(?:BASH_ENV|ENV|PS4|PROMPT_COMMAND|GIT_\w*(?:COMMAND|EDITOR|PAGER|ASKPASS|DIFF|PROXY|SSH)|GIT_CONFIG\w*|SSH_ASKPASS|\w*PAGER|"
    r"\w*EDITOR|VISUAL|BROWSER|SHELL|LESSOPEN|LESSCLOSE)\+?="
)
"""Variables whose value programs run."""
_CONFIGURING: Final = re.compile(r"GIT_(?:CONFIG(?!_NOSYSTEM\b)\w*|EXEC_PATH|TEMPLATE_DIR)(?:\+?=(?!/dev/null$)|$)")
"""Variables that give git's commands another meaning, in ways that no text shows."""
_READERS: Final = frozenset({"at", "batch", "crontab", "ed", "ex", "gdb", "parallel", "ssh"})
"""Programs that may take commands from their input, where nothing of these is seen."""
_SHELL_FLAGS: Final = frozenset("abefhklmnptuvxBCEHPirs")
_OPAQUE_BUILTINS: Final = {
    "alias": "`alias` gives a command another name",
    "bind": "`bind` can run a command later",
    "complete": "`complete` can run a command later",
    "compgen": "`compgen` can run a command",
    "enable": "`enable` changes what names mean",
    "hash": "`hash` changes what names mean",
}
_FIND_RUNS: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_PLAIN_SHELL: Final = "sh"


def read_command_line(text: str) -> CommandLine:
    """Return the parts of a command line; never raises, what cannot be read is a doubt.

    It is read as bash reads it. What a plain `sh` reads otherwise becomes an open part: the
    sandbox's `/bin/sh` may be either.
    """
    line = CommandLine()
    taker = _Taker(line)
    taker.take_text(text, _PLAIN_SHELL, 0)
    taker.finish()
    return line


class _Taker:
    def __init__(self, line: CommandLine, *, left: list[int] | None = None) -> None:
        self._line = line
        self._left = [MOST] if left is None else left
        """How many texts may still be looked at; one number for all that a line holds."""
        self._computes = False
        self._hidden = False

    def finish(self) -> None:
        if self._computes and self._hidden:
            self.doubt("it hands text that holds a command to arithmetic, a test or a builtin")

    def doubt(self, reason: str) -> None:
        if reason not in self._line.doubts:
            self._line.doubts.append(reason)

    def take_text(self, text: str, shell: str, depth: int) -> None:
        read = read_shell(text)
        for reason in read.doubts:
            self.doubt(reason)
        self._computes |= read.computes
        self._hidden |= read.hidden
        if read.bashisms and shell not in BASH:
            self._line.parts.append(Part((Word(DYNAMIC),), mentions=tokens_of(text), open=True))
        for command in read.commands:
            self.take(command, depth)
        for variable in read.variables:
            self._configure(SimpleCommand((), (variable,)))
            self._variable(variable)

    def take(self, command: SimpleCommand, depth: int) -> None:
        """Add a command, and what it runs in its turn."""
        self._configure(command)
        if not command.words:
            for variable in command.assignments:
                self._variable(variable)
            return
        first = command.words[0]
        if depth > MAX_WRAPPERS:
            self.doubt("it is wrapped too often")
        elif not first.literal or first.splits:
            self.doubt("the command's name is known only when it runs")
            self._add(command, mentions=_all_tokens(command))
        elif not first.text:
            self.doubt("the command's name is empty")
        else:
            self._named(command, first.text.rsplit("/", 1)[-1], depth)

    def _configure(self, command: SimpleCommand) -> None:
        """Doubt where variables are set that change what git's commands mean."""
        named = [w.text for w in command.words[1:]] if command.words[:1] and command.words[0].text in SETTERS else []
        if any(_CONFIGURING.match(text) for text in (*command.assignments, *named)):
            self.doubt("it sets a variable that changes what git's commands run")
        if any(text.startswith(DYNAMIC) for text in named):
            self.doubt("it sets a variable whose name is known only when it runs")

    def _variable(self, variable: str) -> None:
        """Add a variable that is set on its own: harmless, unless it steers programs or is code for later."""
        if _STEERING.match(variable) or variable.startswith(DYNAMIC):
            self._line.parts.append(Part((Word(variable),)))
        else:
            self._line.parts.append(Part((Word(variable),), wraps=True, mentions=tokens_of(variable)))

    def _add(self, command: SimpleCommand, *, wraps: bool = False, mentions: Iterable[str] = ()) -> None:
        code = [variable.partition("=")[2] for variable in command.assignments if _CODE.match(variable)]
        if any(DYNAMIC in value for value in code):
            self.doubt("it sets a variable whose value is run, to what is known only when it runs")
        heard = (*mentions, *tokens_of("\n".join(code)))
        self._line.parts.append(Part(command.words, command.assignments, wraps, heard))
        self._suspect(texts_in(code))

    def _suspect(self, texts: Iterable[str], tails: Iterable[tuple[Word, ...]] = (), *, is_data: bool = False) -> None:
        """Read texts, and what follows a program's name, as commands that may be run."""
        for text in texts:
            if self._has_room():
                found = CommandLine()
                _Taker(found, left=self._left).take_text(text.replace(DYNAMIC, "$_"), _PLAIN_SHELL, _SUSPECTED)
                self._keep(found, tokens_of(readings(text)))
        for words in tails:
            if not is_starter(words[0]):
                self._line.suspicions.append(Part(words))
            elif self._has_room():
                found = CommandLine()
                _Taker(found, left=self._left).take(SimpleCommand(words, ()), _SUSPECTED)
                self._keep(found, tokens_of(readings(" ".join(w.text for w in words))))

    def _keep(self, found: CommandLine, spelled: tuple[str, ...]) -> None:
        """Take over what a text may run; what of it cannot be known goes by the words in the whole text."""
        for part in (*found.parts, *found.suspicions):
            if part.words and not part.open:
                unknown = part.words[0].text.startswith(DYNAMIC) and not part.mentions
                self._line.suspicions.append(replace(part, mentions=spelled) if unknown else part)
        if found.doubts:
            self._line.suspicions.append(Part((Word(DYNAMIC),), mentions=spelled))

    def _has_room(self) -> bool:
        self._left[0] -= 1
        if self._left[0] < 0:
            self.doubt("it has more texts in it than are looked at")
        return self._left[0] >= 0

    def _named(self, command: SimpleCommand, name: str, depth: int) -> None:
        """Add a command whose name is known, by what that program does with its arguments."""
        words = command.words
        if name in TOOLBOXES and len(words) > 1:
            self._add(command, wraps=True)
            self.take(replace(command, words=words[1:]), depth + 1)
        elif name == "command" and any(w.text in ("-v", "-V") for w in words[1:2]):
            self._add(command)
        elif name in WRAPPERS:
            self._wrapper(command, name, depth)
        elif name in SHELLS:
            self._shell(command, name, depth)
        elif name == "eval":
            self._code(command, words[2:] if words[1:2] == (Word("--"),) else words[1:], _PLAIN_SHELL, depth)
        elif name == "trap":
            self._trap(command, depth)
        elif name == "find":
            self._find(command, depth)
        elif name in (".", "source") and len(words) > 1:
            self._script(command, words[1])
        else:
            self._program(command, name)

    def _program(self, command: SimpleCommand, name: str) -> None:
        """Add a program that is no wrapper, with what it may run nevertheless."""
        self._computes |= _computes(command, name)
        if name in _OPAQUE_BUILTINS and len(command.words) > 1:
            self.doubt(_OPAQUE_BUILTINS[name])
        if name in _READERS:
            self.doubt(f"`{name}` may take commands from its input")
        if name in FOREIGN_SHELLS:
            self.doubt(f"assay does not read the language of {name}")
        if name == "git":
            self._git(command)
        elif name in INERT and not runs_by_option(command.words) and not _configures(command, name):
            self._add(command)
        elif INTERPRETERS.fullmatch(name):
            self._interpreter(command)
        else:
            self._add(command, mentions=_all_tokens(command))
            self._suspect(texts_in([w.text for w in command.words[1:]]), tails_of(command.words))
            self._suspect(command.inputs)

    def _wrapper(self, command: SimpleCommand, name: str, depth: int) -> None:
        wrapper = WRAPPERS[name]
        inner = unwrap(wrapper, command.words)
        self._add(command, wraps=not wrapper.own, mentions=_all_tokens(command) if inner is None else ())
        if inner is None:
            self.doubt(f"the command that `{name}` runs could not be found among its arguments")
            return
        words = inner.words
        if name == "xargs" and words:
            words = _filled(command.words, words)
        if words or inner.assignments:
            assignments = (*command.assignments, *inner.assignments)
            self.take(SimpleCommand(words, assignments, command.inputs), depth + 1)

    def _shell(self, command: SimpleCommand, name: str, depth: int) -> None:
        words = command.words
        at, code, stdin = 1, False, False
        while at < len(words) and words[at].literal and words[at].text[:1] in ("-", "+"):
            option = words[at].text
            at += 1
            if option in ("--help", "--version"):
                self._add(command)
                return
            if option in ("--norc", "--noprofile", "--posix", "--login", "--verbose"):
                continue
            if option in ("--", "-"):
                break
            letters = set(option[1:]) - {"c", "o", "O"}
            if option.startswith("--") or not letters <= _SHELL_FLAGS:
                self.doubt(f"assay does not know {name}'s option {option}")
                self._add(command, mentions=_all_tokens(command))
                return
            code |= "c" in option
            stdin |= "s" in option
            at += len(set(option) & {"o", "O"})
        if code and at < len(words):
            self._code(command, words[at : at + 1], name, depth)
        elif at < len(words) and not stdin:
            self._script(command, words[at])
        elif len(command.inputs) == 1:
            self._code(command, tuple(Word(text) for text in command.inputs), name, depth)
        else:
            self.doubt(f"{name} reads its commands from its input")
            self._add(command, wraps=True)

    def _code(self, command: SimpleCommand, code: tuple[Word, ...], shell: str, depth: int) -> None:
        """Add a command whose arguments are shell code, and what that runs."""
        self._add(command, wraps=True)
        for variable in command.assignments:
            self._variable(variable)
        text = " ".join(word.text for word in code)
        if DYNAMIC in text:
            self.doubt("shell code in it is known only when it runs")
            self._line.parts.append(Part((Word(DYNAMIC),), mentions=tokens_of(text)))
        else:
            self.take_text(text, shell, depth + 1)

    def _script(self, command: SimpleCommand, script: Word) -> None:
        if not script.literal or re.match(r"/(?:dev|proc)/|-$", script.text):
            self.doubt("the script is known only when it runs")
        self._add(command, mentions=_all_tokens(command))

    def _trap(self, command: SimpleCommand, depth: int) -> None:
        words = command.words[2:] if command.words[1:2] == (Word("--"),) else command.words[1:]
        if words and words[0].text and not words[0].text.startswith("-"):
            self._code(command, words[:1], _PLAIN_SHELL, depth)
        else:
            self._add(command, wraps=True)

    def _find(self, command: SimpleCommand, depth: int) -> None:
        words = command.words
        known = all(w.literal for w in words)
        self._add(command, mentions=() if known else _all_tokens(command))
        at = 0
        while at < len(words):
            if words[at].text in _FIND_RUNS:
                end = next((i for i in range(at, len(words)) if words[i].text in (";", "+")), len(words))
                inner = tuple(_holed(w, "{}") for w in words[at + 1 : end])
                self.take(SimpleCommand(inner), depth + 1)
                at = end
            at += 1

    def _git(self, command: SimpleCommand) -> None:
        words = command.words
        at = skip_options(GIT_OPTIONS, words)
        if any(w.text.lower().startswith(("alias.", "-calias.", "--config-env=alias")) for w in words[1 : at or None]):
            self.doubt("it gives a git command another name")
        inert = at is not None and at < len(words) and is_inert_git(words, at)
        self._add(command, mentions=() if inert and at == 1 else _all_tokens(command))
        if inert:  # the values of git's own options are run, as `-c core.pager=…`
            self._suspect(texts_in([w.text for w in words[1:at]]))
        else:
            self._suspect(texts_in([w.text for w in words[1:]]), tails_of(words))

    def _interpreter(self, command: SimpleCommand) -> None:
        """Add `python`, `node` and the like: their code is no shell, but what it spells is heard."""
        arguments = [w.text for w in command.words[1:]]
        code = [a for a in arguments if not re.fullmatch(r"[\w./=:@%+,-]*", a)]
        if not command.inputs and all(re.fullmatch(r"-[A-UW-Za-gi-uw-z]*", a) for a in arguments):
            self.doubt("the program reads its code from its input")
        self._add(command, mentions=tokens_of(" ".join([*code, *command.inputs])))
        self._suspect(texts_in_code([*code, *command.inputs]))


def _configures(command: SimpleCommand, name: str) -> bool:
    """Whether it is pip's command that starts an editor."""
    return name.startswith("pip") and any(w.text == "config" or not w.literal for w in command.words[1:])


def _computes(command: SimpleCommand, name: str) -> bool:
    """Whether a builtin takes the name of a variable, in whose index bash runs substitutions."""
    if name in ("printf", "test", "["):
        return any(_COMPUTING_OPTION.fullmatch(w.text) for w in command.words[1:])
    return name in COMPUTING_BUILTINS


def _all_tokens(command: SimpleCommand) -> tuple[str, ...]:
    """Return what the arguments and the input spell, the program itself left out."""
    return tokens_of(" ".join([*(w.text for w in command.words[1:]), *command.inputs]))


def _filled(wrapper: tuple[Word, ...], inner: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the command that xargs runs, open where it puts what it reads."""
    options = [w.text for w in wrapper[: len(wrapper) - len(inner)]]
    for place, option in enumerate(options):
        if option == "-I" and place + 1 < len(options):
            return tuple(_holed(w, options[place + 1]) for w in inner)
        if option.startswith(("-I", "--replace=")):
            return tuple(_holed(w, option.removeprefix("-I").removeprefix("--replace=")) for w in inner)
    return (*inner, Word(DYNAMIC, splits=True))


def _holed(word: Word, mark: str) -> Word:
    return replace(word, text=word.text.replace(mark, DYNAMIC)) if mark and mark in word.text else word
