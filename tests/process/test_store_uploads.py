"""A document uploaded again takes the place of the first, in either store; another one does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.broker.content import Uploaded
from gateway.model import AuthorityId
from gateway.refusal import Code, Refusal
from tests.exchanges import NOW, request_entry
from tests.notifications import DOSSIER
from tests.process.store_world import open_store

FIRST = Uploaded(
    dossier=DOSSIER,
    provider=AuthorityId("POST_RABAT"),
    reference="scan-1",
    type="TRAVEL_DOCUMENT_SCAN",
    media_type="application/pdf",
    sha256="ab" * 32,
    size=7,
    signature=b"first",
    stored=NOW,
    file=f"{1:032x}.sealed",
    key=b"1" * 32,
)
AGAIN = replace(
    FIRST, signature=b"second", stored=NOW + timedelta(hours=1), file=f"{2:032x}.sealed", key=b"2" * 32
)
NAMED = (FIRST.dossier, FIRST.provider, FIRST.reference)


async def test_the_same_again_takes_the_place_of_the_first_and_another_is_refused(place):
    store = open_store(place)
    await store.take_in(request_entry("t1"), FIRST)
    assert await store.uploaded_files() == {FIRST.file}
    await store.take_in(request_entry("t2"), AGAIN)
    for other in ({"type": "CONTRACT"}, {"media_type": "image/png"}, {"sha256": "cd" * 32}):
        with pytest.raises(Refusal) as caught:
            await store.take_in(request_entry("t3"), replace(FIRST, **other))
        assert caught.value.code is Code.DOCUMENT_EXISTS
    assert await store.uploaded(*NAMED) == AGAIN
    assert await store.uploaded_files() == {AGAIN.file}
    await store.close()
