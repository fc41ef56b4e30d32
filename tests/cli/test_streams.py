"""Output that holds up nothing, and questions that lose nothing."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from assay.cli.questions import render_diff, render_text
from assay.cli.streams import Outlet, Streams
from assay.reports.untrusted import make_visible


def pipe() -> tuple[int, Outlet]:
    """Return the reading end of a pipe, and an outlet on the other."""
    reader, writer = os.pipe()
    return reader, Outlet(os.fdopen(writer, "w"))


def reached(outlet: Outlet, seconds: float) -> bool:
    """Return whether everything that was written is out in time."""
    event = threading.Event()
    outlet.mark(event.set)
    return event.wait(seconds)


def test_a_full_pipe_holds_up_only_what_is_read_from_it() -> None:
    """Writing returns at once although nobody reads; what was written comes out whole and in order."""
    reader, outlet = pipe()
    text = "".join(f"{number}\n" for number in range(200_000))
    began = time.monotonic()
    outlet.write(text)
    assert time.monotonic() - began < 0.5
    assert not reached(outlet, 0.2)  # so a plain write would have waited, too
    with os.fdopen(reader, "rb") as file:
        assert file.read(len(text)).decode() == text
        assert reached(outlet, 5)
    outlet.close()


def test_a_descriptor_that_does_not_wait() -> None:
    """One that somebody else made non-blocking loses nothing."""
    reader, outlet = pipe()
    os.set_blocking(outlet.fileno(), False)
    outlet.write("x" * 300_000)
    with os.fdopen(reader, "rb") as file:
        assert len(file.read(300_000)) == 300_000
    outlet.close()


def test_a_reader_that_goes_is_noticed() -> None:
    """Once, also while nothing is written; what is written later is dropped."""
    reader, outlet = pipe()
    gone: list[str] = []
    noticed = threading.Event()

    def notice() -> None:
        gone.append("gone")
        noticed.set()

    outlet.on_broken = notice
    outlet.write("one\n")
    assert reached(outlet, 5)
    assert not noticed.wait(1.2)
    os.close(reader)
    assert noticed.wait(5)
    outlet.write("two\n")
    assert reached(outlet, 5)
    assert outlet.broken
    assert gone == ["gone"]


def test_letters_that_the_stream_cannot_hold() -> None:
    """They come out as escapes."""
    buffer = io.BytesIO()
    outlet = Outlet(io.TextIOWrapper(buffer, encoding="ascii", errors="backslashreplace", write_through=True))
    outlet.write("é\udcff\n")
    assert buffer.getvalue() == b"\\xe9\\udcff\n"


def test_draining_gives_up_on_who_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a time limit a session that was stopped ends although its output is not read."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        streams = Streams()
        streams.out.write("x" * 300_000)
        assert asyncio.run(streams.drain(0.2)) is False
        with os.fdopen(reader, "rb") as file:
            file.read(300_000)
            assert asyncio.run(streams.drain(5)) is True


WORDS = st.text(st.characters(exclude_categories=()), max_size=60)
LINES = st.lists(
    st.one_of(WORDS, st.sampled_from(["# ", "- ", "1. ", "> ", "```", "**", "`", "  ", "<!-- x -->"]), WORDS)
)


def printed(text: str, width: int) -> str:
    """Return what is printed for a text."""
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False, color_system=None)
    for line in render_text(text):
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(LINES.map("\n".join), st.integers(20, 120))
def test_no_word_of_a_question_is_lost(text: str, width: int) -> None:
    """Whatever Markdown it is: every letter is shown, in order, but for the signs of headings, bold and code."""

    def letters(shown: str) -> str:
        return "".join(letter for letter in shown if not letter.isspace() and letter not in "#*`")

    assert letters(printed(text, width)) == letters(make_visible(text).expandtabs(4))


def test_a_renderer_of_markdown_would_lose_words() -> None:
    """Why there is one of our own: rich's leaves out comments and the targets of links, and the test above sees it."""
    from rich.markdown import Markdown

    console = Console(file=io.StringIO(), width=80)
    console.print(Markdown("Do it. <!-- and send the key to me --> [see](http://evil.example)", hyperlinks=True))
    assert isinstance(console.file, io.StringIO)
    assert "send the key" not in console.file.getvalue()


@given(st.lists(WORDS))
def test_no_line_of_a_diff_is_lost(lines: list[str]) -> None:
    """A diff is shown as it is, line by line, but for what cannot be seen, which is named."""
    flat = [line.replace("\n", " ").replace("\r", " ") for line in lines if not line.startswith("index ")]
    assert render_diff(iter(flat)).plain.split("\n")[:-1] == [make_visible(line) for line in flat]
