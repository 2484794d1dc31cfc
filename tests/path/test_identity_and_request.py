"""PROTOCOL §5 and §6: who asks, and whether it is a request at all. One thing is broken at a time."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.agreement import messages
from gateway.edge.operational_log import OperationalLog
from gateway.identity.certify import Issuer, issue_leaf
from gateway.identity.chain import Certificates
from gateway.identity.enrolment import Enrolled, Enrolment
from gateway.identity.issue import KeyKind, new_key
from gateway.identity.leaf import Purpose
from gateway.model import SERVICE, Criteria, Enterprise, OperationName, Role, SoapVersion
from gateway.wss import times
from gateway.wss.sign import SigningKey, sign
from tests.path.hub import (
    DOSSIER,
    NOW,
    Hub,
    authority,
    certificates,
    pki,
    question,
    sign_as,
    signed_question,
)

CONTEXT = "WIB:WORK_DECISION"


async def refused(hub: Hub, code: str, name: str, data: bytes, *, recorded: bool = True, **received: object):
    answered = await hub.send(name, data, **received)
    assert answered.code == code
    assert hub.asked == []  # nothing was forwarded
    kinds = [(entry["kind"], entry["decision"]) for entry in hub.entries()]
    assert kinds == ([("refusal", code)] if recorded else [])
    return answered


def body_of(**change: object) -> str:
    return messages.write_question(question("BRUSSELS", "consultDossier", CONTEXT, None, NOW, **change))


async def test_tls_of_one_authority_and_signature_of_another_is_refused(hub: Hub):
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW)
    answered = await refused(hub, "WIB05003", "FLANDERS", data, recorded=False)
    lines = io.StringIO()
    OperationalLog(lines).emit(answered.event)
    assert (json.loads(lines.getvalue())["peer"], json.loads(lines.getvalue())["signer"]) == (
        "FLANDERS",
        "BRUSSELS",
    )
    assert "BRUSSELS" not in "".join(answered.body.itertext())  # whom the signature names is not for the peer


async def test_a_signer_who_is_the_peer_is_not_named_twice(hub: Hub):
    lines = io.StringIO()
    OperationalLog(lines).emit((await hub.consult("BRUSSELS", "consultDossier", CONTEXT)).event)
    assert "signer" not in json.loads(lines.getvalue())


async def test_the_other_unit_of_one_legal_person_is_another_authority(hub: Hub):
    data = signed_question("NSSO", "consultStatus", "WIB:CARD_ISSUE", None, NOW)
    await refused(hub, "WIB05003", "PLATFORM", data, recorded=False)


async def test_a_message_of_the_hub_itself_is_refused_as_reflection(hub: Hub):
    await refused(
        hub, "WIB05002", "BRUSSELS", sign_as("HUB", body_of(), NOW, kind="sign-rsa"), recorded=False
    )


async def test_a_tls_certificate_does_not_sign(hub: Hub):
    await refused(
        hub, "WIB05001", "BRUSSELS", sign_as("BRUSSELS", body_of(), NOW, kind="tls"), recorded=False
    )


async def test_a_certificate_speaks_from_its_enrolment_until_its_withdrawal(hub: Hub):
    """Attacks K13, K28: the same subject and issuer as the certificate that is in use."""
    key = new_key(KeyKind.P256)
    made = issue_leaf(key.public_key(), authority("BRUSSELS"), Purpose.SIGN, issuer(), NOW)
    fresh = SigningKey(key, made.public_bytes(Encoding.DER))

    def message() -> bytes:
        fields = {"version": SoapVersion.V11, "now": NOW, "lifetime": timedelta(minutes=5)}
        return sign(body_of(), key=fresh, unique=str(uuid.uuid4()), **fields)

    def enrolled(*lines: Enrolled):
        known = certificates()
        listed = Enrolment.of([*known.enrolment.by_fingerprint.values(), *lines])
        return lambda rules: replace(rules, certificates=Certificates(known.trust, listed))

    line = Enrolled(authority("BRUSSELS"), Purpose.SIGN, sha256(fresh.certificate).digest())
    await refused(hub, "WIB05001", "BRUSSELS", message(), recorded=False)
    hub.rules_change = enrolled(line)
    assert (await hub.send("BRUSSELS", message())).code is None
    hub.rules_change = enrolled(replace(line, valid_until=NOW))
    assert (await hub.send("BRUSSELS", message())).code == "WIB05001"
    assert [entry["kind"] for entry in hub.entries()] == ["request", "response"]
    assert (await hub.consult("BRUSSELS", "consultDossier", CONTEXT)).code is None  # the other one all along


def issuer() -> Issuer:
    return Issuer(
        x509.load_pem_x509_certificate(pki()["issuing.crt.pem"]),
        load_pem_private_key(pki()["issuing.key.pem"], None),
    )


async def test_a_body_that_names_another_authority_is_refused(hub: Hub):
    data = sign_as("BRUSSELS", body_of(enterprise=authority("FLANDERS").enterprise), NOW)
    await refused(hub, "WIB05004", "BRUSSELS", data)


async def test_a_body_that_adds_a_unit_is_refused(hub: Hub):
    enterprise = Enterprise(authority("BRUSSELS").enterprise.cbe, "PLATFORM")
    await refused(hub, "WIB05004", "BRUSSELS", sign_as("BRUSSELS", body_of(enterprise=enterprise), NOW))


async def test_a_request_that_writes_the_hubs_block_is_refused(hub: Hub):
    block = messages.OnBehalf(
        "d9428888-122b-41e1-b85a-61e6f7c7c9f0", NOW, authority("FLANDERS").enterprise, Role.REG
    )
    await refused(hub, "WIB06003", "BRUSSELS", sign_as("BRUSSELS", body_of(on_behalf=block), NOW))


@pytest.mark.parametrize("shift", [timedelta(seconds=61), timedelta(seconds=-301)])
async def test_a_stale_or_future_timestamp_sent_is_refused(hub: Hub, shift):
    await refused(hub, "WIB06004", "BRUSSELS", sign_as("BRUSSELS", body_of(sent=NOW + shift), NOW))


@pytest.mark.parametrize("shift", [timedelta(seconds=60), timedelta(seconds=-300)])
async def test_a_timestamp_sent_at_the_edge_is_accepted(hub: Hub, shift):
    assert (await hub.send("BRUSSELS", sign_as("BRUSSELS", body_of(sent=NOW + shift), NOW))).code is None


UNKNOWN = f'<s:consultEverything xmlns:s="{SERVICE}"></s:consultEverything>'
BROKEN = {
    "an operation that does not exist": (UNKNOWN, "WIB03006"),
    "an operation in another namespace": (body_of().replace(SERVICE, "urn:evil"), "WIB03006"),
    "a response sent as a request": (
        body_of().replace("consultDossier", "consultDossierResponse"),
        "WIB03006",
    ),
    "an element the contract does not know": (
        body_of().replace("</s:criteria>", "<s:x></s:x></s:criteria>"),
        "WIB06001",
    ),
    "a missing ticket": (body_of(ticket="T1").replace(">T1<", "><"), "WIB06001"),
    "a dossier number of another form": (body_of().replace(DOSSIER, "WIB-26-1"), "WIB06001"),
    "an attribute in the payload": (
        body_of().replace(
            "<s:criteria>",
            '<s:criteria xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="false">',
        ),
        "WIB06001",
    ),
    "two dossier numbers": (
        body_of().replace("</s:criteria>", f"<s:dossierNumber>{DOSSIER}</s:dossierNumber></s:criteria>"),
        "WIB06001",
    ),
    "a time without zone": (body_of().replace(times.write(NOW), times.write(NOW)[:-5]), "WIB06001"),
    "a person's number as ticket": (body_of(ticket="T1").replace(">T1<", ">90.61.24-001.44<"), "WIB06002"),
    "a dossier number with wrong check digits": (body_of().replace("-59<", "-58<"), "WIB06002"),
}


@pytest.mark.parametrize("flaw", BROKEN)
async def test_what_is_no_valid_request_is_refused(hub: Hub, flaw):
    body, code = BROKEN[flaw]
    await refused(hub, code, "BRUSSELS", sign_as("BRUSSELS", body, NOW))


async def test_a_test_number_is_refused_where_they_are_off(hub: Hub):
    hub.rules_change = lambda rules: replace(rules, terms=replace(rules.terms, test_numbers=False))
    criteria = Criteria(DOSSIER, ssin="90612400144")
    data = signed_question(
        "BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", criteria, NOW
    )
    await refused(hub, "WIB06002", "BRUSSELS", data)


async def test_an_insz_with_wrong_check_digits_is_refused(hub: Hub):
    criteria = Criteria(DOSSIER, ssin="85073003329")
    data = signed_question(
        "BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", criteria, NOW
    )
    await refused(hub, "WIB06002", "BRUSSELS", data)


async def test_a_soap_action_of_another_operation_is_refused(hub: Hub):
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW)
    await refused(hub, "WIB03005", "BRUSSELS", data, soap_action=f"{SERVICE}/consultStatus")


async def test_the_soap_action_of_the_operation_is_accepted(hub: Hub):
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW)
    assert (await hub.send("BRUSSELS", data, soap_action=f"{SERVICE}/consultDossier")).code is None


async def test_a_ticket_is_used_once(hub: Hub):
    first = await hub.consult("BRUSSELS", "consultDossier", CONTEXT, ticket="T-1")
    again = await hub.consult("BRUSSELS", "consultStatus", CONTEXT, ticket="T-1")
    assert (first.code, again.code) == (None, "WIB06005")
    assert [entry["kind"] for entry in hub.entries()] == ["request", "response", "refusal"]


async def test_the_same_bytes_twice_are_forwarded_once(hub: Hub):
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW)
    codes = [(await hub.send("BRUSSELS", data)).code for _ in range(3)]
    assert codes == [None, "WIB06005", "WIB06005"]
    assert len(hub.asked) == 1


CLOCK = {
    "an hour back": -3600,
    "four minutes back": -240,
    "four minutes on": 240,
    "an hour on": 3600,
    "right again": 0,
}


async def test_a_clock_that_steps_accepts_nothing_twice(hub: Hub):
    """A ticket is used for ever, whatever the time is: only then is the window no memory of its own (attack W19)."""
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW)
    assert (await hub.send("BRUSSELS", data)).code is None
    codes = {}
    for step, seconds in CLOCK.items():
        hub.now = NOW + timedelta(seconds=seconds)
        codes[step] = (await hub.send("BRUSSELS", data)).code
    assert codes == dict(
        zip(CLOCK, ["WIB04012", "WIB04012", "WIB06005", "WIB04011", "WIB06005"], strict=True)
    )
    assert len(hub.asked) == 1


async def test_two_authorities_may_use_the_same_ticket(hub: Hub):
    first = await hub.consult("BRUSSELS", "consultStatus", CONTEXT, ticket="T-1")
    second = await hub.consult("IMMIGRATION_OFFICE", "consultStatus", "WIB:RESIDENCE_DECISION", ticket="T-1")
    assert (first.code, second.code) == (None, None)


async def test_a_refusal_does_not_burn_the_ticket(hub: Hub):
    refused_first = await hub.consult("BRUSSELS", "consultDossier", "WIB:RESIDENCE_DECISION", ticket="T-1")
    assert refused_first.code == "WIB07002"
    assert (await hub.consult("BRUSSELS", "consultDossier", CONTEXT, ticket="T-1")).code is None


async def test_a_suspended_authority_is_refused_at_once(hub: Hub):
    def suspend(rules):
        register = rules.register
        gone = replace(authority("BRUSSELS"), active=False)
        by = {**register._by_enterprise, gone.enterprise: gone}
        return replace(rules, register=replace(register, _by_enterprise=by))

    hub.rules_change = suspend
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW)
    await refused(hub, "WIB05005", "BRUSSELS", data, recorded=False)


async def test_soap_12_is_answered_in_soap_12(hub: Hub):
    data = signed_question("BRUSSELS", "consultDossier", CONTEXT, None, NOW, version=SoapVersion.V12)
    answered = await hub.send("BRUSSELS", data, version=SoapVersion.V12)
    assert answered.code is None
    assert OperationName("consultDossierResponse") in str(answered.body.tag)


async def test_a_soap_12_fault_names_the_same_code(hub: Hub):
    data = signed_question("BRUSSELS", "consultDossier", "WIB:NOTHING", None, NOW, version=SoapVersion.V12)
    answered = await hub.send("BRUSSELS", data, version=SoapVersion.V12)
    assert answered.code == "WIB07001"
    assert answered.texts("reasonCode") == ["WIB07001"]
