"""The next revision of the agreement is put in force while a hub runs: at one moment, as a whole, or not at all."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.x509 import load_pem_x509_certificate

from gateway.adapters.store_agreements import packed
from gateway.adapters.store_connect import connect
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import Use
from gateway.adapters.store_work import instant
from gateway.agreement.load import revision as revision_of
from gateway.cli.pki_files import renew
from gateway.loading import contract_files
from tests.path import hub as memory
from tests.process.drafts import LESS, READ, Drafts, revised
from tests.process.running import Running, running_hub
from tests.process.several import question, until
from tests.process.test_reload import GOOD, measured, register, suspend

FIELD = "expiryDate"
SUSPENDED = "WIB05005"


@pytest.fixture
def drafts(tmp_path) -> Drafts:
    return Drafts(tmp_path / "agreements", tmp_path / "hub")


@pytest.fixture
async def hub(tmp_path, drafts):
    async with running_hub(tmp_path / "hub", contracts=drafts.begin()) as running:
        yield running


async def revision(hub: Running) -> float:
    return (await measured(hub))["gateway_agreement_revision"]


async def contract(hub: Running) -> bytes:
    """All that BRUSSELS is served of the schema."""
    async with hub.request("BRUSSELS", "GET", "?singleWsdl") as response:
        return await response.read()


async def ask(hub: Running):
    return (await hub.soap("BRUSSELS", question()))[1]


async def test_views_contracts_and_the_log_change_at_one_moment(hub, drafts):
    before, served = await ask(hub), await contract(hub)
    drafts.put(revised(2, (READ, LESS)))
    told = await hub.reload()
    assert (told["event"], told["number"]) == ("reloaded", 2)
    after = await ask(hub)
    assert before.code is after.code is None
    assert len(before.texts(FIELD)) > len(after.texts(FIELD))
    assert await contract(hub) != served
    assert await revision(hub) == 2
    with LogReader.open(hub.directory / "store.db") as log:
        first, last = (log.entry(int(one.texts("index")[0])) for one in (before, after))
        assert str(told["agreement"]).encode() not in first
        assert str(told["agreement"]).encode() in last
        assert log.agreement(str(told["agreement"])) is not None


async def test_an_exchange_ends_under_the_revision_that_it_began_with(tmp_path, drafts):
    asked, go = asyncio.Event(), asyncio.Event()

    async def slowly(world, provider, question):
        asked.set()
        await go.wait()
        return memory.answer_well(world, provider, question)

    async with running_hub(tmp_path / "hub", slowly, contracts=drafts.begin()) as hub:
        under_way = asyncio.create_task(ask(hub))
        await asked.wait()
        drafts.put(revised(2, (READ, LESS)))
        await hub.reload()
        go.set()
        assert len((await under_way).texts(FIELD)) > len((await ask(hub)).texts(FIELD))


async def test_what_a_party_has_not_signed_stays_out(hub, drafts):
    drafts.hub = drafts.directory / "nobody"
    drafts.put(revised(2, (READ, LESS)))
    told = await hub.reload()
    assert (told["event"], told["code"]) == ("not reloaded", "CFG036")
    assert await revision(hub) == 1
    drafts.hub = hub.directory
    drafts.put(revised(2, (READ, LESS)))
    assert (await hub.reload())["event"] == "reloaded"
    assert await revision(hub) == 2


async def test_a_party_is_not_left_out_by_leaving_it_out(hub, drafts):
    drafts.put(revised(2, ('"0999022202", ', "")))
    (hub.directory / "signatures/BRUSSELS.xml").unlink()
    told = await hub.reload()
    assert (told["event"], told["code"]) == ("not reloaded", "CFG036")
    assert await revision(hub) == 1


async def test_a_certificate_that_is_revoked_at_the_same_look_adopts_nothing(hub, drafts):
    drafts.put(revised(2, (READ, LESS)))
    certificate = load_pem_x509_certificate((hub.pki / "BRUSSELS/sign.crt.pem").read_bytes())
    renew(hub.pki, "issuing", datetime.now(UTC), [certificate.serial_number])
    await hub.reload()
    await until(lambda: hub.events("not reloaded"))
    assert {one["code"] for one in hub.events("not reloaded")} == {"CFG036"}
    assert await revision(hub) == 1


async def test_what_another_process_has_put_in_force_is_not_judged_again(hub, drafts):
    """The first of them that looked has adopted it, before the list came."""
    drafts.put(revised(2, (READ, LESS)))
    files = contract_files(drafts.current)
    with closing(connect(hub.directory / "store.db", Use.WRITE)) as session:
        row = revision_of(files), packed(files), instant(datetime.now(UTC))
        session.copy("agreements", [row])
    certificate = load_pem_x509_certificate((hub.pki / "BRUSSELS/sign.crt.pem").read_bytes())
    renew(hub.pki, "issuing", datetime.now(UTC), [certificate.serial_number])
    hub.told.set()
    await until(lambda: any("number" in one for one in hub.events("reloaded")))
    assert hub.events("not reloaded") == []
    assert await revision(hub) == 2


async def test_a_pipe_among_the_contracts_holds_up_no_suspension(hub, drafts):
    os.mkfifo(drafts.current / "xsd/pipe.xsd")
    register(hub, suspend("BRUSSELS"))
    await hub.reload()
    await until(lambda: hub.events("reloaded"))
    assert (await ask(hub)).code == SUSPENDED


TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date()
NOT_IN_ORDER = {
    "that grants an unknown field": revised(2, (READ, READ.replace("expiryDate", "nothing"))),
    "with the same number": revised(1, (READ, LESS)),
    "whose day has not come": revised(2, ("valid_from = 2026-01-01", f"valid_from = {TOMORROW}")),
}


@pytest.mark.parametrize("flaw", NOT_IN_ORDER)
async def test_what_is_not_in_order_stays_out_and_holds_up_no_suspension(hub, drafts, flaw):
    good = (await measured(hub))[GOOD]
    drafts.put(NOT_IN_ORDER[flaw])
    register(hub, suspend("BRUSSELS"))
    await hub.reload()
    await until(lambda: hub.events("reloaded") and hub.events("not reloaded"))
    assert {one["code"] for one in hub.events("not reloaded")} == {"CFG010"}
    assert await revision(hub) == 1
    assert (await ask(hub)).code == SUSPENDED
    assert (await measured(hub))[GOOD] == good  # not all of it is in force
