"""What others did to the exchange log shows at `/readyz` though no exchange comes (PROTOCOL §2.6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gateway import config
from gateway.adapters.store_witnessed import moved_to
from tests.process.running import running_hub
from tests.process.store_world import alter

DONE = {  # by another process: what stands beside the last checkpoint → what the hub says from then on
    "ended": (b"", "LOG714"),
    "frozen": (b"what contradicts it", "LOG713"),
    "moved": (moved_to("postgresql://hub@db/wib"), "LOG518"),
}


@pytest.fixture(params=["file", "database"])
def hub(request, tmp_path):
    """A hub to be run, on either kind of store."""
    kept = {}
    if request.param == "database":
        kept["store"] = f'"{request.getfixturevalue("postgres").empty_database()}"'
    return running_hub(tmp_path, **kept)


async def readiness(operations: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(operations + "/readyz") as response:
        return response.status, await response.text()


async def unready(operations: str) -> str:
    for _ in range(600):
        status, words = await readiness(operations)
        if status == 503:
            return words
        await asyncio.sleep(0.1)
    raise AssertionError("the hub stays ready")


def stop(directory: Path, theirs: bytes) -> None:
    place = config.load(directory / "gateway.toml").log.store
    alter(place, "INSERT INTO frozen VALUES (1, 1, ?, ?)", bindings=(b"its last", theirs))


@pytest.mark.parametrize("how", DONE)
async def test_hub_is_unready_once_its_log_takes_no_entry(hub, how):
    theirs, code = DONE[how]
    async with hub as running:
        assert await readiness(running.operations) == (200, "ready\n")
        stop(running.directory, theirs)
        assert (await unready(running.operations))[:6] == code
        async with (
            aiohttp.ClientSession() as session,
            session.get(running.operations + "/metrics") as response,
        ):
            assert "gateway_ready 0.0" in await response.text()
