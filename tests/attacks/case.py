"""What a case of the catalogue is, and how it is judged: the seven assertions that hold for every one.

G1 the provider saw nothing; G2 exactly one refusal is on record, with the right code, in lines that nobody can
break; G3 it cost less than a second of the hub's CPU and bounded memory; G4 no trap was touched; G5 the answer is
a signed fault or bare HTTP, without echo and without a word about the hub's inside; G6 the honest message is
accepted afterwards; G7 others are served. Wall-clock time is reported, never asserted: the machine is not ours alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.refusal import Category, Code
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.attacks.target import ATTACKER, CLOSED, OTHER, SECRET, Answer, Message, Reading, Target, until
from tests.rules.second_engine import xmlsec_verifies
from tests.world import good_message

MARK = "Mk7QzXw0"  # text of the attacker: comes back in no answer, stands in no line
MEMORY = 20_000_000  # bytes that an attack may cost
CPU = 1.0  # seconds of the hub's process
# What is refused once the caller is known is an entry of the exchange log (PROTOCOL §8.4).
_RECORDED = {Category.REQUEST, Category.POLICY, Category.PROVIDER, Category.GATEWAY}
_RECORDED_TOO = {Code.ACTION, Code.OPERATION, Code.CUSTOMER}
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
_INSIDE = re.compile(
    rb"Traceback|site-packages|\.py\b|/tmp/|lxml|aiohttp|libxml|openssl|sqlite", re.IGNORECASE
)

Launch = Callable[[Target, Message], bytes | Answer]


@dataclass(frozen=True)
class Refused:
    """The hub answers with this code; `forwarded`: after the provider was asked, whose fault it is.

    `or_else`: codes that are as good, where several checks stand in the way of one attack. `known`: the caller is
    known by then, though most refusals with this code come before that.
    """

    code: Code
    forwarded: bool = False
    or_else: tuple[Code, ...] = ()
    known: bool = False

    def __str__(self) -> str:
        return " or ".join(f"{code.row.code} {code.row.label}" for code in (self.code, *self.or_else))


@dataclass(frozen=True)
class Harmless:
    """Accepted: the honest question is answered as if nothing had been added to it."""

    def __str__(self) -> str:
        return "accepted, without effect"


@dataclass(frozen=True)
class Unheard:
    """No answer of the gateway: the connection ends, or plain HTTP says that there is nothing here."""

    status: int = 0

    def __str__(self) -> str:
        return "connection closed" if self.status == 0 else f"HTTP {self.status}"


Expected = Refused | Harmless | Unheard


@dataclass(frozen=True)
class Attack:
    """One input that must come to nothing. `base`: how M differs from the usual honest question."""

    row: str  # of the catalogue: "P05"
    flaw: str
    expected: Expected
    launch: Launch
    base: Mapping[str, object] = field(default_factory=dict)
    name: str = ATTACKER
    honest: str | None = None  # whose message must be accepted afterwards, if not the same authority's
    burns: bool = False  # M itself was accepted on the way: another honest message must be, afterwards
    anonymous: bool = False  # refused before the caller is known, though most refusals with the code are not
    others: int = 0  # messages of another authority that the hub answered itself meanwhile
    after_record: bool = False  # refused after commit 1, though the provider saw nothing
    mark: bool = True  # the attacker's mark may come back nowhere

    def __str__(self) -> str:
        return f"{self.row} {self.flaw}"


@dataclass(frozen=True)
class Scenario:
    """A row that takes more than one message; `play` asserts for itself, and returns what it saw."""

    row: str
    flaw: str
    expected: str
    play: Callable[[Target], str]

    def __str__(self) -> str:
        return f"{self.row} {self.flaw}"


@dataclass(frozen=True)
class Got:
    """What the table prints of a case."""

    outcome: str
    seconds: float
    cpu: float
    memory: int


CASES: list[Attack | Scenario] = []


def attack(row: str, flaw: str, code: Code | Expected, **more: object) -> Callable[[Launch], Launch]:
    """Put a function into the catalogue: given the target and M, it returns the bytes to post instead, or an answer."""
    expected = Refused(code) if isinstance(code, Code) else code

    def enter(launch: Launch) -> Launch:
        CASES.append(Attack(row, flaw, expected, launch, **more))
        return launch

    return enter


def attacks(
    row: str, code: Code | Expected, flaws: Mapping[str, Callable[[Message], bytes]], **more: object
) -> None:
    """The same for a table of functions of M."""
    for flaw, made in flaws.items():
        attack(row, flaw, code, **more)(lambda _, message, made=made: made(message))


def known(
    row: str, code: Code | Expected, table: Mapping[str, Callable[[], bytes]], *flaws: str, **more: object
) -> None:
    """The same for flaws of a table that breaks the good message: here that is M."""
    for flaw in flaws:
        attack(row, flaw, code, **more)(lambda _, message, made=table[flaw]: _broken(message, made))


def _broken(message: Message, made: Callable[[], bytes]) -> bytes:
    with good_message(message.draft):
        return made()


def scenario(
    row: str, flaw: str, expected: str
) -> Callable[[Callable[[Target], str]], Callable[[Target], str]]:
    """Put a function into the catalogue that plays and judges by itself."""

    def enter(play: Callable[[Target], str]) -> Callable[[Target], str]:
        CASES.append(Scenario(row, flaw, expected, play))
        return play

    return enter


def judge(target: Target, case: Attack | Scenario) -> Got:
    """Play one case and hold it against G1 to G7. Raises AssertionError."""
    began, floor = target.reading(target.refused), target.forget_peak()
    target.refused = None
    if isinstance(case, Scenario):
        outcome, seconds = case.play(target), 0.0
        ended = target.reading()
        assert ended.trapped == began.trapped, "G4"
    else:
        outcome, seconds, ended = _judged(target, case, began, floor)
    _require_served(target)
    return Got(outcome, seconds, ended.cpu - began.cpu, target.peak() - floor)


def _judged(target: Target, case: Attack, began: Reading, floor: int) -> tuple[str, float, Reading]:
    message = target.message(case.honest or case.name, **case.base)
    launched = case.launch(target, message)
    answer = target.post(launched, case.name) if isinstance(launched, bytes) else launched
    outcome = outcome_of(answer)
    ended = _settled(target, case.expected, began)
    cost = target.peak() - floor
    assert outcome in _outcomes(case.expected), f"{outcome}, where {case.expected} was expected"
    _require_recorded(target, case, outcome, began, ended)
    assert ended.cpu - began.cpu < CPU, "G3"
    assert cost < MEMORY, f"G3: {cost:,} bytes"
    assert ended.trapped == began.trapped, "G4"
    _require_silent(case, answer)
    name = case.honest or case.name
    used = case.burns or case.after_record or (isinstance(case.expected, Refused) and case.expected.forwarded)
    honest = target.message(name, **case.base) if used else message
    if not isinstance(case.expected, Harmless):
        assert outcome_of(target.post(honest.data, name)) == "accepted", "G6"
    target.refused = (
        ended.refusals
    )  # nothing is to be refused until the next case: if something is, that case tells
    return outcome, answer.seconds, ended


def outcome_of(answer: Answer) -> str:
    """Code of a refusal, `accepted`, or the HTTP status of what is neither."""
    if answer == CLOSED or answer.status == 0:
        return "closed"
    if answer.headers.get("Content-Type", "").startswith("text/plain"):
        text = answer.body.decode()
        return text[:8] if text.startswith("WIB") else f"HTTP {answer.status}"
    body = signed_body(answer.body)
    codes = [text[:8] for text in body.itertext() if re.match(r"WIB\d{5}", text) and "[incident" in text]
    assert answer.status == (500 if codes else 200)
    return codes[0] if codes else "accepted"


def signed_body(data: bytes):
    """The element in the Body of what the hub signed, by two independent verifiers."""
    xmlsec_verifies(data)
    return parse_verified(verify(read(data, Limits()), Window(), datetime.now(UTC)).body)[0]


def _outcomes(expected: Expected) -> set[str]:
    match expected:
        case Refused(code):
            return {one.row.code for one in (code, *expected.or_else)}
        case Harmless():
            return {"accepted"}
        case Unheard(0):
            return {"closed"}
        case Unheard(status):
            return {f"HTTP {status}"}


def _settled(target: Target, expected: Expected, began: Reading) -> Reading:
    """The instruments once the refusal is on record, which may be a moment after the answer."""
    ended = target.reading()
    if isinstance(expected, Refused):
        while not sum((ended.refusals - began.refusals).values()):
            until(lambda: target.refusals() != began.refusals)
            ended = target.reading()
    return ended


def _require_recorded(target: Target, case: Attack, outcome: str, began: Reading, ended: Reading) -> None:
    refusals = ended.refusals - began.refusals
    entries = ended.entries - began.entries
    asked = ended.asked - began.asked
    lines = [json.loads(line) for line in target.lines(began.lines)]
    codes = [line["code"] for line in lines if line.get("code")]
    expected = case.expected
    if not isinstance(expected, Refused):
        assert not codes, "G2"
        assert sum(refusals.values()) == 0, "G2"
        assert asked <= int(isinstance(expected, Harmless)), "G1"
        return
    code = next(one for one in Code if one.row.code == outcome)
    assert asked == expected.forwarded + case.burns, "G1"
    assert refusals == {code.row.label: 1}, f"G2: {refusals}"
    assert codes == [code.row.code], f"G2: {codes}"
    known_ = expected.known or code.row.category in _RECORDED or code in _RECORDED_TOO
    recorded = code.row.http == 500 and known_ and not case.anonymous
    earlier = 2 * (case.burns + case.others) + (expected.forwarded or case.after_record)
    assert entries == recorded + earlier, f"G2: {entries} entries"
    if recorded:
        entry = target.entry(ended.entries - 1)
        assert (entry["kind"], entry["decision"]) == ("refusal", code.row.code), "G2"
    assert MARK not in json.dumps(lines), "G2"
    assert SECRET not in json.dumps(lines), "G2"


def _require_silent(case: Attack, answer: Answer) -> None:
    told = answer.body + repr(dict(answer.headers)).encode()
    assert SECRET.encode() not in told, "G5"
    assert not case.mark or MARK.encode() not in told, "G5"
    words = _BASE64.sub(
        b"", told
    )  # signatures, digests and certificates hold any four letters once in a while
    assert not _INSIDE.search(words), f"G5: {_INSIDE.search(words)}"


def _require_served(target: Target) -> None:
    assert outcome_of(target.post(target.message(OTHER).data, OTHER)) == "accepted", "G7"


_FAMILIES = {"P": 42, "H": 30, "S": 50, "K": 28, "W": 26, "I": 9, "Z": 10, "R": 17, "G": 9, "L": 10, "A": 10}
# Every row of the catalogue (tests/ATTACKS.md).
ROWS = [f"{letter}{number:02}" for letter, count in _FAMILIES.items() for number in range(1, count + 1)]
