"""Which addresses the hub may connect to: those that its settings list, and nothing else.

Asked for the very address of each connection, after its name was resolved: what the name service said a moment
before decides nothing (attack R17).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # of a command that only looks at networks aiohttp would be half of the start
    from aiohttp import AddrInfoType

_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

# What leads to this machine, to its neighbours, to a cloud's metadata, to many or to nobody, also when it is written
# as IPv6. A wider network does not include it: who lists 0.0.0.0/0 has not asked for 169.254.169.254.
_SPECIAL: Final = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "100.100.100.200/32",  # metadata at Alibaba Cloud; at the others it is link-local
        *("::/96", "64:ff9b::/96", "2002::/16", "fe80::/10", "ff00::/8"),
        "fd00:ec2::254/128",  # metadata at AWS
    )
)


class AddressRefused(PermissionError):  # noqa: N818 - a refusal, as in `refusal`
    """The settings do not allow this address. Its text is always the same: nothing of a peer is in it."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "not in outbound.allow")


class Destinations:
    """The networks of `outbound.allow`. Raises ValueError, whose text names the one that is none."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: Final = tuple(ip_network(one) for one in networks)

    def allow(self, address: str) -> bool:
        """Whether this IP address may be connected to. Raises ValueError when it is none."""
        found = _plain(ip_address(address.partition("%")[0]))  # without the interface of a link-local one
        special = next((one for one in _SPECIAL if found in one), None)
        return any(found in one and (special is None or _within(one, special)) for one in self._networks)

    def open(self, info: AddrInfoType) -> socket.socket:
        """A socket for this connection and no other. Raises AddressRefused."""
        family, kind, protocol, _, address = info
        if not self.allow(str(address[0])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)


def _plain(address: _Address) -> _Address:
    """An IPv4 address written as IPv6 is that IPv4 address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _within(network: _Network, special: _Network) -> bool:
    return network.version == special.version and network.subnet_of(special)  # type: ignore[arg-type]  # same version
