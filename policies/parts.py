"""What a command line would run, part by part."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from assay.policies.patterns import BREAK, DYNAMIC
from assay.policies.words import Word
from assay.policies.wrappers import GIT_OPTIONS, skip_options

_TOKEN: Final = re.compile(rf"[\w.+:@%/{DYNAMIC}-]+")
_QUOTES: Final = re.compile(r"\\\n|[\\'\"]")


@dataclass(frozen=True, slots=True)
class Part:
    """One command that a command line would run."""

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    wraps: bool = False
    """It only starts what the other parts name; no rule needs to allow it, but one may deny it."""
    mentions: tuple[str, ...] = ()
    """Tokens of what it may run besides, where its arguments are not known to be mere data."""
    open: bool = False
    """It stands for text that shells read in different ways; only a rule for any command allows it."""

    @property
    def text(self) -> str:
        """The part for a person; `…` where it is known only when it runs."""
        return " ".join([*self.assignments, *(w.text for w in self.words)]).replace(DYNAMIC, "…")

    @property
    def full(self) -> str:
        """The form that a rule must allow: as written, assignments included."""
        return BREAK.join([*self.assignments, *(w.text for w in self.words)])

    def forms(self) -> tuple[str, ...]:
        """Every form under which a rule may deny it: as written, by the program's name alone, without options."""
        texts = [w.text for w in self.words]
        named = [texts[0].rsplit("/", 1)[-1], *texts[1:]]
        forms = [self.full, BREAK.join(texts), BREAK.join(named), BREAK.join([named[0], *_operands(texts[1:])])]
        if named[0] == "git":
            at = skip_options(GIT_OPTIONS, self.words)
            forms.append(BREAK.join(["git", *texts[at:]]) if at is not None else f"git{BREAK}{DYNAMIC}")
        return tuple(dict.fromkeys(forms))


def _operands(texts: list[str]) -> list[str]:
    return [text for text in texts if not text.startswith("-")]


@dataclass(slots=True)
class CommandLine:
    """Everything that a command line would run, and why it might run more."""

    parts: list[Part] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    suspicions: list[Part] = field(default_factory=list)
    """What stands in arguments and may be run: it cannot allow anything, and is asked where it is denied."""


def tokens_of(text: str) -> tuple[str, ...]:
    """Return the names in a text that could be those of programs and their arguments; paths by their last part."""
    return tuple(token.rstrip("/").rsplit("/", 1)[-1] for token in _TOKEN.findall(_QUOTES.sub("", text)))
