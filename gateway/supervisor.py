"""The supervisor of a hub with several workers: binds its addresses, starts the workers, and replaces those that end.

It reads no key and sees no exchange. The listening sockets are its own, so that what the kernel has accepted for a
worker that was killed waits for its successor. Each worker has one of them, at one address (SO_REUSEPORT).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

import msgspec
from prometheus_client.multiprocess import mark_process_dead

from gateway.adapters.channel import Channel, Inherited, Lead, Look, Message, Ready, Ring, State, Troubles
from gateway.config import Settings
from gateway.edge.operational_log import OperationalLog
from gateway.sockets import bind

_STOP_SECONDS: Final = 38.0  # a worker takes 35 at most; deploy/gateway.service gives a little more
_STARTS: Final = 5  # of one worker in a row that may fail
_FIRST_PAUSE: Final = 0.5  # seconds from the first of them to the next start; doubles with each
_START_SECONDS: Final = 60.0  # that a start may take
_SILENT_SECONDS: Final = 10.0  # of a worker that says how it is every second
_TICK: Final = 1.0  # seconds; how late the supervisor notices what nothing wakes it for
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(slots=True)
class Worker:
    """A place among the workers, and the process that has it."""

    number: int
    soap: socket
    process: subprocess.Popen[bytes] | None = None
    channel: Channel | None = None
    ready: Ready | None = None  # what it said when it began to serve
    trouble: str | None = None
    heard: float = 0.0  # when it last said how it is, or was started
    failures: int = 0  # starts in a row that came to nothing
    due: float = 0.0  # when it may be started

    @property
    def serves(self) -> bool:
        return self.ready is not None

    def words(self, now: float) -> str | None:
        """Why it is not ready. One that is just being started is no trouble: what is for it waits a moment."""
        if not self.serves:
            return "does not start" if self.failures or now - self.heard > _START_SECONDS else None
        return "does not answer" if now - self.heard > _SILENT_SECONDS else self.trouble


@dataclass(slots=True)
class Supervisor:
    """Owns the workers. `config`: their settings file."""

    config: Path
    log: OperationalLog
    workers: list[Worker]
    operations: socket
    shared: Path  # what the workers count together
    poll: selectors.BaseSelector
    patience: float = _STOP_SECONDS  # with workers that have not ended
    status: int = 0  # of the whole
    stopping: float | None = None  # since when
    leader: Worker | None = None
    appointed: bool = False  # the leader knows it
    told: Troubles = field(default_factory=lambda: Troubles({}))
    serving: bool = False  # all of them did

    def run(self) -> int:
        """Until all workers have ended. The exit status."""
        while True:
            self._reap()
            if self.stopping is None:
                self._start_due()
                self.tell_leader()
            elif all(one.process is None for one in self.workers):
                return self.status
            elif monotonic() - self.stopping > self.patience:
                self._kill()
            for key, _ in self.poll.select(_TICK):
                key.data()

    def stop(self, status: int = 0) -> None:
        """Have all workers finish what is under way, and end. Told again, they are told again."""
        for one in self._running():
            assert one.process is not None
            one.process.terminate()
        if self.stopping is None:
            self.stopping, self.status = monotonic(), status
            for bound in (*(one.soap for one in self.workers), self.operations):
                bound.close()  # the workers close theirs: then nobody connects any more

    def look(self) -> None:
        """Have all workers look at their files."""
        self._send(Look())

    def _running(self) -> Iterator[Worker]:
        return (one for one in self.workers if one.process is not None)

    def _send(self, message: Message, but: Worker | None = None) -> None:
        for one in self.workers:
            if one is not but and one.channel is not None:
                one.channel.send(message)

    def _start_due(self) -> None:
        """The first alone: what is wrong with the settings it tells once, and it opens the store before others do."""
        ahead = self.workers if self.serving or self.leader is not None else self.workers[:1]
        for one in ahead:
            if one.process is None and monotonic() >= one.due:
                self._start(one)

    def _start(self, worker: Worker) -> None:
        worker.channel, theirs = Channel.pair()
        inherited = Inherited(
            number=worker.number,
            of=len(self.workers),
            joins=self.leader is not None,
            shared=str(self.shared),
            soap=worker.soap.fileno(),
            operations=self.operations.fileno(),
            channel=theirs.fileno(),
        )
        worker.heard = monotonic()
        self.poll.register(worker.channel, selectors.EVENT_READ, lambda: self.hear(worker))
        try:
            with theirs:
                worker.process = _started(self.config, inherited)
        except OSError as error:  # the machine has no room for one more process
            self.log.note("worker not started", worker=worker.number, error=type(error).__name__)
            self._hang_up(worker)
            self._failed(worker, 1)

    def hear(self, worker: Worker) -> None:
        """Do what a worker asks for."""
        channel = worker.channel
        if channel is None:
            return
        try:
            for message in channel.receive():
                self._heard(worker, message)
        except EOFError:
            self._hang_up(worker)

    def _hang_up(self, worker: Worker) -> None:
        if worker.channel is not None:
            self.poll.unregister(worker.channel)
            worker.channel.close()
            worker.channel = None

    def _heard(self, worker: Worker, message: Message) -> None:
        match message:
            case Ready():
                worker.ready, worker.failures = message, 0
                worker.heard = monotonic()
                self._appoint()
                self._tell_serving()
            case State():
                worker.trouble, worker.heard = message.trouble, monotonic()
            case Ring() | Look():
                self._send(message, but=worker)
            case Lead() | Troubles():  # a worker says neither
                pass

    def _appoint(self) -> None:
        """There is one that leads, as soon as there is one that serves."""
        if self.leader is None:
            self.leader = next((one for one in self.workers if one.serves), None)
            self.appointed, self.told = False, Troubles({})

    def tell_leader(self) -> None:
        """That it leads; and who answers the operations listener knows of the others only from here. What does not reach it
        is told again.
        """
        now, leader = monotonic(), self.leader
        troubles = {
            str(one.number): words
            for one in self.workers
            if one is not leader and (words := one.words(now)) is not None
        }
        if leader is None or leader.channel is None:
            return
        self.appointed = self.appointed or leader.channel.send(Lead())
        if self.told.of != troubles and leader.channel.send(Troubles(troubles)):
            self.told = Troubles(troubles)

    def _tell_serving(self) -> None:
        """In the words of a hub of one process, once all of them serve."""
        ready = [one.ready for one in self.workers if one.ready is not None]
        if not self.serving and len(ready) == len(self.workers):
            self.serving, first = True, ready[0]
            self.log.note(
                "serving",
                url=first.url,
                operations=first.operations,
                agreement=first.agreement,
                workers=len(ready),
            )

    def _reap(self) -> None:
        for one in list(self._running()):
            assert one.process is not None
            status = one.process.poll()
            if status is not None:
                self._ended(one, status)

    def _ended(self, worker: Worker, status: int) -> None:
        """Of a worker; another takes its place, unless it is always the start that fails."""
        self.hear(worker)  # what it said last
        self._hang_up(worker)
        served, worker.process, worker.ready, worker.trouble = worker.serves, None, None, None
        mark_process_dead(worker.number, str(self.shared))  # type: ignore[no-untyped-call] # the library's
        if self.stopping is not None:
            return
        self.log.note("worker ended", worker=worker.number, status=status)
        if worker is self.leader:
            self.leader = None
            self._appoint()
        if not served:
            self._failed(worker, status)
        elif status > 0:  # it gave up by itself: its log has failed, and might at once again
            self._put_off(worker)

    def _failed(self, worker: Worker, status: int) -> None:
        """It did not come to serve. When that happens again and again, or at the very start, it ends the hub; but others
        that serve go on without it: what is wrong in the files is not in force with them.
        """
        self._put_off(worker)
        if self.serving and worker.failures < _STARTS:
            return
        if self.serving and self.leader is not None:
            self._do_without(worker)
        else:
            self.stop(status if status > 0 else 1)

    def _do_without(self, worker: Worker) -> None:
        """Its socket is closed, so that the kernel gives its connections to the others."""
        self.log.note("worker given up", worker=worker.number)
        worker.soap.close()
        worker.due = inf

    @staticmethod
    def _put_off(worker: Worker) -> None:
        worker.failures += 1
        worker.due = monotonic() + _FIRST_PAUSE * 2 ** (worker.failures - 1)

    def _kill(self) -> None:
        for one in self._running():
            assert one.process is not None
            self.log.note("worker killed", worker=one.number)
            one.process.kill()


def supervise(
    config: Path, settings: Settings, workers: int, *, stop_with_stdin: bool, log: OperationalLog
) -> int:
    """Run a hub of so many workers until SIGTERM or SIGINT, or until standard input closes; SIGHUP: all look at
    their files. The exit status: that of a worker that cannot start. Raises ConfigError.
    """
    soap, operations = bind(settings.listen, workers)
    with _private() as shared, selectors.PollSelector() as poll:
        places = [Worker(number, one) for number, one in enumerate(soap)]
        patience = settings.listen.drain_seconds + _STOP_SECONDS
        supervisor = Supervisor(config, log, places, operations, shared, poll, patience)
        with _signals(
            poll,
            {signal.SIGTERM: supervisor.stop, signal.SIGINT: supervisor.stop, signal.SIGHUP: supervisor.look},
        ):
            if stop_with_stdin:
                poll.register(sys.stdin.fileno(), selectors.EVENT_READ, lambda: _drain(supervisor))
            status = supervisor.run()
    log.note("stopped")
    return status


def _started(config: Path, inherited: Inherited) -> subprocess.Popen[bytes]:
    """A process that imports this very package, wherever the hub was started. Raises OSError."""
    path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    given = msgspec.json.encode(inherited).decode()
    return subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-P", "-m", "gateway.worker", str(config), given],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        pass_fds=(inherited.soap, inherited.operations, inherited.channel),
        start_new_session=True,  # Ctrl-C is for the supervisor, which then stops the workers in order
    )


@contextmanager
def _private() -> Iterator[Path]:
    """A directory for what workers count together, in memory where there is such a place."""
    places = [os.environ.get("RUNTIME_DIRECTORY"), "/dev/shm"]  # noqa: S108 - a directory of our own within
    place = next((one for one in places if one and os.access(one, os.W_OK)), None)
    with TemporaryDirectory(prefix="gateway-", dir=place) as directory:
        yield Path(directory)


@contextmanager
def _signals(poll: selectors.BaseSelector, acts: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """A signal is handled between two looks, never within one."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def readable() -> None:
        for number in os.read(reading, 4096):
            acts.get(signal.Signals(number), lambda: None)()

    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: None)  # a byte in the pipe is all that it does
    signal.set_wakeup_fd(writing)
    poll.register(reading, selectors.EVENT_READ, readable)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def _drain(supervisor: Supervisor) -> None:
    """Whoever started the hub holds the other end of the pipe: the kernel closes it, however they die."""
    with suppress(OSError):
        if os.read(sys.stdin.fileno(), 4096):
            return
    supervisor.poll.unregister(sys.stdin.fileno())
    supervisor.stop()
