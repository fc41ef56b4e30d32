"""Which server a TLS client means: the name in its first message, before anything is encrypted.

The formats are those of RFC 8446 (records in 5.1, ClientHello in 4.1.2, extensions in 4.2) and RFC 6066, 3. What is
irregular is refused: a server that reads it otherwise than we do would be another one than the one that was checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HELLO_MAX: Final = 16_384
"""A hello is a few hundred bytes; two thousand with keys against quantum computers."""
ALERT_MEANT_OTHER: Final = bytes((21, 3, 3, 0, 2, 2, 49))
"""A fatal `access_denied` (RFC 8446, 6): TLS libraries show its name in their error."""

_RECORDS: Final = 32
"""Records that it may be split into: clients use one or two, and each is looked at whenever bytes arrive."""
_RECORD: Final = 5
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_MESSAGE: Final = 4
_RANDOM: Final = 34
"""Bytes of version and random in front of the first field of variable length."""
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_ENCRYPTED: Final = frozenset({0xFE0D, 0xFFCE})
"""encrypted_client_hello (RFC 9849) and the draft that it came from: the true name would be hidden."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a ClientHello says of the server."""

    server_name: str | None


def read_hello(data: bytes) -> Hello | None:
    """Return what the first message of a TLS connection says, None while it is not there whole.

    Raises ValueError with the reason for what is no ClientHello, hides its name, or is irregular.
    """
    message = _message(data)
    if message is None:
        if len(data) >= HELLO_MAX:
            raise ValueError("the first message of TLS is too long")
        return None
    try:
        return Hello(_server_name(_extensions(message)))
    except IndexError:
        raise ValueError("the first message of TLS is cut off") from None


def _message(data: bytes) -> bytes | None:
    """Return the body of the ClientHello, put together from as many records as it was split into."""
    held = bytearray()
    at = records = 0
    while len(held) < _MESSAGE or len(held) < _MESSAGE + int.from_bytes(held[1:_MESSAGE]):
        head = data[at : at + _RECORD]
        if head[:1] not in (b"", bytes((_HANDSHAKE,))) or head[1:2] not in (b"", b"\3"):
            raise ValueError("what follows CONNECT is not TLS")
        if len(head) < _RECORD:
            return None
        length = int.from_bytes(head[3:])
        records += 1
        if not 0 < length <= HELLO_MAX or records > _RECORDS:
            raise ValueError("the first message of TLS has an impossible length")
        held += data[at + _RECORD : at + _RECORD + length]
        if held and held[0] != _CLIENT_HELLO:
            raise ValueError("TLS does not begin with a ClientHello")
        if len(held) >= _MESSAGE and int.from_bytes(held[1:_MESSAGE]) > HELLO_MAX:
            raise ValueError("the first message of TLS is too long")
        if at + _RECORD + length > len(data):
            break
        at += _RECORD + length
    length = int.from_bytes(held[1:_MESSAGE])
    return bytes(held[_MESSAGE : _MESSAGE + length]) if len(held) >= _MESSAGE + length else None


def _vector(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return a field that is preceded by its length in `size` bytes, and where it ends; raises IndexError."""
    length = int.from_bytes(data[at : at + size])
    end = at + size + length
    if at + size > len(data) or end > len(data):
        raise IndexError
    return data[at + size : end], end


def _extensions(message: bytes) -> dict[int, bytes]:
    _session, at = _vector(message, _RANDOM, 1)
    _ciphers, at = _vector(message, at, 2)
    _compression, at = _vector(message, at, 1)
    if at == len(message):
        return {}
    block, at = _vector(message, at, 2)
    if at != len(message):
        raise ValueError("the first message of TLS goes on after its end")
    found: dict[int, bytes] = {}
    for kind, content in _each_extension(block):
        if kind in found:
            raise ValueError("the first message of TLS says something twice")
        if kind in _ENCRYPTED:
            raise ValueError("the name of the server is encrypted (ECH)")
        found[kind] = content
    return found


def _each_extension(block: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(block):
        kind = int.from_bytes(block[at : at + 2])
        content, at = _vector(block, at + 2, 2)
        yield kind, content


def _server_name(extensions: dict[int, bytes]) -> str | None:
    if _SERVER_NAME not in extensions:
        return None
    names, end = _vector(extensions[_SERVER_NAME], 0, 2)
    if end != len(extensions[_SERVER_NAME]) or names[:1] != bytes((_HOST_NAME,)):
        raise ValueError("the server name in TLS is irregular")
    name, end = _vector(names, 1, 2)
    if end != len(names) or not name:
        raise ValueError("TLS names more than one server")
    try:
        return name.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("the server name in TLS is not ASCII") from None
