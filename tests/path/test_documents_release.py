"""PROTOCOL §17.3: of a document nothing leaves before all of it is checked, and nothing of it stays."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gateway.adapters.spool import Spool
from gateway.broker.content import Arrived, Attachment
from gateway.broker.document import INLINE
from gateway.model import Authority, Criteria, Outcome, SoapVersion
from gateway.refusal import Code, Refusal
from gateway.wss.sign import Framing
from tests.path.hub import DOSSIER, SPOOL, answer_well, reply_body, sign_as, signed_question, signing_key
from tests.path.payloads import DIGEST, DOCUMENT

WORK = "WIB:WORK_DECISION"
INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:scan@x"/>'


def criteria(content: bytes = DOCUMENT) -> Criteria:
    digest = hashlib.sha256(content).hexdigest()
    return Criteria(DOSSIER, document_reference="scan-1", document_type="CONTRACT", document_sha256=digest)


@dataclass
class Attached:
    """A provider that answers with an attachment. Each member is something that it may do wrong."""

    content: bytes = DOCUMENT
    sent: bytes | None = None  # instead of what it signed
    signer: str = "PLATFORM"
    outcome: Outcome = Outcome.DATA_FOUND
    fields: tuple[tuple[str, str], ...] = ()
    place: str = "content"  # the element that the attachment is for
    fails: Code | None = None  # after half of the content
    read: int = 0  # bytes that the hub took

    def __call__(self, hub, provider: Authority, asked) -> Arrived:
        values = {
            "reference": asked.criteria.document_reference,
            "type": asked.criteria.document_type,
            "mediaType": "application/pdf",
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "content": base64.b64encode(b"inside").decode(),
            **dict(self.fields),
            self.place: "@@",
        }
        inner = "".join(f"<s:{name}>{value}</s:{name}>" for name, value in values.items())
        if self.place == "description":
            body = reply_body(asked, self.outcome, "").replace("No data found.", "@@")
        else:
            body = reply_body(asked, self.outcome, f"<s:document>{inner}</s:document>")
        before, after = body.split("@@")
        framing = Framing(before, after, version=SoapVersion.V11, unique="1")
        framing.update(self.content)
        frame = framing.sign(key=signing_key(self.signer), now=hub.now, lifetime=timedelta(minutes=5))
        return Arrived(frame.head + INCLUDE + frame.tail, Attachment("scan@x", self.chunks()))

    async def chunks(self):
        sent = self.content if self.sent is None else self.sent
        for at in range(0, len(sent), 1000):
            if self.fails and at > len(sent) // 2:
                raise Refusal(self.fails)
            self.read += 1000
            yield sent[at : at + 1000]


async def ask(hub, answering, content: bytes = DOCUMENT, *, mtom: bool = True, version=SoapVersion.V11):
    hub.answering["PLATFORM"] = answering
    question = signed_question(
        "BRUSSELS", "retrieveDocument", WORK, criteria(content), hub.now, version=version
    )
    return await hub.send("BRUSSELS", question, mtom=mtom, version=version)


def kinds(hub) -> list[object]:
    return [entry["kind"] for entry in hub.entries()]


@pytest.mark.parametrize("mtom", [True, False])
@pytest.mark.parametrize("answering", [answer_well, Attached()])
async def test_a_document_comes_back_in_the_form_that_the_requester_reads(hub, answering, mtom):
    answered = await ask(hub, answering, mtom=mtom)
    assert (answered.code, answered.attachment) == (None, DOCUMENT if mtom else None)
    (content,) = answered.texts("content")
    assert content == (DIGEST if mtom else base64.b64encode(DOCUMENT).decode())
    assert kinds(hub) == ["request", "response"]


async def test_both_forms_of_an_answer_leave_the_same_record(hub):
    first, second = await ask(hub, answer_well), await ask(hub, Attached())
    assert {entry["nfields"] for entry in hub.entries() if entry["kind"] == "response"} == {5}
    assert first.texts("content") == second.texts("content")


WRONG = {
    "content changed on the way": (Attached(sent=DOCUMENT + b" "), "WIB09004"),
    "less content than was signed": (Attached(sent=DOCUMENT[:-1]), "WIB09004"),
    "another document": (Attached(content=DOCUMENT + b" "), "WIB09010"),
    "another document under the digest asked for": (
        Attached(content=DOCUMENT + b" ", fields=(("sha256", DIGEST),)), "WIB09010",
    ),
    "another reference": (Attached(fields=(("reference", "scan-2"),)), "WIB09007"),
    "another type": (Attached(fields=(("type", "TRAVEL_DOCUMENT_SCAN"),)), "WIB09007"),
    "signed by somebody else": (Attached(signer="BRUSSELS"), "WIB09005"),
    "an attachment for another element": (Attached(place="reference"), "WIB09006"),
    "a document, and none found": (Attached(outcome=Outcome.NO_DATA_FOUND), "WIB09006"),
    "an attachment in the place of a description": (
        Attached(place="description", outcome=Outcome.NO_DATA_FOUND), "WIB09006",
    ),
    "the connection lost": (Attached(b"x" * 9000, fails=Code.PROVIDER_UNREACHABLE), "WIB09001"),
}  # fmt: skip


@pytest.mark.parametrize("flaw", WRONG)
async def test_what_is_not_the_document_asked_for_does_not_leave(hub, flaw):
    answering, code = WRONG[flaw]
    content = answering.content if answering.fails else DOCUMENT
    answered = await ask(hub, answering, content=content)
    assert (answered.code, answered.attachment) == (code, None)
    assert kinds(hub) == ["request", "refusal"]
    assert hub.spool.left == 2**30


async def test_an_empty_attachment_is_no_document(hub):
    assert (await ask(hub, Attached(b""), content=b"")).code == "WIB09006"


async def test_a_document_too_large_for_base64_is_refused_to_who_did_not_ask_for_an_attachment(hub):
    large = Attached(bytes(3 * INLINE))
    answered = await ask(hub, large, mtom=False, content=large.content)
    assert answered.code == "WIB15001"
    assert kinds(hub) == ["request", "refusal"]
    assert large.read < 2 * INLINE  # the rest is not waited for
    again = await ask(hub, large, content=large.content)
    assert again.attachment == large.content


async def test_the_largest_document_in_base64_is_readable(hub):
    largest = Attached(bytes(INLINE))
    answered = await ask(hub, largest, mtom=False, content=largest.content)
    assert answered.texts("content") == [base64.b64encode(largest.content).decode()]


async def test_without_room_there_is_a_refusal_and_no_release(hub):
    hub.spool = Spool(SPOOL, len(DOCUMENT) - 1)
    answered = await ask(hub, Attached())
    assert (answered.code, kinds(hub)) == ("WIB10003", ["request", "refusal"])
    hub.spool = Spool(SPOOL, len(DOCUMENT))
    assert (await ask(hub, Attached())).attachment == DOCUMENT


async def test_the_room_is_the_requesters_share_and_not_the_providers(hub):
    hub.spool = Spool(SPOOL, 2 * len(DOCUMENT))
    other, own = (hub.spool.open(name) for name in ("PLATFORM", "BRUSSELS"))
    await other.write(b"x")
    assert (await ask(hub, Attached())).attachment == DOCUMENT
    await own.write(b"x")
    assert (await ask(hub, Attached())).code == "WIB10003"
    await other.close()
    await own.close()


async def test_a_document_that_is_not_there_is_an_answer(hub):
    def nothing(hub, provider, asked):
        return sign_as(provider.id, reply_body(asked, Outcome.NO_DATA_FOUND, ""), hub.now)

    answered = await ask(hub, nothing)
    assert (answered.code, answered.texts("value")) == (None, ["NO_DATA_FOUND"])


@pytest.mark.parametrize("mtom", [True, False])
async def test_the_reply_is_in_the_version_of_the_request(hub, mtom):
    answered = await ask(hub, Attached(), mtom=mtom, version=SoapVersion.V12)
    assert answered.body.getparent().tag == f"{{{SoapVersion.V12.value}}}Body"


async def test_a_spool_holds_no_plain_text_and_notices_damage(tmp_path):
    spool = Spool(tmp_path / "spool", 1000)
    document = spool.open("BRUSSELS")
    await document.write(DOCUMENT)
    file = document._file
    file.seek(0)
    sealed = file.read()
    assert DOCUMENT[:9] not in sealed
    assert [piece async for piece in document.pieces()] == [DOCUMENT]
    file.seek(0)
    file.write(bytes([sealed[0] ^ 1]))
    with pytest.raises(Refusal) as caught:
        [piece async for piece in document.pieces()]
    assert caught.value.code is Code.SPOOL_UNAVAILABLE
    await document.close()
    assert not list((tmp_path / "spool").iterdir())
    await spool.open("BRUSSELS").write(bytes(1000))  # its room was given back
