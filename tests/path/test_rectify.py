"""PROTOCOL §13.8: a rectification reaches whoever received the wrong data before, by whatever way, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.agreement.messages import Question
from gateway.exchangelog.flaw import Flaw
from gateway.model import Authority, Outcome
from gateway.policy.person import person_digest
from tests.path.hub import DIRECTORY_KEY, DOSSIER, Answered, Hub, reply_body, sign_as, signed_question
from tests.path.notifying import (
    ADMISSIBILITY,
    ADMISSIBLE,
    GRANTED,
    NEW,
    PERMIT,
    RESIDENCE,
    WORK,
    Changing,
    Failing,
    application,
    deliveries,
    dossier,
    drain,
    enterprise,
    findings,
    mailbox,
    of_kind,
    paths,
    scope,
    states,
    submit,
    tell,
    told_to,
)
from tests.path.payloads import CANARY
from tests.path.test_delivery import CARD, down, end_part
from tests.path.test_mailbox import fetch, listed, permit, take_over

RIGHT = "Wvutsrqpon"
NAME = {"worker": {"familyName": RIGHT}}


async def rectify(
    hub: Hub, groups: dict, name: str = "PLATFORM", context: str = RESIDENCE, number: str = DOSSIER
) -> Answered:
    """Told, and delivered to everybody."""
    hub.received.clear()
    hub.now += timedelta(minutes=1)
    answered = await tell(hub, name, "rectifyData", context, groups, number)
    await drain(hub)
    return answered


def heard(hub: Hub) -> dict[str, set[str]]:
    """Who received the rectification, and which paths of it."""
    return {
        str(one): paths(notice.payload, "rectifyData")
        for one, notice in hub.received
        if notice.question.operation == "rectifyData"
    }


async def test_it_reaches_recipients_of_notifications_of_that_field_only(hub: Hub):
    await submit(hub, application(salary={"amount": "4120.50"}))
    await tell(hub, "BRUSSELS", "notifyAdmissibility", ADMISSIBILITY, ADMISSIBLE, NEW)
    await drain(hub)
    assert (await rectify(hub, NAME, context=ADMISSIBILITY, number=NEW)).code is None
    assert heard(hub) == {
        "BRUSSELS": {"dossier/worker/familyName"}
    }  # the Office heard of admissibility alone
    assert told_to(hub, "BRUSSELS")[0].payload.findtext(".//{*}familyName") == RIGHT


async def test_a_field_that_nobody_received_reaches_nobody(hub: Hub):
    await submit(hub)
    await drain(hub)
    answered = await rectify(hub, {"salary": {"amount": "4210.50"}}, context=ADMISSIBILITY, number=NEW)
    assert answered.code is None
    assert heard(hub) == {}
    assert of_kind(hub, "notification")[-1]["to"] == []
    assert states(hub) == [("BRUSSELS", "settled")]


async def test_it_reaches_who_asked_for_the_field(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await rectify(hub, NAME)
    assert heard(hub) == {"BRUSSELS": {"dossier/worker/familyName"}}


async def test_it_does_not_reach_who_asked_for_something_else(hub: Hub):
    await hub.consult("BRUSSELS", "consultStatus", WORK)
    await rectify(hub, NAME)
    assert heard(hub) == {}


async def test_it_does_not_reach_who_asked_about_another_dossier(hub: Hub):
    await hub.dossier(NEW, "UNDER_REVIEW")
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await rectify(hub, NAME, number=NEW)
    assert heard(hub) == {}


async def test_it_does_not_reach_whose_question_was_refused(hub: Hub):
    assert (await hub.consult("FLANDERS", "consultDossier", WORK)).code == "WIB07005"
    await rectify(hub, NAME)
    assert heard(hub) == {}


WRONG_DATE = {"residenceDecision": {"date": "2026-04-02"}}


async def test_it_reaches_who_fetched_the_field_from_a_mailbox(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    await take_over(hub, message)
    await rectify(hub, WRONG_DATE, "IMMIGRATION_OFFICE")
    assert "POST_RABAT" in heard(hub)


async def test_it_waits_behind_the_message_that_is_wrong(hub: Hub):
    """Nobody has read it yet; whoever reads it later must hear that it is wrong."""
    await permit(hub)
    (wrong,) = await listed(hub)
    hub.now += timedelta(minutes=1)
    await tell(hub, "IMMIGRATION_OFFICE", "rectifyData", RESIDENCE, WRONG_DATE)
    assert enterprise("POST_RABAT") in of_kind(hub, "notification")[-1]["to"]
    assert (await listed(hub), (await fetch(hub, wrong)).texts("date")) == ([wrong], ["2026-04-01"])
    await take_over(hub, wrong)
    (right,) = await listed(hub)
    assert (await fetch(hub, right)).texts("date") == ["2026-04-02"]


async def test_it_is_delivered_after_what_was_not_delivered_yet(hub: Hub):
    await submit(hub)
    await tell(hub, "PLATFORM", "rectifyData", ADMISSIBILITY, NAME, NEW)
    await drain(hub)
    names = [notice.payload.findtext(".//{*}familyName") for notice in told_to(hub, "BRUSSELS")]
    assert names == [CANARY, RIGHT]
    assert not findings(hub)


async def test_an_answer_that_goes_out_meanwhile_is_not_missed(hub: Hub):
    """Between reading the log and being accepted."""
    asked = signed_question("BRUSSELS", "consultDossier", WORK, None, hub.now)

    async def late(real: object, *args: object) -> object:
        found = await real(*args)
        hub.through = None
        assert (await hub.send("BRUSSELS", asked)).code is None
        return found

    hub.through = Changing(hub, releases=late)
    assert (await rectify(hub, NAME)).code == "WIB13006"
    assert of_kind(hub, "notification") == []
    assert (await rectify(hub, NAME)).code is None
    assert heard(hub) == {"BRUSSELS": {"dossier/worker/familyName"}}


VICTIM = "85650304271"
REGISTRATION = "WIB:MUNICIPAL_REGISTRATION"


@pytest.mark.parametrize(
    ("name", "context", "groups"),
    [
        ("MUN_BRUSSELS", REGISTRATION, {"worker": {"ssin": VICTIM}}),
        ("POST_RABAT", "WIB:VISA_ISSUE", {"travelDocument": {"number": "XX7654321"}}),
    ],
)
async def test_nobody_rectifies_before_the_dossier_is_open_to_it(
    hub: Hub, name: str, context: str, groups: dict
):
    await hub.dossier(DOSSIER, "SUBMITTED")
    before = await scope(hub)
    assert (await rectify(hub, groups, name, context)).code == "WIB07006"
    assert await scope(hub) == before
    await hub.dossier(DOSSIER, "PERMIT_GRANTED")
    assert (await rectify(hub, groups, name, context)).code is None


async def test_a_rectified_number_is_whose_dossier_it_is(hub: Hub):
    await hub.dossier(DOSSIER, "REGISTERED")
    groups = {"worker": {"ssin": VICTIM}}
    assert (await rectify(hub, groups, "MUN_BRUSSELS", REGISTRATION)).code is None
    assert (await scope(hub)).person == person_digest(DIRECTORY_KEY, VICTIM)


async def test_it_is_fetched_from_a_mailbox_behind_what_was_told_before(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    await tell(hub, "IMMIGRATION_OFFICE", "rectifyData", RESIDENCE, WRONG_DATE)
    assert await listed(hub) == []
    await take_over(hub, message)
    answered = await mailbox(hub, "POST_RABAT", "listMessages", "WIB:VISA_ISSUE")
    assert answered.texts("operation") == ["rectifyData"]
    (rectified,) = answered.texts("messageId")
    assert (await fetch(hub, rectified)).texts("date") == ["2026-04-02"]


async def test_it_reaches_whose_part_has_ended(hub: Hub):
    await hub.dossier(DOSSIER, "RESIDENCE_GRANTED")
    await tell(hub, "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT)
    await drain(hub)
    await end_part(hub, "POST_RABAT")
    await rectify(hub, WRONG_DATE, "IMMIGRATION_OFFICE")
    assert heard(hub)["POST_RABAT"] == {"dossier/residenceDecision/date"}
    assert {entry["decision"] for entry in of_kind(hub, "settlement")} == {"acknowledged"}


async def test_it_reaches_whose_part_ends_while_it_waits(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await tell(hub, "PLATFORM", "rectifyData", RESIDENCE, NAME)
    hub.now += timedelta(minutes=1)
    await end_part(hub, "BRUSSELS")
    await drain(hub)
    assert heard(hub) == {"BRUSSELS": {"dossier/worker/familyName"}}


async def test_it_is_fetched_by_one_whose_part_has_ended_at_any_status(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    await take_over(hub, message)
    await end_part(hub, "POST_RABAT")
    hub.now += timedelta(minutes=1)
    await tell(hub, "IMMIGRATION_OFFICE", "rectifyData", RESIDENCE, WRONG_DATE)
    (rectified,) = await listed(hub)
    assert (await fetch(hub, rectified)).code is None
    assert (await take_over(hub, rectified)).code is None
    assert findings(hub) <= {Flaw.UNSETTLED}


async def test_each_receives_its_view(hub: Hub):
    """Two fields are rectified: the region knew the outcome alone, the post both."""
    await hub.dossier(DOSSIER, "RESIDENCE_GRANTED")
    await tell(hub, "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT)
    await drain(hub)
    both = {"residenceDecision": {"outcome": "GRANTED", "date": "2026-04-02"}}
    await rectify(hub, both, "IMMIGRATION_OFFICE")
    outcome, date = "dossier/residenceDecision/outcome", "dossier/residenceDecision/date"
    assert heard(hub) == {
        "PLATFORM": {outcome, date},
        "BRUSSELS": {outcome},
        "POST_RABAT": {outcome, date},
        "MUN_BRUSSELS": {outcome, date},
        "NSSO": {outcome},
    }
    for one, records in deliveries(hub).items():
        seen = next(view for name, view in heard(hub).items() if enterprise(name) == one)
        assert seen == records & {outcome, date}


async def test_it_does_not_tell_more_than_was_told_before(hub: Hub):
    """Social security knew the outcome of the decision on work; its conditions are nobody's to tell it."""
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    await rectify(hub, {"workDecision": {"conditions": f"Work for {CANARY} or nobody."}}, "BRUSSELS", WORK)
    assert set(heard(hub)) == {"PLATFORM", "IMMIGRATION_OFFICE"}


