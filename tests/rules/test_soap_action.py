"""Dispatch is on the element in the signed Body; whatever else names an operation must agree (H04, W21)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from gateway.agreement.admit import Terms, admit
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import load_register
from gateway.loading import contract_files
from gateway.model import Authority, AuthorityId, Caller, Request
from gateway.refusal import Code, Refusal
from tests.world import ACTION, NOW, SERVICE, WINDOW, accept, build, once, wsa

URL, WSA = "https://gateway.example.be/soap/v1", "http://www.w3.org/2005/08/addressing"

CONTRACTS = Path(__file__).parents[2] / "contracts"
COMMON = "http://workinginbelgium.be/types/Common/v1"
OTHER = f"{SERVICE}/consultDossier"


@cache
def agreement() -> Agreement:
    return load_agreement(contract_files(CONTRACTS))


@cache
def brussels() -> Authority:
    register = load_register((CONTRACTS / "register.toml").read_bytes(), "register.toml")
    return replace(register.by_id[AuthorityId("BRUSSELS")], signed_addressing=False)


def content() -> str:
    return (
        f'<s:sendTestMessage xmlns:s="{SERVICE}" xmlns:c="{COMMON}"><s:informationCustomer><c:ticket>T-1</c:ticket>'
        "<c:timestampSent>2026-06-01T09:00:00Z</c:timestampSent><c:customerIdentification>"
        f"<c:cbeNumber>{brussels().enterprise.cbe}</c:cbeNumber></c:customerIdentification></s:informationCustomer>"
        "<s:legalContext>WIB:TEST</s:legalContext><s:criteria><s:echo>good</s:echo></s:criteria></s:sendTestMessage>"
    )


def admitted(
    soap_action: str | None = None, blocks: str = "", body: str | None = None, *, signed_addressing=False
) -> Request:
    signed = ("body", "time", "action") if 'wsu:Id="action"' in blocks else ("body", "time")
    verified = accept(build(content=body or content(), blocks=blocks, signed=signed))
    caller = Caller(replace(brussels(), signed_addressing=signed_addressing), verified)
    return admit(caller, soap_action, agreement(), Terms(URL, WINDOW, test_numbers=True), NOW)


def code(*arguments, **changes) -> Code:
    with pytest.raises(Refusal) as caught:
        admitted(*arguments, **changes)
    return caught.value.code


ADDRESSED = {"the service": URL, "nobody in particular": f"{WSA}/anonymous"}


@pytest.mark.parametrize("to", ADDRESSED.values(), ids=ADDRESSED)
def test_a_message_for_this_service_is_admitted(to):
    assert admitted(blocks=wsa("To", to))


def test_a_message_for_another_service_is_refused():
    assert code(blocks=wsa("To", "https://gateway-test.example.be/soap/v1")) is Code.ADDRESSING


AGREEING = {
    "no action at all": (None, ""),
    "SOAPAction": (ACTION, ""),
    "wsa:Action": (None, wsa("Action", ACTION)),
    "both": (ACTION, wsa("Action", ACTION)),
    "a message id without action": (None, wsa("MessageID", "urn:x")),
}


@pytest.mark.parametrize(("soap_action", "blocks"), AGREEING.values(), ids=AGREEING)
def test_actions_that_agree_with_the_body_are_accepted(soap_action, blocks):
    assert admitted(soap_action, blocks).operation == "sendTestMessage"


DISAGREEING = {
    "SOAPAction of another operation": (OTHER, ""),
    "wsa:Action of another operation": (None, wsa("Action", OTHER)),
    "both of the same other operation": (OTHER, wsa("Action", OTHER)),
    "SOAPAction right, wsa:Action wrong": (ACTION, wsa("Action", OTHER)),
    "SOAPAction wrong, wsa:Action right": (OTHER, wsa("Action", ACTION)),
    "all three different": (OTHER, wsa("Action", f"{SERVICE}/consultStatus")),
    "an operation without its namespace": ("sendTestMessage", ""),
    "an action of nobody": (None, wsa("Action", "urn:x")),
    "an action with a blank": (f"{ACTION} ", ""),
}


@pytest.mark.parametrize(("soap_action", "blocks"), DISAGREEING.values(), ids=DISAGREEING)
def test_an_action_that_names_something_else_is_refused(soap_action, blocks):
    assert code(soap_action, blocks) is Code.ACTION


OPERATIONS = {
    "an operation of nobody": ("sendTestMessage", "sendMessage"),
    "another case": ("sendTestMessage", "SendTestMessage"),
    "a response": ("sendTestMessage", "sendTestMessageResponse"),
    "another namespace": (SERVICE, f"{SERVICE}/"),
    "no namespace": (f'xmlns:s="{SERVICE}"', f'xmlns:s="{COMMON}"'),
}


@pytest.mark.parametrize(("old", "new"), OPERATIONS.values(), ids=OPERATIONS)
def test_a_body_of_no_operation_is_refused(old, new):
    assert code(body=content().replace(old, new)) is Code.OPERATION


def test_a_fault_is_no_request():
    body = "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>x</faultstring></soap:Fault>"
    assert code(body=body) is Code.OPERATION


def test_addressing_must_be_signed_where_the_register_says_so():
    assert admitted(blocks=wsa("Action", ACTION, "action"), signed_addressing=True)
    assert code(blocks=wsa("Action", ACTION), signed_addressing=True) is Code.NOT_SIGNED
    assert code(signed_addressing=True) is Code.NOT_SIGNED
    one_unsigned = wsa("Action", ACTION, "action") + wsa("MessageID", "urn:x")
    assert code(blocks=one_unsigned, signed_addressing=True) is Code.NOT_SIGNED


def test_the_good_body_is_the_contracts():
    assert once(content(), "good", "better") != content()
    assert admitted(body=once(content(), "good", "better")).criteria.echo == "better"
