"""The hub's store: the exchange log and the dossier directory in one SQLite file.

Appending is group commit without a timer: one thread commits what has arrived; whatever arrives during the
fsync is the next batch. A receipt is given only after COMMIT. The log itself is `store_log`, reading and
checking it from another process is `store_reader`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self, TypeAlias

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.store_directory import Directory
from gateway.adapters.store_log import Log, new_log
from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.note import Signer
from gateway.model import DossierNumber, DossierScope, Receipt
from gateway.refusal import Code, Refusal

__all__ = ["LogReader", "Store"]

MAX_BATCH: Final = 256  # entries handed over at once; a transaction has less than twice as many
MAX_QUEUE: Final = 4_096  # entries waiting; beyond that the hub is at its capacity

_Waiting: TypeAlias = tuple[Entry, "asyncio.Future[Receipt]"]
_Outcome: TypeAlias = tuple["asyncio.Future[Receipt]", Receipt | Refusal]


class Store:
    """Appends for the broker, and looks up dossiers. One per process; several processes may share a file."""

    def __init__(self, path: Path, log: Log, origin: str, queue_limit: int) -> None:
        self._path = path
        self._log = log
        self._origin = origin
        self._limit = queue_limit
        self._directory = Directory.open(path, writes=False)
        self._gathered: list[_Waiting] = []  # since the event loop last turned
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._count = 0  # entries that wait: gathered, queued or in the transaction
        self._gate = (
            threading.Lock()
        )  # guards the four of `_accepting`, `_gathered`, `_count` and the queue's order
        self._accepting = True
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="exchange-log", daemon=True)
        self._thread.start()

    @classmethod
    def open(  # noqa: PLR0913 - which log, whose, and how it is opened
        cls,
        path: Path | str,
        signer: Ed25519PrivateKey,
        origin: str,
        *,
        create: bool = False,
        pinned: Checkpoint | None = None,
        queue_limit: int = MAX_QUEUE,
    ) -> Store:
        """Opens the store. `create`: makes a new one where there is no file; otherwise that is LOG506.

        A hub never creates: behind a mistyped path it would start a second log, in which every ticket can be
        used again. `origin` names the log and its key. `pinned` is a checkpoint kept elsewhere that the log must
        extend. Raises `ProofError` for a log that does not verify.
        """
        path, named = Path(path), Signer.of(origin, signer)
        if create and not path.exists():
            new_log(path, named)
        log = Log.open(path, named, pinned)
        try:
            return cls(path, log, origin, queue_limit)
        except ProofError:
            log.close()
            raise

    @property
    def ready(self) -> bool:
        """False once a commit has failed, or after `close`."""
        return self._accepting

    @property
    def size(self) -> int:
        """Entries in the log as far as this process knows."""
        return self._log.size

    @property
    def waiting(self) -> int:
        """Entries that are not durable yet."""
        return self._count

    async def append(self, entry: Entry) -> Receipt:
        """Returns when the entry is durable, in the tree and under a signed checkpoint.

        Raises `Refusal`: TICKET when the ticket was used before, BUSY when too many entries wait,
        LOG_UNAVAILABLE when the log has failed. After LOG_UNAVAILABLE the entry may or may not exist.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Receipt] = loop.create_future()
        with self._gate:
            if not self._accepting:
                raise Refusal(Code.LOG_UNAVAILABLE)
            if self._count >= self._limit:
                raise Refusal(Code.BUSY, "exchange log")
            self._count += 1
            self._gathered.append((entry, future))
            first = len(self._gathered) == 1
        if first:  # whatever else this turn of the loop appends is handed over with it, at one wake-up
            loop.call_soon(self._hand_over)
        return await future

    async def scope(self, dossier: DossierNumber) -> DossierScope | None:
        """What the directory knows of the dossier, None when nothing. Raises `Refusal` (LOG_UNAVAILABLE)."""
        # A look-up by key in pages that are cached: less work than handing it to a thread.
        try:
            return self._directory.get(dossier)
        except apsw.Error as error:
            raise Refusal(Code.LOG_UNAVAILABLE, "directory") from error

    async def put_scope(self, scope: DossierScope) -> None:
        """Replaces what the directory knows of the dossier. Raises `Refusal` (LOG_UNAVAILABLE)."""
        await asyncio.to_thread(self._put_scope, scope)

    async def close(self) -> None:
        """Commits what is waiting, then closes the file."""
        with self._gate:
            self._accepting = False
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._directory.close()
        self._log.close()  # the last to close moves the write-ahead log into the file

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _put_scope(self, scope: DossierScope) -> None:
        try:
            directory = Directory.open(self._path, writes=True)
            with contextlib.closing(directory):
                directory.put(scope)
        except ProofError as error:
            raise Refusal(Code.LOG_UNAVAILABLE, "directory") from error

    def _run(self) -> None:
        """The appender thread."""
        going = True
        while going:
            batch, going = self._take()
            if batch:
                outcomes = self._commit(batch)
                with self._gate:
                    self._count -= len(batch)
                _settle(outcomes)

    def _hand_over(self) -> None:
        """Pass what was gathered to the appender thread, at most a batch at a time."""
        with self._gate:
            gathered, self._gathered = self._gathered, []
            for start in range(0, len(gathered), MAX_BATCH):
                self._queue.put(gathered[start : start + MAX_BATCH])

    def _take(self) -> tuple[list[_Waiting], bool]:
        """Waits for entries and takes along what else is there; False after the last."""
        batch = list[_Waiting]()
        item = self._queue.get()
        while item is not None:
            batch += item
            if len(batch) >= MAX_BATCH:
                return batch, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: Sequence[_Waiting]) -> list[_Outcome]:
        if self._broken:
            return [(future, Refusal(Code.LOG_UNAVAILABLE)) for _, future in batch]
        try:
            outcomes = self._log.append([entry for entry, _ in batch])
        except Exception:  # noqa: BLE001 - whatever it was, the outcome of the batch is unknown: stop
            with self._gate:
                self._accepting, self._broken = False, True
            with contextlib.suppress(apsw.Error):
                self._log.close()  # gives up the write lock: the outcome is found out by opening anew
            return [(future, Refusal(Code.LOG_UNAVAILABLE)) for _, future in batch]
        return [
            (future, Receipt(self._origin, outcome) if isinstance(outcome, int) else outcome)
            for (_, future), outcome in zip(batch, outcomes, strict=True)
        ]


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Wakes each event loop once per batch, not once per entry."""
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
