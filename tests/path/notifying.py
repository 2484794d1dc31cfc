"""Notifications in the hub in memory: tell as an authority, let the queue be drained, look into a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import apsw
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from gateway.adapters.store import LogReader
from gateway.agreement import notices
from gateway.agreement.answer import leaves
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement
from gateway.assembly import deliverer_of
from gateway.broker.event import DeliveryEvent
from gateway.exchangelog.audit import audit
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.note import Signer
from gateway.model import Authority, AuthorityId, Criteria, DossierNumber, DossierScope
from tests.path.hub import (
    DOSSIER,
    SSIN,
    Answered,
    Hub,
    acknowledgement,
    agreement,
    authority,
    pki,
    question,
    register,
    sign_as,
)
from tests.path.payloads import CANARY, elements

Groups = Mapping[str, Mapping[str, str]]
NEW = dossier_number(2026, 3)  # known to nobody
ADMISSIBLE = {"admissibility": {"outcome": "ADMISSIBLE", "date": "2026-03-01"}}
ASKED = {"admissibility": {"outcome": "INFO_REQUESTED", "requested": "CONTRACT", "dueDate": "2026-04-01"}}
GRANTED = {
    "workDecision": {
        "outcome": "GRANTED",
        "date": "2026-03-20",
        "validUntil": "2027-03-20",
        "conditions": f"Work for {CANARY} only.",
    },
    "grounds": {"work": f"{CANARY} meets the conditions."},
}
PERMIT = {
    "residenceFile": {"fileNumber": "8123456"},
    "residenceDecision": {"outcome": "GRANTED", "date": "2026-04-01", "annexType": "ANNEX_46"},
}
DECLARED = {"socialSecurity": {"declared": "true"}}
APPLICATION = {
    "header": {"permitType": "SINGLE_PERMIT", "procedure": "FIRST", "language": "nl"},
    "worker": {"ssin": SSIN, "familyName": CANARY, "givenNames": "Ada", "birthDate": "1990-00-00"},
    "workerCivil": {"birthPlace": "Casablanca"},
    "contact": {"email": "ada@example.org"},
    "travelDocument": {"type": "PASSPORT", "number": "XX1234567", "expiryDate": "2031-05-01"},
    "employer": {"cbeNumber": "0999066643", "name": "Fictitious NV"},
    "salary": {"amount": "4120.50", "period": "MONTH", "currency": "EUR"},
    "workPlace": {"municipality": "21004"},
    "qualification": {"diploma": "Master of fictitious science"},
    "feePayment": {"amount": "358.00"},
    "meansOfSubsistence": {"amount": "2000.00"},
}
LEASE = timedelta(minutes=2)
WORK, RESIDENCE, ADMISSIBILITY = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION", "WIB:ADMISSIBILITY"


def dossier(groups: Groups) -> str:
    """The payload element in canonical form, its parts in the order of the contract."""
    parts = agreement().contract.messages["submitApplication"].payload.children
    ordered = {
        part.name: {
            one.name: groups[part.name][one.name] for one in part.children if one.name in groups[part.name]
        }
        for part in parts
        if part.name in groups
    }
    return f"<s:dossier>{elements(ordered)}</s:dossier>"


def application(**changes: Mapping[str, str]) -> Groups:
    """The good application with fields of some groups added or replaced; {} leaves a group out."""
    names = [name for name in {**APPLICATION, **changes} if changes.get(name) != {}]
    return {name: {**APPLICATION.get(name, {}), **changes.get(name, {})} for name in names}


def told(
    hub: Hub,
    name: str,
    operation: str,
    context: str,
    groups: Groups,
    number: DossierNumber = DOSSIER,
    *,
    filtered: tuple[str, ...] = (),
    payload: str | None = None,
    **change: object,
) -> bytes:
    """The message of a notification, signed by `name`; `payload`: in place of the groups."""
    asked = question(name, operation, context, Criteria(number), hub.now, **change)
    content = (dossier(groups) if groups else "") if payload is None else payload
    return sign_as(name, notices.write_notification(asked, filtered, content), hub.now)


async def tell(hub: Hub, name: str, *args: object, **change: object) -> Answered:
    """Tell as `name`, signed with its own key; arguments as of `told`."""
    return await hub.send(name, told(hub, name, *args, **change))


async def submit(hub: Hub, groups: Groups = APPLICATION, number: DossierNumber = NEW) -> Answered:
    """The notification that opens a dossier."""
    return await tell(hub, "PLATFORM", "submitApplication", ADMISSIBILITY, groups, number)


async def declare(hub: Hub, number: DossierNumber = DOSSIER, **change: object) -> Answered:
    """A notification that leaves the status as it is; two authorities hear of it."""
    return await tell(
        hub, "NSSO", "notifySocialSecurityEvent", "WIB:WORK_DECISION", DECLARED, number, **change
    )


async def drain(hub: Hub, store: object = None, *names: str) -> list[DeliveryEvent]:
    """Deliver what is due to these endpoints, by default to all, until nothing is due any more."""
    endpoints = [AuthorityId(name) for name in names] or [one.id for one in register().authorities]
    deliverer, events = deliverer_of(hub.parts(store)), []
    while found := await hub.store.lease(endpoints, hub.now, hub.now + LEASE, 100):
        for delivery in found:
            events.append(DeliveryEvent(delivery))
            await deliverer.attempt(delivery, events[-1], hub.rules())
    return events


async def mailbox(hub: Hub, name: str, operation: str, context: str, **criteria: object) -> Answered:
    """listMessages, fetchMessage or acknowledgeMessage."""
    return await hub.consult(name, operation, context, Criteria(None, **criteria))


def kinds(hub: Hub) -> list[str]:
    return [str(entry["kind"]) for entry in hub.entries()]


def of_kind(hub: Hub, kind: str) -> list[dict[str, object]]:
    return [entry for entry in hub.entries() if entry["kind"] == kind]


def enterprise(name: str) -> str:
    """As the log writes a party."""
    return str(authority(name).enterprise)


def told_to(hub: Hub, name: str) -> list[notices.Notice]:
    """What an endpoint received, in order."""
    return [notice for recipient, notice in hub.received if recipient == name]


def paths(payload: etree._Element | None, operation: str, terms: Agreement | None = None) -> set[str]:
    """Leaf paths of a payload that somebody received."""
    node = (terms or agreement()).contract.messages[operation].payload
    return set() if payload is None else {leaf.path for leaf, _ in leaves(node, payload)}


def released(hub: Hub, position: int) -> set[str]:
    """Leaf paths that an entry of the log says were released."""
    with LogReader.open(hub.path) as reader:
        return {one.path for one in reader.records(position) if one.digest is not None}


def deliveries(hub: Hub) -> dict[str, set[str]]:
    """Recipient → the paths that the log says it was sent, by its last delivery entry."""
    found = enumerate(hub.entries())
    return {entry["to"][0]: released(hub, n) for n, entry in found if entry["kind"] == "delivery"}


def findings(hub: Hub) -> set[Flaw]:
    """What an officer who checks the whole log finds."""
    verifier = Signer.of("test.example/log", load_pem_private_key(pki()["HUB/log.key.pem"], None)).verifier
    parties = {one.id: str(one.enterprise) for one in register().authorities}
    with LogReader.open(hub.path) as reader:
        return {finding.flaw for finding in audit(reader, reader.head(), [verifier], parties=parties)}


def enrol(hub: Hub, change: Callable[[Authority], Authority | None]) -> None:
    """The register with each line changed; None takes it out."""
    lines = tuple(line for line in map(change, register().authorities) if line is not None)
    changed = replace(
        register(),
        authorities=lines,
        by_id={one.id: one for one in lines},
        _by_enterprise={one.enterprise: one for one in lines},
    )
    hub.rules_change = lambda rules: replace(rules, register=changed)


def rows(hub: Hub, sql: str, *bindings: object) -> list[tuple]:
    return apsw.Connection(str(hub.path), flags=apsw.SQLITE_OPEN_READONLY).execute(sql, bindings).fetchall()


def states(hub: Hub) -> list[tuple[str, str]]:
    """Recipient and state of each delivery, in the order of acceptance."""
    return rows(hub, "SELECT recipient, state FROM deliveries ORDER BY position")


async def scope(hub: Hub, number: DossierNumber = DOSSIER) -> DossierScope:
    found = await hub.store.scope(number)
    assert found is not None
    return found


async def taking_part(hub: Hub, number: DossierNumber = DOSSIER) -> set[str]:
    """Whose part in the dossier has not ended."""
    return {str(one.authority) for one in (await scope(hub, number)).inscriptions if one.until is None}


class Changing:
    """Stands before the store: a call of this name is made by the function that is given the real one."""

    def __init__(self, hub: Hub, **calls: object):
        self._hub, self._calls = hub, calls

    def __getattr__(self, name: str) -> object:
        real = getattr(self._hub.store, name)
        return (lambda *args: self._calls[name](real, *args)) if name in self._calls else real


class Failing:
    """A recipient that fails so many times in some way, and is honest then."""

    def __init__(self, times: int, how: object):
        self.left, self.how = times, how

    def __call__(self, hub: Hub, recipient: Authority, notice: notices.Notice) -> bytes:
        self.left -= 1
        if self.left >= 0:
            return self.how(hub, recipient, notice)
        return sign_as(recipient.id, acknowledgement(notice.question), hub.now)
