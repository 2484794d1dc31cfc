"""The exchange log over HTTP, from a running hub: what is served, to whom, and in which form (PROTOCOL §2.7)."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest

from gateway import config, loading
from gateway.adapters.site_directory import SiteDirectory
from gateway.adapters.site_export import export
from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.site import check_site
from gateway.exchangelog.tile import resources
from tests.process.raw import connected, head, lines, message, metric, reply, said_to
from tests.process.running import running_hub
from tests.process.store_world import alter
from tests.process.test_check import codes, made, place, setting
from tests.process.test_reload import register, remove, suspend
from tests.sites import MemorySite

__all__ = ["made", "place"]  # fixtures

READER, OTHER = "BRUSSELS", "IMMIGRATION_OFFICE"
TILE, ENTRIES = "tile/0/000.p/2", "tile/entries/000.p/2"


@pytest.fixture
async def hub(tmp_path):
    """With one exchange: a request and its response."""
    async with running_hub(tmp_path, readers=f'["{READER}"]') as running:
        assert (await running.soap(READER, message()))[0] == 200
        yield running


def store(hub):
    return hub.directory / "store.db"


async def fetched(hub, name: str, resource: str, method: str = "GET"):
    """Status, header fields and content."""
    url = f"{hub.url.removesuffix('/soap/v1')}/log/{resource}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=hub.tls(name))) as session,
        session.request(method, url, server_hostname="gateway.wib.example") as response,
    ):
        return response.status, response.headers, await response.read()


async def test_what_is_served_is_what_is_exported_and_holds(hub, tmp_path):
    for _ in range(3):
        await hub.soap(READER, message())
    loaded = loading.load(config.load(tmp_path / "gateway.toml"))
    with LogReader.open(store(hub)) as log:
        signed = export(log, tmp_path / "site", loaded.verifiers).checkpoint
    names = ["checkpoint", *(name.path for name in resources(signed.size))]
    assert len(names) == 3
    mirror = MemorySite()
    for name in names:
        status, _, mirror[name] = await fetched(hub, READER, name)
        assert (status, mirror[name]) == (200, SiteDirectory(tmp_path / "site").read(name))
    assert signed.size == 8
    assert list(check_site(mirror, loaded.verifiers)) == []


async def test_content_types_and_caching_are_those_of_tlog_tiles(hub):
    _, fields, _ = await fetched(hub, READER, "checkpoint")
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["Cache-Control"] == "private, no-cache"
    for name in (TILE, ENTRIES):
        _, fields, data = await fetched(hub, READER, name)
        assert fields["Content-Type"] == "application/octet-stream"
        assert fields["Cache-Control"] == "private, max-age=31536000, immutable"
        assert (fields["Server"], int(fields["Content-Length"])) == ("gateway", len(data))
        assert "Content-Encoding" not in fields


async def test_a_head_is_the_reply_without_its_content(hub):
    for name in ("checkpoint", TILE, ENTRIES):
        status, fields, data = await fetched(hub, READER, name)
        status_, fields_, nothing = await fetched(hub, READER, name, "HEAD")
        assert (status, status_, nothing) == (200, 200, b"")
        assert int(fields_["Content-Length"]) == len(data)
        unlike = {"Date"}
        assert {one: fields_[one] for one in fields_ if one not in unlike} == {
            one: fields[one] for one in fields if one not in unlike
        }


async def test_a_partial_tile_of_an_earlier_checkpoint_stays_what_it_was(hub):
    _, _, before = await fetched(hub, READER, ENTRIES)
    await hub.soap(READER, message())
    status, _, after = await fetched(hub, READER, ENTRIES)
    assert (status, after) == (200, before)
    assert (await fetched(hub, READER, "tile/entries/000.p/4"))[2].startswith(before)


async def test_entries_are_served_to_readers_only(hub):
    for name in ("checkpoint", TILE):
        assert (await fetched(hub, OTHER, name))[0] == 200
    for method in ("GET", "HEAD"):
        status, _, said = await fetched(hub, OTHER, ENTRIES, method)
        assert (status, said[:8]) == (403, b"WIB01010" if method == "GET" else b"")
    assert (await fetched(hub, READER, ENTRIES))[0] == 200
    told = [line for line in lines(hub) if line["event"] in {"entries read", "refused"}]
    assert [(line["event"], line["peer"], line.get("resource")) for line in told] == [
        ("refused", OTHER, None),
        ("refused", OTHER, None),
        ("entries read", READER, ENTRIES),
    ]
    series = 'gateway_log_reads_total{{authority="{}",resource="{}"}}'
    assert [
        await metric(hub, series.format(name, kind))
        for name in (READER, OTHER)
        for kind in ("checkpoint", "tile", "entries")
    ] == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]


async def test_without_readers_nobody_gets_entries(tmp_path):
    async with running_hub(tmp_path) as hub:
        await hub.soap(READER, message())
        assert (await fetched(hub, READER, TILE))[0] == 200
        assert (await fetched(hub, READER, ENTRIES))[0] == 403


async def test_who_is_suspended_or_unknown_gets_nothing_of_the_log(hub):
    register(hub, suspend(READER))
    assert (await hub.reload())["suspended"] == 1
    for name in ("checkpoint", TILE, ENTRIES):
        status, _, said = await fetched(hub, READER, name)
        assert (status, said[:8]) == (403, b"WIB01010")
    assert (await fetched(hub, OTHER, "checkpoint"))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await fetched(hub, None, "checkpoint")
    remove(hub, "FLANDERS")
    assert (await hub.reload())["event"] == "reloaded"
    status, _, said = await fetched(hub, "FLANDERS", "checkpoint")
    assert (status, said[:8]) == (403, b"WIB01006")


async def test_the_hub_itself_is_no_reader(hub):
    status, _, said = await fetched(hub, "HUB", "checkpoint")
    assert (status, said[:5]) == (403, b"WIB01")


async def test_the_log_is_read_and_nothing_else(hub):
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        said = await said_to(
            hub, head("Content-Length: 0", "Connection: close", method=method, path=f"/log/{ENTRIES}")
        )
        assert said.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET, HEAD\r\n" in said
        assert said.partition(b"\r\n\r\n")[2].startswith(b"WIB01001 ")


OTHER_TARGETS = (
    "/log",
    "/log/",
    "/log/checkpoint/",
    "/log/checkpoint?",
    "/log/checkpoint?x=1",
    "/log//checkpoint",
    "//log/checkpoint",
    "/log/./checkpoint",
    "/log/../log/checkpoint",
    "/log/%63heckpoint",
    "/log/checkpoint%00",
    "/log/CHECKPOINT",
    "/LOG/checkpoint",
    "/log/checkpoint;x",
    "/log/checkpoint#x",
    "/log/store.db",
    "/log/../store.db",
    "/log/tile/../../store.db",
    "/log/tile",
    "/log/tile/0",
    "/log/tile/0/0",
    "/log/tile/0/000.p/02",
    "/log/tile/0/000.p/0",
    "/log/tile/0/000.p/256",
    "/log/tile/0/x000/000",
    "/log/tile/00/000.p/2",
    "/log/tile/64/000",
    "/log/tile/8/0/000",
    "/log/tile/entries/000.p/2?x",
    f"/log/tile/0/{'x999/' * 200}999",
    "https://other.example/log/checkpoint",
)
BEYOND = (
    "tile/0/000",
    "tile/0/000.p/3",
    "tile/0/001.p/1",
    "tile/1/000.p/1",
    "tile/entries/000",
    "tile/63/999",
)


async def test_a_resource_has_one_spelling_and_nothing_else_is_there(hub):
    async with connected(hub) as (reader, writer):
        for target in OTHER_TARGETS:
            for method in ("GET", "POST"):
                writer.write(head("Content-Length: 0", method=method, path=target))
                assert (await reply(reader)).startswith(b"HTTP/1.1 404 "), (method, target)


async def test_what_is_beyond_the_tree_is_not_there(hub):
    for name in BEYOND:
        assert (await fetched(hub, READER, name))[0] == 404


async def test_requests_for_the_log_and_messages_share_a_connection(hub):
    async with connected(hub) as (reader, writer):
        data = message()
        get = head(method="GET", path="/log/checkpoint")
        writer.write(get + head(f"Content-Length: {len(data)}") + data + get)
        first, exchanged, last = [await reply(reader) for _ in range(3)]
        assert exchanged.startswith(b"HTTP/1.1 200 ")
    sizes = [one.partition(b"\r\n\r\n")[2].split(b"\n")[1] for one in (first, last)]
    assert sizes == [b"2", b"4"]


async def test_a_store_that_is_slow_to_read_holds_up_no_exchange(hub, monkeypatch):
    reading, go_on, real = asyncio.Event(), threading.Event(), LogReader.resource
    loop = asyncio.get_running_loop()

    def slow(self, path):
        loop.call_soon_threadsafe(reading.set)
        assert go_on.wait(60)
        return real(self, path)

    monkeypatch.setattr(LogReader, "resource", slow)
    waiting = asyncio.create_task(fetched(hub, READER, ENTRIES))
    await reading.wait()
    assert (await hub.soap(READER, message()))[0] == 200
    assert not waiting.done()
    go_on.set()
    assert (await waiting)[0] == 200


async def test_reading_the_log_takes_a_place_of_the_authority(tmp_path):
    async with running_hub(tmp_path, in_flight_per_authority=1) as hub:
        await hub.soap(READER, message())
        async with connected(hub) as (_, writer):
            writer.write(head("Content-Length: 100"))  # a message that is still to come
            await writer.drain()
            for _ in range(6000):
                if await metric(hub, "gateway_in_flight") == 1.0:
                    break
                await asyncio.sleep(0.01)
            status, fields, said = await fetched(hub, READER, "checkpoint")
            assert (status, said[:8], fields["Retry-After"]) == (503, b"WIB01007", "2")
            assert (await fetched(hub, OTHER, "checkpoint"))[0] == 200


async def test_a_store_that_lacks_an_entry_is_a_failure_of_the_hub_and_no_empty_bundle(hub):
    alter(store(hub), "DELETE FROM seeds WHERE idx = 1", "DELETE FROM entries WHERE idx = 1")
    status, _, said = await fetched(hub, READER, ENTRIES)
    assert (status, said[:8]) == (500, b"WIB10002")
    assert lines(hub)[-1]["event"] == "failed"


def test_a_reader_that_the_register_does_not_have_stops_the_start(place):
    setting(place, "readers = []", 'readers = ["BRUSSELS"]')
    assert codes(place) == []
    setting(place, 'readers = ["BRUSSELS"]', 'readers = ["BRUSSEL"]')
    assert codes(place) == ["CFG027"]
