"""The way out of real sandboxes: what commands see of it, and what they cannot do to it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from pathlib import Path

import pytest
from tests.egress.servers import OWNER, Certificates, Names, Silent, Told, Web, fetch, granting, listening

from assay.errors import SandboxRefused
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.egress import WaysOut

pytestmark = pytest.mark.docker


async def test_what_is_allowed_is_reached(provider: DockerProvider, told: Told, names: Names) -> None:
    """A program that knows of proxies reaches an allowed server, and nothing else; each request is recorded."""
    async with listening(Web()) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        assert (await sandbox.run(fetch(f"http://www.test:{port}/page?token=1"))).stdout.data == b"hello\n"
        other = await sandbox.run(fetch(f"http://other.test:{port}/"))
        tunnel = await sandbox.run(fetch(f"https://www.test:{port + 1}/"))
    assert f"403: assay: other.test:{port} is not among what this sandbox may reach" in other.stderr.text
    assert f"403 assay: www.test:{port + 1} is not among what this sandbox may reach" in tunnel.stderr.text
    assert told.stages == ["allowed", "ended", "refused", "refused"]
    assert (told.events[1].path, told.events[1].status, told.events[1].address) == ("/page", 200, "127.0.0.1")
    assert names.asked == ["www.test"]


async def test_without_a_grant_nothing_listens(provider: DockerProvider) -> None:
    """A profile that grants nothing has no port, no variable and no process of it."""
    async with await provider.open(SandboxProfile(), OWNER) as sandbox:
        assert (await sandbox.run("env | grep -i proxy; cat /proc/net/tcp | grep -c :0C38")).stdout.data == b"0\n"


async def test_nothing_else_leads_out(provider: DockerProvider) -> None:
    """A sandbox with a way out still has no interface, no route and no resolver."""
    program = (
        "import socket\n"
        "def tried(work):\n"
        "    try: work()\n"
        "    except OSError as error: return type(error).__name__\n"
        "    return 'possible'\n"
        "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "print(tried(lambda: socket.getaddrinfo('www.test', 443)),\n"
        "      tried(lambda: socket.create_connection(('192.0.2.1', 443), 2)),\n"
        "      tried(lambda: udp.sendto(b'x', ('192.0.2.1', 53))),\n"
        "      sorted(name for _, name in socket.if_nameindex()))\n"
    )
    async with await provider.open(granting("www.test:443"), OWNER) as sandbox:
        result = await sandbox.run(["python3", "-c", program])
        routes = (await sandbox.run("tail -n +2 /proc/net/route | wc -l")).stdout.data
    assert result.stdout.text.startswith("gaierror OSError OSError ['lo'"), result
    assert routes == b"0\n"


async def test_git_and_tls(provider: DockerProvider, told: Told, certificates: Certificates, tmp_path: Path) -> None:
    """Git clones over TLS through the tunnel, and the certificate is the server's own: nobody reads along."""
    repository = make_repository(tmp_path)

    async def files(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            wanted = repository / head.split()[1].decode().partition("?")[0].lstrip("/")
            content = wanted.read_bytes() if wanted.is_file() else None
            status = b"404 Not Found" if content is None else b"200 OK"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(content or b""), content or b""))
            await writer.drain()

    async with (
        listening(files, tls=certificates.server) as port,
        await provider.open(granting(f"git.test:{port}"), OWNER) as sandbox,
    ):
        await sandbox.write("/tmp/ca.pem", certificates.authority.read_bytes())
        env = {"GIT_SSL_CAINFO": "/tmp/ca.pem"}
        clone = ["git", "clone", "-q", f"https://git.test:{port}/.git", "clone"]
        result = await sandbox.run(clone, env=env)
        assert result.ok, result.stderr.text
        assert await sandbox.read("clone/file") == b"content\n"
        lying = (
            "import socket, ssl\ns = socket.create_connection(('127.0.0.1', 3128))\n"
            f"s.sendall(b'CONNECT git.test:{port} HTTP/1.1\\r\\nHost: git.test\\r\\n\\r\\n')\nprint(s.recv(100))\n"
            "ssl._create_unverified_context().wrap_socket(s, server_hostname='other.test')"
        )
        result = await sandbox.run(["python3", "-c", lying])
    assert "200 Connection established" in result.stdout.text
    assert "ALERT_ACCESS_DENIED" in result.stderr.text
    assert told.events[-1].reason == "TLS is for 'other.test', where CONNECT asked for git.test"


def make_repository(folder: Path) -> Path:
    """Return a repository that a server of plain files can serve."""
    environment = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    (folder / "file").write_text("content\n")
    for command in (["init", "-q"], ["add", "file"], [*author, "commit", "-qm", "one"], ["update-server-info"]):
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True)
    return folder


