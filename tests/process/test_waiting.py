"""PROTOCOL §14.1 over a real connection: a list that waits holds no place among the exchanges under way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest

from gateway.model import Criteria
from tests.path.hub import signed_question
from tests.process.running import running_hub

WORK = "WIB:WORK_DECISION"


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path, in_flight=1, in_flight_per_authority=1) as running:
        yield running


def listing(seconds: int) -> bytes:
    criteria = Criteria(None, wait_seconds=seconds)
    return signed_question("BRUSSELS", "listMessages", WORK, criteria, datetime.now(UTC))


async def under_way(hub) -> float:
    async with aiohttp.ClientSession() as session, session.get(hub.operations + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("gateway_in_flight "))


async def test_while_a_list_waits_others_are_served_and_so_is_its_authority(hub):
    began = asyncio.get_running_loop().time()
    waiting = asyncio.create_task(hub.soap("BRUSSELS", listing(3)))
    await asyncio.sleep(1)
    assert not waiting.done()
    assert await under_way(hub) == 0
    for name in ("IMMIGRATION_OFFICE", "BRUSSELS"):
        context = WORK if name == "BRUSSELS" else "WIB:RESIDENCE_DECISION"
        asked = signed_question(name, "sendTestMessage", context, Criteria(None, echo="x"), datetime.now(UTC))
        status, _ = await hub.soap(name, asked)
        assert status != 503
    status, answered = await waiting
    assert (status, answered.texts("value")) == (200, ["NO_DATA_FOUND"])
    assert asyncio.get_running_loop().time() - began >= 3
    assert await under_way(hub) == 0
