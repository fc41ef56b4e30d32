"""A question on a terminal: everything that it says, and nothing that it does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from assay.records.decisions import Question
from assay.reports.untrusted import make_visible

_HEADING: Final = re.compile(r"#{1,6} +(?P<text>.*)")
_BULLET: Final = re.compile(r"(?P<indent> *)(?P<sign>[-*]|\d{1,3}[.)]) +(?P<text>.*)")
_INLINE: Final = re.compile(r"\*\*(?P<bold>[^*\n]+)\*\*|`(?P<code>[^`\n]+)`")
_PROSE: Final = re.compile(r"(?![-*+] |\d{1,3}[.)] )[^\s#|>]")
_WRAPPED: Final = 60
"""Characters from which a line of a paragraph counts as wrapped, and not as ended on purpose."""
_OBJECT: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28}\b")
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def render_question(question: Question) -> RenderableType:
    """Return the question with its whole description."""
    heading = Text(f"⏸ {question.kind.value}: {make_visible(question.title)}", "bold")
    place = f"unit {make_visible(question.unit)} of run {question.run}" if question.unit else f"run {question.run}"
    return Group(
        Rule(style="yellow"),
        heading,
        Text(f"  {place}, {question.digest[:19]}", "dim"),
        Text(),
        Padding(Group(*render_text(question.description)), (0, 2)),
        Rule(style="yellow"),
    )


def render_text(text: str) -> Iterator[RenderableType]:
    """Yield the lines of a Markdown text, with bold, code, headings and lists made easy to read.

    It is not a Markdown renderer, which would leave out comments, HTML and the targets of links: a
    person signs for what the agents get to read, so every word of it is shown.
    """
    for line in _unwrapped(make_visible(text).expandtabs(4).split("\n")):
        if heading := _HEADING.fullmatch(line):
            yield _inline(heading["text"], "bold underline")
        elif bullet := _BULLET.fullmatch(line):
            item = Table.grid(padding=(0, 1))
            item.add_column(width=len(bullet["indent"]) + len(bullet["sign"]), justify="right")
            item.add_column(overflow="fold")
            item.add_row(Text(bullet["sign"]), _inline(bullet["text"]))
            yield item
        else:
            indent = len(line) - len(line.lstrip(" "))
            yield Padding(_inline(line[indent:]), (0, 0, 0, indent)) if indent else _inline(line)


def _unwrapped(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, with the lines of a paragraph that was wrapped at some width as one, to be wrapped at this one."""
    held = ""
    fenced = False
    for line in lines:
        fence = line.lstrip().startswith(("```", "~~~"))
        plain = not fenced and not fence and _PROSE.match(line) is not None
        if held and plain:
            held += " " + line
        else:
            if held:
                yield held
            held = ""
            if not plain:
                yield line
            else:
                held = line
        if held and len(line) < _WRAPPED:
            yield held
            held = ""
        fenced ^= fence
    if held:
        yield held


def render_diff(lines: Iterator[str]) -> Text:
    """Return a unified diff with colours."""
    text = Text(overflow="fold")
    for line in lines:
        shown = _OBJECT.sub(r"\1", line) if line.startswith("index ") else line
        bold = line.startswith(("diff ", "+++", "---"))
        text.append(make_visible(shown.rstrip("\n")) + "\n", "bold" if bold else _DIFF_STYLES.get(line[:1], ""))
    return text


def _inline(line: str, style: str = "") -> Text:
    text = Text(style=style, overflow="fold")
    end = 0
    for found in _INLINE.finditer(line):
        text.append(line[end : found.start()])
        text.append(found["bold"] or found["code"], "bold" if found["bold"] else "cyan")
        end = found.end()
    return text.append(line[end:])
