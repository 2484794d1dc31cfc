"""A consular post that uploads, and the Immigration Office that retrieves what it left."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.agreement import notices
from gateway.broker.content import Attachment
from gateway.model import Criteria, DossierNumber, Role, SoapVersion
from gateway.refusal import Code, Refusal
from gateway.wss.sign import Framing
from tests.path.hub import DOSSIER, Answered, Hub, question, sign_as, signing_key

SCAN = b"%PDF-1.7 the travel document of a fictitious person\n"
INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:scan@x"/>'
VISA, RESIDENCE = "WIB:VISA_ISSUE", "WIB:RESIDENCE_DECISION"
KIND = "TRAVEL_DOCUMENT_SCAN"


def criteria(
    content: bytes = SCAN, reference: str = "scan-1", kind: str = KIND, **change: object
) -> Criteria:
    named = {"document_reference": reference, "document_type": kind, "document_sha256": sha256(content)}
    return Criteria(change.pop("dossier", DOSSIER), **{**named, **change})


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Upload:
    """What an honest post sends. Each member is something that it may do otherwise."""

    content: bytes = SCAN
    sent: bytes | None = None  # instead of what it signed
    name: str = "POST_RABAT"
    signer: str = ""
    context: str = VISA
    operation: str = "uploadDocument"
    reference: str = "scan-1"
    kind: str = KIND
    dossier: DossierNumber = DOSSIER
    ticket: str = ""
    named: dict[str, str] = field(default_factory=dict)  # in the criteria
    fields: dict[str, str] = field(default_factory=dict)  # in the document
    place: str = "content"  # the element that the attachment is for
    fails: Code | None = None  # after half of the content
    read: int = 0  # bytes that the hub took

    async def inline(self, hub: Hub) -> Answered:
        body = self.body(hub.now).replace("@@", base64.b64encode(self.content).decode())
        return await hub.send(self.name, sign_as(self.signer or self.name, body, hub.now))

    async def attached(self, hub: Hub) -> Answered:
        message = self.message(hub.now)
        return await hub.send(self.name, message, mtom=True, attachment=Attachment("scan@x", self.chunks()))

    def message(self, now: datetime) -> bytes:
        """With a place for the attachment."""
        before, after = self.body(now).split("@@")
        framing = Framing(before, after, version=SoapVersion.V11, unique=str(uuid.uuid4()))
        framing.update(self.content)
        key = signing_key(self.signer or self.name)
        frame = framing.sign(key=key, now=now, lifetime=timedelta(minutes=5))
        return frame.head + INCLUDE + frame.tail

    def body(self, now: datetime) -> str:
        asked = criteria(self.content, self.reference, self.kind, dossier=self.dossier, **self.named)
        values = {
            "reference": self.reference,
            "type": self.kind,
            "mediaType": "application/pdf",
            "sha256": sha256(self.content),
            "content": base64.b64encode(b"inside").decode(),
            **self.fields,
            self.place: "@@",
        }
        inner = "".join(f"<s:{name}>{value}</s:{name}>" for name, value in values.items())
        ticket = {"ticket": self.ticket} if self.ticket else {}
        told = question(self.name, self.operation, self.context, asked, now, **ticket)
        return notices.write_notification(told, (), f"<s:document>{inner}</s:document>")

    async def chunks(self) -> AsyncIterator[bytes]:
        sent = self.content if self.sent is None else self.sent
        for at in range(0, len(sent), 10):
            if self.fails and at > len(sent) // 2:
                raise Refusal(self.fails)
            self.read += len(sent[at : at + 10])
            yield sent[at : at + 10]


async def retrieve(
    hub: Hub, asked: Criteria | None = None, source: Role = Role.CONS, **change: object
) -> Answered:
    asked = criteria(source=source) if asked is None else asked
    return await hub.consult("IMMIGRATION_OFFICE", "retrieveDocument", RESIDENCE, asked, **change)