MORE = {
    **NAME,
    "workerCivil": {"birthPlace": "Fez"},
    "travelDocument": {"number": "XX7654321"},
    "meansOfSubsistence": {"amount": "2100.00"},
}


def name_only(hub: Hub, provider: Authority, asked: Question) -> bytes:
    """An answer that has a name in it and nothing else."""
    return sign_as(provider.id, reply_body(asked, Outcome.DATA_FOUND, dossier(NAME)), hub.now)


async def test_it_tells_nobody_what_it_never_received(hub: Hub):
    """The Office was answered with a name alone; of what it was not told there is nothing to rectify."""
    hub.answering["PLATFORM"] = name_only
    await hub.consult("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE)
    assert (await rectify(hub, MORE)).code is None
    assert heard(hub) == {"IMMIGRATION_OFFICE": {"dossier/worker/familyName"}}


async def test_who_was_shown_a_field_as_absent_is_told_no_value_of_it(hub: Hub):
    """That a consultation found nothing must not show in the log: it is a recipient all the same."""
    hub.answering["PLATFORM"] = name_only
    await hub.consult("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE)
    await rectify(hub, {"meansOfSubsistence": {"amount": "2100.00"}})
    assert heard(hub) == {"IMMIGRATION_OFFICE": set()}
    assert [one["decision"] for one in of_kind(hub, "settlement")] == ["acknowledged"]
    assert not findings(hub)


async def test_a_second_attempt_tells_no_more_than_the_first(hub: Hub):
    """The log has the release once; what was answered between the attempts adds nothing to it."""
    hub.answering["PLATFORM"] = name_only
    await hub.consult("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE)
    hub.receiving["IMMIGRATION_OFFICE"] = Failing(1, down)
    await rectify(hub, MORE)
    del hub.answering["PLATFORM"]
    await hub.consult("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE)
    hub.received.clear()
    hub.now += timedelta(hours=1)
    await drain(hub)
    assert heard(hub) == {"IMMIGRATION_OFFICE": {"dossier/worker/familyName"}}


async def test_what_never_reached_its_recipient_is_not_rectified(hub: Hub):
    """The post's part ended before it read the permit: it is not told through the rectification either."""
    await permit(hub)
    (wrong,) = await listed(hub)
    hub.now += timedelta(minutes=1)
    await tell(hub, "IMMIGRATION_OFFICE", "rectifyData", RESIDENCE, WRONG_DATE)
    hub.now += timedelta(minutes=1)
    await end_part(hub, "POST_RABAT")
    assert (await fetch(hub, wrong)).code == "WIB14001"
    (right,) = await listed(hub)
    assert (await fetch(hub, right)).code == "WIB14001"
    assert {
        one["decision"] for one in of_kind(hub, "settlement") if one["to"] == [enterprise("POST_RABAT")]
    } == {"lapsed"}


async def test_neither_status_nor_parts_change(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    before = await scope(hub)
    await rectify(hub, {"header": {"status": "CLOSED"}, "workPlace": {"municipality": "62063"}})
    after = await scope(hub)
    assert (after.status, after.inscriptions) == (before.status, before.inscriptions)


async def test_a_rectified_field_is_the_senders_to_write(hub: Hub):
    assert (await rectify(hub, NAME, "BRUSSELS", WORK)).code == "WIB13005"
    assert (await rectify(hub, {"workDecision": {"date": "2026-03-21"}}, "BRUSSELS", WORK)).code is None


@pytest.mark.parametrize(("name", "code"), [("PLATFORM", None), ("FLANDERS", "WIB07005")])
async def test_only_who_takes_part_rectifies(hub: Hub, name: str, code: str | None):
    region = {"workDecision": {"date": "2026-03-21"}}
    groups, context = (NAME, RESIDENCE) if name == "PLATFORM" else (region, WORK)
    assert (await rectify(hub, groups, name, context)).code == code


async def test_a_context_of_another_procedure_rectifies_nothing(hub: Hub):
    assert (await rectify(hub, NAME, context="WIB:RENEWAL")).code == "WIB07003"


async def test_it_reaches_recipients_of_an_earlier_rectification_too(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await rectify(hub, NAME)
    await rectify(hub, {"worker": {"familyName": CANARY}})
    assert set(heard(hub)) == {"BRUSSELS"}
    assert [entry["to"] for entry in of_kind(hub, "notification")] == [[enterprise("BRUSSELS")]] * 2
    assert not findings(hub)


async def test_the_one_who_rectifies_hears_nothing(hub: Hub):
    """The platform was told the name too; the municipality, which told it, was not."""
    await hub.dossier(DOSSIER, "REGISTERED")
    await tell(hub, "MUN_BRUSSELS", "notifyCard", "WIB:CARD_ISSUE", CARD)
    await drain(hub)
    assert (await rectify(hub, NAME, context="WIB:CARD_ISSUE")).code is None
    assert set(heard(hub)) == {"BRUSSELS", "IMMIGRATION_OFFICE", "NSSO"}
