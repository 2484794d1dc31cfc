"""G and L: what the hub signs, and what it writes down, are its own words."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gateway.refusal import Code
from tests.attacks.case import MARK, Harmless, Refused, attack, attacks, outcome_of, scenario, signed_body
from tests.attacks.provider import honest, reply
from tests.attacks.target import ATTACKER, ECHO, OTHER, Answer, Message, Target, at_once
from tests.attacks.wire import headed
from tests.path import hub as memory
from tests.path.payloads import CANARY
from tests.process.commands import run
from tests.world import once, wsa

Made = Callable[[Message], bytes]


@attack("G01", "blocks that nobody signed", Harmless(), mark=False)
def _smuggled(target: Target, message: Message) -> Answer:
    blocks = f'<x:x xmlns:x="urn:x">{MARK}</x:x>' + wsa("MessageID", f"urn:{MARK}")
    answer = target.post(message.build(blocks=blocks))
    assert MARK.encode() not in target.provider.requests[-1]
    assert answer.body.count(MARK.encode()) == 1  # RelatesTo repeats the id, which was validated
    return answer


attacks(
    "G02",
    Code.OPERATION,
    {
        "an operation that is the attacker's text": lambda m: m.build(
            content=f'<x:{MARK} xmlns:x="urn:{MARK}">{MARK}</x:{MARK}>'
        )
    },
)
attacks("G02", Code.SCHEMA, {
    "an element that is the attacker's text": lambda m: m.build(content=once(m.draft.content, "<s:criteria>", f'<s:criteria><x:{MARK} xmlns:x="urn:{MARK}" a="{MARK}">{MARK}</x:{MARK}>')),
})  # fmt: skip
attacks(
    "G02",
    Code.ACTION,
    {"an action that is the attacker's text": lambda m: m.build(blocks=wsa("Action", f"urn:{MARK}"))},
)
attacks(
    "G02",
    Code.MUST_UNDERSTAND,
    {
        "a block that is the attacker's text": lambda m: m.build(
            blocks=f'<x:{MARK} xmlns:x="urn:{MARK}" soap:mustUnderstand="1">{MARK}</x:{MARK}>'
        )
    },
)
attacks(
    "G02",
    Code.ALGORITHM,
    {
        "an algorithm that is the attacker's text": lambda m: m.data.replace(
            b"xmldsig-more#rsa-sha256", f"xmldsig-more#{MARK}".encode()
        )
    },
)


def question_of_the_hub(target: Target) -> bytes:
    assert outcome_of(target.post(target.message(OTHER).data, OTHER)) == "accepted"
    return target.provider.requests[-1]


@scenario("G03", "a question that the hub signed, sent back to it", "WIB05002 authority-unknown")
def _reflected(target: Target) -> str:
    asked = question_of_the_hub(target)
    outcomes = {outcome_of(target.post(asked, name)) for name in ("PLATFORM", OTHER)}
    assert outcomes == {"WIB05002"}
    return "WIB05002"


@scenario("G03", "an answer that the hub signed, sent to it as a question", "WIB05002 authority-unknown")
def _answer_back(target: Target) -> str:
    answer = target.post(target.message(OTHER).data, OTHER)
    outcome = outcome_of(target.post(answer.body, OTHER))
    assert outcome == "WIB05002"
    return outcome


def inside(message: Message) -> bytes:
    """A whole signed message as content of another: it brings a security header and ids along."""
    return message.build(
        content=once(message.draft.content, "<s:criteria>", f"<s:criteria>{message.data.decode()}")
    )


attacks(
    "G05", Refused(Code.SECURITY_STRUCTURE, or_else=(Code.ID_FORM,)), {"a signed message in the Body": inside}
)


@scenario("G06", "a question with every criterion", "the provider reads what was verified")
def _what_was_checked(target: Target) -> str:
    message = target.message()
    assert outcome_of(target.post(message.data)) == "accepted"
    asked = target.provider.asked(target.provider.requests[-1])
    told = memory.messages.read_question(signed_body(target.provider.requests[-1]))
    assert asked == told
    assert (asked.operation, asked.legal_context) == ("consultDossier", "WIB:WORK_DECISION")
    assert (asked.criteria.dossier, asked.on_behalf.requester.cbe) == (
        memory.OTHER_DOSSIER,
        memory.authority("WALLONIA").enterprise.cbe,
    )
    assert message.ticket.encode() not in target.provider.requests[-1]  # it gets a ticket of the hub's
    return "the provider reads what was verified"


ARRIVE = {
    "a carriage return": "a&#xD;b", "a character beyond the first plane": "a\U0001f469b", "markup": "a&lt;b&gt;&amp;c",
    "a combining mark": "e\u0301", "128 characters": "x" * 128, "two blanks": "a  b",
}  # fmt: skip
NO_NAMES = {
    "DEL": "a\x7fb",
    "NEL": "a\x85b",
    "a line separator": "a\u2028b",
    "a direction mark": "a\u202eb",
}


@scenario("G07", "values that are easily changed on the way", "they arrive as they were sent")
def _round_trip(target: Target) -> str:
    for name, value in {**ARRIVE, **NO_NAMES}.items():

        def answer(http, data, value=value) -> None:
            body = honest(target.provider.asked(data)).replace(CANARY, value)
            reply(http, target.provider.signed(body))

        with target.provider.behaving(answer):
            back = target.post(target.message().data)
        if name in NO_NAMES:
            assert outcome_of(back) == "WIB09006", name
            continue
        told = [one.text for one in signed_body(back.body).iter("{*}familyName")]
        assert told == [memory.parse_verified(f"<x>{value}</x>".encode()).text], name
    return "they arrive as they were sent"


@scenario("G09", "two hundred messages at one moment", "every answer is validly signed")
def _parallel(target: Target) -> str:
    asked = [(name, target.message(name, **ECHO).data) for name in (ATTACKER, OTHER) * 100]
    outcomes = Counter(outcome_of(answer) for answer in at_once(target.patient, asked))
    assert outcomes == {"accepted": 200}
    return "every answer is validly signed"


BREAKS = {"a line feed": "&#10;", "CR LF": "&#13;&#10;", "a line separator": "\u2028", "NEL": "\x85"}
attacks("L01", Code.ADDRESSING, {
    f"{name} in a message id": lambda m, text=text: m.build(blocks=wsa("MessageID", f'urn:a{text}{{"event": "{MARK}"}}')) for name, text in BREAKS.items()
})  # fmt: skip
attacks("L01", Refused(Code.SCHEMA), {
    f"{name} in a dossier number": lambda m, text=text: m.build(content=once(m.draft.content, "WIB-2026-", f"WIB-2026-{text}{MARK}")) for name, text in BREAKS.items()
})  # fmt: skip


def spoken(text: str) -> Callable[[Target, Message], Answer]:
    """M, with this in every header that some server logs."""
    return lambda target, message: target.raw(
        headed(
            *(
                f"{name}: {text}"
                for name in ("User-Agent", "Referer", "X-Request-ID", "traceparent", "X-Forwarded-For")
            )
        )(target, message)
    )


attack("L02", "terminal control in headers", Harmless())(spoken(f"{MARK} \\x1b[2J"))
attack("L02", "bytes beyond ASCII in headers", Harmless())(spoken(f"{MARK} \xe2\x80\xae"))
attacks(
    "L02",
    Code.SCHEMA,
    {
        "a direction mark in a purpose": lambda m: m.build(
            content=once(m.draft.content, "WIB:WORK_DECISION", f"WIB:\u202e{MARK}")
        )
    },
)
attacks("L03", Code.ALGORITHM, {
    "a style sheet that prints": lambda m: m.data.replace(
        b'<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>',
        f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><xsl:message>{MARK}</xsl:message></xsl:template></xsl:stylesheet></ds:Transform>'.encode(), 1)
})  # fmt: skip


@scenario("L04", "sixty refusals with large headers and texts", "one short line each")
def _noise(target: Target) -> str:
    began = target.reading()
    for _ in range(20):
        target.raw(headed(f"X-A: {MARK * 1_200}")(target, target.message()))
        target.post(target.message().data, headers={"Content-Type": f"text/{MARK * 100}"})
        target.post(b"<" + MARK.encode() * 3_000)
    lines = target.lines(began.lines)
    assert len(lines) == 60
    assert max(map(len, lines)) < 500
    return "one short line each"


FORMATS = ("${jndi:ldap://127.0.0.1/x}", "%s%n%x", "{0.__class__}", "{{7*7}}")
for text in FORMATS:
    attack("L06", f"{text} in headers", Harmless())(spoken(text))
attacks("L06", Code.SCHEMA, {
    f"{text} in a purpose": lambda m, text=text: m.build(content=once(m.draft.content, ">WIB:WORK_DECISION<", f">{text}{MARK}<")) for text in FORMATS
})  # fmt: skip


TAMPERING = {
    "changed": "UPDATE entries SET leaf = CAST(replace(leaf, 'released', 'relexsed') AS BLOB) WHERE idx = 1",
    "removed": "DELETE FROM entries WHERE idx = 2",
    "put in another place": "UPDATE entries SET idx = 100 - idx WHERE idx IN (2, 3); UPDATE entries SET idx = 100 - idx + 1 WHERE idx = 98; UPDATE entries SET idx = 2 WHERE idx = 97",
    "cut off": "DELETE FROM entries WHERE idx > 3",
}


def verify_log(target: Target, store: Path) -> int:
    """Exit status of the officer's command."""
    settings = target.directory / "officer.toml"
    text = (target.directory / "gateway.toml").read_text()
    settings.write_text(once(text, f'"{target.settings.log.store.name}"', f'"{store}"'))
    return run("log", "verify", "--config", str(settings)).returncode


@scenario("L08", "an entry changed, removed, put in another place; the end cut off", "log verify finds each")
def _tampered(_: Target) -> str:
    with Target.running() as own:
        for _ in range(4):
            assert outcome_of(own.post(own.message().data)) == "accepted"
        own.stop()
        store = own.settings.log.store
        assert verify_log(own, store) == 0
        for name, statement in TAMPERING.items():
            copy = store.with_name("tampered.db")
            shutil.copy(store, copy)
            with closing(sqlite3.connect(copy)) as connection:
                connection.executescript(
                    "DROP TRIGGER entries_stay; DROP TRIGGER entries_remain; " + statement
                )
            assert verify_log(own, copy) != 0, name
    return "log verify finds each"


@scenario("L10", "names for the exchange that a peer chose", "the hub gives its own")
def _correlated(target: Target) -> str:
    began = target.reading()
    headers = {"X-Request-ID": MARK, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    assert outcome_of(target.post(target.message().data, headers=headers)) == "accepted"
    (line,) = (json.loads(one) for one in target.lines(began.lines))
    assert re.fullmatch(r"[0-9a-f-]{36}", line["exchange"])
    assert MARK not in json.dumps(line)
    return "the hub gives its own"
