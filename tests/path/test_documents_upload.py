"""PROTOCOL §17.4: what an authority uploads is kept sealed, is given to whom it may, and goes when its time is over."""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256 as hashed
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import structs

from gateway.adapters.shelf import Shelf
from gateway.adapters.spool import Spool
from gateway.adapters.store import Store
from gateway.adapters.store_connect import connect
from gateway.adapters.store_session import Use
from gateway.adapters.store_witnessed import Frozen
from gateway.adapters.store_work import Work
from gateway.assembly import sweep_of
from gateway.broker.content import PIECE, Attachment
from gateway.broker.document import INLINE
from gateway.broker.event import Event
from gateway.broker.rules import Received
from gateway.exchangelog.fields import base64url
from gateway.exchangelog.flaw import ProofError
from gateway.model import Criteria, ExchangeId, Role, SoapVersion
from gateway.refusal import Code, Refusal
from tests.path.hub import (
    DOSSIER,
    OTHER_DOSSIER,
    SPOOL,
    Hub,
    agreement,
    authority,
    open_store,
    sign_as,
    signed_question,
)
from tests.path.notifying import findings
from tests.path.uploads import INCLUDE, RESIDENCE, SCAN, VISA, Upload, criteria, retrieve, sha256

FORMS = ["inline", "attached"]
DAYS = agreement().retention.payload_days


@pytest.fixture
async def hub(tmp_path):
    world = await Hub.start(tmp_path)
    await world.dossier(DOSSIER, "VISA_ISSUED")
    yield world
    await world.store.close()


def kinds(hub: Hub) -> list[object]:
    return [entry["kind"] for entry in hub.entries()]


def files(hub: Hub) -> list[str]:
    return sorted(path.name for path in (hub.path.parent / "documents").iterdir())


async def send(hub: Hub, form: str = "attached", **change: object):
    return await getattr(Upload(**change), form)(hub)


@pytest.mark.parametrize("form", FORMS)
async def test_what_a_post_uploads_the_immigration_office_retrieves(hub: Hub, form: str):
    told = await send(hub, form)
    assert (told.code, told.texts("value")) == (None, ["OK"])
    answered = await retrieve(hub)
    assert answered.texts("content") == [base64.b64encode(SCAN).decode()]
    assert answered.texts("reference")[-1] == "scan-1"
    assert kinds(hub) == ["request", "response"] * 2
    assert not hub.asked


async def test_it_is_given_as_an_attachment_to_whoever_reads_them(hub: Hub):
    await send(hub)
    asked = signed_question(
        "IMMIGRATION_OFFICE", "retrieveDocument", RESIDENCE, criteria(source=Role.CONS), hub.now
    )
    assert (await hub.send("IMMIGRATION_OFFICE", asked, mtom=True)).attachment == SCAN


async def test_a_message_may_be_signed_with_base64_and_packed_afterwards(hub: Hub):
    upload, encoded = Upload(), base64.b64encode(SCAN)
    whole = sign_as("POST_RABAT", upload.body(hub.now).replace("@@", encoded.decode()), hub.now)
    assert whole.count(encoded) == 1
    attachment = Attachment("scan@x", upload.chunks())
    told = await hub.send("POST_RABAT", whole.replace(encoded, INCLUDE), attachment=attachment)
    assert (told.code, told.texts("value")) == (None, ["OK"])


async def test_the_log_names_who_uploaded_and_by_which_signature(hub: Hub):
    await send(hub)
    await retrieve(hub)
    upload, kept, _, returned = hub.entries()
    post = str(authority("POST_RABAT").enterprise)
    assert (upload["from"], upload["svc"], kept["from"], kept["nfields"]) == (post, "uploadDocument", post, 0)
    assert (returned["to"], returned["nfields"]) == ([post], 5)
    uploaded = await hub.store.uploaded(DOSSIER, "POST_RABAT", "scan-1")
    one = hashed(uploaded.signature).digest()
    assert base64url(hashed(uploaded.signature).digest()).decode() == upload["msgsig"]
    assert base64url(hashed(one).digest()).decode() == returned["msgsig"]


