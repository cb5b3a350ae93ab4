"""Which internet addresses are public, and which IPv4 addresses are embedded in IPv6 ones. No input or output.

The tables are explicit, because Python's `is_global` differs between releases, counts multicast and several embedded forms as
global, and ignores the metadata addresses of clouds. An address that is not known to be public is not public.

Source: the IANA special-purpose address registries for IPv4 and IPv6, RFC 6890.
"""

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV4_SPECIAL = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the own host on Linux
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared between carriers and customers; metadata of one cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by number, the host of every virtual machine by Azure's convention
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; metadata of one cloud
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; the broadcast address
    )
)
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out for unicast; loopback, local, multicast and most embedded forms lie outside."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Public where the IPv4 address at its end is: hosts without IPv4 reach the rest of the internet by it. Source: RFC 6052."""

_IPV6_SPECIAL = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4, withdrawn by RFC 7526
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_IPV4_AT_THE_END = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",
        "64:ff9b:1::/48",  # local-use NAT64, RFC 8215
    )
)
_NOT_COMPATIBLE = (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1"))
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""The third quarter of an ISATAP address; the fourth is an IPv4 address. Source: RFC 5214."""


def address_of(text: str) -> Address | None:
    """Parse an address in its usual notation; None for anything else: short, octal or hexadecimal forms, or a zone.

    An IPv4-mapped IPv6 address is returned as the IPv4 address that receives the packets.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.scope_id is not None:
        return None
    return address.ipv4_mapped or address


def find_embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Return the IPv4 addresses to which a gateway or tunnel would forward packets for this address."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        yield last
    if address not in _NOT_COMPATIBLE and any(address in network for network in _IPV4_AT_THE_END):
        yield last


def is_public(address: Address) -> bool:
    """Whether the address itself is unicast and globally reachable. Embedded addresses are checked separately."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _IPV4_SPECIAL)
    if address in _NAT64:
        return True
    return address in _IPV6_UNICAST and not any(address in network for network in _IPV6_SPECIAL)
