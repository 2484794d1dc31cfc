"""`gateway serve --workers`: several processes are one hub, whichever of them ends."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import signal
import socket
import uuid
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.pki_files import renew
from gateway.exchangelog.flaw import Flaw
from gateway.identity.issue import private_pem
from tests.path import hub as memory
from tests.process.drafts import LESS, READ, Drafts, revised
from tests.process.several import Several, flaws, load, prepare, question, recorded, several, started, until
from tests.process.test_reload import register, replace_own, suspend

RELEASED = {"authority": "BRUSSELS", "operation": "consultDossier", "outcome": "released"}
COUNTED = f"gateway_exchanges_total{json.dumps(RELEASED, sort_keys=True)}"
EXPIRES = "expiryDate"  # a field of LESS no more
REPLAYED = "WIB06005"
UNAVAILABLE = "WIB10001"


async def by_each(hub: Several, data: bytes) -> list[str | None]:
    """The codes of one message's answers, sent until every worker has had it."""
    codes: list[str | None] = []
    before = len(hub.events("exchange"))
    while {line["worker"] for line in hub.events("exchange")[before:]} != {0, 1}:
        assert len(codes) < 60
        codes.append((await hub.soap("BRUSSELS", data))[1].code)
    return codes


async def succeeded(hub: Several, number: int) -> None:
    """Kill a worker, and wait until another one with its number answers."""
    killed, before = hub.workers()[number], len(hub.events("worker ended"))
    os.kill(killed, signal.SIGKILL)
    await until(lambda: len(hub.events("worker ended")) > before)
    ended = len(hub.events("exchange"))
    await until(lambda: number in {line["worker"] for line in hub.events("exchange")[ended:]})
    assert hub.workers()[number] != killed


async def test_two_workers_are_one_hub(tmp_path):
    async with several(tmp_path) as hub:
        codes = await by_each(hub, question(str(uuid.uuid4())))
        assert codes[0] is None
        assert set(codes[1:]) == {REPLAYED}  # at whichever worker
        async with load(hub) as asked:
            await until(lambda: len(asked.released) >= 12)
        assert (asked.refused, asked.cut) == ([], 0)
        metrics = await hub.metrics()
        assert metrics[COUNTED] == len(asked.released) + 1
        assert {f'gateway_worker_resident_bytes{{"worker": "{number}"}}' for number in "01"} <= set(metrics)
        assert await hub.readiness() == (200, "ready\n")
        hub.process.terminate()
        assert await hub.process.wait() == 0
    assert all(recorded(tmp_path, one) for one in asked.released)
    assert flaws(tmp_path) == set()


async def test_a_worker_that_is_killed_loses_nothing_and_has_a_successor(tmp_path):
    async with several(tmp_path) as hub:
        async with load(hub) as asked:
            await until(lambda: len(asked.released) >= 4)
            counted = (await hub.metrics())[COUNTED]
            await succeeded(hub, 0)  # the one that leads
            await succeeded(hub, 1)  # and the one that leads after it
            assert len(hub.events("worker ended")) == 2
        assert asked.refused == []
        after = (await hub.metrics())[COUNTED]
        assert after >= counted
        assert len(asked.released) <= after <= len(asked.released) + asked.cut
        assert await hub.readiness() == (200, "ready\n")
    assert all(recorded(tmp_path, one) for one in asked.released)
    assert flaws(tmp_path) <= {Flaw.OUTCOME_UNKNOWN}


async def test_all_drain_then_end_and_what_is_under_way_is_answered(tmp_path):
    asked, go = [], asyncio.Event()

    async def slowly(world, provider, question):
        asked.append(question)
        await go.wait()
        return memory.answer_well(world, provider, question)

    async with several(tmp_path, slowly, drain_seconds=600.0) as hub:
        exchange = asyncio.create_task(hub.soap("BRUSSELS", question()))
        await until(lambda: len(asked) == 1)
        hub.process.terminate()
        await until(lambda: len(hub.events("draining")) == 2)
        assert (await hub.readiness())[0] == 503
        late = asyncio.create_task(hub.soap("BRUSSELS", question()))  # still served, at either
        await until(lambda: len(asked) == 2)
        hub.process.terminate()
        await until(lambda: len(hub.events("stopping")) == 2)
        go.set()
        for one in (exchange, late):
            status, answered = await one
            assert (status, answered.code) == (200, None)
            assert recorded(tmp_path, answered)
        assert await hub.process.wait() == 0
    assert flaws(tmp_path) == set()


async def test_workers_end_with_their_supervisor(tmp_path):
    async with several(tmp_path) as hub:
        workers = hub.workers().values()
        hub.process.kill()
        await hub.process.wait()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        assert {line["worker"] for line in hub.events("stopping")} == {0, 1}


async def test_what_is_wrong_with_the_settings_is_told_once_and_ends_it_all(tmp_path):
    memory.place_pki(tmp_path / "pki")
    prepare(tmp_path, "https://127.0.0.1:1/soap")
    (tmp_path / "pki/HUB/log.key.pem").write_text("no key\n")
    process = await started(tmp_path)
    assert await process.wait() == 1
    said = (tmp_path / "hub.log").read_text()
    assert said.count("CFG004") == 1
    assert "Traceback" not in said


async def ready(hub: Several, *wanted: object) -> None:
    """Wait until that is what the hub says of itself."""
    for _ in range(1800):
        if await hub.readiness() == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(wanted)


