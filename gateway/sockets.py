"""The listening sockets of a hub: one for each worker at the address of SOAP, and one for operations."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

from gateway.config import ConfigError, Listen

_BACKLOG: Final = 512  # connections that the kernel holds ready, of each socket


def bind(listen: Listen, workers: int = 1) -> tuple[Sequence[socket.socket], socket.socket]:
    """Sockets that listen: for SOAP so many at one address, among which the kernel divides the connections
    (socket(7): SO_REUSEPORT); one for operations. Raises ConfigError when an address cannot be had.
    """
    first = _listening(listen.host, listen.port)  # without sharing: nobody else has the address
    soap = [first] if workers == 1 else _shared(listen.host, first, workers)
    return soap, _listening(listen.host, listen.operations_port)


def _shared(host: str, alone: socket.socket, workers: int) -> Sequence[socket.socket]:
    """In the place of a socket that has the address alone, several that share it."""
    port = alone.getsockname()[1]
    alone.close()
    return [_listening(host, port, reuse_port=True) for _ in range(workers)]


def _listening(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=_BACKLOG, reuse_port=reuse_port)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host
        number = (
            error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
        )
        reason = os.strerror(number) if number else "no address of this machine"
        raise ConfigError(
            "CFG013",
            f"listen: {host} port {port}: {reason}.",
            "End what listens there, or correct listen.host and the port in the settings.",
        ) from error
