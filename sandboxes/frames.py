"""The bytes between host and supervisor. `supervisor/wire.h` is the same format in C.

A frame is `u32 id, u32 type, u32 length, payload`, little endian, in both directions.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from assay.records.sandboxes import CommandResult, Ending, Exited, OutOfMemory, Output, Process, Signalled, TimedOut

VERSION: Final = 2
CHUNK: Final = 65536
"""Longest payload of a frame, bytes; only OPEN may be longer."""
OPEN_MAX: Final = 8 << 20
WINDOW: Final = 1 << 20
"""Bytes of a request's body that may be on their way without a CREDIT."""

HEADER: Final = struct.Struct("<III")
_U32: Final = struct.Struct("<I")
_U32_MAX: Final = 2**32 - 1
_RUN: Final = struct.Struct("<QIIII")
_RESULT: Final = struct.Struct("<IIIQQ")
_STREAM: Final = struct.Struct("<QI32s")
_FAILED: Final = struct.Struct("<III")

_STREAMS: Final = ("stdout", "stderr", "report")
_NOT_STARTED: Final = 5

RUN_STDIN: Final = 1
RUN_REPORT: Final = 2


class Frame(IntEnum):
    """What a frame is: the first five and LEAVE from the host, the others, and DATA, from the supervisor."""

    OPEN = 1
    DATA = 2
    EOF = 3
    KILL = 4
    PING = 5
    END = 6
    FAILED = 7
    CREDIT = 8
    PONG = 9
    HELLO = 10
    LEAVE = 11


def encode_frame(request: int, kind: IntEnum, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return HEADER.pack(request, kind, len(payload)) + payload


def encode_run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    directory: str,
    seconds: float,
    output_limit: int,
    stdin: bool,
    report: bool,
) -> bytes:
    """Return the payload that asks for a command; raises ValueError for what no command can be given."""
    if not arguments:
        raise ValueError("A command needs at least one argument.")
    if not (math.isfinite(seconds) and 0 <= seconds <= _U32_MAX):
        raise ValueError(f"A command cannot be given {seconds} seconds; 0 to {_U32_MAX} are possible.")
    if not 0 <= output_limit <= _U32_MAX:
        raise ValueError(f"Of a stream, {output_limit} bytes cannot be kept; 0 to {_U32_MAX} are possible.")
    if "" in environment or "=" in "".join(environment):
        raise ValueError("The name of an environment variable is empty or contains '='.")
    variables = [f"{name}={value}" for name, value in environment.items()]
    texts = [directory, *arguments, *variables, ""]
    joined = os.fsencode("\0".join(texts))
    if joined.count(b"\0") != len(texts) - 1:
        raise ValueError("A command, its directory and its environment cannot contain NUL bytes.")
    flags = (RUN_STDIN if stdin else 0) | (RUN_REPORT if report else 0)
    head = _RUN.pack(int(seconds * 1_000_000), output_limit, flags, len(arguments), len(variables))
    payload = b"R" + head + joined
    if len(payload) > OPEN_MAX:
        raise ValueError(f"Arguments and environment of {len(payload)} bytes are more than a command can be given.")
    return payload


class NotStarted(Exception):
    """The supervisor could not fork for a request; the number is the errno."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number))


class HelperDied(Exception):
    """The supervisor's helper for a request died before it answered."""

    def __init__(self, out_of_memory: bool) -> None:
        self.out_of_memory = out_of_memory
        super().__init__("out of memory" if out_of_memory else "killed")


def decode_failed(payload: bytes) -> NotStarted | HelperDied:
    """Return what a FAILED frame says."""
    _status, number, out_of_memory = _FAILED.unpack(payload)
    return NotStarted(number) if number else HelperDied(bool(out_of_memory))


