"""A reference requester: zeep, from the WSDL that the hub serves to this authority.

It asks, tells, and empties its mailbox as an authority's own software would. `Guise` makes it ask as it should
not; `tricks` uses that.
"""
# zeep declares some of its types only:
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests
import zeep
import zeep.exceptions
import zeep.helpers
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from zeep.wsdl import Document

from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.receipt import Proven
from gateway.model import Authority, AuthorityId, Enterprise
from gateway.sandbox import replies
from gateway.sandbox.place import Place
from gateway.sandbox.receipts import Asked, check_reply
from gateway.sandbox.replies import Answered, Heading, Receipted
from gateway.sandbox.signature import Clock, MessageSignature, UnprovenReply, UntrustedReply, now
from gateway.sandbox.wire import (
    SECONDS,
    Alter,
    ExchangeFault,
    NoReply,
    RecordingTransport,
    Unsendable,
    translated,
)
from gateway.soap.xml import Element

__all__ = [
    "Answered",
    "ExchangeFault",
    "Guise",
    "Heading",
    "NoReply",
    "Receipted",
    "Requester",
    "UnprovenReply",
    "Unsendable",
    "UntrustedReply",
]


@dataclass(frozen=True, slots=True)
class Guise:
    """How a requester presents itself; the default is honest."""

    tls: AuthorityId | None = None  # whose TLS certificate it shows
    customer: Enterprise | None = None  # whom the Body names
    algorithms: tuple[Any, Any] | None = None  # signature and digest; by default those of the profile
    sign_time: bool = True  # the Timestamp is among the signed parts
    alter: Alter | None = None
    clock: Clock = field(default=now)


class Requester:
    """One authority's client."""

    def __init__(
        self,
        place: Place,
        authority: Authority,
        guise: Guise | None = None,
        *,
        soap12: bool = False,
        contract: Document | None = None,
    ) -> None:
        """`contract`: the authority's own WSDL, if it was read before; else it is fetched.

        Raises NoReply, ExchangeFault.
        """
        self._guise = guise or Guise()
        self._authority = authority
        self._place = place
        self._signature = self._signing(place)
        self.transport = RecordingTransport(self._session(place), self._guise.alter)
        url = f"{place.settings.listen.public_url}?wsdl"
        with translated():
            client = zeep.Client(contract or url, wsse=self._signature, transport=self.transport)
            port = sorted(client.wsdl.services["ExchangeService"].ports)[1 if soap12 else 0]
            self._service = client.bind("ExchangeService", port)
        self.contract: Document = client.wsdl

    def close(self) -> None:
        """Close its connections."""
        self.transport.session.close()

    @property
    def operations(self) -> list[str]:
        """Operations in the contract that this authority is served."""
        return sorted(self._service._operations)  # noqa: SLF001 - zeep offers no other list

    def criteria(self, operation: str) -> Mapping[str, bool]:
        """What may be asked with: name of each criterion → whether it must be given."""
        criteria = self._elements(operation)["criteria"].type.elements
        return {name: not element.is_optional for name, element in criteria}

    def tells(self, operation: str) -> bool:
        """Is it a notification: does the request end with what is told?"""
        return "dossier" in self._elements(operation)

    def ask(
        self, operation: str, legal_context: str, criteria: Mapping[str, str], ticket: str = ""
    ) -> Answered:
        """One question. Raises Unsendable, NoReply, ExchangeFault, UntrustedReply, UnprovenReply."""
        reply, proven = self._exchange(operation, ticket, legal_context, criteria=dict(criteria))
        return replies.answered(reply, self.transport.received, proven)

    def tell(
        self, operation: str, legal_context: str, dossier: str, payload: Element, ticket: str = ""
    ) -> Receipted:
        """One notification; `payload` is a `dossier` element of the contract. Raises as `ask`."""
        criteria = {"dossierNumber": dossier}
        told = self._value(operation, payload)
        reply, proven = self._exchange(operation, ticket, legal_context, criteria=criteria, dossier=told)
        return replies.receipted(reply, self.transport.received, proven)

    def listed(self, legal_context: str, wait: int = 0) -> list[Heading]:
        """What may be fetched from the authority's mailbox; waits so many seconds for the first. Raises as `ask`."""
        criteria = {"waitSeconds": str(wait)} if wait else {}
        return replies.headings(self.ask("listMessages", legal_context, criteria))

    def fetch(self, message: str, legal_context: str) -> Answered:
        """A message of the mailbox, which stays there until it is acknowledged. Raises as `ask`."""
        return self.ask("fetchMessage", legal_context, {"messageId": message})

    def acknowledge(self, message: str, legal_context: str) -> Answered:
        """The message was taken over, and may be purged. Raises as `ask`."""
        return self.ask("acknowledgeMessage", legal_context, {"messageId": message})

    def log_resource(self, path: str) -> bytes:
        """Of the hub's log, such as a tile; b"" where it gives none. Raises NoReply."""
        with translated():
            url = urljoin(self._place.settings.listen.public_url, f"/log/{path}")
            answer = self.transport.session.get(url, timeout=SECONDS)
        return answer.content if answer.ok else b""

    def _exchange(
        self, operation: str, ticket: str, legal_context: str, **blocks: object
    ) -> tuple[dict[str, Any], Proven | None]:
        """The reply, and its entry in the exchange log, which recorded exactly what came."""
        customer = self._guise.customer or self._authority.enterprise
        identification = {"cbeNumber": customer.cbe} | ({"unit": customer.unit} if customer.unit else {})
        asked = Asked(operation, ticket or str(uuid.uuid4()), str(customer), legal_context)
        header = {
            "ticket": asked.ticket,
            "timestampSent": self._guise.clock(),
            "customerIdentification": identification,
            "proofRequested": True,
        }
        with translated():
            reply = self._service[operation](informationCustomer=header, legalContext=legal_context, **blocks)
        found: dict[str, Any] = zeep.helpers.serialize_object(reply, dict)
        return found, self._proven(asked)

    def _proven(self, asked: Asked) -> Proven | None:
        """Raises UnprovenReply."""
        try:
            return check_reply(asked, self._signature.body, self._place.log_keys())
        except ProofError as error:
            raise UnprovenReply(error) from error

    def _value(self, operation: str, payload: Element) -> object:
        """The payload as zeep's own value of its type. Raises Unsendable for what the contract does not have."""
        try:
            return self._elements(operation)["dossier"].type.parse_xmlelement(payload, self.contract.types)
        except (zeep.exceptions.Error, ValueError) as error:
            raise Unsendable(str(error)) from error

    def _elements(self, operation: str) -> dict[str, Any]:
        message = self._service._binding._operations[operation].input  # noqa: SLF001 - zeep offers no other
        return dict(message.body.type.elements)

    def _session(self, place: Place) -> requests.Session:
        shown = place.identity(self._guise.tls or self._authority.id)
        session = requests.Session()
        session.cert = (str(shown.tls_certificate), str(shown.tls_key))
        session.verify = str(place.anchor)
        session.trust_env = False  # a proxy or a CA bundle of the environment is not what was configured
        return session

    def _signing(self, place: Place) -> MessageSignature:
        hub = load_pem_x509_certificate(place.hub_certificate(self._authority.suite).read_bytes())
        return MessageSignature(
            place.identity(self._authority.id),
            hub.public_bytes(Encoding.DER),
            algorithms=self._guise.algorithms,
            sign_time=self._guise.sign_time,
            clock=self._guise.clock,
        )
