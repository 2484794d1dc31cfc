"""What becomes of acknowledged entries when a primary dies, by whether anybody waited for its standby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from gateway.adapters.store import Store
from gateway.adapters.store_log import new_log
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Kind
from gateway.refusal import Code, Refusal
from tests.exchanges import exchange_id, request_entry
from tests.postgres.cluster import Cluster, cluster, uri
from tests.postgres.judge import Told, judge
from tests.postgres.stores import opened, place_of, reading
from tests.postgres.until import until
from tests.process.store_world import SIGNER, VERIFIER


async def test_entries_that_an_asynchronous_standby_did_not_have_are_missed_and_nothing_is_appended(tmp_path):
    with cluster() as both:
        new_log(place_of(named(both)), [SIGNER])
        async with opened(named(both), tmp_path) as store:
            await store.append(request_entry("known to both"))
            both.until_caught_up()
            both.standby.kill()
            lost = await store.append(request_entry("lost"))
            both.primary.kill()
            both.standby.start()
            both.standby.promote()
            await until_behind(store)
            assert size(both.standby.port) == 1
        with pytest.raises(ProofError) as found:
            opened(named(both), tmp_path, pinned=open_checkpoint(lost.checkpoint, [VERIFIER]))
        assert found.value.flaw is Flaw.ROLLBACK


async def test_primary_that_comes_back_after_its_standby_was_promoted_gets_no_entry(tmp_path):
    with cluster() as both:
        both.wait_for_standby()
        new_log(place_of(named(both)), [SIGNER])
        async with opened(named(both), tmp_path) as store:
            await store.append(request_entry("before"))
            both.fail_over()
            told = [await until_appended(store)]
            both.standby.start()  # the old primary, to which nobody said anything
            both.primary.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'"
            )
            await until_behind(store)
            assert size(both.standby.port) == 1
            both.standby.kill()
            told.append(await until_appended(store))
        with reading(uri(both.primary.port)) as log:
            judge(log, [VERIFIER], told)


async def test_session_cut_off_between_two_statements_does_not_hold_up_the_others_for_good(tmp_path):
    """The server waits for the rest of a pipeline, and counts no time: it does not call that idle."""
    with cluster() as both:
        both.wait_for_standby()
        new_log(place_of(named(both)), [SIGNER])
        async with opened(named(both), tmp_path) as store:
            with cut_off(named(both)):
                await until(lambda: has_head(both), "it has the head")
                with pytest.raises(Refusal) as found:
                    await store.append(request_entry("meanwhile"))
                assert found.value.code is Code.LOG_UNAVAILABLE
                assert await until_appended(store)


async def has_head(both: Cluster) -> bool:
    found = "SELECT count(*) FROM pg_locks WHERE relation = 'head'::regclass AND mode = 'RowShareLock'"
    return both.primary.ask(found, database="gateway") == [(1,)]


@contextmanager
def cut_off(server: str) -> Iterator[None]:
    """Somebody has the head, and says nothing more; not that it waits for an answer, either."""
    with closing(psycopg.connect(server)) as connection:
        connection.pgconn.enter_pipeline_mode()
        for statement in (b"BEGIN", b"SELECT 1 FROM head FOR UPDATE"):
            connection.pgconn.send_query_params(statement, None)
        connection.pgconn.flush()
        yield


def named(both: Cluster) -> str:
    return uri(*(one.port for one in both.servers))


def size(port: int) -> int:
    with reading(uri(port)) as log:
        return log.head().size


async def appended(store: Store, ticket: str) -> Told | None:
    """What it says of the entry; None when it refuses."""
    entry = request_entry(ticket)
    try:
        receipt = await store.append(entry)
    except Refusal as refusal:
        if refusal.code is not Code.LOG_UNAVAILABLE:
            raise
        return None
    return Told(entry.exchange, receipt.index, receipt.checkpoint, Kind.REQUEST)


async def until_behind(store: Store) -> None:
    """It has reached a server whose log is behind what it knows, and takes nothing."""

    async def is_so() -> bool:
        told = await appended(store, str(exchange_id()))
        return told is None and store.trouble is Flaw.ROLLBACK

    await until(is_so, "the store finds a log that went back")
    assert not store.ready


async def until_appended(store: Store) -> Told:
    """It has found a server; what it says of the entry."""
    told = list[Told]()

    async def has() -> bool:
        one = await appended(store, str(exchange_id()))
        told.extend([one] if one else [])
        return one is not None

    await until(has, "the store appends")
    return told[0]
