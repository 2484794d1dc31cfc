"""Stages of an exchange, and the entries they leave, for tests of the exchange log."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from msgspec import structs

from gateway.exchangelog import entry
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.fields import FieldPlans
from gateway.model import (
    Answer,
    Authority,
    AuthorityId,
    Caller,
    Criteria,
    DossierNumber,
    Enterprise,
    ExchangeId,
    LegalContext,
    Node,
    OperationName,
    Outcome,
    Permitted,
    Refused,
    Released,
    Request,
    Role,
    SoapVersion,
    Ticket,
    Verified,
    View,
)
from gateway.refusal import Code

NOW = datetime(2026, 3, 14, 15, 9, 26, 535_897, UTC)
REVISION = "ab" * 32


def authority(name: str, role: Role, enterprise: Enterprise) -> Authority:
    return Authority(
        AuthorityId(name),
        name.title(),
        role,
        enterprise,
        None,
        f"{name.lower()}.example",
        "rsa-sha256",
        False,
        True,
    )


BRUSSELS = authority("BRUSSELS", Role.REG, Enterprise("0999000110"))
PLATFORM = authority("PLATFORM", Role.PLAT, Enterprise("0999000209", "PLATFORM"))
NSSO = authority("NSSO", Role.NSSO, Enterprise("0999000209", "SOCIAL-SECURITY"))

VERDICTS = {
    "dossier/contact/email": "ROLE",
    "dossier/contact/phone": "ROLE",
    "dossier/header/status": None,
    "dossier/worker/familyName": None,
    "dossier/worker/ssin": None,
    "dossier/workPlace/address/street": "CONTEXT",
}
VIEW = View(Node("dossier", "urn:x", "dossier", None, False, ()), VERDICTS, ("dossier/contact",))
VALUES = {
    "dossier/header/status": ("SUBMITTED",),
    "dossier/worker/familyName": (),
    "dossier/worker/ssin": ("85073003328",),
}
PLANS = FieldPlans()


def exchange_id() -> ExchangeId:
    return ExchangeId(str(uuid.uuid4()))


def permitted(ticket: str = "t1", **change: object) -> Permitted:
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
        OperationName("consultDossier"),
        Ticket(ticket),
        NOW,
        LegalContext("WIB:WORK_DECISION"),
        Criteria(DossierNumber("WIB-2026-0000001-59")),
    )
    return structs.replace(Permitted(request, (PLATFORM,), VIEW, {}, REVISION), **change)


def released(granted: Permitted | None = None, **change: object) -> Released:
    answer = Answer(PLATFORM, Outcome.DATA_FOUND, None, b"signature of the platform")
    usual = Released(granted or permitted(), Outcome.DATA_FOUND, "<s:dossier/>", VALUES, (answer,), ())
    return structs.replace(usual, **change)


def refused(code: Code = Code.DOSSIER_DENIED, **change: object) -> Refused:
    usual = Refused(
        BRUSSELS,
        code.row.code,
        b"signature of Brussels",
        OperationName("consultDossier"),
        LegalContext("WIB:WORK_DECISION"),
        DossierNumber("WIB-2026-0000001-59"),
        REVISION,
    )
    return replace(usual, **change)


def request_entry(ticket: str = "t1", exchange: ExchangeId | None = None) -> Entry:
    return entry.forwarded(permitted(ticket), exchange or exchange_id(), NOW, os.urandom)


def response_entry(exchange: ExchangeId) -> Entry:
    return entry.returned(released(), exchange, NOW, os.urandom, PLANS)


def refusal_entry(exchange: ExchangeId | None = None, code: Code = Code.DOSSIER_DENIED) -> Entry:
    return entry.refused(refused(code), exchange or exchange_id(), NOW, os.urandom)


def exchange_entries(ticket: str) -> list[Entry]:
    """The two commits of one exchange."""
    exchange = exchange_id()
    return [request_entry(ticket, exchange), response_entry(exchange)]
