"""A reference requester: zeep, from the WSDL that the hub serves, with the signature that the hub wants.

What an authority's developers need is `MessageSignature`: zeep signs neither a Timestamp of its own nor
addressing, and would verify replies with the client's own certificate. Everything else is plain zeep.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import requests
import xmlsec
import zeep
import zeep.exceptions
from cryptography.x509 import load_pem_x509_certificate
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from zeep.transports import Transport
from zeep.utils import detect_soap_env
from zeep.wsse.signature import BinarySignature
from zeep.wsse.utils import ensure_id, get_security_header

from gateway.model import Authority, AuthorityId, Enterprise
from gateway.refusal import Refusal
from gateway.sandbox.place import Identity, Place
from gateway.soap import names
from gateway.soap.envelope import read
from gateway.soap.xml import Element, Limits
from gateway.wss import times
from gateway.wss.profile import Window
from gateway.wss.verify import verify

Clock = Callable[[], datetime]
Alter = Callable[[bytes], bytes]  # what happens to a signed message on its way out
_SECONDS: Final = 60  # for one exchange
# PROTOCOL §11: the fixed form of a fault string, and of a bare refusal, which has no incident.
_FAULT: Final = re.compile(
    r"(?P<code>WIB\d{5}) (?P<label>[a-z-]+)(?: \((?P<about>[^)]*)\))?: (?P<sentence>.*?)"
    r"(?: Remedy: (?P<remedy>.*?) \[incident (?P<incident>[0-9a-f-]{36})\])?\s*",
    re.DOTALL,
)


def now() -> datetime:
    return datetime.now(UTC)


class ExchangeFault(Exception):  # noqa: N818 - SOAP's own word
    """The hub refused. `incident` is empty for a bare HTTP refusal, before any message was understood."""

    def __init__(self, code: str, label: str, sentence: str, remedy: str = "", incident: str = "") -> None:
        super().__init__(f"{code} {label}: {sentence}")
        self.code = code
        self.label = label
        self.sentence = sentence
        self.remedy = remedy
        self.incident = incident


class UntrustedReply(Exception):  # noqa: N818 - a state of the reply
    """What came back is not what the hub signed, or did not come at all: nothing in it may be used."""


class MessageSignature(BinarySignature):
    """Signs Body, Timestamp and addressing; accepts replies of the pinned hub alone.

    Over zeep's own class: a Timestamp, more signed parts, ECDSA, and another party's certificate to verify
    with. `algorithms`: signature and digest, by default what the profile wants of the key.
    """

    def __init__(
        self,
        identity: Identity,
        hub_certificate: bytes,
        *,
        algorithms: tuple[Any, Any] | None = None,
        clock: Clock = now,
    ) -> None:
        rsa = "RSA" in type(load_pem_x509_certificate(identity.sign_certificate.read_bytes()).public_key()).__name__
        usual = xmlsec.Transform.RSA_SHA256 if rsa else xmlsec.Transform.ECDSA_SHA256
        method, digest = algorithms or (usual, xmlsec.Transform.SHA256)
        super().__init__(str(identity.sign_key), str(identity.sign_certificate), None, method, digest)
        self._hub = hub_certificate
        self._clock = clock

    def apply(self, envelope: Element, headers: dict[str, str]) -> tuple[Element, dict[str, str]]:
        """The envelope with its security header. Whatever is signed must stand in it already."""
        security = get_security_header(envelope)
        security.append(_timestamp(self._clock()))
        token = etree.SubElement(security, names.TOKEN, EncodingType=names.BASE64, ValueType=names.X509V3)
        token.text = "".join(self.cert_data.decode().split("-----")[2].split())
        signature = xmlsec.template.create(envelope, xmlsec.Transform.EXCL_C14N, self.signature_method)
        security.append(signature)
        reference = etree.SubElement(xmlsec.template.ensure_key_info(signature), names.TOKEN_REFERENCE)
        uri = f"#{ensure_id(token)}"
        etree.SubElement(reference, names.TOKEN_DIRECT, URI=uri, ValueType=names.X509V3)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(self.key_data, xmlsec.KeyFormat.PEM, None)
        for part in _parts(envelope, security):
            context.register_id(part, "Id", names.WSU)
            uri = f"#{ensure_id(part)}"
            one = xmlsec.template.add_reference(signature, self.digest_method, uri=uri)
            xmlsec.template.add_transform(one, xmlsec.Transform.EXCL_C14N)
        context.sign(signature)
        return envelope, headers

    def verify(self, envelope: Element) -> Element:
        """Raises UntrustedReply. zeep would only ask whether some signature of its own key is there."""
        try:
            verified = verify(read(etree.tostring(envelope), Limits()), Window(), self._clock())
        except Refusal as refusal:
            raise UntrustedReply(str(refusal)) from refusal
        if verified.certificate != self._hub:
            raise UntrustedReply("signed with another certificate than the pinned one of the hub")
        return envelope


def _timestamp(moment: datetime) -> Element:
    timestamp = etree.Element(names.TIMESTAMP, nsmap={"wsu": names.WSU})
    etree.SubElement(timestamp, names.CREATED).text = times.write(moment)
    etree.SubElement(timestamp, names.EXPIRES).text = times.write(moment + timedelta(minutes=5))
    return timestamp


def _parts(envelope: Element, security: Element) -> list[Element]:
    """Body, Timestamp, and every WS-Addressing header."""
    version = detect_soap_env(envelope)
    body, header = envelope.find(f"{{{version}}}Body"), envelope.find(f"{{{version}}}Header")
    timestamp = security.find(names.TIMESTAMP)
    assert body is not None
    assert header is not None
    assert timestamp is not None
    return [body, timestamp, *(block for block in header if str(block.tag).startswith(f"{{{names.WSA}}}"))]


class RecordingTransport(Transport):
    """zeep's transport, which keeps what went over the wire and may alter what leaves."""

    def __init__(self, session: requests.Session, alter: Alter | None) -> None:
        super().__init__(session=session, timeout=_SECONDS, operation_timeout=_SECONDS)
        self.sent = b""
        self.received = b""
        self._alter = alter

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        self.sent = message if self._alter is None else self._alter(message)
        response: requests.Response = super().post(address, self.sent, headers)
        self.received = response.content
        return response


