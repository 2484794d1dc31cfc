"""How many wrapped messages there are, how many a careless verifier takes, and that ours takes none.

Of each message only some variants are tried in the test-suite: where one operation stops in one version of SOAP, the
next begins, so that together they try every variant, with and without addressing. `python -m tests.wrapping` tries
all on all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import islice, product

from lxml import etree

from gateway.model import SoapVersion, Verified
from gateway.refusal import Refusal
from tests.path.hub import NOW
from tests.rules.second_engine import xmlsec_as_usually_called_verifies, xmlsec_with_registered_ids_verifies
from tests.world import accept
from tests.wrapping.doubles import doubles
from tests.wrapping.messages import EVIL, SHAPES, Message, Shape, answers, requests, ticket_of
from tests.wrapping.moves import Plan, moves

_OTHERS_EVERY = 3  # xmlsec takes longer than everything else: of a sample it judges one message in three


@dataclass
class Count:
    """What became of the messages. All of them are ours to judge; xmlsec judges `judged` of them."""

    operations: int = 0
    originals: int = 0  # accepted by us and by xmlsec, all of them
    generated: int = 0
    distinct: int = 0
    accepted: int = 0  # read as something else than what was signed: none
    inert: int = 0  # a header block that nobody reads was added: taken, and read as it was signed
    judged: int = 0
    valid_by_add_ids: int = 0  # for xmlsec, every attribute named Id being an id
    valid_by_register_id: int = 0  # for xmlsec, every wsu:Id registered, repeated ones refused
    lie_in_place: int = 0  # valid by add_ids, and the lie stands where the signed part belongs
    deceived: int = 0  # valid by add_ids, and the first Body of the document lies
    wrong: list[str] = field(default_factory=list)  # the sentences of what was accepted

    def __add__(self, other: Count) -> Count:
        return Count(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __str__(self) -> str:
        return (
            f"wrapping: {self.distinct} distinct messages from {self.originals} signed ones of {self.operations}"
            f" operations: {self.accepted} accepted, {self.inert} inert. Of {self.judged}, xmlsec with add_ids calls"
            f" {self.valid_by_add_ids} valid ({self.lie_in_place} with a lie in the signed part's place,"
            f" {self.deceived} with a lie in the first Body), with register_id {self.valid_by_register_id}"
        )


def count(*, everything: bool = False) -> dict[str, object]:
    """Over requests and answers. `everything`: each variant of each message in each shape."""
    return asdict(total(everything=everything))


def total(*, everything: bool = False) -> Count:
    """The same, to print."""
    tried = [of(kind, everything=everything) for kind in (requests(), answers())]
    return tried[0] + tried[1]


def of(messages: tuple[Message, ...], *, everything: bool = False) -> Count:
    """Over some messages, in all shapes."""
    found, seen = Count(operations=len(messages)), set[bytes]()
    for number, (message, shape) in enumerate(product(messages, SHAPES)):
        step = 1 if everything else len(messages) * len(SoapVersion)
        _try(message, shape, number // 2 % step, step, found, seen)
    found.distinct = len(seen)
    return found


def plans(message: Message, shape: Shape, data: bytes, first: int, step: int) -> Iterator[Plan]:
    """One in `step` of the variants of a signed message."""
    yield from moves(data, first, step)
    yield from islice(doubles(data, message, shape), first, None, step)


def _try(message: Message, shape: Shape, first: int, step: int, found: Count, seen: set[bytes]) -> None:
    data = message.sign(shape)
    signed = accept(data, NOW)
    assert xmlsec_as_usually_called_verifies(data), message.name
    found.originals += 1
    for plan in plans(message, shape, data, first, step):
        attack = plan.make()
        seen.add(hashlib.sha256(attack).digest())
        found.generated += 1
        judge(f"{message.name}, {shape}: {plan.sentence}", plan, attack, signed, found)
        if step == 1 or found.generated % _OTHERS_EVERY == 0:
            _ask_others(plan, attack, found)


def judge(sentence: str, plan: Plan, attack: bytes, signed: Verified, found: Count) -> None:
    """By our verifier, which may only refuse, or read what was signed."""
    try:
        verified = accept(attack, NOW)
    except Refusal:
        pass
    else:
        if plan.refused or not reads_the_same(verified, signed):
            found.accepted += 1
            found.wrong.append(sentence)
        else:
            found.inert += 1


def _ask_others(plan: Plan, attack: bytes, found: Count) -> None:
    found.judged += 1
    if xmlsec_as_usually_called_verifies(attack):
        found.valid_by_add_ids += 1
        found.lie_in_place += plan.lie
        found.deceived += first_ticket(attack) == EVIL
        found.valid_by_register_id += xmlsec_with_registered_ids_verifies(attack)


def reads_the_same(verified: Verified, signed: Verified) -> bool:
    """Are later stages told what was signed? A block added to signed addressing makes all of it unsigned."""
    same = (verified.body, verified.created, verified.certificate, verified.signature) == (
        signed.body,
        signed.created,
        signed.certificate,
        signed.signature,
    )
    return same and (verified.addressing == signed.addressing or not verified.addressing_signed)


def first_ticket(data: bytes) -> str:
    """What an application reads that looks for its Body from the root down."""
    body = next(etree.fromstring(data).iter("{*}Body"), None)
    return "" if body is None else ticket_of(body)
