"""W: times, addresses, and messages that are sent again."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.refusal import Code
from gateway.wss import times
from tests.attacks.case import MARK, Harmless, Refused, attack, attacks, known, outcome_of, scenario
from tests.attacks.signature import CONSULT, rewritten
from tests.attacks.target import ECHO, OTHER, Message, Target
from tests.rules.test_soap_envelope import ADDRESSING_2004
from tests.rules.test_wss_structure import STRUCTURE
from tests.rules.test_wss_times import NOT_READ
from tests.world import ANONYMOUS, once, reply_to, wsa

Made = Callable[[Message], bytes]
KNOWN = Refused(Code.ADDRESSING, known=True)


def timed(created: timedelta, lifetime: timedelta = timedelta(minutes=5)) -> Made:
    """M, created so long from now."""

    def made(message: Message) -> bytes:
        moment = datetime.now(UTC) + created
        return message.build(created=times.write(moment), expires=times.write(moment + lifetime))

    return made


def edited(pattern: str, new: str) -> Made:
    """M with its Timestamp edited before signing."""

    def made(message: Message) -> bytes:
        old = re.search(pattern, message.draft.text())[0]
        return message.build(edit=((old, re.sub(pattern, new, old)),))

    return made


CREATED, EXPIRES = r"<wsu:Created>[^<]*</wsu:Created>", r"<wsu:Expires>[^<]*</wsu:Expires>"
known("W01", Code.SECURITY_STRUCTURE, STRUCTURE, "no Timestamp")
attacks("W01", Code.TIMESTAMP, {"no Created": edited(CREATED, ""), "no Expires": edited(EXPIRES, "")})
known("W02", Code.SECURITY_STRUCTURE, STRUCTURE, "two Timestamps", "a second Timestamp in a block")
attacks(
    "W02",
    Code.TIMESTAMP,
    {"two Created": edited(f"({CREATED})", r"\1\1"), "two Expires": edited(f"({EXPIRES})", r"\1\1")},
)
attacks("W03", Code.EXPIRED, {
    "expired a second ago": timed(timedelta(minutes=-1), timedelta(seconds=59)),
    "expired a day ago": timed(timedelta(days=-1)),
    "created an hour ago, with time to live": timed(timedelta(minutes=-59), timedelta(hours=1)),
})  # fmt: skip
attacks("W03", Code.TIMESTAMP, {"ten years to live": timed(timedelta(), timedelta(days=3650))})
attacks("W04", Code.FUTURE, {
    "created two minutes ahead": timed(timedelta(minutes=2)),
    "created a year ahead": timed(timedelta(days=365)),
})  # fmt: skip
attacks("W05", Code.TIMESTAMP, {
    "Expires before Created": timed(timedelta(), timedelta(seconds=-5)),
    "Expires equal to Created": timed(timedelta(), timedelta()),
})  # fmt: skip
attacks(
    "W06",
    Code.EXPIRED,
    {"older than the window by seconds": timed(timedelta(seconds=-303), timedelta(minutes=20))},
)
attacks("W06", Code.FUTURE, {"ahead of the skew by seconds": timed(timedelta(seconds=75))})
attacks("W06", Harmless(), {
    "inside the window by seconds": timed(timedelta(seconds=-280), timedelta(minutes=20)),
    "inside the skew by seconds": timed(timedelta(seconds=45)),
})  # fmt: skip
attacks("W07", Code.TIMESTAMP, {
    f"Created is {name}": lambda m, written=written: m.build(created=written)
    for name, written in NOT_READ.items()
    if "\0" not in written and written == written.strip()
})  # fmt: skip


def again(made: Made) -> Callable[[Target, Message], bytes]:
    """First M is accepted; then this is sent."""

    def launch(target: Target, message: Message) -> bytes:
        assert outcome_of(target.post(message.data)) == "accepted"
        return made(message)

    return launch


AGAIN = {
    "W08": ("the same bytes", lambda m: m.data),
    "W09": ("the same message in other bytes", lambda m: rewritten(m, "white space between blocks")),
    "W10": ("the same ticket, signed anew with times of now", timed(timedelta(seconds=2))),
    "W17": ("the same ticket for another question", lambda m: m.build(content=m.draft.content.replace("consultDossier", "consultStatus"))),
}  # fmt: skip
for row, (flaw, made) in AGAIN.items():
    attack(row, flaw, Code.TICKET, burns=True)(again(made))


@scenario("W11", "the same bytes after the hub was killed and started again", "WIB06005 ticket-duplicate")
def _killed(_: Target) -> str:
    with Target.running() as own:
        message = own.message()
        assert outcome_of(own.post(message.data)) == "accepted"
        own.restart(signal.SIGKILL)
        asked = len(own.provider.requests)
        outcome = outcome_of(own.post(message.data))
        assert (outcome, len(own.provider.requests)) == ("WIB06005", asked)
        return outcome


@scenario("W12", "the same bytes to another process of the hub", "WIB06005 ticket-duplicate")
def _elsewhere(target: Target) -> str:
    message = target.message()
    assert outcome_of(target.post(message.data)) == "accepted"
    asked = len(target.provider.requests)
    with target.second() as address:
        outcome = outcome_of(target.post(message.data, address=address))
    assert (outcome, len(target.provider.requests)) == ("WIB06005", asked)
    return outcome


@scenario("W13", "fifty times the same bytes at one moment", "one is accepted")
def _race(target: Target) -> str:
    message, outcomes, began = target.message(), Counter[str](), len(target.provider.requests)

    def send() -> None:
        outcomes[outcome_of(target.post(message.data))] += 1

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"accepted": 1, "WIB06005": 49}
    assert len(target.provider.requests) == began + 1
    return "one is accepted"


@scenario("W14", "the first bytes again after hundreds of other messages", "WIB06005 ticket-duplicate")
def _flood(target: Target) -> str:
    first = target.message()
    assert outcome_of(target.post(first.data)) == "accepted"
    flood = target.post_in_turn(target.message(**ECHO).data for _ in range(200))
    assert {outcome_of(answer) for answer in flood} == {"accepted"}
    outcome = outcome_of(target.post(first.data))
    assert outcome == "WIB06005"
    return outcome


@attack(
    "W15",
    "the ticket of another authority's message, under a broken signature, before it comes",
    Code.SIGNATURE,
)
def _poisoned(target: Target, message: Message) -> bytes:
    return message.data.replace(b">WIB:WORK_DECISION<", b">WIB:RENEWAL<")


@scenario("W16", "the same ticket from two authorities", "both are accepted")
def _two(target: Target) -> str:
    mine, other = target.message(), target.message(OTHER)
    content = once(other.draft.content, other.ticket, mine.ticket)
    assert outcome_of(target.post(sign_with(other, content), OTHER)) == "accepted"
    assert outcome_of(target.post(mine.data)) == "accepted"
    return "both are accepted"


def sign_with(message: Message, content: str) -> bytes:
    return message.build(content=content)


UUID = "urn:uuid:0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c"


def blocks(text: str) -> Made:
    return lambda message: message.build(blocks=text)


attacks("W18", Code.ADDRESSING, {
    name: blocks(wsa("MessageID", value))
    for name, value in {
        "an empty message id": "", "a relative message id": MARK, "a message id with blanks": f"urn:a {MARK}",
        "a message id with a line break": f"urn:a&#10;{MARK}", "a message id with markup": f"urn:&lt;{MARK}&gt;",
        "a message id of 10,000 characters": "urn:" + MARK * 1_000, "a message id beyond ASCII": "urn:é",
    }.items()
})  # fmt: skip
attacks("W18", Code.SCHEMA, {
    f"a ticket {name}": lambda m, value=value: m.build(content=once(m.draft.content, f">{m.ticket}<", f">{value}<"))
    for name, value in {"that is empty": "", "of 37 characters": "x" * 37, "with a line break": "a&#10;b"}.items()
})  # fmt: skip
attacks("W20", KNOWN, {
    "for another gateway": blocks(wsa("To", "https://gateway-test.example.be/soap/v1")),
    "for an address that only begins well": blocks(wsa("To", "https://gateway.example.be/soap/v1/x")),
})  # fmt: skip
attacks(
    "W20", Code.ADDRESSING, {"two To": blocks(wsa("To", ANONYMOUS) * 2), "an empty To": blocks(wsa("To", ""))}
)
attacks("W21", Code.ACTION, {
    "an action of another operation": blocks(wsa("Action", CONSULT.replace("consultDossier", "consultStatus"))),
    "an action of nobody": blocks(wsa("Action", f"urn:{MARK}")),
})  # fmt: skip
attacks("W21", Code.ADDRESSING, {"two actions": blocks(wsa("Action", CONSULT) * 2)})
for name in ("ReplyTo", "FaultTo"):
    for flaw, address in {
        "to a host": "{trap}",
        "by mail": "mailto:x@127.0.0.1",
        "to nobody": "http://www.w3.org/2005/08/addressing/none",
    }.items():

        @attack("W22", f"{name} {flaw}", Code.ADDRESSING)
        def _reply(target: Target, message: Message, name: str = name, address: str = address) -> bytes:
            return message.build(blocks=reply_to(address.replace("{trap}", target.trap.url), name))


attacks("W22", Code.ADDRESSING, {
    "ReplyTo with reference parameters": blocks(wsa("ReplyTo", f"<wsa:Address>{ANONYMOUS}</wsa:Address><wsa:ReferenceParameters><x/></wsa:ReferenceParameters>")),
})  # fmt: skip


@attack("W23", "ReplyTo leads to the hub itself", Code.ADDRESSING)
def _loop(target: Target, message: Message) -> bytes:
    return message.build(blocks=reply_to(target.url))


attacks("W24", Harmless(), {"RelatesTo in a request": blocks(wsa("RelatesTo", UUID))})
attacks("W24", Code.ADDRESSING, {"two RelatesTo": blocks(wsa("RelatesTo", UUID) * 2)})
attacks(
    "W25",
    Harmless(),
    {"addressing of 2004 that says otherwise": blocks(ADDRESSING_2004.format("") + wsa("Action", CONSULT))},
)
attacks(
    "W25",
    Code.MUST_UNDERSTAND,
    {
        "addressing of 2004 that must be understood": blocks(
            ADDRESSING_2004.format(' soap:mustUnderstand="1"')
        )
    },
)
attacks("W26", Code.MUST_UNDERSTAND, {
    f"{name} that must be understood": blocks(f'<r:{tag} xmlns:r="{uri}" soap:mustUnderstand="1"/>')
    for name, (tag, uri) in {
        "reliable messaging": ("Sequence", "http://docs.oasis-open.org/ws-rx/wsrm/200702"),
        "a transfer": ("ResourceTransfer", "http://schemas.xmlsoap.org/ws/2006/08/resourceTransfer"),
        "a coordination": ("CoordinationContext", "http://docs.oasis-open.org/ws-tx/wscoor/2006/06"),
    }.items()
})  # fmt: skip
