"""A gateway that lies in good order: its log is whole, and says something else than what happened."""

from __future__ import annotations

import asyncio

from gateway.exchangelog.fields import FieldRecord, base64url
from gateway.exchangelog.flaw import ProofError
from tests.drills.ground import Ground
from tests.path.hub import Hub
from tests.path.test_receipt import asked, checked, send_withheld, unchecked
from tests.path.test_recorded_view import WITHHELD, honest, judged, with_record
from tests.rules.test_log_receipt import SIGNER


def sent_and_called_withheld(ground: Ground) -> set[str]:
    """The log is honest about what it may release; the reply holds a field more."""
    return asyncio.run(_sent(ground))


async def _sent(ground: Ground) -> set[str]:
    place = ground.place / "lying"
    place.mkdir()
    hub = await Hub.start(place)
    question, answered = await asked(hub, "BRUSSELS", "consultDossier")
    checked(question, answered.body)
    await send_withheld(hub, answered.body)
    await hub.store.close()
    try:
        unchecked(question, answered.body)
    except ProofError as error:
        return {error.flaw.row.code}
    return set()


def released_against_the_agreement(ground: Ground) -> set[str]:
    """Entry, records, reply and signatures agree with each other, and not with the agreement."""
    assert not any(one.fails for one in judged(honest()).findings)
    released = FieldRecord(WITHHELD, base64url(bytes(32)).decode(), None)
    exhibit = with_record(WITHHELD, released)
    exhibit.verify([SIGNER.verifier])
    return {one.flaw.row.code for one in judged(exhibit).findings if one.fails}
