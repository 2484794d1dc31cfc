"""What the path needs from the outside world: small protocols that adapters satisfy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.exchangelog.entry import Entry
from gateway.model import (
    Accepted,
    Authority,
    AuthorityId,
    Delivery,
    DossierNumber,
    DossierScope,
    ExchangeId,
    LegalContext,
    OperationName,
    Receipt,
    Ticket,
)
from gateway.policy.rectify import EarlierRelease, Outstanding

Clock = Callable[[], datetime]  # aware, UTC
Random = Callable[[int], bytes]  # cryptographically strong


class Proving(Protocol):
    """What hands over proofs of entries."""

    async def prove(self, receipt: Receipt) -> Receipt:
        """The receipt with what its recipient needs to check the entry. Raises Refusal: LOG_UNAVAILABLE."""
        ...


class ExchangeLog(Proving, Protocol):
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


@dataclass(frozen=True, slots=True)
class Told:
    """An earlier acceptance of the same notification: what its receipt said."""

    exchange: ExchangeId
    received: datetime
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in a mailbox, as its list tells it."""

    message: ExchangeId
    operation: OperationName
    legal_context: LegalContext  # the recipient's
    accepted: datetime
    sender: AuthorityId


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits for one recipient."""

    recipient: AuthorityId
    waiting: int  # deliveries that are not dead
    dead: int
    oldest: datetime  # acceptance of the oldest of them


class Notifications(Proving, Protocol):
    """Taking notifications in."""

    async def told(self, sender: AuthorityId, ticket: Ticket, content: bytes) -> Told | None:
        """The earlier acceptance under this ticket; None when the ticket was not used.

        `content`: SHA-256 of what was told. Raises Refusal: TICKET when the ticket was used for something else,
        LOG_UNAVAILABLE.
        """
        ...

    async def accept(  # noqa: PLR0913, PLR0917 - what one transaction makes durable
        self,
        entry: Entry,
        accepted: Accepted,
        payload: bytes,
        content: bytes,
        received: datetime,
        deliveries: Sequence[ExchangeId],
    ) -> Receipt:
        """Return once all of it is durable, in one transaction: the entry with its replay claim, the dossier's
        scope, the sealed payload, and one delivery for each recipient, in their order.

        Raises Refusal: TICKET (claimed before), DOSSIER_CHANGED (the scope has another version than expected, or
        of what follows the log something was released since), BUSY, LOG_UNAVAILABLE; then nothing of it exists.
        """
        ...


class Queue(Protocol):
    """Deliveries that wait. Several hub processes may drain one queue: a lease is exclusive until it ends."""

    async def lease(
        self, recipients: Collection[AuthorityId], now: datetime, until: datetime, limit: int
    ) -> list[Delivery]:
        """Deliveries to these recipients that are due, each the earliest unsettled one of its dossier and
        recipient, leased until `until`. A dead delivery holds back those after it. Raises Refusal: LOG_UNAVAILABLE.
        """
        ...

    async def record(self, delivery: Delivery, entry: Entry) -> Receipt:
        """Make the release durable before anything leaves.

        Raises Refusal: MESSAGE_UNKNOWN when it was settled meanwhile, BUSY, LOG_UNAVAILABLE.
        """
        ...

    async def recorded(self, delivery: Delivery) -> Receipt | None:
        """Where its release is recorded; None when only fetches are, from when it lay in a mailbox.

        Raises Refusal: LOG_UNAVAILABLE.
        """
        ...

    async def postpone(self, delivery: Delivery, due: datetime, code: str) -> None:
        """An attempt failed with this code: count it, end the lease, try again when due."""
        ...

    async def bury(self, delivery: Delivery, code: str) -> None:
        """Dead: wait for the operator."""
        ...

    async def settle(self, delivery: Delivery, entry: Entry) -> Receipt:
        """End a delivery: its entry and the purge of what only it needed, in one transaction.

        Raises Refusal: MESSAGE_UNKNOWN when it is settled already, BUSY, LOG_UNAVAILABLE.
        """
        ...

    async def parties(self, delivery: ExchangeId) -> tuple[str, str]:
        """Sender and recipient as the entry of the notification names them: the register may have changed since.

        Raises Refusal: LOG_UNAVAILABLE.
        """
        ...

    async def overdue(self, accepted_before: datetime, limit: int) -> list[Delivery]:
        """Deliveries, dead ones too, whose notification was accepted before: to be settled as expired."""
        ...

    async def depth(self) -> Sequence[Depth]:
        """How much waits, for whom, since when."""
        ...


class Archive(Protocol):
    """Earlier revisions of the agreement."""

    async def agreement(self, revision: str) -> Mapping[str, bytes] | None:
        """The files of a revision; None when the store never had it. Raises Refusal: LOG_UNAVAILABLE."""
        ...


class Mailbox(Protocol):
    """Deliveries as their recipient's mailbox."""

    async def waiting(
        self, recipient: AuthorityId, after: ExchangeId | None, limit: int, now: datetime
    ) -> list[Waiting]:
        """What may be fetched now, in order of acceptance.

        Raises Refusal: MESSAGE_UNKNOWN when `after` is none of the recipient's, LOG_UNAVAILABLE.
        """
        ...

    async def take(
        self, recipient: AuthorityId, message: ExchangeId, now: datetime, until: datetime
    ) -> Delivery:
        """Lease one message.

        Raises Refusal: MESSAGE_UNKNOWN (also when it cannot be read, and waits for the operator), MESSAGE_LEASED,
        MESSAGE_ORDER, LOG_UNAVAILABLE.
        """
        ...

    async def find(self, recipient: AuthorityId, message: ExchangeId) -> Delivery | None:
        """A message that is not settled, leased or not; None when it was acknowledged.

        Raises Refusal: MESSAGE_UNKNOWN when it never was this recipient's, ended otherwise, or cannot be read and
        waits for the operator; LOG_UNAVAILABLE.
        """
        ...

    async def record(self, delivery: Delivery, entry: Entry) -> Receipt:
        """As `Queue.record`; a message may be recorded at each fetch."""
        ...

    async def parties(self, delivery: ExchangeId) -> tuple[str, str]:
        """As `Queue.parties`."""
        ...

    async def settle(self, delivery: Delivery, entry: Entry) -> Receipt:
        """As `Queue.settle`."""
        ...


class History(Protocol):
    """What the log knows of a dossier's recipients."""

    async def releases(self, dossier: DossierNumber) -> list[EarlierRelease]:
        """Every release of the dossier's data, oldest first. Raises Refusal: LOG_UNAVAILABLE."""
        ...

    async def outstanding(self, dossier: DossierNumber) -> list[Outstanding]:
        """The dossier's deliveries that are not settled, dead ones too. Raises Refusal: LOG_UNAVAILABLE."""
        ...