@dataclass(frozen=True, slots=True)
class Guise:
    """How a requester presents itself; the default is honest."""

    tls: AuthorityId | None = None  # whose TLS certificate it shows
    customer: Enterprise | None = None  # whom the Body names
    algorithms: tuple[Any, Any] | None = None
    alter: Alter | None = None
    clock: Clock = field(default=now)


@dataclass(frozen=True, slots=True)
class Answered:
    """A verified reply."""

    outcome: str
    code: str
    description: str
    missing: tuple[str, ...]  # sources that did not answer
    filtered: tuple[str, ...]  # what the hub declares as withheld
    exchange: str
    log_index: int
    payload: object  # plain dictionaries and lists, None when there is none
    message: bytes


class Requester:
    """One authority's client."""

    def __init__(self, place: Place, authority: Authority, guise: Guise | None = None, *, soap12: bool = False) -> None:
        """Fetches the authority's own WSDL. Raises UntrustedReply, ExchangeFault."""
        self._guise = guise or Guise()
        self._authority = authority
        own, shown = place.identity(authority.id), place.identity(self._guise.tls or authority.id)
        session = requests.Session()
        session.cert = (str(shown.tls_certificate), str(shown.tls_key))
        session.verify = str(place.anchor)
        session.trust_env = False  # a proxy or a CA bundle of the environment is not what was configured
        self.transport = RecordingTransport(session, self._guise.alter)
        hub = load_pem_x509_certificate(place.hub_certificate(authority.suite).read_bytes())
        signature = MessageSignature(
            own, hub.public_bytes(Encoding.DER), algorithms=self._guise.algorithms, clock=self._guise.clock
        )
        url = f"{place.settings.listen.public_url}?wsdl"
        with _translated():
            client = zeep.Client(url, wsse=signature, transport=self.transport)
            port = sorted(client.wsdl.services["ExchangeService"].ports)[1 if soap12 else 0]
            self._service = client.bind("ExchangeService", port)

    @property
    def operations(self) -> list[str]:
        """Operations in the contract that this authority is served."""
        return sorted(self._service._operations)  # noqa: SLF001 - zeep offers no other list

    def ask(self, operation: str, legal_context: str, criteria: Mapping[str, str], ticket: str = "") -> Answered:
        """One exchange. Raises ExchangeFault for a refusal, UntrustedReply for what the hub did not sign."""
        customer = self._guise.customer or self._authority.enterprise
        identification = {"cbeNumber": customer.cbe} | ({"unit": customer.unit} if customer.unit else {})
        header = {
            "ticket": ticket or str(uuid.uuid4()),
            "timestampSent": self._guise.clock(),
            "customerIdentification": identification,
        }
        with _translated():
            reply = self._service[operation](
                informationCustomer=header, legalContext=legal_context, criteria=dict(criteria)
            )
        return _answered(zeep.helpers.serialize_object(reply, dict), self.transport.received)


def _answered(reply: dict[str, Any], message: bytes) -> Answered:
    status, gateway = reply["status"], reply["informationGateway"]
    information = status.get("information") or []
    payload = list(reply)[-1]  # the contract: the last element of a response
    filters = reply.get("dataFilters") or {}
    return Answered(
        outcome=status["value"],
        code=status["code"],
        description=status["description"],
        missing=tuple(one["fieldValue"] for one in information if one["fieldName"] == "MISSING_SOURCE"),
        filtered=tuple(filters.get("filteredElement") or ()),
        exchange=gateway["ticketGateway"],
        log_index=gateway["log"]["index"],
        payload=reply[payload],
        message=message,
    )
