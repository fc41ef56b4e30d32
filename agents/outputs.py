"""What tools found, as bounded text for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from assay.records.sandboxes import CommandResult, Exited, OutOfMemory, Signalled, TimedOut

TEXT_CHARACTERS: Final = 30_000
"""What a tool gives to the model at most; the middle is left out."""
LINE_CHARACTERS: Final = 2_000
ENTRIES: Final = 1_000
"""Paths or matches that a search gives at most."""


def shorten(text: str, limit: int = TEXT_CHARACTERS) -> str:
    """Return the text, its middle left out where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n[... {len(text) - head - tail} characters left out ...]\n{text[-tail:]}"


def cut_line(line: str) -> str:
    """Return a line, its end left out where it is very long."""
    return line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]} [... {len(line)} characters]"


def list_paths(paths: Sequence[str], nothing: str, *, cut: bool) -> str:
    """Return paths a line each, with a word on those that are not shown."""
    if not paths:
        return nothing
    more = f"\n[{len(paths) - ENTRIES} more; narrow the pattern]" if len(paths) > ENTRIES else ""
    return "\n".join(paths[:ENTRIES]) + more + ("\n[the folder is too large to be searched whole]" if cut else "")


def read_matches(text: str) -> list[tuple[str, str, str]]:
    """Return path, line number and line of each match that `grep -nHZ` printed."""
    found: list[tuple[str, str, str]] = []
    for row in text.split("\n"):
        path, zero, rest = row.partition("\0")
        line, colon, content = rest.partition(":")
        if zero and colon:
            found.append((path, line, content))
    return found


def list_matches(matches: Sequence[tuple[str, str, str]], mode: str, *, cut: bool) -> str:
    """Return matches in one of grep's three forms."""
    if not matches:
        return "no matches"
    by_path: dict[str, list[tuple[str, str]]] = {}
    for path, line, content in matches:
        by_path.setdefault(path, []).append((line, content))
    if mode == "count":
        rows = [f"{path}: {len(found)}" for path, found in by_path.items()]
    elif mode == "content":
        rows = [
            "\n".join([f"{path}:", *(f"  {line}: {cut_line(content)[:500]}" for line, content in found)])
            for path, found in by_path.items()
        ]
    else:
        rows = list(by_path)
    return "\n".join(rows) + ("\n[there are more matches; narrow the pattern or the path]" if cut else "")


def describe_command(result: CommandResult) -> str:
    """Return what a command printed and how it ended."""
    parts = [result.stdout.text.rstrip("\n")]
    if result.stderr.length:
        parts.append(f"[stderr]\n{result.stderr.text.rstrip()}")
    match result.ending:
        case Exited(code=0):
            parts.append("[Command succeeded with exit code 0]")
        case Exited(code=code):
            parts.append(f"[Command failed with exit code {code}]")
        case Signalled(signal=signal):
            parts.append(f"[Command was killed by signal {signal}]")
        case TimedOut(seconds=seconds):
            parts.append(f"[Command was stopped after {seconds:g} s]")
        case OutOfMemory():
            parts.append("[Command was killed: the sandbox's memory was used up]")
    if result.disk_full:
        parts.append("[A writable place of the sandbox is full]")
    return "\n".join(part for part in parts if part)
