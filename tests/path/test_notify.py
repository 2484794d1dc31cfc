"""PROTOCOL §13.3, §13.4: what is taken in, what is refused, and what either leaves behind."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import pytest

from gateway.adapters.metrics import Metrics
from gateway.agreement.messages import OnBehalf
from gateway.edge.operational_log import OperationalLog
from gateway.model import DossierNumber, Enterprise, ExchangeId, Role
from gateway.refusal import Code, Refusal
from tests.path.hub import DOSSIER, NOW, OTHER_DOSSIER, SSIN, Answered, Hub, authority
from tests.path.notifying import (
    ADMISSIBILITY,
    ADMISSIBLE,
    ASKED,
    DECLARED,
    GRANTED,
    NEW,
    PERMIT,
    RESIDENCE,
    WORK,
    Changing,
    application,
    declare,
    dossier,
    drain,
    enrol,
    findings,
    kinds,
    of_kind,
    rows,
    scope,
    states,
    submit,
    taking_part,
    tell,
    told,
    told_to,
)
from tests.path.payloads import CANARY
from tests.path.test_record import forms


class Case(NamedTuple):
    """Who tells what of which dossier, and the code; None for what is accepted."""

    sender: str
    operation: str
    context: str
    groups: dict
    code: str | None = None
    status: str = "UNDER_REVIEW"
    number: DossierNumber = DOSSIER
    change: Mapping[str, object] = MappingProxyType({})


def work(**change: object) -> Case:
    return Case("BRUSSELS", "notifyWorkDecision", WORK, GRANTED)._replace(**change)


def opened(code: str | None = None, **changes: object) -> Case:
    return Case("PLATFORM", "submitApplication", ADMISSIBILITY, application(**changes), code, number=NEW)


def registered(ssin: str, code: str | None = None) -> Case:
    groups = {"worker": {"ssin": ssin}, "municipalOutcome": {"status": "REGISTERED"}}
    return Case(
        "MUN_BRUSSELS", "notifyRegistration", "WIB:MUNICIPAL_REGISTRATION", groups, code, "VISA_ISSUED"
    )


SELF = OnBehalf(ExchangeId("0b7f6a3c-5d3e-4c4a-9b1e-0a1b2c3d4e5f"), NOW, Enterprise("0999022202"), Role.REG)
REVOKED = {"workDecision": {"outcome": "REVOKED", "date": "2026-03-20"}}
ADMITTED = Case("BRUSSELS", "notifyAdmissibility", ADMISSIBILITY, ADMISSIBLE, status="SUBMITTED")
CASES = {
    "a decision": work(),
    "nothing told": work(groups={}, code="WIB13007"),
    "an empty dossier": work(change={"payload": "<s:dossier></s:dossier>"}, code="WIB13007"),
    "the dossier's own number": opened(header={"dossierNumber": str(NEW)}),
    "another dossier's number": opened("WIB13007", header={"dossierNumber": str(OTHER_DOSSIER)}),
    "an INSZ": registered(SSIN),
    "an INSZ with wrong check digits": registered("90612400145", "WIB06002"),
    "an employer with wrong check digits": opened("WIB06002", employer={"cbeNumber": "0999066644"}),
    "a sender that speaks for another": work(change={"on_behalf": SELF}, code="WIB06003"),
    "a sender that declares a filter": work(change={"filtered": ("dossier/salary/amount",)}, code="WIB06003"),
    "admissibility by the region": ADMITTED,
    "admissibility by the platform": ADMITTED._replace(sender="PLATFORM", code="WIB07004"),
    "an unknown legal context": work(context="WIB:CURIOSITY", code="WIB07001"),
    "a context in which the role does not send this": ADMITTED._replace(context=WORK, code="WIB07002"),
    "the context of the phase": Case("BRUSSELS", "requestInformation", WORK, ASKED),
    "the context of another phase": Case("BRUSSELS", "requestInformation", ADMISSIBILITY, ASKED, "WIB07002"),
    "another region's dossier": work(sender="FLANDERS", code="WIB07005"),
    "a dossier that does not exist": work(number=OTHER_DOSSIER, code="WIB07005"),
    "an application": opened(),
    "an application of an existing dossier": opened("WIB13003")._replace(number=DOSSIER),
    "a type of permit without a course": opened("WIB13001", header={"permitType": "OTHER"}),
    "an application that names no type of permit": opened("WIB13001", header={}),
    "an outcome that is no step": work(groups=REVOKED, code="WIB13001"),
    "the decision before admissibility": work(status="SUBMITTED", code="WIB13002"),
    "the decision a second time": work(status="WORK_GRANTED", code="WIB13002"),
    "supplying what nobody asked for": Case(
        "PLATFORM", "supplyInformation", WORK, application(), "WIB13002", "INFO_REQUESTED"
    ),
    "a field of another role": work(
        groups={**GRANTED, "residenceDecision": {"outcome": "GRANTED"}}, code="WIB13005"
    ),
    "a field of the role in another operation": work(
        groups={**GRANTED, "priorApplication": {"hit": "true"}}, code="WIB13005"
    ),
    "the platform's fields in an application": opened(salary={"amount": "5000.00"}),
    "the region's fields in an application": opened("WIB13005", admissibility={"outcome": "ADMISSIBLE"}),
    "a permit by the Immigration Office": Case(
        "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT, status="RESIDENCE_GRANTED"
    ),
    "a permit by the region": Case(
        "BRUSSELS", "notifyPermit", RESIDENCE, PERMIT, "WIB07002", "RESIDENCE_GRANTED"
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_notification_is_accepted_whole_or_leaves_nothing_but_its_refusal(hub: Hub, name: str):
    case = CASES[name]
    await hub.dossier(DOSSIER, case.status)
    before = await hub.store.scope(case.number)
    answered = await tell(
        hub, case.sender, case.operation, case.context, case.groups, case.number, **case.change
    )
    assert answered.code == case.code
    last = hub.entries()[-1]
    if case.code is None:
        assert (last["kind"], last["decision"], last["svc"]) == ("notification", "accepted", case.operation)
        assert answered.texts("value") == ["OK"]
        assert answered.texts("index") == ["0"]
        return
    assert (last["kind"], last["decision"]) == ("refusal", case.code)
    assert states(hub) == rows(hub, "SELECT * FROM notifications") == []
    assert await hub.store.scope(case.number) == before


def test_the_table_has_every_code_of_acceptance():
    found = {case.code for case in CASES.values()}
    assert {f"WIB1300{n}" for n in range(1, 8)} - {"WIB13004", "WIB13006"} <= found
    assert {"WIB07001", "WIB07002", "WIB07004", "WIB07005", "WIB06002", "WIB06003"} <= found


async def test_an_unknown_and_a_foreign_dossier_get_the_same_answer(hub: Hub):
    foreign = await tell(hub, "FLANDERS", "notifyWorkDecision", WORK, GRANTED)
    unknown = await tell(hub, "FLANDERS", "notifyWorkDecision", WORK, GRANTED, OTHER_DOSSIER)
    assert foreign.code == "WIB07005"
    assert foreign.texts("diagnostic") == unknown.texts("diagnostic")


async def test_a_dossier_that_others_opened_is_not_said_to_exist(hub: Hub):
    await hub.dossier(DOSSIER, "SUBMITTED", inscriptions=())
    assert (await submit(hub, number=DOSSIER)).code == "WIB07005"


async def test_whose_part_has_ended_tells_nothing(hub: Hub):
    now = await scope(hub)
    ended = tuple(replace(one, until=NOW) if one.role is Role.REG else one for one in now.inscriptions)
    await hub.store.put_scope(replace(now, inscriptions=ended))
    assert (await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)).code == "WIB07005"


# Opening a dossier

OPENED = {  # what the file names: who takes part beside platform and region
    "work in Brussels": ({}, {"BRUSSELS"}),
    "work in Liège": ({"workPlace": {"municipality": "62063"}}, {"WALLONIA"}),
    "work in the German-speaking Community": ({"workPlace": {"municipality": "63023"}}, {"GERMAN_COMMUNITY"}),
    "work in a municipality that merged": ({"workPlace": {"municipality": "12030"}}, {"FLANDERS"}),
    "a post": ({"header": {"post": "NEW-DELHI"}}, {"BRUSSELS", "POST_NEW_DELHI"}),
    "a residence": ({"addressBelgium": {"municipality": "63023"}}, {"BRUSSELS", "MUN_EUPEN"}),
}


@pytest.mark.parametrize("name", OPENED)
async def test_an_application_inscribes_whom_the_file_names(hub: Hub, name: str):
    changes, competent = OPENED[name]
    assert (await submit(hub, application(**changes))).code is None
    assert await taking_part(hub, NEW) == {"PLATFORM", *competent}
    assert (await scope(hub, NEW)).status == "SUBMITTED"
    assert [recipient for recipient, _ in states(hub)] == [
        one for one in competent if authority(one).role is Role.REG
    ]


async def test_a_municipality_that_merged_is_the_one_that_it_became(hub: Hub):
    """Puurs became part of Puurs-Sint-Amands, 12041: here the register's municipality of Liège has that code."""
    enrol(hub, lambda one: replace(one, nis="12041") if one.id == "MUN_LIEGE" else one)
    await submit(hub, application(addressBelgium={"municipality": "12030"}))
    assert "MUN_LIEGE" in await taking_part(hub, NEW)


