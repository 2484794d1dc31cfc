"""No wrapped message is read as anything but what was signed, though others would be deceived (S05–S16, S18, S41–S43)."""

from __future__ import annotations

import pytest

from gateway.agreement.admit import Terms, admit
from gateway.identity.authority import identify
from gateway.wss.profile import Window
from tests.path.hub import NOW, URL, agreement, certificates, register
from tests.world import accept
from tests.wrapping.count import of
from tests.wrapping.messages import SHAPES, Message, Shape, answers, requests

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

KINDS = {"requests": requests, "answers": answers}


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrapped_message_is_refused_or_read_as_it_was_signed(kind: str):
    counted = of(KINDS[kind]())
    assert counted.wrong == []
    assert counted.accepted == 0
    assert counted.distinct > 9_000
    assert counted.valid_by_add_ids > 1_000, "the generator has lost its teeth"
    assert counted.valid_by_register_id > 1_000
    assert counted.lie_in_place > 500
    assert counted.deceived > 100
    assert counted.inert < counted.generated // 20, "what changes nothing tries nothing"


def test_every_operation_of_the_agreement_is_attacked():
    assert {one.name for one in requests()} == set(agreement().operations)
    provided = {name for name, one in agreement().operations.items() if one.providers or one.recipients}
    assert {one.name for one in answers()} == {f"{name}Response" for name in provided}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("message", requests(), ids=lambda one: one.name)
def test_what_is_wrapped_is_a_request_that_the_gateway_admits(message: Message, shape: Shape):
    verified = accept(message.sign(shape), NOW)
    caller = identify(verified, message.signer, certificates(), register(), NOW)
    terms = Terms(URL, Window(), test_numbers=True)
    assert admit(caller, message.action, agreement(), terms, NOW).operation == message.name
    assert (verified.addressing is not None) is shape.addressed
