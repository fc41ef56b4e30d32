"""What crosses between the judge and the judged program where they run apart (S9), and how.

This file is written into both sandboxes, outside of the workspace, beside the client or the worker; assay itself never
imports it. It may use nothing but the standard library.

A message is a length of four bytes, little endian, and JSON. Values of exactly the types named here cross as data; all
others are handed to whoever encodes them, who makes a reference of them or refuses. Nothing is ever pickled, and what
is decoded is made by constructors of the standard library alone, whatever the other side sends.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import fractions
import json
import math
import pathlib
import socket
import struct
import time
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

PORT = 3128
MOST_BYTES = 16_000_000
DEPTH = 60

_LENGTH = struct.Struct("<I")
_SMALL = 1 << 53
_PATHS: dict[str, type] = {
    kind.__name__: kind for kind in (pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath)
}
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, object, set, str, tuple)
}
_SEQUENCES: dict[str, Callable[..., Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
}
_MAPPINGS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "ordered": collections.OrderedDict,
    "counter": collections.Counter,
}

Foreign = Callable[[Any], Any]


class Malformed(ValueError):
    """What came is no message, or too long."""


class Stream:
    """Messages over a connected socket.

    Args:
        connection: the socket; it is closed with the stream.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, message: Any) -> None:
        """Send a message; raises OSError, and Malformed for too much."""
        data = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode()
        if len(data) > MOST_BYTES:
            raise Malformed(f"{len(data)} bytes are too many for one message")
        self.connection.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, seconds: float | None = None) -> Any:
        """Return the next message, whole within so many seconds; raises EOFError, TimeoutError, Malformed, OSError."""
        until = None if seconds is None else time.monotonic() + seconds
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size, until))
        if length > MOST_BYTES:
            raise Malformed(f"a message of {length} bytes")
        try:
            return json.loads(self._take(length, until))
        except (ValueError, RecursionError) as error:
            raise Malformed(str(error)) from None

    def _take(self, length: int, until: float | None) -> bytes:
        taken = bytearray()
        while len(taken) < length:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self.connection.settimeout(left)
            piece = self.connection.recv(min(length - len(taken), 1 << 16))
            if not piece:
                raise EOFError
            taken += piece
        return bytes(taken)

    def close(self) -> None:
        """Close the socket, also where another thread waits for something from it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def connect() -> Stream:
    """Return a stream to the host, which leads it to the other side; raises OSError."""
    connection = socket.create_connection(("127.0.0.1", PORT), timeout=30)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Stream(connection)


def encode(value: Any, foreign: Foreign, depth: int = 0) -> Any:
    """Return what a value is in a message; what is no data is left to `foreign`.

    Raises Malformed for what lies too deep, or in itself.
    """
    if depth > DEPTH:
        raise Malformed("it lies too deep")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_SMALL < value < _SMALL else ["int", hex(value)]
    if kind is float:
        return value if math.isfinite(value) else ["float", repr(value)]
    for name, sequence in _SEQUENCES.items():
        if kind is sequence:
            return [name, [encode(held, foreign, depth + 1) for held in value]]
    for name, mapping in _MAPPINGS.items():
        if kind is mapping:
            pairs = [[encode(k, foreign, depth + 1), encode(v, foreign, depth + 1)] for k, v in value.items()]
            return [name, pairs]
    plain = _encode_plain(value, kind)
    return foreign(value) if plain is None else plain


def _encode_plain(value: Any, kind: type) -> list[Any] | None:
    if kind is bytes or kind is bytearray:
        return [kind.__name__, value.hex()]
    if kind is complex:
        return ["complex", repr(value.real), repr(value.imag)]
    if kind is decimal.Decimal:
        return ["decimal", str(value)]
    if kind is fractions.Fraction:
        return ["fraction", hex(value.numerator), hex(value.denominator)]
    if kind is uuid.UUID:
        return ["uuid", value.hex]
    if isinstance(value, (range, slice)):
        ends = (value.start, value.stop, value.step)
        plain = all(end is None or (type(end) is int and -_SMALL < end < _SMALL) for end in ends)
        return [kind.__name__, *ends] if plain else None
    if _PATHS.get(kind.__name__) is kind:
        return ["path", kind.__name__, str(value)]
    if value is Ellipsis:
        return ["..."]
    if isinstance(value, type) and _TYPES.get(value.__name__) is value:
        return ["type", value.__name__]
    return _encode_time(value, kind)


def _encode_time(value: Any, kind: type) -> list[Any] | None:
    if kind is datetime.timedelta:
        return ["timedelta", value.days, value.seconds, value.microseconds]
    if kind is datetime.date:
        return ["date", value.isoformat()]
    if kind is datetime.timezone:
        return ["zone", _encode_time(value.utcoffset(None), datetime.timedelta)]
    if kind is zoneinfo.ZoneInfo and value.key:
        return ["zone", value.key]
    if kind is datetime.datetime or kind is datetime.time:
        zone = None if value.tzinfo is None else _encode_time(value.tzinfo, type(value.tzinfo))
        if zone is not None or value.tzinfo is None:
            return [kind.__name__, value.replace(tzinfo=None).isoformat(), value.fold, zone]
    return None


def decode(told: Any, foreign: Foreign) -> Any:
    """Return the value that a message holds; what is no data is left to `foreign`. Raises Malformed."""
    try:
        return _decode(told, foreign)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        raise Malformed(f"no value: {type(error).__name__}") from None


def _decode(told: Any, foreign: Foreign) -> Any:
    if told is None or isinstance(told, (bool, int, float, str)):
        return told
    if not isinstance(told, list):
        raise Malformed("no value")
    tag, rest = told[0], told[1:]
    if tag in _SEQUENCES:
        return _SEQUENCES[tag](_decode(held, foreign) for held in rest[0])
    if tag in _MAPPINGS:
        made = _MAPPINGS[tag]()
        for key, held in rest[0]:
            made[_decode(key, foreign)] = _decode(held, foreign)
        return made
    maker = _MAKERS.get(tag)
    return foreign(told) if maker is None else maker(*rest)


def _zone(told: Any) -> datetime.tzinfo:
    return zoneinfo.ZoneInfo(told) if isinstance(told, str) else datetime.timezone(datetime.timedelta(*told[1:]))


def _moment(kind: Any) -> Callable[..., Any]:
    def make(text: str, fold: int, zone: Any) -> Any:
        return kind.fromisoformat(text).replace(fold=fold, tzinfo=None if zone is None else _zone(zone[1]))

    return make


_MAKERS: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
    "decimal": decimal.Decimal,
    "fraction": lambda over, under: fractions.Fraction(int(over, 16), int(under, 16)),
    "uuid": lambda text: uuid.UUID(hex=text),
    "range": range,
    "slice": slice,
    "path": lambda kind, text: _PATHS[kind](text),
    "...": lambda: Ellipsis,
    "type": lambda name: _TYPES[name],
    "timedelta": datetime.timedelta,
    "date": datetime.date.fromisoformat,
    "zone": _zone,
    "datetime": _moment(datetime.datetime),
    "time": _moment(datetime.time),
}
