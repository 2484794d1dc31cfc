"""What no step of a course may do: open what was never open, say the contrary of itself, or leave no way on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.model import Criteria
from gateway.policy.deadlines import clocks_of
from tests.path.hub import Hub, agreement, register
from tests.path.notifying import (
    ADMISSIBILITY,
    ADMISSIBLE,
    ASKED,
    GRANTED,
    NEW,
    PERMIT,
    RESIDENCE,
    WORK,
    application,
    enrol,
    scope,
    submit,
    taking_part,
    tell,
)

RENEWAL, CARD, HERE = "WIB:RENEWAL", "WIB:CARD_ISSUE", "WIB:MUNICIPAL_REGISTRATION"
RENEWED = application(
    header={"permitType": "SINGLE_PERMIT", "procedure": "RENEWAL", "language": "nl"},
    addressBelgium={"municipality": "21004"},
)
REVOKED = {"workDecision": {"outcome": "REVOKED"}}
CLOSED = {"header": {"status": "CLOSED"}}
Told = tuple[str, str, dict]


async def go(hub: Hub, context: str, *steps: Told) -> None:
    for sender, operation, groups in steps:
        hub.now += timedelta(minutes=1)
        assert (await tell(hub, sender, operation, context, groups, NEW)).code is None, operation
    hub.now += timedelta(minutes=1)


EARLY = {
    "closed when not admissible": (
        ("BRUSSELS", "notifyAdmissibility", {"admissibility": {"outcome": "INADMISSIBLE"}}),
        ("PLATFORM", "closeDossier", CLOSED),
    ),
    "closed when withdrawn": (
        ("PLATFORM", "withdrawApplication", {"header": {"status": "WITHDRAWN"}}),
        ("PLATFORM", "closeDossier", CLOSED),
    ),
}


@pytest.mark.parametrize("end", EARLY, ids=str)
async def test_an_early_end_opens_a_renewal_to_nobody(hub: Hub, end: str):
    await go(hub, RENEWAL, ("PLATFORM", "submitApplication", RENEWED), *EARLY[end])
    for name in ("MUN_BRUSSELS", "NSSO"):
        assert (await hub.consult(name, "consultDossier", RENEWAL, Criteria(NEW))).code is not None
    assert (await hub.consult("BRUSSELS", "consultDossier", RENEWAL, Criteria(NEW))).code is None


GRANT = (
    ("PLATFORM", "submitApplication", RENEWED),
    ("BRUSSELS", "notifyAdmissibility", ADMISSIBLE),
    ("BRUSSELS", "notifyWorkDecision", GRANTED),
)
PERMITTED = (
    ("IMMIGRATION_OFFICE", "notifyResidenceDecision", {"residenceDecision": {"outcome": "GRANTED"}}),
    ("IMMIGRATION_OFFICE", "notifyPermit", PERMIT),
)


async def test_a_revocation_before_the_permit_opens_a_renewal_to_no_municipality(hub: Hub):
    await go(hub, RENEWAL, *GRANT, ("BRUSSELS", "notifyRevocation", REVOKED))
    assert (await hub.consult("MUN_BRUSSELS", "consultDossier", RENEWAL, Criteria(NEW))).code is not None
    assert (
        await hub.consult("NSSO", "consultDossier", RENEWAL, Criteria(NEW))
    ).code is None  # open since the decision


async def test_a_revocation_after_the_permit_leaves_it_open(hub: Hub):
    await go(hub, RENEWAL, *GRANT, *PERMITTED, ("BRUSSELS", "notifyRevocation", REVOKED))
    assert (await hub.consult("MUN_BRUSSELS", "consultDossier", RENEWAL, Criteria(NEW))).code is None


CONTRARY = {  # status, sender, operation, context, what contradicts the step → what does not
    "a permit": (
        "RESIDENCE_GRANTED", "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE,
        {"residenceDecision": {"outcome": "REFUSED"}}, {"residenceDecision": {"outcome": "GRANTED"}},
    ),
    "a permit that was not decided": (
        "DEEMED_GRANTED", "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE,
        {"residenceFile": {"fileNumber": "8123456"}}, {"residenceDecision": {"outcome": "DEEMED_GRANTED"}},
    ),
    "an appeal": (
        "WORK_REFUSED", "BRUSSELS", "notifyAppeal", "WIB:APPEAL",
        {"workDecision": {"outcome": "GRANTED"}}, {"workDecision": {"appealDate": "2026-04-01"}},
    ),
    "a card": (
        "REGISTERED", "MUN_BRUSSELS", "notifyCard", CARD,
        {"municipalOutcome": {"status": "MOVED_OUT"}}, {"municipalOutcome": {"status": "CARD_ISSUED"}},
    ),
    "a transfer": (
        "ADMISSIBLE", "BRUSSELS", "transferApplication", WORK,
        {"admissibility": {"outcome": "INADMISSIBLE"}}, {"admissibility": {"outcome": "ADMISSIBLE"}},
    ),
    "an instruction": (
        "PERMIT_GRANTED", "IMMIGRATION_OFFICE", "instructMunicipality", HERE,
        {"residenceDecision": {"outcome": "REFUSED"}}, {"residenceDecision": {"outcome": "GRANTED"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRARY, ids=str)
async def test_nobody_says_the_contrary_of_what_it_tells(hub: Hub, case: str):
    status, sender, operation, context, contrary, fitting = CONTRARY[case]
    await hub.dossier(NEW, status)
    assert (await tell(hub, sender, operation, context, contrary, NEW)).code == "WIB13001"
    assert (await scope(hub, NEW)).status == status
    assert (await tell(hub, sender, operation, context, fitting, NEW)).code is None


async def test_after_a_refusal_that_the_minister_sets_aside_the_immigration_office_decides(hub: Hub):
    await submit(hub)
    await go(hub, ADMISSIBILITY, ("BRUSSELS", "requestInformation", ASKED))
    refused = {"workDecision": {"outcome": "REFUSED"}}
    await go(
        hub, WORK, ("BRUSSELS", "notifyWorkDecision", refused), ("BRUSSELS", "notifyWorkDecision", GRANTED)
    )
    await go(hub, RESIDENCE, *PERMITTED)
    assert (await scope(hub, NEW)).status == "PERMIT_GRANTED"


async def test_a_municipality_that_named_no_successor_is_followed_by_the_one_that_the_platform_names(
    hub: Hub,
):
    await hub.dossier(NEW, "REGISTERED")
    gone = {"municipalOutcome": {"status": "MOVED_OUT"}}
    await go(hub, HERE, ("MUN_BRUSSELS", "notifyRegistration", gone))
    assert not {"MUN_BRUSSELS", "MUN_LIEGE"} & await taking_part(hub, NEW)
    there = {"addressBelgium": {"municipality": "62063"}}
    await go(hub, HERE, ("PLATFORM", "transferApplication", there))
    assert "MUN_LIEGE" in await taking_part(hub, NEW)
    registered = {"municipalOutcome": {"status": "REGISTERED"}}
    await go(hub, HERE, ("MUN_LIEGE", "notifyRegistration", registered))


async def test_a_post_that_becomes_known_before_the_permit_hears_of_it(hub: Hub):
    await submit(hub)
    await go(hub, ADMISSIBILITY, ("BRUSSELS", "notifyAdmissibility", ADMISSIBLE))
    await go(hub, WORK, ("BRUSSELS", "notifyWorkDecision", GRANTED))
    await go(hub, RESIDENCE, PERMITTED[0], ("PLATFORM", "transferApplication", {"header": {"post": "RABAT"}}))
    assert "POST_RABAT" in await taking_part(hub, NEW)


@pytest.mark.parametrize(("place", "code"), [("62063", "WIB13004"), ("21004", None)])
async def test_a_place_of_work_in_another_region_is_no_information_for_this_one(hub: Hub, place: str, code):
    await submit(hub)
    await go(hub, ADMISSIBILITY, ("BRUSSELS", "requestInformation", ASKED))
    supplied = {"workPlace": {"municipality": place}}
    answered = await tell(hub, "PLATFORM", "supplyInformation", ADMISSIBILITY, supplied, NEW)
    assert answered.code == code
    assert "BRUSSELS" in await taking_part(hub, NEW)


@pytest.mark.parametrize("name", ["IMMIGRATION_OFFICE", "NSSO"])
async def test_while_a_federal_authority_is_suspended_dossiers_go_on(hub: Hub, name: str):
    await submit(hub)
    enrol(hub, lambda one: replace(one, active=False) if one.id == name else one)
    await go(hub, ADMISSIBILITY, ("BRUSSELS", "notifyAdmissibility", ADMISSIBLE))
    await go(hub, WORK, ("BRUSSELS", "notifyWorkDecision", GRANTED))
    assert name in await taking_part(hub, NEW)


async def test_no_clock_runs_in_a_closed_dossier(hub: Hub):
    await submit(hub)
    await go(hub, ADMISSIBILITY, ("BRUSSELS", "notifyAdmissibility", ADMISSIBLE))
    await go(
        hub,
        WORK,
        ("BRUSSELS", "notifyWorkDecision", GRANTED),
        ("BRUSSELS", "notifyRevocation", REVOKED),
        ("PLATFORM", "closeDossier", CLOSED),
    )
    running = clocks_of(await scope(hub, NEW), await hub.store.history(NEW), agreement(), register(), hub.now)
    assert {one.name for one in running} >= {"ADMISSIBILITY_CHECK", "OVERALL_TERM", "COPY_TO_OE"}
    assert all(one.ended is not None for one in running)
