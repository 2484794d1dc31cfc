"""Wrapped messages through the whole gateway: nobody is asked, nothing is recorded, no answer is believed (R03)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain, islice, product

import pytest

from gateway.agreement.messages import Question
from gateway.agreement.notices import Notice
from gateway.model import SERVICE, Authority, Criteria, Outcome
from gateway.refusal import Code
from tests.path.hub import DOSSIER, SSIN, Hub, acknowledgement, payload, reply_body
from tests.path.notifying import declare, drain, states
from tests.path.payloads import DIGEST
from tests.wrapping.count import plans
from tests.wrapping.doubles import doubles
from tests.wrapping.messages import SHAPES, Message, Shape, requests
from tests.wrapping.moves import Plan, moves

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

BEFORE_THE_SIGNER_IS_KNOWN = {"WIB02", "WIB03", "WIB04"}
EVERY = 301  # variants; odd, so that twins are moved and added by turns
HONEST = {
    "consultDossier": ("BRUSSELS", "WIB:WORK_DECISION", Criteria(DOSSIER)),
    "consultSocialSecurityStatus": ("IMMIGRATION_OFFICE", "WIB:RESIDENCE_DECISION", Criteria(DOSSIER, ssin=SSIN)),
    "retrieveDocument": (
        "BRUSSELS",
        "WIB:WORK_DECISION",
        Criteria(DOSSIER, document_reference="DOC-1", document_type="CONTRACT", document_sha256=DIGEST),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_a_wrapped_request_is_refused_before_its_signer_is_known(hub: Hub, shape: Shape):
    tried = 0
    for number, message in enumerate(requests()):
        for plan in plans(message, shape, message.sign(shape), number, EVERY):
            if plan.refused:
                answered = await hub.send(message.signer.id, plan.make(), version=shape.version)
                assert answered.code, plan.sentence
                assert answered.code[:5] in BEFORE_THE_SIGNER_IS_KNOWN, plan.sentence
                tried += 1
    assert tried > 100
    assert hub.entries() == []
    assert not hub.asked


def variants(message: Message, shape: Shape, data: bytes, first: int, step: int) -> Iterator[Plan]:
    """Of an answer that is made anew for each question, one variant; the same number gives the same."""
    every = chain(moves(data), doubles(data, message, shape))
    return (plan for plan in islice(every, first, None, step) if plan.refused)


def wrapping(shape: Shape, number: int):
    """A provider that answers the question with a wrapped message, or with the signed one itself (-1)."""

    def answer(hub: Hub, provider: Authority, asked: Question) -> bytes:
        content = reply_body(asked, Outcome.DATA_FOUND, payload(asked, provider))
        return made(Message(asked.operation, f"{SERVICE}/answer", provider, content), shape, number, hub)

    return answer


def made(message: Message, shape: Shape, number: int, hub: Hub) -> bytes:
    data = message.sign(shape, hub.now)
    return data if number < 0 else next(variants(message, shape, data, number, 1)).make()


@pytest.mark.parametrize(("operation", "shape"), list(product(HONEST, SHAPES)), ids=str)
async def test_a_wrapped_answer_is_not_believed(hub: Hub, operation: str, shape: Shape):
    name, context, criteria = HONEST[operation]
    for number in (-1, *range(0, 1_500, 97)):
        hub.answering = dict.fromkeys(("PLATFORM", "NSSO"), wrapping(shape, number))
        answered = await hub.consult(name, operation, context, criteria)
        assert answered.code == (None if number < 0 else Code.PROVIDER_SECURITY.row.code), number


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_a_wrapped_acknowledgement_settles_nothing(hub: Hub, shape: Shape):
    def take(hub: Hub, recipient: Authority, notice: Notice) -> bytes:
        content = acknowledgement(notice.question)
        message = Message("acknowledged", f"{SERVICE}/answer", recipient, content)
        return made(message, shape, numbers[0], hub)

    numbers = [*range(0, 1_500, 97), -1]
    await hub.dossier(DOSSIER, "CARD_ISSUED")
    assert (await declare(hub)).code is None
    hub.receiving = dict.fromkeys(("PLATFORM", "BRUSSELS", "IMMIGRATION_OFFICE", "NSSO"), take)
    while numbers[0] >= 0:
        events = await drain(hub)
        assert {event.code for event in events} == {Code.PROVIDER_SECURITY}
        hub.now += timedelta(hours=2)
        del numbers[0]
    await drain(hub)
    assert {state for _, state in states(hub)} == {"settled"}
