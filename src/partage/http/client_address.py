"""The address of a client that may be behind proxies. It limits claims, and is no proof of identity."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_Address = IPv4Address | IPv6Address
_BITS_OF_CUSTOMER = 64
"""A customer of an IPv6 network has at least 2**64 addresses, which count as one. Source: RFC 6177."""


def find_address(peer: str | None, forwarded_for: str | None, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Return the address nearest to the service that is no trusted proxy; of IPv6 its network. See `find_exact_address`."""
    found = _find(peer, forwarded_for, proxies)
    return "" if found is None else _name(found)


def find_exact_address(peer: str | None, forwarded_for: str | None, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Return the address nearest to the service that is no trusted proxy.

    Each proxy appends the address of its client to `X-Forwarded-For`. What an untrusted client has written stands further left, and
    is not read.
    """
    if not proxies or not forwarded_for:  # most requests: nothing has to be parsed
        return (peer or "").removeprefix("::ffff:")
    found = _find(peer, forwarded_for, proxies)
    return "" if found is None else str(found)


def _find(peer: str | None, forwarded_for: str | None, proxies: Collection[IPv4Network | IPv6Network]) -> _Address | None:
    found = _parse(peer or "")
    for text in reversed((forwarded_for or "").split(",")):
        if found is None or not any(found in network for network in proxies):
            break
        following = _parse(text)
        if following is None:
            break
        found = following
    return found


def _parse(text: str) -> _Address | None:
    try:
        found = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _name(address: _Address) -> str:
    return str(address if isinstance(address, IPv4Address) else ip_network((address, _BITS_OF_CUSTOMER), strict=False))
