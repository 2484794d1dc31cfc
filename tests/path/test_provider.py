"""PROTOCOL §9: the provider is half trusted. An honest provider, with one flaw each time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from gateway.agreement import messages
from gateway.model import Criteria, Outcome, SoapVersion, Ticket
from gateway.refusal import Code, Refusal
from tests.path import payloads
from tests.path.hub import DOSSIER, OTHER_DOSSIER, SSIN, Hub, answer_well, payload, reply_body, sign_as
from tests.path.payloads import CANARY, D

WORK = "WIB:WORK_DECISION"


def body(asked: messages.Question, provider, **change: object) -> str:
    return reply_body(asked, Outcome.DATA_FOUND, payload(asked, provider), **change)


def unsigned(hub, provider, asked):
    return f'<e:Envelope xmlns:e="{SoapVersion.V11.value}"><e:Header/><e:Body>{body(asked, provider)}</e:Body></e:Envelope>'.encode()


def tampered(hub, provider, asked):
    return answer_well(hub, provider, asked).replace(CANARY.encode(), b"Somebody-Else")


def signed_by_another(hub, provider, asked):
    return sign_as("FLANDERS", body(asked, provider), hub.now)


def signed_with_tls_key(hub, provider, asked):
    return sign_as(provider.id, body(asked, provider), hub.now, kind="tls")


def other_ticket(hub, provider, asked):
    customer = replace(asked.customer, ticket=Ticket("another"))
    return sign_as(provider.id, body(asked, provider, customer=customer), hub.now)


def other_dossier_in_the_criteria(hub, provider, asked):
    return sign_as(
        provider.id,
        body(asked, provider, criteria=structs.replace(asked.criteria, dossier=OTHER_DOSSIER)),
        hub.now,
    )


def other_dossier_in_the_payload(hub, provider, asked):
    other = replace(asked, criteria=structs.replace(asked.criteria, dossier=OTHER_DOSSIER))
    text = reply_body(asked, Outcome.DATA_FOUND, payload(other, provider))
    return sign_as(provider.id, text, hub.now)


def other_operation(hub, provider, asked):
    text = body(asked, provider).replace("consultDossierResponse", "consultStatusResponse")
    return sign_as(provider.id, text, hub.now)


def schema_invalid(hub, provider, asked):
    return sign_as(provider.id, body(asked, provider).replace("4120.50", "a lot"), hub.now)


def beyond_its_right(hub, provider, asked):
    extra = f"<d:residenceDecision{D}><d:outcome>GRANTED</d:outcome></d:residenceDecision></s:dossier>"
    return sign_as(provider.id, body(asked, provider).replace("</s:dossier>", extra), hub.now)


def stale(hub, provider, asked):
    return sign_as(provider.id, body(asked, provider), hub.now - timedelta(minutes=6))


def fault(hub, provider, asked):
    inner = "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>ORA-00942 at /srv</faultstring></soap:Fault>"
    return sign_as(provider.id, inner, hub.now)


def wrapped(hub, provider, asked):
    """The signed Body moved under a header, an attacker's Body in its place."""
    data = answer_well(hub, provider, asked).decode()
    start, end = data.index("<soap:Body"), data.index("</soap:Body>") + len("</soap:Body>")
    evil = data[start:end].replace(CANARY, "Evil").replace("body-", "evil-")
    moved = data[:start].replace("</soap:Header>", f'<x xmlns="urn:x">{data[start:end]}</x></soap:Header>')
    return (moved + evil + data[end:]).encode()


def html(hub, provider, asked):
    return b"<html><body>It works!</body></html>"


def empty(hub, provider, asked):
    return b""


def own_question_back(hub, provider, asked):
    return sign_as(provider.id, messages.write_question(asked), hub.now)


def down(hub, provider, asked):
    raise Refusal(Code.PROVIDER_UNREACHABLE)


def slow(hub, provider, asked):
    raise Refusal(Code.PROVIDER_TIMEOUT)


