"""The wire format: what a file contains never looks like what the supervisor says."""

from __future__ import annotations

import struct

import pytest

from assay.sandboxes.frames import (
    CHUNK,
    NotStarted,
    Refusal,
    decode_content,
    decode_files,
    decode_lines,
    decode_result,
    encode_run,
    split_chunks,
)

LIES = b"\0!2 lie\0", b"!2 lie\0", b"=\0", b"f 644 3 0 0 0 x\0", b""


@pytest.mark.parametrize("lie", LIES)
def test_contents_are_only_contents(lie: bytes) -> None:
    """A file that holds what an error looks like is read as that file."""
    assert decode_content(b"+" + lie) == lie
    line = b"f 644 %d 1 1 1 name\n of it" % len(lie)
    answer = (line + b"\0" + lie + line + b"\0") * 2 + b"=\0"
    assert list(decode_files(answer)) == [(line, lie, line)] * 2


def test_errors_are_errors() -> None:
    """An error says what and where, wherever in an answer it stands."""
    for decode in (decode_content, decode_lines, lambda answer: list(decode_files(answer))):
        with pytest.raises(Refusal) as refused:
            decode(b"!13 a path\0")
        assert (refused.value.number, refused.value.path) == (13, "a path")
    line = b"f 644 2 1 1 1 x\0"
    for answer in (line + b"ab" + b"!5 x\0", line + b"ab" + line + b"!2 y\0"):
        with pytest.raises(Refusal):
            list(decode_files(answer))
    with pytest.raises(Refusal):
        decode_lines(line + b"!2 y\0")
    assert decode_lines(line + b"=\0") == [line[:-1]]


@pytest.mark.parametrize("sizes", [[0], [1], [CHUNK], [CHUNK + 1], [3 * CHUNK, 5], [10] * 10_000])
def test_chunks_are_the_same_bytes(sizes: list[int]) -> None:
    """Cutting into chunks loses and adds nothing, and only the last is short."""
    parts = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    chunks = list(split_chunks(parts))
    assert b"".join(chunks) == b"".join(parts)
    assert all(len(chunk) == CHUNK for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks[-1:])


RESULT = struct.Struct("<IIIIQQ")
NO_STREAM = struct.pack("<QI32s", 0, 0, bytes(32))


def test_a_command_that_could_not_start() -> None:
    """A failed fork is not a result."""
    with pytest.raises(NotStarted, match="temporarily unavailable"):
        decode_result([RESULT.pack(3, 5, 11, 0, 0, 0) + NO_STREAM * 3], seconds=1, output_limit=10)
    with pytest.raises(ValueError, match="the way 99"):
        decode_result([RESULT.pack(3, 99, 0, 0, 0, 0) + NO_STREAM * 3], seconds=1, output_limit=10)


def output(stream: int, *pieces: bytes) -> bytes:
    """Return pieces of a stream as the supervisor sends them."""
    return b"".join(struct.pack("<II", stream, len(piece)) + piece for piece in pieces)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_output_comes_in_pieces(size: int) -> None:
    """Pieces of streams, mixed and cut anywhere, are put together; the middle of a long stream is left out."""
    answer = (
        output(0, b"01")
        + output(1, b"error")
        + output(0, b"23456789")
        + RESULT.pack(3, 0, 0, 0, 0, 0)
        + struct.pack("<QI32s", 12, 2, bytes(32))
        + b"AB"
        + struct.pack("<QI32s", 5, 0, bytes(32))
        + NO_STREAM
    )
    parts = [answer[at : at + size] for at in range(0, len(answer), size)]
    result = decode_result(parts, seconds=1, output_limit=10)
    assert (result.stdout.head, result.stdout.tail, result.stdout.length) == (b"01234", b"789AB", 12)
    assert (result.stderr.head, result.stderr.tail, result.stderr.cut) == (b"error", b"", False)
    with pytest.raises(ValueError, match="too short"):
        decode_result(parts[:-1] or [answer[:-1]], seconds=1, output_limit=10)


@pytest.mark.parametrize("name", ["", "A=B"])
def test_impossible_variables(name: str) -> None:
    """A variable's name is not empty and has no equals sign."""
    with pytest.raises(ValueError, match="environment variable"):
        encode_run(["x"], {name: "1"}, directory="/", seconds=1, output_limit=1, stdin=False, report=False)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), 2.0**32])
def test_impossible_times(seconds: float) -> None:
    """A command has a time that is a number, not negative, and fits into the request."""
    with pytest.raises(ValueError, match="cannot be given"):
        encode_run(["x"], {}, directory="/", seconds=seconds, output_limit=1, stdin=False, report=False)


@pytest.mark.parametrize("limit", [-1, 2**32])
def test_impossible_limits(limit: int) -> None:
    """What is kept of a stream fits into the request; the most that does is taken."""
    with pytest.raises(ValueError, match="cannot be kept"):
        encode_run(["x"], {}, directory="/", seconds=1, output_limit=limit, stdin=False, report=False)
    assert encode_run(["x"], {}, directory="/", seconds=0, output_limit=2**32 - 1, stdin=False, report=False)
