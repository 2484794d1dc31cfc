"""PROTOCOL §7, §9, §10 under attack: what is withheld must not show in any other way either."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from lxml import etree

from gateway.agreement import messages
from gateway.model import Criteria, Outcome, Role
from tests.path.hub import (
    DOSSIER,
    NOW,
    OTHER_DOSSIER,
    SSIN,
    Hub,
    payload,
    question,
    reply_body,
    sign_as,
)
from tests.path.payloads import CANARY, DIGEST, DOCUMENT, D

WORK, PRIOR = "WIB:WORK_DECISION", "WIB:PRIOR_APPLICATION_CHECK"
FEE = f"<d:feePayment{D}><d:amount>358.00</d:amount></d:feePayment>"  # no region receives it
NAME = f"<d:worker{D}><d:familyName>{CANARY}</d:familyName></d:worker>"


def answering(
    hub: Hub, body: str | None, outcome: Outcome = Outcome.DATA_FOUND, provider: str = "PLATFORM"
) -> None:
    """`body`: the payload that the provider answers with; None is the honest one."""

    def answer(hub, provider, asked):
        return sign_as(
            provider.id,
            reply_body(asked, outcome, payload(asked, provider) if body is None else body),
            hub.now,
        )

    hub.answering[provider] = answer


def shape(answered) -> bytes:
    """A reply without what differs between any two exchanges: tickets, times, index."""
    blocks = [
        block
        for block in answered.body
        if not str(block.tag).endswith(("informationCustomer", "informationGateway"))
    ]
    return b"".join(etree.tostring(block) for block in blocks)


# What a region may not see of the platform's answer, in three forms: absent, present, an empty shell.
WITHHELD = {
    "nothing": ("", Outcome.NO_DATA_FOUND),
    "a fee": (f"<s:dossier>{FEE}</s:dossier>", Outcome.DATA_FOUND),
    "an empty dossier": ("<s:dossier></s:dossier>", Outcome.DATA_FOUND),
    "an empty group": (f"<s:dossier><d:worker{D}></d:worker></s:dossier>", Outcome.DATA_FOUND),
}


@pytest.mark.parametrize("case", WITHHELD)
async def test_data_of_which_nothing_is_released_look_like_no_data(hub: Hub, case):
    answering(hub, *WITHHELD["nothing"])
    expected = shape(await hub.consult("BRUSSELS", "consultDossier", WORK))
    answering(hub, *WITHHELD[case])
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.code is None
    assert shape(answered) == expected


async def test_data_of_which_something_is_released_are_found(hub: Hub):
    answering(hub, f"<s:dossier>{NAME}{FEE}</s:dossier>")
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert (answered.texts("value"), answered.texts("familyName")) == (["DATA_FOUND"], [CANARY])


async def test_withheld_data_beside_released_ones_leave_no_trace(hub: Hub):
    answering(hub, f"<s:dossier>{NAME}</s:dossier>")
    without = shape(await hub.consult("BRUSSELS", "consultDossier", WORK))
    answering(hub, f"<s:dossier>{NAME}{FEE}</s:dossier>")
    assert shape(await hub.consult("BRUSSELS", "consultDossier", WORK)) == without


CONTRADICTIONS = {
    "found, without data": (Outcome.DATA_FOUND, ""),
    "not found, with data": (Outcome.NO_DATA_FOUND, None),
    "no result, with data": (Outcome.NO_RESULT, None),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
async def test_an_answer_whose_status_contradicts_its_data_is_refused(hub: Hub, case):
    outcome, body = CONTRADICTIONS[case]
    answering(hub, body, outcome)
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.code == "WIB09006"
    assert CANARY not in "".join(answered.body.itertext())


@pytest.mark.parametrize("outcome", [Outcome.NO_DATA_FOUND, Outcome.NO_RESULT])
async def test_a_status_that_agrees_with_its_data_is_handed_on(hub: Hub, outcome):
    answering(hub, "", outcome)
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert (answered.code, answered.texts("value")) == (None, [outcome])


async def test_a_fault_does_not_name_the_field_that_a_provider_should_not_have_written(hub: Hub):
    grounds = f"<d:grounds{D}><d:publicOrder>x</d:publicOrder></d:grounds>"
    answering(hub, f"<s:dossier>{NAME}{grounds}</s:dossier>")
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.code == "WIB09008"
    assert not [text for text in answered.body.itertext() if "publicOrder" in text or "G30" in text]


async def test_a_fault_about_a_certificate_is_the_same_whatever_is_wrong_with_it(hub: Hub):
    body = messages.write_question(question("BRUSSELS", "consultDossier", WORK, None, NOW))
    answers = [await hub.send("BRUSSELS", sign_as("BRUSSELS", body, NOW, kind="tls"))]
    hub.now = NOW + timedelta(days=3000)  # expired
    body = messages.write_question(question("BRUSSELS", "consultDossier", WORK, None, hub.now))
    answers.append(await hub.send("BRUSSELS", sign_as("BRUSSELS", body, hub.now)))
    assert [answered.code for answered in answers] == ["WIB05001"] * 2
    assert len({answered.texts("faultstring")[0].partition(" [incident")[0] for answered in answers}) == 1


async def test_a_fault_does_not_tell_what_is_wrong_with_a_providers_certificate(hub: Hub):
    def by_tls_key(hub, provider, asked):
        return sign_as(
            provider.id, reply_body(asked, Outcome.DATA_FOUND, payload(asked, provider)), hub.now, kind="tls"
        )

    hub.answering["PLATFORM"] = by_tls_key
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.texts("faultstring")[0].startswith("WIB09005 provider-identity: ")


async def without(hub: Hub, role: Role) -> None:
    """Take the line of one role out of the dossier."""
    scope = await hub.store.scope(DOSSIER)
    await hub.store.put_scope(
        replace(scope, inscriptions=tuple(i for i in scope.inscriptions if i.role is not role))
    )


async def test_who_takes_part_in_a_dossier_is_not_told_where_nothing_may_be_released(hub: Hub):
    asked = Criteria(DOSSIER, Role.NSSO), Criteria(DOSSIER, Role.NSSO, operation="consultDossier")

    async def told() -> list[object]:
        refused = await hub.consult("BRUSSELS", "consultDossier", PRIOR, asked[0])
        rights = await hub.consult("BRUSSELS", "checkAccessControl", PRIOR, asked[1])
        rows = [row for row in rights.body.iter("{*}access") if row.findtext("{*}legalContext") == PRIOR]
        return [refused.code, *(row.findtext("{*}code") for row in rows)]

    inscribed = await told()
    await without(hub, Role.NSSO)
    assert await told() == inscribed == ["WIB07009", "WIB07009"]


async def test_who_takes_part_is_told_where_something_may_be_released(hub: Hub):
    asked = Criteria(DOSSIER, Role.OE)
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK, asked)).code is None
    await without(hub, Role.OE)
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK, asked)).code == "WIB07010"


@pytest.mark.parametrize("name", ["FLANDERS", "MUN_EUPEN", "POST_NEW_DELHI"])
async def test_rights_in_a_foreign_dossier_are_those_in_an_unknown_one(hub: Hub, name):
    context = {"FLANDERS": WORK, "MUN_EUPEN": "WIB:CARD_ISSUE", "POST_NEW_DELHI": "WIB:VISA_ISSUE"}[name]
    told = []
    for dossier in (DOSSIER, OTHER_DOSSIER):
        answered = await hub.consult(name, "checkAccessControl", context, Criteria(dossier))
        told.append(
            [
                (row.findtext("{*}operation"), row.findtext("{*}code"))
                for row in answered.body.iter("{*}access")
            ]
        )
    assert told[0] == told[1]
    assert "WIB07005" in {code for _, code in told[0]}


PRIOR_CRITERIA = Criteria(DOSSIER, ssin=SSIN)


def hits(region: str, count: int = 1) -> str:
    hit = f"<s:priorApplication><d:hit{D}>true</d:hit><d:region{D}>{region}</d:region></s:priorApplication>"
    return f"<s:priorApplications>{hit * count}</s:priorApplications>"


async def test_a_region_does_not_speak_for_another_in_a_gathered_answer(hub: Hub):
    answering(hub, hits("WALLONIA"), provider="FLANDERS")
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", PRIOR, PRIOR_CRITERIA)
    assert answered.texts("fieldValue") == ["FLANDERS"]  # named as missing
    assert answered.texts("region") == ["WALLONIA", "GERMAN_COMMUNITY"]


async def test_a_region_speaks_for_itself_in_a_gathered_answer(hub: Hub):
    answering(hub, hits("FLANDERS", 2), provider="FLANDERS")
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", PRIOR, PRIOR_CRITERIA)
    assert answered.texts("region") == ["FLANDERS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY"]


PLAIN = base64.b64encode(DOCUMENT).decode()
CONTENTS = {  # how the content is written: the code, None where every decoder reads the same
    "as it is": (PLAIN, None),
    "folded and padded with white space": (f"\n {PLAIN[:20]}\n\t{PLAIN[20:]} \r", None),
    "a character outside the alphabet": (f"{PLAIN[:8]}!{PLAIN[8:]}", "WIB09006"),
    "a character of the other alphabet": (f"{PLAIN[:8]}-{PLAIN[8:]}", "WIB09006"),
    "a no-break space inside": (f"{PLAIN[:8]}\u00a0{PLAIN[8:]}", "WIB09006"),
    "a no-break space before": (f"\u00a0{PLAIN}", "WIB09006"),
    "superfluous padding": (f"{PLAIN}=", "WIB09006"),
    "a second text after the padding": (f"{base64.b64encode(b'x').decode()}{PLAIN}", "WIB09006"),
}


@pytest.mark.parametrize("case", CONTENTS)
async def test_a_document_is_the_same_bytes_for_every_decoder(hub: Hub, case):
    content, code = CONTENTS[case]

    def answer(hub, provider, asked):
        text = payload(asked, provider).replace(PLAIN, content.replace("\r", "&#xD;"))
        return sign_as(provider.id, reply_body(asked, Outcome.DATA_FOUND, text), hub.now)

    hub.answering["PLATFORM"] = answer
    criteria = Criteria(DOSSIER, document_reference="DOC-1", document_type="CONTRACT", document_sha256=DIGEST)
    answered = await hub.consult("BRUSSELS", "retrieveDocument", WORK, criteria)
    assert answered.code == code
    if code is None:
        assert hashlib.sha256(base64.b64decode(answered.texts("content")[0])).hexdigest() == DIGEST
