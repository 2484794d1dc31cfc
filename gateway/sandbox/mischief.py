"""What a bad provider or recipient might do: one way of answering for each trouble that the hub must notice.

Each differs from the honest answer in one thing. The hub's code for it is in the comment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from aiohttp import web

from gateway.agreement.messages import Question
from gateway.agreement.notices import Notice
from gateway.model import DOSSIER, Acknowledgement, AuthorityId, SoapVersion, Ticket
from gateway.refusal import Code, Refusal
from gateway.sandbox.back_office import Answering, BackOffice, Receiving, acknowledging, honest, respond
from gateway.sandbox.files import RENEWAL

_OTHER: Final = Ticket("00000000-0000-4000-8000-000000000000")


class Mischief(StrEnum):
    """How a provider misbehaves."""

    DOWN = "does not answer at all"
    SLOW = "answers too late"
    HTML = "answers with a web page"
    UNSIGNED = "does not sign"
    OTHER_SIGNER = "signs with the key of another authority"
    TAMPERED = "lets the answer be changed after signing"
    SCHEMA_INVALID = "answers outside the contract"
    OTHER_TICKET = "answers another question"
    OTHER_DOSSIER = "answers about another dossier"
    BEYOND_RIGHT = "writes a decision that is not its own"
    OTHER_DOCUMENT = "delivers another document than its digest says"
    FAULT = "answers with a fault of its own"


class Neglect(StrEnum):
    """How a recipient misbehaves: the first time that a notification comes; then it is itself again."""

    DOWN = "is down for a moment"
    GARBAGE = "answers garbage"
    NOK = "cannot take it over at once"
    OTHER_TICKET = "acknowledges something else"
    LOST = "takes it over, but its acknowledgement is lost"


async def _down(_: BackOffice, __: Question) -> web.Response:  # WIB09001
    raise ConnectionAbortedError  # `BackOffice` then cuts the connection


async def _slow(office: BackOffice, question: Question) -> web.Response:  # WIB09002
    await asyncio.sleep(60)  # longer than any hub of a sandbox waits
    return await honest(office, question)


async def _html(_: BackOffice, __: Question) -> web.Response:  # WIB09003
    return web.Response(text="<h1>Internal Server Error</h1>", status=500, content_type="text/html")


async def _unsigned(office: BackOffice, question: Question) -> web.Response:  # WIB09004
    envelope = f'<soap:Envelope xmlns:soap="{SoapVersion.V11.value}"><soap:Header/><soap:Body>{{}}</soap:Body></soap:Envelope>'
    return respond(envelope.format(office.body(question)).encode())


async def _other_signer(office: BackOffice, question: Question) -> web.Response:  # WIB09005
    others = (name for name in office.around.register.by_id if name != office.authority.id)
    return respond(office.signed(office.body(question), office.around.keys(AuthorityId(next(others)))))


async def _tampered(office: BackOffice, question: Question) -> web.Response:  # WIB09004
    message = office.signed(office.body(question))
    return respond(message.replace(b"Treatment successful.", b"Treatment successful!"))


async def _schema_invalid(office: BackOffice, question: Question) -> web.Response:  # WIB09006
    return respond(office.signed(office.body(question).replace(">DATA_FOUND<", ">PLENTY_FOUND<")))


async def _other_ticket(office: BackOffice, question: Question) -> web.Response:  # WIB09007
    customer = replace(question.customer, ticket=_OTHER)
    return respond(office.signed(office.body(replace(question, customer=customer))))


async def _other_dossier(office: BackOffice, question: Question) -> web.Response:  # WIB09007
    asked = question.criteria.dossier or ""
    head, criteria, payload = office.body(question).partition("</s:criteria>")
    return respond(office.signed(head + criteria + payload.replace(asked, RENEWAL)))


async def _beyond_right(office: BackOffice, question: Question) -> web.Response:  # WIB09008
    decision = "<d:residenceDecision><d:outcome>GRANTED</d:outcome></d:residenceDecision>"
    payload = f'<s:dossier xmlns:d="{DOSSIER}">{decision}</s:dossier>'
    return respond(office.signed(office.write(question, payload)))


async def _other_document(office: BackOffice, question: Question) -> web.Response:  # WIB09010
    head, content, rest = office.body(question).partition("<s:content>")
    return respond(office.signed(head + content + "AAAA" + rest))


async def _fault(office: BackOffice, _: Question) -> web.Response:  # WIB09009
    return office.fault(Refusal(Code.INTERNAL))


ANSWERING: Final[Mapping[Mischief, Answering]] = {
    Mischief.DOWN: _down,
    Mischief.SLOW: _slow,
    Mischief.HTML: _html,
    Mischief.UNSIGNED: _unsigned,
    Mischief.OTHER_SIGNER: _other_signer,
    Mischief.TAMPERED: _tampered,
    Mischief.SCHEMA_INVALID: _schema_invalid,
    Mischief.OTHER_TICKET: _other_ticket,
    Mischief.OTHER_DOSSIER: _other_dossier,
    Mischief.BEYOND_RIGHT: _beyond_right,
    Mischief.OTHER_DOCUMENT: _other_document,
    Mischief.FAULT: _fault,
}


async def _never_there(_: BackOffice, __: Notice) -> web.Response:  # WIB09001
    raise ConnectionAbortedError


async def _garbage(_: BackOffice, __: Notice) -> web.Response:  # WIB09004
    return respond(b"<acknowledged/>")


async def _not_taken(office: BackOffice, notice: Notice) -> web.Response:  # WIB09009
    return respond(office.signed(office.acknowledgement(notice.question, Acknowledgement.NOK)))


async def _other_acknowledged(office: BackOffice, notice: Notice) -> web.Response:  # WIB09007
    other = replace(notice.question, customer=replace(notice.question.customer, ticket=_OTHER))
    return respond(office.signed(office.acknowledgement(other)))


async def _lost(office: BackOffice, notice: Notice) -> web.Response:  # WIB09001, though it was taken over
    office.inbox.take(notice)
    raise ConnectionAbortedError


NEGLECTING: Final[Mapping[Neglect, Receiving]] = {
    Neglect.DOWN: _never_there,
    Neglect.GARBAGE: _garbage,
    Neglect.NOK: _not_taken,
    Neglect.OTHER_TICKET: _other_acknowledged,
    Neglect.LOST: _lost,
}


def once(neglect: Neglect) -> Receiving:
    """Receives badly once; from then on the office does as it should."""

    async def receiving(office: BackOffice, notice: Notice) -> web.Response:
        office.receiving = acknowledging
        return await NEGLECTING[neglect](office, notice)

    return receiving