class _Reader:
    """Bytes that were received in parts, in order, without joining them first."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._rest = memoryview(b"")

    def take(self, count: int) -> list[memoryview]:
        """Return the next `count` bytes, in the parts that they lie in; raises ValueError where there are fewer."""
        taken = []
        while count:
            if not self._rest:
                self._rest = memoryview(next(self._parts, b""))
                if not self._rest:
                    raise ValueError("An answer of the supervisor is too short.")
            taken.append(self._rest[:count])
            self._rest = self._rest[count:]
            count -= len(taken[-1])
        return taken

    def unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        """Return the next values."""
        if len(self._rest) < form.size:  # they lie in two parts
            return form.unpack(b"".join(self.take(form.size)))
        values = form.unpack_from(self._rest)
        self._rest = self._rest[form.size :]
        return values


def decode_result(answer: Sequence[bytes], *, seconds: float, output_limit: int) -> CommandResult:
    """Return the result of a command that was given `seconds` and a limit for each stream; raises NotStarted.

    The answer consists of pieces of the streams, `u32 stream, u32 length, bytes`, in the order of each stream up to the
    limit, and of the result, behind a stream's number that there is not.
    """
    reader = _Reader(answer)
    begins: tuple[list[memoryview], ...] = tuple([] for _ in _STREAMS)
    while (stream := reader.unpack(_U32)[0]) != len(begins):
        begins[stream].extend(reader.take(reader.unpack(_U32)[0]))
    ending, code, disk_full, took, cpu = reader.unpack(_RESULT)
    if ending == _NOT_STARTED:
        raise NotStarted(code)
    outputs = {}
    for name, begin in zip(_STREAMS, begins, strict=True):
        length, kept, digest = reader.unpack(_STREAM)
        if not length:  # as a record's default, which says the same and costs nothing
            continue
        head, tail = b"".join(begin), b"".join(reader.take(kept))
        if length > output_limit:
            last = output_limit - output_limit // 2
            tail = (head[output_limit // 2 :] + tail)[-last:] if last else b""
            head = head[: output_limit // 2]
        outputs[name] = Output(head=head, tail=tail, length=length, digest="sha256:" + digest.hex())
    return CommandResult(
        ending=_decode_ending(ending, code, seconds),
        **outputs,
        disk_full=bool(disk_full),
        seconds=took / 1_000_000,
        cpu_seconds=cpu / 1_000_000,
    )


def _decode_ending(ending: int, code: int, seconds: float) -> Ending:
    match ending:
        case 0:
            return Exited(code=code)
        case 1:
            return Signalled(signal=code)
        case 2:
            return TimedOut(seconds=seconds)
        case 3:
            return OutOfMemory()
        case 4:  # asked to end by the host, which no longer waits for it
            return Signalled(signal=9)
        case _:
            raise ValueError(f"The supervisor says that a command ended in the way {ending}, which there is not.")


class Refusal(Exception):
    """A file request failed: the errno, and the path as bytes."""

    def __init__(self, number: int, path: bytes) -> None:
        self.number = number
        self.path = os.fsdecode(path)
        super().__init__(number, os.strerror(number), self.path)


def _refusal(line: bytes) -> Refusal:
    number, _, path = line[1:].partition(b" ")
    return Refusal(int(number), path)


def decode_lines(answer: bytes) -> list[bytes]:
    """Return the lines of an answer that consists of them; raises Refusal where the last tells of an error."""
    lines = answer.split(b"\0")
    lines.pop()
    end = lines.pop() if lines else b""
    if end.startswith(b"!"):
        raise _refusal(end)
    return lines


def decode_content(answer: bytes) -> bytes:
    """Return the content after the leading `+`; raises Refusal."""
    if answer.startswith(b"!"):
        raise _refusal(answer[:-1])
    return answer[1:]


def decode_files(answer: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield of each file its line before it was read, its content, and its line after; raises Refusal."""
    view = memoryview(answer)
    at = 0
    while not answer.startswith(b"=", at):
        end = answer.index(b"\0", at)
        before = answer[at:end]
        if before.startswith(b"!"):
            raise _refusal(before)
        size = decode_entry(before).size
        content = bytes(view[end + 1 : end + 1 + size])
        at = end + 1 + size
        end = answer.index(b"\0", at)
        after = answer[at:end]
        if after.startswith(b"!"):
            raise _refusal(after)
        at = end + 1
        yield before, content, after


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line of a listing says: `KIND MODE SIZE MTIME CTIME INODE PATH`, the kind as in `find -type`."""

    kind: str
    mode: int
    size: int
    path: str


def decode_entry(line: bytes) -> Entry:
    """Return the entry that a line of a listing (without its NUL) stands for."""
    kind, mode, size, _modified, _changed, _inode, path = line.split(b" ", 6)
    return Entry(kind.decode(), int(mode, 8), int(size), os.fsdecode(path))


def decode_processes(answer: bytes) -> tuple[Process, ...]:
    """Return the processes that an answer lists."""
    processes = []
    for line in decode_lines(answer):
        pid, parent, user, state, command = line.split(b" ", 4)
        processes.append(
            Process(
                pid=int(pid),
                parent=int(parent),
                user=int(user),
                state=state.decode(),
                command=command.decode(errors="backslashreplace"),
            )
        )
    return tuple(processes)


def split_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join and cut byte strings so that each but the last is exactly CHUNK long."""
    held = bytearray()
    for part in parts:
        held += part
        at = 0
        with memoryview(held) as view:
            while len(held) - at >= CHUNK:
                yield bytes(view[at : at + CHUNK])
                at += CHUNK
        del held[:at]
    if held:
        yield bytes(held)
