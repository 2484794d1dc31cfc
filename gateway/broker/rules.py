"""What the path is given: the rules in force, and one request as the edge hands it over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.agreement.admit import Terms
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.broker.content import Attachment
from gateway.identity.chain import Certificates
from gateway.model import DossierScope, SoapVersion
from gateway.policy.decide import Facts
from gateway.soap.xml import Limits


@dataclass(frozen=True, slots=True)
class Rules:
    """What was loaded at start, taken once per exchange: one revision from its first stage to its last."""

    agreement: Agreement
    register: Register
    certificates: Certificates
    limits: Limits
    terms: Terms
    directory_key: bytes = field(repr=False)  # of the digests in the dossier directory

    def facts(self, scope: DossierScope | None, now: datetime, skew: timedelta = timedelta()) -> Facts:
        """What a decision under these rules depends on. `skew`: see `Facts`."""
        return Facts(self.agreement, self.register, scope, now, self.directory_key, skew)


@dataclass(frozen=True, slots=True)
class Received:
    """One HTTP request as the edge hands it over."""

    data: bytes
    version: SoapVersion  # that the media type promises
    soap_action: str | None
    received: datetime
    mtom: bool = False  # its sender reads MTOM: a document may come back as an attachment
    attachment: Attachment | None = None  # what follows the message, still to be read
