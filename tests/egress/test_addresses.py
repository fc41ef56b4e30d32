"""This host's own resolver, where names are slow to be resolved."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from assay.sandboxes.egress import HostResolver
from assay.sandboxes.egress import addresses as addresses_module
from assay.sandboxes.egress.addresses import open_addresses
from assay.sandboxes.egress.requests import Refused


class SlowNames:
    """Stands for name servers: of `slow.test` they know nothing, and take long to say so."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *, type: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:  # noqa: A002 - as in `socket`
        self.asked.append(host)
        if host == "slow.test":
            self.answer.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, type, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    """Name servers that answer when the test is over, or when it says so."""
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.answer.set()


@pytest.fixture
def resolver() -> Iterator[HostResolver]:
    """The resolver of one sandbox."""
    made = HostResolver()
    yield made
    made.close()


async def test_the_hosts_own_resolver(resolver: HostResolver) -> None:
    """Names are those of this host: here the one that needs no server."""
    assert "127.0.0.1" in await resolver("localhost", 80)


async def test_slow_names_hold_up_nobody_else(resolver: HostResolver, slow: SlowNames) -> None:
    """However many names a sandbox waits for, threads are free for everything else, and for other sandboxes' names."""
    lookups = [asyncio.ensure_future(resolver("slow.test", 80)) for _ in range(100)]
    other = HostResolver()
    try:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(len, "anything") == 8
            assert await other("www.test", 80) == ("127.0.0.1",)
        assert sum(thread.name.startswith("assay-resolve") for thread in threading.enumerate()) <= 5
    finally:
        slow.answer.set()
        other.close()
    answers = await asyncio.gather(*lookups, return_exceptions=True)
    assert {type(answer) for answer in answers} == {socket.gaierror}


async def test_waiting_is_not_resolving(
    resolver: HostResolver, slow: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that nobody answers for is refused in time; one that waits for its turn has its own time after that."""
    monkeypatch.setattr(addresses_module, "_RESOLVE_SECONDS", 0.2)
    refused = [asyncio.ensure_future(open_addresses("slow.test", 80, (), resolver)) for _ in range(4)]
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(resolver("www.test", 80))
    reasons = [str(answer) for answer in await asyncio.gather(*refused, return_exceptions=True)]
    assert reasons == ["the name slow.test was not resolved in time"] * 4
    await asyncio.sleep(0.3)
    assert (waiting.done(), slow.asked) == (False, ["slow.test"] * 4)
    slow.answer.set()
    assert await asyncio.wait_for(waiting, 5) == ("127.0.0.1",)


async def test_who_stops_waiting_leaves_the_place(resolver: HostResolver, slow: SlowNames) -> None:
    """Lookups that were given up in the queue are not made, and take no place from those behind them."""
    lookups = [asyncio.ensure_future(resolver("slow.test", 80)) for _ in range(20)]
    last = asyncio.ensure_future(resolver("www.test", 80))
    await asyncio.sleep(0)
    for lookup in lookups:
        lookup.cancel()
    await asyncio.wait(lookups)
    slow.answer.set()
    assert await asyncio.wait_for(last, 5) == ("127.0.0.1",)
    assert slow.asked == ["slow.test"] * 4 + ["www.test"]


async def test_threads_end_with_the_resolver(slow: SlowNames) -> None:
    """A resolver that is closed leaves no thread once its last lookup has its answer."""
    before = set(threading.enumerate())
    resolver = HostResolver()
    slow.answer.set()
    with pytest.raises(Refused, match="cannot be resolved"):
        await open_addresses("slow.test", 80, (), resolver)
    threads = set(threading.enumerate()) - before
    assert threads
    resolver.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
