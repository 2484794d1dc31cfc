"""Vocabulary: roles, identifiers, and the stage types that an exchange passes through.

Every type here is a plain frozen value; those that each exchange makes anew are structs, which are made ten times
as fast as frozen dataclasses. Each stage type is constructed in exactly one module (named in
its docstring), so that holding one is proof that its check was made; `tests/test_stages.py` enforces it.
Rules live elsewhere: this module decides nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Literal, NewType

import msgspec

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# Distinct types for what must not be swapped.
AuthorityId = NewType("AuthorityId", str)  # the register's key, e.g. "BRUSSELS"
ExchangeId = NewType("ExchangeId", str)  # UUID given by the hub: `ticketGateway`
Ticket = NewType("Ticket", str)  # given by the caller, unique per authority: the replay key
DossierNumber = NewType("DossierNumber", str)  # "WIB-2026-0000001-59"
LegalContext = NewType("LegalContext", str)  # "WIB:WORK_DECISION"
OperationName = NewType("OperationName", str)  # "consultDossier"
FieldId = NewType("FieldId", str)  # field group, dot, field: "G08.number"

PATH = "/soap/v1"  # of the service (PROTOCOL §2.2)
SERVICE = "http://workinginbelgium.be/intf/ExchangeService/v1"
COMMON = "http://workinginbelgium.be/types/Common/v1"
DOSSIER = "http://workinginbelgium.be/types/Dossier/v1"
MARKS = "http://workinginbelgium.be/types/Agreement/v1"
PREFIX: Mapping[str, str] = {SERVICE: "s", COMMON: "c", DOSSIER: "d"}


class Role(StrEnum):
    """Capacity (KSZ: hoedanigheid) in which an authority acts; columns of the permitted-view matrix."""

    PLAT = "PLAT"  # platform: front office, speaks for the applicant
    REG = "REG"  # competent region or German-speaking Community
    OE = "OE"  # Immigration Office
    CONS = "CONS"  # consular post
    MUN = "MUN"  # municipality
    NSSO = "NSSO"  # social security, kept apart from the platform


class SoapVersion(Enum):
    """SOAP version of a message; a reply is in its request's version."""

    V11 = "http://schemas.xmlsoap.org/soap/envelope/"
    V12 = "http://www.w3.org/2003/05/soap-envelope"


class Outcome(StrEnum):
    """KSZ `status/value` of a reply."""

    DATA_FOUND = "DATA_FOUND"
    NO_DATA_FOUND = "NO_DATA_FOUND"
    NO_RESULT = "NO_RESULT"


class Acknowledgement(StrEnum):
    """KSZ `status/value` of the answer to a notification."""

    OK = "OK"
    NOK = "NOK"  # the recipient could not take it; the gateway tries again


class Pattern(StrEnum):
    """How an operation is exchanged."""

    CONSULT = "consult"  # question, answer
    NOTIFY = "notify"  # store and forward
    MAILBOX = "mailbox"  # what waits for a recipient without an endpoint
    UPLOAD = "upload"  # a document that the hub keeps for its provider


class Settlement(StrEnum):
    """How a delivery ended. In every case its payload is purged."""

    ACKNOWLEDGED = "acknowledged"  # by the recipient's signature
    LAPSED = "lapsed"  # the recipient's part in the dossier ended before it was delivered
    EXPIRED = "expired"  # the cap on stored messages (agreement, `payload_days`)
    DROPPED = "dropped"  # by the operator, with a reason


class Enterprise(msgspec.Struct, frozen=True):
    """Legal identity: KBO/CBE number and, where one legal person plays two parts, the unit."""

    cbe: str  # ten digits
    unit: str | None = None  # subject's organizationalUnitName, e.g. "PLATFORM"

    def __str__(self) -> str:
        return self.cbe if self.unit is None else f"{self.cbe}/{self.unit}"

    @classmethod
    def parse(cls, text: str) -> Enterprise:
        """The other way round."""
        cbe, _, unit = text.partition("/")
        return cls(cbe, unit or None)


