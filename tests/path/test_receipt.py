"""PROTOCOL §11.4: a reply says where it is recorded, proves it on request, and a hub that lies is found out."""

from __future__ import annotations

import base64
import uuid
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from gateway.agreement import messages
from gateway.agreement.schema import leaves
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.note import Signer, Verifier
from gateway.exchangelog.receipt import Proven, verify_place
from gateway.kept import FIELDLESS, read_reply
from gateway.model import Criteria
from gateway.refusal import Code, Refusal
from gateway.sandbox.receipts import Asked, check_reply
from gateway.soap.xml import canonical
from tests.path.hub import DOSSIER, SSIN, Answered, Hub, agreement, authority, pki, take_well
from tests.path.notifying import GRANTED, RESIDENCE, declare, drain, tell
from tests.path.test_documents_release import criteria as of_document
from tests.path.test_mailbox import VISA, listed, permit
from tests.path.test_record import FailingLog

WORK = "WIB:WORK_DECISION"
VALUE, WITHHELD = "dossier/worker/familyName", "dossier/criminalRecord"


@cache
def keys() -> list[Verifier]:
    key = load_pem_private_key(pki()["HUB/log.key.pem"], None)
    return [Signer.of("test.example/log", key).verifier]


def customer(hub: Hub, name: str) -> messages.Customer:
    return messages.Customer(str(uuid.uuid4()), hub.now, authority(name).enterprise, proof=True)


async def asked(
    hub: Hub, name: str, operation: str, context: str = WORK, criteria: Criteria | None = None
) -> tuple[Asked, Answered]:
    """A question whose requester wants the proof, and its reply."""
    whoever = customer(hub, name)
    answered = await hub.consult(name, operation, context, criteria, customer=whoever)
    assert answered.code is None, answered.code
    return Asked(operation, whoever.ticket, str(whoever.enterprise), context), answered


def checked(question: Asked, body: etree._Element, log_keys=None) -> Proven | None:
    agreement().contract.validate(body, Code.SCHEMA)
    return unchecked(question, body, log_keys)


def unchecked(question: Asked, body: etree._Element, log_keys=None) -> Proven | None:
    return check_reply(question, b"<b>" + canonical(body) + b"</b>", log_keys or keys())


def flaw_of(question: Asked, body: etree._Element, log_keys=None) -> Flaw:
    with pytest.raises(ProofError) as caught:
        unchecked(question, body, log_keys)
    return caught.value.flaw


def element(body: etree._Element, *names: str) -> etree._Element:
    return body.find("/".join(f"{{*}}{name}" for name in names))


