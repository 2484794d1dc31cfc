"""What the name service says of the hosts that the hub connects to, held against `outbound.allow`.

For `gateway check` alone. A hub that starts does not ask: a provider's name that leads elsewhere, or nowhere, is no
reason to refuse everybody, and what counts is where it leads at the moment of connecting (attack R17).
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

from gateway.adapters.destinations import Destinations
from gateway.agreement.register import Register
from gateway.config import ConfigError, Settings
from gateway.exchangelog.quorum import TrustPolicy
from gateway.loading import connected_to, require_allowed
from gateway.reading import Found


def require_names(settings: Settings, register: Register, policy: TrustPolicy | None = None) -> None:
    """Raises StartError with a finding for each host that has no address, or none that is allowed."""
    found, destinations = Found(), Destinations(settings.outbound.allow)
    with ThreadPoolExecutor() as at_once:
        asked = [
            at_once.submit(_require, what, host, destinations)
            for what, host in connected_to(settings, register, policy)
        ]
        for finding in asked:
            found.of(finding.result)
    found.done()


def _require(what: str, host: str, destinations: Destinations) -> None:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            "CFG024",
            f"{what}: the name service has no address for {host}.",
            "Correct the host in the register or the settings, or ask whoever keeps the name.",
        ) from error
    require_allowed(what, sorted({str(address[0]) for *_, address in answers}), destinations)
