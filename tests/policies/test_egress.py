"""Where a sandbox may connect to: what is the same host, which addresses are closed, and what only narrows."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.policies.egress import (
    as_address,
    narrowed,
    not_covered,
    parse_destination,
    parse_network,
    plain_host,
    plain_port,
    split_host,
    why_closed,
)
from assay.records.egress import Egress


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("PyPI.ORG", "pypi.org"),
        ("pypi.org.", "pypi.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("a_b.example", "a_b.example"),
        ("93.184.216.34", "93.184.216.34"),
        ("[2606:2800:0220:0001:0248:1893:25C8:1946]", "2606:2800:220:1:248:1893:25c8:1946"),
        ("[::FFFF:10.0.0.1]", "::ffff:a00:1"),
    ],
)
def test_a_host_has_one_spelling(written: str, plain: str) -> None:
    """Case, a dot at the end and the ways to write an address make no difference."""
    assert plain_host(written) == plain


@pytest.mark.parametrize(
    "written",
    [
        "2130706433",  # 127.0.0.1, as resolvers read it
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "example.0x7f",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1",
        "::1",
        "[127.0.0.1]",
        "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
        "\N{KELVIN SIGN}.example",
        "pypi\N{FULLWIDTH FULL STOP}org",
        "1\N{SUPERSCRIPT TWO}7.0.0.1",
        "pypi.org..",
        ".pypi.org",
        "pypi..org",
        "-a.example",
        "a-.example",
        "a b.example",
        "a/b",
        "a@b",
        "a:b",
        "a%2eb.example",
        "pypi.org\0.example",
        "pypi.org\n",
        "x" * 64 + ".example",
        ".".join(["x" * 60] * 5),
        "",
        ".",
        "*",
    ],
)
def test_odd_hosts_are_none(written: str) -> None:
    """Every other notation of an address, and everything that is no name, is refused and not guessed at."""
    with pytest.raises(ValueError, match=r"is no|is not ASCII|another notation"):
        plain_host(written)


@given(st.text())
def test_a_host_is_plain_or_refused(text: str) -> None:
    """Whatever is written, the plain form is stable, and has no character that means something elsewhere."""
    try:
        plain = plain_host(text)
    except ValueError:
        return
    assert plain == plain_host(f"[{plain}]" if ":" in plain else plain)
    assert not set(plain) & set("/@%\\?#[] *\t\r\n\0")


@pytest.mark.parametrize("host", ["mirror1", "a.example", "10.example", "1e1", "xn--4.example"])
def test_a_name_is_no_address(host: str) -> None:
    """What ends or begins with a digit may still be a name."""
    assert as_address(plain_host(host)) is None


def test_an_address_is_one() -> None:
    """The plain form of an address, without brackets, is read as the address that it is."""
    assert as_address(plain_host("[::FFFF:10.0.0.1]")) == ipaddress.ip_address("::ffff:10.0.0.1")
    assert as_address(plain_host("93.184.216.34")) == ipaddress.ip_address("93.184.216.34")


CLOSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1
    2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 5f00::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1 4000::1
""".split()  # noqa: SIM905 - a table
OPEN = """
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
    172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
    2606:4700::1111 2a00:1450::1 2003::1 3ffe::1
""".split()  # noqa: SIM905 - a table


def test_closed_addresses() -> None:
    """Private, link-local, loopback, shared, reserved and multicast ranges are closed, and what embeds IPv4 is."""
    assert [text for text in CLOSED if why_closed(ipaddress.ip_address(text)) is None] == []
    assert [text for text in OPEN if why_closed(ipaddress.ip_address(text)) is not None] == []


