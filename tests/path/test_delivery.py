"""PROTOCOL §13.5 to §13.7: each recipient gets its view, in order, until it has signed for it; then nothing is kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from msgspec import structs

from gateway.adapters.store_operator import OperatorQueue
from gateway.agreement import notices
from gateway.agreement.load import Agreement, load_agreement
from gateway.assembly import deliverer_of
from gateway.config import DeliverySettings
from gateway.exchangelog.flaw import Flaw
from gateway.loading import contract_files
from gateway.model import Acknowledgement, Authority, LegalContext, OperationName, Role, SoapVersion, Ticket
from gateway.refusal import Code, Refusal
from tests.path.hub import (
    DOSSIER,
    OTHER_DOSSIER,
    ROOT,
    Hub,
    acknowledgement,
    agreement,
    register,
    sign_as,
    take_well,
)
from tests.path.notifying import (
    ADMISSIBILITY,
    GRANTED,
    PERMIT,
    RESIDENCE,
    WORK,
    Failing,
    application,
    declare,
    deliveries,
    drain,
    enrol,
    enterprise,
    findings,
    of_kind,
    paths,
    released,
    rows,
    scope,
    states,
    submit,
    taking_part,
    tell,
    told_to,
)
from tests.path.payloads import CANARY
from tests.rules.agreement_files import without_appeals

RESIDENCE_DECISION = {
    "residenceFile": {"fileNumber": "8123456", "title": "B35"},
    "residenceDecision": {"outcome": "GRANTED", "date": "2026-04-01", "validUntil": "2027-03-20"},
    "grounds": {"residence": "Conditions met.", "publicOrder": "Nothing known."},
}
VISA = {
    "travelDocument": {"number": "XX1234567", "type": "PASSPORT"},
    "visa": {"status": "ISSUED", "stickerNumber": "B123456", "type": "D"},
}
CARD = {
    "worker": {"ssin": "90612400144", "familyName": CANARY},
    "addressBelgium": {"municipality": "21004"},
    "municipalOutcome": {"status": "CARD_ISSUED", "cardNumber": "B9876543", "cardExpiry": "2027-03-20"},
}
EMPLOYED = {
    "establishment": {"unitNumber": "2123456789"},
    "socialSecurity": {"declared": "true", "declarationType": "DIMONA"},
}


def every(groups: dict) -> set[str]:
    return {f"{group}/{field}" for group, fields in groups.items() for field in fields}


SUBMITTED = every(application())
TOLD = {  # what is told at which status: recipient → what it must see, by hand from the matrix; the others see nothing
    "an application": (
        ("PLATFORM", "submitApplication", ADMISSIBILITY, application()),
        None,
        {
            "BRUSSELS": SUBMITTED - {
                "travelDocument/type", "workerCivil/birthPlace", "qualification/diploma",
                "salary/amount", "salary/period", "salary/currency", "feePayment/amount",
                "meansOfSubsistence/amount",
            },
        },
    ),
    "the transfer of a file": (
        ("PLATFORM", "transferApplication", RESIDENCE, application()),
        "ADMISSIBLE",
        {
            "BRUSSELS": SUBMITTED - {
                "travelDocument/type", "workerCivil/birthPlace", "feePayment/amount", "meansOfSubsistence/amount",
            },
            "IMMIGRATION_OFFICE": SUBMITTED - {"qualification/diploma"},
        },
    ),
    "a decision on work": (
        ("BRUSSELS", "notifyWorkDecision", WORK, GRANTED),
        "UNDER_REVIEW",
        {
            "PLATFORM": every(GRANTED),
            "IMMIGRATION_OFFICE": every(GRANTED),
            "NSSO": {"workDecision/outcome", "workDecision/validUntil"},
        },
    ),
    "a decision on residence": (
        ("IMMIGRATION_OFFICE", "notifyResidenceDecision", RESIDENCE, RESIDENCE_DECISION),
        "WORK_GRANTED",
        {
            "PLATFORM": every(RESIDENCE_DECISION) - {"grounds/publicOrder"},
            "BRUSSELS": {"residenceDecision/outcome", "residenceFile/title"},
            "NSSO": {"residenceDecision/outcome", "residenceDecision/validUntil"},
        },
    ),
    "a permit": (
        ("IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT),
        "RESIDENCE_GRANTED",
        {
            "PLATFORM": every(PERMIT),
            "BRUSSELS": {"residenceDecision/outcome"},
            "POST_RABAT": every(PERMIT),
            "MUN_BRUSSELS": every(PERMIT),
            "NSSO": {"residenceDecision/outcome"},
        },
    ),
    "a visa": (
        ("POST_RABAT", "notifyVisa", "WIB:VISA_ISSUE", VISA),
        "PERMIT_GRANTED",
        {
            "PLATFORM": {"visa/status"},
            "BRUSSELS": {"travelDocument/number", "visa/status"},
            "IMMIGRATION_OFFICE": every(VISA),
            "MUN_BRUSSELS": every(VISA),
        },
    ),
    "a card": (
        ("MUN_BRUSSELS", "notifyCard", "WIB:CARD_ISSUE", CARD),
        "REGISTERED",
        {
            "PLATFORM": {"worker/ssin", "worker/familyName", "municipalOutcome/status"},
            "BRUSSELS": {"worker/ssin", "worker/familyName", "municipalOutcome/cardExpiry"},
            "IMMIGRATION_OFFICE": every(CARD),
            "NSSO": {"worker/ssin", "worker/familyName", "municipalOutcome/cardExpiry"},
        },
    ),
    "a declaration of employment": (
        ("NSSO", "notifySocialSecurityEvent", WORK, EMPLOYED),
        "CARD_ISSUED",
        {
            "PLATFORM": {"socialSecurity/declared", "socialSecurity/declarationType"},
            "IMMIGRATION_OFFICE": {"socialSecurity/declared", "socialSecurity/declarationType"},
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
async def test_each_recipient_gets_exactly_its_view_and_nobody_else_anything(hub: Hub, name: str):
    arguments, status, expected = TOLD[name]
    if status is None:
        assert (await submit(hub)).code is None
    else:
        await hub.dossier(DOSSIER, status)
        assert (await tell(hub, *arguments)).code is None
    await drain(hub)
    operation = arguments[1]
    seen = {str(one): paths(notice.payload, operation) for one, notice in hub.received}
    assert seen == {one: {f"dossier/{path}" for path in view} for one, view in expected.items()}
    written = {f"dossier/{path}" for path in every(arguments[3])}
    for one, records in deliveries(hub).items():
        received = next(view for to, view in seen.items() if enterprise(to) == one)
        assert received == written & records
    assert len(of_kind(hub, "delivery")) == len(of_kind(hub, "settlement")) == len(expected)
    assert not findings(hub)


async def test_a_message_names_its_sender_and_what_is_withheld(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    (notice,) = told_to(hub, "NSSO")
    on_behalf = notice.question.on_behalf
    assert on_behalf is not None
    assert (str(on_behalf.requester), on_behalf.role) == (enterprise("BRUSSELS"), Role.REG)
    assert on_behalf.exchange == of_kind(hub, "notification")[0]["id"]
    assert str(notice.question.customer.enterprise) == str(register().hub.enterprise)
    assert "dossier/workDecision/conditions" in notice.filtered


async def test_the_entries_of_a_delivery_belong_together(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub, None, "NSSO")
    told, delivery, settlement = hub.entries()
    (notice,) = told_to(hub, "NSSO")
    assert {told["id"]} == {delivery["of"], settlement["of"]}
    assert delivery["id"] == settlement["id"] == notice.question.customer.ticket
    assert (delivery["from"], delivery["to"]) == (enterprise("BRUSSELS"), [enterprise("NSSO")])
    assert settlement["decision"] == "acknowledged"
    assert settlement["msgsig"] is not None


# Order


def down(hub: Hub, recipient: Authority, notice: notices.Notice) -> bytes:
    raise Refusal(Code.PROVIDER_UNREACHABLE)


async def employed(hub: Hub, *numbers: str) -> None:
    """Dossiers in which social security tells of events."""
    for number in numbers:
        await hub.dossier(number, "CARD_ISSUED")


def order(hub: Hub, name: str) -> list[tuple[str, str | None]]:
    """Dossier and period of each event that an endpoint was sent, in order."""
    notes = told_to(hub, name)
    periods = [one.payload.findtext(".//{*}periodStart") for one in notes]
    return [(one.question.criteria.dossier, period) for one, period in zip(notes, periods, strict=True)]


async def event(hub: Hub, day: int, number: str = DOSSIER) -> None:
    declared = {"socialSecurity": {"declared": "true", "periodStart": f"2026-05-{day:02}"}}
    answered = await tell(hub, "NSSO", "notifySocialSecurityEvent", WORK, declared, number)
    assert answered.code is None


async def test_a_dossier_waits_behind_its_first_message_and_no_other_does(hub: Hub):
    await employed(hub, DOSSIER, OTHER_DOSSIER)
    hub.receiving["PLATFORM"] = Failing(1, down)
    for day in (1, 2, 3):
        await event(hub, day)
    await event(hub, 4, OTHER_DOSSIER)
    await drain(hub)
    assert order(hub, "PLATFORM") == [(DOSSIER, "2026-05-01"), (OTHER_DOSSIER, "2026-05-04")]
    own = [one for one in order(hub, "IMMIGRATION_OFFICE") if one[0] == DOSSIER]
    assert own == [(DOSSIER, f"2026-05-0{day}") for day in (1, 2, 3)]
    hub.now += timedelta(hours=1)
    await drain(hub)
    assert order(hub, "PLATFORM")[2:] == [(DOSSIER, f"2026-05-0{day}") for day in (1, 2, 3)]
    assert {state for _, state in states(hub)} == {"settled"}


# What is no acknowledgement


def signed(body: str, hub: Hub, recipient: Authority) -> bytes:
    return sign_as(recipient.id, body, hub.now)


def silent(hub, recipient, notice):
    raise Refusal(Code.PROVIDER_TIMEOUT)


def garbage(hub, recipient, notice):
    return b"<html><body>It works!</body></html>"


def nothing(hub, recipient, notice):
    return b""


def unsigned(hub, recipient, notice):
    body = acknowledgement(notice.question)
    return f'<e:Envelope xmlns:e="{SoapVersion.V11.value}"><e:Header/><e:Body>{body}</e:Body></e:Envelope>'.encode()


def stale(hub, recipient, notice):
    return sign_as(recipient.id, acknowledgement(notice.question), hub.now - timedelta(minutes=6))


def signed_by_another(hub, recipient, notice):
    return sign_as("FLANDERS", acknowledgement(notice.question), hub.now)


def signed_by_the_sender(hub, recipient, notice):
    return sign_as("NSSO", acknowledgement(notice.question), hub.now)


def other_ticket(hub, recipient, notice):
    customer = replace(notice.question.customer, ticket=Ticket("another"))
    return signed(acknowledgement(replace(notice.question, customer=customer)), hub, recipient)


def other_dossier(hub, recipient, notice):
    criteria = structs.replace(notice.question.criteria, dossier=OTHER_DOSSIER)
    return signed(acknowledgement(replace(notice.question, criteria=criteria)), hub, recipient)


def other_context(hub, recipient, notice):
    question = replace(notice.question, legal_context=LegalContext("WIB:CARD_ISSUE"))
    return signed(acknowledgement(question), hub, recipient)


def other_operation(hub, recipient, notice):
    question = replace(notice.question, operation=OperationName("notifyCard"))
    return signed(acknowledgement(question), hub, recipient)


def message_back(hub, recipient, notice):
    return signed(notices.write_notification(notice.question, (), ""), hub, recipient)


def not_of_the_contract(hub, recipient, notice):
    return signed(acknowledgement(notice.question).replace(">OK<", ">FINE<"), hub, recipient)


def not_ok(hub, recipient, notice):
    return signed(acknowledgement(notice.question, Acknowledgement.NOK), hub, recipient)


def fault(hub, recipient, notice):
    inner = "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>ORA-00942 at /srv</faultstring></soap:Fault>"
    return signed(inner, hub, recipient)


def bug(hub, recipient, notice):
    raise RuntimeError(f"while handling {CANARY}")


FLAWS = {
    down: "WIB09001", silent: "WIB09002", garbage: "WIB09004", nothing: "WIB09004", unsigned: "WIB09004",
    stale: "WIB09004", signed_by_another: "WIB09005", signed_by_the_sender: "WIB09005",
    other_ticket: "WIB09007", other_dossier: "WIB09007", other_context: "WIB09007",
    other_operation: "WIB09007", message_back: "WIB09007", not_of_the_contract: "WIB09006",
    not_ok: "WIB09009", fault: "WIB09009", bug: "WIB10002",
}  # fmt: skip


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
async def test_what_is_no_acknowledgement_settles_nothing_and_the_message_comes_again(hub: Hub, flaw):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = Failing(2, flaw)
    await declare(hub)
    for attempt in (1, 2):
        (failed,) = await drain(hub, None, "PLATFORM")
        assert failed.code.row.code == FLAWS[flaw]
        assert CANARY not in failed.trace
        assert states(hub)[0] == ("PLATFORM", "waiting")
        assert not of_kind(hub, "settlement")
        assert rows(hub, "SELECT attempts, last_code FROM deliveries WHERE recipient = 'PLATFORM'") == [
            (attempt, FLAWS[flaw])
        ]
        assert await drain(hub, None, "PLATFORM") == []  # not yet
        hub.now += timedelta(minutes=1)
    (honest,) = await drain(hub, None, "PLATFORM")
    assert honest.outcome == "acknowledged"
    assert len({one.question.customer.ticket for one in told_to(hub, "PLATFORM")}) == 1
    assert len(told_to(hub, "PLATFORM")) == 3
    assert len(of_kind(hub, "delivery")) == len(of_kind(hub, "settlement")) == 1
    assert findings(hub) <= {Flaw.UNSETTLED}  # the Immigration Office still waits


async def test_no_recipient_of_the_same_notification_waits_for_another(hub: Hub):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = Failing(1, down)
    await declare(hub)
    await drain(hub)
    assert states(hub) == [("PLATFORM", "waiting"), ("IMMIGRATION_OFFICE", "settled")]


def due(hub: Hub) -> datetime:
    ((moment,),) = rows(hub, "SELECT due FROM deliveries WHERE recipient = 'PLATFORM'")
    return datetime.fromtimestamp(moment / 1e6, hub.now.tzinfo)


async def test_each_failure_waits_about_twice_as_long_up_to_a_cap(hub: Hub):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = down
    await declare(hub)
    settings = DeliverySettings()
    for attempt in range(12):
        await drain(hub, None, "PLATFORM")
        longest = min(settings.first_retry_seconds * 2**attempt, settings.max_retry_seconds)
        assert longest / 2 <= (due(hub) - hub.now).total_seconds() <= longest
        hub.now = due(hub)
    assert longest == settings.max_retry_seconds


# Dead, and the operator


async def grown_old(hub: Hub) -> None:
    """Two events of a dossier, the first of them dead."""
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = down
    await event(hub, 1)
    await drain(hub)
    hub.now += timedelta(days=DeliverySettings().dead_after_days)
    await event(hub, 2)
    await drain(hub)


async def test_a_recipient_that_is_down_for_a_week_gets_everything_in_order_when_it_is_back(hub: Hub):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = down
    for _ in range(3):
        await declare(hub)
    attempts = 0
    for _ in range(7 * 24):
        attempts += sum(event.delivery.recipient == "PLATFORM" for event in await drain(hub))
        hub.now += timedelta(hours=1)
    assert 7 * 24 <= attempts < 2 * 7 * 24  # once or twice an hour: the first of the three alone
    hub.received.clear()
    del hub.receiving["PLATFORM"]
    await drain(hub)
    arrived = [one.question.on_behalf.exchange for one in told_to(hub, "PLATFORM")]
    accepted = [entry["id"] for entry in of_kind(hub, "notification")]
    assert arrived == accepted
    assert {state for _, state in states(hub)} == {"settled"}
    assert not findings(hub)


async def test_a_delivery_that_is_too_old_is_dead_and_holds_back_what_follows(hub: Hub):
    await grown_old(hub)
    assert states(hub)[0] == ("PLATFORM", "dead")
    hub.receiving.clear()
    hub.now += timedelta(days=1)
    assert await drain(hub) == []
    assert states(hub)[2] == ("PLATFORM", "waiting")


async def test_a_delivery_that_is_a_little_younger_is_tried_again(hub: Hub):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = down
    await event(hub, 1)
    hub.now += timedelta(days=DeliverySettings().dead_after_days, seconds=-1)
    await drain(hub)
    assert states(hub)[0] == ("PLATFORM", "waiting")


async def test_the_operator_lets_a_dead_delivery_go_on_and_the_order_is_kept(hub: Hub):
    await grown_old(hub)
    hub.receiving.clear()
    hub.received.clear()
    with closing(OperatorQueue.open(hub.path, writes=True)) as queue:
        (dead,) = queue.listed(dead=True)
        assert queue.retry(dead.id, hub.now)
    await drain(hub)
    assert order(hub, "PLATFORM") == [(DOSSIER, "2026-05-01"), (DOSSIER, "2026-05-02")]
    assert {state for _, state in states(hub)} == {"settled"}
    assert not findings(hub)


async def test_a_delivery_that_fails_for_the_operator_too_is_dead_again(hub: Hub):
    await grown_old(hub)
    with closing(OperatorQueue.open(hub.path, writes=True)) as queue:
        queue.retry(queue.listed(dead=True)[0].id, hub.now)
    await drain(hub)
    assert states(hub)[0] == ("PLATFORM", "dead")


# Lapsed, expired


async def end_part(hub: Hub, name: str) -> None:
    now = await scope(hub)
    lines = tuple(replace(one, until=hub.now) if one.authority == name else one for one in now.inscriptions)
    await hub.store.put_scope(replace(now, inscriptions=lines))


async def test_whose_part_has_ended_since_gets_nothing_and_the_log_says_so(hub: Hub):
    await employed(hub, DOSSIER)
    await declare(hub)
    hub.now += timedelta(minutes=1)
    await end_part(hub, "PLATFORM")
    await drain(hub)
    assert not told_to(hub, "PLATFORM")
    assert told_to(hub, "IMMIGRATION_OFFICE")
    ended = {entry["to"][0]: (entry["decision"], entry["msgsig"]) for entry in of_kind(hub, "settlement")}
    assert ended[enterprise("PLATFORM")] == ("lapsed", None)
    assert ended[enterprise("IMMIGRATION_OFFICE")][0] == "acknowledged"
    assert not findings(hub)


async def test_who_is_suspended_after_the_lease_is_sent_nothing_and_gets_it_when_resumed(hub: Hub):
    await employed(hub, DOSSIER)
    await declare(hub)
    enrol(hub, lambda one: replace(one, active=False) if one.id == "PLATFORM" else one)
    await drain(hub)
    assert not told_to(hub, "PLATFORM")
    assert told_to(hub, "IMMIGRATION_OFFICE")
    assert {entry["to"][0] for entry in of_kind(hub, "delivery")} == {enterprise("IMMIGRATION_OFFICE")}
    hub.rules_change = lambda rules: rules
    hub.now += timedelta(hours=1)
    await drain(hub)
    assert told_to(hub, "PLATFORM")
    assert not findings(hub)


async def test_whose_part_ends_with_the_message_still_hears_of_it(hub: Hub):
    """The applicant names another post: the one that was to issue the visa learns that it is not to."""
    await hub.dossier(DOSSIER, "PERMIT_GRANTED")
    other = {"header": {"post": "NEW-DELHI"}}
    context = "WIB:MUNICIPAL_REGISTRATION"
    assert (await tell(hub, "PLATFORM", "transferApplication", context, other)).code is None
    assert await taking_part(hub) & {"POST_RABAT", "POST_NEW_DELHI"} == {"POST_NEW_DELHI"}
    hub.now += timedelta(minutes=1)
    await drain(hub)
    for post in ("POST_RABAT", "POST_NEW_DELHI"):
        (notice,) = told_to(hub, post)
        assert notice.payload.findtext(".//{*}post") == "NEW-DELHI"


async def test_the_municipality_of_the_new_residence_takes_over(hub: Hub):
    await hub.dossier(DOSSIER, "CARD_ISSUED")
    moved = {"municipalOutcome": {"status": "MOVED_OUT"}, "addressBelgium": {"municipality": "62063"}}
    context = "WIB:MUNICIPAL_REGISTRATION"
    assert (await tell(hub, "MUN_BRUSSELS", "notifyRegistration", context, moved)).code is None
    assert (await tell(hub, "MUN_BRUSSELS", "notifyRegistration", context, moved)).code == "WIB07005"
    await drain(hub)
    assert told_to(hub, "MUN_LIEGE")
    assert not told_to(hub, "MUN_BRUSSELS")  # which told it


def overdue_before(hub: Hub) -> datetime:
    return hub.now - timedelta(days=agreement().retention.payload_days)


async def test_what_nobody_took_expires_after_the_days_of_the_agreement(hub: Hub):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = down
    await declare(hub)
    await drain(hub)
    hub.now += timedelta(days=agreement().retention.payload_days)
    assert await hub.store.overdue(overdue_before(hub), 100) == []
    hub.now += timedelta(seconds=1)
    (delivery,) = await hub.store.overdue(overdue_before(hub), 100)
    await deliverer_of(hub.parts()).expire(delivery, hub.rules())
    assert of_kind(hub, "settlement")[-1]["decision"] == "expired"
    assert rows(hub, "SELECT sealed FROM notifications") == [(None,)]
    assert not findings(hub)


async def test_what_waits_expires_also_for_a_recipient_that_left_the_register(hub: Hub):
    await employed(hub, DOSSIER)
    hub.receiving["PLATFORM"] = down
    await declare(hub)
    await drain(hub)
    enrol(hub, lambda one: None if one.id == "PLATFORM" else one)
    hub.now += timedelta(days=agreement().retention.payload_days, seconds=1)
    (delivery,) = await hub.store.overdue(overdue_before(hub), 100)
    await deliverer_of(hub.parts()).expire(delivery, hub.rules())
    assert rows(hub, "SELECT sealed FROM notifications") == [(None,)]


# Another revision of the agreement since it was accepted


@cache
def narrowed() -> Agreement:
    """The next revision: social security is shown the outcome of the decision on work, and no validity."""
    files = dict(contract_files(ROOT / "contracts"))
    name = next(one for one in files if one.endswith("agreement.toml"))
    old = 'receive = ["outcome", "validFrom", "validUntil"], basis = ["B", "C", "D"]'
    text = files[name].decode()
    assert text.count(old) == 1
    files[name] = text.replace(old, 'receive = ["outcome"], basis = ["B", "C", "D"]').encode()
    return load_agreement(files)


async def test_a_message_goes_by_the_agreement_under_which_it_was_accepted(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await hub.adopt(narrowed())
    await hub.restart()  # the earlier revision is compiled from the store
    await drain(hub, None, "NSSO")
    (notice,) = told_to(hub, "NSSO")
    assert paths(notice.payload, "notifyWorkDecision") == {
        "dossier/workDecision/outcome", "dossier/workDecision/validUntil",
    }  # fmt: skip
    for kind in ("delivery", "settlement"):
        (entry,) = of_kind(hub, kind)
        assert (entry["policy"], entry["in_force"]) == (agreement().revision, narrowed().revision)


async def test_what_is_told_under_the_new_revision_goes_by_the_new_one(hub: Hub):
    await hub.adopt(narrowed())
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub, None, "NSSO")
    (notice,) = told_to(hub, "NSSO")
    assert paths(notice.payload, "notifyWorkDecision", narrowed()) == {"dossier/workDecision/outcome"}
    assert "dossier/workDecision/validUntil" in notice.filtered
    (entry,) = of_kind(hub, "delivery")
    assert entry["policy"] == entry["in_force"] == narrowed().revision


async def test_what_the_new_revision_drops_is_delivered_and_acknowledged_by_the_old_one(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_REFUSED")
    told = await tell(
        hub, "BRUSSELS", "notifyAppeal", "WIB:APPEAL", {"workDecision": {"appealDate": "2026-04-02"}}
    )
    assert told.code is None
    await hub.adopt(without_appeals())
    (delivered,) = await drain(hub, None, "IMMIGRATION_OFFICE")
    assert delivered.outcome == "acknowledged"
    (entry,) = of_kind(hub, "settlement")
    assert (entry["policy"], entry["in_force"]) == (agreement().revision, without_appeals().revision)


async def test_without_the_earlier_revision_nothing_is_released(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    hub.store._appender._log._connection.execute("DELETE FROM agreements")
    await hub.adopt(narrowed())
    (failed,) = await drain(hub, None, "NSSO")
    assert failed.code is Code.LOG_UNAVAILABLE
    assert not hub.received
    assert not of_kind(hub, "delivery")


# What is kept


async def test_a_payload_waits_encrypted_and_goes_with_its_last_settlement(hub: Hub):
    hub.receiving["NSSO"] = Failing(1, down)
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    ((sealed,),) = rows(hub, "SELECT sealed FROM notifications")
    assert len(sealed) > len(GRANTED["workDecision"]["conditions"])  # NSSO still waits
    files = b"".join(file.read_bytes() for file in hub.path.parent.glob("store.db*"))
    for value in (CANARY, "meets the conditions", "Work for", "2027-03-20"):
        assert value.encode() not in files
    hub.now += timedelta(minutes=1)
    await drain(hub)
    assert rows(hub, "SELECT sealed FROM notifications") == [(None,)]
    assert rows(hub, "SELECT dossier FROM deliveries WHERE dossier IS NOT NULL") == []


async def test_nothing_leaves_before_its_release_is_in_the_log(hub: Hub):
    seen = []

    def look(hub, recipient, notice):
        last = hub.entries()[-1]
        seen.append((last["kind"], last["id"], last["to"]))
        return take_well(hub, recipient, notice)

    hub.receiving["NSSO"] = look
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub, None, "NSSO")
    (notice,) = told_to(hub, "NSSO")
    assert seen == [("delivery", notice.question.customer.ticket, [enterprise("NSSO")])]
    assert released(hub, 1)


async def test_a_recipient_that_may_see_nothing_of_it_is_told_that_it_happened(hub: Hub):
    await employed(hub, DOSSIER)
    establishment = {"establishment": {"unitNumber": "2123456789"}}
    await tell(hub, "NSSO", "notifySocialSecurityEvent", WORK, establishment)
    await drain(hub, None, "IMMIGRATION_OFFICE")
    (notice,) = told_to(hub, "IMMIGRATION_OFFICE")
    assert notice.payload is None
    assert [entry["decision"] for entry in of_kind(hub, "settlement")] == ["acknowledged"]
