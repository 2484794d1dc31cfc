"""PROTOCOL §2.9 and §7.8 over the wire: a flood, and those beside it. Nothing is timed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from io import StringIO

import pytest

from gateway.adapters.store import LogReader
from gateway.edge.operational_log import OperationalLog
from gateway.edge.turned_away import TurnedAway
from gateway.model import SoapVersion
from gateway.refusal import Code, Refusal
from tests.path import hub as memory
from tests.process.raw import connected, fault_in, head, message, metric, reply, whole
from tests.process.running import running_hub

NEVER = "quota = {{ per_second = 0.001, burst = {burst} }}"  # within a test nothing comes back
TURNED_AWAY = 'gateway_turned_away_total{authority="BRUSSELS",code="quota"}'


async def bounded(hub, burst: int, name: str = "BRUSSELS") -> None:
    """The operator gives an authority a quota of its own."""
    path = hub.directory / "register.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("quota = ")]
    at = lines.index(f'id = "{name}"')
    lines.insert(at + 1, NEVER.format(burst=burst))
    path.write_text("\n".join(lines) + "\n")
    assert (await hub.reload())["event"] == "reloaded"


def entries(hub) -> int:
    with LogReader.open(hub.directory / "store.db") as log:
        return log.head().size


async def test_beyond_its_quota_an_authority_gets_a_signed_fault_and_others_are_served(tmp_path):
    async with running_hub(tmp_path) as hub:
        await bounded(hub, 3)
        async with connected(hub) as (reader, writer):
            said = []
            for _ in range(6):  # on one connection, which goes on
                writer.write(whole(message()))
                said.append(await reply(reader))
        assert [one.startswith(b"HTTP/1.1 200 ") for one in said] == [True] * 3 + [False] * 3
        for one in said[3:]:
            assert one.startswith(b"HTTP/1.1 500 ")
            fault = fault_in(one)
            assert fault.code == "WIB07011"
            told = fault.texts("retryAfter")
            assert b"\r\nRetry-After: %s\r\n" % told[0].encode() in one
            assert 900 < int(told[0]) <= 1000
            assert fault.texts("severity") == ["WARNING"]
        assert entries(hub) == 6
        assert await metric(hub, TURNED_AWAY) == 3.0
        assert await metric(hub, 'gateway_refusals_total{code="quota"}') == 3.0
        status, answered = await hub.soap("IMMIGRATION_OFFICE", message("IMMIGRATION_OFFICE"))
        assert (status, answered.code) == (200, None)


async def test_of_what_was_turned_away_nothing_was_read_and_it_may_come_again_as_it_is(tmp_path):
    async with running_hub(tmp_path) as hub:
        await bounded(hub, 1)
        data = message()
        assert (await hub.soap("BRUSSELS", message()))[0] == 200
        assert (await hub.soap("BRUSSELS", data))[1].code == "WIB07011"
        await bounded(hub, 1000)
        assert (await hub.soap("BRUSSELS", data))[1].code is None


async def test_nobody_uses_up_the_quota_of_another(tmp_path):
    """A message that another authority signed counts for whoever sends it."""
    async with running_hub(tmp_path) as hub:
        await bounded(hub, 2, "IMMIGRATION_OFFICE")
        for _ in range(4):
            assert (await hub.soap("BRUSSELS", message("IMMIGRATION_OFFICE")))[1].code == "WIB05003"
        assert (await hub.soap("IMMIGRATION_OFFICE", message("IMMIGRATION_OFFICE")))[0] == 200


async def test_the_contract_and_the_log_are_read_without_quota(tmp_path):
    async with running_hub(tmp_path) as hub:
        await bounded(hub, 1)
        for path in ("?wsdl",) * 4:
            async with hub.request("BRUSSELS", "GET", path) as response:
                assert response.status == 200
        assert (await hub.soap("BRUSSELS", message()))[0] == 200


async def test_a_message_without_end_is_turned_away_unread(tmp_path):
    """The answer is there before the body, and a requester that waits to be told to go on is not told to."""
    async with running_hub(tmp_path, header_seconds=2.0) as hub:  # for the rest of a refused body
        await bounded(hub, 1)
        assert (await hub.soap("BRUSSELS", message()))[0] == 200
        for field in ("Content-Length: 200000", "Transfer-Encoding: chunked"):
            async with connected(hub) as (reader, writer):
                writer.write(head(field))
                assert fault_in(await reply(reader)).code == "WIB07011"
        async with connected(hub) as (reader, writer):
            writer.write(head("Content-Length: 200000", "Expect: 100-continue"))
            said = await reply(reader)
            assert said.startswith(b"HTTP/1.1 500 ")
            assert b"\r\nConnection: close\r\n" in said


async def test_the_fault_is_in_the_version_of_the_message(tmp_path):
    async with running_hub(tmp_path) as hub:
        await bounded(hub, 1)
        assert (await hub.soap("BRUSSELS", message()))[0] == 200
        given = {"Content-Type": "application/soap+xml; charset=utf-8"}
        async with hub.request("BRUSSELS", data=b"<x/>", headers=given) as response:
            body = await response.read()
            assert (response.status, response.content_type) == (500, "application/soap+xml")
        assert b'"http://www.w3.org/2003/05/soap-envelope"' in body
        assert b"WIB07011" in body


# One fault serves for a second.


class Signing:
    """A key whose signatures can be told apart."""

    def __init__(self):
        self.made = 0

    async def turned_away(self, *_):
        self.made += 1
        if self.made == 3:
            raise Refusal(Code.SIGNING_UNAVAILABLE)
        return b"fault %d" % self.made


async def test_a_flood_of_refusals_costs_a_signature_a_second():
    moment, signer, lines = [datetime(2026, 9, 14, 9, 0, tzinfo=UTC)], Signing(), StringIO()
    away = TurnedAway(lambda: moment[0], bytes, OperationalLog(lines))
    peer, other = memory.authority("BRUSSELS"), memory.authority("WALLONIA")

    async def told(authority=peer, seconds: int = 9) -> bytes:
        refusal = Refusal(Code.QUOTA, retry_after=seconds)
        return await away.fault(refusal, authority, SoapVersion.V11, signer)

    assert await asyncio.gather(*(told() for _ in range(100))) == [b"fault 1"] * 100
    assert await told(other) == b"fault 2"
    with pytest.raises(Refusal) as caught:  # a token that does not sign
        await told(seconds=8)
    assert caught.value.code is Code.SIGNING_UNAVAILABLE
    assert await told(seconds=7) == b"fault 4"
    moment[0] = moment[0].replace(microsecond=999_999)
    assert await told(seconds=7) == b"fault 4"
    moment[0] = moment[0].replace(second=1)
    assert await told(seconds=7) == b"fault 5"
    assert len(lines.getvalue().splitlines()) == 5
