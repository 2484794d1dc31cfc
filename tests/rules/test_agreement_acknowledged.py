"""A delivery has ended only when its recipient says so, of this delivery, in the contract's form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from gateway.agreement.acknowledged import acknowledged
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.messages import Customer, Question, answered, write_reply
from gateway.agreement.notices import write_acknowledgement
from gateway.agreement.register import Register, load_register
from gateway.loading import contract_files
from gateway.model import (
    Acknowledgement,
    AuthorityId,
    Caller,
    Criteria,
    Delivery,
    DossierNumber,
    ExchangeId,
    LegalContext,
    Notification,
    OperationName,
    Outcome,
    SoapVersion,
    Ticket,
)
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import without_appeals
from tests.world import NOW, accept, build

CONTRACTS = Path(__file__).parents[2] / "contracts"
ID = ExchangeId("0190a2c4-5b6d-4e8f-9a0b-1c2d3e4f5061")
DOSSIER = DossierNumber("WIB-2026-0000001-59")
CONTEXT = LegalContext("WIB:RESIDENCE_DECISION")
DELIVERY = Delivery(
    id=ID,
    notification=Notification(
        exchange=ExchangeId("0190a2c4-5b6d-4e8f-9a0b-1c2d3e4f5062"),
        sender=AuthorityId("BRUSSELS"),
        operation=OperationName("notifyWorkDecision"),
        dossier=DOSSIER,
        revision="00",
        status="WORK_GRANTED",
        accepted=NOW,
        payload=b"",
    ),
    recipient=AuthorityId("IMMIGRATION_OFFICE"),
    legal_context=CONTEXT,
    attempts=0,
    recorded=True,
)


@cache
def agreement() -> Agreement:
    return load_agreement(contract_files(CONTRACTS))


@cache
def register() -> Register:
    return load_register((CONTRACTS / "register.toml").read_bytes(), "register.toml")


def told(operation: str = "notifyWorkDecision") -> Question:
    """The blocks of the message that the hub brought."""
    customer = Customer(Ticket(ID), NOW, register().hub.enterprise)
    return Question(OperationName(operation), customer, None, CONTEXT, Criteria(DOSSIER))


def given(body: str, version: SoapVersion = SoapVersion.V11) -> bytes:
    recipient = Caller(register().by_id[DELIVERY.recipient], accept(build(content=body, version=version)))
    return acknowledged(recipient, Ticket(ID), DELIVERY, agreement(), agreement())


def refused(body: str, version: SoapVersion = SoapVersion.V11) -> Code:
    with pytest.raises(Refusal) as caught:
        given(body, version)
    return caught.value.code


OK = Acknowledgement.OK


@pytest.mark.parametrize("version", SoapVersion)
def test_an_acknowledgement_of_this_delivery_is_accepted_and_its_signature_kept(version):
    data = build(content=write_acknowledgement(told(), "", OK), version=version)
    verified = accept(data)
    recipient = Caller(register().by_id[DELIVERY.recipient], verified)
    terms = agreement()
    assert acknowledged(recipient, Ticket(ID), DELIVERY, terms, terms) == verified.signature


def test_it_may_be_of_the_contract_of_the_acceptance_or_of_the_one_in_force_and_of_no_other():
    notification = replace(DELIVERY.notification, operation=OperationName("notifyAppeal"))
    appeal = replace(DELIVERY, notification=notification)
    verified = accept(build(content=write_acknowledgement(told("notifyAppeal"), "", OK)))
    recipient = Caller(register().by_id[DELIVERY.recipient], verified)
    dropped = without_appeals()
    for terms in ((agreement(), dropped), (dropped, agreement())):
        assert acknowledged(recipient, Ticket(ID), appeal, *terms) == verified.signature
    with pytest.raises(Refusal) as caught:
        acknowledged(recipient, Ticket(ID), appeal, dropped, dropped)
    assert caught.value.code is Code.PROVIDER_SCHEMA


MISMATCHES = {
    "another ticket": replace(told(), customer=replace(told().customer, ticket=Ticket("T-1"))),
    "another context": replace(told(), legal_context=LegalContext("WIB:APPEAL")),
    "another dossier": replace(told(), criteria=Criteria(DossierNumber("WIB-2026-0000002-58"))),
    "another operation": replace(told(), operation=OperationName("notifyRevocation")),
}


@pytest.mark.parametrize("question", MISMATCHES.values(), ids=MISMATCHES)
def test_an_acknowledgement_of_something_else_is_none(question):
    assert refused(write_acknowledgement(question, "", OK)) is Code.PROVIDER_MISMATCH


def test_the_message_sent_back_is_no_acknowledgement():
    assert refused(write_acknowledgement(told(), "", OK).replace("Response", "")) is Code.PROVIDER_MISMATCH


def test_an_answer_to_a_question_is_no_acknowledgement():
    body = write_reply(told(), "", answered(Outcome.DATA_FOUND, ()), (), "")
    assert refused(body) is Code.PROVIDER_SCHEMA


def test_a_recipient_that_could_not_take_it_over_has_not():
    assert refused(write_acknowledgement(told(), "", Acknowledgement.NOK)) is Code.PROVIDER_FAULT


FAULTS = {
    SoapVersion.V11: "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>x</faultstring></soap:Fault>",
    SoapVersion.V12: (
        "<soap:Fault><soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code>"
        '<soap:Reason><soap:Text xml:lang="en">x</soap:Text></soap:Reason></soap:Fault>'
    ),
}


@pytest.mark.parametrize("version", SoapVersion)
def test_a_fault_is_no_acknowledgement(version):
    assert refused(FAULTS[version], version) is Code.PROVIDER_FAULT