async def test_at_rest_it_is_sealed_and_names_no_dossier(hub: Hub):
    await send(hub)
    (file,) = files(hub)
    sealed = (hub.path.parent / "documents" / file).read_bytes()
    assert SCAN[:8] not in sealed
    assert (await hub.store.uploaded_files()) == {file}
    with closing(connect(hub.path, Use.READ)) as session:
        (row,) = session.execute("SELECT * FROM documents").fetchall()
    key = (await hub.store.uploaded(DOSSIER, "POST_RABAT", "scan-1")).key
    assert DOSSIER not in row
    assert not any(key in value for value in row if isinstance(value, bytes))
    assert (hub.path.parent / "documents" / file).stat().st_mode & 0o777 == 0o600


WRONG = {  # what is done otherwise, in the attachment's form, and the refusal
    "content changed on the way": ({"sent": SCAN + b" "}, "WIB04009"),
    "less content than was signed": ({"sent": SCAN[:-1]}, "WIB04009"),
    "another digest named": ({"named": {"document_sha256": sha256(b"x")}}, "WIB15002"),
    "another digest said": ({"fields": {"sha256": sha256(b"x")}}, "WIB15002"),
    "another content under the digest": (
        {"named": {"document_sha256": sha256(b"x")}, "fields": {"sha256": sha256(b"x")}}, "WIB15002",
    ),
    "another reference": ({"fields": {"reference": "scan-2"}}, "WIB15002"),
    "another type": ({"fields": {"type": "CONTRACT"}}, "WIB15002"),
    "nothing": ({"content": b""}, "WIB06001"),
    "an attachment for another element": ({"place": "reference"}, "WIB06001"),
    "signed by somebody else": ({"signer": "POST_NEW_DELHI"}, "WIB05003"),
    "a type that the post does not provide": ({"kind": "CONTRACT"}, "WIB07008"),
    "another purpose": ({"context": "WIB:RENEWAL"}, "WIB07002"),
    "a dossier that nobody knows": ({"dossier": OTHER_DOSSIER}, "WIB07005"),
    "a post that takes no part": ({"name": "POST_NEW_DELHI"}, "WIB07005"),
    "an authority that uploads nothing": ({"name": "BRUSSELS", "context": "WIB:WORK_DECISION"}, "WIB07004"),
}  # fmt: skip
NOT_INLINE = {
    "content changed on the way",
    "less content than was signed",
    "an attachment for another element",
}


@pytest.mark.parametrize("flaw", WRONG)
async def test_what_may_not_be_uploaded_is_not_kept(hub: Hub, flaw: str):
    change, code = WRONG[flaw]
    assert (await send(hub, **change)).code == code
    assert files(hub) == []
    assert await hub.store.uploaded_files() == frozenset()


@pytest.mark.parametrize("flaw", sorted(set(WRONG) - NOT_INLINE))
async def test_inline_neither(hub: Hub, flaw: str):
    change, code = WRONG[flaw]
    assert (await send(hub, "inline", **change)).code == code
    assert files(hub) == []


async def test_a_dossier_that_is_not_open_to_the_post_takes_no_documents(hub: Hub):
    await hub.dossier(DOSSIER, "UNDER_REVIEW")
    assert (await send(hub)).code == "WIB07006"
    assert (await send(hub, name="PLATFORM", context="WIB:WORK_DECISION")).code is None


async def test_an_attachment_to_anything_else_is_not_even_read(hub: Hub):
    other = Upload(operation="notifyVisa", fields={})
    with pytest.raises(Refusal) as caught:
        await other.attached(hub)
    assert (caught.value.code, other.read) == (Code.MULTIPART, 0)
    assert hub.entries() == []


async def test_of_who_may_never_upload_nothing_is_read(hub: Hub):
    region = Upload(name="BRUSSELS", context="WIB:WORK_DECISION")
    assert ((await region.attached(hub)).code, region.read) == ("WIB07004", 0)


