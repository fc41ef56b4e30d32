"""Requests that mean the proxy ill: each is answered with a reason, and nothing of it goes out.

`Everywhere` notes each address that would be connected to instead of connecting, so that no packet leaves this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.egress.servers import LOOPBACK, Names, Told, Web, dialled, door, listening, say

from assay.records.egress import Egress
from assay.sandboxes.egress import proxy as proxy_module
from assay.sandboxes.egress.addresses import connect as really_connect
from assay.sandboxes.egress.proxy import EgressProxy


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that the proxy goes to connect to; only those of the loopback interface are reached."""
    addresses: list[str] = []

    async def connect(found: Sequence[object], port: int) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
        addresses.extend(str(address) for address in found)
        if not all(str(address).startswith("127.") for address in found):
            raise ConnectionRefusedError("not from this test")
        return await really_connect(found, port)  # type: ignore[arg-type]  # what it was given is passed on

    monkeypatch.setattr(proxy_module, "connect", connect)
    return addresses


@contextlib.asynccontextmanager
async def attacked(told: Told, *allow: str, names: Names | None = None, open_to: str = LOOPBACK) -> AsyncIterator[int]:
    """Yield the port of a proxy that may connect to these, in the ranges that are open to it."""
    egress = Egress(allow=allow, networks=(open_to,) if open_to else ())
    async with door(EgressProxy(egress, told, resolve=names or Names(), head_seconds=1)) as port:
        yield port


NOTATIONS = """
    2130706433 0x7f000001 0x7F.0.0.1 0177.0.0.1 017700000001 127.1 127.0.1 127.0.0.01 0 00000177.1 127.0.0.1.
    [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [0:0:0:0:0:0:0:1] [fe80::1%25lo] [fe80::1%lo] [::1%25lo]
    [64:ff9b::127.0.0.1] [2002:7f00:1::] 127.0.0.1%00.www.test www.test%00 www.test%2e 127。0。0。1 ⑫7.0.0.1 localhost
    www.test@127.0.0.1 127.0.0.1#www.test 127.0.0.1?www.test 127.0.0.1\\www.test www.test..
""".split()  # noqa: SIM905 - a table


