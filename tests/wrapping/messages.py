"""For every operation of the compiled agreement: a signed request and, where somebody else answers, a signed answer.

Nothing here names an operation. One that is added to the agreement is attacked from then on, or fails here because
its criteria have a name for which SAMPLES has no value.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from lxml import etree

from gateway.agreement import blocks, messages, notices
from gateway.agreement.schema import NOTHING, leaves
from gateway.agreement.terms import Operation
from gateway.model import (
    PREFIX,
    SERVICE,
    Acknowledgement,
    Authority,
    Criteria,
    LegalContext,
    Node,
    Outcome,
    Role,
    SoapVersion,
    Ticket,
)
from gateway.refusal import Code, Refusal
from gateway.soap.xml import parse_verified
from gateway.wss import times
from tests import world
from tests.path.hub import DOSSIER, NOW, SSIN, URL, agreement, authority, pki, register
from tests.path.payloads import DIGEST, DOCUMENT
from tests.world import MORE, Draft, Holder, wsa

GOOD, EVIL = Ticket("the-ticket-that-was-signed"), Ticket("the-ticket-of-the-attacker")
MESSAGE_ID = "urn:uuid:0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c"
_UUID = "0190a2c4-5b6d-7e8f-9a0b-1c2d3e4f5061"
_REGION = "BRUSSELS"
SAMPLES = {  # element of a criteria block or of a document → a value of its type
    "dossierNumber": DOSSIER, "operation": "consultDossier", "ssin": SSIN, "periodStart": "2026-01-01",
    "periodEnd": "2026-03-31", "documentReference": "scan-1", "documentSha256": DIGEST, "echo": "hello",
    "messageId": _UUID, "after": _UUID, "waitSeconds": "0", "reference": "scan-1", "sha256": DIGEST,
    "content": base64.b64encode(DOCUMENT).decode(), "region": _REGION, "hit": "true",
}  # fmt: skip
_PLAUSIBLE = (
    "true",
    "2026-03-01",
    "1000",
    "A",
    "AA",
    "0999066643",
    SSIN,
)  # one of them is a value of most types


@dataclass(frozen=True)
class Shape:
    """How a client writes its message."""

    version: SoapVersion
    order: tuple[str, ...]  # the children of wsse:Security
    addressed: bool  # with WS-Addressing, signed, and the token signed besides

    def __str__(self) -> str:
        addressed = ", addressing and token signed" if self.addressed else ""
        return f"SOAP {self.version.name[1]}.{self.version.name[2]}, {'-'.join(self.order)}{addressed}"


_ORDERS = (  # zeep's, WSS4J's, and the one in which everything is declared before it is used
    ("signature", "token", "time"),
    ("time", "signature", "token"),
    ("token", "time", "signature"),
)
SHAPES = tuple(
    Shape(version, _ORDERS[(index + addressed) % 3], addressed)
    for index, version in enumerate(SoapVersion)
    for addressed in (False, True)
)


@dataclass(frozen=True)
class Message:
    """What an honest party signs: its Body's element, and who it is."""

    name: str
    action: str
    signer: Authority
    content: str

    def lying(self, name: str) -> Message:
        """The same with another ticket, by another signer."""
        return replace(self, signer=authority(name), content=self.content.replace(GOOD, EVIL))

    def sign(self, shape: Shape, now: datetime = NOW) -> bytes:
        """As a client's xmlsec signs it."""
        blocks = self._blocks() if shape.addressed else ""
        signed = ("body", "time", "action", "id", "to", "token") if shape.addressed else ("body", "time")
        return world.sign(replace(self._draft(shape, now), blocks=blocks, signed=signed))

    def _draft(self, shape: Shape, now: datetime) -> Draft:
        return Draft(
            version=shape.version,
            content=self.content,
            order=shape.order,
            holder=holder(self.signer.id),
            method=f"{MORE}ecdsa-sha256",
            created=times.write(now),
            expires=times.write(now + timedelta(minutes=5)),
        )

    def _blocks(self) -> str:
        return (
            wsa("Action", self.action, "action") + wsa("MessageID", MESSAGE_ID, "id") + wsa("To", URL, "to")
        )


@cache
def holder(name: str) -> Holder:
    """The enrolled signing key of an authority."""
    key = load_pem_private_key(pki()[f"{name}/sign.key.pem"], None)
    return Holder(key, load_pem_x509_certificate(pki()[f"{name}/sign.crt.pem"]))


