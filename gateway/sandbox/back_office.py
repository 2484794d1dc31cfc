"""A reference back office: answers the hub's questions from one authority's files, and takes its notifications over.

It trusts nobody but the hub: mutual TLS, then the strict verifier, then the hub's identity, then the
contract. What of its answer the requester may see is the hub's business. How it can misbehave is `mischief`.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from gateway.agreement import messages, notices
from gateway.agreement.messages import Question
from gateway.agreement.notices import Notice
from gateway.agreement.register import Register
from gateway.agreement.schema import Contract
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.receipt import verify_place
from gateway.identity.authority import recognise
from gateway.identity.chain import Certificates, Usage
from gateway.model import (
    Acknowledgement,
    Authority,
    AuthorityId,
    DossierNumber,
    ExchangeId,
    Outcome,
    SoapVersion,
)
from gateway.refusal import Code, Refusal
from gateway.sandbox.files import Files, known, payload
from gateway.sandbox.inbox import Inbox
from gateway.soap import fault
from gateway.soap.envelope import read
from gateway.soap.xml import Element, Limits, canonical, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey, sign
from gateway.wss.verify import verify

PATH: Final = "/soap/v1"
Answering = Callable[["BackOffice", Question], Awaitable[web.Response]]
Receiving = Callable[["BackOffice", Notice], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every back office of a sandbox shares."""

    register: Register
    contract: Contract
    certificates: Callable[[], Certificates]  # whom they believe now
    keys: Callable[[AuthorityId], SigningKey]  # `mischief` also signs with the keys of others
    # The dossier's present status, and what an authority has told of it: work is done elsewhere, here only its
    # outcome is known.
    status_of: Callable[[DossierNumber], str]
    told_by: Callable[[AuthorityId, DossierNumber], Collection[str]]
    log_keys: Callable[[], Sequence[NoteKey]]  # of the exchange log
    clock: Callable[[], datetime]


class BackOffice:
    """One authority's service. `answering` and `receiving` may be replaced to see what the hub makes of it."""

    def __init__(self, authority: Authority, files: Files, around: Surroundings) -> None:
        self.authority = authority
        self.around = around
        self.answering: Answering = honest
        self.receiving: Receiving = acknowledging
        self.inbox = Inbox()
        self._files = files

    def application(self) -> web.Application:
        """The service at `PATH`."""
        application = web.Application(client_max_size=Limits().bytes)
        application.on_response_prepare.append(_anonymous)
        application.router.add_post(PATH, self._serve)
        return application

    async def _serve(self, http: web.Request) -> web.Response:
        try:
            notice = self._read(_tls_certificate(http), await http.read())
        except Refusal as refusal:
            return self.fault(refusal)
        try:
            if not self.around.contract.messages[notice.question.operation].notification:
                return await self.answering(self, notice.question)
            self.inbox.attempts += 1
            return await self.receiving(self, notice)
        except ConnectionAbortedError:  # a mischief: cut the connection without a word
            if http.transport is not None:
                http.transport.abort()
            return web.Response()

    def _read(self, tls_certificate: bytes, data: bytes) -> Notice:
        """The hub's question or notification; a question reads as a notification that tells nothing. Raises Refusal."""
        around, now, believed = self.around, self.around.clock(), self.around.certificates()
        peer = recognise(tls_certificate, Usage.TLS_CLIENT, believed, around.register, now)
        verified = verify(read(data, Limits()), Window(), now)
        signer = believed.validate(verified.certificate, Usage.SIGNING, now).enterprise
        hub = around.register.hub
        if peer.id != hub.id or signer != hub.enterprise:
            raise Refusal(Code.AUTHORITY_UNKNOWN)
        element = parse_verified(verified.body)[0]
        around.contract.validate(element, Code.SCHEMA)
        notice = notices.read_notification(element)
        if notice.question.customer.enterprise != hub.enterprise or notice.question.on_behalf is None:
            raise Refusal(Code.CUSTOMER)
        return notice

    def body(self, question: Question) -> str:
        """The honest answer, not yet signed."""
        found = self._payload(question)
        return self.write(question, "" if found is None else canonical(found).decode())

    def write(self, question: Question, content: str) -> str:
        """A response with this payload element, "" for none, in canonical form."""
        outcome = Outcome.DATA_FOUND if content else Outcome.NO_DATA_FOUND
        written = messages.write_reply(question, "", messages.answered(outcome, ()), (), content)
        return canonical(parse_verified(written.encode())).decode()

    def acknowledgement(self, question: Question, value: Acknowledgement = Acknowledgement.OK) -> str:
        """The response to a notification, not yet signed."""
        return notices.write_acknowledgement(question, "", value)

    def signed(self, body: str, key: SigningKey | None = None) -> bytes:
        """The message, signed with this authority's key or with another."""
        return sign(
            body,
            version=SoapVersion.V11,
            key=key or self.around.keys(self.authority.id),
            now=self.around.clock(),
            lifetime=Window().reply,
            unique=str(uuid.uuid4()),
        )

    def fault(self, refusal: Refusal) -> web.Response:
        """A signed fault of this back office."""
        incident = ExchangeId(str(uuid.uuid4()))
        detail = messages.write_fault(refusal, incident, self.authority.enterprise, None)
        return respond(self.signed(fault.write(refusal, incident, SoapVersion.V11, detail)), status=500)

    def _payload(self, question: Question) -> Element | None:
        dossier = question.criteria.dossier
        file = self._files.get(dossier) if dossier is not None else None
        if dossier is None or file is None:
            return None
        done = self.around.told_by(self.authority.id, dossier)
        now = known(file, done, self.around.status_of(dossier))
        return payload(question.operation, now, question.criteria)


async def _anonymous(_: web.Request, response: web.StreamResponse) -> None:
    """Without this aiohttp names itself, Python, and both versions."""
    response.headers["Server"] = "back-office"


async def honest(office: BackOffice, question: Question) -> web.Response:
    """The answer of a back office in order."""
    return respond(office.signed(office.body(question)))


async def acknowledging(office: BackOffice, notice: Notice) -> web.Response:
    """Takes the notification over, and says so: the first time, and every time that it comes again.

    Not one that says where it is recorded, and is not (PROTOCOL §11.4).
    """
    question = notice.question
    assert question.on_behalf is not None  # `_read` accepts no other
    try:
        verify_place(question.on_behalf.receipt, office.around.log_keys())
    except ProofError:
        return respond(office.signed(office.acknowledgement(question, Acknowledgement.NOK)))
    office.inbox.take(notice)
    return respond(office.signed(office.acknowledgement(notice.question)))


def respond(message: bytes, status: int = 200) -> web.Response:
    return web.Response(body=message, status=status, content_type="text/xml", charset="utf-8")


def _tls_certificate(http: web.Request) -> bytes:
    ssl_object = http.transport.get_extra_info("ssl_object") if http.transport else None
    der = ssl_object.getpeercert(binary_form=True) if ssl_object else None
    if not isinstance(der, bytes):
        raise Refusal(Code.STRANGER)
    return der
