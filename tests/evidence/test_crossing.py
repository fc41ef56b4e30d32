"""What crosses between judge and program, where they run apart: every value as it was, and nothing else (S9)."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.judge_side.outside.crossing import MOST_BYTES, Malformed, Stream, decode, encode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(ZoneInfo("UTC")))
    | st.timedeltas()
    | st.uuids()
    | st.just(PurePosixPath("a/b"))
    | st.just(range(3))
    | st.just(...)
    | st.just(int),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def refuse(value: object) -> Any:
    """Refuse what is no data."""
    raise Malformed(type(value).__name__)


@given(VALUES)
def test_every_value_comes_back_as_it_was(value: object) -> None:
    """Data survives the way through JSON, with its type."""
    back = decode(json.loads(json.dumps(encode(value, refuse))), refuse)
    assert back == value
    assert type(back) is type(value)


NUMBERS = st.integers() | st.floats() | st.text() | st.booleans() | st.none()
TAGS = st.sampled_from(
    ["int", "list", "dict", "set", "range", "path", "zone", "datetime", "fraction", "timedelta", "held", "type", "uuid"]
)
TOLD = st.recursive(NUMBERS | TAGS, lambda inner: st.lists(inner) | st.tuples(TAGS, inner).map(list), max_leaves=12)


@given(TOLD)
def test_whatever_is_sent_is_a_value_or_malformed(told: object) -> None:
    """Nothing that a worker sends raises anything else, or makes anything but data."""
    try:
        decode(told, refuse)
    except Malformed:
        return


def test_types_are_exact() -> None:
    """A subclass of a plain type is no plain value, whatever it says of itself."""

    class Text(str):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    with pytest.raises(Malformed, match="Text"):
        encode([Text("a")], refuse)
    inside: list[object] = []
    inside.append(inside)
    with pytest.raises(Malformed, match="too deep"):
        encode(inside, refuse)
    assert decode(
        encode([date(2026, 1, 2), timedelta(1), Decimal(1), datetime(2026, 1, 2, tzinfo=UTC)], refuse), refuse
    )


@pytest.fixture
def pair() -> Iterator[tuple[Stream, socket.socket]]:
    """Return a stream and the other end of its connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Stream(ours), theirs


def test_messages_are_bounded(pair: tuple[Stream, socket.socket]) -> None:
    """A worker that announces too much, says nothing, sends no JSON or leaves is told apart."""
    stream, other = pair
    other.sendall(struct.pack("<I", MOST_BYTES + 1))
    with pytest.raises(Malformed):
        stream.receive(1)
    other.sendall(struct.pack("<I", 3) + b"{{{")
    with pytest.raises(Malformed):
        stream.receive(1)
    deep = b"[" * 100_000
    sender = threading.Thread(target=other.sendall, args=(struct.pack("<I", len(deep)) + deep,))
    sender.start()
    with pytest.raises(Malformed):
        stream.receive(5)
    sender.join()
    with pytest.raises(TimeoutError):
        stream.receive(0.01)
    other.close()
    with pytest.raises(EOFError):
        stream.receive(1)
