"""Redirections of a shell command: targets, here-strings and heredocs.

The words behind a target belong to the command, and the rest of the line behind a heredoc's mark
does as well: `cat <<EOF && git push` runs two commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

from tree_sitter import Node

from assay.policies.patterns import DYNAMIC
from assay.policies.words import Unreadable, Word, read_word

_WORDS: Final = frozenset(
    {"word", "string", "raw_string", "ansi_c_string", "concatenation", "number", "simple_expansion", "expansion",
     "command_substitution", "process_substitution", "arithmetic_expansion", "brace_expression"}
)  # fmt: skip


class Reader(Protocol):
    """What reading redirections needs of the reader of the whole text."""

    source: str

    def bashism(self) -> None:
        """Note that a plain `sh` reads this otherwise."""

    def doubt(self, reason: str) -> None:
        """Note why the text may run something else as well."""

    def inline(self, start: int, end: int) -> None:
        """Check that nothing but blanks lies between two places, and no newline."""

    def touches(self, start: int, end: int) -> None:
        """Check that a blank lies between two words."""

    def walk(self, node: Node, depth: int) -> None:
        """Read a statement."""

    def word(self, node: Node, depth: int) -> Word:
        """Read a word; one that cannot be read is dynamic."""
        ...

    def holes(self, node: Node, depth: int) -> list[tuple[int, int]]:
        """Return where a text expands."""
        ...

    def without(self, node: Node, holes: list[tuple[int, int]]) -> str:
        """Return the source of a node with its expansions taken out."""
        ...


@dataclass(slots=True)
class Redirection:
    """What one redirection means for its command."""

    words: list[Word] = field(default_factory=list)
    """Words that stand behind it and belong to the command."""
    inputs: list[str] = field(default_factory=list)
    """Text that it feeds to the command."""


def read_redirection(reader: Reader, node: Node, depth: int) -> Redirection:
    """Read a redirection of any kind."""
    match node.type:
        case "file_redirect":
            return Redirection(words=_file(reader, node, depth))
        case "herestring_redirect":
            return Redirection(inputs=[reader.word(node.children[-1], depth).text])
        case _:
            return _heredoc(reader, node, depth)


def _file(reader: Reader, node: Node, depth: int) -> list[Word]:
    words: list[Word] = []
    end = node.start_byte
    for child in node.children:
        reader.inline(end, child.start_byte)
        if words:
            reader.touches(end, child.start_byte)
        end = child.end_byte
        if child.type == "file_descriptor" and child.end_byte - child.start_byte > 1:  # a word to dash
            reader.bashism()
        if child.is_named and child.type != "file_descriptor":
            words.append(reader.word(child, depth))
    if len(words) > 1 and reader.source.startswith("&>", node.start_byte):  # `a &>f b` is `a & >f b` to dash
        reader.bashism()
    closes = any(child.type in ("<&-", ">&-") for child in node.children)
    return words if closes else words[1:]


def _heredoc(reader: Reader, node: Node, depth: int) -> Redirection:
    found = Redirection()
    start = body = finish = None
    line_end = end = node.start_byte
    for child in node.children:
        kind = child.type
        if kind == "heredoc_body":
            body = child
        elif kind == "heredoc_end":
            finish = child
        else:
            reader.inline(end, child.start_byte)
            line_end = child.end_byte
            if kind == "heredoc_start":
                start = child
            elif kind == "file_redirect":
                found.words += _file(reader, child, depth)
            elif kind in _WORDS:
                reader.touches(end, child.start_byte)
                found.words.append(reader.word(child, depth))
            elif child.is_named:
                reader.walk(child, depth + 1)
        end = child.end_byte
    if start is None or finish is None:
        reader.doubt("a heredoc does not end")
        found.inputs.append(DYNAMIC)
    else:
        found.inputs.append(_heredoc_text(reader, node, start, body, finish, line_end, depth))
    return found


def _heredoc_text(
    reader: Reader, node: Node, start: Node, body: Node | None, finish: Node, line_end: int, depth: int
) -> str:
    mark = reader.source[start.start_byte : start.end_byte]
    strip = node.children[0].type == "<<-" or (len(node.children) > 1 and node.children[1].type == "<<-")
    try:
        delimiter = read_word(mark).text
    except Unreadable:
        delimiter = DYNAMIC
    text, end = _lines_until(reader.source, delimiter, line_end, strip=strip)
    if end != finish.start_byte:
        reader.doubt("a heredoc ends elsewhere than assay reads it")
    if re.search(r"['\"\\]", mark):
        return text
    holes = reader.holes(body, depth) if body is not None else []
    rest = re.sub(r"\\[\\$`]", "", reader.without(body, holes)) if body is not None else ""
    if re.search(r"`|\$[({]", rest):
        reader.doubt("a heredoc holds an expansion that assay could not read; quote its delimiter")
    return DYNAMIC + text if holes or "\\" in text else text


def _lines_until(source: str, delimiter: str, line_end: int, *, strip: bool) -> tuple[str, int]:
    """Return the lines of a heredoc as bash finds them, and where the delimiter starts; -1 without one."""
    at = source.find("\n", line_end) + 1
    lines: list[str] = []
    while 0 < at < len(source):
        stop = source.find("\n", at)
        stop = len(source) if stop < 0 else stop
        line = source[at:stop].lstrip("\t") if strip else source[at:stop]
        if line == delimiter:
            return "\n".join(lines), stop - len(delimiter)
        lines.append(line)
        at = stop + 1
    return "\n".join(lines), -1