@cache
def requests() -> tuple[Message, ...]:
    """One for each operation."""
    return tuple(map(_request, agreement().operations.values()))


@cache
def answers() -> tuple[Message, ...]:
    """One for each operation that a provider answers, or a recipient acknowledges."""
    return tuple(_answer(one) for one in agreement().operations.values() if _answering(one))


def _answering(operation: Operation) -> tuple[Role, ...]:
    return tuple(operation.recipients) or operation.providers


def _request(operation: Operation) -> Message:
    role = next(iter(operation.requesters))
    asked = question(operation, role)
    node = agreement().contract.messages[operation.name]
    payload = (
        _payload(node.payload, operation, role, lambda one: _told(asked, one)) if node.notification else ""
    )
    return Message(operation.name, f"{SERVICE}/{operation.name}", _authority(role), _told(asked, payload))


def _answer(operation: Operation) -> Message:
    role = _answering(operation)[0]
    asked = question(operation, next(iter(operation.requesters)))
    node = agreement().contract.messages[operation.name]
    if node.notification:
        content = notices.write_acknowledgement(asked, "", Acknowledgement.OK)
    else:
        payload = _payload(node.payload, operation, role, lambda one: _answered(asked, one))
        content = _answered(asked, payload)
    return Message(f"{operation.name}Response", f"{SERVICE}/{operation.name}", _authority(role), content)


def question(operation: Operation, role: Role, ticket: Ticket = GOOD) -> messages.Question:
    """What the first authority of a role may ask or tell, in the first context in which it may."""
    customer = messages.Customer(ticket, NOW, _authority(role).enterprise)
    context = LegalContext(min(operation.requesters[role]))
    return messages.Question(operation.name, customer, None, context, _criteria(operation))


def _authority(role: Role) -> Authority:
    found = (one for one in register().authorities if one.role is role and one.region in {None, _REGION})
    return authority(next(found).id)


def _criteria(operation: Operation) -> Criteria:
    node = agreement().contract.messages[operation.name].request
    (block,) = (child for child in node.children if child.name == "criteria")
    values = "".join(f"<s:{one.name}>{_sample(one)}</s:{one.name}>" for one in block.children)
    element = parse_verified(f'<s:criteria xmlns:s="{SERVICE}">{values}</s:criteria>'.encode())
    return blocks.read_criteria(element)


def _sample(leaf: Node) -> str:
    values = agreement().contract.values.get(leaf.path)
    return min(values) if values else SAMPLES[leaf.name]


def _told(asked: messages.Question, payload: str) -> str:
    return notices.write_notification(asked, (), payload)


def _answered(asked: messages.Question, payload: str) -> str:
    return messages.write_reply(asked, "", messages.answered(Outcome.DATA_FOUND, ()), (), payload)


def _payload(payload: Node, operation: Operation, role: Role, around: Callable[[str], str]) -> str:
    """A payload of the operation that the role may write, as short as possible."""
    assert payload is not NOTHING
    for content in _payloads(payload, agreement().provided(role, operation.name)):
        try:
            agreement().contract.validate(parse_verified(around(content).encode()), Code.SCHEMA)
        except Refusal:
            continue
        return content
    raise AssertionError(f"no value in SAMPLES for what {operation.name} tells")


def _payloads(payload: Node, may: frozenset[str]) -> Iterator[str]:
    """With one leaf each; where the contract demands all of them, with all."""
    if all(leaf.name in SAMPLES or leaf.path in agreement().contract.values for leaf in leaves(payload)):
        yield written(payload, _sample)
    for leaf in leaves(payload):
        if leaf.field in may:
            known = sorted(agreement().contract.values.get(leaf.path, ())) or _PLAUSIBLE
            for value in known:
                yield written(payload, lambda one, leaf=leaf, value=value: value if one is leaf else "")


def written(node: Node, value: Callable[[Node], str], inherited: str = "s") -> str:
    prefix = PREFIX[node.namespace]
    children = [written(child, value, inherited + prefix) for child in node.children]
    content = "".join(children) if node.children else value(node)
    declared = "" if prefix in inherited else f' xmlns:{prefix}="{node.namespace}"'
    return f"<{prefix}:{node.name}{declared}>{content}</{prefix}:{node.name}>" if content else ""


def ticket_of(body: etree._Element) -> str:
    """What an application reads first of a message."""
    return body.findtext("{*}*/{*}informationCustomer/{*}ticket") or ""