@pytest.mark.parametrize("host", NOTATIONS)
async def test_odd_notations(told: Told, connected: list[str], host: str) -> None:
    """No notation of an address or a name gets past the allow-list, in a tunnel or as a resource."""
    names = Names()
    async with listening(Web()) as port, attacked(told, f"www.test:{port}", names=names) as proxy:
        authority = f"{host}:{port}".encode()
        for head in (
            b"CONNECT %s HTTP/1.1\r\nHost: www.test:%d\r\n\r\n" % (authority, port),
            b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority),
            b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority),
            b"GET http://%s/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n" % (authority, port),
        ):
            answer = await say(proxy, head)
            assert answer[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 403 "), answer[:200]
    assert names.asked == []
    assert connected == []
    assert set(told.stages) == {"refused"}


REQUESTS = {
    "fine": b"GET http://www.test:%d/fine HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "two hosts": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nHost: other.test\r\n\r\n",
    "another host": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: other.test\r\n\r\n",
    "another port": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:1\r\n\r\n",
    "no host": b"GET http://www.test:%d/ HTTP/1.1\r\n\r\n",
    "odd host": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d,other.test\r\n\r\n",
    "folded host": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n other.test\r\n\r\n",
    "two lengths": b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nContent-Length: 5\r\n"
    b"Content-Length: 6\r\n\r\nhello!",
    "length and chunks": b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://other.test/ HTTP/1.1\r\n\r\n",
    "odd chunks": b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "chunks twice": b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n"
    b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    "space before colon": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nX-A : b\r\n\r\n",
    "bare return": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nX: a\rHost: other.test\r\n\r\n",
    "nul": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nX: a\0b\r\n\r\n",
    "signed length": b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nContent-Length: +5\r\n\r\nhello",
    "credentials": b"GET http://user:secret@www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "credentials for a tunnel": b"CONNECT user:secret@www.test:%d HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "secret in a bad header": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nX-A : secret\r\n\r\n",
    "secret in a bad line": b"GET http://www.test:%d/?secret x HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "secret without scheme": b"GET /?secret HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "other scheme": b"GET ftp://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "https": b"GET https://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "no scheme": b"GET / HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "backslash": b"GET http://www.test:%d\\@other.test/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "fragment": b"GET http://www.test:%d/#@other.test/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "space in target": b"GET http://www.test:%d/ http://other.test/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "upgrade": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nUpgrade: websocket\r\n"
    b"Connection: upgrade\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/3": b"GET http://www.test:%d/ HTTP/3\r\nHost: www.test:%d\r\n\r\n",
    "connect with a body": b"CONNECT www.test:%d HTTP/1.1\r\nHost: www.test:%d\r\nContent-Length: 5\r\n\r\nhello",
    "connect with chunks": b"CONNECT www.test:%d HTTP/1.1\r\nHost: www.test:%d\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "connect without port": b"CONNECT www.test HTTP/1.1\r\nHost: www.test\r\n\r\n",
    "connect to an address bar": b"CONNECT http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n\r\n",
    "long head": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "many headers": b"GET http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n" + b"X: y\r\n" * 12_000 + b"\r\n",
    "endless line": b"G" * 70_000,
    "noise": bytes(range(256)) * 4 + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", sorted(set(REQUESTS) - {"fine"}))
async def test_requests_that_two_readers_read_differently(told: Told, connected: list[str], kind: str) -> None:
    """A request with two meanings is refused before anything is connected, with a reason."""
    web = Web()
    async with listening(web) as port, attacked(told, f"www.test:{port}") as proxy:
        text = REQUESTS[kind].replace(b"%d", b"%d" % port)
        answer = await say(proxy, text)
        assert answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5"), answer[:300]
        assert b" assay: " in answer.split(b"\r\n")[0]
        assert b"secret" not in answer
        assert "secret" not in told.events[0].model_dump_json()
        assert (await say(proxy, REQUESTS["fine"].replace(b"%d", b"%d" % port))).endswith(b"hello")
    assert told.stages == ["refused", "allowed", "ended"]
    assert [head.split(b"\r\n")[0] for head in web.heads] == [b"GET /fine HTTP/1.1"]


async def test_a_body_hides_no_request(told: Told) -> None:
    """What looks like a request inside a body stays inside of it, as long as the server can count."""
    web = Web()
    inner = b"GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n"
    async with listening(web) as port, attacked(told, f"www.test:{port}") as proxy:
        head = b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\n" % (port, port)
        await say(proxy, head + b"Content-Length: %d\r\n\r\n" % len(inner) + inner + inner)
        await say(
            proxy, head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(inner) + inner + b"\r\n0\r\nX: y\r\n\r\n"
        )
    assert web.bodies[0] == inner
    assert web.bodies[1] == b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"  # without the fields behind it
    assert all(b"other.test" not in head for head in web.heads)


PRIVATE = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "224.0.0.1", "0.0.0.0", "240.0.0.1"]
EMBEDDED = ["::1", "fe80::1", "fe80::1%lo", "fc00::1", "ff02::1", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe"]


@pytest.mark.parametrize("address", PRIVATE + EMBEDDED + ["2002:7f00:1::1", "2001::1", "::7f00:1"])
async def test_names_that_lead_inside(told: Told, connected: list[str], address: str) -> None:
    """An allowed name whose addresses are not public is refused; the answer says where it leads."""
    async with attacked(told, "www.test:80", names=Names([address]), open_to="") as proxy:
        answer = await say(proxy, b"GET http://www.test/ HTTP/1.1\r\nHost: www.test\r\n\r\n")
        tunnel = await say(proxy, b"CONNECT www.test:80 HTTP/1.1\r\nHost: www.test\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 403 assay: www.test leads to {address}, which is ".encode())
    assert tunnel.startswith(b"HTTP/1.1 403 ")
    assert connected == []


async def test_a_public_name_goes_out(told: Told, connected: list[str]) -> None:
    """The other side of the tests above: a public address is what would be connected to."""
    async with attacked(told, "www.test:80", names=Names(["93.184.216.34", "10.0.0.1", "2606:4700::1111"])) as proxy:
        await say(proxy, b"GET http://www.test/ HTTP/1.1\r\nHost: www.test\r\n\r\n")
    assert connected == ["93.184.216.34", "2606:4700::1111"]
    assert told.stages == ["allowed", "failed"]


async def test_rebinding(told: Told, connected: list[str]) -> None:
    """A name is resolved once, and what was judged is what is connected to; the next request is judged anew."""
    names = Names(["127.0.0.1"], ["169.254.169.254"], ["93.184.216.34"])
    async with listening(Web()) as port, attacked(told, f"www.test:{port}", names=names) as proxy:
        request = REQUESTS["fine"].replace(b"%d", b"%d" % port)
        assert (await say(proxy, request)).endswith(b"hello")
        assert b"leads to 169.254.169.254, which is link-local" in await say(proxy, request)
        await say(proxy, request)
    assert names.asked == ["www.test"] * 3
    assert connected == ["127.0.0.1", "93.184.216.34"]


async def test_many_connections_at_once(told: Told) -> None:
    """Two hundred clients that drip, and one that does not: it is served at once, and the others come to their end."""
    async with (
        listening(Web()) as port,
        attacked(told, f"www.test:{port}") as proxy,
        contextlib.AsyncExitStack() as open_,
    ):
        readers = []
        for _ in range(200):
            reader, writer = await open_.enter_async_context(dialled(proxy))
            writer.write(b"GET http://www.test/ HTTP/1.1\r\nHost: ")
            readers.append(reader)
        assert (await say(proxy, REQUESTS["fine"].replace(b"%d", b"%d" % port))).endswith(b"hello")
        answers = await asyncio.gather(*(reader.read() for reader in readers))
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}


async def test_a_reader_that_does_not_read(told: Told) -> None:
    """A client that reads nothing makes the proxy hold next to nothing: the server is stopped."""
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000

    async with (
        listening(pour) as port,
        attacked(told, f"www.test:{port}") as proxy,
        dialled(proxy) as (_reader, writer),
    ):
        writer.write(REQUESTS["fine"].replace(b"%d", b"%d" % port))
        before = -1
        while sent != before or not sent:
            before = sent
            await asyncio.sleep(0.2)
    assert 0 < sent < 30_000_000  # of the kernel's buffers, twice


async def test_a_server_that_does_not_read(told: Told) -> None:
    """A server that takes nothing stops the client: the proxy does not hold what it cannot pass on."""
    held, over = asyncio.Event(), asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        held.set()
        await over.wait()

    async with (
        listening(deaf) as port,
        attacked(told, f"www.test:{port}") as proxy,
        dialled(proxy) as (_reader, writer),
    ):
        head = b"POST http://www.test:%d/ HTTP/1.1\r\nHost: www.test:%d\r\nContent-Length: 9999999999\r\n\r\n"
        writer.write(head.replace(b"%d", b"%d" % port))
        await held.wait()
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 100_000_000:
                writer.write(bytes(100_000))
                await asyncio.wait_for(writer.drain(), 1)
                sent += 100_000
        over.set()
    assert 0 < sent < 30_000_000


ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\n\r\n",
    "odd chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxyz",
    "early and late": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "body without": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "two answers": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "no status": b"HTTP/1.1 xyz\r\n\r\n",
    "old": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "older": b"hello",
    "newer": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_servers_that_mean_ill(told: Told, kind: str, version: bytes) -> None:
    """Whatever a server answers is passed on as one proper answer, or ended with a reason: no fault comes of it."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWERS[kind])

    async with listening(answer) as port, attacked(told, f"www.test:{port}") as proxy:
        for method in (b"GET", b"HEAD"):
            request = b"%s http://www.test:%d/ HTTP/%s\r\nHost: www.test:%d\r\n\r\n" % (method, port, version, port)
            said = await say(proxy, request)
            assert said.count(b"HTTP/1.") <= 1
    assert faults == []
    assert told.stages in (["allowed", first, "allowed", last] for first in STAGES for last in STAGES)


STAGES = ("ended", "failed")
