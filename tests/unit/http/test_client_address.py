"""The client's address: of the connection, or what trusted proxies say of it."""

from ipaddress import ip_network

import pytest

from partage.http.client_address import find_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "10.2.2.2, 10.9.9.9", "10.2.2.2"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, _hidden", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:1::5", "[2001:db8:2:3:4:5:6:7]", "2001:db8:2:3::/64"),
        ("2001:db8:2:3::1", None, "2001:db8:2:3::/64"),
        ("/run/partage.sock", "198.51.100.1", ""),
        (None, "198.51.100.1", ""),
    ],
)
def test_address_is_the_nearest_that_is_no_trusted_proxy(peer: str | None, forwarded_for: str | None, address: str) -> None:
    assert find_address(peer, forwarded_for, PROXIES) == address


def test_nothing_is_trusted_without_a_setting() -> None:
    assert find_address("127.0.0.1", "198.51.100.1", ()) == "127.0.0.1"
