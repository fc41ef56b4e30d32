"""What a piece of shell text would run, once it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.policies.words import Word


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One command as it would be started."""

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    """`NAME=value` in front of it."""
    inputs: tuple[str, ...] = ()
    """Text that is fed to it by heredocs and here-strings."""


@dataclass(slots=True)
class ShellText:
    """What a piece of shell text would run."""

    commands: list[SimpleCommand] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """Why it might run something else as well, a clause each."""
    variables: list[str] = field(default_factory=list)
    """`NAME=value` that stand alone: they change what later commands do."""
    computes: bool = False
    """Whether something in it computes with text, which bash may run as code: arithmetic, tests, `${!x}`."""
    hidden: bool = False
    """Whether it holds command substitutions as mere text, which such computing would run."""
    bashisms: bool = False
    """Whether a plain `sh` would find other commands in it: `[[ a || b ]]`, `((a))`, `a &>f b`, `$'\\''`."""