@pytest.mark.parametrize(
    "changes",
    [
        {"workPlace": {}},
        {"workPlace": {"municipality": "00000"}},
        {"header": {"post": "PARIS"}},
        {"header": {"competentRegion": "FLANDERS"}},
        {"addressBelgium": {"municipality": "11002"}},  # Antwerp has no authority in this register
    ],
)
async def test_a_place_that_leads_nowhere_opens_nothing(hub: Hub, changes: dict):
    assert (await submit(hub, application(**changes))).code == "WIB13004"
    assert await hub.store.scope(NEW) is None


# Interrupted and resumed


@pytest.mark.parametrize(
    ("status", "context"), [("SUBMITTED", ADMISSIBILITY), ("ADMISSIBLE", WORK), ("UNDER_REVIEW", WORK)]
)
async def test_a_status_is_interrupted_and_resumed(hub: Hub, status: str, context: str):
    await hub.dossier(DOSSIER, status)
    assert (await tell(hub, "BRUSSELS", "requestInformation", context, ASKED)).code is None
    asked = await scope(hub)
    assert (asked.status, asked.resumes) == ("INFO_REQUESTED", status)
    hub.now += timedelta(hours=1)
    supplied = await tell(hub, "PLATFORM", "supplyInformation", context, application(header={}, workPlace={}))
    assert supplied.code is None
    resumed = await scope(hub)
    assert (resumed.status, resumed.resumes, resumed.status_since) == (status, None, hub.now)
    assert [one.status for one in await hub.store.history(DOSSIER)][-3:] == [
        status, "INFO_REQUESTED", status,
    ]  # fmt: skip