async def test_every_reply_names_its_entry_and_a_checkpoint_that_covers_it(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    receipt = read_reply(answered.body).receipt
    assert (receipt.origin, receipt.index) == ("test.example/log", answered.event.log_index)
    assert verify_place(receipt, keys()).size == 2
    assert receipt.proof is None


@pytest.mark.parametrize(
    ("name", "operation", "criteria"),
    [
        ("BRUSSELS", "consultDossier", None),
        ("BRUSSELS", "consultStatus", None),
        ("BRUSSELS", "retrieveDocument", of_document()),
        ("BRUSSELS", "sendTestMessage", Criteria(None, echo="hello")),
        ("BRUSSELS", "checkAccessControl", Criteria(DOSSIER)),
    ],
)
async def test_a_reply_proves_itself_on_request(hub: Hub, name, operation, criteria):
    if operation == "retrieveDocument":
        hub.caller = name
    question, answered = await asked(hub, name, operation, criteria=criteria)
    proven = checked(question, answered.body)
    assert proven.index == answered.event.log_index
    assert proven.leaf.kind is Kind.RESPONSE
    payload = agreement().operations[operation].messages.payload
    assert [one.path for one in proven.records] == sorted(
        leaf.path for leaf in leaves(payload) if leaf.field is not None
    )


async def test_an_incomplete_answer_proves_itself(hub: Hub):
    def silent(*_):
        raise Refusal(Code.PROVIDER_TIMEOUT)

    hub.answering["WALLONIA"] = silent
    question, answered = await asked(
        hub,
        "BRUSSELS",
        "consultPriorApplications",
        "WIB:PRIOR_APPLICATION_CHECK",
        Criteria(DOSSIER, ssin=SSIN),
    )
    assert checked(question, answered.body).leaf.decision == "incomplete"


async def test_the_receipt_of_a_notification_proves_itself_the_second_time_too(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    whoever = customer(hub, "NSSO")
    question = Asked("notifySocialSecurityEvent", whoever.ticket, str(whoever.enterprise), WORK)
    for _ in range(2):
        answered = await declare(hub, customer=whoever)
        proven = checked(question, answered.body)
        assert (proven.index, proven.leaf.kind) == (0, Kind.NOTIFICATION)
    assert len(hub.entries()) == 1


async def test_a_message_of_a_mailbox_proves_itself_and_so_does_its_acknowledgement(hub: Hub):
    await permit(hub)
    [message] = await listed(hub)
    question, fetched = await asked(hub, "POST_RABAT", "fetchMessage", VISA, Criteria(None, message=message))
    assert checked(question, fetched.body).leaf.kind is Kind.DELIVERY
    question, done = await asked(
        hub, "POST_RABAT", "acknowledgeMessage", VISA, Criteria(None, message=message)
    )
    assert checked(question, done.body).leaf.kind is Kind.SETTLEMENT
    question, again = await asked(
        hub, "POST_RABAT", "acknowledgeMessage", VISA, Criteria(None, message=message)
    )
    assert checked(question, again.body) is None  # nothing was left to record


async def test_a_delivery_names_its_entry_and_at_the_next_attempt_the_same(hub: Hub):
    seen = []

    def taken_over_at_last(hub: Hub, recipient, notice):
        seen.append(notice.question.on_behalf.receipt)
        if len(seen) == 1:
            raise Refusal(Code.PROVIDER_TIMEOUT)
        return take_well(hub, recipient, notice)

    hub.receiving["IMMIGRATION_OFFICE"] = taken_over_at_last
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    hub.now += timedelta(hours=1)
    await drain(hub)
    first, again = seen
    assert verify_place(first, keys()).size <= verify_place(again, keys()).size
    assert first.index == again.index
    assert hub.entries()[first.index]["kind"] == "delivery"
    assert hub.entries()[first.index]["to"] == [str(authority("IMMIGRATION_OFFICE").enterprise)]


async def test_a_list_of_messages_has_no_entry_and_may_hold_no_field(hub: Hub):
    question, answered = await asked(hub, "POST_RABAT", "listMessages", VISA, Criteria(None))
    assert checked(question, answered.body) is None


async def change_value(hub: Hub, body: etree._Element) -> None:
    element(body, "dossier", "worker", "familyName").text = "Somebody Else"


async def drop_value(hub: Hub, body: etree._Element) -> None:
    worker = element(body, "dossier", "worker")
    worker.remove(element(worker, "familyName"))


async def drop_payload(hub: Hub, body: etree._Element) -> None:
    body.remove(element(body, "dossier"))


async def send_withheld(hub: Hub, body: etree._Element) -> None:
    worker = element(body, "dossier", "worker")
    namespace = etree.QName(worker).namespace
    contact = etree.Element(f"{{{namespace}}}workerCivil")
    etree.SubElement(contact, f"{{{namespace}}}birthPlace").text = "Rabat"
    worker.addnext(contact)


async def send_unknown(hub: Hub, body: etree._Element) -> None:
    worker = element(body, "dossier", "worker")
    etree.SubElement(worker, f"{{{etree.QName(worker).namespace}}}religion").text = "none"


async def twice(hub: Hub, body: etree._Element) -> None:
    worker = element(body, "dossier", "worker")
    worker.append(etree.fromstring(etree.tostring(element(worker, "familyName"))))


async def hide_in_text(hub: Hub, body: etree._Element) -> None:
    element(body, "dossier", "worker").text = "Rabat"


async def hide_in_attribute(hub: Hub, body: etree._Element) -> None:
    element(body, "dossier", "worker").set("birthPlace", "Rabat")


async def second_payload(hub: Hub, body: etree._Element) -> None:
    payload = element(body, "dossier")
    payload.addprevious(etree.fromstring(etree.tostring(payload)))


async def reorder_blocks(hub: Hub, body: etree._Element) -> None:
    body.append(element(body, "informationCustomer"))


async def other_exchange(hub: Hub, body: etree._Element) -> None:
    _, other = await asked(hub, "BRUSSELS", "consultDossier")
    _swap(body, other.body)


async def somebody_elses(hub: Hub, body: etree._Element) -> None:
    _, other = await asked(hub, "IMMIGRATION_OFFICE", "consultDossier", RESIDENCE)
    _swap(body, other.body)


async def old_checkpoint(hub: Hub, body: etree._Element) -> None:
    log = element(body, "informationGateway", "log")
    log.find("{*}index").text = "2"


async def no_place(hub: Hub, body: etree._Element) -> None:
    gateway = element(body, "informationGateway")
    gateway.remove(element(gateway, "log"))


async def no_proof(hub: Hub, body: etree._Element) -> None:
    log = element(body, "informationGateway", "log")
    log.remove(log.find("{*}proof"))


async def unreadable(hub: Hub, body: etree._Element) -> None:
    element(body, "informationGateway", "log", "checkpoint").text = "?"


async def altered_checkpoint(hub: Hub, body: etree._Element) -> None:
    log = element(body, "informationGateway", "log")
    note = base64.b64decode(log.find("{*}checkpoint").text).replace(b"\n2\n", b"\n3\n", 1)
    log.find("{*}checkpoint").text = base64.b64encode(note).decode()


def _swap(body: etree._Element, other: etree._Element) -> None:
    """The other's whole receipt in the place of one's own."""
    gateway = element(body, "informationGateway")
    gateway.replace(element(gateway, "log"), element(other, "informationGateway", "log"))


LIES = {
    "a value was changed": (change_value, Flaw.VALUE),
    "a value came twice": (twice, Flaw.VALUE),
    "a value was dropped": (drop_value, Flaw.VALUE_MISSING),
    "everything was dropped": (drop_payload, Flaw.VALUE_MISSING),
    "a field came that the log calls withheld": (send_withheld, Flaw.WITHHELD_CAME),
    "a field came that the log does not know": (send_unknown, Flaw.UNRECORDED),
    "a value hides between elements": (hide_in_text, Flaw.REPLY_FORM),
    "a value hides in an attribute": (hide_in_attribute, Flaw.REPLY_FORM),
    "a second payload hides before the first": (second_payload, Flaw.REPLY_FORM),
    "the blocks stand in another order": (reorder_blocks, Flaw.REPLY_FORM),
    "the receipt is that of another exchange": (other_exchange, Flaw.RECEIPT_OTHER),
    "the receipt is somebody else's": (somebody_elses, Flaw.RECEIPT_OTHER),
    "the checkpoint is older than the entry": (old_checkpoint, Flaw.RECEIPT_OLD),
    "there is no place": (no_place, Flaw.RECEIPT_MISSING),
    "there is no proof": (no_proof, Flaw.RECEIPT_MISSING),
    "the checkpoint cannot be read": (unreadable, Flaw.REPLY_FORM),
    "the checkpoint was altered": (altered_checkpoint, Flaw.SIGNATURE),
}


@pytest.mark.parametrize(("lie", "flaw"), LIES.values(), ids=LIES)
async def test_a_reply_of_a_lying_hub_is_rejected(hub: Hub, lie, flaw):
    question, answered = await asked(hub, "BRUSSELS", "consultDossier")
    checked(question, answered.body)
    await lie(hub, answered.body)
    assert flaw_of(question, answered.body) is flaw


async def test_a_reply_under_the_key_of_another_log_is_rejected(hub: Hub):
    question, answered = await asked(hub, "BRUSSELS", "consultDossier")
    other = Signer.of("test.example/log", Ed25519PrivateKey.generate())
    assert flaw_of(question, answered.body, [other.verifier]) is Flaw.UNSIGNED


async def test_an_old_reply_does_not_answer_a_new_question(hub: Hub):
    """Reply and receipt belong together: only the ticket tells that they are of an earlier question."""
    _, old = await asked(hub, "BRUSSELS", "consultDossier")
    new, _ = await asked(hub, "BRUSSELS", "consultDossier")
    assert flaw_of(new, old.body) is Flaw.RECEIPT_OTHER


async def test_a_reply_to_somebody_else_does_not_answer(hub: Hub):
    question, answered = await asked(hub, "BRUSSELS", "consultDossier")
    mine = Asked(question.operation, question.ticket, str(authority("FLANDERS").enterprise), WORK)
    assert flaw_of(mine, answered.body) is Flaw.RECEIPT_OTHER


async def test_an_answer_with_fields_cannot_pass_for_a_list_of_messages(hub: Hub):
    question, answered = await asked(hub, "BRUSSELS", "consultDossier")
    await no_place(hub, answered.body)
    listing = Asked("listMessages", question.ticket, question.enterprise, WORK)
    assert flaw_of(listing, answered.body) is Flaw.RECEIPT_OTHER


async def test_who_cannot_have_the_proof_gets_no_reply(hub: Hub):
    class Unread(FailingLog):
        async def prove(self, receipt):
            raise Refusal(Code.LOG_UNAVAILABLE, "proof")

    plain = hub.parts
    hub.parts = lambda: replace(plain(), store=Unread(hub.store, 99, persist=False))
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK, customer=customer(hub, "BRUSSELS"))
    assert answered.code == "WIB10001"
    assert [one["kind"] for one in hub.entries()] == ["request", "response", "refusal"]


def test_payloads_without_fields_are_those_of_the_contract():
    payloads = {one.messages.payload for one in agreement().operations.values()}
    bare = {one.name for one in payloads if one.name and all(leaf.field is None for leaf in leaves(one))}
    assert bare == FIELDLESS
    mixed = [
        one.name
        for one in payloads - {one for one in payloads if one.name in bare}
        if any(leaf.field is None for leaf in leaves(one)) and one.name
    ]
    assert mixed == []
