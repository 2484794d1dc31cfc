"""Notifications, their deliveries and the entries they leave, for tests of the log and of the store."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from msgspec import structs

from gateway.adapters.store import Store
from gateway.exchangelog import entry
from gateway.exchangelog.entry import Entry, Settling
from gateway.model import (
    Accepted,
    Authority,
    AuthorityId,
    Caller,
    Criteria,
    Delivery,
    Dispatch,
    DossierNumber,
    DossierScope,
    Enterprise,
    ExchangeId,
    Inscription,
    LegalContext,
    Notification,
    OperationName,
    Receipt,
    Recipient,
    Request,
    Role,
    Settlement,
    SoapVersion,
    Ticket,
    Verified,
)
from tests.exchanges import (
    BRUSSELS,
    NOW,
    NSSO,
    PLANS,
    PLATFORM,
    REVISION,
    VALUES,
    VIEW,
    authority,
    exchange_id,
    permitted,
)

OFFICE = authority("IMMIGRATION_OFFICE", Role.OE, Enterprise("0999000308"))
DOSSIER = DossierNumber("WIB-2026-0000001-59")
OTHER = DossierNumber("WIB-2026-0000002-57")
PARTIES = {one.id: one for one in (BRUSSELS, PLATFORM, NSSO, OFFICE)}
PAYLOAD = b"<d:dossier>of Amina Alaoui</d:dossier>"
HOUR = timedelta(hours=1)
IN_FORCE = "cd" * 32


def scope(dossier: DossierNumber = DOSSIER, status: str = "UNDER_REVIEW", **change: object) -> DossierScope:
    lines = tuple(
        Inscription(one.id, one.role, NOW, None) for one in (PLATFORM, BRUSSELS, OFFICE, NSSO) if one.role
    )
    return replace(DossierScope(dossier, "SINGLE_PERMIT", "FIRST", status, NOW, lines), **change)


def accepted(
    ticket: str = "t1",
    dossier: DossierNumber = DOSSIER,
    recipients: tuple[Authority, ...] = (PLATFORM, OFFICE),
    **change: object,
) -> Accepted:
    verified = Verified(
        SoapVersion.V11,
        b"<soap:Body/>",
        None,
        b"DER",
        b"signature of Brussels",
        NOW,
        None,
        False,
        b"<soap:Envelope/>",
    )
    request = Request(
        Caller(BRUSSELS, verified),
        OperationName("notifyWorkDecision"),
        Ticket(ticket),
        NOW,
        LegalContext("WIB:WORK_DECISION"),
        Criteria(dossier),
    )
    to = tuple(Recipient(one, LegalContext("WIB:FOLLOW_UP")) for one in recipients)
    return replace(Accepted(request, to, scope(dossier), 0, REVISION), **change)


def delivery(**change: object) -> Delivery:
    notification = Notification(
        exchange_id(),
        BRUSSELS.id,
        OperationName("notifyWorkDecision"),
        DOSSIER,
        NOW,
        REVISION,
        "UNDER_REVIEW",
        PAYLOAD,
    )
    usual = Delivery(exchange_id(), notification, PLATFORM.id, LegalContext("WIB:FOLLOW_UP"), 0, False)
    return replace(usual, **change)


def dispatch(of: Delivery) -> Dispatch:
    sender, recipient = PARTIES[of.notification.sender], PARTIES[of.recipient]
    return Dispatch(of, sender, recipient, VIEW, "<d:dossier/>", VALUES, IN_FORCE)


def accepted_entry(taken: Accepted, exchange: ExchangeId | None = None) -> Entry:
    return entry.accepted(taken, exchange or exchange_id(), NOW, os.urandom)


def delivered_entry(of: Delivery, exchange: ExchangeId | None = None) -> Entry:
    return entry.delivered(dispatch(of), exchange or of.id, NOW, os.urandom, PLANS)


def settled_entry(
    of: Delivery,
    settlement: Settlement = Settlement.ACKNOWLEDGED,
    exchange: ExchangeId | None = None,
    **change: object,
) -> Entry:
    signature = b"signature of the recipient" if settlement is Settlement.ACKNOWLEDGED else None
    sender, recipient = PARTIES[of.notification.sender], PARTIES[of.recipient]
    settling = Settling.of(
        of, str(sender.enterprise), str(recipient.enterprise), settlement, IN_FORCE, signature
    )
    return entry.settled(replace(settling, **change), exchange or of.id, NOW, os.urandom)


def call_entry(operation: str, caller: Authority, ticket: str, exchange: ExchangeId) -> Entry:
    """Commit 1 of a call to the mailbox."""
    request = permitted(ticket).request
    request = structs.replace(
        request, caller=structs.replace(request.caller, authority=caller), operation=OperationName(operation)
    )
    return entry.forwarded(permitted(request=request, providers=()), exchange, NOW, os.urandom)


def content(ticket: str) -> bytes:
    return sha256(ticket.encode()).digest()


async def tell(store: Store, taken: Accepted | None = None, **change: object) -> Receipt:
    """Accept a notification, on whatever the directory knows of its dossier."""
    taken = taken or accepted(**change)
    before = await store.scope(taken.scope.dossier)
    taken = replace(taken, expected=0 if before is None else before.version)
    ticket = taken.request.ticket
    names = [exchange_id() for _ in taken.recipients]
    return await store.accept(accepted_entry(taken), taken, PAYLOAD, content(ticket), NOW, names)


async def leased(store: Store, recipient: AuthorityId, at: timedelta = timedelta(), limit: int = 100):
    """What a courier would get at this time, for a minute."""
    now = NOW + at
    return await store.lease([recipient], now, now + timedelta(minutes=1), limit)


async def acknowledge(store: Store, of: Delivery) -> None:
    """Carry a delivery to its end."""
    await store.record(of, delivered_entry(of))
    await store.settle(of, settled_entry(of))
