"""R: the provider is only half trusted. What it answers, and how it speaks HTTP and TLS."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import msgspec

from gateway.agreement.messages import Question
from gateway.model import Outcome, Ticket
from gateway.refusal import Code
from tests.attacks.case import MARK, Harmless, Refused, attack, outcome_of, scenario, signed_body
from tests.attacks.provider import Provider, honest, reply
from tests.attacks.signature import moved
from tests.attacks.target import (
    ATTACKER,
    DEADLINE,
    DOSSIERS,
    OTHER,
    Answer,
    Message,
    Target,
    at_once,
    holder_of,
    key_of,
    until,
)
from tests.path import hub as memory
from tests.path.payloads import CANARY, D
from tests.world import Draft, once

Http = BaseHTTPRequestHandler
Behaviour = Callable[[Provider, Http, Question], None]
Body = Callable[[Question], str]


def answered(row: str, flaw: str, code: Code | Harmless) -> Callable[[Behaviour], Behaviour]:
    """A case whose provider does this with the question."""

    def enter(behaviour: Behaviour) -> Behaviour:
        def launch(target: Target, message: Message) -> Answer:
            provider = target.provider
            with provider.behaving(lambda http, data: behaviour(provider, http, provider.asked(data))):
                return target.post(message.data)

        attack(row, flaw, Refused(code, forwarded=True) if isinstance(code, Code) else code)(launch)
        return behaviour

    return enter


def saying(row: str, code: Code | Harmless, bodies: dict[str, Body]) -> None:
    """Cases whose provider validly signs these bodies."""
    for flaw, body in bodies.items():
        answered(row, flaw, code)(
            lambda provider, http, asked, body=body: reply(http, provider.signed(body(asked)))
        )


def sending(
    row: str, code: Code | Harmless, messages: dict[str, Callable[[Provider, Question], bytes]]
) -> None:
    """Cases whose provider sends these bytes as its answer."""
    for flaw, made in messages.items():
        answered(row, flaw, code)(lambda provider, http, asked, made=made: reply(http, made(provider, asked)))


DECISION = f"<d:residenceDecision{D}><d:outcome>GRANTED</d:outcome></d:residenceDecision></s:dossier>"
saying(
    "R01",
    Code.PROVIDER_RIGHT,
    {"a field that is another authority's": lambda asked: once(honest(asked), "</s:dossier>", DECISION)},
)
saying("R01", Code.PROVIDER_SCHEMA, {
    "an element that the contract does not know": lambda asked: once(honest(asked), "</s:dossier>", f"<d:{MARK}{D}>1</d:{MARK}></s:dossier>"),
    "an element of another namespace": lambda asked: once(honest(asked), "</s:dossier>", f'<x:x xmlns:x="urn:x">{MARK}</x:x></s:dossier>'),
    "an attribute": lambda asked: once(honest(asked), "<s:dossier>", f'<s:dossier x="{MARK}">'),
    "a word where a number belongs": lambda asked: once(honest(asked), "4120.50", MARK),
})  # fmt: skip
sending("R01", Code.PROVIDER_SECURITY, {
    "a comment": lambda provider, asked: provider.signed(honest(asked)).replace(b"<s:dossier>", f"<s:dossier><!--{MARK}-->".encode()),
})  # fmt: skip


@scenario("R01", "fields that the requester may not see", "none of them is released")
def _beyond_the_view(target: Target) -> str:
    answer = target.post(target.message().data)
    assert outcome_of(answer) == "accepted"
    told = {element.tag.rpartition("}")[2] for element in signed_body(answer.body).iter()}
    assert "salary" in told
    assert "feePayment" not in told  # the platform sent it, the region may not have it
    return "none of them is released"


def other_dossier(asked: Question) -> Question:
    criteria = msgspec.structs.replace(asked.criteria, dossier=memory.dossier_number(2026, 77))
    return replace(asked, criteria=criteria)


saying("R02", Code.PROVIDER_MISMATCH, {
    "criteria of another dossier": lambda asked: honest(other_dossier(asked)),
    "a payload of another dossier": lambda asked: memory.reply_body(
        asked, Outcome.DATA_FOUND, memory.payload(other_dossier(asked), memory.authority("PLATFORM"))
    ),
})  # fmt: skip


def draft(provider: Provider, asked: Question, **changes: object) -> Message:
    """The answer as a message that the tables of flaws can break."""
    now = datetime.now(UTC)
    good = Draft(
        content=honest(asked),
        holder=holder_of("PLATFORM"),
        created=f"{now:%Y-%m-%dT%H:%M:%S}Z",
        expires=f"{now + timedelta(minutes=5):%Y-%m-%dT%H:%M:%S}Z",
    )
    return Message(replace(good, **changes), asked.customer.ticket)


def unsigned(provider: Provider, asked: Question) -> bytes:
    return f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header/><e:Body>{honest(asked)}</e:Body></e:Envelope>'.encode()


sending("R03", Code.PROVIDER_SECURITY, {
    "no signature": unsigned,
    "a value changed after signing": lambda provider, asked: provider.signed(honest(asked)).replace(CANARY.encode(), MARK.encode()),
    "SHA-1": lambda provider, asked: draft(provider, asked, method="http://www.w3.org/2000/09/xmldsig#rsa-sha1").data,
    "a Body that is not signed": lambda provider, asked: draft(provider, asked, signed=("time",)).data,
    "a Timestamp that is not signed": lambda provider, asked: draft(provider, asked, signed=("body",)).data,
    **{
        f"the Body moved {place}, an evil one with {twin}": lambda provider, asked, place=place, twin=twin: moved(draft(provider, asked), place, twin)
        for place in ("first in the header", "last in the header", "last in the security header", "in an object of the signature", "in the operation")
        for twin in ("the same id", "no id", "another id")
    },
})  # fmt: skip
sending("R03", Code.PROVIDER_IDENTITY, {
    "the signature of another authority": lambda provider, asked: provider.signed(honest(asked), key_of("FLANDERS")),
    "the signature of the hub": lambda provider, asked: provider.signed(honest(asked), holder_of("HUB", "sign-rsa").signing),
    "the signature of the provider's TLS key": lambda provider, asked: provider.signed(honest(asked), holder_of("PLATFORM", "tls").signing),
})  # fmt: skip
sending(
    "R03",
    Harmless(),
    {"a good answer in a shape of other stacks": lambda provider, asked: draft(provider, asked).data},
)


def ticket(asked: Question, value: str) -> Question:
    return replace(asked, customer=replace(asked.customer, ticket=Ticket(value)))


saying("R04", Code.PROVIDER_MISMATCH, {
    "an answer to another question": lambda asked: honest(ticket(asked, "another")),
    "an answer of another operation": lambda asked: honest(asked).replace("consultDossierResponse", "consultStatusResponse"),
})  # fmt: skip
sending("R04", Code.PROVIDER_SECURITY, {
    "an answer signed six minutes ago": lambda provider, asked: provider.signed(honest(asked), now=datetime.now(UTC) - timedelta(minutes=6)),
})  # fmt: skip


@scenario("R04", "the answer to an earlier question, word for word", "WIB09007 provider-mismatch")
def _stale(target: Target) -> str:
    kept: list[bytes] = []

    def keep(http: Http, data: bytes) -> None:
        kept.append(target.provider.signed(honest(target.provider.asked(data))))
        reply(http, kept[0])

    with target.provider.behaving(keep):
        first, second = (outcome_of(target.post(target.message().data)) for _ in range(2))
    assert (first, second) == ("accepted", "WIB09007")
    return second


@scenario("R05", "a hundred questions of two authorities at one moment", "nobody gets another's answer")
def _crossing(target: Target) -> str:
    asked = [(name, target.message(name).data) for name in (ATTACKER, OTHER) * 50]
    answers = at_once(target.patient, asked)
    for (name, _data), answer in zip(asked, answers, strict=True):
        assert outcome_of(answer) == "accepted"
        numbers = {one.text for one in signed_body(answer.body).iter("{*}dossierNumber")}
        assert numbers == {str(DOSSIERS[name])}
    return "nobody gets another's answer"


@answered("R06", "no answer at all", Code.PROVIDER_TIMEOUT)
def _silent(provider: Provider, http: Http, asked: Question) -> None:
    time.sleep(5)


def _drip(http: Http, data: bytes) -> None:
    """The same again and again, for five seconds or until the hub leaves."""
    with suppress(OSError):
        for _ in range(100):
            http.wfile.write(data)
            http.wfile.flush()
            time.sleep(0.05)
    http.close_connection = True


@answered("R06", "an answer that drips", Code.PROVIDER_TIMEOUT)
def _dripping(provider: Provider, http: Http, asked: Question) -> None:
    http.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5000\r\n\r\n")
    _drip(http, b" ")


@answered("R07", "an answer without end", Code.PROVIDER_HTTP)
def _endless(provider: Provider, http: Http, asked: Question) -> None:
    http.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n")
    with suppress(OSError):  # the hub leaves
        for _ in range(30_000):
            http.wfile.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
    http.close_connection = True


@answered("R07", "a bomb in gzip", Code.PROVIDER_HTTP)
def _bomb(provider: Provider, http: Http, asked: Question) -> None:
    reply(http, gzip.compress(bytes(100_000_000)), Content_Encoding="gzip")


for status in (301, 302, 303, 307, 308):

    @attack("R08", f"a redirection with {status}", Refused(Code.PROVIDER_HTTP, forwarded=True))
    def _redirect(target: Target, message: Message, status: int = status) -> Answer:
        with target.provider.behaving(lambda http, _: reply(http, b"", status, Location=target.trap.url)):
            return target.post(message.data)


@scenario("R09", "a cookie", "it never comes back")
def _cookie(target: Target) -> str:
    seen: list[str | None] = []

    def answer(http: Http, data: bytes) -> None:
        seen.append(http.headers.get("Cookie"))
        reply(http, target.provider.signed(honest(target.provider.asked(data))), Set_Cookie=f"session={MARK}")

    with target.provider.behaving(answer):
        for name in (ATTACKER, OTHER, ATTACKER):
            assert outcome_of(target.post(target.message(name).data, name)) == "accepted"
    assert seen == [None, None, None]
    return "it never comes back"


FAULT = f"<soap:Fault><faultcode>soap:Server</faultcode><faultstring>{MARK}: ORA-00942 at /srv/db.py</faultstring></soap:Fault>"
saying("R10", Code.PROVIDER_FAULT, {"a signed fault with a trace": lambda asked: FAULT})
sending("R10", Code.PROVIDER_SECURITY, {
    "an unsigned fault": lambda provider, asked: unsigned(provider, asked).replace(honest(asked).encode(), FAULT.replace("soap:", "e:").encode()),
    "nothing": lambda provider, asked: b"",
})  # fmt: skip
PAGES = {
    "an HTML page with 500": (500, "text/html"),
    "an HTML page with 200": (200, "text/html"),
    "an answer as text/plain": (200, "text/plain"),
    "404": (404, "text/xml"),
    "503": (503, "text/xml"),
}
for flaw, (status, media) in PAGES.items():
    answered("R10", flaw, Code.PROVIDER_HTTP)(
        lambda provider, http, asked, status=status, media=media: reply(
            http, f"<html>{MARK}</html>".encode(), status, Content_Type=media
        )
    )


@answered("R10", "204", Code.PROVIDER_HTTP)
def _no_content(provider: Provider, http: Http, asked: Question) -> None:
    http.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def hostile(change: Callable[[bytes], bytes]) -> Callable[[Provider, Question], bytes]:
    return lambda provider, asked: change(provider.signed(honest(asked)))


sending("R11", Code.PROVIDER_SECURITY, {
    "a document type": hostile(lambda data: b'<!DOCTYPE x [<!ENTITY e "x">]>' + data.partition(b"?>")[2]),
    "a processing instruction": hostile(lambda data: data.replace(b"<s:dossier>", b"<?x?><s:dossier>")),
    "UTF-16": hostile(lambda data: data.partition(b"?>")[2].decode().encode("utf-16")),
    "30,000 elements that never close": hostile(lambda data: b"<a>" * 30_000),
    "20,000 attributes": hostile(lambda data: b"<a " + b" ".join(b'a%d=""' % i for i in range(20_000)) + b"/>"),
    "a million elements": hostile(lambda data: b"<a>" + b"<b/>" * 400_000 + b"</a>"),
    "text that is no XML": hostile(lambda data: MARK.encode()),
})  # fmt: skip

for name, flaw in (("FLANDERS", "another authority"), ("HUB", "the hub itself")):

    @attack("R12", f"the TLS certificate of {flaw}", Code.PROVIDER_IDENTITY, after_record=True)
    def _identity(target: Target, message: Message, name: str = name) -> Answer:
        with target.provider.identified(target.tls_files(name)):
            return target.post(message.data)


@scenario("R13", "an answer when the requester has left", "recorded once, in full")
def _left(target: Target) -> str:
    began, came = target.entries(), threading.Event()

    def late(http: Http, data: bytes) -> None:
        came.wait(DEADLINE)
        target.provider.answer_well(http, data)

    with target.provider.behaving(late):
        with target.connection() as wire:
            wire.sendall(target.request(target.message().data))
            until(lambda: target.entries() == began + 1)
        came.set()
        until(lambda: target.entries() == began + 2)
    kinds = [target.entry(index)["kind"] for index in (began, began + 1)]
    assert kinds == ["request", "response"]
    return "recorded once, in full"


@answered("R14", "an answer that breaks off", Code.PROVIDER_HTTP)
def _broken_off(provider: Provider, http: Http, asked: Question) -> None:
    data = provider.signed(honest(asked))
    http.wfile.write(
        f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data[:-100]
    )
    http.close_connection = True


@answered("R14", "a length that is too short", Code.PROVIDER_HTTP)
def _short(provider: Provider, http: Http, asked: Question) -> None:
    data = provider.signed(honest(asked))
    http.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n" + data)
    http.close_connection = True


@answered("R14", "two framings at once", Code.PROVIDER_HTTP)
def _two_framings(provider: Provider, http: Http, asked: Question) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    http.wfile.write(head + b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    http.close_connection = True


@answered("R15", "informational responses before the answer", Harmless())
def _hints(provider: Provider, http: Http, asked: Question) -> None:
    http.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    reply(http, provider.signed(honest(asked)))


@answered("R15", "informational responses without end", Code.PROVIDER_TIMEOUT)
def _hints_only(provider: Provider, http: Http, asked: Question) -> None:
    _drip(http, b"HTTP/1.1 103 Early Hints\r\n\r\n")


saying("R16", Code.PROVIDER_SCHEMA, {
    "an answer without its status": lambda asked: honest(asked).replace(honest(asked)[honest(asked).index("<s:status"):honest(asked).index("</s:status>") + len("</s:status>")], ""),
    "found, but nothing is there": lambda asked: memory.reply_body(asked, Outcome.DATA_FOUND, ""),
})  # fmt: skip