async def test_of_who_is_suspended_nothing_is_read(hub: Hub):
    post, good = Upload(), authority("POST_RABAT")
    message, attachment = post.message(hub.now), Attachment("scan@x", post.chunks())
    event = Event(ExchangeId(str(uuid.uuid4())), replace(good, active=False), len(message))
    received = Received(
        hub.rules(), message, SoapVersion.V11, None, hub.now, mtom=True, attachment=attachment
    )
    await hub.broker().answer(received, event)
    assert (event.code, post.read) == (Code.SUSPENDED, 0)
    event = Event(ExchangeId(str(uuid.uuid4())), good, len(message))
    await hub.broker().answer(received, event)
    assert (event.code, post.read) == (None, len(SCAN))


async def test_of_an_upload_that_breaks_off_nothing_stays(hub: Hub):
    broken = Upload(fails=Code.TOO_SLOW)
    with pytest.raises(Refusal) as caught:
        await broken.attached(hub)
    assert caught.value.code is Code.TOO_SLOW
    assert broken.read
    assert (files(hub), hub.entries()) == ([], [])


async def swept(hub: Hub) -> None:
    """When nobody can be writing a file any more."""
    now, hub.now = hub.now, hub.now + timedelta(hours=3)
    await sweep_of(hub.parts())
    hub.now = now


@pytest.mark.parametrize("form", FORMS)
async def test_the_same_again_is_fine_and_its_newest_copy_alone_stays(hub: Hub, form: str):
    await send(hub)
    before = files(hub)
    assert (await send(hub, form)).code is None
    await swept(hub)
    assert len(files(hub)) == 1
    assert files(hub) != before
    assert set(files(hub)) == await hub.store.uploaded_files()
    assert kinds(hub) == ["request", "response"] * 2


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"x")], ids=["lost", "damaged"])
async def test_what_was_lost_or_damaged_can_be_uploaded_again(hub: Hub, harm: Callable[[Path], object]):
    await send(hub)
    harm(hub.path.parent / "documents" / files(hub)[0])
    assert (await retrieve(hub)).code == "WIB10003"
    assert (await send(hub)).code is None
    assert (await retrieve(hub)).texts("content") == [base64.b64encode(SCAN).decode()]
    uploaded = await hub.store.uploaded(DOSSIER, "POST_RABAT", "scan-1")
    assert (
        base64url(hashed(uploaded.signature).digest()).decode() == hub.entries()[-4]["msgsig"]
    )  # the second
    await swept(hub)
    assert set(files(hub)) == await hub.store.uploaded_files()
    assert (await retrieve(hub)).code is None


async def test_who_reads_a_document_while_the_same_is_uploaded_again_reads_on(hub: Hub):
    await send(hub)
    read = hub.shelf.open(await hub.store.uploaded(DOSSIER, "POST_RABAT", "scan-1"))
    await send(hub)
    await swept(hub)
    assert len(files(hub)) == 1
    assert b"".join([piece async for piece in read.pieces()]) == SCAN
    await read.close()


@pytest.mark.parametrize("change", [{"content": SCAN + b"2"}, {"fields": {"mediaType": "image/png"}}])
async def test_another_document_under_the_same_reference_is_refused(hub: Hub, change: dict[str, object]):
    await send(hub)
    before = files(hub)
    assert (await send(hub, **change)).code == "WIB15003"
    assert files(hub) == before
    assert (await retrieve(hub)).code is None
    assert (await send(hub, reference="scan-2", **change)).code is None


async def test_two_authorities_may_use_one_reference(hub: Hub):
    await send(hub)
    other = SCAN + b"of the platform"
    assert (await send(hub, name="PLATFORM", context="WIB:WORK_DECISION", content=other)).code is None
    (content,) = (await retrieve(hub, criteria(other, source=Role.PLAT))).texts("content")
    assert base64.b64decode(content) == other
    assert (await retrieve(hub)).code is None
    assert not hub.asked  # though the platform has an endpoint


