"""PROTOCOL §8: no record, no exchange; and nothing personal in any record."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import replace

import apsw
import pytest

from gateway.adapters.metrics import Metrics
from gateway.edge.operational_log import OperationalLog
from gateway.model import Criteria, Outcome
from gateway.refusal import Code, Refusal
from tests.path.hub import DOSSIER, SSIN, Hub, reply_body, sign_as
from tests.path.payloads import CANARY
from tests.path.test_provider import tampered

WORK = "WIB:WORK_DECISION"


class FailingLog:
    """The real store, until its nth append."""

    def __init__(self, store, fail_at: int, *, persist: bool):
        self.store, self.left, self.persist = store, fail_at, persist

    def __getattr__(self, name):
        return getattr(self.store, name)

    async def append(self, entry):
        self.left -= 1
        if self.left > 0:
            return await self.store.append(entry)
        if self.persist and self.left == 0:
            await self.store.append(entry)
        raise Refusal(Code.LOG_UNAVAILABLE)


async def with_failing_log(hub: Hub, fail_at: int, *, persist: bool):
    plain = hub.parts
    hub.parts = lambda: replace(plain(), store=FailingLog(hub.store, fail_at, persist=persist))
    return await hub.consult("BRUSSELS", "consultDossier", WORK)


@pytest.mark.parametrize("persist", [False, True])
async def test_without_the_first_commit_nothing_is_forwarded(hub: Hub, persist):
    answered = await with_failing_log(hub, 1, persist=persist)
    assert answered.code == "WIB10001"
    assert hub.asked == []


@pytest.mark.parametrize("persist", [False, True])
async def test_without_the_second_commit_nothing_is_returned(hub: Hub, persist):
    answered = await with_failing_log(hub, 2, persist=persist)
    assert answered.code == "WIB10001"
    assert CANARY not in "".join(answered.body.itertext())


async def test_a_request_without_its_answer_stays_visible(hub: Hub):
    await with_failing_log(hub, 2, persist=False)
    assert [entry["kind"] for entry in hub.entries()] == ["request"]


async def test_a_bug_is_an_incident_without_details(hub: Hub):
    def bug(hub, provider, asked):
        raise RuntimeError(f"while handling {CANARY}")

    hub.answering["PLATFORM"] = bug
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.code == "WIB10002"
    assert CANARY not in "".join(answered.body.itertext()) + answered.event.trace
    assert answered.event.trace.startswith("RuntimeError at ")
    assert hub.entries()[-1]["decision"] == "WIB10002"


def forms(value: str) -> set[bytes]:
    """A value, its encodings and its plain hashes: none of them may be anywhere."""
    raw = value.encode()
    digests = [hashlib.new(name, raw).digest() for name in ("md5", "sha1", "sha256", "sha512")]
    encoded = [
        raw,
        base64.b64encode(raw).rstrip(b"="),
        base64.urlsafe_b64encode(raw).rstrip(b"="),
        raw.hex().encode(),
    ]
    hashed = [
        form for digest in digests for form in (digest, digest.hex().encode(), base64.b64encode(digest)[:-2])
    ]
    return {*encoded, *hashed}


def query(hub: Hub, sql: str) -> list[tuple]:
    return apsw.Connection(str(hub.path), flags=apsw.SQLITE_OPEN_READONLY).execute(sql).fetchall()


async def test_no_personal_value_nor_its_hash_is_in_log_metrics_or_operational_lines(hub: Hub):
    metrics, lines = Metrics(), io.StringIO()
    log = OperationalLog(lines)
    hub.answering["FLANDERS"] = tampered
    answers = [
        await hub.consult("BRUSSELS", "consultDossier", WORK),
        await hub.consult("IMMIGRATION_OFFICE", "consultDossier", "WIB:RESIDENCE_DECISION"),
        await hub.consult("BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", Criteria(DOSSIER, ssin=SSIN)),
        await hub.consult("FLANDERS", "consultDossier", WORK),
        await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE"),
    ]  # fmt: skip
    for answered in answers:
        metrics.emit(answered.event)
        log.emit(answered.event)
    # The dossier directory is the one place that knows dossier numbers; everything else is searched.
    tables = [name for (name,) in query(hub, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: query(hub, f"SELECT * FROM {name}") for name in tables}
    evidence = b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for name, table in rows.items()
        if name not in {"dossiers", "inscriptions", "passages"}
        for row in table
        for value in row
    )
    watched = evidence + metrics.exposition() + lines.getvalue().encode()
    for value in (CANARY, SSIN, "ada@example.org", "XX1234567", "4120.50", "1990-00-00", str(DOSSIER)):
        found = [form for form in forms(value) if form in watched]
        assert found == [], value
    assert b"gateway_exchanges_total" in watched


async def test_the_leaf_is_of_one_size_whatever_was_found(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    hub.answering["PLATFORM"] = lambda hub, provider, asked: sign_as(
        provider.id, reply_body(asked, Outcome.NO_DATA_FOUND, ""), hub.now
    )
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    sizes = query(hub, "SELECT length(leaf) FROM entries WHERE kind = 'response'")
    assert len(sizes) == 2
    assert len(set(sizes)) == 1
