"""What is read of a Body once its signature is good: requests, answers, and what the filter makes of payloads.

A Body is changed, signed anew, and goes the way of the gateway: parser, verifier, contract, reading, view.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache

from lxml import etree

from gateway.agreement.acknowledged import acknowledged
from gateway.agreement.admit import Terms, admit, content
from gateway.agreement.answer import accept, accept_document
from gateway.agreement.document import require_uploaded
from gateway.agreement.load import Operation
from gateway.model import (
    DOSSIER,
    SERVICE,
    Authority,
    AuthorityId,
    Caller,
    Node,
    OperationName,
    Pattern,
    Permitted,
    Request,
    SoapVersion,
    Ticket,
    Verified,
    View,
)
from gateway.policy.view import Rendered, apply_view, render
from gateway.refusal import Refusal
from gateway.soap import envelope
from gateway.soap.xml import Limits, canonical, parse, parse_verified
from gateway.wss import verify as wss
from gateway.wss.profile import Window
from gateway.wss.sign import sign
from tests.fuzz.chance import Choices, tags
from tests.fuzz.target import Target
from tests.notifications import delivery
from tests.path.hub import NOW, URL, agreement, authority, signing_key
from tests.wrapping import messages as honest
from tests.wrapping.messages import answers, requests

_TERMS = Terms(URL, Window(), test_numbers=True)
_WORDS = (
    "", " ", "\t\n", "0", "-1", "1e9", "true", "NULL", "é", "\u202e", "\U0001f600", "&amp;", "&#13;", "&lt;", "<![CDATA[x]]>", "x" * 70,
    "2026-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999-14:00", "2026-06-01T09:00:00", "2026-06-01T24:00:00Z", "1990-00-00",
    "90612400144", "0999066643", "WIB-2026-0000001-59", "WIB:WORK_DECISION", "PLAT", "consultDossier", "0190a2c4-5b6d-7e8f-9a0b-1c2d3e4f5061",
    "30", "+5", "DATA_FOUND", "NO_RESULT", "OK", "AA==", "AA=", "<s:source>PLAT</s:source>", "<s:waitSeconds>30</s:waitSeconds>",
    "<s:informationGateway/>", "<s:dataFilters/>", "<s:document>", "</s:document>", "<s:dossier/>", f"<s:dossier><d:worker xmlns:d='{DOSSIER}'>",
    f"<d:ssin xmlns:d='{DOSSIER}'>90612400144</d:ssin>", "</d:worker></s:dossier>", f'<d:header xmlns:d="{DOSSIER}"/>', "<s:x/>", "<x/>",
    ' a="b"', ' xmlns="urn:x"', ' xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
)  # fmt: skip


def _verified(body: str, signer: Authority) -> Verified | None:
    """The Body as the signer would sign it, through parser and verifier; None when it is refused there."""
    try:
        element = parse(body.encode("utf-8", "surrogatepass"), Limits())
        message = sign(
            canonical(element).decode(),
            version=SoapVersion.V11,
            key=signing_key(signer.id),
            now=NOW,
            lifetime=timedelta(minutes=5),
            unique=str(uuid.UUID(int=1)),
        )
        return wss.verify(envelope.read(message, Limits()), Window(), NOW)
    except Refusal:
        return None


def requested(data: bytes) -> Request | None:
    """A request of any operation, its Body changed; None when it is refused."""
    choices = Choices(data)
    message = choices.one_of(requests())
    verified = _verified(choices.edited(tags(message.content), _WORDS), message.signer)
    if verified is None:
        return None
    try:
        request = admit(Caller(message.signer, verified), None, agreement(), _TERMS, NOW)
        assert len(content(request)) == 32
        if agreement().operations[request.operation].pattern is Pattern.UPLOAD:
            _uploaded(request)
    except Refusal:
        return None
    return request


def _uploaded(request: Request) -> None:
    with suppress(Refusal):
        require_uploaded(request, None)


def answered(data: bytes) -> Verified | None:
    """An answer of a provider or recipient, its Body changed: of it goes on what the view has, and nothing else.

    None when it is refused.
    """
    choices = Choices(data)
    message = choices.one_of(answers())
    operation = agreement().operations[message.name.removesuffix("Response")]
    verified = _verified(choices.edited(tags(message.content), _WORDS), message.signer)
    if verified is None:
        return None
    provider = Caller(message.signer, verified)
    try:
        if operation.recipients:
            _acknowledged(provider, operation)
        else:
            _released(provider, operation)
    except Refusal:
        return None
    return verified


def _acknowledged(recipient: Caller, operation: Operation) -> None:
    asked = honest.question(operation, next(iter(operation.requesters)))
    told = replace(delivery().notification, operation=operation.name, dossier=asked.criteria.dossier)
    sent = delivery(notification=told, legal_context=asked.legal_context)
    acknowledged(recipient, honest.GOOD, sent, agreement(), agreement())


def _released(provider: Caller, operation: Operation) -> None:
    permitted = _permitted(operation.name, provider.authority.id)
    if permitted.request.criteria.document_sha256 is None:
        answer = accept(provider, honest.GOOD, permitted, agreement())
    else:
        answer, _ = accept_document(provider, honest.GOOD, permitted, agreement(), None)
    if answer.payload is not None:
        marked = _marked(permitted.view, answer.payload)
        released = apply_view(permitted, [answer], [])
        _require_within(permitted.view, marked, Rendered(released.payload, released.values))


@cache
def _permitted(name: OperationName, by: AuthorityId) -> Permitted:
    """What the first requester was granted, without asking whether it would be."""
    operation, provider = agreement().operations[name], authority(by)
    role = next(iter(operation.requesters))
    asked = honest.question(operation, role)
    document = asked.criteria.document_type
    (view,) = (
        view
        for (called, requester, context, source, kind), view in agreement()._views.items()
        if (called, requester, context) == (name, role, asked.legal_context)
        and source in {None, provider.role}
        and kind == document
    )
    may = agreement().provided(provider.role, name, document)
    request = Request(
        None,
        operation.name,
        Ticket("asked"),
        NOW,
        asked.legal_context,
        asked.criteria,  # type: ignore[arg-type] # who asks does not matter here
    )
    return Permitted(request, (provider,), view, {provider.id: may}, "")


def filtered(data: bytes) -> None:
    """Any payload under any view: no text leaves that stands at a place which the view does not release."""
    choices = Choices(data)
    view = choices.one_of(_views())
    payloads = []
    for _ in range(1 + choices.number(2)):
        part = Choices(choices.take(40))
        try:
            payloads.append(
                parse(part.edited(tags(_full(view)), _WORDS).encode("utf-8", "surrogatepass"), Limits())
            )
        except Refusal:
            return
    marked = [one for payload in payloads for one in _marked(view, payload)]
    _require_within(view, marked, render(view, payloads))


@cache
def _views() -> tuple[View, ...]:
    return tuple(agreement()._views.values())


@cache
def _full(view: View) -> str:
    """The payload with a text in each of its leaves."""
    return honest.written(view.payload, lambda _: "x", inherited="")


def _marked(view: View, payload: etree._Element) -> list[tuple[str, Node | None]]:
    """Gives each text of a payload a value of its own. Returns the values, with the node that each stands at."""
    found: list[tuple[str, Node | None]] = []

    def mark(element: etree._Element, node: Node | None) -> None:
        element.text = f"m{id(payload)}-{len(found)}m"
        found.append((element.text, node))
        for child in element:
            below = () if node is None else node.children
            mark(child, next((one for one in below if f"{{{one.namespace}}}{one.name}" == child.tag), None))
            child.tail = f"m{id(payload)}-{len(found)}m"
            found.append((child.tail, None))

    mark(payload, view.payload)
    return found


def _require_within(view: View, marked: list[tuple[str, Node | None]], rendered: Rendered) -> None:
    """Every value of the output stood at a released leaf; what is recorded is what is written."""
    released = {path for path, reason in view.verdicts.items() if reason is None}
    assert rendered.values.keys() == released
    recorded = {text: path for path, texts in rendered.values.items() for text in texts}
    for value, node in marked:
        if value in rendered.payload:
            assert node is not None, value
            assert not node.children, node.path
            assert node.path in released or node.path not in view.verdicts, node.path  # structural texts
        if value in recorded:
            assert node is not None, value
            assert recorded[value] == node.path
            assert value in rendered.payload
    if rendered.payload:
        parse_verified(_declared(rendered.payload))


def _declared(payload: str) -> bytes:
    head, mark, rest = payload.partition(">")
    return f'{head} xmlns:s="{SERVICE}"{mark}{rest}'.encode()


def _seeds(count: int) -> list[bytes]:
    return [bytes([number]) for number in range(count)]


TARGETS = (
    Target("request", requested, lambda: _seeds(len(requests())), largest=120, replayed=1_000),
    Target("answer", answered, lambda: _seeds(len(answers())), largest=120, replayed=1_000),
    Target("filter", filtered, lambda: _seeds(16), largest=120, guided=False, replayed=400),
)