async def test_a_ticket_is_used_once(hub: Hub):
    assert (await send(hub, ticket="ticket-1")).code is None
    assert (await send(hub, ticket="ticket-1", reference="scan-2")).code == "WIB06005"
    assert len(files(hub)) == 1


async def test_what_was_never_uploaded_is_not_found(hub: Hub):
    answered = await retrieve(hub)
    assert (answered.code, answered.texts("value")) == (None, ["NO_DATA_FOUND"])
    assert not hub.asked
    await send(hub)
    assert (await retrieve(hub)).texts("value") == ["DATA_FOUND"]


async def test_what_was_uploaded_is_what_is_asked_for(hub: Hub):
    await send(hub)
    assert (await retrieve(hub, criteria(b"x", source=Role.CONS))).code == "WIB09010"
    await send(hub, name="PLATFORM", context="WIB:WORK_DECISION")
    assert (await retrieve(hub, criteria(kind="CRIMINAL_RECORD", source=Role.PLAT))).code == "WIB09007"
    assert (await retrieve(hub, criteria(source=Role.PLAT))).code is None


async def test_too_large_for_base64_is_refused_to_who_reads_no_attachment(hub: Hub):
    large = bytes(INLINE + 1)
    upload = Upload(large)
    upload.chunks = lambda: once(large)
    assert (await upload.attached(hub)).code is None
    assert (await retrieve(hub, criteria(large, source=Role.CONS))).code == "WIB15001"


async def once(content: bytes):
    yield content


async def test_it_goes_when_its_time_is_over(hub: Hub):
    await send(hub)
    await send(hub, reference="scan-2")
    hub.now += timedelta(days=DAYS - 1)
    await sweep_of(hub.parts())
    assert len(files(hub)) == 2
    assert (await send(hub, reference="scan-2")).code is None  # its time begins anew
    hub.now += timedelta(days=1, seconds=1)
    await sweep_of(hub.parts())
    assert len(files(hub)) == 1
    assert set(files(hub)) == await hub.store.uploaded_files()
    hub.now -= timedelta(days=DAYS)  # the certificates of this world do not last as long
    assert (await retrieve(hub)).texts("value") == ["NO_DATA_FOUND"]
    assert (await retrieve(hub, criteria(reference="scan-2", source=Role.CONS))).texts("value") == [
        "DATA_FOUND"
    ]


async def test_a_file_that_is_nobodys_is_swept_away_when_nobody_can_be_writing_it(hub: Hub):
    await send(hub)
    (held,) = files(hub)
    old, young, foreign = f"{1:032x}.sealed", f"{2:032x}.sealed", "store.db"
    for name, hours in ((old, 3), (young, 1), (foreign, 3)):
        path = hub.path.parent / "documents" / name
        path.write_bytes(b"x")
        at = (hub.now - timedelta(hours=hours)).timestamp()
        os.utime(path, (at, at))
    os.utime(hub.path.parent / "documents" / held, (0, 0))
    await sweep_of(hub.parts())
    assert files(hub) == sorted([held, young, foreign])


async def test_a_hub_whose_log_goes_on_elsewhere_removes_nothing_that_was_uploaded_there(hub: Hub):
    await send(hub)
    elsewhere = hub.path.parent / "documents" / f"{1:032x}.sealed"
    elsewhere.write_bytes(b"x")
    os.utime(elsewhere, (0, 0))
    await hub.store.freeze(Frozen(1, await hub.store.checkpoint(), b""))
    with pytest.raises(Refusal) as caught:
        await sweep_of(hub.parts())
    assert caught.value.code is Code.LOG_UNAVAILABLE
    assert elsewhere.exists()


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_being_uploaded_takes_room_of_what_is_under_way(hub: Hub, form: str):
    spool = Spool(SPOOL, len(SCAN) - 1)
    hub.shelf = Shelf(hub.path.parent / "documents", spool.claim)
    assert (await send(hub, form)).code == "WIB10003"
    assert (files(hub), spool.left) == ([], len(SCAN) - 1)
    spool.left += 1
    assert (await send(hub, form)).code is None
    assert (await send(hub, form, reference="scan-2")).code is None  # the first is not under way any more


