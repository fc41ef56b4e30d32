"""Public and private addresses that are really connected to, in a network of the test's own that leads nowhere.

Each test is this file, run again inside a new network namespace: there, the loopback interface has whatever addresses
the test gives it, and there is no other interface.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.egress.servers import Names, Told, Web, door, say

from assay.records.egress import Egress
from assay.sandboxes.egress.proxy import EgressProxy

PUBLIC, UNREACHED, PRIVATE, METADATA = "93.184.216.34", "9.9.9.9", "10.9.8.7", "169.254.169.254"
_SIOCSIFFLAGS, _SIOCSIFADDR, _UP = 0x8914, 0x8916, 0x1 | 0x40
"""netdevice(7)."""


def give_address(name: str, address: str) -> None:
    """Give an interface of this namespace an address, and switch it on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        packed = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(control, _SIOCSIFADDR, packed)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), _UP))


async def ask(told: Told, names: Names, *, networks: tuple[str, ...] = ()) -> bytes:
    """Ask once for www.test:80 through a proxy, and return its answer."""
    egress = Egress(allow=("www.test:80",), networks=networks)
    async with door(EgressProxy(egress, told, resolve=names)) as port:
        return await say(port, b"GET http://www.test/ HTTP/1.1\r\nHost: www.test\r\n\r\n")


async def public_is_reached(web: Web) -> None:
    """A public address is connected to, and it is the one that the record names."""
    told = Told()
    assert (await ask(told, Names([PUBLIC]))).endswith(b"hello")
    assert told.events[-1].address == PUBLIC


async def private_is_not(web: Web) -> None:
    """An address inside is refused although a server listens there and answers; named, it is reached."""
    for address in (PRIVATE, METADATA, "127.0.0.1"):
        assert b" 403 assay: www.test leads to " in await ask(Told(), Names([address]))
    assert web.heads == []
    told = Told()
    assert (await ask(told, Names([PRIVATE]), networks=("10.9.0.0/16",))).endswith(b"hello")
    assert told.events[-1].address == PRIVATE


async def rebinding_changes_nothing(web: Web) -> None:
    """A name that leads outside when it is judged and inside afterwards is connected to where it was judged."""
    told, names = Told(), Names([PUBLIC], [METADATA])
    assert (await ask(told, names)).endswith(b"hello")
    assert (names.asked, told.events[-1].address) == (["www.test"], PUBLIC)
    assert b"leads to 169.254.169.254" in await ask(told, names)
    assert len(web.heads) == 1


async def a_mixture_is_sorted(web: Web) -> None:
    """Of several addresses, those inside are left out, and the next one is tried where the first cannot be reached."""
    told = Told()
    assert (await ask(told, Names([METADATA, UNREACHED, PUBLIC]))).endswith(b"hello")
    assert told.events[-1].address == PUBLIC


CASES: dict[str, Callable[[Web], Awaitable[None]]] = {
    case.__name__: case for case in (public_is_reached, private_is_not, rebinding_changes_nothing, a_mixture_is_sorted)
}


@pytest.mark.parametrize("case", CASES)
def test_in_a_network_of_its_own(case: str) -> None:
    """What the case's own sentence says, where the addresses are really there."""
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    inside = ["unshare", "--net", *own_user, sys.executable, __file__, case]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *sys.path])
    result = subprocess.run(inside, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path})
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{case}: held, with no way out but lo\n"


async def run_inside(case: str) -> None:
    """Run one case, in the namespace."""
    interfaces = [name for _, name in socket.if_nameindex()]
    assert interfaces[0] == "lo"
    assert len(Path("/proc/net/route").read_text().splitlines()) <= 1  # the line that names the columns
    for number, address in enumerate(("127.0.0.1", PUBLIC, PRIVATE, METADATA)):
        give_address(f"lo:{number}" if number else "lo", address)
    web = Web()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await web(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", 80):
        await CASES[case](web)
    print(f"{case}: held, with no way out but lo")  # noqa: T201 - it is what the test reads


if __name__ == "__main__":
    asyncio.run(run_inside(sys.argv[1]))
