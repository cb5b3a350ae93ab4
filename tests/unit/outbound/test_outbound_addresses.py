"""Which addresses are public, and that no notation or tunnel hides one that is not."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage.outbound import addresses
from partage.outbound.rules import Rules

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700:4700::1111", "2a00:1450::1", "3ffe:ffff::1",
    "64:ff9b::808:808", "::ffff:8.8.8.8",
]  # fmt: skip
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.255.255.255", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::0.0.0.0", "64:ff9b:1::8.8.8.8", "64:ff9b:1::7f00:1", "100::1",
    "1fff::1", "2001::1", "2001::7f00:1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:1ff:ffff::", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::", "2620:4f:8000::1", "3fff::1",
    "3fff:fff::1",
    "4000::1", "5f00::1", "2a00:1450::5efe:127.0.0.1", "2a00:1450::200:5efe:10.0.0.1", "fc00::1", "fd00:ec2::254", "fdff::1",
    "fe80::1", "fe80::5efe:10.0.0.1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "ffff::1",
]  # fmt: skip


def permitted(text: str, rules: Rules | None = None) -> bool:
    address = addresses.address_of(text)
    return address is not None and (rules or Rules()).permits(address)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_permitted(text: str) -> None:
    assert permitted(text)


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_internal_address_is_refused(text: str) -> None:
    assert not permitted(text)


@pytest.mark.parametrize(
    "text",
    ["", "0", "1", "127.1", "127.0.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.0.0.01", "127.0.0.1.",
     " 127.0.0.1",
     "127.0.0.1\n", "127.0.0.1/8", "256.0.0.1", "fe80::1%eth0", "::1%1", "1::2::3", "[::1]", "::ffff:127.0.0.01", "①.1.1.1",
     "1.1.1.1 "],
)  # fmt: skip
def test_unusual_spelling_is_no_address(text: str) -> None:
    assert addresses.address_of(text) is None


IPV4 = st.ip_addresses(v=4)
SECRET = st.sampled_from([text for text in NOT_PUBLIC if ":" not in text]).map(ipaddress.IPv4Address)


def tunnels(inner: ipaddress.IPv4Address) -> list[int]:
    """Write an IPv4 address in every way that something between here and there may unwrap."""
    low = int(inner)
    return [
        low,
        0xFFFF << 32 | low,
        0xFFFF_0000 << 32 | low,
        0x0064_FF9B << 96 | low,
        0x0064_FF9B_0001 << 80 | low,
        0x2002 << 112 | low << 80 | 1,
        0x2001_0000 << 96 | low << 64,
        0x2001_0000 << 96 | 0x0808_0808 << 64 | low ^ 0xFFFF_FFFF,
        0x2A00_1450 << 96 | 0x5EFE << 32 | low,
        0x2A00_1450 << 96 | 0x0200_5EFE << 32 | low,
    ]


EVERYTHING_V6 = Rules(networks_allowed=(ipaddress.ip_network("::/0"),))


@given(SECRET)
def test_no_tunnel_carries_packets_to_an_address_that_is_not_permitted(inner: ipaddress.IPv4Address) -> None:
    """Not even when the operator has allowed all of IPv6."""
    for number in tunnels(inner):
        address = ipaddress.IPv6Address(number)
        if address not in (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1")):
            assert not EVERYTHING_V6.permits(address), address
        assert not Rules().permits(address), address


@given(st.ip_addresses())
def test_what_is_public_here_is_global_for_python_too(address: addresses.Address) -> None:
    if Rules().permits(address) and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_private


def test_operator_allows_and_denies_networks() -> None:
    rules = Rules(
        networks_allowed=(
            ipaddress.ip_network("10.1.0.0/16"),
            ipaddress.ip_network("fd00:1::/32"),
            ipaddress.ip_network("::1/128"),
        ),
        networks_denied=(ipaddress.ip_network("10.1.7.0/24"), ipaddress.ip_network("8.8.8.0/24")),
    )
    for text in ("10.1.0.1", "::ffff:10.1.0.1", "64:ff9b::10.1.0.1", "fd00:1::5", "::1", "1.1.1.1"):
        assert permitted(text, rules), text
    for text in (
        "10.2.0.1",
        "10.1.7.1",
        "::ffff:10.1.7.1",
        "64:ff9b::10.1.7.1",
        "8.8.8.8",
        "64:ff9b::8.8.8.8",
        "fd00:2::5",
        "::",
        "::2",
    ):
        assert not permitted(text, rules), text
