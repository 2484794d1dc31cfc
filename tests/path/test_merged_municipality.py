"""PROTOCOL §5.3 and §15.3: a municipality became part of another. Here Eupen's has become part of Liège's: both still
have their line in the register, and a file of the old one goes over to the new one through the hub."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.agreement.course import NisMerger
from gateway.model import Authority, AuthorityId, Criteria, Role
from tests.path.hub import DOSSIER, Hub, agreement
from tests.path.notifying import (
    PERMIT,
    RESIDENCE,
    drain,
    enrol,
    findings,
    mailbox,
    scope,
    states,
    taking_part,
    tell,
    told_to,
)

REGISTRATION = "WIB:MUNICIPAL_REGISTRATION"
OLD, NEW = "MUN_EUPEN", "MUN_LIEGE"
OLD_CODE, NEW_CODE = "63023", "62063"
MOVED = {"municipalOutcome": {"status": "MOVED_OUT"}, "addressBelgium": {"municipality": OLD_CODE}}


@pytest.fixture
async def merged(hub: Hub) -> Hub:
    """The hub since the merger; the dossier is still the old municipality's."""
    places = agreement().places
    merger = NisMerger(OLD_CODE, NEW_CODE, (hub.now - timedelta(days=1)).date())
    terms = replace(agreement(), places=replace(places, mergers=(*places.mergers, merger)))
    hub.rules_change = lambda rules: replace(rules, agreement=terms)
    await hub.dossier(DOSSIER, "CARD_ISSUED")
    now = await scope(hub)
    lines = [
        replace(one, authority=AuthorityId(OLD)) if one.role is Role.MUN else one for one in now.inscriptions
    ]
    await hub.store.put_scope(replace(now, inscriptions=tuple(lines)))
    return hub


async def status(hub: Hub, name: str, **change: object) -> str | None:
    return (await hub.consult(name, "consultStatus", REGISTRATION, Criteria(DOSSIER), **change)).code


async def test_its_file_goes_to_its_successor_with_the_message_that_names_its_code(merged: Hub):
    assert (await status(merged, OLD), await status(merged, NEW)) == (None, "WIB07005")
    assert (await tell(merged, OLD, "notifyRegistration", REGISTRATION, MOVED)).code is None
    assert await taking_part(merged) & {OLD, NEW} == {NEW}
    merged.now += timedelta(minutes=1)
    await drain(merged)
    (notice,) = told_to(merged, NEW)
    assert notice.payload.findtext(".//{*}municipality") == OLD_CODE  # as it was told
    assert (await status(merged, OLD), await status(merged, NEW)) == ("WIB07005", None)
    assert not findings(merged)


async def test_nobody_speaks_for_the_other_in_an_exchange(merged: Hub):
    assert await status(merged, NEW, signer=OLD) == "WIB05003"
    assert await status(merged, OLD, signer=NEW) == "WIB05003"
    assert (await status(merged, OLD), await status(merged, NEW)) == (None, "WIB07005")


async def test_what_waits_in_its_mailbox_stays_its_own(merged: Hub):
    await merged.store.put_scope(replace(await scope(merged), status="RESIDENCE_GRANTED"))
    assert (await tell(merged, "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT)).code is None
    assert [one for one, _ in states(merged) if one in {OLD, NEW}] == [OLD]
    (message,) = (await mailbox(merged, OLD, "listMessages", REGISTRATION)).texts("messageId")
    assert (await mailbox(merged, NEW, "listMessages", REGISTRATION)).texts("messageId") == []
    assert (await mailbox(merged, NEW, "fetchMessage", REGISTRATION, message=message)).code == "WIB14001"
    assert (await mailbox(merged, OLD, "fetchMessage", REGISTRATION, message=message)).code is None


async def test_suspended_it_is_refused_and_its_successor_served(merged: Hub):
    assert (await tell(merged, OLD, "notifyRegistration", REGISTRATION, MOVED)).code is None
    with_merger = merged.rules_change

    def suspended(one: Authority) -> Authority:
        return replace(one, active=False) if one.id == OLD else one

    enrol(merged, suspended)
    known = merged.rules_change
    merged.rules_change = lambda rules: known(with_merger(rules))
    assert (await status(merged, OLD), await status(merged, NEW)) == ("WIB05005", None)
