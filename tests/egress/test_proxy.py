"""What the proxy lets pass and how, with real servers and clients on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import h11
import pytest
from tests.egress.servers import LOOPBACK, Certificates, Names, Told, Web, dialled, door, listening, say

from assay.errors import DiskFull
from assay.records.egress import Egress, EgressEvent
from assay.sandboxes.egress.proxy import EgressProxy


def proxy_to(
    *allow: str, told: Told, names: Names | None = None, limits: Mapping[str, float] = MappingProxyType({})
) -> EgressProxy:
    """Return a proxy that may connect to these, anywhere on the loopback interface."""
    egress = Egress.model_validate({"allow": allow, "networks": (LOOPBACK,), **limits})
    return EgressProxy(egress, told, resolve=names or Names(), head_seconds=0.5)


def get(url: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Return a request as a client sends it to a proxy."""
    host = url.split("/")[2]
    return "\r\n".join([f"{method} {url} HTTP/{version}", f"Host: {host}", *headers, "", ""]).encode()


def connect(authority: str, *headers: str) -> bytes:
    """Return the request for a tunnel."""
    return "\r\n".join([f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *headers, "", ""]).encode()


@contextlib.asynccontextmanager
async def tls_through(
    port: int, authority: str, name: str | None, certificates: Certificates
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection with TLS in it, through the proxy; raises ssl.SSLError."""
    async with dialled(port) as (reader, writer):
        writer.write(connect(authority))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        context = certificates.client
        if name is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await writer.start_tls(context, server_hostname=name or "", ssl_handshake_timeout=5)
        yield reader, writer


async def test_a_page_and_its_record(told: Told) -> None:
    """A request goes out as an origin's server expects it, and the record tells what was moved and where."""
    web = Web()
    async with listening(web) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        hop = ("Proxy-Authorization: Basic c2VjcmV0", "Connection: X-Mine", "X-Mine: 1", "Accept: text/html")
        answer = await say(proxy, get(f"http://WWW.test.:{port}/a/page?key=secret", *hop))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"hello")
    assert b"keep-alive" not in answer
    assert web.heads == [
        b"GET /a/page?key=secret HTTP/1.1\r\nHost: www.test:%d\r\nAccept: text/html\r\nConnection: close\r\n\r\n" % port
    ]
    allowed, ended = told.events
    assert (allowed.stage, allowed.path, allowed.address, allowed.received) == ("allowed", "/a/page", "127.0.0.1", 0)
    assert (ended.stage, ended.method, ended.host, ended.port) == ("ended", "GET", "www.test", port)
    assert (ended.address, ended.status, ended.sent) == ("127.0.0.1", 200, len(web.heads[0]))
    assert "secret" not in ended.model_dump_json()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("waiting", [False, True])
async def test_bodies_go_out(told: Told, chunked: bool, waiting: bool) -> None:
    """A body goes out by its length or in chunks; a client that waits to be asked for it is asked."""
    web = Web()
    body = b"x" * 100_000
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    async with listening(web) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        expect = ["Expect: 100-continue"] if waiting else []
        answer = await say(proxy, get(f"http://www.test:{port}/", framing, *expect, method="POST"), sent, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 100 ") == waiting
    assert answer.endswith(b"hello")
    assert web.bodies[0].count(b"x") == len(body)


async def test_head_and_old_clients(told: Told) -> None:
    """HEAD has an answer without a body, a refused one, too; a client of HTTP/1.0 is understood."""
    async with listening(Web()) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        head = await say(proxy, get(f"http://www.test:{port}/", method="HEAD"))
        refused = await say(proxy, get(f"http://other.test:{port}/", method="HEAD"))
        old = await say(proxy, get(f"http://www.test:{port}/", version="1.0"))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 403 assay: other.test:")
    assert refused.endswith(b"\r\n\r\n")
    assert old.endswith(b"hello")


async def test_what_is_not_allowed(told: Told) -> None:
    """Another name, another port and a name above or beside are refused; nobody resolves or connects to them."""
    web, names = Web(), Names()
    async with listening(web) as port, door(proxy_to(f"*.www.test:{port}", told=told, names=names)) as proxy:
        assert (await say(proxy, get(f"http://a.www.test:{port}/"))).endswith(b"hello")
        for host in (f"www.test:{port}", f"awww.test:{port}", f"a.www.test:{port + 1}", f"a.www.test.evil.test:{port}"):
            answer = await say(proxy, get(f"http://{host}/"))
            assert answer.startswith(b"HTTP/1.1 403 assay: "), host
            assert f"this sandbox may reach: *.www.test:{port}".encode() in answer.split(b"\r\n\r\n")[1]
            assert (await say(proxy, connect(host))).startswith(b"HTTP/1.1 403 assay: ")
        assert (await say(proxy, get("http://a.www.test/"))).startswith(b"HTTP/1.1 403 ")
    assert names.asked == ["a.www.test"]
    assert len(web.heads) == 1
    assert told.stages == ["allowed", "ended"] + ["refused"] * 9


async def test_tls_is_the_servers_own(told: Told, certificates: Certificates) -> None:
    """Through a tunnel, client and server speak TLS with each other, and what passed is counted."""
    async with (
        listening(Web(), tls=certificates.server) as port,
        door(proxy_to(f"www.test:{port}", told=told)) as proxy,
    ):
        async with tls_through(proxy, f"www.test:{port}", "www.test", certificates) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        ended = await told.last()
    assert (ended.stage, ended.method, ended.host, ended.address) == ("ended", "CONNECT", "www.test", "127.0.0.1")
    assert ended.sent > 500
    assert ended.received > 500


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other.test", "TLS is for 'other.test', where CONNECT asked for www.test"),
        (None, "TLS names no server, where CONNECT asked for www.test"),
    ],
)
async def test_tls_for_another_server(told: Told, certificates: Certificates, name: str | None, reason: str) -> None:
    """TLS that names another server than CONNECT did, or none, ends with an alert, and no byte of it goes out."""
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(await reader.read())

    async with listening(note) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        with pytest.raises(ssl.SSLError, match="ACCESS_DENIED"):
            async with tls_through(proxy, f"www.test:{port}", name, certificates):
                pass
        ended = await told.last()
        assert await asyncio.wait_for(arrived.get(), 5) == b""
    assert (ended.stage, ended.status, ended.reason, ended.sent) == ("failed", 403, reason, 0)