@dataclass(frozen=True, slots=True)
class Quota:
    """How often an authority may send a message: a bucket of `burst` that fills again by `per_second`."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Authority:
    """One line of the register of authorities. `role` is None for the hub itself."""

    id: AuthorityId
    name: str
    role: Role | None
    enterprise: Enterprise
    endpoint: str | None  # URL of its provider service, None if it only asks
    tls_name: str  # DNS name that its TLS certificate must carry
    suite: str  # signature suite of replies to it: "rsa-sha256" or "ecdsa-sha256"
    signed_addressing: bool  # WS-Addressing headers must be signed
    active: bool  # False: suspended, refused at once
    region: str | None = None  # REG: the region's code; MUN: its region
    nis: str | None = None  # MUN: NIS code of the municipality
    post: str | None = None  # CONS: code of the post
    revocation: Literal["hard", "soft"] = "hard"  # soft: what ran out counts for a while (PROTOCOL §5.1)
    quota: Quota | None = None  # its own, in place of its role's


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: a node is its place
class Node:
    """One element of the contract at its place in a message: the compiled form of an `xs:element`."""

    name: str
    namespace: str
    path: str  # from the payload down, "dossier/travelDocument/number"
    field: FieldId | None  # None: structural
    repeated: bool
    children: tuple[Node, ...]  # empty: carries text
    leaves: tuple[Node, ...] = dataclasses.field(
        init=False, repr=False
    )  # what carries text, in the order of the schema

    def __post_init__(self) -> None:
        inner = tuple(leaf for child in self.children for leaf in child.leaves)
        object.__setattr__(self, "leaves", inner if self.children else (self,))


class Addressing(msgspec.Struct, frozen=True):
    """WS-Addressing headers of a request: consistent with Body and endpoint, trusted for nothing but RelatesTo."""

    message_id: str | None
    action: str | None
    to: str | None


class Envelope(msgspec.Struct, frozen=True):
    """A well-formed, bounded SOAP message with the profile's skeleton. Made by `soap.envelope` only.

    Nothing in it is trusted: only `wss.verify` may read it.
    """

    version: SoapVersion
    header: Element
    body: Element
    security: Element
    addressing: Addressing | None
    data: bytes  # as received


class Verified(msgspec.Struct, frozen=True):
    """The bytes that were signed and the key that signed them. Made by `wss.verify` only."""

    version: SoapVersion
    body: bytes  # exclusive C14N of soap:Body, exactly the bytes that were digested
    element: Element  # the very element that those bytes are of; its tree is not to be searched
    certificate: bytes  # DER of the token that verified
    signature: bytes  # SignatureValue
    created: datetime
    addressing: Addressing | None
    addressing_signed: bool
    message: bytes = b""  # as received, but for what was attached: it is kept as evidence


class Caller(msgspec.Struct, frozen=True):
    """An authority whose TLS and signing certificates agree. Made by `identity.authority` only."""

    authority: Authority
    verified: Verified


class Criteria(msgspec.Struct, frozen=True):
    """What is asked about. Every member is a schema-valid identifier with correct check digits."""

    dossier: DossierNumber | None
    source: Role | None = None  # the role whose file is consulted
    ssin: str | None = None
    document_reference: str | None = None
    document_type: str | None = None
    document_sha256: str | None = None  # 64 lower-case hexadecimal digits
    echo: str | None = None
    operation: OperationName | None = None  # checkAccessControl: the operation asked about
    period_start: str | None = None
    period_end: str | None = None
    message: ExchangeId | None = None  # mailbox: the message to fetch or acknowledge
    after: ExchangeId | None = None  # mailbox: list what follows this message
    wait_seconds: int = 0  # mailbox: how long to wait while there is nothing


class Request(msgspec.Struct, frozen=True):
    """A known operation with a schema-valid Body and a complete header. Made by `agreement.admit` only."""

    caller: Caller
    operation: OperationName
    ticket: Ticket
    timestamp_sent: datetime
    legal_context: LegalContext
    criteria: Criteria
    payload: Element | None = None  # of a notification: what is told
    proof: bool = False  # its sender asks for the proof of the entry


@dataclass(frozen=True, slots=True)
class Inscription:
    """One line of the dossier directory: an authority plays a role in a dossier from `since` until `until`."""

    authority: AuthorityId
    role: Role
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class DossierScope:
    """What the dossier directory knows of one dossier; no content. `status` is a machine state."""

    dossier: DossierNumber
    permit_type: str
    procedure: str
    status: str
    status_since: datetime
    inscriptions: tuple[Inscription, ...]
    person: bytes | None = None  # keyed digest of the worker's INSZ; None: bound to nobody
    resumes: str | None = None  # in a status that interrupts (INFO_REQUESTED): the status that it interrupted
    version: int = 0  # counts the changes: who changes the scope says which one it read


@dataclass(frozen=True, slots=True)
class Passage:
    """One status that a dossier has passed through, or is in."""

    status: str
    since: datetime
    operation: OperationName | None  # the notification that brought it there; None: by hand


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: one object per compiled view
class View:
    """The permitted view of one exchange, a function of the agreement alone, never of the data.

    `verdicts` partitions the leaf paths of the operation's payload, sorted by path: a path maps to None
    when it is released, else to the reason code for which it is withheld.
    """

    payload: Node
    verdicts: Mapping[str, str | None]
    filtered: tuple[str, ...]  # declared to the requester: KSZ filteredElement


class Permitted(msgspec.Struct, frozen=True):
    """A request that the agreement grants. Made by `policy.decide` only."""

    request: Request
    providers: tuple[Authority, ...]  # empty: the hub itself answers
    view: View
    provided: Mapping[AuthorityId, frozenset[FieldId]]  # what each provider may write
    revision: str  # hash of the agreement revision, hexadecimal


@dataclass(frozen=True, slots=True)
class Recipient:
    """An authority that a notification goes to, and the legal context under which it receives."""

    authority: Authority
    legal_context: LegalContext


@dataclass(frozen=True, slots=True)
class Accepted:
    """A notification that the agreement lets in. Made by `policy.notify` only."""

    request: Request
    recipients: tuple[Recipient, ...]
    scope: DossierScope  # the dossier as the notification leaves it
    expected: int  # version of the scope that was decided on; 0: the dossier is opened
    revision: str
    newest: int | None = None  # what follows the log: index of the newest release it saw; -1: it saw none


@dataclass(frozen=True, slots=True)
class Notification:
    """An accepted notification as it waits in the queue. `payload`: exclusive C14N of what was told."""

    exchange: ExchangeId  # given when it was accepted
    sender: AuthorityId
    operation: OperationName
    dossier: DossierNumber
    accepted: datetime
    revision: str  # of the agreement in force at acceptance
    status: str  # of the dossier after it
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification on its way to one recipient."""

    id: ExchangeId  # messageId of the mailbox; ticket of the message to an endpoint
    notification: Notification
    recipient: AuthorityId
    legal_context: LegalContext  # the recipient's
    attempts: int  # made so far; of a mailbox: fetches
    recorded: bool  # its release is an entry of the log already
    fetched: bool = False  # by its mailbox's owner, so that it may be acknowledged


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What of a notification one recipient receives. Made by `policy.dispatch` only."""

    delivery: Delivery
    sender: Authority
    recipient: Authority
    view: View
    payload: str  # exclusive C14N of the payload element; "" when nothing of it may be released
    values: Mapping[str, tuple[str, ...]]  # every released leaf path → its texts in order
    in_force: str  # revision of the agreement in force at delivery


class Answer(msgspec.Struct, frozen=True):
    """A provider's verified, schema-valid answer to this very question. Made by `agreement.answer` only."""

    provider: Authority
    outcome: Outcome
    payload: Element | None
    signature: bytes
    message: bytes = b""  # that was signed, as received; none of the hub itself


