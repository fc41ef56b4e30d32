"""Programs that run another program, and how to find that one in their arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from assay.policies.patterns import DYNAMIC
from assay.policies.words import Word


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The command-line grammar of a program that ends in a command."""

    flags: frozenset[str] = frozenset()
    """Options without a value."""
    valued: frozenset[str] = frozenset()
    """Options with a value, joined or behind them."""
    operands: int = 0
    """Arguments that stand before the command, as `timeout`'s duration."""
    assigns: bool = False
    """Whether `NAME=value` may stand before the command."""
    numbers: bool = False
    """Whether `-5` is an option."""
    own: bool = False
    """Whether running it is something of its own that a rule must allow, besides the command in it."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What a wrapper runs."""

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()


def _of(flags: str = "", valued: str = "", **more: object) -> Wrapper:
    return Wrapper(frozenset(flags.split()), frozenset(valued.split()), **more)  # type: ignore[arg-type]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRAPPERS: Final = {
    "builtin": _of(),
    "chroot": _of(valued="--userspec --groups", operands=1, own=True),
    "chrt": _of("-b -f -i -o -r -R -v", "-T -P -D", operands=1),
    "command": _of("-p --"),
    "coproc": _of(),
    "doas": _of("-n -L -s", "-u -C -a", own=True),
    "env": _of("-i --ignore-environment - -0 --null -v --debug", "-u --unset -C --chdir --argv0 -a", assigns=True),
    "exec": _of("-c -l", "-a"),
    "ionice": _of("-t --ignore", "-c -n --class --classdata"),
    "nice": _of(valued="-n --adjustment", numbers=True),
    "nohup": _of(),
    "setsid": _of("-c -f -w --ctty --fork --wait"),
    "stdbuf": _of(valued="-i -o -e --input --output --error"),
    "sudo": _of(
        "-A -B -b -E -e -H -K -k -n -P -S -s -i --preserve-env --non-interactive --login --shell",
        "-u -g -h -p -C -T -R -D -U -r -t --user --group",
        assigns=True,
        own=True,
    ),
    "taskset": _of("-a", operands=1),
    "time": _of("-p -v -a -q --verbose --portability", "-f -o --format --output"),
    "timeout": _of("--foreground --preserve-status -v --verbose -f -p", "-k --kill-after -s --signal", operands=1),
    "xargs": _of(
        "-0 --null -r --no-run-if-empty -t --verbose -p --interactive -x --exit -o --open-tty",
        "-I -L -n -P -s -d -a -E --max-args --max-procs --max-lines --max-chars --delimiter --arg-file --replace",
    ),
}
"""By the last part of their name. What is not here and takes a command is caught by what its arguments spell."""

TOOLBOXES: Final = frozenset({"busybox", "toybox"})
SHELLS: Final = frozenset({"bash", "rbash", "sh", "dash", "ash"})
FOREIGN_SHELLS: Final = frozenset({"zsh", "ksh", "mksh", "fish", "csh", "tcsh", "pwsh", "nu", "xonsh", "elvish"})
BASH: Final = frozenset({"bash", "rbash"})
INTERPRETERS: Final = re.compile(
    r"(?:python|pypy|perl|ruby|node|nodejs|php|lua|deno|bun|tclsh|Rscript|awk|gawk|mawk)[\d.]*"
)

INERT: Final = _names(
    "[ basename black cat cd chmod cmp comm cp cut date df diff dirname du echo egrep false fgrep file flake8 "
    "grep head id isort ln ls md5sum mkdir mktemp mv mypy nl od paste pip pip3 printenv printf ps pwd py.test pyright "
    "pytest readlink realpath rg rm rmdir ruff seq sha256sum sleep stat sum tail tee test touch tr tree true tty "
    "type uname uniq unlink wc whereis which whoami"
)
"""Programs that do not run their arguments as commands: what these spell is no command."""

COMPUTING_BUILTINS: Final = _names(
    "declare export getopts let local mapfile printf read readarray readonly test typeset unset wait"
)
"""Builtins of bash that take names, and run a command substitution in the index of one."""

SETTERS: Final = frozenset({"declare", "export", "local", "mapfile", "read", "readarray", "readonly", "typeset"})
"""Builtins of bash that set the variables which they name."""

