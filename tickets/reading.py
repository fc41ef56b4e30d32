"""A ticket from a file: Markdown with YAML front matter, or plain text whose first line is the title."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from assay.errors import TicketError
from assay.records.tickets import Ticket

LONGEST: Final = 1_000_000
"""Bytes that a ticket may have. A model has to read it, and so has a person."""
LONGEST_TITLE: Final = 200

_TEXTS: Final = ("title", "repo", "base")
_LISTS: Final = ("acceptance", "constraints", "labels")
_KEYS: Final = (*_TEXTS, *_LISTS)
_FENCE: Final = "---"


def read_ticket(path: Path) -> Ticket:
    """Return the ticket in a file.

    Raises TicketError, naming the place, for a file that is missing, empty, too long, not text, or
    whose front matter does not parse or says what a ticket cannot say.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
    except FileNotFoundError as error:
        raise TicketError(f"{path} does not exist", next_step="name a Markdown or text file") from error
    except IsADirectoryError as error:
        raise TicketError(f"{path} is a directory", next_step="name a Markdown or text file in it") from error
    except OSError as error:
        raise TicketError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > LONGEST:
        raise TicketError(
            f"{path} has {max(path.stat().st_size, len(data)):,} bytes; a ticket may have {LONGEST:,}",
            next_step="keep what must be done, and put logs and data into the repository",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TicketError(
            f"{path} is not UTF-8 text: byte {data[error.start]:#04x} at offset {error.start}",
            next_step="save it as UTF-8",
        ) from error
    return parse_ticket(text, str(path))


def parse_ticket(text: str, place: str) -> Ticket:
    """Return the ticket that a text holds.

    Args:
        text: the whole of it.
        place: what errors call it.

    Raises TicketError.
    """
    if "\0" in text:
        raise TicketError(f"{place} is a binary file", next_step="name a Markdown or text file")
    if not text.strip():
        raise TicketError(f"{place} is empty", next_step="write a title in the first line, and below it what is asked")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    front: dict[str, str | tuple[str, ...]] = {}
    if lines[0].rstrip() == _FENCE:
        front, lines = _read_front_matter(lines, place)
    title = front.pop("title", None)
    if title is None:
        lines = "\n".join(lines).lstrip("\n").split("\n")
        title, lines = lines[0].lstrip("#"), lines[1:]
    return Ticket.model_validate({"title": _one_line(str(title), place), "text": "\n".join(lines).strip(), **front})


def _one_line(title: str, place: str) -> str:
    # Control characters would reach terminals, branch names and commit messages.
    line = " ".join("".join(c if c.isprintable() else " " for c in title).split())
    if not line:
        raise TicketError(f"{place} has no title", next_step="write one into the first line, or as `title:`")
    if len(line) > LONGEST_TITLE:
        raise TicketError(
            f"{place}: the title has {len(line)} characters, and may have {LONGEST_TITLE}: {line[:60]}…",
            next_step="write a short first line, and what is asked below it",
        )
    return line


def _read_front_matter(lines: list[str], place: str) -> tuple[dict[str, str | tuple[str, ...]], list[str]]:
    """Return what the front matter says, and the lines after it."""
    ends = (number for number, line in enumerate(lines[1:], start=1) if line.rstrip() in {_FENCE, "..."})
    end = next(ends, None)
    if end is None:
        raise TicketError(f"{place}, line 1: the front matter has no end", next_step="close it with a line `---`")
    text = "\n".join(lines[1:end])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 2}, column {mark.column + 1}" if mark else ""
        raise TicketError(
            f"{place}{where}: the front matter does not parse: {error.problem}",
            next_step="texts with a colon, and all others in doubt, go into quotes",
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise TicketError(f"{place}: the front matter does not parse: {type(error).__name__}") from error
    if node is None:
        return {}, lines[end + 1 :]
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise TicketError(f"{place}, line 2: the front matter is not a list of `key: value`")
    return _checked(values, _places_of_keys(node, place), place), lines[end + 1 :]


def _places_of_keys(node: yaml.MappingNode, place: str) -> dict[str, str]:
    """Return for each key where it stands; raises TicketError for one that is unknown or there twice."""
    places: dict[str, str] = {}
    for key, _ in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
        where = f"{place}, line {key.start_mark.line + 2}"
        if name not in _KEYS:
            near = difflib.get_close_matches(name, _KEYS, n=1)
            known = f"did you mean `{near[0]}`?" if near else f"a ticket knows {', '.join(_KEYS)}"
            raise TicketError(f"{where}: unknown key {name[:60]!r}", next_step=known)
        if name in places:
            raise TicketError(f"{where}: `{name}` is there twice", next_step="keep one of them")
        places[name] = where
    return places


def _checked(values: Mapping[str, object], places: Mapping[str, str], place: str) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, str | tuple[str, ...]] = {}
    for key, value in values.items():
        where = places.get(key, place)
        if value is None:
            continue
        if key in _LISTS:
            items = [value] if isinstance(value, str) else value
            if not isinstance(items, list):
                raise TicketError(
                    f"{where}: `{key}` must be a list of texts, and is {_kind(items)}",
                    next_step="write each on a line of its own, after `- `",
                )
            found[key] = tuple(_text(item, f"{where}: an item of `{key}`") for item in items)
        else:
            found[key] = _text(value, f"{where}: `{key}`")
    return found


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TicketError(f"{what} must be a text, and is {_kind(value)}", next_step="put it into quotes")
    if not value.strip():
        raise TicketError(f"{what} is empty", next_step="write something, or leave the key out")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise TicketError(f"{what} holds half of a character", next_step="write the character itself, not its escape")
    return value.strip()


def _kind(value: object) -> str:
    # Not the value itself: YAML's aliases let a few lines stand for gigabytes.
    names = {
        bool: "yes or no",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        type(None): "empty",
    }
    return names.get(type(value), f"a {type(value).__name__}")