class Released(msgspec.Struct, frozen=True):
    """What may go back to the requester: only what the view permits. Made by `policy.view` only."""

    permitted: Permitted
    outcome: Outcome
    payload: str  # exclusive C14N of the payload element; "" when there is none
    values: Mapping[str, tuple[str, ...]]  # every released leaf path → its texts in order, () when absent
    answers: tuple[Answer, ...]
    unanswered: tuple[AuthorityId, ...]  # asked without success: the reply is incomplete


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal after the caller was identified: an entry of the exchange log. Made by `broker` only."""

    caller: Authority
    code: str  # "WIB07005"
    signature: bytes | None  # SignatureValue of the refused message; None when it was not verified
    operation: OperationName | None = None
    legal_context: LegalContext | None = None
    dossier: DossierNumber | None = None
    revision: str = ""  # hash of the agreement revision in force
    message: bytes = b""  # that was signed, as received
    person: bytes | None = None  # person digest of the INSZ among the criteria


class EntryProof(msgspec.Struct, frozen=True):
    """What a recipient needs to check an entry by itself: made on request, with values of its own message.

    The seed opens the field records alone; that of `subj` and `body` is given to nobody.
    """

    tlog: bytes  # C2SP tlog-proof with the leaf as `extra`
    seed: bytes | None = None  # of the field salts; None: the entry has no field records
    released: tuple[tuple[str, str], ...] = ()  # path, digest; sorted by path
    withheld: tuple[tuple[str, str], ...] = ()  # path, reason; sorted by path


class Receipt(msgspec.Struct, frozen=True):
    """That an entry is durable and under a signed checkpoint. Made by the store, or read from a reply: then
    nothing of it is believed before `exchangelog.receipt` has checked it.
    """

    origin: str  # the log's origin, its name in checkpoints
    index: int
    checkpoint: bytes  # signed note over a tree that has the entry
    proof: EntryProof | None = None  # None: nobody asked for it
