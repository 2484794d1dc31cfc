"""Killed before or after any call to the outside: what was accepted arrives, in order, and is recorded once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.assembly import deliverer_of
from gateway.broker.event import DeliveryEvent
from gateway.exchangelog.flaw import Flaw
from gateway.model import AuthorityId
from tests.path.hub import DOSSIER, Hub
from tests.path.notifying import (
    GRANTED,
    LEASE,
    WORK,
    drain,
    enterprise,
    findings,
    of_kind,
    rows,
    scope,
    states,
    tell,
    told_to,
)
from tests.path.test_delivery import event, order
from tests.path.test_mailbox import MAILBOX_LEASE, fetch, listed, take_over

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

TICKET = "5f0c6a52-6a3f-4f0e-8b8e-3f3c2b1a0d9e"


class Killed(BaseException):
    """The process is gone: nothing of the program may catch it."""


class Mortal:
    """Stands before store and spokes; the process dies before or after the nth call, and never without `at`."""

    def __init__(self, hub: Hub, at: int | None = None, *, after: bool = False):
        self.hub, self.at, self.after, self.calls = hub, at, after, []

    def __getattr__(self, name: str):
        real = self.hub.ask if name == "ask" else getattr(self.hub.store, name)

        async def call(*args):
            self.calls.append(name)
            dies = self.at is not None and len(self.calls) == self.at + 1
            if dies and not self.after:
                raise Killed
            done = await real(*args)
            if dies:
                raise Killed
            return done

        return call


async def accept(hub: Hub, port: Mortal) -> None:
    """A sender that repeats its message until it has a receipt."""
    hub.through = port
    answered = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED, ticket=TICKET)
    assert answered.texts("value") == ["OK"]


async def deliver(hub: Hub, port: Mortal) -> None:
    """A courier for one endpoint."""
    deliverer = deliverer_of(replace(hub.parts(port), spokes=port))
    while found := await port.lease([AuthorityId("PLATFORM")], hub.now, hub.now + LEASE, 100):
        for delivery in found:
            await deliverer.attempt(delivery, DeliveryEvent(delivery), hub.rules())


async def take(hub: Hub, port: Mortal) -> None:
    """A recipient that takes the first message over from its mailbox."""
    hub.through = port
    (message,) = await listed(hub, "PLATFORM", WORK)
    assert (await fetch(hub, message, "PLATFORM", WORK)).code is None
    assert (await take_over(hub, message, "PLATFORM", WORK)).code is None


CALLS = {  # of a good run, in order
    accept: ("told", "scope", "accept"),
    deliver: ("lease", *("scope", "record", "ask", "parties", "settle", "lease") * 2),
    take: (
        *("waiting", "parties", "find", "scope", "append", "take", "record", "parties"),
        *("find", "append", "parties", "settle"),
    ),
}


async def prepare(hub: Hub, act: object) -> None:
    """Two events of one dossier wait, unless the act is what begins everything."""
    if act is not accept:
        await hub.dossier(DOSSIER, "CARD_ISSUED")
        await event(hub, 1)
        await event(hub, 2)


@pytest.mark.parametrize("act", CALLS, ids=lambda act: act.__name__)
async def test_the_calls_are_those_of_a_good_run(hub: Hub, act):
    await prepare(hub, act)
    port = Mortal(hub)
    await act(hub, port)
    assert tuple(port.calls) == CALLS[act]


async def killed(hub: Hub, act, at: int, *, after: bool) -> None:
    """The act is cut off; another process starts on the same file when every lease has ended."""
    await prepare(hub, act)
    with pytest.raises(Killed):
        await act(hub, Mortal(hub, at, after=after))
    await hub.restart()
    hub.now += MAILBOX_LEASE + timedelta(minutes=1)


def deaths(act) -> list:
    return [
        pytest.param(at, after, id=f"{'after' if after else 'before'}-{at}-{name}")
        for at, name in enumerate(CALLS[act])
        for after in (False, True)
    ]


def settled_once(hub: Hub) -> bool:
    """Each delivery has one settlement, and no payload is left."""
    ends = Counter((entry["of"], *entry["to"]) for entry in of_kind(hub, "settlement"))
    assert {state for _, state in states(hub)} == {"settled"}
    assert rows(hub, "SELECT 1 FROM notifications WHERE sealed IS NOT NULL") == []
    return set(ends.values()) == {1} and len(ends) == len(states(hub))


def released_once(hub: Hub) -> bool:
    found = Counter((entry["of"], *entry["to"]) for entry in of_kind(hub, "delivery"))
    return set(found.values()) == {1} and len(found) == len(states(hub))


@pytest.mark.parametrize(("at", "after"), deaths(accept))
async def test_killed_while_it_is_taken_in(hub: Hub, at: int, after: bool):
    before = await scope(hub)
    await killed(hub, accept, at, after=after)
    await accept(hub, Mortal(hub))
    await drain(hub)
    assert len(of_kind(hub, "notification")) == 1
    assert ((await scope(hub)).status, (await scope(hub)).version) == ("WORK_GRANTED", before.version + 1)
    assert [len(told_to(hub, name)) for name in ("PLATFORM", "IMMIGRATION_OFFICE", "NSSO")] == [1, 1, 1]
    assert settled_once(hub)
    assert released_once(hub)
    assert not findings(hub)


@pytest.mark.parametrize(("at", "after"), deaths(deliver))
async def test_killed_while_it_is_delivered(hub: Hub, at: int, after: bool):
    await killed(hub, deliver, at, after=after)
    await drain(hub)
    arrived = [day for _, day in order(hub, "PLATFORM")]
    assert arrived == sorted(arrived)
    assert set(arrived) == {"2026-05-01", "2026-05-02"}
    tickets = {(one.question.customer.ticket) for one in told_to(hub, "PLATFORM")}
    assert len(tickets) == 2  # what comes again is known by its ticket
    assert settled_once(hub)
    assert released_once(hub)
    assert not findings(hub)


@pytest.mark.parametrize(("at", "after"), deaths(take))
async def test_killed_while_it_is_taken_from_a_mailbox(hub: Hub, at: int, after: bool):
    await killed(hub, take, at, after=after)
    fetched: list[str] = []
    while messages := await listed(hub, "PLATFORM", WORK):
        for message in messages:
            answered = await fetch(hub, message, "PLATFORM", WORK)
            fetched += answered.texts("periodStart")
            assert (await take_over(hub, message, "PLATFORM", WORK)).code is None
    await drain(hub)  # the other recipient
    ended = (at, after) == (len(CALLS[take]) - 1, True)  # killed with everything done
    assert fetched == ["2026-05-01", "2026-05-02"][ended:]
    assert settled_once(hub)
    released = Counter(
        entry["of"] for entry in of_kind(hub, "delivery") if entry["to"] == [enterprise("PLATFORM")]
    )
    assert len(released) == 2
    assert findings(hub) <= {Flaw.OUTCOME_UNKNOWN}  # a request that was cut off


async def test_what_was_leased_but_not_released_is_not_acknowledged_unread(hub: Hub):
    await killed(hub, take, CALLS[take].index("take"), after=True)
    (message,) = await listed(hub, "PLATFORM", WORK)
    assert (await take_over(hub, message, "PLATFORM", WORK)).code == "WIB14001"
    assert (await fetch(hub, message, "PLATFORM", WORK)).code is None
    assert (await take_over(hub, message, "PLATFORM", WORK)).code is None
