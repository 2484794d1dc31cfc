"""What the path needs from the outside world: small protocols that adapters satisfy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from gateway.exchangelog.entry import Entry
from gateway.model import Authority, DossierNumber, DossierScope, Receipt

Clock = Callable[[], datetime]  # aware, UTC
Random = Callable[[int], bytes]  # cryptographically strong


class ExchangeLog(Protocol):
    """The append-only exchange log."""

    async def append(self, entry: Entry) -> Receipt:
        """Return once the entry is durable, in the tree and under a signed checkpoint.

        Raises Refusal: TICKET (claimed before by the same authority), BUSY, LOG_UNAVAILABLE.
        """
        ...


class Directory(Protocol):
    """The dossier directory: row scope, no content."""

    async def scope(self, dossier: DossierNumber) -> DossierScope | None:
        """Raises Refusal: LOG_UNAVAILABLE."""
        ...


class Spokes(Protocol):
    """The providers' endpoints."""

    async def ask(self, provider: Authority, message: bytes, action: str) -> bytes:
        """Return the bytes that the provider answered over a TLS connection to that very authority.

        Raises Refusal: PROVIDER_UNREACHABLE, PROVIDER_TIMEOUT, PROVIDER_HTTP, PROVIDER_IDENTITY.
        """
        ...