async def stalling(content: bytes, stalled: asyncio.Event, go: asyncio.Event):
    """The first piece, and the rest when it may."""
    yield content[:PIECE]
    stalled.set()
    await go.wait()
    yield content[PIECE:]


async def test_one_authority_does_not_take_the_room_of_the_others(hub: Hub):
    content, go = bytes(PIECE + 1), asyncio.Event()
    spool = Spool(SPOOL, 8 * len(content))
    hub.shelf = Shelf(hub.path.parent / "documents", spool.claim)
    under_way, refused = [], []
    for number in range(8):
        upload, stalled = Upload(content, reference=f"scan-{number}"), asyncio.Event()
        upload.chunks = partial(stalling, content, stalled, go)
        sent, waits = asyncio.create_task(upload.attached(hub)), asyncio.create_task(stalled.wait())
        await asyncio.wait({sent, waits}, return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        (refused if sent.done() else under_way).append(sent)
    assert {(await one).code for one in refused} == {"WIB10003"}
    assert len(under_way) == 2  # a quarter of the room
    assert (await send(hub, name="PLATFORM", context="WIB:WORK_DECISION")).code is None
    go.set()
    assert [(await one).code for one in under_way] == [None, None]
    assert spool.left == 8 * len(content)


@pytest.mark.parametrize("form", FORMS)
async def test_one_document_may_be_larger_than_the_share_and_two_together_not(hub: Hub, form: str):
    spool = Spool(SPOOL, 2 * len(SCAN))
    hub.shelf = Shelf(hub.path.parent / "documents", spool.claim)
    other = spool.open("POST_RABAT")
    await other.write(b"x")
    assert (await send(hub, form)).code == "WIB10003"
    assert (await send(hub, form, name="PLATFORM", context="WIB:WORK_DECISION")).code is None
    await other.close()
    assert (await send(hub, form)).code is None


async def test_it_outlives_the_process(hub: Hub):
    await send(hub)
    await hub.restart()
    hub.shelf = Shelf(hub.path.parent / "documents", hub.spool.claim)
    assert (await retrieve(hub)).texts("value") == ["DATA_FOUND"]


class Failing:
    """The store, but that it fails before or after it takes a document in."""

    def __init__(self, store: Store, *, done: bool) -> None:
        self._store, self._done = store, done

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def take_in(self, *parts: object) -> None:
        if self._done:
            await self._store.take_in(*parts)
        raise Refusal(Code.LOG_UNAVAILABLE)


@pytest.mark.parametrize("done", [True, False])
async def test_when_the_outcome_is_unknown_the_file_waits_for_the_sweep(hub: Hub, done: bool):
    hub.through = Failing(hub.store, done=done)
    assert (await send(hub)).code == "WIB10001"
    hub.through = None
    assert len(files(hub)) == 1
    path = hub.path.parent / "documents" / files(hub)[0]
    os.utime(path, (0, 0))
    await sweep_of(hub.parts())
    assert len(files(hub)) == done
    assert (await retrieve(hub)).texts("value") == ["DATA_FOUND" if done else "NO_DATA_FOUND"]
    assert (await send(hub)).code is None


class Full(Shelf):
    """A shelf on a disk that is full."""

    def create(self, holder):
        document = super().create(holder)
        document._file.close()
        document._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115, PTH123
        return document


@pytest.mark.parametrize("form", FORMS)
async def test_on_a_full_disk_there_is_a_refusal_and_no_document(hub: Hub, form: str):
    good, hub.shelf = hub.shelf, Full(hub.path.parent / "documents", hub.spool.claim)
    assert (await send(hub, form)).code == "WIB10003"
    assert (files(hub), await hub.store.uploaded_files()) == ([], frozenset())
    hub.shelf = good
    assert (await send(hub, form)).code is None


class Swept(Shelf):
    """A shelf from which a document is swept away as nobody's while it is written: a clock was set forward."""

    def create(self, holder):
        document = super().create(holder)
        document._path.unlink()
        return document


@pytest.mark.parametrize("form", FORMS)
async def test_a_document_whose_file_is_gone_is_not_taken_in(hub: Hub, form: str):
    hub.shelf = Swept(hub.path.parent / "documents", hub.spool.claim)
    assert (await send(hub, form)).code == "WIB10003"
    assert await hub.store.uploaded_files() == frozenset()


async def test_a_document_that_was_changed_on_disk_does_not_leave(hub: Hub):
    await send(hub)
    path = hub.path.parent / "documents" / files(hub)[0]
    sealed = path.read_bytes()
    for changed in (bytes([sealed[0] ^ 1]) + sealed[1:], sealed[:-1], None):
        path.unlink() if changed is None else path.write_bytes(changed)
        assert (await retrieve(hub)).code == "WIB10003"
    path.write_bytes(sealed)
    assert (await retrieve(hub)).code is None


async def test_nor_one_that_was_changed_by_whoever_has_its_key(hub: Hub):
    await send(hub)
    path = hub.path.parent / "documents" / files(hub)[0]
    cipher = AESGCM((await hub.store.uploaded(DOSSIER, "POST_RABAT", "scan-1")).key)
    path.write_bytes(cipher.encrypt(bytes(12), SCAN[:-1] + b"!", None))
    assert (await retrieve(hub)).code == "WIB10003"
    path.write_bytes(cipher.encrypt(bytes(12), SCAN, None))
    assert (await retrieve(hub)).code is None


async def test_a_row_cannot_be_put_in_the_place_of_another(hub: Hub):
    await send(hub)
    await send(hub, reference="scan-2", content=SCAN + b"2")
    await hub.store._appender.perform(Work(None, Swap()))
    assert (await retrieve(hub)).code == "WIB10001"


class Swap:
    """Whoever can write to the store gives one document the key of another."""

    def apply(self, connection, index: int) -> None:
        connection.execute(
            "UPDATE documents SET key = (SELECT key FROM documents WHERE reference = 'scan-2') WHERE reference = 'scan-1'"
        )


async def test_while_documents_are_kept_the_key_stays(hub: Hub, monkeypatch):
    await send(hub)
    await hub.store.close()
    monkeypatch.setattr("tests.path.hub.PAYLOAD_KEY", bytes(32))
    with pytest.raises(ProofError):
        open_store(hub.path)
    monkeypatch.undo()
    hub.store = open_store(hub.path)
    assert (await retrieve(hub)).code is None


async def test_the_log_of_uploads_verifies(hub: Hub):
    await send(hub)
    await retrieve(hub)
    assert findings(hub) == set()


async def test_access_control_tells_which_documents_may_be_uploaded(hub: Hub):
    asked = Criteria(DOSSIER, operation="uploadDocument")
    answered = await hub.consult("POST_RABAT", "checkAccessControl", VISA, asked)
    assert answered.texts("field") == ["G08.scan"]
    assert answered.texts("permitted").count("true") == 1
    nothing = await hub.consult("MUN_BRUSSELS", "checkAccessControl", "WIB:CARD_ISSUE", asked)
    assert "true" not in nothing.texts("permitted")
    elsewhere = structs.replace(asked, dossier=OTHER_DOSSIER)
    foreign = await hub.consult("POST_RABAT", "checkAccessControl", VISA, elsewhere)
    assert "WIB07005" in foreign.texts("code")


async def test_uploads_at_once_of_one_reference_leave_one_document(hub: Hub):
    answers = await asyncio.gather(*(send(hub, content=SCAN + bytes([one])) for one in range(4)))
    assert sorted(str(one.code) for one in answers) == ["None", *["WIB15003"] * 3]
    assert len(files(hub)) == 1
    assert set(files(hub)) == await hub.store.uploaded_files()
