"""Where a sandbox may connect to: names, ports and addresses, compared as what they mean and not as they are spelt."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from assay.records.egress import Egress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""The last label of what resolvers read as an IPv4 address in one of its old notations (URL Standard, 4.5)."""
_NAME_MAX: Final = 253
_WIDEST: Final = {4: 8, 6: 7}
"""Shortest prefix of a range that can be named: `10.0.0.0/8` and `fc00::/7` can, "everything" cannot."""

# IANA's registries of special-purpose addresses, as of 2025, and what the standard library leaves out of them.
_CLOSED_4: Final = tuple(
    (ipaddress.IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "of this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "of a carrier's translation"),
        ("127.0.0.0/8", "of the host itself"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "of a relay between IPv6 and IPv4"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_OPEN_6: Final = ipaddress.IPv6Network("2000::/3")
"""All that is public in IPv6; loopback, link-local, private, multicast, IPv4-mapped and NAT64 addresses lie outside."""
_CLOSED_6: Final = tuple(
    (ipaddress.IPv6Network(network), what)
    for network, what in (
        ("2001::/23", "reserved, or leads to IPv4 (Teredo)"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "an IPv4 address (6to4)"),
        ("3fff::/20", "for documentation"),
    )
)
_MAPPED_6: Final = (
    (ipaddress.IPv6Network("::/96"), "an IPv4 address"),
    (ipaddress.IPv6Network("::ffff:0:0/96"), "an IPv4 address"),
    (ipaddress.IPv6Network("64:ff9b::/96"), "an IPv4 address (NAT64)"),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), "an IPv4 address (NAT64)"),
    (ipaddress.IPv6Network("fc00::/7"), "private"),
    (ipaddress.IPv6Network("fe80::/10"), "link-local"),
    (ipaddress.IPv6Network("ff00::/8"), "multicast"),
)


def plain_host(text: str) -> str:
    """Return the one spelling of a host: lower case, no dot at the end, an address in its shortest form.

    Raises ValueError for what is neither a name nor an address in its usual notation.
    """
    if text.startswith("["):
        if not text.endswith("]") or "%" in text:
            raise ValueError(f"{text!r} is no address")
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError(f"{text!r} is no address") from None
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if not text.isascii():
        raise ValueError(f"{text!r} is not ASCII; write an international name in its form with xn--")
    if len(name) > _NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{text[:80]!r} is no host name")
    if not _NUMBER.fullmatch(labels[-1]):
        return name
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text!r} is an address in another notation than four decimal numbers") from None


def as_address(host: str) -> Address | None:
    """Return the address that a host, as `plain_host` gives it, is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def split_host(text: str) -> tuple[str, str]:
    """Return host, brackets included, and port of `HOST:PORT`; the port is empty where there is none."""
    if text.startswith("["):
        host, _, rest = text.partition("]")
        return (f"{host}]", rest[1:]) if rest[:1] in ("", ":") else (text, "")
    host, _, port = text.partition(":")
    return host, port


def plain_port(text: str) -> int:
    """Return a port written in decimal digits; raises ValueError."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > 65535:
        raise ValueError(f"{text!r} is no port")
    return int(text)


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry of an allow-list."""

    host: str
    """As `plain_host` gives it."""
    port: int
    below: bool = False
    """Whether it means every name below `host`, and not `host` itself."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'*.' if self.below else ''}{host}:{self.port}"

    def admits(self, host: str, port: int) -> bool:
        """Whether it means this host, as `plain_host` gives it, and this port."""
        return port == self.port and (host.endswith(f".{self.host}") if self.below else host == self.host)

    def covers(self, other: Destination) -> bool:
        """Whether everything that the other one means is meant by this one, too."""
        if other.below and not self.below:
            return False
        return self.admits(other.host, other.port) or (self.below and other.below and self == other)


def parse_destination(text: str) -> Destination:
    """Return what an entry of an allow-list means; raises ValueError."""
    below = text.startswith("*.")
    host, port = split_host(text.removeprefix("*."))
    if "*" in host:
        raise ValueError(f"{text!r}: a star stands only for the names below a domain, as in *.example.org:443")
    if not port:
        raise ValueError(f"{text!r} names no port; write {text}:443")
    plain = plain_host(host)
    if below and ("." not in plain or ":" in plain or _NUMBER.fullmatch(plain.rsplit(".", 1)[-1])):
        raise ValueError(f"{text!r}: what stands behind *. must be a domain of two labels or more")
    return Destination(plain, plain_port(port), below)


def parse_network(text: str) -> Network:
    """Return a range of addresses; raises ValueError for what is none, and for one that is too wide."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no range of addresses: {error}") from None
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError(f"{text!r} is too wide to mean anything in particular")
    return network


def why_closed(address: Address, networks: Iterable[Network] = ()) -> str | None:
    """Return why an address may not be connected to, in words that follow "it is"; None where it may.

    Args:
        address: as a resolver gave it.
        networks: the ranges that are named as exceptions.
    """
    if any(address in network for network in networks if network.version == address.version):
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return next((what for network, what in _CLOSED_4 if address in network), None)
    if address.scope_id is not None:
        return "bound to an interface"
    if address not in _OPEN_6:
        return next((what for network, what in _MAPPED_6 if address in network), "not public")
    return next((what for network, what in _CLOSED_6 if address in network), None)


def not_covered(asked: Egress, granted: Egress) -> tuple[str, ...]:
    """Return the hosts and ranges of `asked` that go beyond `granted`, as they are written."""
    allowed = [parse_destination(text) for text in granted.allow]
    named = [parse_network(text) for text in granted.networks]
    hosts = [text for text in asked.allow if not any(one.covers(parse_destination(text)) for one in allowed)]
    ranges = [text for text in asked.networks if not any(_within(parse_network(text), one) for one in named)]
    return (*hosts, *ranges)


def narrowed(asked: Egress, granted: Egress) -> Egress:
    """Return what is asked with the limits of what is granted, where those are lower."""
    limits = ("connections", "requests", "megabytes", "seconds", "idle_seconds")
    return asked.model_copy(update={name: min(getattr(asked, name), getattr(granted, name)) for name in limits})


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False