FLAWS = {
    unsigned: "WIB09004",
    tampered: "WIB09004",
    wrapped: "WIB09004",
    stale: "WIB09004",
    html: "WIB09004",
    empty: "WIB09004",
    signed_by_another: "WIB09005",
    signed_with_tls_key: "WIB09005",
    schema_invalid: "WIB09006",
    other_ticket: "WIB09007",
    other_dossier_in_the_criteria: "WIB09007",
    other_dossier_in_the_payload: "WIB09007",
    other_operation: "WIB09007",
    own_question_back: "WIB09007",
    beyond_its_right: "WIB09008",
    fault: "WIB09009",
    down: "WIB09001",
    slow: "WIB09002",
}


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
async def test_a_flawed_answer_is_a_clear_fault_and_an_entry_and_leaks_nothing(hub: Hub, flaw):
    hub.answering["PLATFORM"] = flaw
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.code == FLAWS[flaw]
    assert [entry["decision"] for entry in hub.entries()] == ["permitted", FLAWS[flaw]]
    text = "".join(answered.body.itertext())
    assert CANARY not in text
    assert "ORA-00942" not in text
    assert answered.texts("faultcode") == ["soap:Server"]


async def test_an_honest_answer_is_released(hub: Hub):
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK)).code is None


async def test_fields_outside_the_requesters_view_are_filtered(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.texts("feePayment") == []  # the platform sent it, the region may not have it


async def test_an_answer_without_data_is_released_as_such(hub: Hub):
    def nothing(hub, provider, asked):
        return sign_as(provider.id, reply_body(asked, Outcome.NO_DATA_FOUND, ""), hub.now)

    hub.answering["PLATFORM"] = nothing
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert (answered.code, answered.texts("code")) == (None, ["WIB00100"])


PRIOR = Criteria(DOSSIER, ssin=SSIN)


@pytest.mark.parametrize(
    "flaw", [down, slow, unsigned, signed_with_tls_key, fault], ids=lambda flaw: flaw.__name__
)
async def test_a_region_in_trouble_makes_the_gathered_answer_incomplete(hub: Hub, flaw):
    hub.answering["FLANDERS"] = flaw
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", PRIOR)
    assert answered.code is None
    assert answered.texts("region") == ["WALLONIA", "GERMAN_COMMUNITY"]
    assert answered.texts("code") == ["WIB00200"]
    assert answered.texts("fieldValue") == ["FLANDERS"]
    assert hub.entries()[-1]["decision"] == "incomplete"


async def test_when_every_region_is_down_there_is_no_answer(hub: Hub):
    hub.answering = dict.fromkeys(("FLANDERS", "WALLONIA", "GERMAN_COMMUNITY"), down)
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", PRIOR)
    assert answered.code == "WIB09001"


def document(**change: str) -> Criteria:
    asked = Criteria(
        DOSSIER, document_reference="DOC-1", document_type="CONTRACT", document_sha256=payloads.DIGEST
    )
    return structs.replace(asked, **change)


async def test_a_document_that_is_not_the_one_asked_for_is_refused(hub: Hub):
    answered = await hub.consult("BRUSSELS", "retrieveDocument", WORK, document(document_sha256="0" * 64))
    assert answered.code == "WIB09010"


async def test_a_document_changed_under_its_digest_is_refused(hub: Hub, monkeypatch):
    monkeypatch.setattr(payloads, "DOCUMENT", b"something else")
    assert (await hub.consult("BRUSSELS", "retrieveDocument", WORK, document())).code == "WIB09010"


async def test_a_provider_is_told_for_whom_and_under_what_context(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    ((provider, asked),) = hub.asked
    assert (provider, asked.legal_context) == ("PLATFORM", WORK)
    assert asked.on_behalf.requester.cbe == "0999022202"
    assert asked.customer.enterprise.cbe == "0999099901"  # the hub itself asks


async def test_each_provider_is_asked_with_a_ticket_of_its_own(hub: Hub):
    await hub.consult("BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", PRIOR)
    assert len({asked.customer.ticket for _, asked in hub.asked}) == 3