async def test_bytes_arrive_whole_both_ways(provider: DockerProvider, told: Told) -> None:
    """Twenty megabytes go up and come back, by several connections at once, each with its own bytes."""
    async with listening(Web()) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        program = (
            "import hashlib, sys, threading, urllib.request\n"
            "def one(n):\n"
            "    data = bytes([n]) * 4_000_000\n"
            f"    r = urllib.request.Request('http://www.test:{port}/', data=data, method='POST')\n"
            "    assert urllib.request.urlopen(r).read() == b'hello'\n"
            "threads = [threading.Thread(target=one, args=(n,)) for n in range(5)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
        )
        result = await sandbox.run(["python3", "-c", program])
        assert result.ok, result.stderr.text
    assert sorted(event.sent // 1_000_000 for event in told.events if event.stage == "ended") == [4] * 5


async def test_a_download_keeps_its_order(provider: DockerProvider) -> None:
    """What a server sends arrives in its order, also at a command that reads slowly."""
    data = b"".join(b"%d\n" % number for number in range(1_000_000))

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
        writer.write(data)

    async with listening(send) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        program = (
            "import hashlib, time, urllib.request\n"
            f"answer, digest = urllib.request.urlopen('http://www.test:{port}/'), hashlib.sha256()\n"
            "for n in range(10**9):\n"
            "    if n < 5: time.sleep(0.05)\n"
            "    part = answer.read(100_000)\n"
            "    if not part: break\n"
            "    digest.update(part)\n"
            "print(digest.hexdigest())"
        )
        result = await sandbox.run(["python3", "-c", program])
    assert result.stdout.text.strip() == hashlib.sha256(data).hexdigest(), result.stderr.text


async def test_who_does_not_read_holds_nobody_up(provider: DockerProvider, told: Told) -> None:
    """A connection that is not read stops its server and no other connection, and ends with its command."""
    sent = 0
    stopped = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /quick"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(bytes(100_000))
                await writer.drain()
                sent += 100_000
        finally:
            stopped.set()

    async with listening(pour) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        deaf = f"import time, urllib.request as u\na = u.urlopen('http://www.test:{port}/')\ntime.sleep(60)"
        running = asyncio.ensure_future(sandbox.run(["python3", "-c", deaf]))
        for _ in range(5):
            assert (await sandbox.run(fetch(f"http://www.test:{port}/quick"))).stdout.data == b"ok\n"
        assert 0 < sent < 20_000_000  # what the kernel's buffers and one window hold
        running.cancel()
        await asyncio.wait((running,))
        await asyncio.wait_for(stopped.wait(), 5)
    poured = [event for event in told.events if event.received > 100_000]
    assert [event.stage for event in poured] == ["failed"]


async def test_connections_of_a_killed_command_end(provider: DockerProvider, told: Told) -> None:
    """When a command runs out of time, the server sees its connections end at once, and the record says so."""
    server = Silent()
    async with listening(server) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        result = await sandbox.run(fetch(f"http://www.test:{port}/"), timeout=1.5)
        assert result.ending.type == "timed_out"
        assert server.asked.is_set()
        await asyncio.wait_for(server.ended.wait(), 2)
        assert (await told.last()).reason == "the connection ended before the answer did"
        assert (await sandbox.run(["true"])).ok


async def test_a_closed_sandbox_ends_its_connections(provider: DockerProvider, told: Told) -> None:
    """Closing a sandbox ends what it has open, and leaves a record of it."""
    server = Silent()
    async with listening(server) as port:
        sandbox = await provider.open(granting(f"www.test:{port}"), OWNER)
        running = asyncio.ensure_future(sandbox.run(fetch(f"http://www.test:{port}/")))
        await asyncio.wait_for(server.asked.wait(), 10)
        await sandbox.close()
        await asyncio.wait((running,))
        await asyncio.wait_for(server.ended.wait(), 2)
    assert told.stages == ["allowed", "failed"]
    assert isinstance(running.exception(), Exception)


ATTACK = """
import ctypes, os, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
ours = [int(p) for p in os.listdir("/proc") if p.isdigit() and "Uid:\\t65534" in open(f"/proc/{p}/status").read()]
done = []
for pid in ours:
    if libc.ptrace(16, pid, 0, 0) == 0: done.append("attached")
    for name in ("fd", "mem", "environ", "maps", "auxv"):
        try: (os.listdir if name == "fd" else lambda path: open(path, "rb").read(1))(f"/proc/{pid}/{name}")
        except OSError: continue
        done.append(name)
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
        try: os.kill(pid, number); done.append(f"signal {number}")
        except OSError: pass
    pidfd = libc.syscall(434, pid, 0)
    if pidfd >= 0 and libc.syscall(438, pidfd, 4, 0) >= 0: done.append("descriptor")
for address in ("127.0.0.1", "0.0.0.0", "::"):
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if ":" in address: listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try: listener.bind((address, 3128)); listener.listen(); done.append(f"bound {address}")
    except OSError: pass
status = open(f"/proc/{ours[0]}/status").read()
powers = {line.split()[1] for line in status.splitlines() if line.startswith("Cap")}
print(len(ours), done, powers, "NoNewPrivs:\\t1" in status)
"""


@pytest.mark.parametrize("user", [10001, 10003, 65_533])
async def test_commands_cannot_touch_it(provider: DockerProvider, user: int) -> None:
    """The process that listens is another user's without any capability: no signal, no tracing, no port beside it."""
    profile = granting("www.test:443").model_copy(update={"user": user})
    async with await provider.open(profile, OWNER) as sandbox:
        result = await sandbox.run(["python3", "-c", ATTACK])
        assert result.stdout.text == "1 [] {'0000000000000000'} True\n", result
        assert await sandbox.processes() == ()


def test_no_profile_can_name_its_user() -> None:
    """The number of the user that listens is beyond those that commands can be given."""
    with pytest.raises(ValueError, match="65533"):
        SandboxProfile(user=65_534)


async def test_our_own_frames_are_only_bytes(provider: DockerProvider, told: Told) -> None:
    """Frames of the channel and of the tunnel, sent through the tunnel, are bytes that no proxy understands."""
    frames = b"".join(
        number.to_bytes(4, "little") + kind.to_bytes(4, "little") + (4).to_bytes(4, "little") + b"\xff" * 4
        for number in range(3)
        for kind in range(12)
    )
    program = (
        "import socket\ns = socket.create_connection(('127.0.0.1', 3128))\n"
        f"s.sendall({frames!r} + b'\\r\\n\\r\\n')\nprint(s.recv(1000))"
    )
    async with listening(Web()) as port, await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox:
        assert "400 assay" in (await sandbox.run(["python3", "-c", program])).stdout.text
        assert (await sandbox.run(fetch(f"http://www.test:{port}/"))).stdout.data == b"hello\n"
    assert told.stages == ["refused", "allowed", "ended"]


async def test_a_thousand_connections(provider: DockerProvider, told: Told) -> None:
    """A thousand connections that say nothing are bounded here, and when they end, the next request goes through."""
    program = (
        "import resource, socket\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\n"
        "held = []\n"
        "for n in range(1000):\n"
        "    s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', 3128)); held.append(s)\n"
        "import time; time.sleep(1)\n"
        "print(sum(1 for s in held if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))"
    )
    async with (
        listening(Web()) as port,
        await provider.open(granting(f"www.test:{port}", connections=20), OWNER) as sandbox,
    ):
        result = await sandbox.run(["python3", "-c", program])
        assert result.stdout.data == b"1000\n", result
        assert (await sandbox.run(fetch(f"http://www.test:{port}/"))).stdout.data == b"hello\n"
    assert told.stages == ["allowed", "ended"]


async def test_a_fault_of_the_proxys_ends_one_connection(told: Told) -> None:
    """An error that nobody foresaw ends the connection it happened on, is reported, and changes nothing else."""
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
    faults = [True, False]

    async def resolve(_host: str, _port: int) -> tuple[str, ...]:
        if faults.pop(0):
            raise RuntimeError("nobody foresaw this")
        return ("127.0.0.1",)

    async with (
        DockerProvider(ways_out=WaysOut(told.of_sandbox, resolve=resolve)) as provider,
        listening(Web()) as port,
        await provider.open(granting(f"www.test:{port}"), OWNER) as sandbox,
    ):
        broken = await sandbox.run(fetch(f"http://www.test:{port}/"))
        assert "RemoteDisconnected" in broken.stderr.text
        assert (await sandbox.run(fetch(f"http://www.test:{port}/"))).stdout.data == b"hello\n"
    assert reported == ["Task exception was never retrieved"]


async def test_nobody_to_tell_means_no_way_out() -> None:
    """A provider that was given nobody to tell refuses a profile that grants a way out."""
    async with DockerProvider() as provider:
        with pytest.raises(SandboxRefused, match="nobody would be told"):
            await provider.open(granting("www.test:443"), OWNER)


async def test_an_impossible_grant_is_refused(provider: DockerProvider) -> None:
    """What no allow-list can say is refused before anything is made."""
    for allow in ("*:443", "www.test", "*.test:443", "0x7f.1:80"):
        with pytest.raises(SandboxRefused, match="cannot be"):
            await provider.open(granting(allow), OWNER)