async def test_the_name_in_tls_is_compared_as_a_name(told: Told, certificates: Certificates) -> None:
    """Case makes no difference between CONNECT and TLS."""
    async with (
        listening(Web(), tls=certificates.server) as port,
        door(proxy_to(f"www.test:{port}", told=told)) as proxy,
        tls_through(proxy, f"WWW.test.:{port}", "www.TEST", certificates) as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_a_hello_in_pieces(told: Told, certificates: Certificates) -> None:
    """A first message that comes byte by byte, together with CONNECT or after it, is put together and passed on."""
    async with (
        listening(Web(), tls=certificates.server) as port,
        door(proxy_to(f"www.test:{port}", told=told)) as proxy,
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = certificates.client.wrap_bio(incoming, outgoing, server_hostname="www.test")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        async with dialled(proxy) as (reader, writer):
            writer.write(connect(f"www.test:{port}") + hello[:100])
            await reader.readuntil(b"\r\n\r\n")
            for at in range(100, len(hello)):
                writer.write(hello[at : at + 1])
                await asyncio.sleep(0)
            assert (await reader.readexactly(1)) == b"\x16"


async def test_other_protocols_in_a_tunnel(told: Told) -> None:
    """A tunnel carries TLS and nothing else."""
    async with listening(Web()) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 100):
            answer = await say(proxy, connect(f"www.test:{port}") + first)
            assert answer.endswith(bytes((21, 3, 3, 0, 2, 2, 49)))
        silent = await say(proxy, connect(f"www.test:{port}"))
    assert silent.startswith(b"HTTP/1.1 200 ")
    assert [event.reason for event in told.events if event.stage == "failed"] == [
        *["what follows CONNECT is not TLS"] * 3,
        "TLS did not begin within 0.5 s",
    ]


async def test_an_allowed_address(told: Told, certificates: Certificates) -> None:
    """An address can be allowed like a name; its TLS names nobody, and must not name anybody."""
    async with (
        listening(Web(), tls=certificates.server) as port,
        door(proxy_to(f"127.0.0.1:{port}", told=told)) as proxy,
    ):
        async with tls_through(proxy, f"127.0.0.1:{port}", None, certificates) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ssl.SSLError, match="ACCESS_DENIED"):
            async with tls_through(proxy, f"127.0.0.1:{port}", "www.test", certificates):
                pass


async def test_a_name_that_ends_in_a_digit(told: Told, certificates: Certificates) -> None:
    """Only an address has no name to give: TLS that names nobody is no TLS for a host that is numbered."""
    async with (
        listening(Web(), tls=certificates.server) as port,
        door(proxy_to(f"mirror1:{port}", told=told)) as proxy,
    ):
        with pytest.raises(ssl.SSLError, match="ACCESS_DENIED"):
            async with tls_through(proxy, f"mirror1:{port}", None, certificates):
                pass
        ended = await told.last()
    assert (ended.reason, ended.sent) == ("TLS names no server, where CONNECT asked for mirror1", 0)


async def test_redirects_are_the_clients_business(told: Told) -> None:
    """A redirect is passed on and not followed: where it leads is asked for, and judged, anew."""
    async with listening(Web()) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        answer = await say(proxy, get(f"http://www.test:{port}/elsewhere"))
        assert b"Location: http://other.test/" in answer
        assert (await say(proxy, get("http://other.test/"))).startswith(b"HTTP/1.1 403 ")


