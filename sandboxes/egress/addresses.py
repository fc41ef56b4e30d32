"""From a name to addresses that may be connected to. What was checked is what is connected to: no name goes further."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from assay.policies.egress import Address, Network, as_address, why_closed
from assay.sandboxes.egress.requests import Refused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, as text; raises OSError where it has none, TimeoutError where it takes too long."""

_TRIED: Final = 3
"""Addresses of a name that are tried in turn."""
_LOOKUPS: Final = 4
_RESOLVE_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 10.0


class HostResolver:
    """This host's own resolver, asked on a few threads of its own: a slow name server keeps nobody else waiting.

    More lookups wait, which is not counted as resolving. Implements `Resolve`.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_LOOKUPS)
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="assay-resolve")

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host in the resolver's order, each once; raises OSError, TimeoutError."""
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        await self._places.acquire()
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        lookup.add_done_callback(self._leave)  # no lookup can be broken off: its thread is taken until it ends
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.shield(lookup)
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    def _leave(self, lookup: asyncio.Future[Any]) -> None:
        self._places.release()
        if not lookup.cancelled():
            lookup.exception()  # whoever asked may have stopped waiting

    def close(self) -> None:
        """Take no more lookups; threads end with what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def open_addresses(host: str, port: int, networks: Iterable[Network], resolve: Resolve) -> tuple[Address, ...]:
    """Return the addresses of a host that may be connected to, a few at most; raises Refused where there are none."""
    address = as_address(host)
    addresses = await _look_up(host, port, resolve) if address is None else [address]
    closed = [why_closed(address, networks) for address in addresses]
    opened = [address for address, why in zip(addresses, closed, strict=True) if why is None]
    if not opened:
        raise Refused(403, f"{host} leads to {addresses[0]}, which is {closed[0]}")
    return tuple(opened[:_TRIED])


async def _look_up(host: str, port: int, resolve: Resolve) -> list[Address]:
    try:
        found = [ipaddress.ip_address(address) for address in await resolve(host, port)]
    except TimeoutError:
        raise Refused(504, f"the name {host} was not resolved in time") from None
    except (OSError, ValueError) as error:
        raise Refused(502, f"the name {host} cannot be resolved ({error})") from None
    if not found:
        raise Refused(502, f"the name {host} has no address")
    return found


async def connect(addresses: Sequence[Address], port: int) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the first address that answers, and a connection to it; raises Refused."""
    failure = ""
    for address in addresses:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(str(address), port)
        except TimeoutError:
            failure = f"{address} did not answer within {_CONNECT_SECONDS:g} s"
        except OSError as error:
            failure = f"{address} cannot be connected to ({error.strerror or error})"
        else:
            return str(address), reader, writer
    raise Refused(502, failure)