INERT_GIT: Final = _names(
    "add blame branch checkout cherry-pick commit describe diff grep init log merge mv reset restore rev-list "
    "rev-parse revert rm show stash status switch tag"
)
RUNNING_OPTIONS: Final = _names(
    "--compress-program --editor --exec --ext-diff --extcmd --hostname-bin --open-files-in-pager --pre --python "
    "--python-executable --receive-pack --shell --to-command --tool --upload-pack"
)
"""Options whose value some program runs: one that has such an option is not inert."""
DATA_OPTIONS: Final = _names(
    "--author --cleanup --color --date --deselect --exclude --exclude-dir --file --format --glob --grep --ignore "
    "--include --log-format --message --perl-regexp --pretty --regexp --replace --since --sort --trailer --until"
)
"""Options whose value is only text."""
GIT_OPTIONS: Final = _of(
    "-p --paginate -P --no-pager --bare --no-replace-objects --no-lazy-fetch --literal-pathspecs --glob-pathspecs "
    "--noglob-pathspecs --icase-pathspecs --no-optional-locks --no-advice --version --help -h -v",
    "-C -c --git-dir --work-tree --namespace --exec-path --super-prefix --config-env --attr-source",
)


def runs_by_option(words: tuple[Word, ...]) -> bool:
    """Whether an option of a program may name what that runs, so that the program is not inert, whichever it is.

    That is so for the known ones, of which a beginning is enough, as many programs have it; and for any long one with
    a value that could be a command line, unless it is known to take text.
    """
    for word in words[1:]:
        if word.text == "--":
            return False
        name, joined, value = word.text.partition("=")
        if len(name) > 2 and name.startswith("--"):
            if any(option.startswith(name) for option in RUNNING_OPTIONS):
                return True
            if joined and name not in DATA_OPTIONS and re.search(r"[\s$`{}\\]", value):
                return True
    return False


def is_inert_git(words: tuple[Word, ...], at: int) -> bool:
    """Whether a command of git's that begins at a word does not run its arguments."""
    if not words[at].literal or words[at].text not in INERT_GIT or runs_by_option(words[at:]):
        return False
    shows = words[at].text == "grep" and any(re.match(r"-[^-\s]*O", word.text) for word in words[at:])
    return not shows  # in a program that is named behind `-O`


def skip_options(wrapper: Wrapper, words: tuple[Word, ...], start: int = 1) -> int | None:
    """Return where the options of a wrapper end; None where they cannot be told from what follows."""
    at = start
    while at < len(words):
        word = words[at]
        if not word.literal:
            return None if word.splits or word.text.startswith((DYNAMIC, "-")) else at
        text = word.text
        name = text.split("=", 1)[0]
        if text == "--":
            return at + 1
        if text in wrapper.flags or (wrapper.numbers and re.fullmatch(r"-\d+", text)):
            at += 1
        elif text in wrapper.valued:
            at += 2
        elif text.startswith("--"):
            if "=" not in text or name not in wrapper.valued | wrapper.flags:
                return None
            at += 1
        elif len(text) > 1 and text.startswith("-"):
            width = _cluster(wrapper, text)
            if width is None:
                return None
            at += width
        else:
            return at
    return at


def _cluster(wrapper: Wrapper, text: str) -> int | None:
    """Return how many words a cluster of short options takes, `-rn1` or `-rn 1`; None for an unknown one."""
    for place, letter in enumerate(text[1:], 1):
        if f"-{letter}" in wrapper.valued:
            return 1 if place + 1 < len(text) else 2
        if f"-{letter}" not in wrapper.flags:
            return None
    return 1


def unwrap(wrapper: Wrapper, words: tuple[Word, ...]) -> Unwrapped | None:
    """Return the command that a wrapper's arguments hold; None where it cannot be found for certain."""
    at = skip_options(wrapper, words)
    if at is None:
        return None
    assignments: list[str] = []
    while wrapper.assigns and at < len(words) and "=" in words[at].text:  # env takes any name, and none
        if words[at].splits:
            return None
        assignments.append(words[at].text)
        at += 1
    for _ in range(wrapper.operands):
        if at < len(words) and words[at].splits:
            return None
        at += 1
    return Unwrapped(words[at:], tuple(assignments))
