"""PROTOCOL §14: what waits for an authority without an endpoint is listed, fetched and acknowledged by it alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import apsw
import pytest

from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement
from gateway.assembly import deliverer_of
from gateway.broker.bell import Bell
from gateway.broker.mailbox import PAGE
from gateway.config import DeliverySettings
from gateway.exchangelog.flaw import Flaw
from gateway.model import AuthorityId, Role
from gateway.refusal import Code
from tests.path.hub import DOSSIER, NOW, OTHER_DOSSIER, Answered, Hub, agreement
from tests.path.notifying import (
    GRANTED,
    PERMIT,
    RESIDENCE,
    WORK,
    Changing,
    declare,
    drain,
    enrol,
    enterprise,
    findings,
    kinds,
    mailbox,
    of_kind,
    paths,
    released,
    rows,
    scope,
    states,
    tell,
)
from tests.path.test_delivery import down, end_part, narrowed

VISA, REGISTRATION = "WIB:VISA_ISSUE", "WIB:MUNICIPAL_REGISTRATION"
RENEWAL = "WIB:RENEWAL"
WITHDRAWN = {"header": {"status": "WITHDRAWN"}}
UNKNOWN = "0b7f6a3c-5d3e-4c4a-9b1e-0a1b2c3d4e5f"
MAILBOX_LEASE = timedelta(seconds=DeliverySettings().mailbox_lease_seconds)


async def permit(hub: Hub, number: str = DOSSIER, post: str = "POST_RABAT") -> None:
    """A permit is granted: the post hears of it."""
    await hub.dossier(number, "RESIDENCE_GRANTED")
    now = await scope(hub, number)
    lines = [replace(one, authority=post) if one.role is Role.CONS else one for one in now.inscriptions]
    await hub.store.put_scope(replace(now, inscriptions=tuple(lines)))
    assert (await tell(hub, "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT, number)).code is None


async def listed(hub: Hub, name: str = "POST_RABAT", context: str = VISA, **criteria: object) -> list[str]:
    answered = await mailbox(hub, name, "listMessages", context, **criteria)
    assert answered.code is None
    return answered.texts("messageId")


async def fetch(hub: Hub, message: str, name: str = "POST_RABAT", context: str = VISA) -> Answered:
    return await mailbox(hub, name, "fetchMessage", context, message=message)


async def take_over(hub: Hub, message: str, name: str = "POST_RABAT", context: str = VISA) -> Answered:
    return await mailbox(hub, name, "acknowledgeMessage", context, message=message)


def content(answered: Answered) -> set[str]:
    """Leaf paths of the payload that a fetch brought."""
    (found,) = [one for one in answered.body if one.tag.endswith("}dossier")]
    return paths(found, "notifyPermit")


async def test_a_post_lists_fetches_and_acknowledges(hub: Hub):
    await permit(hub, post="POST_NEW_DELHI")
    answered = await mailbox(hub, "POST_NEW_DELHI", "listMessages", VISA)
    assert answered.texts("more") == ["false"]
    assert answered.texts("operation") == ["notifyPermit"]
    assert answered.texts("value") == ["DATA_FOUND"]
    (message,) = answered.texts("messageId")
    fetched = await fetch(hub, message, "POST_NEW_DELHI")
    assert content(fetched) == {
        "dossier/residenceFile/fileNumber", "dossier/residenceDecision/outcome",
        "dossier/residenceDecision/date", "dossier/residenceDecision/annexType",
    }  # fmt: skip
    done = await take_over(hub, message, "POST_NEW_DELHI")
    assert (done.code, done.texts("value")) == (None, ["OK"])
    assert await listed(hub, "POST_NEW_DELHI") == []
    assert ("POST_NEW_DELHI", "settled") in states(hub)


async def test_a_fetch_and_an_acknowledgement_leave_their_entries(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    assert kinds(hub) == ["notification"]  # a list leaves none
    fetched = await fetch(hub, message)
    done = await take_over(hub, message)
    assert kinds(hub) == ["notification", "request", "delivery", "request", "settlement"]
    told, asked, delivery, acknowledging, settlement = hub.entries()
    assert asked["id"] == delivery["id"] == fetched.event.exchange != message
    assert acknowledging["id"] == settlement["id"] == done.event.exchange
    assert delivery["of"] == settlement["of"] == told["id"]
    assert (delivery["from"], delivery["to"]) == (
        enterprise("IMMIGRATION_OFFICE"),
        [enterprise("POST_RABAT")],
    )
    assert fetched.texts("index") == ["2"]
    assert done.texts("index") == ["4"]
    assert settlement["decision"] == "acknowledged"
    assert settlement["msgsig"] is not None
    assert content(fetched) <= released(hub, 2)
    assert findings(hub) <= {Flaw.UNSETTLED}


async def test_the_payload_goes_with_the_last_acknowledgement(hub: Hub):
    await permit(hub)
    for name, context in (
        ("PLATFORM", RESIDENCE), ("BRUSSELS", WORK), ("POST_RABAT", VISA),
        ("MUN_BRUSSELS", REGISTRATION), ("NSSO", WORK),
    ):  # fmt: skip
        assert rows(hub, "SELECT sealed IS NULL FROM notifications") == [(0,)]
        (message,) = await listed(hub, name, context)
        await fetch(hub, message, name, context)
        assert (await take_over(hub, message, name, context)).code is None
    assert rows(hub, "SELECT sealed FROM notifications") == [(None,)]
    assert not findings(hub)


# Leases and order


async def test_a_fetched_message_is_leased_until_the_lease_has_ended(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    assert (await fetch(hub, message)).code is None
    assert await listed(hub) == []
    assert (await fetch(hub, message)).code == "WIB14002"
    hub.now += MAILBOX_LEASE
    assert await listed(hub) == [message]
    assert (await fetch(hub, message)).code is None
    assert (await take_over(hub, message)).code is None


async def test_what_was_fetched_may_be_acknowledged_after_the_lease(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    hub.now += MAILBOX_LEASE * 2
    assert (await take_over(hub, message)).code is None


async def events(hub: Hub, *numbers: str) -> None:
    for number in numbers:
        if await hub.store.scope(number) is None or (await scope(hub, number)).status != "CARD_ISSUED":
            await hub.dossier(number, "CARD_ISSUED")
        assert (await declare(hub, number)).code is None


def waiting_for(hub: Hub, name: str) -> list[str]:
    return [
        one for (one,) in rows(hub, "SELECT id FROM deliveries WHERE recipient = ? ORDER BY position", name)
    ]


async def test_messages_of_a_dossier_are_taken_in_their_order(hub: Hub):
    await events(hub, DOSSIER, DOSSIER, OTHER_DOSSIER)
    first, second, other = waiting_for(hub, "PLATFORM")
    assert await listed(hub, "PLATFORM", WORK) == [first, other]
    assert (await fetch(hub, second, "PLATFORM", WORK)).code == "WIB14003"
    assert (await fetch(hub, first, "PLATFORM", WORK)).code is None
    assert (await fetch(hub, second, "PLATFORM", WORK)).code == "WIB14003"  # fetched is not taken over
    assert (await fetch(hub, other, "PLATFORM", WORK)).code is None
    await take_over(hub, first, "PLATFORM", WORK)
    assert await listed(hub, "PLATFORM", WORK) == [second]
    assert (await fetch(hub, second, "PLATFORM", WORK)).code is None


# What is not the caller's


@pytest.mark.parametrize("operation", ["fetchMessage", "acknowledgeMessage"])
async def test_a_foreign_message_and_none_at_all_get_the_same_answer(hub: Hub, operation: str):
    await permit(hub)
    (message,) = await listed(hub)
    foreign = await mailbox(hub, "POST_NEW_DELHI", operation, VISA, message=message)
    none = await mailbox(hub, "POST_NEW_DELHI", operation, VISA, message=UNKNOWN)
    assert foreign.code == none.code == "WIB14001"
    assert foreign.texts("diagnostic") == none.texts("diagnostic")
    assert await listed(hub) == [message]


async def test_what_nobody_fetched_cannot_be_acknowledged(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    assert (await take_over(hub, message)).code == "WIB14001"
    assert not of_kind(hub, "settlement")


async def test_what_did_not_reach_an_endpoint_is_listed_at_once_and_not_acknowledged_unread(hub: Hub):
    """It had an endpoint that nobody reached, and has none any more."""
    await permit(hub)
    hub.receiving["POST_RABAT"] = down
    (attempt,) = await drain(hub, None, "POST_RABAT")
    assert attempt.code is Code.PROVIDER_UNREACHABLE
    assert len(of_kind(hub, "delivery")) == 1
    (message,) = await listed(hub)
    assert (await take_over(hub, message)).code == "WIB14001"
    assert not of_kind(hub, "settlement")
    assert (await fetch(hub, message)).code is None
    assert (await take_over(hub, message)).code is None
    assert [one["decision"] for one in of_kind(hub, "settlement")] == ["acknowledged"]
    assert findings(hub) <= {Flaw.UNSETTLED}


async def test_a_message_that_was_acknowledged_is_fetched_no_more(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    await take_over(hub, message)
    assert (await fetch(hub, message)).code == "WIB14001"


async def test_acknowledging_twice_is_no_error_and_is_recorded_once(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    await take_over(hub, message)
    before = len(hub.entries())
    again = await take_over(hub, message)
    assert (again.code, again.texts("value"), again.texts("index")) == (None, ["OK"], [])
    assert len(hub.entries()) == before


async def test_of_two_acknowledgements_at_once_one_is_recorded(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    answers = await asyncio.gather(*(take_over(hub, message) for _ in range(2)))
    assert len(of_kind(hub, "settlement")) == 1
    assert [(answered.code, answered.texts("value")) for answered in answers] == [(None, ["OK"])] * 2
    assert sorted(len(answered.texts("index")) for answered in answers) == [0, 1]
    assert findings(hub) <= {Flaw.UNSETTLED, Flaw.OUTCOME_UNKNOWN}


async def test_what_expires_while_it_is_acknowledged_was_not_taken_over(hub: Hub):
    """Between the look at the message and its settlement somebody else ends it."""

    async def expired(settle, delivery, made):
        hub.through = None
        await deliverer_of(hub.parts()).expire(delivery, hub.rules())
        return await settle(delivery, made)

    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    hub.through = Changing(hub, settle=expired)
    assert (await take_over(hub, message)).code == "WIB14001"
    assert [one["decision"] for one in of_kind(hub, "settlement")] == ["expired"]


async def test_of_two_fetches_at_once_one_gets_the_message(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    answers = await asyncio.gather(*(fetch(hub, message) for _ in range(2)))
    assert sorted(str(answered.code) for answered in answers) == ["None", "WIB14002"]
    assert len(of_kind(hub, "delivery")) == 1


def with_endpoint(hub: Hub, name: str) -> None:
    """The register gives this authority an endpoint."""
    enrol(hub, lambda one: replace(one, endpoint="https://spoke.example") if one.id == name else one)


@pytest.mark.parametrize("operation", ["listMessages", "fetchMessage", "acknowledgeMessage"])
async def test_an_authority_with_an_endpoint_has_no_mailbox(hub: Hub, operation: str):
    criteria = {} if operation == "listMessages" else {"message": UNKNOWN}
    with_endpoint(hub, "POST_RABAT")
    assert (await mailbox(hub, "POST_RABAT", operation, VISA, **criteria)).code == "WIB14004"
    with_endpoint(hub, "POST_NEW_DELHI")
    assert (await mailbox(hub, "POST_RABAT", operation, VISA, **criteria)).code != "WIB14004"


# What may be fetched


async def test_the_context_is_that_of_the_message(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub, "MUN_BRUSSELS", "WIB:CARD_ISSUE")  # a list is of every context
    assert (await fetch(hub, message, "MUN_BRUSSELS", "WIB:CARD_ISSUE")).code == "WIB07002"
    assert (await fetch(hub, message, "MUN_BRUSSELS", REGISTRATION)).code is None


async def test_a_context_of_another_role_lists_nothing(hub: Hub):
    assert (await mailbox(hub, "POST_RABAT", "listMessages", WORK)).code == "WIB07002"


async def empty(hub: Hub, name: str, context: str) -> list[str]:
    """Fetch and acknowledge what waits, one after the other; the operations."""
    told = []
    while found := await listed(hub, name, context):
        fetched = await fetch(hub, found[0], name, context)
        assert fetched.code is None
        told += fetched.texts("operation")
        assert (await take_over(hub, found[0], name, context)).code is None
    return told


async def test_what_the_course_left_behind_is_fetched_as_an_endpoint_is_told_it(hub: Hub):
    """A renewal: the municipality is instructed, the file goes to the region, and the application is withdrawn."""
    await hub.dossier(DOSSIER, "ADMISSIBLE", procedure="RENEWAL")
    told = [
        ("IMMIGRATION_OFFICE", "instructMunicipality", RENEWAL, {"residenceFile": {"fileNumber": "8123456"}}),
        ("BRUSSELS", "transferApplication", RENEWAL, {"admissibility": {"date": "2026-03-01"}}),
        ("PLATFORM", "withdrawApplication", RENEWAL, WITHDRAWN),
    ]
    for one in told:
        assert (await tell(hub, *one)).code is None
    assert (await hub.consult("MUN_BRUSSELS", "consultStatus", RENEWAL)).code == "WIB07006"
    heard = await empty(hub, "MUN_BRUSSELS", RENEWAL)
    assert heard == ["instructMunicipality", "withdrawApplication"]
    assert ("MUN_BRUSSELS", "waiting") not in states(hub)


async def test_a_rectification_is_not_held_up_by_a_status_that_passed(hub: Hub):
    deemed = {"residenceDecision": {"outcome": "DEEMED_GRANTED", "date": "2026-04-01"}}
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await empty(hub, "NSSO", WORK)
    await tell(hub, "PLATFORM", "notifyDeemedDecision", RESIDENCE, deemed)
    await tell(hub, "PLATFORM", "withdrawApplication", WORK, WITHDRAWN)
    assert (
        await tell(hub, "BRUSSELS", "rectifyData", WORK, {"workDecision": {"validUntil": "2027-01-20"}})
    ).code is None
    assert (await hub.consult("NSSO", "consultStatus", WORK)).code == "WIB07006"
    assert (await empty(hub, "NSSO", WORK))[-1] == "rectifyData"


async def test_a_rectification_does_not_lapse_before_what_it_rectifies_was_fetched(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    right = {"workDecision": {"validUntil": "2027-01-20"}}
    assert (await tell(hub, "BRUSSELS", "rectifyData", WORK, right)).code is None
    decision, rectification = waiting_for(hub, "NSSO")
    assert (await fetch(hub, rectification, "NSSO", WORK)).code == "WIB14003"
    assert (await fetch(hub, decision, "NSSO", WORK)).code is None
    assert (await take_over(hub, decision, "NSSO", WORK)).code is None
    fetched = await fetch(hub, rectification, "NSSO", WORK)
    assert fetched.texts("validUntil") == ["2027-01-20"]


async def test_what_was_fetched_does_not_lapse_while_it_may_be_acknowledged(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    hub.now += timedelta(minutes=1)
    await end_part(hub, "POST_RABAT")
    assert (await fetch(hub, message)).code == "WIB14002"
    assert (await take_over(hub, message)).code is None


async def test_a_message_is_fetched_at_a_status_at_which_the_role_reads_nothing(hub: Hub):
    """The Immigration Office hears of a withdrawal, at which the dossier is closed to it."""
    await tell(hub, "PLATFORM", "withdrawApplication", WORK, WITHDRAWN)
    (message,) = await listed(hub, "IMMIGRATION_OFFICE", RESIDENCE)
    assert (await hub.consult("IMMIGRATION_OFFICE", "consultStatus", RESIDENCE)).code == "WIB07006"
    assert (await fetch(hub, message, "IMMIGRATION_OFFICE", RESIDENCE)).code is None


@pytest.mark.parametrize("status", ["PERMIT_GRANTED", "UNDER_REVIEW"])  # open to a post, and closed
async def test_whose_part_has_ended_fetches_nothing_and_the_message_lapses(hub: Hub, status: str):
    await permit(hub)
    (message,) = await listed(hub)
    hub.now += timedelta(minutes=1)
    await end_part(hub, "POST_RABAT")
    await hub.store.put_scope(replace(await scope(hub), status=status))
    assert (await fetch(hub, message)).code == "WIB14001"
    (settlement,) = of_kind(hub, "settlement")
    assert (settlement["decision"], settlement["to"]) == ("lapsed", [enterprise("POST_RABAT")])
    assert await listed(hub) == []
    assert findings(hub) <= {Flaw.UNSETTLED}


async def test_a_message_goes_by_the_agreement_under_which_it_was_accepted(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await hub.adopt(narrowed())
    (message,) = await listed(hub, "NSSO", WORK)
    fetched = await fetch(hub, message, "NSSO", WORK)
    assert fetched.texts("validUntil") == ["2027-03-20"]
    (entry,) = of_kind(hub, "delivery")
    assert entry["in_force"] == narrowed().revision != entry["policy"]


async def test_a_message_that_cannot_be_opened_is_the_operator_s_and_is_listed_no_more(hub: Hub):
    """It holds back what follows in its dossier, as one to an endpoint does, and nothing else."""
    await events(hub, DOSSIER, OTHER_DOSSIER)
    damaged, other = waiting_for(hub, "PLATFORM")
    with closing(apsw.Connection(str(hub.path))) as connection:
        connection.execute(
            "UPDATE notifications SET sealed = zeroblob(length(sealed))"
            " WHERE exchange = (SELECT notification FROM deliveries WHERE id = ?)",
            (damaged,),
        )
    for _ in range(2):
        assert (await fetch(hub, damaged, "PLATFORM", WORK)).code == "WIB14001"
    assert await listed(hub, "PLATFORM", WORK) == [other]
    dead = "SELECT id, last_code FROM deliveries WHERE state = 'dead'"
    assert rows(hub, dead) == [(damaged, "LOG511")]
    assert not of_kind(hub, "delivery")


# Long lists, and waiting


async def test_a_long_list_is_read_in_pages(hub: Hub):
    numbers = [dossier_number(2026, 100 + n) for n in range(PAGE + 2)]
    await events(hub, *numbers)
    first = await mailbox(hub, "PLATFORM", "listMessages", WORK)
    page = first.texts("messageId")
    assert (len(page), first.texts("more")) == (PAGE, ["true"])
    rest = await mailbox(hub, "PLATFORM", "listMessages", WORK, after=page[-1])
    assert rest.texts("more") == ["false"]
    assert page + rest.texts("messageId") == waiting_for(hub, "PLATFORM")


async def test_after_a_message_of_somebody_else_lists_nothing(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    assert (await mailbox(hub, "PLATFORM", "listMessages", RESIDENCE, after=message)).code == "WIB14001"
    assert await listed(hub, after=message) == []


async def test_an_empty_mailbox_says_so_at_once(hub: Hub):
    answered = await mailbox(hub, "POST_RABAT", "listMessages", VISA)
    assert answered.texts("value") == ["NO_DATA_FOUND"]
    assert answered.texts("messageId") == answered.texts("more") == []


class Patient(Bell):
    """Looks again only when it is rung, so that a ring that is missing shows."""

    async def wait(self, seconds: float, recipient: str | None = None) -> None:
        await super().wait(60, recipient)


async def test_a_list_that_waits_is_answered_when_something_comes(hub: Hub):
    hub.bell = Patient()
    waiting = asyncio.create_task(listed(hub, wait_seconds=30))
    await asyncio.sleep(0)
    await permit(hub)
    async with asyncio.timeout(60):
        assert len(await waiting) == 1


async def test_a_list_that_waits_is_answered_when_its_time_is_over(hub: Hub):
    waits = []

    async def wait(seconds: float, recipient: str) -> None:
        waits.append(seconds)
        hub.now += timedelta(seconds=seconds)

    hub.bell.wait = wait
    assert await listed(hub, wait_seconds=3) == []
    assert sum(waits) == 3
    assert hub.now == NOW + timedelta(seconds=3)


async def test_a_list_that_waits_is_answered_when_the_message_before_is_acknowledged(hub: Hub):
    await events(hub, DOSSIER, DOSSIER)
    first, second = waiting_for(hub, "PLATFORM")
    await fetch(hub, first, "PLATFORM", WORK)
    hub.bell = Patient()
    waiting = asyncio.create_task(listed(hub, "PLATFORM", WORK, wait_seconds=30))
    await asyncio.sleep(0)
    await take_over(hub, first, "PLATFORM", WORK)
    async with asyncio.timeout(60):
        assert await waiting == [second]


async def test_what_a_list_waited_is_no_time_of_the_gateway_s_own(hub: Hub):
    async def wait(seconds: float, recipient: str) -> None:
        waited.append(seconds)
        hub.now += timedelta(seconds=seconds)

    waited, hub.bell.wait = [], wait
    event = (await mailbox(hub, "POST_RABAT", "listMessages", VISA, wait_seconds=1)).event
    assert waited
    assert event.provider_seconds >= event.seconds["wait"] > 0
    assert event.own_seconds == pytest.approx(sum(event.seconds.values()) - event.seconds["wait"])


class Watched:
    """Stands before the store, and counts how often each mailbox is looked into."""

    def __init__(self, hub: Hub):
        self._store, self.looks = hub.store, Counter()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def waiting(self, recipient, *args):
        self.looks[recipient] += 1
        return await self._store.waiting(recipient, *args)


async def begun(hub: Hub, looks: dict[str, int]) -> None:
    """So many looks were taken, and whoever took them waits again."""
    for _ in range(1000):
        await asyncio.sleep(0)
    assert hub.through.looks == looks


async def test_a_bell_for_another_mailbox_wakes_nobody_here(hub: Hub):
    hub.bell, hub.through = Patient(), Watched(hub)
    waiting = [
        asyncio.create_task(listed(hub, wait_seconds=30)),
        asyncio.create_task(listed(hub, "MUN_BRUSSELS", REGISTRATION, wait_seconds=30)),
    ]
    await begun(hub, {"POST_RABAT": 1, "MUN_BRUSSELS": 1})
    hub.bell.ring("MUN_BRUSSELS", "NSSO")
    await begun(hub, {"POST_RABAT": 1, "MUN_BRUSSELS": 2})
    hub.bell.ring("POST_RABAT")
    await begun(hub, {"POST_RABAT": 2, "MUN_BRUSSELS": 2})
    hub.now += timedelta(seconds=31)
    hub.bell.ring("POST_RABAT", "MUN_BRUSSELS")
    assert await asyncio.gather(*waiting) == [[], []]


async def test_a_notification_wakes_only_those_who_wait_for_it(hub: Hub):
    hub.bell, hub.through = Patient(), Watched(hub)
    waiting = [
        asyncio.create_task(listed(hub, name, context, wait_seconds=30))
        for name, context in (("POST_RABAT", VISA), ("MUN_LIEGE", REGISTRATION))
    ]
    await begun(hub, {"POST_RABAT": 1, "MUN_LIEGE": 1})
    await permit(hub)
    await begun(hub, {"POST_RABAT": 2, "MUN_LIEGE": 1})
    assert [one.done() for one in waiting] == [True, False]
    waiting[1].cancel()


async def test_whoever_waits_for_anybody_hears_every_bell():
    bell = Bell()
    for names in ((), (AuthorityId("NSSO"),)):
        courier = asyncio.create_task(bell.wait(60))
        await asyncio.sleep(0)
        bell.ring(*names)
        async with asyncio.timeout(60):
            await courier


async def test_of_one_mailbox_so_many_lists_wait_and_a_further_one_is_answered_at_once(hub: Hub):
    hub.bell, hub.through = Patient(), Watched(hub)
    broker = hub.broker()  # one process
    hub.broker = lambda: broker
    most = DeliverySettings().mailbox_waits
    waiting = [asyncio.create_task(listed(hub, wait_seconds=30)) for _ in range(most)]
    await begun(hub, {"POST_RABAT": most})
    async with asyncio.timeout(60):
        assert await listed(hub, wait_seconds=30) == []
    other = asyncio.create_task(listed(hub, "MUN_BRUSSELS", REGISTRATION, wait_seconds=30))
    await begun(hub, {"POST_RABAT": most + 1, "MUN_BRUSSELS": 1})
    assert not any(one.done() for one in (*waiting, other))
    await permit(hub)
    async with asyncio.timeout(60):
        assert len(await asyncio.gather(*waiting, other)) == most + 1
    again = asyncio.create_task(listed(hub, after=waiting_for(hub, "POST_RABAT")[0], wait_seconds=30))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not again.done()  # those before have left
    again.cancel()


# What its sender, its time or another revision left behind


def without(hub: Hub, name: str) -> None:
    """The register has this authority no more."""
    enrol(hub, lambda one: None if one.id == name else one)


async def test_a_message_whose_sender_left_the_register_waits_for_the_operator(hub: Hub):
    await events(hub, DOSSIER, OTHER_DOSSIER)
    first, other = waiting_for(hub, "PLATFORM")
    without(hub, "NSSO")
    assert (await fetch(hub, first, "PLATFORM", WORK)).code == "WIB14001"
    assert rows(hub, "SELECT state, last_code FROM deliveries WHERE id = ?", first) == [("dead", "WIB05002")]
    assert await listed(hub, "PLATFORM", WORK) == [other]
    hub.rules_change = lambda rules: rules
    assert (await fetch(hub, other, "PLATFORM", WORK)).code is None


def kept_for_a_day(hub: Hub) -> None:
    """The agreement lets payloads be kept no longer."""
    changed = replace(agreement(), retention=replace(agreement().retention, payload_days=1))
    hub.rules_change = lambda rules: replace(rules, agreement=changed)


async def test_what_is_too_old_is_not_fetched_and_has_expired(hub: Hub):
    kept_for_a_day(hub)
    await events(hub, DOSSIER, OTHER_DOSSIER)
    first, other = waiting_for(hub, "PLATFORM")
    hub.now += timedelta(days=1)
    assert (await fetch(hub, first, "PLATFORM", WORK)).code is None
    hub.now += timedelta(seconds=1)
    assert (await fetch(hub, other, "PLATFORM", WORK)).code == "WIB14001"
    (settlement,) = of_kind(hub, "settlement")
    assert (settlement["decision"], settlement["id"]) == ("expired", other)
    assert (await take_over(hub, first, "PLATFORM", WORK)).code is None  # it has it


async def test_what_ended_without_its_recipient_cannot_be_acknowledged(hub: Hub):
    await events(hub, DOSSIER)
    (message,) = waiting_for(hub, "PLATFORM")
    await fetch(hub, message, "PLATFORM", WORK)
    (delivery,) = [
        one for one in await hub.store.overdue(hub.now + timedelta(days=1), 9) if one.id == message
    ]
    await deliverer_of(hub.parts()).expire(delivery, hub.rules())
    assert (await take_over(hub, message, "PLATFORM", WORK)).code == "WIB14001"


async def test_what_an_endpoint_acknowledged_before_its_authority_had_a_mailbox_is_acknowledged(hub: Hub):
    await events(hub, DOSSIER)
    (message,) = waiting_for(hub, "PLATFORM")
    await drain(hub, None, "PLATFORM")
    assert (await take_over(hub, message, "PLATFORM", WORK)).code is None


async def test_of_two_fetches_of_what_lapses_both_find_nothing(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub)
    hub.now += timedelta(minutes=1)
    await end_part(hub, "POST_RABAT")
    answers = await asyncio.gather(*(fetch(hub, message) for _ in range(2)))
    assert [answered.code for answered in answers] == ["WIB14001", "WIB14001"]
    assert [entry["decision"] for entry in of_kind(hub, "settlement")] == ["lapsed"]


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "denied"])
async def test_a_context_that_the_agreement_has_no_more_still_fetches_its_messages(hub: Hub, gone: bool):
    await permit(hub)
    (message,) = await listed(hub, "BRUSSELS", WORK)
    changed = later(WORK, None if gone else {Role.OE})
    hub.rules_change = lambda rules: replace(rules, agreement=changed)
    refused = {one.code for one in [
        await mailbox(hub, "BRUSSELS", "listMessages", WORK),
        await fetch(hub, UNKNOWN, "BRUSSELS", WORK),
        await fetch(hub, waiting_for(hub, "MUN_BRUSSELS")[0], "BRUSSELS", WORK),
    ]}  # fmt: skip
    assert refused == {"WIB07001" if gone else "WIB07002"}
    fetched = await fetch(hub, message, "BRUSSELS", WORK)
    assert fetched.code is None
    assert content(fetched) == {"dossier/residenceDecision/outcome"}
    assert (await take_over(hub, message, "BRUSSELS", WORK)).code is None


def later(context: str, roles: set[Role] | None) -> Agreement:
    """A later revision, in which this context is nobody's or these roles'."""
    contexts = dict(agreement().contexts)
    found = contexts.pop(context)
    if roles is not None:
        contexts[context] = replace(found, roles=frozenset(roles))
    return replace(agreement(), contexts=contexts, revision="ab" * 32)


async def test_a_reply_says_who_told_it_and_what_is_withheld(hub: Hub):
    await permit(hub)
    (message,) = await listed(hub, "BRUSSELS", WORK)
    fetched = await fetch(hub, message, "BRUSSELS", WORK)
    assert enterprise("IMMIGRATION_OFFICE") in fetched.texts("cbeNumber")
    assert "dossier/residenceDecision/date" in fetched.texts("filteredElement")
    assert fetched.texts("date") == []