async def says(hub: Several, code: str) -> None:
    """Wait until the hub names the code as why it is not ready."""
    for _ in range(1800):
        status, words = await hub.readiness()
        if status == 503 and code in words:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(code)


async def test_the_hub_says_which_worker_is_not_ready_and_goes_on_without_one_that_cannot_start(tmp_path):
    async with several(tmp_path) as hub:
        worker = hub.workers()[1]
        os.kill(worker, signal.SIGSTOP)
        await ready(hub, 503, "worker 1: does not answer\n")
        os.kill(worker, signal.SIGCONT)
        await ready(hub, 200, "ready\n")
        (tmp_path / "gateway.toml").write_text(
            "no settings\n"
        )  # what is found first, of all that may be wrong
        os.kill(worker, signal.SIGKILL)
        await ready(hub, 503, "worker 1: does not start\n")
        await until(lambda: hub.events("worker given up"))
        ends = [line["status"] for line in hub.events("worker ended")]
        assert ends == [-signal.SIGKILL, 1, 1, 1, 1, 1]
        answers = [(await hub.soap("BRUSSELS", question()))[1].code for _ in range(8)]
        assert answers == [None] * 8  # each by a connection of its own
        await ready(hub, 503, "worker 1: does not start\n")
        os.kill(hub.workers()[0], signal.SIGKILL)
        assert await hub.process.wait() == 1


async def test_a_worker_whose_log_has_failed_ends_and_another_goes_on(tmp_path):
    async with several(tmp_path) as hub, load(hub) as asked:
        await until(lambda: hub.answered_by() == {0, 1})
        failing = hub.workers()[1]
        limit = (tmp_path / "hub.log").stat().st_size + 64 * 1024  # it can still write its own lines
        await until(lambda: (tmp_path / "store.db-wal").stat().st_size > 2 * limit)
        resource.prlimit(
            failing, resource.RLIMIT_FSIZE, (limit, limit)
        )  # as a disk that is full, for it alone
        await until(lambda: hub.events("worker ended"))
        (ended,) = hub.events("worker ended")
        assert (ended["worker"], ended["status"]) == (1, 1)
        assert "LOG519" in (tmp_path / "hub.log").read_text()
        before = len(hub.events("exchange"))
        await until(lambda: {line["worker"] for line in hub.events("exchange")[before:]} == {0, 1})
        assert hub.workers()[1] != failing
        assert await hub.readiness() == (200, "ready\n")
    assert set(asked.refused) <= {UNAVAILABLE}
    assert all(recorded(tmp_path, one) for one in asked.released)
    assert flaws(tmp_path) <= {Flaw.OUTCOME_UNKNOWN}


async def test_a_process_that_hangs_within_its_turn_hangs_no_other(tmp_path):
    async with several(tmp_path) as hub, load(hub) as asked:
        await until(lambda: hub.answered_by() == {0, 1})
        hanging = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)  # in the place of a process of the hub
        await asyncio.to_thread(fcntl.flock, hanging, fcntl.LOCK_EX)
        await until(lambda: asked.refused)
        await says(hub, "LOG520")
        os.close(hanging)
        await ready(hub, 200, "ready\n")
        released = len(asked.released)
        await until(lambda: len(asked.released) >= released + 4)
        assert hub.events("worker ended") == []
    assert set(asked.refused) == {UNAVAILABLE}
    assert all(recorded(tmp_path, one) for one in asked.released)
    assert flaws(tmp_path) <= {Flaw.OUTCOME_UNKNOWN}


async def test_an_address_that_is_taken_is_told(tmp_path):
    memory.place_pki(tmp_path / "pki")
    prepare(tmp_path, "https://127.0.0.1:1/soap")
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:  # one that would share it
        port, settings = other.getsockname()[1], tmp_path / "gateway.toml"
        settings.write_text(settings.read_text().replace("\nport = 0", f"\nport = {port}", 1))
        process = await started(tmp_path)
        assert await process.wait() == 1
    assert "CFG013" in (tmp_path / "hub.log").read_text()


async def test_everything_changes_under_load_and_no_exchange_fails(tmp_path):
    place, own = tmp_path / "hub", []
    drafts = Drafts(tmp_path / "agreements", place)
    contracts = drafts.begin()
    place.mkdir()

    def another_log_key() -> None:
        with (place / "pki/HUB/log.key.pem").open("ab") as file:
            file.write(private_pem(Ed25519PrivateKey.generate()))

    async with several(place, contracts=contracts) as hub:
        async with load(hub) as asked:
            await until(lambda: len(asked.released) >= 4)
            told = await hub.reload(lambda: drafts.put(revised(2, (READ, LESS))))
            await hub.reload(lambda: register(hub, suspend("MUN_LIEGE")))
            await hub.reload(lambda: own.extend(replace_own(hub, name) for name in ("tls", "sign-rsa")))
            await hub.reload(lambda: renew(hub.pki, "issuing", datetime.now(UTC), []))  # the revocation list
            await hub.reload(another_log_key)
            after = len(asked.released)
            await until(lambda: len(asked.released) >= after + 8)
        assert [one["number"] for one in told] == [2, 2]
        assert (asked.refused, asked.cut) == ([], 0)
        assert asked.signed_by[-1] == own[1] != asked.signed_by[0]
        assert asked.released[-1].texts(EXPIRES) < asked.released[0].texts(EXPIRES)
    assert all(recorded(place, one) for one in asked.released)
    assert flaws(place) == set()
