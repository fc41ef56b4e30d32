"""The first message of TLS, as real clients send it, and as nobody should."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.sandboxes.egress.hello import HELLO_MAX, Hello, read_hello


def real_hello(name: str | None, *, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> bytes:
    """Return what OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = oldest
    context.check_hostname = name is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(message: bytes, *lengths: int) -> bytes:
    """Return a message in records of these lengths, the last one with the rest."""
    records, at = b"", 0
    for length in (*lengths, len(message)):
        part = message[at : at + length]
        records += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part if part else b""
        at += length
    return records


def with_extensions(*extensions: tuple[int, bytes]) -> bytes:
    """Return the message of a hello that is regular but for these extensions."""
    block = b"".join(
        kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content for kind, content in extensions
    )
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + len(block).to_bytes(2, "big") + block
    return b"\x01" + len(body).to_bytes(3, "big") + body


def name_of(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    """Return the extension that names servers."""
    listed = b"".join(bytes((kind,)) + len(name).to_bytes(2, "big") + name for name in names)
    return 0, len(listed).to_bytes(2, "big") + listed


def test_the_name_of_real_clients() -> None:
    """The name is found in what OpenSSL sends, with TLS 1.2 and 1.3, and its absence is."""
    assert read_hello(real_hello("www.example.org")) == Hello("www.example.org")
    assert read_hello(real_hello("www.example.org", oldest=ssl.TLSVersion.TLSv1_3)) == Hello("www.example.org")
    assert read_hello(real_hello(None)) == Hello(None)


def test_it_may_come_in_any_pieces() -> None:
    """Cut anywhere, and split over records anywhere, it is waited for, and then found."""
    whole = real_hello("www.example.org")
    for length in range(len(whole)):
        assert read_hello(whole[:length]) is None
    message = whole[5:]
    for length in range(1, len(message), 7):
        assert read_hello(in_records(message, length)) == Hello("www.example.org")
    assert read_hello(in_records(message, *[1] * 20)) == Hello("www.example.org")
    assert read_hello(whole + b"\x17\x03\x03\0\x05early") == Hello("www.example.org")


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ([name_of(b"a.test"), (0xFE0D, b"\0")], "encrypted"),
        ([name_of(b"a.test"), (0xFFCE, b"\0")], "encrypted"),
        ([name_of(b"a.test"), name_of(b"b.test")], "twice"),
        ([name_of(b"a.test", b"b.test")], "more than one"),
        ([name_of(b"a.test", kind=1)], "irregular"),
        ([name_of()], "irregular"),
        ([name_of(b"")], "more than one"),
        ([(0, name_of(b"a.test")[1] + b"x")], "irregular"),
        ([(0, b"\0\xff\0\0\x06a.test")], "cut off"),
        ([(0, b"")], "cut off"),
        ([name_of("\N{LATIN SMALL LETTER A WITH DIAERESIS}.test".encode())], "not ASCII"),
    ],
)
def test_irregular_names(extensions: list[tuple[int, bytes]], reason: str) -> None:
    """What two readers could read differently, and what hides the name, is refused."""
    assert read_hello(in_records(with_extensions(name_of(b"a.test")))) == Hello("a.test")
    with pytest.raises(ValueError, match=reason):
        read_hello(in_records(with_extensions(*extensions)))


def test_lengths_that_lie() -> None:
    """A message that goes on behind its end, or ends before it, is refused."""
    message = with_extensions(name_of(b"a.test"))
    longer = b"\x01" + (len(message) - 4 + 3).to_bytes(3, "big") + message[4:] + b"xxx"
    with pytest.raises(ValueError, match="after its end"):
        read_hello(in_records(longer))
    shorter = b"\x01" + (len(message) - 4 - 3).to_bytes(3, "big") + message[4:-3]
    with pytest.raises(ValueError, match="cut off"):
        read_hello(in_records(shorter))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "not TLS"),
        (b"SSH-2.0-x\r\n", "not TLS"),
        (b"\x80\x2e\x01\x03\x01", "not TLS"),  # the hello of SSL 2
        (b"\x17\x03\x03\0\x05hello", "not TLS"),
        (b"\x16\x02", "not TLS"),
        (b"\x16\x03\x01\0\0", "impossible"),
        (b"\x16\x03\x01\xff\xff", "impossible"),
        (b"\x16\x03\x01\0\x05\x02\0\0\0\0", "ClientHello"),
        (b"\x16\x03\x01\0\x04\x01\xff\xff\xff", "too long"),
    ],
)
def test_what_is_no_hello(data: bytes, reason: str) -> None:
    """Another protocol, and a message that would be endless, are refused at the first byte that says so."""
    with pytest.raises(ValueError, match=reason):
        read_hello(data)


def test_it_is_bounded() -> None:
    """Who sends a hello in small records for ever, or one that is not there whole at the bound, is refused."""
    message = b"\x01" + (HELLO_MAX - 10).to_bytes(3, "big") + bytes(HELLO_MAX)
    with pytest.raises(ValueError, match="impossible length"):
        read_hello(in_records(message, *[1] * 4000))
    with pytest.raises(ValueError, match="too long"):
        read_hello(in_records(message, 10, HELLO_MAX)[:HELLO_MAX])


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_have_an_answer(noise: bytes, at: int) -> None:
    """Whatever comes is a hello, not yet one, or refused with a reason: nothing else happens."""
    message = with_extensions(name_of(b"a.test"))
    for data in (noise, in_records(noise), in_records(message[:at] + noise + message[at:])):
        with contextlib.suppress(ValueError):
            read_hello(data)
