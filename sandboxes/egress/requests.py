"""What is asked of the proxy: one request, read strictly, so that nobody behind us can read another one.

h11 parses and writes HTTP/1.1 (RFC 9112) here: it refuses lengths that contradict each other, a second Host,
folded lines and heads beyond a bound. What it would let pass and two readers could take differently is refused too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

from assay.policies.egress import plain_host, plain_port, split_host
from assay.sandboxes.protocol import Peer

HEAD_MAX: Final = 32_768
"""Longest head of a request or an answer, bytes."""
_HTTP_PORT: Final = 80
_OF_THE_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    }
)
"""What concerns one connection and not the next one (RFC 9110, 7.6.1)."""

Headers = list[tuple[bytes, bytes]]


class Refused(Exception):
    """A request that the proxy answers itself.

    Args:
        status: of the answer.
        reason: for people, without a full stop.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    host: str
    """As `plain_host` gives it."""
    port: int
    path: str
    """Without the query, for the record."""
    target: bytes
    """What the server is asked for; empty for a tunnel."""
    headers: Headers
    """What goes to the server."""

    @property
    def tunnel(self) -> bool:
        """Whether it asks for a connection and not for a resource."""
        return self.method == "CONNECT"


async def read_request(http: h11.Connection, client: Peer) -> Asked:
    """Return the request that comes first on a connection.

    Raises Refused, ConnectionError, and h11.RemoteProtocolError for what is no HTTP.
    """
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await client.read())
        elif isinstance(event, h11.Request):
            return _understand(event)
        else:
            raise ConnectionResetError("the connection ended before a request came")


def _understand(request: h11.Request) -> Asked:
    method, target = request.method.decode("ascii"), request.target.decode("ascii", "backslashreplace")
    try:
        asked = _tunnel(target) if method == "CONNECT" else _resource(method, target, request.headers.raw_items())
    except ValueError as error:
        raise Refused(400, str(error)) from None
    _check_head(request, asked)
    return asked


def _tunnel(target: str) -> Asked:
    _check_authority(target)
    host, port = split_host(target)
    return Asked("CONNECT", plain_host(host), plain_port(port), "", b"", [])


def _resource(method: str, target: str, headers: Headers) -> Asked:
    scheme, _, rest = target.partition("://")
    if scheme.lower() != "http":
        raise ValueError("a proxy is asked for http://HOST/... or CONNECT HOST:PORT")
    authority = rest.partition("/")[0].partition("?")[0]
    _check_authority(authority)
    if "#" in target or "\\" in target:
        raise ValueError("the address holds a character that no address holds")
    host, port = split_host(authority)
    rest = rest[len(authority) :]
    path = rest if rest.startswith("/") else f"/{rest}"
    number = plain_port(port) if port else _HTTP_PORT
    shown = urlsplit(path).path if path.startswith("/") and not path.startswith("//") else path.partition("?")[0]
    plain = plain_host(host)
    name = f"[{plain}]" if ":" in plain else plain
    sent = [(b"Host", name.encode() if number == _HTTP_PORT else f"{name}:{number}".encode())]
    return Asked(method, plain, number, shown[:500], path.encode("ascii"), sent + _passed_on(headers))


def _check_authority(authority: str) -> None:
    """Refuse credentials without repeating them: what is refused is recorded with its reason."""
    if "@" in authority:
        raise ValueError("a name or password in an address is not passed on")


def _passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers that concern the other end, in their order, without Host."""
    headers = list(headers)
    named = {
        token.strip().lower() for name, value in headers if name.lower() == b"connection" for token in value.split(b",")
    }
    dropped = (_OF_THE_CONNECTION | named | {b"host"}) - {b"content-length", b"transfer-encoding"}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers of a server's answer for the client, whose connection ends with it."""
    return [*_passed_on(headers), (b"Connection", b"close")]


def _check_head(request: h11.Request, asked: Asked) -> None:
    """Refuse what two readers could take for different requests."""
    names = [name for name, _ in request.headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise Refused(400, "the request gives two lengths")
    if asked.tunnel and not {b"content-length", b"transfer-encoding"}.isdisjoint(names):
        raise Refused(400, "CONNECT has no body")
    if b"upgrade" in names:
        raise Refused(501, "a change of protocol is not passed on")
    for name, value in request.headers:
        if name == b"host" and value and not _same_host(value.decode("latin-1"), asked):
            raise Refused(400, f"the request is for {asked.host} and its Host header for another server")


def _same_host(value: str, asked: Asked) -> bool:
    host, port = split_host(value)
    try:
        return plain_host(host) == asked.host and (not port or plain_port(port) == asked.port)
    except ValueError:
        return False


def refusal_answer(http: h11.Connection, status: int, text: str, *, body: bool = True) -> bytes | None:
    """Return the bytes that tell the client why; None where it is too late for an answer.

    The reason stands in the first line, too: of an answer to CONNECT, most clients show no more.
    """
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return None
    content = f"assay: {text}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(content))),
        ("Connection", "close"),
    ]
    line = "".join(letter if " " <= letter <= "~" else "?" for letter in f"assay: {text}")[:300]
    parts = [http.send(h11.Response(status_code=status, reason=line.encode(), headers=headers))]
    if body:
        parts.append(http.send(h11.Data(data=content)))
    return b"".join(part or b"" for part in parts)
