"""Group commit without a timer: one thread commits what has arrived.

What arrives during the fsync is the next batch; what arrives while other processes have their turn joins the batch that
waits for its own. The thread is the only writer of the process. Whoever waits for work is told of it only after COMMIT.

A commit that failed may have happened: nothing is tried again on its session. A file is opened anew by another process
only, for the disk may be failing. Where the store is a server, which ends sessions for reasons of its own, the thread opens
the log anew, from time to time, until it can. What it finds there must extend all that it knew: a server that lost entries
is as good as none.

Another process of a hub on a file may hang within its turn. The thread waits for that to end, however long it takes, but
nobody else does: what waits is refused after a while, and nothing more is taken until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, TypeAlias

from gateway.adapters.store_log import Log, SignWith
from gateway.adapters.store_session import Occupied, database_errors
from gateway.adapters.store_work import T, Work
from gateway.broker.reply import SIGNING_SECONDS
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer
from gateway.refusal import Code, Refusal

MAX_BATCH: Final = 256  # works handed over at once; a transaction has less than twice as many
MAX_QUEUE: Final = 4_096  # works waiting; beyond that the hub is at its capacity

_PAUSE: Final = 0.5  # seconds from one look for a server that is away to the next
_IDLE: Final = 2.0  # seconds without work, after which the server is looked at

Reopen: TypeAlias = Callable[[Sequence[Signer], Checkpoint], Log]  # whose keys sign; what the log must extend
_Waiting: TypeAlias = tuple[Work[Any], "asyncio.Future[Any]"]
_Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any]


class Appender:
    """Owns the log and its thread. One per process; several processes may share a store."""

    def __init__(self, log: Log, queue_limit: int = MAX_QUEUE, reopen: Reopen | None = None) -> None:
        """`reopen`: how to come back after a failure; None: only a new process does."""
        self._log = log
        self._reopen = reopen
        self._limit = queue_limit
        self._gathered: list[_Waiting] = []  # since the event loop last turned
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._arrived = deque[
            float
        ]()  # when the works that wait came: gathered, queued or in the transaction
        self._gate = (
            threading.Lock()
        )  # guards the four of `_accepting`, `_gathered`, `_arrived` and the queue's order
        self._accepting = True
        self._stopped = False  # nothing more is accepted, not even once the log is back
        self._ended = False  # the thread has taken the last batch
        self.trouble: Flaw | None = None  # why nothing is appended
        self.held = False  # while it is, no entry is taken
        self._broken = False
        self._batch: list[_Waiting] = []  # what the thread is about to commit
        self._over = threading.Event()  # the thread has ended
        if reopen is None:
            log.stand_in_line()
            threading.Thread(target=self._watch, name="exchange-log-watch", daemon=True).start()
        self._thread = threading.Thread(target=self._run, name="exchange-log", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """False once a commit has failed, after `close`, and while work waits longer than a signature may take.

        A token that hangs cannot be told from one that is slow, nor its call be ended: a restart ends it.
        """
        with self._gate:
            waited = monotonic() - self._arrived[0] if self._arrived else 0.0
        return self._accepting and waited <= SIGNING_SECONDS

    @property
    def failed(self) -> bool:
        """A commit failed, and only another process will open the log anew."""
        return self._reopen is None and self.trouble is Flaw.COMMIT

    @property
    def size(self) -> int:
        """Entries in the log as far as this process knows."""
        return self._log.size

    @property
    def checkpoint(self) -> bytes:
        """The newest that this process committed: it covers every entry that `perform` has told of."""
        return self._log.checkpoint

    @property
    def waiting(self) -> int:
        """Works that are not durable yet."""
        return len(self._arrived)

    async def perform(self, work: Work[T]) -> T:
        """The work's outcome, when it is durable and its entry in the tree and under a signed checkpoint.

        Raises `Refusal`: TICKET when the ticket was used before, what the effect refuses with, BUSY when too
        much waits, LOG_UNAVAILABLE when the log has failed. After that the work may or may not be done.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._gate:
            if not self._accepting or (self.held and work.entry is not None):
                raise Refusal(Code.LOG_UNAVAILABLE)
            if len(self._arrived) >= self._limit:
                raise Refusal(Code.BUSY, "exchange log")
            self._arrived.append(monotonic())
            self._gathered.append((work, future))
            first = len(self._gathered) == 1
        if first:  # what else this turn of the loop and the next bring is handed over with it, at one wake-up
            loop.call_soon(loop.call_soon, self._hand_over)
        return await future

    async def sign_with(self, signers: Sequence[Signer]) -> None:
        """Checkpoints have these signatures when this returns, the present one too. Raises as `perform`."""
        await self.perform(Work(None, SignWith(self._log, signers), of_head=True))

    async def stop(self) -> None:
        """Commits what is waiting, and ends the thread."""
        with self._gate:
            self._accepting, self._stopped = False, True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._over.set()

    def close(self) -> None:
        """After `stop` and all readers: the last to close moves the write-ahead log into the file."""
        self._log.close()

    def _run(self) -> None:
        """The appender thread."""
        while not self._ended:
            batch = self._take()
            if batch:
                outcomes = self._commit(batch)
                with self._gate:
                    for _ in batch:  # the first that came are the first that are done
                        self._arrived.popleft()
                _settle(outcomes)
            elif not self._ended:
                self._look_after()

    def _hand_over(self) -> None:
        """Pass what was gathered to the appender thread, at most a batch at a time."""
        with self._gate:
            gathered, self._gathered = self._gathered, []
            for start in range(0, len(gathered), MAX_BATCH):
                self._queue.put(gathered[start : start + MAX_BATCH])

    def _take(self) -> list[_Waiting]:
        """Waits for work and takes along what else is there. Nothing: there is time to look, or it was the last."""
        batch = list[_Waiting]()
        try:
            self._join(batch, self._queue.get(timeout=self._patience()))
        except Empty:
            return batch
        self._take_along(batch)
        return batch

    def _take_along(self, batch: list[_Waiting]) -> None:
        """What is there by now, as far as there is room."""
        with contextlib.suppress(Empty):
            while len(batch) < MAX_BATCH and not self._ended:
                self._join(batch, self._queue.get_nowait())

    def _join(self, batch: list[_Waiting], item: list[_Waiting] | None) -> None:
        if item is None:
            self._ended = True
        else:
            batch += item

    def _patience(self) -> float | None:
        """Seconds to wait for work; None: for ever, since there is nothing else to do."""
        if self._reopen is None:
            return None
        return _PAUSE if self._broken else _IDLE

    def _commit(self, batch: list[_Waiting]) -> list[_Outcome]:
        """The batch grows while it waits for its turn."""
        if self._broken:
            return [(future, Refusal(Code.LOG_UNAVAILABLE)) for _, future in batch]
        self._batch = batch
        try:
            outcomes = self._log.append([work for work, _ in batch], lambda: self._late(batch))
        except Occupied:  # nothing was begun, and that turn has ended
            with self._gate:
                self._accepting, self.trouble = not self._stopped, None
            return [(future, Refusal(Code.LOG_UNAVAILABLE)) for _, future in batch]
        except Exception as error:  # noqa: BLE001 - whatever it was, the outcome of the batch is unknown: stop
            self._break(error)
            return [(future, Refusal(Code.LOG_UNAVAILABLE)) for _, future in batch]
        return [(future, outcome) for (_, future), outcome in zip(batch, outcomes, strict=True)]

    def _late(self, batch: list[_Waiting]) -> Sequence[Work[Any]]:
        known = len(batch)
        self._take_along(batch)
        return [work for work, _ in batch[known:]]

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE):
            with self._gate:  # the thread that comes back waits here, and accepts again afterwards
                refused = self._refused() if self._log.give_up() else []
            _settle([(future, Refusal(Code.LOG_UNAVAILABLE)) for _, future in refused])

    def _refused(self) -> list[_Waiting]:
        """Everything that waits, while another process holds the store."""
        self._accepting, self.trouble = False, Flaw.OCCUPIED
        behind = list[_Waiting]()
        with contextlib.suppress(Empty):
            while (item := self._queue.get_nowait()) is not None:
                behind += item
            self._queue.put(None)  # the last: for the thread
        for _ in behind:
            self._arrived.pop()
        return [*self._batch, *behind]

    def _break(self, why: Exception) -> None:
        with self._gate:
            self._accepting, self._broken = False, True
        self.trouble = why.flaw if isinstance(why, ProofError) else Flaw.COMMIT
        with contextlib.suppress(*database_errors()):
            self._log.close()  # gives up the write lock: the outcome is found out by opening anew

    def _look_after(self) -> None:
        """A server that went away is noticed though nobody asks for anything, and one that came back, too."""
        if self._broken:
            self._come_back()
            return
        try:
            self._log.look()
        except Exception as error:  # noqa: BLE001 - as when a commit fails: whatever it was
            self._break(error)

    def _come_back(self) -> None:
        """Open the log anew; leave everything as it is when that is not possible yet."""
        assert self._reopen is not None
        try:
            reopened = self._reopen(self._log.signers, self._log.known)
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever it was, and tries again
            self.trouble = error.flaw if isinstance(error, ProofError) else Flaw.UNREADABLE
            return
        reopened.checkpoint = self._log.checkpoint  # of work that is done, and of which nobody was told yet
        self._log, self.trouble = reopened, None
        with self._gate:
            self._broken, self._accepting = False, not self._stopped


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Wakes each event loop once per batch, not once per work."""
    by_loop: dict[asyncio.AbstractEventLoop, deque[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), deque()).append(outcome)
    for loop, mine in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for future, outcome in outcomes:
        if future.done():  # whoever waited has been cancelled
            continue
        if isinstance(outcome, Refusal):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
