"""What the path is given: one request as the edge hands it over, with the rules that it goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.agreement.admit import Terms
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.broker.content import Attachment
from gateway.broker.reply import Signer
from gateway.identity.authority import recognise
from gateway.identity.chain import Certificates, Usage
from gateway.model import Authority, DossierScope, SoapVersion
from gateway.policy.decide import Facts
from gateway.soap.xml import Limits


@dataclass(frozen=True, slots=True)
class Rules:
    """What exchanges are judged by and signed with, all of one moment. Never changed, only replaced: `RulesInForce`."""

    agreement: Agreement
    register: Register
    certificates: Certificates
    limits: Limits
    terms: Terms
    directory_key: bytes = field(repr=False)  # of the digests in the dossier directory
    signer: Signer = field(repr=False)
    announced: bytes = b""  # PEM: the certificates that the hub signs with, will sign with, and did until now

    def facts(self, scope: DossierScope | None, now: datetime, skew: timedelta = timedelta()) -> Facts:
        """What a decision under these rules depends on. `skew`: see `Facts`."""
        return Facts(self.agreement, self.register, scope, now, self.directory_key, skew)

    def recognise(self, der: bytes, usage: Usage, now: datetime) -> Authority:
        """Who is at the other end of a TLS connection. Raises Refusal: STRANGER."""
        return recognise(der, usage, self.certificates, self.register, now)


class RulesInForce:
    """The rules of this moment. Whoever serves an exchange or makes a delivery takes them once, so that they are
    the same from its first stage to its last (attack K28). Owned by the application, which alone replaces them.
    """

    __slots__ = ("rules",)

    def __init__(self, rules: Rules) -> None:
        self.rules = rules


@dataclass(frozen=True, slots=True)
class Received:
    """One HTTP request as the edge hands it over."""

    rules: Rules  # in force when the message had arrived
    data: bytes
    version: SoapVersion  # that the media type promises
    soap_action: str | None
    received: datetime
    mtom: bool = False  # its sender reads MTOM: a document may come back as an attachment
    attachment: Attachment | None = None  # what follows the message, still to be read
