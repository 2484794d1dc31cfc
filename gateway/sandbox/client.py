"""A reference requester: zeep, from the WSDL that the hub serves to this authority.

It asks as an authority's own software would. `Guise` makes it ask as it should not; `tricks` uses that.
"""
# zeep declares some of its types only:
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import zeep
import zeep.exceptions
import zeep.helpers
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from zeep.transports import Transport

from gateway.model import Authority, AuthorityId, Enterprise
from gateway.sandbox.place import Place
from gateway.sandbox.signature import Clock, MessageSignature, UntrustedReply, now

__all__ = ["Answered", "ExchangeFault", "Guise", "NoReply", "Requester", "Unsendable", "UntrustedReply"]

Alter = Callable[[bytes], bytes]  # what happens to a signed message on its way out
_SECONDS: Final = 60  # for one exchange
# PROTOCOL §11: the fixed form of a fault string, and of a bare refusal, which has no incident.
_FAULT: Final = re.compile(
    r"(?P<code>WIB\d{5}) (?P<label>[a-z-]+)(?: \((?P<about>[^)]*)\))?: (?P<sentence>.*?)"
    r"(?: Remedy: (?P<remedy>.*?) \[incident (?P<incident>[0-9a-f-]{36})\])?\s*",
    re.DOTALL,
)


class ExchangeFault(Exception):  # noqa: N818 - SOAP's own word
    """The hub refused. `incident` is empty for a bare HTTP refusal, before any message was understood."""

    def __init__(self, code: str, label: str, sentence: str, remedy: str = "", incident: str = "") -> None:
        super().__init__(f"{code} {label}: {sentence}")
        self.code = code
        self.label = label
        self.sentence = sentence
        self.remedy = remedy
        self.incident = incident


class Unsendable(Exception):  # noqa: N818 - a state of the question
    """The question does not fit the contract that this authority is served."""


class NoReply(Exception):  # noqa: N818 - a state of the exchange
    """The hub could not be reached, or what answered does not speak SOAP."""


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
    algorithms: tuple[Any, Any] | None = None  # signature and digest; by default those of the profile
    sign_time: bool = True  # the Timestamp is among the signed parts
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
    element: str  # name of the payload, with which the paths in `filtered` begin
    payload: object  # plain dictionaries and lists, None when there is none
    message: bytes


class Requester:
    """One authority's client."""

    def __init__(
        self, place: Place, authority: Authority, guise: Guise | None = None, *, soap12: bool = False
    ) -> None:
        """Fetches the authority's own WSDL. Raises NoReply, ExchangeFault."""
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
            own,
            hub.public_bytes(Encoding.DER),
            algorithms=self._guise.algorithms,
            sign_time=self._guise.sign_time,
            clock=self._guise.clock,
        )
        url = f"{place.settings.listen.public_url}?wsdl"
        with _translated():
            client = zeep.Client(url, wsse=signature, transport=self.transport)
            port = sorted(client.wsdl.services["ExchangeService"].ports)[1 if soap12 else 0]
            self._service = client.bind("ExchangeService", port)

    def close(self) -> None:
        """Close its connections."""
        self.transport.session.close()

    @property
    def operations(self) -> list[str]:
        """Operations in the contract that this authority is served."""
        return sorted(self._service._operations)  # noqa: SLF001 - zeep offers no other list

    def criteria(self, operation: str) -> Mapping[str, bool]:
        """What may be asked with: name of each criterion → whether it must be given."""
        message = self._service._binding._operations[operation].input  # noqa: SLF001 - as above
        criteria = dict(message.body.type.elements)["criteria"].type.elements
        return {name: not element.is_optional for name, element in criteria}

    def ask(
        self, operation: str, legal_context: str, criteria: Mapping[str, str], ticket: str = ""
    ) -> Answered:
        """One exchange. Raises Unsendable, NoReply, ExchangeFault, UntrustedReply."""
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
        element=payload,
        payload=reply[payload],
        message=message,
    )


@contextmanager
def _translated() -> Iterator[None]:
    """The exceptions of zeep and requests as ours."""
    try:
        yield
    except zeep.exceptions.Fault as error:
        raise _fault(str(error.message)) from error
    except zeep.exceptions.TransportError as error:  # no XML, or an HTTP status without it
        raise _fault(bytes(error.content or b"").decode("utf-8", "replace")) from error
    except (
        zeep.exceptions.ValidationError,
        TypeError,
    ) as error:  # zeep's word for an element it does not know
        raise Unsendable(str(error)) from error
    except (requests.RequestException, zeep.exceptions.Error) as error:
        raise NoReply(_reason(error)) from error


def _reason(error: Exception) -> str:
    """In our words: the libraries' are about their own insides."""
    kinds = (  # the first that fits: requests' classes overlap
        (
            requests.exceptions.SSLError,
            "the TLS handshake failed: certificates of another sandbox, or expired",
        ),
        (requests.Timeout, f"nothing within {_SECONDS} s"),
        (requests.ConnectionError, "nobody serves there, or the connection broke off"),
    )
    words = (sentence for kind, sentence in kinds if isinstance(error, kind))
    return next(words, "what came back is not SOAP of the contract")


def _fault(text: str) -> Exception:
    match = _FAULT.fullmatch(text)
    if match is None:
        return NoReply("a fault that is not in the form of the protocol")
    found = match.groupdict(default="")
    about = f" ({found['about']})" if found["about"] else ""
    return ExchangeFault(
        found["code"], found["label"], found["sentence"] + about, found["remedy"], found["incident"]
    )
