"""Entries of notifications: closed form of each kind, and which of them belong together."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import rfc8785
from msgspec import structs

from gateway.exchangelog.entry import Entry
from gateway.exchangelog.fields import FieldPlan, base64url
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import DropReason
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.exchangelog.pairing import Pairing
from gateway.model import Delivery, Settlement
from tests.exchanges import (
    NSSO,
    PLATFORM,
    REVISION,
    VALUES,
    VERDICTS,
    exchange_id,
    refusal_entry,
    request_entry,
    response_entry,
)
from tests.notifications import (
    DOSSIER,
    IN_FORCE,
    OFFICE,
    accepted,
    accepted_entry,
    call_entry,
    delivered_entry,
    delivery,
    settled_entry,
)

COMMON = {
    "v", "id", "t", "kind", "from", "to", "svc", "schema", "purpose", "policy", "decision", "fields_root",
    "nfields", "subj", "actor", "body", "msgsig", "ret", "nonce",
}  # fmt: skip
KEYS = {
    "notification": COMMON,
    "delivery": COMMON | {"of", "in_force"},
    "settlement": COMMON | {"of", "in_force", "reason"},
}


def entries(of: Delivery | None = None) -> dict[str, Entry]:
    of = of or delivery()
    return {
        "notification": accepted_entry(accepted(), of.notification.exchange),
        "delivery": delivered_entry(of),
        "settlement": settled_entry(of),
    }


@pytest.mark.parametrize("kind", KEYS)
def test_entry_is_canonical_json_with_exactly_the_keys_of_its_kind(kind):
    leaf = entries()[kind].leaf
    assert json.loads(leaf).keys() == KEYS[kind]
    assert rfc8785.dumps(json.loads(leaf)) == leaf
    assert Leaf.parse(leaf).seal() == leaf
    assert len(leaf) < 1_000


def test_notification_says_who_tells_whom_and_claims_its_ticket():
    made = accepted_entry(accepted("ticket-7", recipients=(NSSO, PLATFORM)))
    leaf = Leaf.parse(made.leaf)
    assert (leaf.kind, leaf.decision) == (Kind.NOTIFICATION, "accepted")
    assert (leaf.caller, leaf.to) == ("0999000110", ("0999000209/SOCIAL-SECURITY", "0999000209/PLATFORM"))
    assert (leaf.operation, leaf.legal_context, leaf.revision) == (
        "notifyWorkDecision",
        "WIB:WORK_DECISION",
        REVISION,
    )
    assert (leaf.fields_root, leaf.nfields, leaf.notification) == (None, 0, None)
    assert made.claim == ("BRUSSELS", "ticket-7")
    assert made.dossier == DOSSIER


def test_notification_that_nobody_is_to_hear_of_is_an_entry_too():
    assert Leaf.parse(accepted_entry(accepted(recipients=())).leaf).to == ()


def test_delivery_has_the_field_records_of_the_recipients_view():
    of = delivery()
    made = delivered_entry(of)
    leaf = Leaf.parse(made.leaf)
    plan = FieldPlan(VERDICTS)
    assert (leaf.id, leaf.notification) == (of.id, of.notification.exchange)
    assert (leaf.caller, leaf.to) == ("0999000110", ("0999000209/PLATFORM",))
    assert (leaf.legal_context, leaf.revision, leaf.in_force) == ("WIB:FOLLOW_UP", REVISION, IN_FORCE)
    assert (leaf.decision, leaf.signature, leaf.nfields) == ("released", None, len(VERDICTS))
    assert made.fields is not None
    root = plan.commit(VALUES, made.fields.seed).root
    assert leaf.fields_root == base64url(root).decode()
    assert made.claim is None


def test_delivery_from_a_mailbox_has_the_id_of_its_fetch():
    fetch = exchange_id()
    made = delivered_entry(delivery(), fetch)
    assert (made.exchange, Leaf.parse(made.leaf).id) == (fetch, fetch)


def test_settlement_says_how_a_delivery_ended():
    of = delivery()
    leaf = Leaf.parse(settled_entry(of).leaf)
    assert (leaf.kind, leaf.decision, leaf.reason) == (Kind.SETTLEMENT, "acknowledged", None)
    assert (leaf.id, leaf.notification, leaf.in_force) == (of.id, of.notification.exchange, IN_FORCE)
    assert (leaf.caller, leaf.to) == ("0999000110", ("0999000209/PLATFORM",))
    assert (leaf.body, leaf.fields_root, leaf.nfields) == (None, None, 0)
    assert leaf.signature is not None
    dropped = settled_entry(of, Settlement.DROPPED, reason=DropReason.DUPLICATE)
    assert (Leaf.parse(dropped.leaf).decision, Leaf.parse(dropped.leaf).reason) == ("dropped", "duplicate")
    for settlement in (Settlement.LAPSED, Settlement.EXPIRED):
        leaf = Leaf.parse(settled_entry(of, settlement).leaf)
        assert (leaf.decision, leaf.reason, leaf.signature) == (settlement.value, None, None)


def test_entries_hold_nothing_of_the_dossier():
    of = delivery()
    for made in entries(of).values():
        assert made.dossier == DOSSIER
        assert DOSSIER.encode() not in made.leaf
        assert b"85073003328" not in made.leaf


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("notification", "decision", "released"),
        ("notification", "msgsig", None),
        ("notification", "body", None),
        ("notification", "nfields", 1),
        ("notification", "of", "00000000-0000-4000-8000-000000000000"),
        ("delivery", "to", []),
        ("delivery", "to", ["0999000110", "0999000209"]),
        ("delivery", "of", None),
        ("delivery", "of", "1"),
        ("delivery", "in_force", None),
        ("delivery", "in_force", "cd"),
        ("delivery", "fields_root", None),
        ("delivery", "decision", "accepted"),
        ("delivery", "msgsig", "A" * 43),
        ("delivery", "reason", None),
        ("settlement", "decision", "released"),
        ("settlement", "decision", "dropped"),
        ("settlement", "msgsig", None),
        ("settlement", "reason", "duplicate"),
        ("settlement", "reason", "because"),
        ("settlement", "body", "A" * 43),
        ("settlement", "to", []),
    ],
)
def test_anything_else_is_no_entry(kind, key, value):
    record = json.loads(entries()[kind].leaf)
    Leaf.parse(rfc8785.dumps(record))
    with pytest.raises(ProofError) as caught:
        Leaf.parse(rfc8785.dumps(record | {key: value}))
    assert caught.value.flaw is Flaw.ENTRY_FORM


@pytest.mark.parametrize(
    ("settlement", "change"),
    [
        (Settlement.DROPPED, {}),
        (Settlement.EXPIRED, {"reason": DropReason.DUPLICATE}),
        (Settlement.LAPSED, {"signature": b"whose?"}),
        (Settlement.ACKNOWLEDGED, {"signature": None}),
        (Settlement.ACKNOWLEDGED, {"reason": DropReason.DUPLICATE}),
    ],
)
def test_only_an_acknowledgement_is_signed_and_only_a_drop_has_a_reason(settlement, change):
    with pytest.raises(ProofError) as caught:
        settled_entry(delivery(), settlement, **change)
    assert caught.value.flaw is Flaw.ENTRY_FORM


def test_the_same_dossier_and_payload_leave_other_commitments_each_time():
    of = delivery()
    first, second = (Leaf.parse(delivered_entry(of).leaf) for _ in range(2))
    assert first.subject != second.subject
    assert first.body != second.body


# Which entries belong together.


def flaws(*made: Entry) -> list[tuple[Flaw, int | None]]:
    pairing, found = Pairing(), []
    for index, one in enumerate(made):
        found += pairing.check(index, Leaf.parse(one.leaf))
    found += pairing.left()
    return [(finding.flaw, finding.index) for finding in found]


def way(recipient=PLATFORM) -> tuple[Delivery, list[Entry]]:
    """A notification to one recipient, and its way there."""
    of = delivery(recipient=recipient.id)
    told = accepted_entry(accepted(recipients=(recipient,)), of.notification.exchange)
    return of, [told, delivered_entry(of), settled_entry(of)]


def test_notification_that_is_delivered_and_acknowledged_is_complete():
    assert flaws(*way()[1]) == []


def test_notification_that_waits_for_somebody_is_a_notice():
    of = delivery()
    told = accepted_entry(accepted(recipients=(PLATFORM, OFFICE)), of.notification.exchange)
    assert flaws(told) == [(Flaw.UNSETTLED, 0)]
    assert flaws(told, delivered_entry(of)) == [(Flaw.UNSETTLED, 0)]
    assert flaws(told, delivered_entry(of), settled_entry(of)) == [(Flaw.UNSETTLED, 0)]
    other = replace(of, id=exchange_id(), recipient=OFFICE.id)
    assert flaws(told, delivered_entry(of), settled_entry(of), settled_entry(other, Settlement.EXPIRED)) == []
    assert flaws(accepted_entry(accepted(recipients=()))) == []


@pytest.mark.parametrize("settlement", [Settlement.LAPSED, Settlement.EXPIRED])
def test_what_was_never_released_may_end_but_is_not_acknowledged(settlement):
    of, (told, _, acknowledged) = way()
    assert flaws(told, settled_entry(of, settlement)) == []
    assert flaws(told, acknowledged) == [(Flaw.SETTLEMENT, 1)]


def test_mailbox_is_called_by_the_recipient():
    of, (told, *_) = way(NSSO)
    fetch, acknowledgement = exchange_id(), exchange_id()
    made = [
        told,
        call_entry("fetchMessage", NSSO, "f1", fetch),
        delivered_entry(of, fetch),
        call_entry("acknowledgeMessage", NSSO, "a1", acknowledgement),
        settled_entry(of, exchange=acknowledgement),
    ]
    assert flaws(*made) == []
    for at, name in ((1, "fetchMessage"), (3, "acknowledgeMessage")):
        exchange = made[at].exchange
        stranger = [*made[:at], call_entry(name, OFFICE, "x", exchange), *made[at + 1 :]]
        assert flaws(*stranger) == [(Flaw.PAIRING, at + 1)]


def test_message_may_be_fetched_again_until_it_is_settled():
    of, (told, *_) = way(NSSO)
    fetches = [exchange_id(), exchange_id()]
    again = [delivered_entry(of, fetch) for fetch in fetches]
    settled = settled_entry(of, exchange=exchange_id())
    assert flaws(told, *again, settled) == []
    assert flaws(told, again[0], settled, again[1]) == [(Flaw.DELIVERY, 3)]


def test_refused_call_to_a_mailbox_is_complete():
    fetch = exchange_id()
    assert flaws(request_entry("t", fetch), refusal_entry(fetch)) == []


def test_settlement_happens_once():
    of, made = way()
    assert flaws(*made, settled_entry(of, Settlement.EXPIRED, exchange_id())) == [(Flaw.SETTLEMENT, 3)]


def test_delivery_and_settlement_of_nothing_are_found():
    _, (_, delivered, settled) = way()
    assert flaws(delivered) == [(Flaw.DELIVERY, 0)]
    assert flaws(settled) == [(Flaw.SETTLEMENT, 0)]


@pytest.mark.parametrize(
    "change",
    [
        {"caller": "0999000308"},
        {"operation": "notifyVisa"},
        {"revision": "ef" * 32},
        {"to": ("0999000308",)},
    ],
)
def test_delivery_and_settlement_agree_with_their_notification(change):
    _, (told, delivered, settled) = way()
    for one, flaw in ((delivered, Flaw.DELIVERY), (settled, Flaw.SETTLEMENT)):
        altered = structs.replace(one, leaf=structs.replace(Leaf.parse(one.leaf), **change).seal())
        assert (flaw, 1) in flaws(told, altered)


def test_settlement_is_in_the_context_of_the_delivery():
    _, (told, delivered, settled) = way()
    altered = structs.replace(Leaf.parse(settled.leaf), legal_context="WIB:OTHER").seal()
    assert flaws(told, delivered, structs.replace(settled, leaf=altered)) == [(Flaw.SETTLEMENT, 2)]


def test_notification_is_no_answer_and_a_delivery_answers_no_other_question():
    exchange = exchange_id()
    told = accepted_entry(accepted(recipients=()), exchange)
    assert flaws(request_entry("t", exchange), told) == [(Flaw.PAIRING, 1)]
    assert flaws(request_entry("t", exchange), response_entry(exchange)) == []