# The same ticket

TICKET = "5f0c6a52-6a3f-4f0e-8b8e-3f3c2b1a0d9e"


async def test_the_same_again_gets_the_same_receipt_and_changes_nothing(hub: Hub):
    first = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    after, waiting = await scope(hub), states(hub)
    hub.now += timedelta(hours=1)  # after a time-out, written and signed anew
    again = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    for name in ("ticketGateway", "index", "origin", "timestampReceive", "value"):
        assert again.texts(name) == first.texts(name) != [], name
    assert again.event.outcome == "repeated"
    assert kinds(hub) == ["notification"]
    assert (await scope(hub), states(hub)) == (after, waiting)


async def test_the_same_again_after_delivery_is_not_delivered_again(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    await drain(hub)
    received = len(hub.received)
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    await drain(hub)
    assert len(hub.received) == received > 0


OTHERWISE = {
    "another value": {"groups": {"workDecision": {**GRANTED["workDecision"], "date": "2026-03-21"}}},
    "another dossier": {"number": OTHER_DOSSIER},
    "another operation": {"operation": "notifyRevocation"},
    "another context": {"context": "WIB:RENEWAL"},
}


@pytest.mark.parametrize("name", OTHERWISE)
async def test_a_ticket_tells_one_thing_only(hub: Hub, name: str):
    said = {"operation": "notifyWorkDecision", "context": WORK, "groups": GRANTED, "number": DOSSIER}
    await tell(hub, "BRUSSELS", *said.values(), ticket=TICKET)
    before = (await scope(hub), states(hub))
    other = await tell(hub, "BRUSSELS", *{**said, **OTHERWISE[name]}.values(), ticket=TICKET)
    assert other.code == "WIB06005"
    assert (await scope(hub), states(hub)) == before
    assert kinds(hub) == ["notification", "refusal"]


async def test_a_ticket_of_a_question_tells_nothing(hub: Hub):
    await hub.consult("BRUSSELS", "consultStatus", WORK, ticket=TICKET)
    answered = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    assert answered.code == "WIB06005"
    assert "notification" not in kinds(hub)


async def test_a_ticket_of_another_authority_is_nobodys_business(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    await declare(hub, ticket=TICKET)
    residence = {"residenceDecision": {"outcome": "GRANTED"}}
    answered = await tell(
        hub, "IMMIGRATION_OFFICE", "notifyResidenceDecision", RESIDENCE, residence, ticket=TICKET
    )
    assert answered.code is None


async def test_of_two_at_the_same_moment_one_is_told_to_come_again(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    messages = [told(hub, "NSSO", "notifySocialSecurityEvent", WORK, DECLARED) for _ in range(2)]
    answers = await asyncio.gather(*(hub.send("NSSO", message) for message in messages))
    assert sorted(str(answered.code) for answered in answers) == ["None", "WIB13006"]
    assert len(of_kind(hub, "notification")) == 1
    refused = next(n for n, answered in enumerate(answers) if answered.code)
    assert (await hub.send("NSSO", messages[refused])).code is None  # the very same message
    assert len(of_kind(hub, "notification")) == 2


async def test_the_same_twice_at_once_is_taken_in_once_and_gets_one_receipt(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    message = told(hub, "NSSO", "notifySocialSecurityEvent", WORK, DECLARED)
    answers = await asyncio.gather(*(hub.send("NSSO", message) for _ in range(2)))
    assert [answered.code for answered in answers] == [None, None]
    assert sorted(answered.event.outcome for answered in answers) == ["accepted", "repeated"]
    first, second = ([one.texts(name) for name in ("ticketGateway", "index")] for one in answers)
    assert first == second
    assert kinds(hub) == ["notification"]


FASTER = {  # what the same message, taken in first, makes of the dossier → what refuses it then, were it another
    "the dossier is there": ("PLATFORM", "submitApplication", ADMISSIBILITY, application(), NEW),
    "the step is taken": ("BRUSSELS", "notifyWorkDecision", WORK, GRANTED, DOSSIER),
}


@pytest.mark.parametrize("call", ["told", "scope"])
@pytest.mark.parametrize("name", FASTER)
async def test_what_the_same_message_changed_in_between_refuses_no_copy_of_it(hub: Hub, name: str, call: str):
    message, answers = told(hub, *FASTER[name]), []

    async def overtaken(real: object, *args: object) -> object:
        before = await real(*args)
        hub.through = None
        if not answers:
            answers.append(await hub.send(FASTER[name][0], message))
        return before

    hub.through = Changing(hub, **{call: overtaken})
    answers.append(await hub.send(FASTER[name][0], message))
    assert [answered.event.outcome for answered in answers] == ["accepted", "repeated"]
    first, second = ([one.texts(name) for name in ("ticketGateway", "index")] for one in answers)
    assert first == second
    assert kinds(hub) == ["notification"]


async def test_something_else_at_once_under_the_same_ticket_is_refused(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    said = [DECLARED, {"socialSecurity": {"declared": "false"}}]
    messages = [told(hub, "NSSO", "notifySocialSecurityEvent", WORK, one, ticket=TICKET) for one in said]
    answers = await asyncio.gather(*(hub.send("NSSO", message) for message in messages))
    assert sorted(str(answered.code) for answered in answers) == ["None", "WIB06005"]
    assert len(of_kind(hub, "notification")) == 1


# Nothing is said to be taken in that is not durable


async def unavailable(real: object, *args: object) -> None:
    raise Refusal(Code.LOG_UNAVAILABLE)


async def unavailable_afterwards(real: object, *args: object) -> None:
    await real(*args)
    raise Refusal(Code.LOG_UNAVAILABLE)


async def test_without_the_commit_there_is_no_receipt_and_nothing_in_the_store(hub: Hub):
    hub.through = Changing(hub, accept=unavailable)
    assert (await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)).code == "WIB10001"
    assert states(hub) == of_kind(hub, "notification") == []
    assert (await scope(hub)).status == "UNDER_REVIEW"


async def test_what_was_taken_in_though_the_sender_was_told_otherwise_is_taken_in_once(hub: Hub):
    hub.through = Changing(hub, accept=unavailable_afterwards)
    first = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    assert first.code == "WIB10001"
    hub.through = None
    again = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    assert again.texts("index") == ["0"]
    assert len(of_kind(hub, "notification")) == 1


async def test_the_receipt_is_not_signed_before_the_commit(hub: Hub):
    seen = []

    async def accept(real: object, *args: object) -> object:
        seen.append(kinds(hub))
        receipt = await real(*args)
        seen.append(kinds(hub))
        return receipt

    hub.through = Changing(hub, accept=accept)
    assert (await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)).code is None
    assert seen == [[], ["notification"]]


async def test_a_full_disk_takes_nothing_in_and_the_same_message_is_accepted_when_there_is_room(hub: Hub):
    connection = hub.store._appender._log._connection
    connection.execute(f"PRAGMA max_page_count = {connection.pragma('page_count')}")
    long = "x" * 4000
    large = {"workDecision": {"outcome": "GRANTED", "conditions": long}, "grounds": {"work": long}}
    full = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, large, ticket=TICKET)
    assert full.code == "WIB10001"
    await hub.restart()
    assert kinds(hub) == states(hub) == []
    assert (await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, large, ticket=TICKET)).code is None


async def test_no_personal_value_nor_its_hash_is_in_log_metrics_or_operational_lines(hub: Hub):
    metrics, lines = Metrics(), io.StringIO()
    log = OperationalLog(lines)
    answers: list[Answered] = [
        await submit(hub),
        await submit(hub),  # refused
        await tell(hub, "BRUSSELS", "notifyAdmissibility", ADMISSIBILITY, ADMISSIBLE, NEW),
        await tell(hub, "FLANDERS", "notifyWorkDecision", WORK, GRANTED, NEW),  # refused
        await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, NEW),
    ]
    for answered in answers:
        metrics.emit(answered.event)
        log.emit(answered.event)
    assert [answered.code for answered in answers] == [None, "WIB13003", None, "WIB07005", None]
    for event in await drain(hub):
        metrics.delivered(event, hub.now)
        log.delivery(event)
    assert CANARY in dossier(GRANTED)  # what was told holds what is searched for
    # The dossier directory knows dossier numbers, the queue those that wait; everything else is searched.
    tables = [name for (name,) in rows(hub, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    evidence = b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for name in tables
        if name not in {"dossiers", "inscriptions", "passages"}
        for row in rows(hub, f"SELECT * FROM {name}")
        for value in row
    )
    faults = "".join(text for answered in answers if answered.code for text in answered.body.itertext())
    watched = evidence + metrics.exposition() + lines.getvalue().encode() + faults.encode()
    for value in (CANARY, SSIN, "ada@example.org", "XX1234567", "4120.50", "1990-00-00"):
        found = [form for form in forms(value) if form in watched]
        assert found == [], value
    without_faults = evidence + metrics.exposition() + lines.getvalue().encode()
    assert [form for form in forms(str(NEW)) if form in without_faults] == []
    assert b"gateway_" in watched
    assert not findings(hub)
    assert told_to(hub, "IMMIGRATION_OFFICE")