async def test_a_silent_or_slow_client_is_not_waited_for(told: Told) -> None:
    """The head of a request has its time in all, however steadily it drips."""
    async with door(proxy_to("www.test:80", told=told)) as proxy:
        began = asyncio.get_running_loop().time()
        drops = [b"GET http://www.test/ HTTP/1.1\r\n", *[b"X: y\r\n"] * 100]
        assert (await say(proxy, *drops, pause=0.02)).startswith(b"HTTP/1.1 408 assay: no whole request came")
        assert asyncio.get_running_loop().time() - began < 10
    assert told.stages == ["refused"]


async def test_limits_of_time(told: Told) -> None:
    """A connection on which nothing moves ends, and one that moves for ever ends, too."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while b"/drip" in head:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)
        await reader.read()

    limits = {"idle_seconds": 0.3, "seconds": 0.8}
    async with listening(drip) as port, door(proxy_to(f"www.test:{port}", told=told, limits=limits)) as proxy:
        await say(proxy, get(f"http://www.test:{port}/silent"))
        await say(proxy, get(f"http://www.test:{port}/drip"))
    reasons = [(event.stage, event.reason) for event in told.events if event.stage != "allowed"]
    assert reasons == [
        ("failed", "nothing moved for 0.3 s"),
        ("failed", "the time that one connection may last is over"),
    ]


async def test_limit_of_bytes(told: Told) -> None:
    """A sandbox may move so many bytes in all; the request that reaches the limit is cut off, later ones refused."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3_000_000))

    async with listening(pour) as port, door(proxy_to(f"www.test:{port}", told=told, limits={"megabytes": 2})) as proxy:
        assert len(await say(proxy, get(f"http://www.test:{port}/"))) < 2_200_000
        assert b" 403 assay: the 2 MB that this sandbox may move are used up" in await say(
            proxy, get(f"http://www.test:{port}/")
        )
    assert told.stages == ["allowed", "failed", "refused"]


async def test_limit_of_requests(told: Told) -> None:
    """A sandbox may ask so often; what it asks then is refused, and is not recorded for ever."""
    async with listening(Web()) as port, door(proxy_to(f"www.test:{port}", told=told, limits={"requests": 2})) as proxy:
        answers = [await say(proxy, get(f"http://www.test:{port}/")) for _ in range(6)]
    assert [answer[9:12] for answer in answers] == [b"200", b"200", b"429", b"429", b"429", b"429"]
    assert told.stages == ["allowed", "ended"] * 2 + ["refused"]


async def test_nothing_goes_out_unrecorded() -> None:
    """Where a request cannot be recorded, it does not happen."""
    web = Web()

    async def full(_event: EgressEvent) -> None:
        raise DiskFull

    async with listening(web) as port:
        egress = Egress(allow=(f"www.test:{port}",), networks=(LOOPBACK,))
        async with door(EgressProxy(egress, full, resolve=Names())) as proxy:
            answer = await say(proxy, get(f"http://www.test:{port}/"))
            refused = await say(proxy, get("http://other.test/"))
    assert answer.startswith(b"HTTP/1.1 503 assay: this request cannot be recorded: There is no space left")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert web.heads == []


async def test_servers_that_fail(told: Told) -> None:
    """A server that is not there, answers nonsense, or ends too early is told of as what it is."""

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 ready\r\n\r\n" if b"/nonsense" in head else b"")

    async with listening(nonsense) as closed:
        pass
    async with (
        listening(nonsense) as port,
        door(proxy_to(f"www.test:{port}", f"www.test:{closed}", told=told)) as proxy,
    ):
        gone = await say(proxy, get(f"http://www.test:{closed}/"))
        odd = await say(proxy, get(f"http://www.test:{port}/nonsense"))
        empty = await say(proxy, get(f"http://www.test:{port}/empty"))
    assert gone.startswith(b"HTTP/1.1 502 assay: 127.0.0.1 cannot be connected to")
    assert odd.startswith(b"HTTP/1.1 502 assay: this is no proper HTTP")
    assert told.stages == ["allowed", "failed"] * 3
    assert empty.startswith(b"HTTP/1.1 502 assay: the server ended the connection before its answer")


async def test_one_request_a_connection(told: Told) -> None:
    """A second request behind the first is not read as one, wherever it leads."""
    web = Web()
    async with listening(web) as port, door(proxy_to(f"www.test:{port}", told=told)) as proxy:
        first, second = get(f"http://www.test:{port}/one"), get(f"http://other.test:{port}/two")
        answer = await say(proxy, first + second)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [head.split()[1] for head in web.heads] == [b"/one"]
    assert told.stages == ["allowed", "ended"]


def test_the_parser_is_the_one_we_know() -> None:
    """h11 refuses what the proxy relies on it to refuse."""
    for head in (b"Host: a\r\nHost: b", b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2", b"Host: a\r\n folded"):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(b"GET / HTTP/1.1\r\n" + head + b"\r\n\r\n")
        if head.endswith(b"folded"):
            request = connection.next_event()
            assert isinstance(request, h11.Request)
            assert dict(request.headers)[b"host"] == b"a folded"  # put into one line, and then no host name
        else:
            with pytest.raises(h11.RemoteProtocolError):
                connection.next_event()