@given(st.ip_addresses())
def test_nothing_is_open_that_the_standard_library_calls_special(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """What Python's own registry calls private, reserved, link-local, loopback or multicast is never open."""
    special = address.is_private or address.is_reserved or address.is_link_local or address.is_multicast
    assert not (special or address.is_loopback or address.is_unspecified) or why_closed(address) is not None


def test_a_named_range_is_open() -> None:
    """A range that the policy names is open, and nothing beside it; its family counts."""
    networks = [parse_network("10.1.0.0/16"), parse_network("fd00::/8")]
    assert why_closed(ipaddress.ip_address("10.1.2.3"), networks) is None
    assert why_closed(ipaddress.ip_address("fd00::1"), networks) is None
    assert why_closed(ipaddress.ip_address("10.2.0.1"), networks) == "private"
    assert why_closed(ipaddress.ip_address("::ffff:10.1.2.3"), networks) == "an IPv4 address"
    assert why_closed(ipaddress.ip_address("fe80::1%eth0"), networks) == "bound to an interface"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "2000::/3", "10.0.0.1/8", "10.0.0.0/33", "example.org", ""])
def test_impossible_ranges(text: str) -> None:
    """A range that is none, or that means everything, cannot be named."""
    with pytest.raises(ValueError, match=r"range of addresses|too wide"):
        parse_network(text)


def test_what_an_entry_admits() -> None:
    """An entry is one host and one port; a star means what is below a domain, and not the domain."""
    one, below = parse_destination("PyPI.org.:443"), parse_destination("*.example.org:443")
    assert one.admits("pypi.org", 443)
    assert not one.admits("pypi.org", 80)
    assert not one.admits("www.pypi.org", 443)
    assert below.admits("a.example.org", 443)
    assert below.admits("a.b.example.org", 443)
    assert not below.admits("example.org", 443)
    assert not below.admits("badexample.org", 443)
    assert not below.admits("a.example.org.evil.test", 443)
    assert parse_destination("[2606:4700::1111]:443").admits("2606:4700::1111", 443)
    assert [str(one), str(below), str(parse_destination("[::1]:1"))] == [
        "pypi.org:443",
        "*.example.org:443",
        "[::1]:1",
    ]


@pytest.mark.parametrize(
    "text",
    """
    pypi.org pypi.org: pypi.org:0 pypi.org:65536 pypi.org:+1 pypi.org:1x *:443 *.org:443 a.*.org:443 **.example.org:443
    *.1.2.3:443 https://pypi.org:443 pypi.org:443/simple 0x7f.1:80 [::1]80 u@pypi.org:443 :443 pypi.org:443:80 *
    """.split(),  # noqa: SIM905 - a table
)
def test_impossible_entries(text: str) -> None:
    """What an allow-list cannot mean is refused, a port that is left out and a star for everything above all."""
    with pytest.raises(ValueError, match=r"."):
        parse_destination(text)


def test_ports_and_hosts_are_split_where_they_meet() -> None:
    """An address in brackets keeps its colons; a port is digits."""
    assert split_host("[::1]:80") == ("[::1]", "80")
    assert split_host("a:80") == ("a", "80")
    assert split_host("a") == ("a", "")
    with pytest.raises(ValueError, match="no port"):
        plain_port("\N{ARABIC-INDIC DIGIT ONE}")


def test_what_is_asked_may_only_narrow() -> None:
    """What goes beyond a grant is named; a name below a granted domain and a part of a granted range do not."""
    granted = Egress(allow=("*.example.org:443", "pypi.org:443"), networks=("10.0.0.0/8",), megabytes=10)
    fine = Egress(allow=("a.example.org:443", "*.example.org:443", "PYPI.org:443"), networks=("10.1.0.0/16",))
    assert not_covered(fine, granted) == ()
    assert narrowed(fine, granted).megabytes == 10
    assert narrowed(granted, fine).megabytes == 10
    beyond = Egress(
        allow=("example.org:443", "a.example.org:80", "*.pypi.org:443", "*.a.example.org:443"),
        networks=("10.0.0.0/8", "192.168.0.0/16", "fd00::/8"),
    )
    assert not_covered(beyond, granted) == (
        "example.org:443",
        "a.example.org:80",
        "*.pypi.org:443",
        "192.168.0.0/16",
        "fd00::/8",
    )
    assert not_covered(granted, Egress()) == ("*.example.org:443", "pypi.org:443", "10.0.0.0/8")
