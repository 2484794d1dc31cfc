"""Kept messages: there with their entry, of use to nobody without its seed, and gone with it."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from msgspec import structs

from gateway.adapters.store_evidence import EvidenceReader
from gateway.evidence.contents import Contents
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.indices import Indices
from gateway.refusal import Code
from tests.exchanges import NOW, REVISION, exchange_id, refusal_entry, request_entry, response_entry
from tests.process.store_world import alter, append_all, findings, keys_beside, of_a_file, open_store, query
from tests.process.test_erasure import erase, erase_bucket
from tests.rules.identity_world import good_trust

MESSAGE = b"<soap:Envelope>a signed message of Ada Lovelace</soap:Envelope>" * 50
ANSWER, PAYLOAD = MESSAGE.replace(b"Ada", b"Eva"), b"<s:dossier>Ada Lovelace</s:dossier>"
MONTH = Bucket("exchange", "2026-03")


def exchange() -> list[Entry]:
    id_ = exchange_id()
    asked = structs.replace(request_entry("t", id_), messages=(MESSAGE,))
    return [asked, structs.replace(response_entry(id_), messages=(ANSWER,), payload=PAYLOAD)]


async def fill(path, entries: list[Entry]) -> None:
    async with open_store(path) as store:
        await store.remember(REVISION, {"agreement.toml": b""})
        await store.believe(good_trust(), NOW - timedelta(days=1))
        for entry in entries:
            await store.append(entry)


def contents(path, index: int = 0) -> Contents:
    with EvidenceReader.open(path, keys_beside(path)) as log:
        return log.contents(index, NOW, None, None)


def raised(path, index: int = 0) -> Flaw:
    with pytest.raises(ProofError) as caught:
        contents(path, index)
    return caught.value.flaw


async def test_messages_come_back_as_they_were(path):
    await fill(path, exchange())
    request, response = contents(path).entries
    assert (request.messages, request.payload) == ([MESSAGE], None)
    assert (response.messages, response.payload) == ([ANSWER], PAYLOAD)


@of_a_file
async def test_nothing_of_a_message_can_be_read_in_the_file(path):
    await fill(path, exchange())
    for text in (b"Lovelace", b"soap:Envelope", b"dossier>"):
        assert text not in path.read_bytes()
    ((size,),) = query(path, "SELECT max(length(sealed)) FROM messages")
    assert size < len(MESSAGE) // 4  # it is compressed


async def test_entry_that_is_refused_keeps_nothing(path):
    first, again = (structs.replace(request_entry("same"), messages=(MESSAGE,)) for _ in range(2))
    async with open_store(path) as store:
        assert (await append_all(store, [first, again]))[1] is Code.TICKET
    assert query(path, "SELECT idx, n FROM messages") == [(0, 1)]


async def test_message_of_an_exchange_is_kept_once(path):
    id_ = exchange_id()
    entries = [request_entry("t", id_), refusal_entry(id_), refusal_entry()]
    await fill(path, [structs.replace(one, messages=(MESSAGE,)) for one in entries])
    assert query(path, "SELECT idx FROM messages") == [(0,), (2,)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE messages SET sealed = (SELECT sealed FROM messages WHERE idx = 1 AND n = 1) WHERE idx = 0",
        "UPDATE messages SET n = 2 WHERE idx = 0",
        "UPDATE messages SET sealed = ?",
        "UPDATE seeds SET subject = (SELECT subject FROM seeds WHERE idx = 1) WHERE idx = 0",
    ],
)
async def test_message_that_was_changed_or_put_elsewhere_is_told(path, damage):
    await fill(path, exchange())
    alter(path, damage, bindings=(bytes(1),))
    assert raised(path) is Flaw.WRAPPED


async def test_without_its_seed_nobody_can_read_a_message(path):
    await fill(path, exchange())
    alter(path, "DELETE FROM seeds WHERE idx = 1")
    assert raised(path) is Flaw.SEED_ERASED


async def test_without_the_key_of_its_bucket_nobody_can_read_a_message(path):
    await fill(path, exchange())
    keys_beside(path).destroy(MONTH)
    assert raised(path) is Flaw.BUCKET_KEY


async def test_erased_entry_leaves_no_message(path):
    await fill(path, exchange())
    erase(path, Indices.parse("1"))
    assert query(path, "SELECT DISTINCT idx FROM messages") == [(0,)]
    assert raised(path) is Flaw.SEED_ERASED
    assert findings(path) == []


@of_a_file
async def test_erased_bucket_leaves_no_message_in_the_store_or_a_copy_of_it(path, tmp_path):
    await fill(path, exchange())
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    assert len(contents(path).entries) == 2
    erase_bucket(path, MONTH)
    assert query(path, "SELECT idx FROM messages") == []
    with pytest.raises(ProofError) as caught, EvidenceReader.open(copy, keys_beside(path)) as log:
        log.contents(0, NOW, None, None)
    assert caught.value.flaw is Flaw.BUCKET_KEY


@of_a_file
async def test_message_that_came_back_after_its_erasure_is_told(path):
    await fill(path, exchange())
    ((row,),) = query(path, "SELECT hex(sealed) FROM messages WHERE idx = 0")
    erase(path, Indices.parse("0"))
    alter(path, f"INSERT INTO messages VALUES (0, 'exchange/2026-03', 1, x'{row}')")
    assert [(one.flaw, one.index) for one in findings(path)] == [(Flaw.SEED_REMAINS, 0)]


async def test_message_that_is_gone_without_an_erasure_is_told(path):
    await fill(path, exchange())
    alter(path, "DELETE FROM messages WHERE idx = 1")
    assert [(one.flaw, one.index) for one in findings(path)] == [(Flaw.MESSAGE_GONE, 1)]


async def test_erasure_itself_is_shown(path):
    await fill(path, exchange())
    erase(path, Indices.parse("0"))
    (said,) = contents(path, 2).entries
    assert (said.index, said.messages, said.payload) == (2, [], None)


async def test_what_was_believed_at_a_time_is_found(path):
    async with open_store(path) as store:
        await store.remember(REVISION, {"agreement.toml": b""})
        await store.append(request_entry("t"))
    assert raised(path) is Flaw.NO_REVISION
    await fill(path, [])
    known = contents(path).known
    assert (len(known.anchors), len(known.intermediates), len(known.crls)) == (1, 1, 2)


async def test_what_is_believed_is_kept_once_as_long_as_it_stays(path):
    known = good_trust()
    async with open_store(path) as store:
        for later in range(3):
            await store.believe(known, NOW.replace(hour=16 + later))
    assert len(query(path, "SELECT 1 FROM trusted_since")) == 1
    assert len(query(path, "SELECT 1 FROM trusted")) == 4
