"""PROTOCOL §8.15: what is kept of an exchange becomes one file that shows it to anybody."""

from __future__ import annotations

import base64

import pytest

from gateway.evidence.check import check
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.form import Kind
from tests.path.evidence import contents, exported, flaws, given
from tests.path.hub import DOSSIER, Hub, answer_well, signed_question
from tests.path.notifying import GRANTED, drain, enterprise, tell
from tests.path.payloads import CANARY
from tests.path.test_gathered import ask
from tests.path.test_mailbox import fetch, listed, permit, take_over
from tests.path.uploads import SCAN, Upload, retrieve, sha256

pytestmark = pytest.mark.no_cover  # the lines of gateway/evidence are not counted
WORK = "WIB:WORK_DECISION"


def kinds(hub: Hub, index: int) -> list[str]:
    """Of the entries in the file about an entry that holds."""
    shown = check(exported(hub, index), given())
    assert shown.findings == []
    return [leaf.kind.value for leaf in shown.leaves.values()]


def signers(hub: Hub, index: int) -> dict[int, list[str | None]]:
    shown = check(exported(hub, index), given())
    return {at: [one.enterprise for one in signed] for at, signed in shown.messages.items() if signed}


@pytest.mark.parametrize("index", [0, 1])
async def test_question_and_answer_are_shown_whichever_entry_is_asked_for(hub, index):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert kinds(hub, index) == ["request", "response"]
    assert signers(hub, index) == {0: [enterprise("BRUSSELS")], 1: [enterprise("PLATFORM")]}


async def test_messages_are_kept_as_they_were_received(hub):
    asked = signed_question("BRUSSELS", "consultDossier", WORK, None, hub.now)
    answers = []

    def answering(world, provider, question):
        answers.append(answer_well(world, provider, question))
        return answers[-1]

    hub.answering["PLATFORM"] = answering
    await hub.send("BRUSSELS", asked)
    request, response = contents(hub, 0).entries
    assert [*request.messages, *response.messages] == [asked, *answers]
    assert CANARY.encode() in response.payload


async def test_answer_of_the_hub_itself_is_shown_without_a_message(hub):
    await hub.consult("BRUSSELS", "checkAccessControl", WORK)
    assert kinds(hub, 1) == ["request", "response"]
    assert list(signers(hub, 1)) == [0]


async def test_gathered_answers_are_shown_in_their_order(hub):
    assert (await ask(hub)).code is None
    assert len(hub.entries()[1]["to"]) > 1
    assert signers(hub, 1)[1] == hub.entries()[1]["to"]


async def test_refused_message_is_shown(hub):
    refused = await hub.consult("BRUSSELS", "consultDossier", "WIB:RESIDENCE_DECISION")
    assert refused.code is not None
    assert kinds(hub, 0) == ["refusal"]
    assert signers(hub, 0) == {0: [enterprise("BRUSSELS")]}


async def test_message_that_is_refused_after_it_was_forwarded_is_kept_once(hub):
    hub.answering["PLATFORM"] = lambda *_: b"no answer"
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert kinds(hub, 1) == ["request", "refusal"]
    assert list(signers(hub, 1)) == [0]


async def test_notification_is_shown_with_its_delivery_and_its_acknowledgement(hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    found = kinds(hub, 0)
    assert found[0] == "notification"
    assert {"delivery", "settlement"} <= set(found)
    settled = next(n for n, entry in enumerate(hub.entries()) if entry["kind"] == "settlement")
    assert signers(hub, 0)[settled] == hub.entries()[settled]["to"]


async def test_of_a_delivery_nothing_is_shown_of_other_recipients(hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    entries = hub.entries()
    deliveries = [n for n, entry in enumerate(entries) if entry["kind"] == "delivery"]
    assert len(deliveries) > 1
    shown = check(exported(hub, deliveries[0]), given())
    assert shown.findings == []
    recipients = {leaf.to for leaf in shown.leaves.values() if leaf.kind is not Kind.NOTIFICATION}
    assert recipients == {tuple(entries[deliveries[0]]["to"])}


async def test_mailbox_is_shown_with_the_requests_of_its_owner(hub):
    await permit(hub)
    (message,) = await listed(hub)
    await fetch(hub, message)
    await take_over(hub, message)
    last = len(hub.entries()) - 1
    assert kinds(hub, last) == ["notification", "request", "delivery", "request", "settlement"]


@pytest.mark.parametrize("form", ["inline", "attached"])
async def test_content_of_a_document_is_not_kept_and_the_rest_is_shown_with_it(hub, form):
    await hub.dossier(DOSSIER, "VISA_ISSUED")
    upload = Upload()
    assert (await getattr(upload, form)(hub)).code is None
    data = exported(hub, 0)
    (kept,) = contents(hub, 0).entries[0].messages
    assert SCAN not in kept
    assert base64.b64encode(SCAN) not in kept
    assert flaws(data) == {Flaw.DOCUMENT_APART}
    assert flaws(data, documents={sha256(SCAN): SCAN}) == set()
    other = {sha256(SCAN): SCAN + b"!"}
    assert flaws(data, documents=other) == {Flaw.MESSAGE_SIGNATURE}


async def test_document_that_the_hub_hands_out_is_shown_with_its_upload(hub):
    await hub.dossier(DOSSIER, "VISA_ISSUED")
    await Upload().inline(hub)
    await retrieve(hub)
    data = exported(hub, 3)
    assert flaws(data, documents={sha256(SCAN): SCAN}) == set()
    shown = check(data, given())
    assert [leaf.operation for leaf in shown.leaves.values()] == ["uploadDocument"] * 2 + [
        "retrieveDocument"
    ] * 2
