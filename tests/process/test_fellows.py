"""What the workers of a hub tell each other, and what each does while another one leads."""

from __future__ import annotations

import asyncio
import io
import selectors
import socket
import subprocess
import sys

import pytest

from gateway.adapters.channel import Channel
from gateway.broker.bell import Bell
from gateway.edge.fellows import Fellows
from gateway.edge.operational_log import OperationalLog
from gateway.model import AuthorityId
from gateway.supervisor import Supervisor, Worker
from tests.process.several import until
from tests.process.test_feeding import STOP, feeding_of, policy, witnesses

LIEGE, EUPEN = AuthorityId("MUN_LIEGE"), AuthorityId("MUN_EUPEN")


class Between:
    """A supervisor with two workers, which are tasks here instead of processes."""

    def __init__(self, directory) -> None:
        self.workers = [Worker(number, socket.socket()) for number in (0, 1)]
        self.poll = selectors.SelectSelector()
        self.lines = io.StringIO()
        self.supervisor = Supervisor(
            directory, OperationalLog(self.lines), self.workers, socket.socket(), directory, self.poll
        )
        self.fellows, self.bells, self.looked = [], [], []
        for worker in self.workers:
            worker.channel, theirs = Channel.pair()
            number = worker.number
            fellows = Fellows(Channel(theirs), number=number, of=2)
            bell = Bell(fellows.ring)
            fellows.rung = bell.rung
            self.fellows.append(fellows)
            self.bells.append(bell)

    def begin(self) -> None:
        for fellows in self.fellows:
            fellows.listen(lambda number=fellows.number: self.looked.append(number), lambda: None)

    def pass_on(self) -> None:
        for worker in self.workers:
            self.supervisor.hear(worker)
        self.supervisor.tell_leader()

    def close(self) -> None:
        for channel in (worker.channel for worker in self.workers if worker.channel is not None):
            channel.close()


@pytest.fixture
async def between(tmp_path):
    made = Between(tmp_path)
    made.begin()
    yield made
    made.close()
    await asyncio.sleep(0)


async def test_a_bell_wakes_who_waits_for_the_recipient_at_another_worker(between):
    here, there = between.bells
    waiting = {
        name: asyncio.create_task(there.wait(3600, recipient))
        for name, recipient in (("liege", LIEGE), ("eupen", EUPEN), ("anybody", None))
    }
    await asyncio.sleep(0)
    here.ring(LIEGE)
    between.pass_on()
    await waiting["liege"]
    assert not waiting["eupen"].done()
    assert not waiting["anybody"].done()  # its courier: the one where the bell was rung does it
    for task in waiting.values():
        task.cancel()


async def test_who_finds_a_change_has_the_others_look(between):
    between.fellows[1].look()
    between.pass_on()
    await until(lambda: between.looked == [0])


async def test_the_first_that_serves_leads_and_hears_of_the_others(between):
    first, second = between.fellows
    second.ready("https://h/soap", "http://h", "r1")
    between.pass_on()
    await second.leads.wait()
    first.ready("https://h/soap", "http://h", "r1")
    first.state("the exchange log is frozen")
    between.pass_on()
    between.supervisor.tell_leader()
    await until(lambda: second.others == {"0": "the exchange log is frozen"})
    assert not first.leads.is_set()


async def test_a_worker_that_does_not_lead_holds_by_what_the_other_one_had_cosigned(tmp_path):
    path, leads = tmp_path / "store.db", asyncio.Event()
    async with (
        witnesses(tmp_path) as found,
        feeding_of(path, policy(found)) as leading,
        feeding_of(path, policy(found)) as following,
    ):
        await leading.append("t1")
        following.clock.wait(STOP + 60)
        leading.clock.wait(STOP + 60)
        task = asyncio.create_task(following.feeder.run(leads))
        await until(lambda: following.store.held)
        await leading.feeder.round()
        await until(lambda: not following.store.held)
        assert following.events("witness") == []  # it asked none
        task.cancel()


def deaf() -> subprocess.Popen:
    """A process that SIGTERM does not end."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.read(1)
    return process


async def test_a_worker_that_does_not_end_is_killed(between):
    worker, supervisor = between.workers[0], between.supervisor
    worker.process = deaf()
    between.poll.register(worker.channel, selectors.EVENT_READ, lambda: None)
    supervisor.patience = 0.0
    supervisor.stop()
    assert await asyncio.to_thread(supervisor.run) == 0
    assert worker.process is None
    assert '"worker killed"' in between.lines.getvalue()
