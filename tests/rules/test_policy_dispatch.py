"""What of a notification its recipient receives, and when it may not have it any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from lxml import etree

from gateway.agreement.answer import leaves
from gateway.model import (
    SERVICE,
    AuthorityId,
    Delivery,
    Dispatch,
    DossierScope,
    ExchangeId,
    LegalContext,
    Notification,
    OperationName,
    Role,
)
from gateway.policy.dispatch import dispatch
from gateway.policy.rectify import EarlierRelease
from gateway.soap.xml import canonical
from tests.rules.agreement_files import shipped
from tests.rules.notify_world import (
    ADMISSIBILITY,
    APPLICATION,
    NOW,
    NUMBER,
    SSIN,
    WORK,
    line,
    party,
    payload,
    scope,
)

LATER = NOW + timedelta(days=2)
PART = line("BRUSSELS")
FULL = {**APPLICATION, "salary": {"amount": "4120.50"}, "criminalRecord": {"issuingCountry": "MAR"}}


def delivery(
    operation: str = "submitApplication",
    recipient: str = "BRUSSELS",
    context: LegalContext = ADMISSIBILITY,
) -> Delivery:
    told = Notification(
        exchange=ExchangeId("e-1"),
        sender=AuthorityId("PLATFORM"),
        operation=OperationName(operation),
        dossier=NUMBER,
        accepted=NOW,
        revision=shipped().revision,
        status="SUBMITTED",
        payload=canonical(payload(FULL)),
    )
    return Delivery(ExchangeId("d-1"), told, AuthorityId(recipient), context, 0, recorded=False)


def dispatched(one: Delivery, before: DossierScope | None, now: datetime = LATER):
    in_force = replace(shipped(), revision="of another day")
    return dispatch(one, party("PLATFORM"), party(one.recipient), shipped(), in_force, before, now)


def test_the_recipient_receives_its_view_of_what_was_told_and_no_more():
    found = dispatched(delivery(), scope("SUBMITTED", PART))
    assert found is not None
    view = shipped().view(
        OperationName("submitApplication"), party("BRUSSELS").role, ADMISSIBILITY, party("PLATFORM").role
    )
    assert found.view is view
    wrapped = etree.fromstring(f'<s:x xmlns:s="{SERVICE}">{found.payload}</s:x>')
    written = dict.fromkeys(leaf.path for leaf, _ in leaves(view.payload, payload(FULL)))
    told = [(leaf.path, text) for leaf, text in leaves(view.payload, wrapped[0])]
    assert [path for path, _ in told] == [path for path in written if view.verdicts[path] is None]
    assert any(view.verdicts[path] is not None for path in written)
    assert ("dossier/worker/ssin", SSIN) in told
    assert found.values["dossier/worker/ssin"] == (SSIN,)
    assert canonical(wrapped) == f'<s:x xmlns:s="{SERVICE}">{found.payload}</s:x>'.encode()


def test_both_revisions_and_both_parties_are_told():
    found = dispatched(delivery(), scope("SUBMITTED", PART))
    assert found is not None
    assert found.in_force == "of another day"
    assert (found.sender.id, found.recipient.id) == ("PLATFORM", "BRUSSELS")


@pytest.mark.parametrize(
    ("lines", "still"),
    [
        ([PART], True),
        ([line("BRUSSELS", until=LATER + timedelta(seconds=1))], True),
        ([line("BRUSSELS", until=NOW)], True),  # by the notification itself
        ([line("BRUSSELS", until=LATER)], False),
        ([line("BRUSSELS", until=NOW + timedelta(seconds=1))], False),
        ([line("FLANDERS")], False),
        ([line("BRUSSELS", until=NOW - timedelta(days=9)), line("BRUSSELS", NOW, LATER)], False),
        ([line("BRUSSELS", until=NOW + timedelta(days=1)), line("BRUSSELS", NOW + timedelta(days=1))], True),
    ],
)
def test_whose_part_ended_since_may_not_have_it_any_more(lines, still: bool):
    assert (dispatched(delivery(), scope("SUBMITTED", *lines)) is not None) == still


def test_who_plays_another_role_since_takes_part_in_it_no_more():
    """There is no view of the notification for that role: it lapses, and does not fail for ever."""
    other = replace(party("BRUSSELS"), role=Role.MUN)
    before = scope("SUBMITTED", PART)
    assert dispatch(delivery(), party("PLATFORM"), other, shipped(), shipped(), before, LATER) is None


def test_of_a_dossier_that_the_directory_does_not_know_nothing_is_told():
    assert dispatched(delivery(), None) is None


NAME, SALARY = "dossier/worker/familyName", "dossier/salary/amount"
OWED = delivery("rectifyData", context=WORK)


def had(
    *present: str, absent: tuple[str, ...] = (), name: str = "BRUSSELS", of: str | None = None, index: int = 0
) -> EarlierRelease:
    return EarlierRelease(
        index=index,
        enterprise=str(party(name).enterprise),
        operation=OperationName("consultDossier"),
        legal_context=WORK,
        released=frozenset((*present, *absent)),
        present=frozenset(present),
        notification=None if of is None else ExchangeId(of),
    )


def rectified(*earlier: EarlierRelease, before: DossierScope | None = None) -> Dispatch | None:
    return dispatch(OWED, party("PLATFORM"), party("BRUSSELS"), shipped(), shipped(), before, LATER, earlier)


def shown(found: Dispatch | None) -> dict[str, tuple[str, ...]]:
    """What stands in it, by path."""
    assert found is not None
    assert {path for path, reason in found.view.verdicts.items() if reason is None} == set(found.values)
    return {path: texts for path, texts in found.values.items() if texts}


def test_a_rectification_is_owed_to_whoever_took_part():
    ended = scope("SUBMITTED", line("BRUSSELS", until=NOW + timedelta(days=1)))
    for before in (ended, None):
        assert shown(rectified(had(NAME), before=before)) == {NAME: ("Zyxwvutsrq",)}


def test_a_rectification_is_of_what_its_recipient_received_and_of_no_more():
    found = rectified(had(NAME))
    assert found is not None
    assert "Zyxwvutsrq" in found.payload
    assert SSIN not in found.payload
    assert found.view.verdicts[NAME] is None
    assert found.view.verdicts[SALARY] == "RECEIVED"
    full = shipped().view(OWED.notification.operation, party("BRUSSELS").role, WORK, party("PLATFORM").role)
    others = {path: reason for path, reason in found.view.verdicts.items() if reason != "RECEIVED"}
    assert others == {path: full.verdicts[path] for path in others}
    assert {path for path, reason in full.verdicts.items() if reason} <= set(others)
    assert found.view.filtered == full.filtered


def test_what_was_received_by_several_ways_is_rectified_together():
    assert shown(rectified(had(NAME), had(SALARY, index=1))) == {NAME: ("Zyxwvutsrq",), SALARY: ("4120.50",)}


def test_what_it_was_shown_as_absent_is_not_told_and_the_log_does_not_say_so():
    found = rectified(had(NAME, absent=(SALARY,)))
    assert shown(found) == {NAME: ("Zyxwvutsrq",)}
    assert found is not None
    assert found.view is rectified(had(NAME, SALARY)).view
    assert (found.view.verdicts[SALARY], found.values[SALARY]) == (None, ())


@pytest.mark.parametrize("earlier", [[], [had(NAME, name="FLANDERS")], [had("dossier/header/dossierNumber")]])
def test_what_did_not_reach_the_recipient_after_all_is_not_rectified(earlier: list[EarlierRelease]):
    assert rectified(*earlier) is None


def test_a_second_attempt_is_what_the_log_says_of_the_first():
    first = had(NAME, of="e-1", index=2)
    assert shown(rectified(had(NAME), had(SALARY, index=1), first)) == {NAME: ("Zyxwvutsrq",)}
    other = had(NAME, of="e-2", index=2)
    assert set(shown(rectified(had(SALARY), other))) == {NAME, SALARY}


def test_a_part_that_began_before_the_clock_was_set_back_is_not_forgotten():
    ended = line("BRUSSELS", NOW + timedelta(hours=1), NOW)
    assert dispatched(delivery(), scope("SUBMITTED", ended, PART)) is not None
    assert (
        dispatched(delivery(), scope("SUBMITTED", ended, line("BRUSSELS", NOW, NOW + timedelta(days=1))))
        is None
    )
