"""Tickets from files: what is read, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import TicketError
from assay.records.tickets import Ticket
from assay.tickets.reading import LONGEST, parse_ticket, read_ticket

FULL = """---
title: Refuse negative amounts
repo: ../shop
base: "1234567"
acceptance:
  - A transfer of less than nothing raises ValueError.
  - "A transfer: of nothing is allowed."
constraints: [No new dependency.]
labels: bug
---

Somebody moved **-5** euros.

---
Not front matter.
"""


def test_markdown_with_front_matter(tmp_path: Path) -> None:
    """Every key of the front matter is read, and the body is kept as written."""
    path = tmp_path / "ticket.md"
    path.write_text(FULL)
    assert read_ticket(path) == Ticket(
        title="Refuse negative amounts",
        text="Somebody moved **-5** euros.\n\n---\nNot front matter.",
        repo="../shop",
        base="1234567",
        acceptance=(
            "A transfer of less than nothing raises ValueError.",
            "A transfer: of nothing is allowed.",
        ),
        constraints=("No new dependency.",),
        labels=("bug",),
    )


@pytest.mark.parametrize(
    ("text", "title", "body"),
    [
        ("Fix it", "Fix it", ""),
        ("\n\n# Fix it\n\nnow\n", "Fix it", "now"),
        ("\ufeffFix it\r\nnow\r\nplease", "Fix it", "now\nplease"),
        ("---\nlabels: [x]\n---\n\n## Fix it\nnow", "Fix it", "now"),
        ("---\n---\nFix it", "Fix it", ""),
        ("---\ntitle: Fix it\nrepo:\n---\n", "Fix it", ""),
        ("Fix \x1b[31mit\x07\t now", "Fix [31mit now", ""),
    ],
)
def test_title_comes_from_the_first_line_where_no_key_names_it(
    tmp_path: Path, text: str, title: str, body: str
) -> None:
    """Plain text, a heading, Windows line ends and a byte order mark all give title and body."""
    path = tmp_path / "ticket"
    path.write_bytes(text.encode())
    ticket = read_ticket(path)
    assert (ticket.title, ticket.text) == (title, body)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        pytest.param(b"x" * (LONGEST + 1), "1,000,001 bytes", id="longer than a ticket may be"),
        pytest.param(b"x\n" * 2_500_000, "5,000,000 bytes", id="five megabytes"),
        (b"Fix\xff it", "0xff at offset 3"),
        (b"\x7fELF\0\0", "binary"),
        (b"---\ntitle: x\n", "line 1: the front matter has no end"),
        (b"---\ntitle: a: b\n---\n", "line 2, column 9: the front matter does not parse"),
        (b"---\ntitle: x\nlabels: [a\n---\n", "does not parse"),
        (b"---\ntitle: x\n\tlabels: y\n---\n", "does not parse"),
        (b"---\ntitle: \x01\n---\n", "does not parse"),
        (b"---\n- a\n- b\n---\n", "line 2: the front matter is not a list of"),
        (b"---\ntitle: x\naceptance: [y]\n---\n", "line 3: unknown key 'aceptance'\n  next: did you mean `acceptance`"),
        (b"---\nzzz: x\n---\n", "a ticket knows title, repo"),
        (b"---\n? [a]\n: x\n---\n", "line 2, column 3: the front matter does not parse"),
        (b"---\ntitle: x\ntitle: y\n---\n", "line 3: `title` is there twice"),
        (b"---\ntitle: 5\n---\n", "line 2: `title` must be a text, and is a number\n  next: put it into quotes"),
        (b"---\ntitle: x\nbase: 2026-01-01\n---\n", "`base` must be a text, and is a date"),
        (b"---\ntitle: x\nacceptance: {a: b}\n---\n", "line 3: `acceptance` must be a list of texts, and is a mapping"),
        (b"---\ntitle: x\nacceptance: [a, [b]]\n---\n", "an item of `acceptance` must be a text, and is a list"),
        (b"---\ntitle: x\nacceptance: ['']\n---\n", "an item of `acceptance` is empty"),
        (b"---\ntitle: ''\n---\n", "`title` is empty"),
        (b'---\ntitle: x\nbase: "\\ud800"\n---\n', "half of a character"),
        (b"---\nlabels: [x]\n---\n\n", "has no title"),
        (b"#\nbody", "has no title"),
        (b"y" * 201, "the title has 201 characters"),
        (b"---\ntitle: !!python/object/apply:os.system ['true']\n---\n", "does not parse"),
        pytest.param(b"---\ntitle: " + b"[" * 100_000 + b"\n---\n", "does not parse", id="deep"),
        (b"---\ntitle: &a [*a]\n---\n", "`title` must be a text"),
    ],
)
def test_unusable_tickets_are_refused_with_the_place(tmp_path: Path, data: bytes, message: str) -> None:
    """Each kind of bad ticket gives an error that names the file and what is wrong."""
    path = tmp_path / "ticket.md"
    path.write_bytes(data)
    with pytest.raises(TicketError) as caught:
        read_ticket(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_missing_file_and_directory(tmp_path: Path) -> None:
    """A path that is no file is named."""
    with pytest.raises(TicketError, match=r"nowhere\.md does not exist"):
        read_ticket(tmp_path / "nowhere.md")
    with pytest.raises(TicketError, match="is a directory"):
        read_ticket(tmp_path)


def test_aliases_that_stand_for_gigabytes_cost_nothing(tmp_path: Path) -> None:
    """YAML's "billion laughs" is refused by type, and never written out."""
    lines = ["---", "title: x", "labels:", '  - &a0 ["lol"]']
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    path = tmp_path / "ticket.md"
    path.write_text("\n".join([*lines, "---", ""]))
    with pytest.raises(TicketError, match="an item of `labels` must be a text"):
        read_ticket(path)


@given(st.one_of(st.text(), st.text().map(lambda text: f"---\n{text}\n---\nbody")))
def test_any_text_is_a_ticket_or_a_ticket_error(text: str) -> None:
    """Nothing but TicketError comes out of a text, and a ticket's title is one printable line."""
    try:
        ticket = parse_ticket(text, "x")
    except TicketError:
        return
    assert ticket.title.isprintable()
    assert ticket.title.strip()
