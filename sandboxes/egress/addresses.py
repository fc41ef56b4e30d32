"""From a name to addresses that may be connected to. What was checked is what is connected to: no name goes further."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from assay.policies.egress import Address, Network, why_closed
from assay.sandboxes.egress.requests import Refused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, as text; raises OSError where it has none."""

_TRIED: Final = 3
"""Addresses of a name that are tried in turn."""
_RESOLVE_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 10.0


async def resolve_host(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses that this host's resolver gives, in its order, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


async def open_addresses(host: str, port: int, networks: Iterable[Network], resolve: Resolve) -> tuple[Address, ...]:
    """Return the addresses of a host that may be connected to, a few at most; raises Refused where there are none."""
    try:
        addresses = [ipaddress.ip_address(host)]
    except ValueError:
        addresses = await _look_up(host, port, resolve)
    closed = [why_closed(address, networks) for address in addresses]
    opened = [address for address, why in zip(addresses, closed, strict=True) if why is None]
    if not opened:
        raise Refused(403, f"{host} leads to {addresses[0]}, which is {closed[0]}")
    return tuple(opened[:_TRIED])


async def _look_up(host: str, port: int, resolve: Resolve) -> list[Address]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = [ipaddress.ip_address(address) for address in await resolve(host, port)]
    except TimeoutError:
        raise Refused(504, f"the name {host} was not resolved within {_RESOLVE_SECONDS:g} s") from None
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
