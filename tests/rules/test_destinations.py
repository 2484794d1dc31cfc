"""`outbound.allow`: which addresses the hub may connect to (attack R17)."""

from __future__ import annotations

import socket

import pytest

from gateway.adapters.destinations import AddressRefused, Destinations

EVERYWHERE = ("0.0.0.0/0", "::/0")
CASES = [  # networks, address, whether it is allowed
    (["10.1.0.0/16"], "10.1.2.3", True),
    (["10.1.0.0/16"], "10.2.0.1", False),
    (["10.1.0.0/16", "10.2.0.1/32"], "10.2.0.1", True),
    (["10.1.2.3"], "10.1.2.3", True),
    (["10.1.0.0/16"], "::ffff:10.1.2.3", True),
    (["10.1.0.0/16"], "::ffff:10.2.0.1", False),
    (["10.1.0.0/16"], "2001:db8::1", False),
    (["2001:db8::/32"], "2001:db8::1", True),
    ([], "10.1.2.3", False),
    (EVERYWHERE, "192.0.2.1", True),
    (EVERYWHERE, "2001:db8::1", True),
    *((EVERYWHERE, address, False) for address in (
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "169.254.169.254", "192.0.0.192", "224.0.0.1", "255.255.255.255",
        "100.100.100.200", "::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    )),
    (["126.0.0.0/7"], "127.0.0.1", False),
    (["127.0.0.0/8"], "127.0.0.1", True),
    (["127.0.0.1/32"], "127.0.0.1", True),
    (["127.0.0.1/32"], "127.0.0.2", False),
    (["::1/128"], "::1", True),
    (["169.254.169.254/32"], "169.254.169.254", True),
    (["127.0.0.0/8"], "::ffff:127.0.0.1", True),
]  # fmt: skip


@pytest.mark.parametrize(("networks", "address", "allowed"), CASES)
def test_an_address_is_allowed_by_a_network_that_means_it(networks, address, allowed):
    assert Destinations(networks).allow(address) is allowed


@pytest.mark.parametrize(
    "text", ["", "10.1.2", "localhost", "2130706433", "0x7f000001", "127.1", "010.1.2.3"]
)
def test_what_is_no_address_is_neither_allowed_nor_refused(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        Destinations(["0.0.0.0/0"]).allow(text)


@pytest.mark.parametrize("text", ["10.1.2.3/16", "10.1.0.0/33", "example.be", "10.1.*.*", ""])
def test_what_is_no_network_is_named(text):
    with pytest.raises(ValueError, match=r"does not appear to be|has host bits"):
        Destinations([text])


def test_a_socket_is_opened_for_an_allowed_address_only():
    destinations = Destinations(["10.1.0.0/16"])
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("10.1.2.3", 443))
    with destinations.open(info) as opened:
        assert (opened.family, opened.type) == (socket.AF_INET, socket.SOCK_STREAM)
    with pytest.raises(AddressRefused):
        destinations.open((*info[:4], ("10.2.0.1", 443)))
